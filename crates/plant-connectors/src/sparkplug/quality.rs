//! Quality codes of Sparkplug B.

use domain::plant::Quality;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The specification's code of a good value, which is also that of a metric without a code: the property "is only
/// required if the quality of the metric is not GOOD" (Sparkplug 3.0, 6.4.9).
const GOOD: i64 = 192;
const BAD: i64 = 0;
const STALE: i64 = 500;

/// The meaning of codes: the specification's three, and those in the connector's `quality_codes`. Some hosts use
/// codes of their own.
#[derive(Clone, Default, Debug, Deserialize)]
#[serde(transparent)]
pub struct QualityCodes(BTreeMap<i64, Quality>);

impl QualityCodes {
    pub fn quality(&self, code: Option<i64>) -> Quality {
        let code = code.unwrap_or(GOOD);
        self.0.get(&code).copied().unwrap_or(match code {
            GOOD => Quality::Good,
            BAD | STALE => Quality::Bad,
            _ => Quality::Uncertain,
        })
    }

    /// The quality code in the form that the platform shows.
    pub fn code(code: Option<i64>) -> String {
        format!("sparkplug:{}", code.unwrap_or(GOOD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_are_uncertain_unless_configured() {
        let codes: QualityCodes = serde_json::from_str(r#"{"600":"good"}"#).unwrap();
        let qualities = [None, Some(192), Some(0), Some(500), Some(65), Some(600)].map(|code| codes.quality(code));
        use Quality::{Bad, Good, Uncertain};
        assert_eq!(qualities, [Good, Good, Bad, Bad, Uncertain, Good]);
    }
}
