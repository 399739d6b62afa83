//! A simulated plant, for demonstrations and tests. Each value is a function of only tag and time, so that a reading, a
//! history and a test that computes both agree.

mod plant;

pub use plant::simulated_tags;

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::plant::{
    ConnectorCheck, ConnectorError, ConnectorKind, ConnectorSettings, Quality, Sample, TagAddress, TagMapping, TagValue,
};
use domain::ports::{BrowsedTag, Clock, PlantConnector, PlantConnectors};
use domain::time::Timestamp;
use plant::Behaviour;
use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::Arc;

/// Age of the last value of a stuck tag, in seconds.
const STUCK_FOR_S: i64 = 7_200;
/// Interval between two samples of a history, in seconds; a longer one is used where there would be too many samples.
const HISTORY_STEPS_S: [i64; 6] = [10, 60, 300, 900, 3_600, 21_600];
/// Period of a tag's slow swing, in seconds, and of its ripple.
const SWING_S: f64 = 5_400.0;
const RIPPLE_S: f64 = 140.0;
/// One in so many samples of a history is uncertain, and one is bad.
const UNCERTAIN_EVERY: i64 = 60;
const BAD_EVERY: i64 = 97;

/// The simulated plant.
pub struct Simulator {
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// Creates the plant; `clock` is its source of the current time.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}

/// Opens simulated plants, and leaves all other kinds to `others`.
pub struct WithSimulator<C> {
    others: C,
    clock: Arc<dyn Clock>,
}

impl<C: PlantConnectors> WithSimulator<C> {
    /// Adds simulated plants to the kinds that `others` opens.
    #[must_use]
    pub fn new(others: C, clock: Arc<dyn Clock>) -> Self {
        Self { others, clock }
    }
}

#[async_trait]
impl<C: PlantConnectors> PlantConnectors for WithSimulator<C> {
    async fn open(&self, settings: &ConnectorSettings) -> Result<Arc<dyn PlantConnector>, ConnectorError> {
        match settings.kind {
            ConnectorKind::Simulator => Ok(Arc::new(Simulator::new(Arc::clone(&self.clock)))),
            _ => self.others.open(settings).await,
        }
    }
}

#[async_trait]
impl PlantConnector for Simulator {
    async fn check(&self, sample_tag: Option<&TagMapping>) -> ConnectorCheck {
        let detail = match sample_tag {
            Some(tag) => {
                let value = scaled(present_sample(&tag.address, self.clock.now()), tag).value;
                let value = value.map_or_else(|| "no value".to_owned(), |value| value.to_string());
                format!("The simulated plant answers: {} is {value}.", tag.address.0)
            }
            None => "The simulated plant answers; the connector has no tags.".to_owned(),
        };
        ConnectorCheck { ok: true, detail, untrusted_certificate: None }
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        let now = self.clock.now();
        Ok(tags.iter().map(|tag| scaled(present_sample(&tag.address, now), tag)).collect())
    }

    async fn history(
        &self,
        tag: &TagMapping,
        period: Range<Timestamp>,
        limit: usize,
    ) -> Result<Option<Vec<Sample>>, ConnectorError> {
        let samples = history_times(&period, self.clock.now(), limit)
            .filter_map(|at| historical_sample(&tag.address, at, self.clock.now()))
            .map(|sample| scaled(sample, tag));
        Ok(Some(samples.collect()))
    }

    async fn browse(&self, limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        let browsed = simulated_tags().into_iter().take(limit).map(|tag| BrowsedTag {
            name: tag.name.into_string(),
            mapping: tag.mapping,
            unit: tag.unit,
            description: tag.description,
        });
        Ok(Some(browsed.collect()))
    }
}

/// The plant's sample of a tag at `now`.
#[must_use]
pub fn present_sample(address: &TagAddress, now: Timestamp) -> Sample {
    let second = Timestamp::from_timestamp(now.timestamp(), 0).unwrap_or(now);
    match plant::find(address).map(|tag| tag.behaviour) {
        Some(Behaviour::Broken) => {
            Sample { source_timestamp: Some(second), ..Sample::without_value("simulator:sensor_failure", now) }
        }
        Some(Behaviour::Stuck) => good(address, second - TimeDelta::seconds(STUCK_FOR_S), now),
        Some(Behaviour::InCalibration) => uncertain(good(address, second, now)),
        Some(Behaviour::Sound) | None => good(address, second, now),
    }
}

/// The sample in the plant's history of a tag at a point of the time grid; `None` if the tag is stuck by then.
#[must_use]
pub fn historical_sample(address: &TagAddress, at: Timestamp, now: Timestamp) -> Option<Sample> {
    let index = at.timestamp().div_euclid(HISTORY_STEPS_S[0]);
    let sample = match plant::find(address).map(|tag| tag.behaviour) {
        Some(Behaviour::Stuck) if at > now - TimeDelta::seconds(STUCK_FOR_S) => return None,
        Some(Behaviour::Broken) => {
            Sample { source_timestamp: Some(at), ..Sample::without_value("simulator:sensor_failure", at) }
        }
        // A spike that no aggregate may show.
        _ if index.rem_euclid(BAD_EVERY) == 5 => Sample {
            value: Some(TagValue::Number(-9_999.0)),
            quality: Quality::Bad,
            quality_code: Some("simulator:spike".to_owned()),
            ..good(address, at, at)
        },
        Some(Behaviour::InCalibration) => uncertain(good(address, at, at)),
        _ if index.rem_euclid(UNCERTAIN_EVERY) == 17 => uncertain(good(address, at, at)),
        _ => good(address, at, at),
    };
    Some(sample)
}

/// The times at which the plant's history has samples, oldest first: at most `limit`, and none after `now`.
pub fn history_times(
    period: &Range<Timestamp>,
    now: Timestamp,
    limit: usize,
) -> impl Iterator<Item = Timestamp> + use<> {
    let (start, end) = (period.start, period.end.min(now + TimeDelta::microseconds(1)));
    let seconds = end.signed_duration_since(start).num_seconds().max(0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX).max(1);
    let step = HISTORY_STEPS_S.into_iter().find(|step| seconds / step < limit);
    let step = step.unwrap_or(HISTORY_STEPS_S[HISTORY_STEPS_S.len() - 1]);
    let first = start.timestamp().div_euclid(step) * step;
    let last = end.timestamp();
    let times = (0..).map(move |index: i64| first + index * step).take_while(move |second| *second <= last);
    let times = times.filter_map(|second| Timestamp::from_timestamp(second, 0));
    times.filter(move |at| *at >= start && *at < end).take(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A good sample that the source took at `at`.
fn good(address: &TagAddress, at: Timestamp, received_at: Timestamp) -> Sample {
    Sample {
        value: TagValue::number(value(address, at)),
        unit: None,
        quality: Quality::Good,
        quality_code: Some("simulator:good".to_owned()),
        source_timestamp: Some(at),
        received_at,
    }
}

fn uncertain(sample: Sample) -> Sample {
    Sample { quality: Quality::Uncertain, quality_code: Some("simulator:calibration".to_owned()), ..sample }
}

/// Multiplies a number by the factor of its tag.
fn scaled(sample: Sample, tag: &TagMapping) -> Sample {
    let Some(scale) = tag.scale else { return sample };
    let value = match sample.value {
        Some(TagValue::Number(number)) => TagValue::number(number * scale),
        other => other,
    };
    Sample { value, ..sample }
}

/// The value of a tag at a time, with three decimals: a slow swing and a ripple, shifted by the tag's name.
#[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit exactly")]
fn value(address: &TagAddress, at: Timestamp) -> f64 {
    let (mean, amplitude) = plant::find(address).map_or((50.0, 10.0), |tag| (tag.mean, tag.amplitude));
    let shift = address.0.bytes().fold(0.0, |sum, byte| sum + f64::from(byte.to_ascii_lowercase()));
    let seconds = at.timestamp() as f64 + shift;
    let swing = (TAU * seconds / SWING_S).sin() * 0.8;
    let ripple = (TAU * seconds / RIPPLE_S).sin() * 0.2;
    ((mean + amplitude * (swing + ripple)) * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("a time")
    }

    fn address(name: &str) -> TagAddress {
        TagAddress(name.to_owned())
    }

    #[test]
    fn the_same_moment_has_the_same_value_in_a_reading_and_in_the_history() {
        let now = at(1_900_000_000);
        let times: Vec<_> = history_times(&(at(1_899_996_400)..at(1_900_000_000)), now, 1_000).collect();
        assert_eq!(times.len(), 360);
        for time in times {
            let historical = historical_sample(&address("PIT-1001"), time, now).expect("a sample");
            if historical.quality != Quality::Bad {
                assert_eq!(historical.value, present_sample(&address("pit-1001"), time).value);
            }
        }
    }

    #[test]
    fn a_history_has_no_more_samples_than_asked_for_and_none_of_the_future() {
        let now = at(1_900_000_000);
        let year = at(1_900_000_000 - 366 * 86_400)..at(1_900_000_000 + 86_400);
        let times: Vec<_> = history_times(&year, now, 50_000).collect();
        assert!(times.len() > 10_000 && times.len() <= 50_000, "{}", times.len());
        assert!(times.iter().all(|time| *time <= now));
        assert_eq!(history_times(&(now..now), now, 10).count(), 0);
    }

    #[test]
    fn one_tag_is_stale_one_is_bad_and_one_is_uncertain() {
        let now = at(1_900_000_000);
        assert!(present_sample(&address("LIT-3002"), now).is_stale(now, 3_600));
        assert!(historical_sample(&address("LIT-3002"), at(1_900_000_000 - 3_600), now).is_none());
        let bad = present_sample(&address("TT-3015B"), now);
        assert_eq!((bad.value, bad.quality), (None, Quality::Bad));
        assert_eq!(present_sample(&address("AT-2071"), now).quality, Quality::Uncertain);
        assert!(!present_sample(&address("PIT-1001"), now).is_stale(now, 10));
    }
}
