//! The plant process's access to the database, and the notifications between it and its callers.

use crate::ids::{ConnectorId, PlantRequestId, TagId, TenantId};
use crate::plant::{ClaimedRequest, ConnectorDetails, ConnectorState, PlantAnswer, RecordedSample, Sample};
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;
use std::ops::Range;
use std::time::Duration;

/// The requests, connectors, tags and samples of all tenants, as a database role that can reach nothing else.
#[async_trait]
pub trait PlantQueue: Send + Sync {
    /// Takes on requests that have not expired, at most `limit`, one tenant after the other. No other process gets
    /// them.
    ///
    /// # Errors
    /// If the database is not available.
    async fn claim(&self, limit: u32) -> Result<Vec<ClaimedRequest>, StoreError>;

    /// Stores the answer to a request and wakes its waiter. Does nothing if the request was deleted.
    ///
    /// # Errors
    /// If the database is not available.
    async fn answer(&self, tenant: TenantId, id: PlantRequestId, answer: &PlantAnswer) -> Result<(), StoreError>;

    /// Waits until there are new requests or changed connectors, at most `max_wait`.
    async fn wait(&self, max_wait: Duration);

    /// The connectors of all active tenants.
    ///
    /// # Errors
    /// If the database is not available.
    async fn states(&self) -> Result<Vec<ConnectorState>, StoreError>;

    /// A connector with its tags; `None` if it does not exist.
    ///
    /// # Errors
    /// If the database is not available.
    async fn connector(&self, tenant: TenantId, id: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError>;

    /// The newest stored samples of these tags.
    ///
    /// # Errors
    /// If the database is not available.
    async fn latest(&self, tenant: TenantId, tags: &[TagId]) -> Result<Vec<LatestSample>, StoreError>;

    /// Stores samples as the newest ones of their tags. Tags that are gone are left out.
    ///
    /// # Errors
    /// If the database is not available.
    async fn store_latest(&self, tenant: TenantId, samples: &[LatestSample]) -> Result<(), StoreError>;

    /// Records samples. One that is already recorded for its tag and time stays as it is.
    ///
    /// # Errors
    /// If the database is not available.
    async fn record(&self, tenant: TenantId, samples: &[RecordedSample]) -> Result<(), StoreError>;

    /// What was recorded of a tag in a period, oldest first, at most `limit` samples.
    ///
    /// # Errors
    /// If the database is not available.
    async fn recorded(
        &self,
        tenant: TenantId,
        tag: TagId,
        period: Range<Timestamp>,
        limit: u32,
    ) -> Result<Vec<RecordedSample>, StoreError>;

    /// Makes the partitions of today and the next days, drops those that no connector keeps, and deletes expired
    /// requests and samples. Returns the number of deleted rows and dropped days.
    ///
    /// # Errors
    /// If the database is not available.
    async fn maintain(&self) -> Result<u64, StoreError>;
}

/// The newest sample of a tag.
#[derive(Clone, PartialEq, Debug)]
pub struct LatestSample {
    /// Id of the tag.
    pub tag: TagId,
    /// Its newest sample.
    pub sample: Sample,
}

/// Waits for notification of answers of the plant process.
#[async_trait]
pub trait PlantAnswerListener: Send + Sync {
    /// Waits until the request is answered, at most `max_wait`. It may return early: read the answer, and wait again if
    /// there is none.
    async fn wait_for_answer(&self, request: PlantRequestId, max_wait: Duration);
}
