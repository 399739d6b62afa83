//! Scripted lives of edge nodes.

use super::address::MetricKey;
use super::node::{Kind, NO_BIRTH, Node, Received, STALE};
use super::payload::{Metric, MetricValue, Payload, PropertyData, PropertySet, PropertyValue};
use super::quality::QualityCodes;
use super::*;
use chrono::DateTime;

fn named(name: &str, alias: u64, value: f64) -> Metric {
    Metric {
        name: Some(name.into()),
        alias: Some(alias),
        timestamp: Some(1_000),
        datatype: Some(10),
        value: Some(MetricValue::Double(value)),
        ..Metric::default()
    }
}

fn by_alias(alias: u64, value: f64) -> Metric {
    Metric { alias: Some(alias), timestamp: Some(2_000), value: Some(MetricValue::Double(value)), ..Metric::default() }
}

fn birth_count(count: u64) -> Metric {
    Metric { name: Some("bdSeq".into()), value: Some(MetricValue::Long(count)), ..Metric::default() }
}

fn with_quality(mut metric: Metric, code: u32) -> Metric {
    let value = PropertyValue { datatype: Some(3), is_null: None, value: Some(PropertyData::Int(code)) };
    metric.properties = Some(PropertySet { keys: vec!["Quality".into()], values: vec![value] });
    metric
}

/// A node, with the messages that it receives.
#[derive(Default)]
struct Life(Node);

impl Life {
    fn receive(&mut self, kind: Kind, device: Option<&str>, seq: Option<u64>, metrics: Vec<Metric>) -> &mut Self {
        let payload = Payload { timestamp: Some(3_000), metrics, seq };
        let received = Received { device, payload: &payload, at: DateTime::UNIX_EPOCH };
        self.0.receive(kind, &received, &QualityCodes::default());
        self
    }

    fn born() -> Self {
        let mut life = Self::default();
        life.receive(Kind::Birth, None, Some(0), vec![birth_count(3), named("Pressure", 7, 4.6)]);
        life.receive(Kind::Birth, Some("pump"), Some(1), vec![named("Speed", 8, 1_450.0)]);
        life
    }

    /// Value, quality and code.
    fn shows(&self, device: Option<&str>, name: &str) -> String {
        let key = MetricKey { device: device.map(str::to_owned), name: name.to_owned() };
        self.0.sample(&key).map_or("unknown".into(), |sample| {
            let value = sample.value.map_or("-".into(), |value| value.to_string());
            format!("{value} {} {}", sample.quality, sample.quality_code.unwrap_or_default())
        })
    }

    fn pressure(&self) -> String {
        self.shows(None, "Pressure")
    }
}

#[test]
fn births_tie_aliases_and_data_uses_them() {
    let mut life = Life::born();
    assert_eq!(life.pressure(), "4.6 good sparkplug:192");
    life.receive(Kind::Data, None, Some(2), vec![by_alias(7, 4.8)]);
    life.receive(Kind::Data, Some("pump"), Some(3), vec![by_alias(8, 1_460.0)]);
    assert_eq!(life.pressure(), "4.8 good sparkplug:192");
    assert_eq!(life.shows(Some("pump"), "Speed"), "1460 good sparkplug:192");
}

#[test]
fn aliases_mean_nothing_before_a_birth() {
    let mut life = Life::default();
    life.receive(Kind::Data, None, Some(9), vec![by_alias(7, 4.8)]);
    assert_eq!(life.pressure(), "unknown");
    life.receive(Kind::Data, None, Some(10), vec![named("Pressure", 7, 4.9)]);
    assert_eq!(life.pressure(), format!("4.9 uncertain {NO_BIRTH}"));
    life.receive(Kind::Data, None, Some(11), vec![by_alias(7, 5.0)]);
    assert_eq!(life.pressure(), format!("4.9 uncertain {NO_BIRTH}"), "data ties no alias");
}

#[test]
fn qualities_are_the_specifications() {
    let mut life = Life::born();
    for (seq, code, expected) in [(2, 0, "bad"), (3, 500, "bad"), (4, 65, "uncertain"), (5, 192, "good")] {
        life.receive(Kind::Data, None, Some(seq), vec![with_quality(by_alias(7, 1.0), code)]);
        assert_eq!(life.pressure(), format!("1 {expected} sparkplug:{code}"));
    }
}

#[test]
fn after_a_gap_everything_is_stale_until_the_node_is_born_again() {
    let mut life = Life::born();
    life.receive(Kind::Data, None, Some(3), vec![by_alias(7, 4.8)]);
    assert_eq!(life.pressure(), format!("4.8 bad {STALE}"));
    assert_eq!(life.shows(Some("pump"), "Speed"), format!("1450 bad {STALE}"));
    life.receive(Kind::Data, None, Some(4), vec![by_alias(7, 4.9)]);
    assert_eq!(life.pressure(), format!("4.9 bad {STALE}"), "it does not heal by itself");
    life.receive(Kind::Birth, None, Some(0), vec![birth_count(4), named("Pressure", 17, 5.0)]);
    assert_eq!(life.pressure(), "5 good sparkplug:192");
    assert_eq!(life.shows(Some("pump"), "Speed"), format!("1450 bad {STALE}"), "the device is not born yet");
    life.receive(Kind::Data, None, Some(1), vec![by_alias(7, 9.9)]);
    assert_eq!(life.pressure(), "5 good sparkplug:192", "the old alias is void");
}

#[test]
fn sequence_numbers_wrap() {
    let mut life = Life::born();
    for seq in (2..=255).chain(0..5) {
        life.receive(Kind::Data, None, Some(seq), vec![by_alias(7, 4.8)]);
    }
    assert_eq!(life.pressure(), "4.8 good sparkplug:192");
}

#[test]
fn deaths_make_stale_and_late_wills_do_not() {
    let mut life = Life::born();
    life.receive(Kind::Death, None, None, vec![birth_count(2)]);
    assert_eq!(life.pressure(), "4.6 good sparkplug:192", "the will of an earlier connection");
    life.receive(Kind::Death, Some("pump"), Some(2), Vec::new());
    assert_eq!(life.shows(Some("pump"), "Speed"), format!("1450 bad {STALE}"));
    assert_eq!(life.pressure(), "4.6 good sparkplug:192");
    life.receive(Kind::Death, None, None, vec![birth_count(3)]);
    assert_eq!(life.pressure(), format!("4.6 bad {STALE}"));
}

#[test]
fn history_that_is_sent_late_is_not_the_present() {
    let mut life = Life::born();
    let late = Metric { is_historical: Some(true), ..by_alias(7, 1.0) };
    life.receive(Kind::Data, None, Some(2), vec![late]);
    assert_eq!(life.pressure(), "4.6 good sparkplug:192");
}

#[test]
fn a_lost_connection_makes_stale() {
    let mut life = Life::born();
    life.0.lost();
    life.receive(Kind::Data, None, Some(2), vec![by_alias(7, 9.9)]);
    assert_eq!(life.pressure(), format!("4.6 bad {STALE}"));
}

#[test]
fn times_are_the_metrics_own_or_the_messages() {
    let life = Life::born();
    let key = MetricKey { device: None, name: "Pressure".into() };
    assert_eq!(life.0.sample(&key).unwrap().source_timestamp, DateTime::from_timestamp_millis(1_000));
}

#[test]
fn only_births_data_and_deaths_are_subscribed_to() {
    let node = Address::parse("plant/edge1/Pressure").unwrap().node;
    let all = filters(&BTreeSet::from([node]), &["other".to_owned()]);
    assert_eq!(all.len(), 12);
    assert!(all.contains(&"spBv1.0/plant/NDATA/edge1".to_owned()));
    assert!(all.contains(&"spBv1.0/other/DBIRTH/+/+".to_owned()));
    assert!(!all.iter().any(|filter| filter.contains("CMD") || filter.contains("STATE")));
}

#[test]
fn topics_of_other_kinds_are_ignored() {
    for topic in ["spBv1.0/STATE/host", "spBv1.0/g/NCMD/e", "spBv1.0/g/NDATA/e/d", "spAv1.0/g/NDATA/e", "x"] {
        assert!(Topic::parse(topic).is_none(), "{topic}");
    }
    assert_eq!(Topic::parse("spBv1.0/g/DDATA/e/d").unwrap().device, Some("d"));
}

#[test]
fn a_refused_subscription_of_the_group_is_told_apart_from_a_birth_that_has_not_come() {
    let address = Address::parse("plant/edge1/pump/Speed").expect("an address");
    let code = |refused: &[&str]| {
        let nodes = Nodes {
            filters: Vec::new(),
            codes: QualityCodes::default(),
            clock: Arc::new(fakes::ManualClock::default()),
            known: Mutex::default(),
            refused: Mutex::new(refused.iter().map(|filter| (*filter).to_owned()).collect()),
        };
        nodes.is_refused(&address)
    };
    for filter in ["NBIRTH/edge1", "NBIRTH/+", "DBIRTH/edge1/+", "DBIRTH/+/+"] {
        assert!(code(&[&format!("spBv1.0/plant/{filter}")]), "{filter}");
    }
    assert!(!code(&["spBv1.0/other/NBIRTH/+", "spBv1.0/plant/NDATA/+"]));
}
