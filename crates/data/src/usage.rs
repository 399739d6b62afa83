//! What the transaction's tenant uses.

use crate::error::failed;
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::ports::{StoreError, UsageRepo};
use domain::run::Usage;
use domain::tenant::Holdings;
use domain::time::Date;
use sqlx::Row;
use sqlx::postgres::PgRow;

#[async_trait]
impl UsageRepo for PgTenantTx {
    async fn kept(&mut self) -> Result<Holdings, StoreError> {
        let kept = sqlx::query("SELECT documents, bytes FROM tenant_usage WHERE tenant_id = app_tenant()")
            .try_map(|row: PgRow| {
                Ok(Holdings { documents: count(row.try_get("documents")?), bytes: count(row.try_get("bytes")?) })
            })
            .fetch_optional(self.connection())
            .await
            .map_err(failed("reading what a tenant keeps"))?;
        Ok(kept.unwrap_or_default())
    }

    async fn tokens_on(&mut self, day: Date) -> Result<u64, StoreError> {
        let used: Option<i64> = sqlx::query_scalar(
            "SELECT input_tokens + output_tokens FROM tenant_token_usage
             WHERE tenant_id = app_tenant() AND day = $1",
        )
        .bind(day)
        .fetch_optional(self.connection())
        .await
        .map_err(failed("reading a tenant's tokens"))?;
        Ok(count(used.unwrap_or_default()))
    }

    async fn add_tokens(&mut self, day: Date, used: Usage) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tenant_token_usage AS known (tenant_id, day, input_tokens, output_tokens)
             VALUES (app_tenant(), $1, $2, $3)
             ON CONFLICT (tenant_id, day) DO UPDATE
             SET input_tokens = known.input_tokens + excluded.input_tokens,
                 output_tokens = known.output_tokens + excluded.output_tokens",
        )
        .bind(day)
        .bind(i64::from(used.input_tokens))
        .bind(i64::from(used.output_tokens))
        .execute(self.connection())
        .await
        .map(drop)
        .map_err(failed("counting tokens"))
    }
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
