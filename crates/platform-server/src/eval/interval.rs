//! Confidence intervals of means by the bootstrap: how much a mean over questions varies if other questions of the same
//! kind had been asked. No I/O.

use serde::Serialize;

/// Number of samples that are drawn with replacement.
const RESAMPLES: usize = 1_000;
/// The same values always give the same interval.
const SEED: u64 = 0x5EED_0097;
/// Share of the samples outside of the interval at each end.
const TAIL: f64 = 0.025;

/// A 95 % confidence interval: the percentiles 2.5 and 97.5 of the means of the samples. If all values are equal, both
/// ends are, too, however few values there are.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Interval {
    /// The percentile 2.5 of the means.
    pub low: f64,
    /// The percentile 97.5 of the means.
    pub high: f64,
}

impl Interval {
    /// The interval of the mean of these values; `None` without values.
    #[must_use]
    pub fn of_mean(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let mut random = SplitMix64(SEED);
        let mut means: Vec<f64> = (0..RESAMPLES).map(|_| random.sample_mean(values)).collect();
        means.sort_by(f64::total_cmp);
        let outside = (TAIL * RESAMPLES as f64) as usize;
        Some(Self { low: *means.get(outside)?, high: *means.get(RESAMPLES - 1 - outside)? })
    }
}

/// The generator of Steele, Lea and Flood (OOPSLA 2014). Good enough to draw samples, and only that.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `bound`.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// The mean of as many values as there are, drawn with replacement.
    fn sample_mean(&mut self, values: &[f64]) -> f64 {
        let sum: f64 = (0..values.len()).map(|_| values[self.below(values.len())]).sum();
        sum / values.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_as_wide_as_the_binomial_distribution_says() {
        let share = |ones: usize, total: usize| {
            let values: Vec<f64> = (0..total).map(|at| f64::from(u8::from(at < ones))).collect();
            Interval::of_mean(&values).expect("values")
        };
        // The standard error of a share of 0.8 is 0.04 with 100 values, and 0.02 with 400.
        for (ones, total, half_width) in [(80, 100, 0.0784), (320, 400, 0.0392)] {
            let Interval { low, high } = share(ones, total);
            assert!((0.8 - low - half_width).abs() < 0.015, "{total}: {low}");
            assert!((high - 0.8 - half_width).abs() < 0.015, "{total}: {high}");
        }
    }

    #[test]
    fn the_same_values_have_the_same_interval_and_equal_ones_have_no_width() {
        let values = [0.0, 0.25, 1.0, 0.5, 0.75];
        assert_eq!(Interval::of_mean(&values), Interval::of_mean(&values));
        assert_eq!(Interval::of_mean(&[1.0; 7]), Some(Interval { low: 1.0, high: 1.0 }));
        assert_eq!(Interval::of_mean(&[]), None);
    }
}
