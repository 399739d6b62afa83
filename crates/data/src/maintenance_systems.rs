//! The tenant's maintenance system, with its encrypted secret.

use crate::rows::TextEnum;
use crate::statement::{Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ids::UserId;
use domain::maintenance::{MaintenanceKind, MaintenanceOptions, MaintenanceSettings};
use domain::ports::{MaintenanceSystemRepo, StoreError};
use domain::time::Timestamp;
use sqlx::types::Json;

row! {
    struct MaintenanceSystemRow, columns = maintenance_system_columns {
        kind: TextEnum<MaintenanceKind>,
        options: Json<MaintenanceOptions>,
        sealed_secret: Option<Vec<u8>>,
        updated_at: Timestamp,
    }
}

statements! {
    GET: MaintenanceSystemRow = Statement::select(
        "maintenance_systems",
        "reading the maintenance system",
        concat!("SELECT ", maintenance_system_columns!(), " FROM maintenance_systems"),
    );
    PUT: () = Statement::insert(
        "maintenance_systems",
        "setting the maintenance system",
        "INSERT INTO maintenance_systems (tenant_id, kind, options, sealed_secret, updated_by, updated_at)
         VALUES (app_tenant(), $1, $2, $3, $4, coalesce($5::timestamptz, now()))
         ON CONFLICT (tenant_id) DO UPDATE
         SET kind = excluded.kind, options = excluded.options, sealed_secret = excluded.sealed_secret,
             updated_by = excluded.updated_by, updated_at = excluded.updated_at",
    );
}

#[async_trait]
impl MaintenanceSystemRepo for PgTenantTx {
    async fn get(&mut self) -> Result<MaintenanceSettings, StoreError> {
        let settings: Option<MaintenanceSettings> = GET.query().fetch_optional(self.connection()).await?;
        Ok(settings.unwrap_or_else(MaintenanceSettings::builtin))
    }

    async fn put(&mut self, settings: &MaintenanceSettings, by: Option<UserId>) -> Result<(), StoreError> {
        PUT.query()
            .bind(settings.kind.as_str())
            .bind(Json(&settings.options))
            .bind(settings.sealed_secret.as_deref())
            .bind(by.map(|by| by.as_uuid()))
            .bind(settings.updated_at)
            .execute(self.connection())
            .await
    }
}

impl From<MaintenanceSystemRow> for MaintenanceSettings {
    fn from(row: MaintenanceSystemRow) -> Self {
        Self {
            kind: row.kind.0,
            options: row.options.0,
            sealed_secret: row.sealed_secret,
            updated_at: Some(row.updated_at),
        }
    }
}
