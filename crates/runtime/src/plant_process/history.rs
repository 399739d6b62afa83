//! Aggregates samples into the points of a history. Uncertain samples are included; bad and stale ones never are. All
//! samples that are not good lower the share of good samples.

use chrono::TimeDelta;
use domain::plant::{Aggregate, AggregatedHistory, HistoryOrigin, HistoryPoint, Quality, Sample, TagValue};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::ops::Range;

/// Target number of points if the caller specifies no interval.
const DEFAULT_POINTS: u64 = 200;
/// Round intervals, in seconds.
const EVEN_INTERVALS_S: [u64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/// The length of the intervals of a history, in seconds: as specified if that gives at most `max_points` points,
/// otherwise the shortest multiple that does. If none is specified, a round one that gives at most 200.
#[must_use]
pub(crate) fn choose_interval(period: &Range<Timestamp>, wanted_s: Option<u64>, max_points: usize) -> u64 {
    let length_ms = period.end.signed_duration_since(period.start).num_milliseconds();
    let length_s = u64::try_from(length_ms).unwrap_or_default().div_ceil(1_000).max(1);
    match wanted_s {
        Some(wanted_s) => {
            let wanted_s = wanted_s.max(1);
            let points = length_s.div_ceil(wanted_s);
            wanted_s * points.div_ceil(u64::try_from(max_points).unwrap_or(u64::MAX).max(1)).max(1)
        }
        None => {
            let even = EVEN_INTERVALS_S.into_iter().find(|interval| length_s.div_ceil(*interval) <= DEFAULT_POINTS);
            even.unwrap_or_else(|| length_s.div_ceil(DEFAULT_POINTS))
        }
    }
}

/// The points to compute.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct HistoryPlan {
    /// From (inclusive) to (exclusive).
    pub(super) period: Range<Timestamp>,
    /// How samples become points.
    pub(super) aggregate: Aggregate,
    /// Length of an interval in seconds; unused for samples.
    pub(super) interval_s: u64,
    /// Maximum number of points.
    pub(super) max_points: usize,
}

/// Collects samples, oldest first, into points.
pub(super) struct HistoryBuilder {
    plan: HistoryPlan,
    samples: usize,
    good: usize,
    /// Samples of [`Aggregate::Raw`].
    points: Vec<HistoryPoint>,
    intervals: BTreeMap<i64, Interval>,
    truncated: bool,
}

/// Aggregates of the usable samples of an interval.
struct Interval {
    min: f64,
    max: f64,
    sum: f64,
    count: f64,
    quality: Quality,
}

impl HistoryBuilder {
    pub(super) fn new(plan: HistoryPlan) -> Self {
        Self { plan, samples: 0, good: 0, points: Vec::new(), intervals: BTreeMap::new(), truncated: false }
    }

    /// Adds a sample that was taken at `at`. Samples outside the period are ignored.
    pub(super) fn push(&mut self, at: Timestamp, sample: &Sample, is_stale: bool) {
        if !self.plan.period.contains(&at) {
            return;
        }
        self.samples += 1;
        self.good += usize::from(sample.quality == Quality::Good && !is_stale);
        let usable_value = sample.value.as_ref().filter(|_| sample.quality != Quality::Bad && !is_stale);
        if self.plan.aggregate == Aggregate::Raw {
            self.push_raw(at, usable_value, sample.quality);
        } else if let Some(number) = usable_value.and_then(TagValue::as_number) {
            self.push_number(at, number, sample.quality);
        }
    }

    /// Marks the history as truncated: the source had more samples than were read.
    pub(super) fn set_truncated(&mut self) {
        self.truncated = true;
    }

    fn push_raw(&mut self, at: Timestamp, value: Option<&TagValue>, quality: Quality) {
        if self.points.len() < self.plan.max_points {
            self.points.push(HistoryPoint { at, value: value.cloned(), quality });
        } else {
            self.truncated = true;
        }
    }

    fn push_number(&mut self, at: Timestamp, number: f64, quality: Quality) {
        let interval_ms = i64::try_from(self.plan.interval_s.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000);
        let offset_ms = at.signed_duration_since(self.plan.period.start).num_milliseconds();
        let empty = Interval { min: number, max: number, sum: 0.0, count: 0.0, quality };
        let interval = self.intervals.entry(offset_ms / interval_ms).or_insert(empty);
        interval.min = interval.min.min(number);
        interval.max = interval.max.max(number);
        interval.sum += number;
        interval.count += 1.0;
        interval.quality = interval.quality.max(quality);
    }

    pub(super) fn finish(self, origin: HistoryOrigin) -> AggregatedHistory {
        let Self { plan, samples, good, mut points, intervals, mut truncated } = self;
        let is_raw = plan.aggregate == Aggregate::Raw;
        let interval_s = i64::try_from(plan.interval_s.max(1)).unwrap_or(i64::MAX);
        for (index, interval) in intervals {
            if points.len() >= plan.max_points {
                truncated = true;
                break;
            }
            let at = plan.period.start + TimeDelta::seconds(interval_s.saturating_mul(index));
            let value = match plan.aggregate {
                Aggregate::Min => interval.min,
                Aggregate::Max => interval.max,
                Aggregate::Avg | Aggregate::Raw => interval.sum / interval.count,
            };
            points.push(HistoryPoint { at, value: TagValue::number(value), quality: interval.quality });
        }
        #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^52")]
        let good_share = if samples == 0 { 0.0 } else { good as f64 / samples as f64 };
        let interval_s = (!is_raw).then_some(plan.interval_s.max(1));
        AggregatedHistory { points, interval_s, good_share, samples, truncated, origin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("a time")
    }

    fn plan(aggregate: Aggregate, interval_s: u64) -> HistoryPlan {
        HistoryPlan { period: at(0)..at(100), aggregate, interval_s, max_points: 500 }
    }

    fn sample(value: f64, quality: Quality) -> Sample {
        Sample { value: TagValue::number(value), quality, ..Sample::without_value("", at(0)) }
    }

    /// Ten seconds apart: good, uncertain, bad, stale.
    fn build(aggregate: Aggregate) -> AggregatedHistory {
        let mut builder = HistoryBuilder::new(plan(aggregate, 50));
        builder.push(at(0), &sample(1.0, Quality::Good), false);
        builder.push(at(10), &sample(3.0, Quality::Uncertain), false);
        builder.push(at(20), &sample(1_000.0, Quality::Bad), false);
        builder.push(at(30), &sample(-1_000.0, Quality::Good), true);
        builder.push(at(50), &sample(7.0, Quality::Good), false);
        builder.push(at(100), &sample(9.0, Quality::Good), false);
        builder.finish(HistoryOrigin::Source)
    }

    #[test]
    fn bad_and_stale_samples_never_count_and_uncertain_ones_lower_the_share() {
        let averages = build(Aggregate::Avg);
        let points: Vec<_> = averages.points.iter().map(|p| (p.at, p.value.clone(), p.quality)).collect();
        assert_eq!(
            points,
            [(at(0), TagValue::number(2.0), Quality::Uncertain), (at(50), TagValue::number(7.0), Quality::Good),]
        );
        assert_eq!((averages.samples, averages.interval_s), (5, Some(50)));
        assert!((averages.good_share - 0.4).abs() < 1e-9, "{}", averages.good_share);
        assert_eq!(build(Aggregate::Min).points[0].value, TagValue::number(1.0));
        assert_eq!(build(Aggregate::Max).points[0].value, TagValue::number(3.0));
    }

    #[test]
    fn raw_points_are_the_samples_without_unusable_values() {
        let raw = build(Aggregate::Raw);
        let values: Vec<_> = raw.points.iter().map(|point| point.value.clone()).collect();
        assert_eq!(values, [TagValue::number(1.0), TagValue::number(3.0), None, None, TagValue::number(7.0)]);
        assert_eq!((raw.interval_s, raw.truncated), (None, false));
        let mut builder = HistoryBuilder::new(HistoryPlan { max_points: 1, ..plan(Aggregate::Raw, 0) });
        builder.push(at(0), &sample(1.0, Quality::Good), false);
        builder.push(at(1), &sample(2.0, Quality::Good), false);
        let raw = builder.finish(HistoryOrigin::Recorded);
        assert_eq!((raw.points.len(), raw.samples, raw.truncated), (1, 2, true));
    }

    #[test]
    fn a_history_without_samples_has_no_points_and_a_share_of_zero() {
        let empty = HistoryBuilder::new(plan(Aggregate::Avg, 10)).finish(HistoryOrigin::Source);
        assert_eq!((empty.points.len(), empty.samples), (0, 0));
        assert!(empty.good_share.abs() < f64::EPSILON);
    }

    #[test]
    fn the_interval_is_as_wanted_unless_that_gives_too_many_points() {
        let hour = at(0)..at(3_600);
        assert_eq!(choose_interval(&hour, Some(60), 500), 60);
        assert_eq!(choose_interval(&hour, Some(1), 500), 8);
        assert_eq!(choose_interval(&hour, None, 500), 30);
        assert_eq!(choose_interval(&(at(0)..at(86_400 * 366)), None, 500), 172_800);
        assert_eq!(choose_interval(&(at(5)..at(5)), None, 500), 1);
    }
}
