//! Sparkplug B with Mosquitto. The messages are encoded here, independently of the connector.

use super::support::broker::{Broker, Publisher};
use super::support::{Platform, mapping, now, read_one, shown};
use domain::plant::{ConnectorKind, ConnectorSettings};
use domain::ports::PlantConnector;
use fakes::eventually;
use serde_json::{Value, json};

/// The time 2026-11-22T11:05:48.607Z in milliseconds.
const AT_MS: u64 = 1_795_345_548_607;
const AT: &str = "2026-11-22T11:05:48.607Z";

/// A message of protocol buffers.
#[derive(Clone, Default)]
struct Proto(Vec<u8>);

impl Proto {
    fn varint(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push(u8::try_from(number & 0x7f).expect("seven bits") | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).expect("seven bits"));
        self
    }

    fn number(self, tag: u64, number: u64) -> Self {
        self.varint(tag << 3).varint(number)
    }

    fn double(self, tag: u64, number: f64) -> Self {
        let mut with_key = self.varint((tag << 3) | 1);
        with_key.0.extend(number.to_le_bytes());
        with_key
    }

    fn bytes(self, tag: u64, bytes: &[u8]) -> Self {
        let mut with_length = self.varint((tag << 3) | 2).varint(bytes.len() as u64);
        with_length.0.extend(bytes);
        with_length
    }
}

/// A metric with name, alias and value (`Double`).
fn born(name: &str, alias: u64, value: f64) -> Proto {
    let unit = Proto::default().number(1, 12).bytes(8, b"bar");
    let properties = Proto::default().bytes(1, b"engUnit").bytes(2, &unit.0);
    Proto::default()
        .bytes(1, name.as_bytes())
        .number(2, alias)
        .number(3, AT_MS)
        .number(4, 10)
        .bytes(9, &properties.0)
        .double(13, value)
}

/// A metric by its alias; with a quality, if it is not good.
fn changed(alias: u64, value: f64, quality: Option<u64>) -> Proto {
    let metric = Proto::default().number(2, alias).number(3, AT_MS + 1_000).double(13, value);
    let Some(code) = quality else { return metric };
    let code = Proto::default().number(1, 3).number(3, code);
    let properties = Proto::default().bytes(1, b"Quality").bytes(2, &code.0);
    metric.bytes(9, &properties.0)
}

fn birth_count(count: u64) -> Proto {
    Proto::default().bytes(1, b"bdSeq").number(3, AT_MS).number(4, 4).number(11, count)
}

fn payload(seq: Option<u64>, metrics: &[Proto]) -> Vec<u8> {
    let mut payload = Proto::default().number(1, AT_MS);
    for metric in metrics {
        payload = payload.bytes(2, &metric.0);
    }
    seq.map_or(payload.clone(), |seq| payload.number(3, seq)).0
}

/// An edge node `plant/edge1` with a device `pump`.
struct EdgeNode(Publisher);

impl EdgeNode {
    async fn say(&mut self, kind: &str, seq: Option<u64>, metrics: &[Proto]) {
        let device = if kind.starts_with('D') { "/pump" } else { "" };
        self.0.publish(&format!("spBv1.0/plant/{kind}/edge1{device}"), payload(seq, metrics), false).await;
    }

    async fn be_born(&mut self, count: u64) {
        self.say("NBIRTH", Some(0), &[birth_count(count), born("Pressure", 7, 4.6)]).await;
        self.say("DBIRTH", Some(1), &[born("Speed", 8, 1_450.0)]).await;
    }
}

async fn eventually_shows(connector: &dyn PlantConnector, address: &str, expected: Value) {
    let tag = mapping(address);
    eventually(&format!("{address} is {expected}"), || async {
        let shown = shown(&read_one(connector, &tag).await.ok()?);
        (shown == expected).then_some(())
    })
    .await;
}

fn settings(broker: &Broker) -> ConnectorSettings {
    let tags = ["plant/edge1/Pressure", "plant/edge1/pump/Speed"].map(mapping).to_vec();
    ConnectorSettings { tags, ..broker.plain(ConnectorKind::Sparkplug) }
}

#[tokio::test]
async fn births_data_qualities_and_deaths() {
    let Some(broker) = Broker::start().await else { return };
    let platform = Platform::new();
    let connector = platform.open(&settings(&broker)).await;
    let unborn = read_one(&*connector, &mapping("plant/edge1/Pressure")).await.unwrap();
    assert_eq!(shown(&unborn), json!([null, null, "bad", "sparkplug:no_birth", null]));
    assert_eq!(unborn.received_at, now());

    let mut node = EdgeNode(broker.publisher());
    node.say("NDATA", Some(4), &[changed(7, 9.9, None)]).await;
    node.be_born(3).await;
    let later = "2026-11-22T11:05:49.607Z";
    eventually_shows(&*connector, "plant/edge1/pump/Speed", json!([1450.0, "bar", "good", "sparkplug:192", AT])).await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.6, "bar", "good", "sparkplug:192", AT])).await;
    for (seq, code, quality) in [(2, 0, "bad"), (3, 65, "uncertain"), (4, 500, "bad"), (5, 192, "good")] {
        node.say("NDATA", Some(seq), &[changed(7, 4.8, Some(code))]).await;
        let expected = json!([4.8, "bar", quality, format!("sparkplug:{code}"), later]);
        eventually_shows(&*connector, "plant/edge1/Pressure", expected).await;
    }
    node.say("DDATA", Some(6), &[changed(8, 1_460.0, None)]).await;
    eventually_shows(&*connector, "plant/edge1/pump/Speed", json!([1460.0, "bar", "good", "sparkplug:192", later]))
        .await;
    node.say("DDEATH", Some(7), &[]).await;
    eventually_shows(&*connector, "plant/edge1/pump/Speed", json!([1460.0, "bar", "bad", "sparkplug:500", later]))
        .await;
    node.say("NDATA", Some(9), &[changed(7, 4.9, None)]).await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.9, "bar", "bad", "sparkplug:500", later])).await;
    node.be_born(4).await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.6, "bar", "good", "sparkplug:192", AT])).await;
    let tags = connector.browse(10).await.unwrap().unwrap();
    let addresses: Vec<_> = tags.iter().map(|tag| tag.mapping.address.0.as_str()).collect();
    assert_eq!(addresses, ["plant/edge1/Pressure", "plant/edge1/pump/Speed"]);
    node.say("NDEATH", None, &[birth_count(4)]).await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.6, "bar", "bad", "sparkplug:500", AT])).await;
}

#[tokio::test]
async fn after_an_outage_values_are_stale_until_the_next_birth_and_nothing_is_published() {
    let Some(mut broker) = Broker::start().await else { return };
    let platform = Platform::new();
    let connector = platform.open(&settings(&broker)).await;
    read_one(&*connector, &mapping("plant/edge1/Pressure")).await.unwrap();
    EdgeNode(broker.publisher()).be_born(1).await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.6, "bar", "good", "sparkplug:192", AT])).await;
    broker.kill();
    broker.restart().await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.6, "bar", "bad", "sparkplug:500", AT])).await;
    EdgeNode(broker.publisher()).be_born(2).await;
    eventually_shows(&*connector, "plant/edge1/Pressure", json!([4.6, "bar", "good", "sparkplug:192", AT])).await;
    drop(connector);
    platform.shut_down().await;
    let log = broker.lines_about_connectors();
    assert!(log.iter().any(|line| line.contains("Received SUBSCRIBE")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("Received PUB") || line.contains("STATE")), "{log:#?}");
}
