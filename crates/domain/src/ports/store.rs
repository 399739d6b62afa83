//! The database, as the layers above see it: transactions of one tenant, and a handful of named cross-tenant methods.

mod jobs;
mod repos;

pub use jobs::*;
pub use repos::*;

use crate::access_token::TenantAccessToken;
use crate::audit::sealed::SealedPage;
use crate::audit::{AuditFilter, AuditRecord};
use crate::ids::{AuditId, MappingId, TenantId};
use crate::mapping::{NewMapping, TenantMapping};
use crate::page::{Page, PageRequest};
use crate::scope::TenantScope;
use crate::store_error::StoreError;
use crate::tenant::{SettingsVersion, Tenant, TenantSettings};
use crate::tenant_change::ChangedBy;
use async_trait::async_trait;

/// Opens transactions, each for one tenant.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Store: Send + Sync {
    /// A transaction in which only the scope's tenant exists, and of user-owned rows only the scope's user's.
    ///
    /// # Errors
    /// If the database is not available.
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError>;

    /// Checks that the database answers, for readiness.
    ///
    /// # Errors
    /// If it does not.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A transaction of one tenant: the only source of repositories. Dropping it rolls back.
#[async_trait]
pub trait TenantTx: Send {
    /// Conversations of the scope's user.
    fn conversations(&mut self) -> &mut dyn ConversationRepo;
    /// Messages of the scope's user.
    fn messages(&mut self) -> &mut dyn MessageRepo;
    /// Documents of the tenant.
    fn documents(&mut self) -> &mut dyn DocumentRepo;
    /// Passages of the tenant's documents.
    fn chunks(&mut self) -> &mut dyn ChunkRepo;
    /// Memories of the scope's user.
    fn memories(&mut self) -> &mut dyn MemoryRepo;
    /// The audit log, to write to.
    fn audit(&mut self) -> &mut dyn AuditRepo;
    /// Users of the tenant.
    fn users(&mut self) -> &mut dyn UserRepo;
    /// Idempotency keys of the scope's user.
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo;
    /// Personal access tokens of the tenant.
    fn access_tokens(&mut self) -> &mut dyn AccessTokenRepo;
    /// The tenant's queued work.
    fn jobs(&mut self) -> &mut dyn JobRepo;
    /// What the tenant uses.
    fn usage(&mut self) -> &mut dyn UsageRepo;

    /// Commits the transaction.
    ///
    /// # Errors
    /// If the database does not confirm the commit.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Reads the audit log, with a role of its own that can do nothing else.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AuditReader: Send + Sync {
    /// Rows of the scope's tenant, newest first.
    ///
    /// # Errors
    /// If the database is not available.
    async fn read(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;

    /// Up to `limit` sealed rows of the scope's tenant after place `after` (0: from the start), in the chain's order.
    /// What was written in the last second or two may not be sealed yet.
    ///
    /// # Errors
    /// If the database is not available.
    async fn sealed(&self, scope: &TenantScope, after: i64, limit: u32) -> Result<SealedPage, StoreError>;

    /// One row of the scope's tenant.
    ///
    /// # Errors
    /// If the database is not available.
    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError>;
}

/// A tenant to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTenant {
    /// UUIDv7, chosen by the application.
    pub id: TenantId,
    /// Full name; unique on the platform.
    pub name: String,
    /// Short name for addresses and tokens; unique.
    pub slug: String,
}

/// What may change of a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TenantPatch {
    /// New full name; unique on the platform.
    pub name: Option<String>,
    /// Activate or deactivate.
    pub is_active: Option<bool>,
}

/// The few cross-tenant operations, each a database function of its own. A change that comes from outside the tenant
/// leaves its row in the tenant's own audit log ([`ChangedBy::row`]), or does not happen.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Directory: Send + Sync {
    /// The tenant with this id or slug; exactly one row or none, and never a list.
    ///
    /// # Errors
    /// If the database is not available.
    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, StoreError>;

    /// Tenants, newest first. The gate lets only `platform_admin` here.
    ///
    /// # Errors
    /// If the database is not available.
    async fn list_tenants(&self, page: &PageRequest) -> Result<Page<Tenant>, StoreError>;

    /// Creates a tenant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where name or slug are taken.
    async fn create_tenant(&self, tenant: NewTenant) -> Result<Tenant, StoreError>;

    /// Changes a tenant; `None` where there is none of that id.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the name is taken.
    async fn update_tenant(
        &self,
        id: TenantId,
        patch: TenantPatch,
        by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError>;

    /// Puts these settings in the place of those at version `expected`; keys of the configuration that are no settings
    /// stay. `None` where there is no such tenant, or its settings are at another version by now.
    ///
    /// # Errors
    /// If the database is not available.
    async fn configure(
        &self,
        id: TenantId,
        settings: &TenantSettings,
        expected: i64,
        by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError>;

    /// The states that a tenant's settings had, newest first.
    ///
    /// # Errors
    /// If the database is not available.
    async fn settings_versions(&self, id: TenantId, page: &PageRequest) -> Result<Page<SettingsVersion>, StoreError>;

    /// The tenant that this claim of this issuer is mapped to: one or none.
    ///
    /// # Errors
    /// If the database is not available.
    async fn mapped_tenant(&self, issuer: &str, claim: &str) -> Result<Option<Tenant>, StoreError>;

    /// The mappings to a tenant, newest first. The gate lets only `platform_admin` here.
    ///
    /// # Errors
    /// If the database is not available.
    async fn list_mappings(&self, tenant: TenantId, page: &PageRequest) -> Result<Page<TenantMapping>, StoreError>;

    /// Maps a claim to a tenant; `None` where there is no such tenant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where the claim is mapped already, to whichever tenant.
    async fn create_mapping(&self, mapping: NewMapping, by: &ChangedBy) -> Result<Option<TenantMapping>, StoreError>;

    /// Deletes a mapping to a tenant; `None` where there is none of that id.
    ///
    /// # Errors
    /// If the database is not available.
    async fn delete_mapping(
        &self,
        tenant: TenantId,
        id: MappingId,
        by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError>;

    /// The personal access token with this keyed hash of its secret: one or none.
    ///
    /// # Errors
    /// If the database is not available.
    async fn access_token(&self, hash: &str) -> Result<Option<TenantAccessToken>, StoreError>;
}
