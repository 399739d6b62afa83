//! The few cross-tenant operations of the application's role, each a database function of its own.

use crate::error::failed;
use crate::pool::Database;
use crate::rows::{Start, id, json};
use async_trait::async_trait;
use domain::ids::TenantId;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{Directory, NewTenant, StoreError, TenantPatch};
use domain::tenant::Tenant;
use sqlx::Row;
use sqlx::postgres::PgRow;

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

    async fn update_tenant(&self, id: TenantId, patch: TenantPatch) -> Result<Option<Tenant>, StoreError> {
        let doing = "changing a tenant";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM directory_update($1, $2, $3)")
            .bind(id.as_uuid())
            .bind(&patch.name)
            .bind(patch.is_active)
            .try_map(read)
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed(doing))
    }
}

fn read(row: PgRow) -> Result<Tenant, sqlx::Error> {
    Ok(Tenant {
        id: id(&row, "id")?,
        name: row.try_get("name")?,
        slug: row.try_get("slug")?,
        settings: json(&row, "config")?,
        is_active: row.try_get("is_active")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}
