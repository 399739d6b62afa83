//! What an answer cites: passages of documents, and readings of plant systems.

use crate::ids::{ChunkId, DocumentId};
use crate::plant::{Aggregate, Quality, SeriesPeriod, TagValue, chart_path};
use crate::role::Classification;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A passage or a reading that an answer cites; the answer's text refers to it as `[n]`.
///
/// The stored form has no name of the kind: a passage has a `document_id` and a reading has a `tag`, so that messages
/// that were stored before there were readings are read, too.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Citation {
    /// A passage of a document.
    Document(DocumentCitation),
    /// A reading or a history of a tag.
    Reading(ReadingCitation),
}

/// A passage that an answer cites.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DocumentCitation {
    /// Number used in the text, from 1.
    pub n: u32,
    /// Document that contains the passage.
    pub document_id: DocumentId,
    /// File name of the document.
    #[serde(rename = "doc")]
    pub file_name: String,
    /// Title of the document.
    pub title: String,
    /// Page in the file, from 1; `None` for formats without pages.
    pub page: Option<u32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// Id of the passage.
    pub chunk_id: ChunkId,
    /// The part of the passage that supports the answer.
    pub quote: String,
    /// Relevance of the passage to the question, 0 to 1.
    pub score: f32,
}

/// A reading of a plant system that an answer cites, as it was when the answer was written.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ReadingCitation {
    /// Number used in the text, from 1.
    pub n: u32,
    /// Name of the tag.
    pub tag: String,
    /// The value in `unit`; of a history, its last one. `None` if there is none, or none that may be used.
    pub value: Option<TagValue>,
    /// Engineering unit of the value, if one is known.
    pub unit: Option<String>,
    /// Quality that the source states.
    pub quality: Quality,
    /// When the value was taken.
    pub at: Timestamp,
    /// Kind and name of the connector.
    pub source: String,
    /// Whether the value was too old to stand for the present when it was read.
    #[serde(default)]
    pub stale: bool,
    /// Classification of the connector at that time.
    pub classification: Classification,
    /// The series, if the citation is a history.
    #[serde(default)]
    pub series: Option<CitedSeries>,
}

/// A history that an answer cites.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CitedSeries {
    /// The period that was read.
    pub period: SeriesPeriod,
    /// How samples became points.
    pub aggregate: Aggregate,
}

impl Citation {
    /// Number used in the text, from 1.
    #[must_use]
    pub const fn n(&self) -> u32 {
        match self {
            Self::Document(citation) => citation.n,
            Self::Reading(citation) => citation.n,
        }
    }

    /// The same citation with another number.
    #[must_use]
    pub fn with_number(self, n: u32) -> Self {
        match self {
            Self::Document(citation) => Self::Document(DocumentCitation { n, ..citation }),
            Self::Reading(citation) => Self::Reading(ReadingCitation { n, ..citation }),
        }
    }

    /// Title of the document, or name of the tag.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Document(citation) => &citation.title,
            Self::Reading(citation) => &citation.tag,
        }
    }

    /// The citation, if it is a passage of a document.
    #[must_use]
    pub const fn document(&self) -> Option<&DocumentCitation> {
        match self {
            Self::Document(citation) => Some(citation),
            Self::Reading(_) => None,
        }
    }

    /// The citation, if it is a reading.
    #[must_use]
    pub const fn reading(&self) -> Option<&ReadingCitation> {
        match self {
            Self::Document(_) => None,
            Self::Reading(citation) => Some(citation),
        }
    }
}

impl ReadingCitation {
    /// Value with unit, quality and time on one line, as in `4.6 bar, good, 2026-11-30 10:00:00 UTC`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let value = self.value.as_ref().map(|value| value.with_unit(self.unit.as_deref()));
        let value = value.unwrap_or_else(|| "no value".to_owned());
        let stale = if self.stale { ", stale" } else { "" };
        format!("{value}, {}{stale}, {}", self.quality, self.at.format("%Y-%m-%d %H:%M:%S UTC"))
    }

    /// Address of the series' chart at the platform's API; `None` for a single reading.
    #[must_use]
    pub fn chart(&self) -> Option<String> {
        self.series.map(|series| chart_path(&self.tag, series.period, series.aggregate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn citations_that_were_stored_before_there_were_readings_are_read() {
        let stored = json!({
            "n": 1, "document_id": "01900000-0000-7000-8000-000000000001", "doc": "m.pdf", "title": "Manual",
            "page": 3, "section": null, "chunk_id": "01900000-0000-7000-8000-000000000002", "quote": "q", "score": 0.5,
        });
        let citation: Citation = serde_json::from_value(stored.clone()).expect("a citation");
        assert_eq!(citation.document().map(|document| (document.page, document.score)), Some((Some(3), 0.5)));
        assert_eq!(serde_json::to_value(&citation).expect("JSON"), stored, "and stored as before");
    }

    #[test]
    fn a_reading_survives_its_stored_form() {
        let reading = ReadingCitation {
            n: 2,
            tag: "PIT-1001".to_owned(),
            value: TagValue::number(4.6),
            unit: Some("bar".to_owned()),
            quality: Quality::Good,
            at: Timestamp::UNIX_EPOCH,
            source: "simulator:demo".to_owned(),
            stale: false,
            classification: Classification::Internal,
            series: None,
        };
        assert_eq!(reading.in_words(), "4.6 bar, good, 1970-01-01 00:00:00 UTC");
        let period = SeriesPeriod { from: Timestamp::UNIX_EPOCH, to: Timestamp::UNIX_EPOCH };
        let series = Some(CitedSeries { period, aggregate: Aggregate::Avg });
        for citation in [reading.clone(), ReadingCitation { series, value: None, ..reading }] {
            let citation = Citation::Reading(citation);
            let stored = serde_json::to_string(&citation).expect("JSON");
            assert_eq!(serde_json::from_str::<Citation>(&stored).expect("a citation"), citation);
        }
    }
}
