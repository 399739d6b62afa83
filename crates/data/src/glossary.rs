//! Versions of the tenant's own glossary.

use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::glossary::{Concept, Concepts, GlossaryVersion};
use domain::ports::{GlossaryRepo, StoreError};
use domain::time::Timestamp;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    struct GlossaryVersionRow, columns = glossary_version_columns {
        version: i64,
        concepts: Json<Vec<Concept>>,
        changed_by: Option<Uuid>,
        changed_at: Timestamp,
    }
}

statements! {
    CURRENT_VERSION: Scalar<i64> = Statement::select(
        "glossary_versions",
        "reading the number of the glossary's version",
        "SELECT coalesce(max(version), 0) FROM glossary_versions",
    );
    GET: GlossaryVersionRow = Statement::select(
        "glossary_versions",
        "reading the glossary",
        concat!(
            "SELECT ",
            glossary_version_columns!(),
            " FROM glossary_versions WHERE $1::bigint IS NULL OR version = $1 ORDER BY version DESC LIMIT 1"
        ),
    );
    INSERT: () = Statement::insert(
        "glossary_versions",
        "storing the glossary",
        "INSERT INTO glossary_versions (tenant_id, version, concepts, changed_by, changed_at)
         VALUES (app_tenant(), $1, $2, $3, coalesce($4::timestamptz, now()))
         ON CONFLICT (tenant_id, version) DO NOTHING",
    );
    DELETE_UP_TO: () = Statement::delete(
        "glossary_versions",
        "deleting old versions of the glossary",
        "DELETE FROM glossary_versions WHERE version <= $1",
    );
}

#[async_trait]
impl GlossaryRepo for PgTenantTx {
    async fn current_version(&mut self) -> Result<i64, StoreError> {
        CURRENT_VERSION.query().scalar(self.connection()).await
    }

    async fn get(&mut self, version: Option<i64>) -> Result<Option<GlossaryVersion>, StoreError> {
        GET.query().bind(version).fetch_optional(self.connection()).await
    }

    async fn insert(&mut self, version: &GlossaryVersion) -> Result<bool, StoreError> {
        let inserted = INSERT
            .query()
            .bind(version.version)
            .bind(Json(version.concepts.as_slice()))
            .bind(version.changed_by.map(|user| user.as_uuid()))
            .bind(version.changed_at)
            .rows_affected(self.connection())
            .await?;
        DELETE_UP_TO.query().bind(version.version - GlossaryVersion::KEPT).execute(self.connection()).await?;
        Ok(inserted > 0)
    }
}

impl From<GlossaryVersionRow> for GlossaryVersion {
    fn from(row: GlossaryVersionRow) -> Self {
        Self {
            version: row.version,
            concepts: Concepts::from_stored(row.concepts.0),
            changed_by: row.changed_by.map(Into::into),
            changed_at: Some(row.changed_at),
        }
    }
}
