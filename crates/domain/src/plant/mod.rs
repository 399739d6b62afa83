//! Plant systems: what may be done with them, what their tags are, and what is read from them.

mod catalog;
mod connector;
mod evidence;
mod freshness;
mod mode;
mod reading;
mod request;
mod tag;
mod wording;

pub use catalog::{
    Connector, ConnectorDetails, KnownTag, MAX_CONNECTORS, MAX_TAGS_OF_CONNECTOR, Recording, SealedSecret, Tag,
    TagQuery, is_spelling_of, normalized_tag_name,
};
pub use connector::{
    ByteOrder, CertificateThumbprint, ConnectorCheck, ConnectorCredential, ConnectorError, ConnectorKind,
    ConnectorSettings, DataType, TagAddress, TagMapping,
};
pub use evidence::{NumberedReading, ReadingContent, SeriesPeriod, chart_path};
pub use mode::{PlantMode, PlantModeState};
pub use reading::{Quality, Sample, TagValue};
pub use request::{
    AggregatedHistory, ClaimedRequest, ConnectorState, OfferedTag, PlantAnswer, PlantFailure, PlantOperation,
    PlantRequest, ReadSample, RecordedSample,
};
pub use tag::{
    Aggregate, CatalogTag, HistoryOrigin, HistoryPoint, HistoryQuery, TagHistory, TagLimits, TagReading, TagSample,
};
pub use wording::{HistoryStatistics, RangePosition, one_line, short_age, short_number, unit_text};
