//! Readings and histories that an answer rests on.

use super::{Aggregate, TagHistory, TagReading};
use crate::classified::HasClassification;
use crate::role::Classification;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The period that a history was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SeriesPeriod {
    /// Start of the period, which belongs to it.
    pub from: Timestamp,
    /// End of the period, which does not belong to it.
    pub to: Timestamp,
}

/// A reading or a history in a prompt, with the number by which the answer cites it. Passages and readings share one
/// numbering.
#[derive(Clone, PartialEq, Debug)]
pub struct NumberedReading {
    /// Number that the answer cites, from 1.
    pub n: u32,
    /// What was read.
    pub content: ReadingContent,
    /// Path of the tag's equipment, if the catalogue was searched for it.
    pub equipment: Option<String>,
    /// When it was read, by the platform's clock.
    pub read_at: Timestamp,
}

/// What was read of a tag.
#[derive(Clone, PartialEq, Debug)]
pub enum ReadingContent {
    /// Its present value.
    Present(TagReading),
    /// Its history in a period.
    History {
        /// The points of the period, oldest first.
        history: TagHistory,
        /// The period that was asked for.
        period: SeriesPeriod,
    },
}

impl NumberedReading {
    /// Name of the tag.
    #[must_use]
    pub fn tag(&self) -> &str {
        match &self.content {
            ReadingContent::Present(reading) => &reading.tag,
            ReadingContent::History { history, .. } => &history.tag,
        }
    }

    /// Unit of the values.
    #[must_use]
    pub fn unit(&self) -> Option<&str> {
        match &self.content {
            ReadingContent::Present(reading) => reading.unit.as_deref(),
            ReadingContent::History { history, .. } => history.unit.as_deref(),
        }
    }

    /// Kind and name of the connector.
    #[must_use]
    pub fn source(&self) -> &str {
        match &self.content {
            ReadingContent::Present(reading) => &reading.source,
            ReadingContent::History { history, .. } => &history.source,
        }
    }

    /// What is measured, if known.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        match &self.content {
            ReadingContent::Present(reading) => reading.description.as_deref(),
            ReadingContent::History { .. } => None,
        }
    }
}

impl HasClassification for ReadingContent {
    fn classification(&self) -> Classification {
        match self {
            Self::Present(reading) => reading.classification,
            Self::History { history, .. } => history.classification,
        }
    }
}

impl HasClassification for NumberedReading {
    fn classification(&self) -> Classification {
        self.content.classification()
    }
}

/// Address of the chart of a series at the platform's API.
#[must_use]
pub fn chart_path(tag: &str, period: SeriesPeriod, aggregate: Aggregate) -> String {
    let time = |time: Timestamp| time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    format!(
        "/v1/readings/chart?tag={}&from={}&to={}&aggregate={aggregate}",
        percent_encoded(tag),
        percent_encoded(&time(period.from)),
        percent_encoded(&time(period.to)),
    )
}

/// Encodes a value of a query (RFC 3986): only unreserved characters stay.
fn percent_encoded(text: &str) -> String {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte: u8| if is_unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_path_has_no_active_character_of_the_tag() {
        let period = SeriesPeriod { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        assert_eq!(
            chart_path("a b)&/ü", period, Aggregate::Avg),
            "/v1/readings/chart?tag=a%20b%29%26%2F%C3%BC&from=1970-01-01T00%3A00%3A00Z&to=1970-01-01T00%3A00%3A00Z\
             &aggregate=avg"
        );
    }
}
