//! MQTT with Mosquitto.

use super::support::broker::Broker;
use super::support::{Platform, assert_fails, mapping, now, password, read_one, shown};
use domain::plant::{ConnectorError, ConnectorKind, ConnectorSettings, TagMapping, TagValue};
use domain::ports::PlantConnector;
use fakes::{eventually, eventually_within};
use serde_json::{Value, json};
use std::time::Duration;

const PRESSURE: &str = "plant/area1/pit-1001";

/// Waits until a tag has this value.
async fn eventually_shows(connector: &dyn PlantConnector, address: &str, value: Value) -> Value {
    let tag = mapping(address);
    eventually("the value is there", || async {
        let shown = shown(&read_one(connector, &tag).await.ok()?);
        (shown[0] == value).then_some(shown)
    })
    .await
}

fn with_tags(settings: ConnectorSettings, addresses: &[&str]) -> ConnectorSettings {
    ConnectorSettings { tags: addresses.iter().map(|address| mapping(address)).collect(), ..settings }
}

#[tokio::test]
async fn kept_and_new_messages_are_what_was_published() {
    let Some(broker) = Broker::start().await else { return };
    let mut plc = broker.publisher();
    let full = json!({ "value": 4.6, "timestamp": "2026-11-22T11:05:48.607Z", "quality": "good", "unit": "bar" });
    plc.publish(PRESSURE, full.to_string(), true).await;
    plc.publish("plant/area1/tit-1001", "61.25", true).await;
    let platform = Platform::new();
    let addresses = [PRESSURE, "plant/area1/tit-1001", "plant/area1/silent"];
    let connector = platform.open(&with_tags(broker.plain(ConnectorKind::Mqtt), &addresses)).await;
    let samples = connector.read(&addresses.map(mapping)).await.unwrap();
    let found: Vec<_> = samples.iter().map(shown).collect();
    assert_eq!(found[0], json!([4.6, "bar", "good", "mqtt:good", "2026-11-22T11:05:48.607Z"]));
    assert_eq!(found[1], json!([61.25, null, "uncertain", "mqtt:retained", null]));
    assert_eq!(found[2], json!([null, null, "bad", "mqtt:no_message", null]));
    assert!(samples.iter().all(|sample| sample.received_at == now()));
    plc.publish("plant/area1/silent", "7", false).await;
    let silent = eventually_shows(&*connector, "plant/area1/silent", json!(7.0)).await;
    assert_eq!(silent, json!([7.0, null, "uncertain", null, null]));
    let bad = json!({ "value": 99.0, "quality": "bad" });
    plc.publish(PRESSURE, bad.to_string(), false).await;
    assert_eq!(eventually_shows(&*connector, PRESSURE, json!(99.0)).await[2], "bad");
    let scaled = TagMapping { scale: Some(0.5), ..mapping("plant/area1/silent") };
    assert_eq!(read_one(&*connector, &scaled).await.unwrap().value, Some(TagValue::Number(3.5)));
    assert!(connector.browse(10).await.unwrap().is_none());
}

#[tokio::test]
async fn tls_trusts_an_authority_or_a_thumbprint_and_nothing_else() {
    let Some(mut broker) = Broker::start().await else { return };
    let platform = Platform::new();
    let authority = json!({ "ca_certificate": broker.authority() });
    let by_authority = platform.open(&broker.encrypted(authority)).await;
    let check = by_authority.check(None).await;
    assert!(check.ok, "{check:?}");
    let pinned = broker.encrypted(json!({ "trusted_thumbprint": broker.thumbprint }));
    let by_thumbprint = platform.open(&pinned).await;
    assert!(by_thumbprint.check(None).await.ok);
    let untrusting = platform.open(&broker.encrypted(json!({}))).await.check(None).await;
    assert_eq!(untrusting.untrusted_certificate.unwrap().0, broker.thumbprint);
    broker.change_certificate().await;
    let limit = Duration::from_secs(20);
    eventually_within(limit, "the authority's word is enough", || async {
        by_authority.check(None).await.ok.then_some(())
    })
    .await;
    let check = platform.open(&pinned).await.check(None).await;
    assert_eq!(check.untrusted_certificate.unwrap().0, broker.thumbprint, "another certificate than was accepted");
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let Some(broker) = Broker::start().await else { return };
    let settings = ConnectorSettings { credential: password("reader", "hunter2"), ..broker.plain(ConnectorKind::Mqtt) };
    let check = Platform::new().open(&settings).await.check(None).await;
    assert_fails(&check, "refused access");
    assert!(!check.detail.contains("hunter2"));
}

#[tokio::test]
async fn outage_reconnect_and_hang() {
    let Some(mut broker) = Broker::start().await else { return };
    broker.publisher().publish(PRESSURE, "1", false).await;
    let platform = Platform::new();
    let mut settings = with_tags(broker.plain(ConnectorKind::Mqtt), &[PRESSURE]);
    settings.config["timeout_s"] = json!(2);
    let connector = platform.open(&settings).await;
    let tag = mapping(PRESSURE);
    read_one(&*connector, &tag).await.unwrap();
    broker.kill();
    eventually("the outage is noticed", || async {
        matches!(read_one(&*connector, &tag).await, Err(ConnectorError::Unreachable { .. })).then_some(())
    })
    .await;
    broker.restart().await;
    eventually("it is connected again", || async { read_one(&*connector, &tag).await.ok() }).await;
    broker.publisher().publish(PRESSURE, "2", false).await;
    eventually_shows(&*connector, PRESSURE, json!(2.0)).await;

    broker.suspend();
    let check = platform.open(&settings).await.check(None).await;
    assert_fails(&check, "did not answer within 2 s");
    let limit = Duration::from_secs(20);
    eventually_within(limit, "the silence is noticed", || async {
        matches!(read_one(&*connector, &tag).await, Err(ConnectorError::TimedOut { .. })).then_some(())
    })
    .await;
    broker.resume();
    eventually_within(limit, "it is connected again", || async { read_one(&*connector, &tag).await.ok() }).await;
}

#[tokio::test]
async fn topics_that_the_account_may_not_read_are_named() {
    let Some(broker) = Broker::start().await else { return };
    let platform = Platform::new();
    let secret = "office/payroll";
    let connector = platform.open(&with_tags(broker.plain(ConnectorKind::Mqtt), &[PRESSURE, secret])).await;
    let sample = read_one(&*connector, &mapping(secret)).await.unwrap();
    assert_eq!(sample.value, None);
    assert!(connector.check(Some(&mapping(PRESSURE))).await.ok);
}

#[tokio::test]
async fn a_connector_publishes_nothing_and_says_goodbye() {
    let Some(broker) = Broker::start().await else { return };
    let platform = Platform::new();
    let connector = platform.open(&with_tags(broker.plain(ConnectorKind::Mqtt), &[PRESSURE])).await;
    broker.publisher().publish(PRESSURE, "1", false).await;
    connector.check(Some(&mapping(PRESSURE))).await;
    read_one(&*connector, &mapping(PRESSURE)).await.unwrap();
    drop(connector);
    platform.shut_down().await;
    let log = eventually("it disconnects", || async {
        let lines = broker.lines_about_connectors();
        lines.iter().any(|line| line.contains("Received DISCONNECT")).then_some(lines)
    })
    .await;
    assert!(log.iter().any(|line| line.contains("Received SUBSCRIBE")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("Received PUB")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("Will message")), "{log:#?}");
}
