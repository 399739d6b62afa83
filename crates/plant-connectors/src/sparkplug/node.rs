//! The state of an edge node: a state machine over its births, data and deaths.
//!
//! A host that misses a message requests a rebirth, which is a command; this host sends none. It reports the values as
//! stale until the node sends a new birth on its own.

use super::address::MetricKey;
use super::payload::{Metric, Payload, PropertyData};
use super::quality::QualityCodes;
use crate::sample;
use domain::plant::{Quality, Sample};
use domain::time::Timestamp;
use std::collections::HashMap;

/// Maximum metrics stored per edge node.
const MAX_METRICS: usize = 20_000;
/// Quality code of a value that was received before the birth that defines it.
pub const NO_BIRTH: &str = "sparkplug:no_birth";
/// Quality code of a value whose source is offline.
pub const STALE: &str = "sparkplug:500";
/// Name of the metric that counts the births of a node.
const BIRTH_SEQUENCE: &str = "bdSeq";
/// Names of the property that holds the unit: Ignition's, and those of other software.
const UNIT_PROPERTIES: [&str; 5] = ["engUnit", "unit", "units", "engineering unit", "engineering units"];

/// Kind of a message, from its topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// NBIRTH or DBIRTH.
    Birth,
    /// NDATA or DDATA.
    Data,
    /// NDEATH or DDEATH.
    Death,
}

/// A metric, with its definition from the birth and its newest sample.
#[derive(Clone, Debug)]
pub struct KnownMetric {
    /// The newest sample; its number is not scaled.
    pub sample: Sample,
    /// Description from the metric's definition.
    pub description: Option<String>,
    datatype: Option<u32>,
    stale: bool,
}

/// An edge node with its devices.
#[derive(Default, Debug)]
pub struct Node {
    /// The sequence number that must come next; `None` from a gap, a death or a lost connection to the next birth.
    next_sequence: Option<u8>,
    birth_sequence: Option<u64>,
    aliases: HashMap<u64, MetricKey>,
    metrics: HashMap<MetricKey, KnownMetric>,
}

/// The content of a received message.
pub struct Received<'a> {
    /// The device that sent it; `None` for the node itself.
    pub device: Option<&'a str>,
    /// The decoded message.
    pub payload: &'a Payload,
    /// Time of receipt by the platform's clock.
    pub at: Timestamp,
}

impl Node {
    /// Applies a message to the state.
    pub fn receive(&mut self, kind: Kind, message: &Received<'_>, codes: &QualityCodes) {
        match (kind, message.device) {
            (Kind::Birth, None) => self.node_born(message, codes),
            (Kind::Birth, Some(device)) => {
                self.follow(message.payload);
                self.forget(|key| key.device.as_deref() == Some(device));
                self.born(message, codes);
            }
            (Kind::Data, _) => {
                self.follow(message.payload);
                self.data(message, codes);
            }
            (Kind::Death, None) => self.node_died(message.payload),
            (Kind::Death, Some(device)) => {
                self.follow(message.payload);
                self.mark_stale(|key| key.device.as_deref() == Some(device));
                self.aliases.retain(|_, key| key.device.as_deref() != Some(device));
            }
        }
    }

    /// Marks all values as stale: messages may have been missed, including a birth that redefines aliases.
    pub fn lost(&mut self) {
        self.next_sequence = None;
        self.aliases.clear();
        self.mark_stale(|_| true);
    }

    /// The newest sample of a metric; `None` if there is none.
    pub fn sample(&self, key: &MetricKey) -> Option<Sample> {
        let known = self.metrics.get(key)?;
        let mut sample = known.sample.clone();
        if known.stale {
            sample.quality = Quality::Bad;
            sample.quality_code = Some(STALE.to_owned());
        }
        Some(sample)
    }

    /// All metrics of the node and its devices.
    pub fn metrics(&self) -> impl Iterator<Item = (&MetricKey, &KnownMetric)> {
        self.metrics.iter()
    }

    fn node_born(&mut self, message: &Received<'_>, codes: &QualityCodes) {
        // Births of its devices follow; until then, their values are stale and their aliases are void.
        self.lost();
        self.forget(|key| key.device.is_none());
        self.birth_sequence = birth_sequence(message.payload);
        self.next_sequence = message.payload.seq.and_then(|seq| u8::try_from(seq).ok()).map(|seq| seq.wrapping_add(1));
        self.born(message, codes);
    }

    /// Ignores a late will of an earlier connection, which has another birth sequence number.
    fn node_died(&mut self, payload: &Payload) {
        let dead = birth_sequence(payload);
        if dead.is_some() && self.birth_sequence.is_some() && dead != self.birth_sequence {
            return;
        }
        self.lost();
    }

    /// Checks the sequence number of a message; after a gap everything is stale.
    fn follow(&mut self, payload: &Payload) {
        let Some(expected) = self.next_sequence else { return };
        if payload.seq == Some(u64::from(expected)) {
            self.next_sequence = Some(expected.wrapping_add(1));
        } else {
            self.next_sequence = None;
            self.mark_stale(|_| true);
        }
    }

    fn born(&mut self, message: &Received<'_>, codes: &QualityCodes) {
        for metric in &message.payload.metrics {
            let Some(name) = metric.name.as_deref().filter(|name| *name != BIRTH_SEQUENCE) else { continue };
            if self.metrics.len() >= MAX_METRICS {
                break;
            }
            let key = MetricKey { device: message.device.map(str::to_owned), name: name.to_owned() };
            if let Some(alias) = metric.alias {
                self.aliases.insert(alias, key.clone());
            }
            let unit = match metric.property(&UNIT_PROPERTIES) {
                Some(PropertyData::String(unit)) => sample::unit(unit),
                _ => None,
            };
            let known = KnownMetric {
                sample: to_sample(metric, metric.datatype, unit, message, codes),
                description: metric.metadata.as_ref().and_then(|data| data.description.clone()),
                datatype: metric.datatype,
                // A device birth without a birth of its node, or after a gap.
                stale: self.next_sequence.is_none(),
            };
            self.metrics.insert(key, known);
        }
    }

    fn data(&mut self, message: &Received<'_>, codes: &QualityCodes) {
        for metric in message.payload.metrics.iter().filter(|metric| metric.is_historical != Some(true)) {
            let named = metric.name.as_ref().filter(|name| !name.is_empty());
            let key = match (named, metric.alias) {
                (Some(name), _) => MetricKey { device: message.device.map(str::to_owned), name: name.clone() },
                (None, Some(alias)) => match self.aliases.get(&alias) {
                    Some(key) => key.clone(),
                    // An alias means nothing before the birth that defines it.
                    None => continue,
                },
                (None, None) => continue,
            };
            if let Some(known) = self.metrics.get_mut(&key) {
                let unit = known.sample.unit.take();
                known.sample = to_sample(metric, metric.datatype.or(known.datatype), unit, message, codes);
            } else if self.metrics.len() < MAX_METRICS {
                let mut sample = to_sample(metric, metric.datatype, None, message, codes);
                sample.quality = sample.quality.max(Quality::Uncertain);
                sample.quality_code = Some(NO_BIRTH.to_owned());
                let known = KnownMetric { sample, description: None, datatype: metric.datatype, stale: false };
                self.metrics.insert(key, known);
            }
        }
    }

    fn forget(&mut self, which: impl Fn(&MetricKey) -> bool) {
        self.metrics.retain(|key, _| !which(key));
        self.aliases.retain(|_, key| !which(key));
    }

    fn mark_stale(&mut self, which: impl Fn(&MetricKey) -> bool) {
        self.metrics.iter_mut().filter(|(key, _)| which(key)).for_each(|(_, known)| known.stale = true);
    }
}

fn birth_sequence(payload: &Payload) -> Option<u64> {
    let metric = payload.metrics.iter().find(|metric| metric.name.as_deref() == Some(BIRTH_SEQUENCE))?;
    match metric.value.as_ref()? {
        super::payload::MetricValue::Long(number) => Some(*number),
        super::payload::MetricValue::Int(number) => Some(u64::from(*number)),
        _ => None,
    }
}

fn to_sample(
    metric: &Metric,
    datatype: Option<u32>,
    unit: Option<String>,
    message: &Received<'_>,
    codes: &QualityCodes,
) -> Sample {
    let value = metric.tag_value(datatype);
    let stated = match metric.property(&["Quality"]) {
        Some(PropertyData::Int(code)) => Some(i64::from(code.cast_signed())),
        Some(PropertyData::Long(code)) => Some(code.cast_signed()),
        _ => None,
    };
    let quality = codes.quality(stated);
    let millis = metric.timestamp.or(message.payload.timestamp).and_then(|millis| i64::try_from(millis).ok());
    Sample {
        quality: if value.is_some() { quality } else { Quality::Bad },
        quality_code: Some(QualityCodes::code(stated)),
        value,
        unit,
        source_timestamp: millis.and_then(sample::from_millis),
        received_at: message.at,
    }
}
