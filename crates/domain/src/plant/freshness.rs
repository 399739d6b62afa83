//! How old a sample is, and when it is stale.

use super::{Quality, Sample};
use crate::time::Timestamp;
use chrono::TimeDelta;

impl Sample {
    /// Codes by which sources say that they are out of touch with the device, and hold its last value.
    const OUT_OF_TOUCH: [&'static str; 3] = ["sparkplug:500", "OPCUA:0x408F", "OPCUA:0x4090"];
    /// Length of a status code of OPC UA without its low 16 bits, which hold details such as limits.
    const OPC_UA_STATUS_LEN: usize = "OPCUA:0x0000".len();

    /// A bad sample without a value, whose code says why.
    #[must_use]
    pub fn without_value(quality_code: &str, received_at: Timestamp) -> Self {
        Self {
            value: None,
            unit: None,
            quality: Quality::Bad,
            quality_code: Some(quality_code.to_owned()),
            source_timestamp: None,
            received_at,
        }
    }

    /// Seconds from when the source took the value (or, if unknown, from its receipt) to `now`; never negative.
    #[must_use]
    pub fn age_s(&self, now: Timestamp) -> f64 {
        let taken_at = self.source_timestamp.unwrap_or(self.received_at);
        let age = now.signed_duration_since(taken_at);
        age.to_std().map_or(0.0, |age| age.as_secs_f64())
    }

    /// Whether the sample is older than `stale_after_s` at `now`, its source's clock is ahead by more than that, so
    /// that its age is unknown, or its source says that it is out of touch with the device.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp, stale_after_s: u32) -> bool {
        let is_ahead = self
            .source_timestamp
            .is_some_and(|taken_at| taken_at.signed_duration_since(now) > TimeDelta::seconds(i64::from(stale_after_s)));
        is_ahead || self.says_out_of_touch() || self.age_s(now) > f64::from(stale_after_s)
    }

    fn says_out_of_touch(&self) -> bool {
        let code = self.quality_code.as_deref().unwrap_or_default();
        let code = if code.starts_with("OPCUA:") { code.get(..Self::OPC_UA_STATUS_LEN).unwrap_or(code) } else { code };
        Self::OUT_OF_TOUCH.contains(&code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::TagValue;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("a time")
    }

    fn sample(taken_at: Option<Timestamp>) -> Sample {
        Sample {
            value: Some(TagValue::Number(1.0)),
            unit: None,
            quality: Quality::Good,
            quality_code: None,
            source_timestamp: taken_at,
            received_at: at(100),
        }
    }

    #[test]
    fn the_age_counts_from_the_sources_time_and_is_never_negative() {
        assert!((sample(Some(at(90))).age_s(at(110)) - 20.0).abs() < f64::EPSILON);
        assert!((sample(None).age_s(at(110)) - 10.0).abs() < f64::EPSILON);
        assert!(sample(Some(at(500))).age_s(at(110)).abs() < f64::EPSILON, "a clock that is ahead");
    }

    #[test]
    fn a_sample_is_stale_by_its_age_or_by_its_sources_word() {
        assert!(!sample(Some(at(90))).is_stale(at(110), 20));
        assert!(sample(Some(at(90))).is_stale(at(111), 20));
        let lost = Sample { quality_code: Some("sparkplug:500".to_owned()), ..sample(Some(at(110))) };
        assert!(lost.is_stale(at(110), 20));
    }

    #[test]
    fn a_source_whose_clock_is_far_ahead_is_stale() {
        assert!(!sample(Some(at(130))).is_stale(at(110), 20));
        assert!(sample(Some(at(131))).is_stale(at(110), 20));
    }

    #[test]
    fn details_of_an_opc_ua_status_do_not_hide_that_the_source_is_out_of_touch() {
        let with_code = |code: &str| Sample { quality_code: Some(code.to_owned()), ..sample(Some(at(110))) };
        for code in ["OPCUA:0x408F0000", "OPCUA:0x408F0400", "OPCUA:0x40900000", "OPCUA:0x40900480:not_a_scalar"] {
            assert!(with_code(code).is_stale(at(110), 20), "{code}");
        }
        for code in ["OPCUA:0x00000000", "OPCUA:0x40910000", "sparkplug:5000", "OPCUA:0x"] {
            assert!(!with_code(code).is_stale(at(110), 20), "{code}");
        }
    }
}
