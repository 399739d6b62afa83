//! The tag catalogue of a tenant, and what is told of its tags.

use super::{Quality, Sample, TagValue};
use crate::classified::HasClassification;
use crate::role::{Classification, string_enum};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

/// A tag as it is found in the catalogue. Its texts come from a plant system or an import, and are data like any
/// document's text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CatalogTag {
    /// Name, as in `PIT-1001`; unique within the tenant.
    pub tag: String,
    /// Engineering unit, as in `bar`.
    pub unit: Option<String>,
    /// What is measured.
    pub description: Option<String>,
    /// Path of the equipment by ISA-95, as in `Site/Area 1/P-101`.
    pub equipment: Option<String>,
    /// Classification of its connector.
    pub classification: Classification,
}

impl HasClassification for CatalogTag {
    fn classification(&self) -> Classification {
        self.classification
    }
}

/// A reading of a tag: its newest sample with what a reader must know to rely on it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TagReading {
    /// Name of the tag.
    pub tag: String,
    /// What is measured.
    pub description: Option<String>,
    /// The value in `unit`; `None` if the source gave none.
    pub value: Option<TagValue>,
    /// Engineering unit of the value, if one is known.
    pub unit: Option<String>,
    /// Quality that the source states.
    pub quality: Quality,
    /// The source's own code of that quality.
    pub quality_code: Option<String>,
    /// When the source took the value; `None` if it does not say.
    pub source_timestamp: Option<Timestamp>,
    /// Seconds from then (or, if unknown, from its receipt) to the reading; never negative, whatever the source's clock
    /// says.
    pub age_s: f64,
    /// Older than the connector's `stale_after_s`, or its source says that it is out of touch with the device.
    pub stale: bool,
    /// Limits that the catalogue states for the tag.
    pub limits: TagLimits,
    /// Kind and name of the connector, as in `opcua:plc7`.
    pub source: String,
    /// Classification of the connector.
    pub classification: Classification,
}

impl HasClassification for TagReading {
    fn classification(&self) -> Classification {
        self.classification
    }
}

/// Limits of a tag, in its unit. Each is optional; `low` limits are below `high` ones.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize, Deserialize)]
pub struct TagLimits {
    /// Lower end of the normal range.
    pub normal_low: Option<f64>,
    /// Upper end of the normal range.
    pub normal_high: Option<f64>,
    /// Value below which the plant raises the low alarm.
    pub alarm_low: Option<f64>,
    /// Value above which the plant raises the high alarm.
    pub alarm_high: Option<f64>,
}

string_enum! {
    /// How the samples of an interval become one point.
    Aggregate {
        /// The samples themselves.
        Raw = "raw",
        /// The smallest number.
        Min = "min",
        /// The largest number.
        Max = "max",
        /// The arithmetic mean of the samples, not weighted by time.
        Avg = "avg",
    }
}

/// What is asked of a tag's history.
#[derive(Clone, PartialEq, Debug)]
pub struct HistoryQuery {
    /// Name of the tag.
    pub tag: String,
    /// From (inclusive) to (exclusive); at most 366 days.
    pub period: Range<Timestamp>,
    /// How samples become points.
    pub aggregate: Aggregate,
    /// Length of an interval, at least 1 s; `None` lets the platform choose one that gives at most 200 points. Unused
    /// for [`Aggregate::Raw`].
    pub interval: Option<Duration>,
}

/// The history of a tag.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TagHistory {
    /// Name of the tag.
    pub tag: String,
    /// Engineering unit of the points, if one is known.
    pub unit: Option<String>,
    /// How samples became points.
    pub aggregate: Aggregate,
    /// Length of the intervals in seconds; `None` for samples.
    pub interval_s: Option<u64>,
    /// Points, oldest first; at most 500. Intervals without a usable sample have none.
    pub points: Vec<HistoryPoint>,
    /// Share of good samples among all samples of the period, 0 to 1; 0 if there were none.
    pub good_share: f64,
    /// Number of samples that the points were made of, unusable ones included.
    pub samples: usize,
    /// Whether the source had more samples than could be read.
    pub truncated: bool,
    /// Where the samples were kept: the source's own history, or the platform's record.
    pub origin: HistoryOrigin,
    /// Limits that the catalogue states for the tag.
    pub limits: TagLimits,
    /// Kind and name of the connector.
    pub source: String,
    /// Classification of the connector.
    pub classification: Classification,
}

impl HasClassification for TagHistory {
    fn classification(&self) -> Classification {
        self.classification
    }
}

string_enum! {
    /// Where the samples of a history were kept.
    HistoryOrigin {
        /// The plant system keeps a history.
        Source = "source",
        /// The platform recorded the tag.
        Recorded = "recorded",
    }
}

/// A point of a history.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HistoryPoint {
    /// Start of the interval, or the time of the sample.
    pub at: Timestamp,
    /// Value in the tag's unit; `None` for a raw sample without a usable value.
    pub value: Option<TagValue>,
    /// The worst quality among the samples of which it was made.
    pub quality: Quality,
}

/// A sample and the tag that it was taken of.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TagSample {
    /// Name of the tag.
    pub tag: String,
    /// The sample that was taken of it.
    pub sample: Sample,
}
