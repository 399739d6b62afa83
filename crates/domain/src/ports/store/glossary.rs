//! The repository of a tenant's own glossary.

use crate::glossary::GlossaryVersion;
use crate::store_error::StoreError;
use async_trait::async_trait;

/// Versions of the tenant's glossary.
#[async_trait]
pub trait GlossaryRepo: Send {
    /// Number of the current version; 0 if none was ever stored.
    async fn current_version(&mut self) -> Result<i64, StoreError>;
    /// A version; the current one if `version` is `None`. Returns `None` if it was never stored, or is no longer kept.
    async fn get(&mut self, version: Option<i64>) -> Result<Option<GlossaryVersion>, StoreError>;
    /// Stores a version and deletes those beyond [`GlossaryVersion::KEPT`]. Returns `false`, and stores nothing, if a
    /// version of this number was stored meanwhile.
    async fn insert(&mut self, version: &GlossaryVersion) -> Result<bool, StoreError>;
}
