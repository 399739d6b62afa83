//! The axes of a chart: positions and round ticks.

use chrono::DateTime;

/// Target number of intervals on the value axis.
const VALUE_INTERVALS: f64 = 5.0;
/// Maximum number of ticks on any axis.
const MAX_TICKS: usize = 20;
/// Maximum number of ticks on the time axis.
const MAX_TIME_INTERVALS: f64 = 7.0;
/// Possible intervals between ticks on the time axis, in seconds.
const TIME_STEPS: [i64; 21] = [
    1, 5, 10, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000, 5_184_000,
];

/// Maps values to positions in the image.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Axis {
    /// Value at `start`.
    pub low: f64,
    /// Value at `end`.
    pub high: f64,
    pub start: f64,
    pub end: f64,
}

impl Axis {
    /// The position of a value; that of the nearest end for a value outside of the axis.
    pub(super) fn position(&self, value: f64) -> f64 {
        // Halves, since the difference of two large numbers may be infinite.
        let span = self.high / 2.0 - self.low / 2.0;
        let share = if span > 0.0 { (value / 2.0 - self.low / 2.0) / span } else { 0.5 };
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.5 };
        self.start + share * (self.end - self.start)
    }
}

/// The value axis with its ticks.
pub(super) struct ValueAxis {
    pub axis: Axis,
    pub ticks: Vec<f64>,
}

/// An axis from `bottom` to `top` that includes all values.
pub(super) fn value_axis(values: &[f64], bottom: f64, top: f64) -> ValueAxis {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (lowest, highest) = if lowest.is_finite() && highest.is_finite() { (lowest, highest) } else { (0.0, 1.0) };
    let step = round_step((highest / 2.0 - lowest / 2.0) * 2.0 / VALUE_INTERVALS);
    let (low, high) = match step {
        Some(step) => ((lowest / step).floor() * step, (highest / step).ceil() * step),
        None => (lowest, highest),
    };
    let (low, high) = if low < high { (low, high) } else { (low - 1.0, high + 1.0) };
    let axis = Axis { low, high, start: bottom, end: top };
    let ticks = match step {
        Some(step) => ticks(low, high, step),
        None => vec![low, high],
    };
    ValueAxis { axis, ticks }
}

fn ticks(low: f64, high: f64, step: f64) -> Vec<f64> {
    let mut found = Vec::new();
    for n in 0..MAX_TICKS {
        let tick = low + step * n as f64;
        if tick > high + step / 2.0 {
            break;
        }
        found.push(tick);
    }
    found
}

/// The next larger of 1, 2 and 5 times a power of ten; `None` if a number of this size has none.
fn round_step(step: f64) -> Option<f64> {
    let magnitude = 10_f64.powf(step.log10().floor());
    let rounded = match step / magnitude {
        share if share <= 1.0 => magnitude,
        share if share <= 2.0 => 2.0 * magnitude,
        share if share <= 5.0 => 5.0 * magnitude,
        _ => 10.0 * magnitude,
    };
    (step > 0.0 && rounded.is_normal()).then_some(rounded)
}

/// A tick of the time axis.
pub(super) struct TimeTick {
    /// Seconds since 1970.
    pub at: f64,
    pub label: String,
}

/// Ticks at round times between two points in time, in seconds since 1970.
pub(super) fn time_ticks(low: f64, high: f64) -> Vec<TimeTick> {
    let span = high - low;
    let is_wide_enough = |step: &i64| span / (*step as f64) <= MAX_TIME_INTERVALS;
    let step = TIME_STEPS.into_iter().find(is_wide_enough).unwrap_or(TIME_STEPS[TIME_STEPS.len() - 1]);
    let format = match step {
        86_400.. => "%m-%d",
        60.. => "%H:%M",
        _ => "%H:%M:%S",
    };
    let first = (low / step as f64).ceil() as i64 * step;
    let ticks = (0..MAX_TICKS as i64).map(|n| first + n * step).take_while(|tick| (*tick as f64) <= high);
    let to_tick = |tick: i64| {
        let label = DateTime::from_timestamp(tick, 0)?.format(format).to_string();
        Some(TimeTick { at: tick as f64, label })
    };
    ticks.filter_map(to_tick).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_ticks_are_round_and_include_all_values() {
        let ticks = |values: &[f64]| value_axis(values, 100.0, 0.0).ticks;
        assert_eq!(ticks(&[4.1, 7.4]), [4.0, 5.0, 6.0, 7.0, 8.0]);
        assert_eq!(ticks(&[0.0, 100.0]), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(&[3.0]), [2.0, 4.0]);
        assert!(ticks(&[1e300, -1e300]).len() <= MAX_TICKS);
    }

    #[test]
    fn a_position_is_within_the_axis() {
        let axis = Axis { low: 0.0, high: 10.0, start: 100.0, end: 0.0 };
        assert_eq!([0.0, 5.0, 10.0, 99.0, f64::NAN].map(|value| axis.position(value)), [100.0, 50.0, 0.0, 0.0, 50.0]);
    }

    #[test]
    fn time_ticks_are_round_and_few() {
        let labels = |low, high| time_ticks(low, high).into_iter().map(|tick| tick.label).collect::<Vec<_>>();
        assert_eq!(labels(30.0, 630.0), ["00:02", "00:04", "00:06", "00:08", "00:10"]);
        assert_eq!(labels(0.0, 5.0 * 86_400.0).first().map(String::as_str), Some("01-01"));
        assert!(labels(0.0, 366.0 * 86_400.0).len() <= MAX_TICKS);
    }
}
