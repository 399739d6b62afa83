//! Ports to the database: transactions of one tenant, and a few named cross-tenant operations.

mod approvals;
mod channels;
mod connectors;
mod glossary;
mod goals;
mod jobs;
mod mcp;
mod memories;
mod repos;
mod sessions;
mod teams;

pub use approvals::*;
pub use channels::*;
pub use connectors::*;
pub use glossary::*;
pub use goals::*;
pub use jobs::*;
pub use mcp::*;
pub use memories::*;
pub use repos::*;
pub use sessions::*;
pub use teams::*;

use crate::access_token::TenantAccessToken;
use crate::audit::chain::ChainPage;
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
    /// Begins a transaction in which only the rows of the scope's tenant and space are visible and, of user-owned rows
    /// in the home space, only those of the scope's user.
    ///
    /// # Errors
    /// If the database is not available.
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError>;

    /// Checks that the database answers, for the readiness probe.
    ///
    /// # Errors
    /// If the database does not answer.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// A transaction of one tenant, and the only way to obtain repositories. Dropping it rolls back.
#[async_trait]
pub trait TenantTx: Send {
    /// Conversations of the scope's user.
    fn conversations(&mut self) -> &mut dyn ConversationRepo;
    /// Messages of the scope's user.
    fn messages(&mut self) -> &mut dyn MessageRepo;
    /// Feedback on answers.
    fn feedback(&mut self) -> &mut dyn FeedbackRepo;
    /// Documents of the tenant.
    fn documents(&mut self) -> &mut dyn DocumentRepo;
    /// Passages of the tenant's documents.
    fn chunks(&mut self) -> &mut dyn ChunkRepo;
    /// Memories of the scope's user.
    fn memories(&mut self) -> &mut dyn MemoryRepo;
    /// The audit log, for inserting rows.
    fn audit(&mut self) -> &mut dyn AuditRepo;
    /// Users of the tenant.
    fn users(&mut self) -> &mut dyn UserRepo;
    /// Idempotency keys of the scope's user.
    fn idempotency(&mut self) -> &mut dyn IdempotencyRepo;
    /// Personal access tokens of the tenant.
    fn access_tokens(&mut self) -> &mut dyn AccessTokenRepo;
    /// Sessions of the tenant's users.
    fn sessions(&mut self) -> &mut dyn SessionRepo;
    /// Queued jobs of the tenant.
    fn jobs(&mut self) -> &mut dyn JobRepo;
    /// Approvals of writes, and the policies on them.
    fn approvals(&mut self) -> &mut dyn ApprovalRepo;
    /// Work orders of the platform's own list.
    fn work_orders(&mut self) -> &mut dyn WorkOrderRepo;
    /// The tenant's maintenance system.
    fn maintenance_system(&mut self) -> &mut dyn MaintenanceSystemRepo;
    /// The tenant's plant mode.
    fn plant_mode(&mut self) -> &mut dyn PlantModeRepo;
    /// Channels, and the outbox of messages to them.
    fn channels(&mut self) -> &mut dyn ChannelRepo;
    /// MCP servers of the tenant.
    fn mcp_servers(&mut self) -> &mut dyn McpServerRepo;
    /// Connectors to plant systems, and their tags.
    fn connectors(&mut self) -> &mut dyn ConnectorRepo;
    /// Versions of the tenant's own glossary.
    fn glossary(&mut self) -> &mut dyn GlossaryRepo;
    /// Requests to the plant process.
    fn plant_requests(&mut self) -> &mut dyn PlantRequestRepo;
    /// Teams, their members and invitations.
    fn teams(&mut self) -> &mut dyn TeamRepo;
    /// Agents that administrators added to the tenant.
    fn agents(&mut self) -> &mut dyn AgentRepo;
    /// Goals of the scope's user.
    fn goals(&mut self) -> &mut dyn GoalRepo;
    /// Storage, spending and model calls of the tenant.
    fn usage(&mut self) -> &mut dyn UsageRepo;

    /// Commits the transaction.
    ///
    /// # Errors
    /// If the database does not confirm the commit.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// Reads the audit log, with a database role that can do nothing else.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AuditReader: Send + Sync {
    /// Rows of the scope's tenant that match the filter, newest first.
    ///
    /// # Errors
    /// If the database is not available.
    async fn read(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError>;

    /// Up to `limit` rows of the scope's tenant with a sequence number above `after` (0 for all), in chain order. Rows
    /// of the last second or two may not be part of the chain yet.
    ///
    /// # Errors
    /// If the database is not available.
    async fn chain_page(&self, scope: &TenantScope, after: i64, limit: u32) -> Result<ChainPage, StoreError>;

    /// One row of the scope's tenant; `None` if it does not exist.
    ///
    /// # Errors
    /// If the database is not available.
    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError>;
}

/// A tenant to insert.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTenant {
    /// UUIDv7, generated by the application.
    pub id: TenantId,
    /// Full name; unique on the platform.
    pub name: String,
    /// Short name used in URLs and tokens; unique.
    pub slug: String,
}

/// Changes to a tenant. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TenantPatch {
    /// New full name; unique on the platform.
    pub name: Option<String>,
    /// Activates or deactivates the tenant.
    pub is_active: Option<bool>,
}

/// The few cross-tenant operations, each implemented as a database function. A change from outside the tenant inserts a
/// row into the tenant's own audit log ([`ChangedBy::audit_row`]) in the same transaction.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait TenantDirectory: Send + Sync {
    /// The tenant with this id or slug; never more than one.
    ///
    /// # Errors
    /// If the database is not available.
    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, StoreError>;

    /// Tenants, newest first. The policy gate allows this for `platform_admin` only.
    ///
    /// # Errors
    /// If the database is not available.
    async fn list_tenants(&self, page: &PageRequest) -> Result<Page<Tenant>, StoreError>;

    /// Creates a tenant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name or slug is taken.
    async fn create_tenant(&self, tenant: NewTenant) -> Result<Tenant, StoreError>;

    /// Changes a tenant; `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken.
    async fn update_tenant(
        &self,
        id: TenantId,
        patch: TenantPatch,
        changed_by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError>;

    /// Replaces the settings if their version is `expected_version`; other keys of the tenant's configuration are kept.
    /// `None` if the tenant does not exist or its settings have another version.
    ///
    /// # Errors
    /// If the database is not available.
    async fn replace_settings(
        &self,
        id: TenantId,
        settings: &TenantSettings,
        expected_version: i64,
        changed_by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError>;

    /// The versions of a tenant's settings, newest first.
    ///
    /// # Errors
    /// If the database is not available.
    async fn settings_versions(&self, id: TenantId, page: &PageRequest) -> Result<Page<SettingsVersion>, StoreError>;

    /// The tenant that this issuer's claim value is mapped to, if any.
    ///
    /// # Errors
    /// If the database is not available.
    async fn mapped_tenant(&self, issuer: &str, claim: &str) -> Result<Option<Tenant>, StoreError>;

    /// The mappings to a tenant, newest first. The policy gate allows this for `platform_admin` only.
    ///
    /// # Errors
    /// If the database is not available.
    async fn list_mappings(&self, tenant: TenantId, page: &PageRequest) -> Result<Page<TenantMapping>, StoreError>;

    /// Maps a claim value to a tenant; `None` if the tenant does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the claim value is mapped already, to this or another tenant.
    async fn create_mapping(
        &self,
        mapping: NewMapping,
        changed_by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError>;

    /// Deletes a mapping to a tenant and returns it; `None` if it does not exist.
    ///
    /// # Errors
    /// If the database is not available.
    async fn delete_mapping(
        &self,
        tenant: TenantId,
        id: MappingId,
        changed_by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError>;

    /// The personal access token whose secret has this keyed hash, if any.
    ///
    /// # Errors
    /// If the database is not available.
    async fn access_token(&self, hash: &str) -> Result<Option<TenantAccessToken>, StoreError>;
}
