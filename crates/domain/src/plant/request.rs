//! Requests to the plant process, and its answers. Both go through the database.

use super::{Aggregate, ConnectorCheck, ConnectorError, HistoryOrigin, HistoryPoint, Recording, Sample, TagMapping};
use crate::ids::{ConnectorId, PlantRequestId, TagId, TenantId};
use crate::role::Classification;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// An operation to request of a connector.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum PlantOperation {
    /// The present values of tags, 1 to 50.
    Read {
        /// Tags of the connector.
        tags: Vec<TagId>,
    },
    /// The history of a tag.
    History {
        /// A tag of the connector.
        tag: TagId,
        /// Start of the period (inclusive).
        from: Timestamp,
        /// End of the period (exclusive).
        to: Timestamp,
        /// How samples become points.
        aggregate: Aggregate,
        /// Length of an interval in seconds; 0 for samples.
        interval_s: u64,
        /// Maximum number of points.
        max_points: usize,
    },
    /// Whether the connector can read.
    Check,
    /// The tags that its source offers.
    Browse {
        /// Maximum number of tags.
        limit: usize,
    },
}

impl PlantOperation {
    /// The kind of operation, for metrics and the database.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::History { .. } => "history",
            Self::Check => "check",
            Self::Browse { .. } => "browse",
        }
    }

    /// The period of a history; `None` for other operations.
    #[must_use]
    pub fn period(&self) -> Option<Range<Timestamp>> {
        match self {
            Self::History { from, to, .. } => Some(*from..*to),
            _ => None,
        }
    }
}

/// A request to a connector.
#[derive(Clone, PartialEq, Debug)]
pub struct PlantRequest {
    /// UUIDv7 of the request.
    pub id: PlantRequestId,
    /// The connector that is addressed.
    pub connector: ConnectorId,
    /// Highest classification that the reader may see.
    pub clearance: Classification,
    /// The requested operation.
    pub operation: PlantOperation,
    /// Time of the request.
    pub created_at: Timestamp,
    /// The caller no longer waits for the answer after this.
    pub expires_at: Timestamp,
}

/// A request that a process has claimed, with its tenant.
#[derive(Clone, PartialEq, Debug)]
pub struct ClaimedRequest {
    /// Tenant of the request.
    pub tenant: TenantId,
    /// The request that was claimed.
    pub request: PlantRequest,
}

/// The answer of the plant process.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum PlantAnswer {
    /// Present values, in the order of the request.
    Samples {
        /// One sample per tag.
        samples: Vec<ReadSample>,
    },
    /// Points of a history.
    History(AggregatedHistory),
    /// Result of a test.
    Checked(ConnectorCheck),
    /// The tags that the source offers.
    Browsed {
        /// `None` if the protocol cannot list them.
        tags: Option<Vec<OfferedTag>>,
    },
    /// The request could not be answered.
    Failed(PlantFailure),
}

/// A sample as it was read.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReadSample {
    /// The sample itself.
    pub sample: Sample,
    /// The source could not be read: the sample is an older one.
    pub is_out_of_reach: bool,
}

/// The points of a history, and what they were made of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AggregatedHistory {
    /// Points, oldest first.
    pub points: Vec<HistoryPoint>,
    /// Length of the intervals in seconds; `None` for samples.
    pub interval_s: Option<u64>,
    /// Share of good samples, 0 to 1.
    pub good_share: f64,
    /// Number of samples that were read.
    pub samples: usize,
    /// Whether there were more samples than could be read or returned.
    pub truncated: bool,
    /// Where the samples were kept.
    pub origin: HistoryOrigin,
}

/// A tag that a source offers, with texts that come from the source.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OfferedTag {
    /// Name within the source.
    pub name: String,
    /// Where it is found.
    #[serde(rename = "point")]
    pub mapping: TagMapping,
    /// Unit that the source states.
    pub unit: Option<String>,
    /// Description that the source states.
    pub description: Option<String>,
}

/// Why a request was not answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum PlantFailure {
    /// The connector, or one of the tags, is not there or above the reader's clearance.
    Unknown,
    /// The tenant's plant mode is `off`.
    PlantMode,
    /// The endpoint's budget is spent.
    BudgetExhausted {
        /// Seconds until the next call is allowed.
        retry_after_s: u64,
    },
    /// Neither source nor platform keeps a history of the tag.
    NoHistory,
    /// The plant system failed.
    Connector {
        /// How it failed.
        error: ConnectorError,
    },
}

/// State of a connector that the process needs before it opens it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectorState {
    /// The connector's tenant.
    pub tenant: TenantId,
    /// Id of the connector.
    pub connector: ConnectorId,
    /// One more with each change.
    pub revision: i64,
    /// Whether it may be used: the tenant is active, its plant mode allows reads, the connector is enabled.
    pub is_usable: bool,
    /// Whether the tenant's plant mode is `off`.
    pub is_off: bool,
    /// Whether its tags are recorded.
    pub recording: Option<Recording>,
}

/// A sample as the platform records it.
#[derive(Clone, PartialEq, Debug)]
pub struct RecordedSample {
    /// Id of the tag.
    pub tag: TagId,
    /// When it was sampled, by the platform's clock.
    pub at: Timestamp,
    /// The sample that was read.
    pub sample: Sample,
    /// Whether the sample was already stale at that time.
    pub is_stale: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plant::{Quality, TagValue};

    #[test]
    fn an_answer_survives_the_round_trip_through_json() {
        let now = Timestamp::from_timestamp(100, 0).expect("a time");
        let value = Some(TagValue::Number(1.0));
        let sample = Sample { value, quality: Quality::Good, ..Sample::without_value("none", now) };
        let answers = [
            PlantAnswer::Samples { samples: vec![ReadSample { sample, is_out_of_reach: true }] },
            PlantAnswer::Failed(PlantFailure::Connector { error: ConnectorError::TimedOut { seconds: 5 } }),
            PlantAnswer::Failed(PlantFailure::PlantMode),
            PlantAnswer::Checked(ConnectorCheck { ok: true, detail: "read".to_owned(), untrusted_certificate: None }),
            PlantAnswer::Browsed { tags: None },
        ];
        for answer in answers {
            let json = serde_json::to_value(&answer).expect("JSON");
            assert_eq!(serde_json::from_value::<PlantAnswer>(json).expect("an answer"), answer);
        }
    }
}
