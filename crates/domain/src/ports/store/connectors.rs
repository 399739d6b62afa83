//! Repositories of connectors to plant systems, their tags, and requests to the plant process.

use crate::ids::{ConnectorId, PlantRequestId};
use crate::page::{Page, PageRequest};
use crate::plant::{Connector, ConnectorDetails, KnownTag, PlantAnswer, PlantRequest, Tag, TagQuery};
use crate::role::Classification;
use crate::store_error::StoreError;
use async_trait::async_trait;

/// Connectors of the tenant and the catalogue of their tags.
#[async_trait]
pub trait ConnectorRepo: Send {
    /// Inserts a connector without tags.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken.
    async fn insert(&mut self, connector: &Connector) -> Result<(), StoreError>;
    /// Reads a connector with its tags; `None` if it does not exist.
    async fn get(&mut self, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError>;
    /// Like [`Self::get`], and locks the connector until this transaction ends.
    async fn lock(&mut self, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError>;
    /// Lists connectors with their tags, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<ConnectorDetails>, StoreError>;
    /// Number of connectors.
    async fn count(&mut self) -> Result<u64, StoreError>;
    /// Stores a changed connector under its next revision, and notifies the plant process; `false` if it does not
    /// exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken.
    async fn update(&mut self, connector: &Connector) -> Result<bool, StoreError>;
    /// Deletes a connector with its tags and their samples; `false` if it does not exist. What was recorded of them
    /// goes with its day.
    async fn delete(&mut self, id: ConnectorId) -> Result<bool, StoreError>;
    /// Makes `tags` the connector's only ones. Those of a known name keep their id, and with it what was recorded.
    /// Follow it with [`Self::update`], which raises the revision.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a name belongs to another connector.
    async fn replace_tags(&mut self, id: ConnectorId, tags: &[Tag]) -> Result<(), StoreError>;
    /// Tags of enabled connectors up to `clearance` that match, best first, at most `limit`.
    async fn search_tags(
        &mut self,
        query: &TagQuery,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<KnownTag>, StoreError>;
    /// The tags up to `clearance` with one of these names, in any spelling.
    async fn tags_by_name(&mut self, names: &[String], clearance: Classification) -> Result<Vec<KnownTag>, StoreError>;
}

/// Requests to the plant process.
#[async_trait]
pub trait PlantRequestRepo: Send {
    /// Inserts requests, and notifies the process once the transaction commits.
    async fn insert(&mut self, requests: &[PlantRequest]) -> Result<(), StoreError>;
    /// The answers to those of the requests that are answered.
    async fn answers(&mut self, ids: &[PlantRequestId]) -> Result<Vec<AnsweredRequest>, StoreError>;
    /// Deletes requests without waiters.
    async fn delete(&mut self, ids: &[PlantRequestId]) -> Result<(), StoreError>;
}

/// A request with its answer.
#[derive(Clone, PartialEq, Debug)]
pub struct AnsweredRequest {
    /// Id of the request.
    pub id: PlantRequestId,
    /// What the process answered.
    pub answer: PlantAnswer,
}
