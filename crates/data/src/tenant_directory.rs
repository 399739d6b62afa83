//! The tenant directory: the few cross-tenant operations that the application's role may perform. Each one is a
//! database function.

use crate::access_tokens::{AccessTokenRow, access_token_columns};
use crate::error::store_error;
use crate::pool::{Database, RowScope};
use crate::rows::KeysetParams;
use crate::statement::{Statement, row, statements};
use async_trait::async_trait;
use domain::access_token::TenantAccessToken;
use domain::audit::{Change, ResultStatus};
use domain::ids::{MappingId, TenantId, UserId};
use domain::mapping::{NewMapping, TenantMapping};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{NewTenant, StoreError, TenantDirectory, TenantPatch};
use domain::role::Resource;
use domain::tenant::{SettingsVersion, Tenant, TenantSettings};
use domain::tenant_change::{self, ChangedBy};
use domain::time::Timestamp;
use serde_json::Value;
use sqlx::types::{Json, Uuid};
use sqlx::{PgConnection, Postgres, Transaction};

row! {
    struct TenantRow, columns = tenant_columns {
        id: Uuid,
        name: String,
        slug: String,
        config: Json<TenantSettings>,
        config_version: i64,
        is_active: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

row! {
    struct SettingsVersionRow, columns = settings_version_columns {
        version: i64,
        config: Json<TenantSettings>,
        changed_by: Option<Uuid>,
        changed_at: Timestamp,
    }
}

row! {
    struct MappingRow, columns = mapping_columns {
        id: Uuid,
        tenant_id: Uuid,
        issuer: String,
        claim_value: String,
        created_at: Timestamp,
    }
}

statements! {
    TENANT: TenantRow = Statement::call(
        "directory_tenant",
        "looking up a tenant",
        concat!("SELECT ", tenant_columns!(), " FROM directory_tenant($1)"),
    );
    LIST: TenantRow = Statement::call(
        "directory_list",
        "listing tenants",
        concat!("SELECT ", tenant_columns!(), " FROM directory_list($1, $2, $3)"),
    );
    CREATE: TenantRow = Statement::call(
        "directory_create",
        "storing a tenant",
        concat!("SELECT ", tenant_columns!(), " FROM directory_create($1, $2, $3)"),
    );
    UPDATE: TenantRow = Statement::call(
        "directory_update",
        "changing a tenant",
        concat!("SELECT ", tenant_columns!(), " FROM directory_update($1, $2, $3)"),
    );
    CONFIGURE: TenantRow = Statement::call(
        "directory_configure",
        "changing a tenant's settings",
        concat!("SELECT ", tenant_columns!(), " FROM directory_configure($1, $2, $3, $4, $5)"),
    );
    MAPPED_TENANT: TenantRow = Statement::call(
        "directory_mapped_tenant",
        "looking up a mapped tenant",
        concat!("SELECT ", tenant_columns!(), " FROM directory_mapped_tenant($1, $2)"),
    );
    SETTINGS_VERSIONS: SettingsVersionRow = Statement::call(
        "directory_settings_versions",
        "reading a tenant's earlier settings",
        concat!("SELECT ", settings_version_columns!(), " FROM directory_settings_versions($1, $2, $3)"),
    );
    LIST_MAPPINGS: MappingRow = Statement::call(
        "directory_list_mappings",
        "listing mappings",
        concat!("SELECT ", mapping_columns!(), " FROM directory_list_mappings($1, $2, $3, $4)"),
    );
    CREATE_MAPPING: MappingRow = Statement::call(
        "directory_create_mapping",
        "storing a mapping",
        concat!("SELECT ", mapping_columns!(), " FROM directory_create_mapping($1, $2, $3, $4, $5)"),
    );
    DELETE_MAPPING: MappingRow = Statement::call(
        "directory_delete_mapping",
        "deleting a mapping",
        concat!("SELECT ", mapping_columns!(), " FROM directory_delete_mapping($1, $2)"),
    );
    ACCESS_TOKEN: AccessTokenRow = Statement::call(
        "directory_access_token",
        "looking up an access token",
        concat!("SELECT ", access_token_columns!(), " FROM directory_access_token($1)"),
    );
    RECORD_CHANGE: () = Statement::insert(
        "audit_logs",
        "appending to a tenant's audit log",
        "INSERT INTO audit_logs (id, tenant_id, user_id, event_type, resource_type, resource_id, result_status,
                                 metadata, created_at, correlation_id, request_id, phase)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, 'event')",
    );
}

/// The [`TenantDirectory`] implementation for PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgTenantDirectory {
    database: Database,
}

impl PgTenantDirectory {
    /// Creates a directory from a connection pool of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl TenantDirectory for PgTenantDirectory {
    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, StoreError> {
        if id_or_slug.contains('\0') {
            return Ok(None);
        }
        let mut connection = self.database.acquire("looking up a tenant").await?;
        TENANT.query().bind(id_or_slug).fetch_optional(&mut connection).await
    }

    async fn list_tenants(&self, page: &PageRequest) -> Result<Page<Tenant>, StoreError> {
        let keyset = KeysetParams::new(page);
        let mut connection = self.database.acquire("listing tenants").await?;
        let query = LIST.query().bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = query.fetch_all(&mut connection).await?;
        Ok(Page::from_rows(rows, page, |row: &Tenant| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_tenant(&self, tenant: NewTenant) -> Result<Tenant, StoreError> {
        let mut connection = self.database.acquire("storing a tenant").await?;
        let query = CREATE.query().bind(tenant.id.as_uuid()).bind(&tenant.name).bind(&tenant.slug);
        query.fetch_one(&mut connection).await
    }

    async fn update_tenant(
        &self,
        id: TenantId,
        patch: TenantPatch,
        changed_by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let mut tx = self.database.begin(RowScope::tenant(id.as_uuid())).await?;
        let before = find_tenant(&mut tx, id).await?;
        let update = UPDATE.query().bind(id.as_uuid()).bind(&patch.name).bind(patch.is_active);
        let after = update.fetch_optional(&mut tx).await?;
        commit_tenant_change(tx, changed_by, Resource::Tenants, before.zip(after)).await
    }

    async fn replace_settings(
        &self,
        id: TenantId,
        settings: &TenantSettings,
        expected_version: i64,
        changed_by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let mut tx = self.database.begin(RowScope::tenant(id.as_uuid())).await?;
        let before = find_tenant(&mut tx, id).await?;
        let after = CONFIGURE
            .query()
            .bind(id.as_uuid())
            .bind(TenantSettings::KEYS)
            .bind(Json(settings))
            .bind(expected_version)
            .bind(changed_by.user.map(|id| id.as_uuid()))
            .fetch_optional(&mut tx)
            .await?;
        commit_tenant_change(tx, changed_by, Resource::TenantSettings, before.zip(after)).await
    }

    async fn mapped_tenant(&self, issuer: &str, claim: &str) -> Result<Option<Tenant>, StoreError> {
        if claim.contains('\0') {
            return Ok(None);
        }
        let mut connection = self.database.acquire("looking up a mapped tenant").await?;
        MAPPED_TENANT.query().bind(issuer).bind(claim).fetch_optional(&mut connection).await
    }

    async fn settings_versions(&self, id: TenantId, page: &PageRequest) -> Result<Page<SettingsVersion>, StoreError> {
        let before_version = page.after.map(|key| i64::try_from(key.id.as_u128()).unwrap_or(i64::MAX));
        let mut connection = self.database.acquire("reading a tenant's earlier settings").await?;
        let query =
            SETTINGS_VERSIONS.query().bind(id.as_uuid()).bind(before_version).bind(KeysetParams::new(page).limit);
        let rows = query.fetch_all(&mut connection).await?;
        Ok(Page::from_rows(rows, page, settings_version_key))
    }

    async fn list_mappings(&self, tenant: TenantId, page: &PageRequest) -> Result<Page<TenantMapping>, StoreError> {
        let keyset = KeysetParams::new(page);
        let mut connection = self.database.acquire("listing mappings").await?;
        let query =
            LIST_MAPPINGS.query().bind(tenant.as_uuid()).bind(keyset.created_at).bind(keyset.id).bind(keyset.limit);
        let rows = query.fetch_all(&mut connection).await?;
        Ok(Page::from_rows(rows, page, |row: &TenantMapping| PageKey {
            created_at: row.created_at,
            id: row.id.as_uuid(),
        }))
    }

    async fn create_mapping(
        &self,
        mapping: NewMapping,
        changed_by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let mut tx = self.database.begin(RowScope::tenant(mapping.tenant.as_uuid())).await?;
        let created_mapping = CREATE_MAPPING
            .query()
            .bind(mapping.id.as_uuid())
            .bind(mapping.tenant.as_uuid())
            .bind(&mapping.issuer)
            .bind(&mapping.claim)
            .bind(changed_by.user.map(|user| user.as_uuid()))
            .fetch_optional(&mut tx)
            .await?;
        commit_mapping_change(tx, changed_by, created_mapping, tenant_change::new_mapping_metadata).await
    }

    async fn delete_mapping(
        &self,
        tenant: TenantId,
        id: MappingId,
        changed_by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let mut tx = self.database.begin(RowScope::tenant(tenant.as_uuid())).await?;
        let delete = DELETE_MAPPING.query().bind(tenant.as_uuid()).bind(id.as_uuid());
        let deleted_mapping = delete.fetch_optional(&mut tx).await?;
        commit_mapping_change(tx, changed_by, deleted_mapping, tenant_change::deleted_mapping_metadata).await
    }

    async fn access_token(&self, hash: &str) -> Result<Option<TenantAccessToken>, StoreError> {
        let mut connection = self.database.acquire("looking up an access token").await?;
        ACCESS_TOKEN.query().bind(hash).fetch_optional(&mut connection).await
    }
}

async fn find_tenant(connection: &mut PgConnection, id: TenantId) -> Result<Option<Tenant>, StoreError> {
    TENANT.query().bind(id.to_string()).fetch_optional(connection).await
}

/// Appends a change of a tenant to that tenant's audit log and commits both. `before_and_after` is the tenant before
/// and after the change. If it is `None` (no such tenant, or a version conflict), rolls back.
async fn commit_tenant_change(
    mut tx: Transaction<'static, Postgres>,
    changed_by: &ChangedBy,
    resource: Resource,
    before_and_after: Option<(Tenant, Tenant)>,
) -> Result<Option<Tenant>, StoreError> {
    let Some((before, after)) = before_and_after else { return Ok(None) };
    let metadata = tenant_change::tenant_change_metadata(&Change { before, after: after.clone() });
    record_change(&mut tx, changed_by, ChangeTarget { resource, id: after.id.as_uuid() }, metadata).await?;
    tx.commit().await.map_err(store_error("committing"))?;
    Ok(Some(after))
}

/// Appends a change of a mapping to the tenant's audit log and commits both. If `mapping` is `None`, nothing was
/// changed, and the transaction is rolled back.
async fn commit_mapping_change(
    mut tx: Transaction<'static, Postgres>,
    changed_by: &ChangedBy,
    mapping: Option<TenantMapping>,
    to_metadata: fn(&TenantMapping) -> Value,
) -> Result<Option<TenantMapping>, StoreError> {
    let Some(mapping) = mapping else { return Ok(None) };
    let target = ChangeTarget { resource: Resource::TenantMappings, id: mapping.id.as_uuid() };
    record_change(&mut tx, changed_by, target, to_metadata(&mapping)).await?;
    tx.commit().await.map_err(store_error("committing"))?;
    Ok(Some(mapping))
}

/// The resource that a change applies to.
struct ChangeTarget {
    resource: Resource,
    id: Uuid,
}

/// Appends a change made by someone outside the tenant to the audit log of the transaction's tenant.
async fn record_change(
    connection: &mut PgConnection,
    changed_by: &ChangedBy,
    target: ChangeTarget,
    metadata: Value,
) -> Result<(), StoreError> {
    let Some(row) = &changed_by.audit_row else { return Ok(()) };
    RECORD_CHANGE
        .query()
        .bind(row.id.as_uuid())
        .bind(changed_by.user.map(|user| user.as_uuid()))
        .bind(row.event.as_str())
        .bind(target.resource.as_str())
        .bind(target.id)
        .bind(ResultStatus::Success.as_str())
        .bind(tenant_change::mark_as_platform_admin_change(metadata))
        .bind(row.at)
        .bind(row.correlation_id.as_uuid())
        .bind(row.request_id.as_str())
        .execute(connection)
        .await
}

/// The page key of a settings version. Versions have a number but no id, so the key carries the number as its id.
fn settings_version_key(version: &SettingsVersion) -> PageKey {
    PageKey { created_at: version.changed_at, id: Uuid::from_u128(version.version.unsigned_abs().into()) }
}

impl From<SettingsVersionRow> for SettingsVersion {
    fn from(row: SettingsVersionRow) -> Self {
        Self {
            version: row.version,
            settings: row.config.0,
            changed_by: row.changed_by.map(UserId::from_uuid),
            changed_at: row.changed_at,
        }
    }
}

impl From<MappingRow> for TenantMapping {
    fn from(row: MappingRow) -> Self {
        Self {
            id: row.id.into(),
            tenant: row.tenant_id.into(),
            issuer: row.issuer,
            claim: row.claim_value,
            created_at: row.created_at,
        }
    }
}

impl From<TenantRow> for Tenant {
    fn from(row: TenantRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            slug: row.slug,
            settings: row.config.0,
            settings_version: row.config_version,
            is_active: row.is_active,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
