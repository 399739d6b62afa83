//! Plant systems, as ports. They only read: no port has an operation that could write.

use crate::error::{Classify, ErrorKind};
use crate::plant::{
    CatalogTag, ConnectorCheck, ConnectorError, ConnectorSettings, HistoryQuery, Sample, TagHistory, TagMapping,
    TagReading,
};
use crate::role::Classification;
use crate::scope::TenantScope;
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// An open connection to one plant system, shared by all of its readers. Dropping it closes the connection.
#[async_trait]
pub trait PlantConnector: Send + Sync {
    /// Tries the connection and reads one value, if there is a tag to read.
    async fn check(&self, sample_tag: Option<&TagMapping>) -> ConnectorCheck;

    /// The present values of at most 50 tags, in the order of `tags`. A tag that the source does not know is a sample
    /// without a value, [`crate::plant::Quality::Bad`], whose `quality_code` says so.
    ///
    /// # Errors
    /// If the source as a whole cannot be read. The caller bounds the time.
    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError>;

    /// Number of requests to the source that a read of these tags takes, by which it counts against the source's
    /// budget.
    fn request_count(&self, _tags: &[TagMapping]) -> usize {
        1
    }

    /// The source's own history of a tag, oldest first, at most `limit` samples; `None`, as by default, if the source
    /// keeps none. It may take longer than a read: the caller bounds the time.
    ///
    /// # Errors
    /// If the source cannot be read.
    async fn history(
        &self,
        _tag: &TagMapping,
        _period: Range<Timestamp>,
        _limit: usize,
    ) -> Result<Option<Vec<Sample>>, ConnectorError> {
        Ok(None)
    }

    /// The tags that the source offers, at most `limit`; `None`, as by default, if its protocol cannot list them.
    ///
    /// # Errors
    /// If the source cannot be read.
    async fn browse(&self, _limit: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        Ok(None)
    }
}

/// A tag that a source offers. Texts come from the source and are as untrusted as any document.
#[derive(Clone, PartialEq, Debug)]
pub struct BrowsedTag {
    /// Name within the source.
    pub name: String,
    /// Where it is found.
    pub mapping: TagMapping,
    /// Unit that the source states.
    pub unit: Option<String>,
    /// Description that the source states.
    pub description: Option<String>,
}

/// Opens connectors of every kind.
#[async_trait]
pub trait PlantConnectors: Send + Sync {
    /// Prepares a connector. It may connect later, at its first use; what cannot be used whatever the network says is
    /// refused here.
    ///
    /// # Errors
    /// [`ConnectorError::Configuration`] if endpoint, configuration or credential cannot be used.
    async fn open(&self, settings: &ConnectorSettings) -> Result<Arc<dyn PlantConnector>, ConnectorError>;
}

/// Reads a tenant's plant systems, wherever the process is that is connected to them. Tags of connectors above the
/// reader's clearance are as if they did not exist.
#[async_trait]
pub trait PlantReader: Send + Sync {
    /// Tags whose name, description or equipment match the query, best first. Names match however they are spelled:
    /// `P101A` finds `P-101A`.
    ///
    /// # Errors
    /// If the catalogue cannot be read.
    async fn find_tags(
        &self,
        reader: &PlantReaderScope,
        query: &str,
        limit: usize,
    ) -> Result<Vec<CatalogTag>, PlantReadError>;

    /// Present readings of 1 to 50 tags by their names, in that order, within the platform's time limit.
    ///
    /// # Errors
    /// [`PlantReadError::UnknownTags`] if the reader may not see one of them, or there is none of that name. A source
    /// that cannot be reached is not an error if an older sample is available: the reading is then stale.
    async fn read(&self, reader: &PlantReaderScope, tags: &[String]) -> Result<Vec<TagReading>, PlantReadError>;

    /// The history of a tag.
    ///
    /// # Errors
    /// As for [`PlantReader::read`]; [`PlantReadError::NoHistory`] if neither source nor platform keeps one.
    async fn history(&self, reader: &PlantReaderScope, query: &HistoryQuery) -> Result<TagHistory, PlantReadError>;
}

/// Who reads plant systems, and up to which classification.
#[derive(Clone, Debug)]
pub struct PlantReaderScope {
    /// Tenant and user.
    pub tenant_scope: TenantScope,
    /// Highest classification that the user may see.
    pub clearance: Classification,
}

/// Why plant systems were not read. The texts are for the user and for the model.
#[derive(Debug, Error)]
pub enum PlantReadError {
    /// Tags that are not in the catalogue, or above the reader's clearance.
    #[error("no such tags: {}; search for tags to get their names", tags.join(", "))]
    UnknownTags {
        /// Their names as asked for, at most 50.
        tags: Vec<String>,
    },
    /// The tenant's plant mode is `off`.
    #[error("the plant mode of this plant is off, so plant systems are not read")]
    PlantMode,
    /// The endpoint's budget is spent for now.
    #[error("the plant system is read as often as it allows; try again in {retry_after_s} s")]
    BudgetExhausted {
        /// Seconds until the next call is allowed.
        retry_after_s: u64,
    },
    /// Neither the source nor the platform keeps a history of the tag.
    #[error("no history is kept of {tag}")]
    NoHistory {
        /// The tag's name.
        tag: String,
    },
    /// No plant process answered in time.
    #[error("no plant process answered in time; values cannot be read at the moment")]
    NoPlantProcess,
    /// The plant system failed.
    #[error(transparent)]
    Connector(ConnectorError),
    /// The database failed.
    #[error("the tag catalogue cannot be read")]
    Store(#[from] StoreError),
}

impl Classify for PlantReadError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownTags { .. } | Self::NoHistory { .. } => ErrorKind::NotFound,
            Self::BudgetExhausted { .. } => ErrorKind::RateLimited,
            Self::PlantMode | Self::NoPlantProcess | Self::Connector(_) => ErrorKind::Unavailable,
            Self::Store(source) => source.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::PlantMode => "plant_mode",
            other => other.kind().code(),
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::Store(source) => source.public_detail(),
            other => Some(other.to_string()),
        }
    }
}
