//! The few cross-tenant operations of the application's role, each a database function of its own.

use crate::access_tokens;
use crate::error::failed;
use crate::pool::Database;
use crate::rows::{Start, id, json};
use async_trait::async_trait;
use domain::access_token::TenantAccessToken;
use domain::audit::{Changed, ResultStatus};
use domain::ids::{MappingId, TenantId};
use domain::mapping::{NewMapping, TenantMapping};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{Directory, NewTenant, StoreError, TenantPatch};
use domain::role::Resource;
use domain::tenant::{SettingsVersion, Tenant, TenantSettings};
use domain::tenant_change::{self, ChangedBy};
use serde_json::Value;
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::types::{Json, Uuid};
use sqlx::{PgConnection, Postgres, Transaction};

/// The directory in PostgreSQL.
#[derive(Clone, Debug)]
pub struct PgDirectory {
    database: Database,
}

impl PgDirectory {
    /// A directory over connections of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl Directory for PgDirectory {
    async fn tenant(&self, id_or_slug: &str) -> Result<Option<Tenant>, StoreError> {
        let doing = "looking up a tenant";
        if id_or_slug.contains('\0') {
            return Ok(None);
        }
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM directory_tenant($1)")
            .bind(id_or_slug)
            .try_map(read)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn list_tenants(&self, page: &PageRequest) -> Result<Page<Tenant>, StoreError> {
        let doing = "listing tenants";
        let start = Start::of(page);
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        let rows = sqlx::query("SELECT * FROM directory_list($1, $2, $3)")
            .bind(start.at)
            .bind(start.id)
            .bind(start.fetch)
            .try_map(read)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(doing))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_tenant(&self, tenant: NewTenant) -> Result<Tenant, StoreError> {
        let doing = "storing a tenant";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM directory_create($1, $2, $3)")
            .bind(tenant.id.as_uuid())
            .bind(&tenant.name)
            .bind(&tenant.slug)
            .try_map(read)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn update_tenant(
        &self,
        id: TenantId,
        patch: TenantPatch,
        by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let doing = "changing a tenant";
        let mut tx = self.database.begin(id.to_string(), String::new()).await?;
        let before = find(&mut tx, id).await.map_err(failed(doing))?;
        let after = sqlx::query("SELECT * FROM directory_update($1, $2, $3)")
            .bind(id.as_uuid())
            .bind(&patch.name)
            .bind(patch.is_active)
            .try_map(read)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        changed(tx, by, Resource::Tenants, before.zip(after)).await
    }

    async fn configure(
        &self,
        id: TenantId,
        settings: &TenantSettings,
        expected: i64,
        by: &ChangedBy,
    ) -> Result<Option<Tenant>, StoreError> {
        let doing = "changing a tenant's settings";
        let mut tx = self.database.begin(id.to_string(), String::new()).await?;
        let before = find(&mut tx, id).await.map_err(failed(doing))?;
        let after = sqlx::query("SELECT * FROM directory_configure($1, $2, $3, $4, $5)")
            .bind(id.as_uuid())
            .bind(TenantSettings::KEYS)
            .bind(Json(settings))
            .bind(expected)
            .bind(by.user.map(|id| id.as_uuid()))
            .try_map(read)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        changed(tx, by, Resource::TenantSettings, before.zip(after)).await
    }

    async fn mapped_tenant(&self, issuer: &str, claim: &str) -> Result<Option<Tenant>, StoreError> {
        let doing = "looking up a mapped tenant";
        if claim.contains('\0') {
            return Ok(None);
        }
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM directory_mapped_tenant($1, $2)")
            .bind(issuer)
            .bind(claim)
            .try_map(read)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    async fn settings_versions(&self, id: TenantId, page: &PageRequest) -> Result<Page<SettingsVersion>, StoreError> {
        let doing = "reading a tenant's earlier settings";
        let older_than = page.after.map(|key| i64::try_from(key.id.as_u128()).unwrap_or(i64::MAX));
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        let rows = sqlx::query("SELECT * FROM directory_settings_versions($1, $2, $3)")
            .bind(id.as_uuid())
            .bind(older_than)
            .bind(Start::of(page).fetch)
            .try_map(version)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(doing))?;
        Ok(Page::from_rows(rows, page, place))
    }

    async fn list_mappings(&self, tenant: TenantId, page: &PageRequest) -> Result<Page<TenantMapping>, StoreError> {
        let doing = "listing mappings";
        let start = Start::of(page);
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        let rows = sqlx::query("SELECT * FROM directory_list_mappings($1, $2, $3, $4)")
            .bind(tenant.as_uuid())
            .bind(start.at)
            .bind(start.id)
            .bind(start.fetch)
            .try_map(read_mapping)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(doing))?;
        Ok(Page::from_rows(rows, page, |row| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn create_mapping(&self, mapping: NewMapping, by: &ChangedBy) -> Result<Option<TenantMapping>, StoreError> {
        let doing = "storing a mapping";
        let mut tx = self.database.begin(mapping.tenant.to_string(), String::new()).await?;
        let made = sqlx::query("SELECT * FROM directory_create_mapping($1, $2, $3, $4, $5)")
            .bind(mapping.id.as_uuid())
            .bind(mapping.tenant.as_uuid())
            .bind(&mapping.issuer)
            .bind(&mapping.claim)
            .bind(by.user.map(|user| user.as_uuid()))
            .try_map(read_mapping)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        mapped(tx, by, made, tenant_change::of_new_mapping).await
    }

    async fn delete_mapping(
        &self,
        tenant: TenantId,
        id: MappingId,
        by: &ChangedBy,
    ) -> Result<Option<TenantMapping>, StoreError> {
        let doing = "deleting a mapping";
        let mut tx = self.database.begin(tenant.to_string(), String::new()).await?;
        let deleted = sqlx::query("SELECT * FROM directory_delete_mapping($1, $2)")
            .bind(tenant.as_uuid())
            .bind(id.as_uuid())
            .try_map(read_mapping)
            .fetch_optional(&mut *tx)
            .await
            .map_err(failed(doing))?;
        mapped(tx, by, deleted, tenant_change::of_deleted_mapping).await
    }

    async fn access_token(&self, hash: &str) -> Result<Option<TenantAccessToken>, StoreError> {
        let doing = "looking up an access token";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM directory_access_token($1)")
            .bind(hash)
            .try_map(|row: PgRow| {
                Ok(TenantAccessToken { tenant: id(&row, "tenant_id")?, token: access_tokens::read(row)? })
            })
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(doing))
    }
}

async fn find(connection: &mut PgConnection, id: TenantId) -> Result<Option<Tenant>, sqlx::Error> {
    let found = sqlx::query("SELECT * FROM directory_tenant($1)").bind(id.to_string()).try_map(read);
    found.fetch_optional(connection).await
}

/// Commits a change of a tenant with its row in the tenant's own audit log.
async fn changed(
    mut tx: Transaction<'static, Postgres>,
    by: &ChangedBy,
    resource: Resource,
    states: Option<(Tenant, Tenant)>,
) -> Result<Option<Tenant>, StoreError> {
    let Some((before, after)) = states else { return Ok(None) };
    let facts = tenant_change::of_tenant(&Changed { before, after: after.clone() });
    record(&mut tx, by, (resource, after.id.as_uuid()), facts).await?;
    tx.commit().await.map_err(failed("committing"))?;
    Ok(Some(after))
}

/// Commits a change of a mapping with its row in the tenant's own audit log.
async fn mapped(
    mut tx: Transaction<'static, Postgres>,
    by: &ChangedBy,
    mapping: Option<TenantMapping>,
    facts: fn(&TenantMapping) -> Value,
) -> Result<Option<TenantMapping>, StoreError> {
    let Some(mapping) = mapping else { return Ok(None) };
    record(&mut tx, by, (Resource::TenantMappings, mapping.id.as_uuid()), facts(&mapping)).await?;
    tx.commit().await.map_err(failed("committing"))?;
    Ok(Some(mapping))
}

/// Writes the row of a change from outside into the log of the transaction's tenant.
async fn record(
    connection: &mut PgConnection,
    by: &ChangedBy,
    about: (Resource, Uuid),
    facts: Value,
) -> Result<(), StoreError> {
    let Some(row) = &by.row else { return Ok(()) };
    sqlx::query(
        "INSERT INTO audit_logs (id, tenant_id, user_id, event_type, resource_type, resource_id, result_status, metadata,
                                 created_at, correlation_id, request_id, phase)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, 'event')",
    )
    .bind(row.id.as_uuid())
    .bind(by.user.map(|user| user.as_uuid()))
    .bind(row.event.as_str())
    .bind(about.0.as_str())
    .bind(about.1)
    .bind(ResultStatus::Success.as_str())
    .bind(tenant_change::from_outside(facts))
    .bind(row.at)
    .bind(row.correlation.as_uuid())
    .bind(row.request.as_str())
    .execute(connection)
    .await
    .map(drop)
    .map_err(failed("appending to a tenant's audit log"))
}

/// A version as a page's key: counted, so that its number stands for the id.
fn place(version: &SettingsVersion) -> PageKey {
    PageKey { at: version.changed_at, id: Uuid::from_u128(version.version.unsigned_abs().into()) }
}

fn version(row: PgRow) -> Result<SettingsVersion, sqlx::Error> {
    Ok(SettingsVersion {
        version: row.try_get("version")?,
        settings: json(&row, "config")?,
        changed_by: row.try_get::<Option<Uuid>, _>("changed_by")?.map(Into::into),
        changed_at: row.try_get("changed_at")?,
    })
}

fn read_mapping(row: PgRow) -> Result<TenantMapping, sqlx::Error> {
    Ok(TenantMapping {
        id: id(&row, "id")?,
        tenant: id(&row, "tenant_id")?,
        issuer: row.try_get("issuer")?,
        claim: row.try_get("claim_value")?,
        created_at: row.try_get("created_at")?,
    })
}

fn read(row: PgRow) -> Result<Tenant, sqlx::Error> {
    Ok(Tenant {
        id: id(&row, "id")?,
        name: row.try_get("name")?,
        slug: row.try_get("slug")?,
        settings: json(&row, "config")?,
        settings_version: row.try_get("config_version")?,
        is_active: row.try_get("is_active")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
