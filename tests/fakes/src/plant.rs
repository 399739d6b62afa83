//! A plant reader whose tags, readings and histories a test chooses.

use async_trait::async_trait;
use domain::plant::{
    Aggregate, CatalogTag, HistoryOrigin, HistoryPoint, HistoryQuery, Quality, TagHistory, TagLimits, TagReading,
    TagValue,
};
use domain::ports::{PlantReadError, PlantReader, PlantReaderScope};
use domain::role::Classification;
use domain::time::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};

/// In-memory [`PlantReader`]. Clones share the same tags. Tags above the reader's clearance are as if they did not
/// exist, and names match however they are spelled.
#[derive(Clone, Debug, Default)]
pub struct FakePlantReader {
    state: Arc<Mutex<PlantState>>,
}

#[derive(Debug, Default)]
struct PlantState {
    tags: Vec<CatalogTag>,
    readings: Vec<TagReading>,
    points: Vec<HistoryPoint>,
    is_off: bool,
    /// Names of the methods that were called, in order.
    calls: Vec<&'static str>,
}

impl FakePlantReader {
    /// Adds a tag with its present reading, which [`reading`] makes.
    #[must_use]
    pub fn with(self, reading: TagReading, equipment: Option<&str>) -> Self {
        self.with_state(|state| {
            state.tags.push(CatalogTag {
                tag: reading.tag.clone(),
                unit: reading.unit.clone(),
                description: reading.description.clone(),
                equipment: equipment.map(str::to_owned),
                classification: reading.classification,
            });
            state.readings.push(reading);
        });
        self
    }

    /// Sets the points of every history.
    #[must_use]
    pub fn with_points(self, points: Vec<HistoryPoint>) -> Self {
        self.with_state(|state| state.points = points);
        self
    }

    /// Whether the plant mode is off, so that nothing is read.
    pub fn set_off(&self, is_off: bool) {
        self.with_state(|state| state.is_off = is_off);
    }

    /// Names of the methods that were called, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.with_state(|state| state.calls.clone())
    }

    fn with_state<T>(&self, change: impl FnOnce(&mut PlantState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A good reading of 4.6 bar, 2 s old, of a tag with the normal range 5 to 7 bar.
#[must_use]
pub fn reading(tag: &str, classification: Classification) -> TagReading {
    TagReading {
        tag: tag.to_owned(),
        description: Some("Discharge pressure".to_owned()),
        value: TagValue::number(4.6),
        unit: Some("bar".to_owned()),
        quality: Quality::Good,
        quality_code: None,
        source_timestamp: Some(Timestamp::UNIX_EPOCH),
        age_s: 2.0,
        stale: false,
        limits: TagLimits { normal_low: Some(5.0), normal_high: Some(7.0), ..TagLimits::default() },
        source: "simulator:demo".to_owned(),
        classification,
    }
}

fn normalized(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

impl PlantState {
    fn find(&self, reader: &PlantReaderScope, tag: &str) -> Option<&TagReading> {
        let is_visible = |known: &&TagReading| known.classification <= reader.clearance;
        self.readings.iter().filter(is_visible).find(|known| known.tag == tag)
    }
}

#[async_trait]
impl PlantReader for FakePlantReader {
    async fn find_tags(
        &self,
        reader: &PlantReaderScope,
        query: &str,
        limit: usize,
    ) -> Result<Vec<CatalogTag>, PlantReadError> {
        self.with_state(|state| {
            state.calls.push("find_tags");
            let words: Vec<String> = query.split_whitespace().map(normalized).filter(|word| !word.is_empty()).collect();
            let matches = |tag: &&CatalogTag| {
                let texts = [Some(&tag.tag), tag.description.as_ref(), tag.equipment.as_ref()];
                let texts = texts.into_iter().flatten().map(|text| normalized(text)).collect::<Vec<_>>();
                words.iter().any(|word| texts.iter().any(|text| text.contains(word.as_str())))
            };
            let visible = state.tags.iter().filter(|tag| tag.classification <= reader.clearance);
            Ok(visible.filter(matches).take(limit).cloned().collect())
        })
    }

    async fn read(&self, reader: &PlantReaderScope, tags: &[String]) -> Result<Vec<TagReading>, PlantReadError> {
        self.with_state(|state| {
            state.calls.push("read");
            if state.is_off {
                return Err(PlantReadError::PlantMode);
            }
            let unknown: Vec<String> = tags.iter().filter(|tag| state.find(reader, tag).is_none()).cloned().collect();
            if !unknown.is_empty() {
                return Err(PlantReadError::UnknownTags { tags: unknown });
            }
            Ok(tags.iter().filter_map(|tag| state.find(reader, tag)).cloned().collect())
        })
    }

    async fn history(&self, reader: &PlantReaderScope, query: &HistoryQuery) -> Result<TagHistory, PlantReadError> {
        self.with_state(|state| {
            state.calls.push("history");
            if state.is_off {
                return Err(PlantReadError::PlantMode);
            }
            let unknown = || PlantReadError::UnknownTags { tags: vec![query.tag.clone()] };
            let reading = state.find(reader, &query.tag).ok_or_else(unknown)?;
            if state.points.is_empty() {
                return Err(PlantReadError::NoHistory { tag: query.tag.clone() });
            }
            Ok(TagHistory {
                tag: reading.tag.clone(),
                unit: reading.unit.clone(),
                aggregate: query.aggregate,
                interval_s: (query.aggregate != Aggregate::Raw)
                    .then(|| query.interval.map_or(60, |interval| interval.as_secs())),
                points: state.points.clone(),
                good_share: 0.98,
                samples: 100,
                truncated: false,
                origin: HistoryOrigin::Recorded,
                limits: reading.limits,
                source: reading.source.clone(),
                classification: reading.classification,
            })
        })
    }
}
