//! The maintenance systems to which work orders are written: the platform's own list, and systems of the plant that are
//! reached over HTTP. Each tenant has one.

mod answer;
mod builtin;
mod endpoint;
mod maximo;
mod order;
mod rest;
mod sap_pm;
mod systems;

use builtin::BuiltinMaintenance;
pub(crate) use order::name_of;
pub use order::{Attribution, OrderDraft, StoredOrder};
pub use systems::{MaintenanceSystems, RemoteAccess, check_settings};

use super::error::WriteError;
use async_trait::async_trait;
use domain::maintenance::MaintenanceKind;
use domain::scope::TenantScope;
use serde_json::Value;

/// A system that keeps work orders and finds them by their external reference.
#[async_trait]
pub trait MaintenanceSystem: Send + Sync {
    /// Which kind of system it is, as it is shown to approvers.
    fn kind(&self) -> MaintenanceKind;

    /// Where [`Self::create`] sends its request: an object with host, method and path, as it is shown to approvers.
    /// Null for the platform's own list.
    fn endpoint(&self) -> Value;

    /// What [`Self::create`] sends, exactly: a JSON object. Null for the platform's own list.
    fn body(&self, order: &OrderDraft) -> Value;

    /// The work order with this external reference; `None` if there is none.
    ///
    /// # Errors
    /// If the system cannot be searched.
    async fn find(&self, scope: &TenantScope, external_reference: &str) -> Result<Option<StoredOrder>, WriteError>;

    /// Creates a work order. A system that can tell returns the existing one with the same external reference.
    ///
    /// # Errors
    /// If the system refuses the work order or cannot be used.
    async fn create(&self, scope: &TenantScope, order: &OrderDraft) -> Result<StoredOrder, WriteError>;
}
