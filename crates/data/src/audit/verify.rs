//! Verifies the log in the database, as the auditor's role: every row against its hash, every hash against the chain, the
//! chain against signed checkpoints, and that there is no row that came in past the chain.
//!
//! No function of the database is believed: rows are turned into text by an expression of built-in functions, and hashed
//! here.

use super::sealed_rows::{checkpoint, hash, retirement};
use super::signature::TrustedKeys;
use super::walk::{ChainEntry, StreamReport, Walk};
use crate::error::failed;
use crate::pool::Database;
use domain::audit::sealed::{ChainHash, Checkpoint};
use domain::ports::StoreError;
use futures::TryStreamExt as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, Row, Transaction};
use std::collections::BTreeSet;
use uuid::Uuid;

const DOING: &str = "verifying the audit log";

/// `audit_canonical` of migration 11, spelled out so that nobody who can replace that function can deceive this.
const ENTRIES: &str = "
    SELECT c.seq, c.audit_id, (extract(epoch FROM c.at) * 1000000)::bigint AS at_micros, c.row_hash, c.chain_hash,
           CASE WHEN l.id IS NOT NULL THEN
               jsonb_build_array(1, l.tenant_id, l.id, l.user_id, l.session_id, l.event_type, l.resource_type, l.resource_id,
                                 l.model, l.tools_used, l.request_hash, l.result_status, l.latency_ms, l.metadata,
                                 (extract(epoch FROM l.created_at) * 1000000)::bigint, l.correlation_id, l.request_id,
                                 l.phase)::text
           END AS canonical
    FROM audit_chain c LEFT JOIN audit_logs l ON l.tenant_id = c.tenant_id AND l.id = c.audit_id
    WHERE c.tenant_id = $1
    ORDER BY c.seq";

/// Rows that have neither a place nor wait for one; and of those that wait, the ones that are not what was written.
const PAST_THE_CHAIN: &str = "
    SELECT l.id, 'the row came in past the chain' AS what
    FROM audit_logs l
    WHERE l.tenant_id = $1
      AND NOT EXISTS (SELECT FROM audit_chain c WHERE c.tenant_id = l.tenant_id AND c.audit_id = l.id)
      AND NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.tenant_id = l.tenant_id AND u.audit_id = l.id)
    UNION ALL
    SELECT u.audit_id, CASE WHEN l.id IS NULL THEN 'the row was deleted before it was sealed'
                            ELSE 'the row was changed before it was sealed' END
    FROM audit_unsealed u LEFT JOIN audit_logs l ON l.tenant_id = u.tenant_id AND l.id = u.audit_id
    WHERE u.tenant_id = $1
      AND (l.id IS NULL
           OR sha256(convert_to(
               jsonb_build_array(1, l.tenant_id, l.id, l.user_id, l.session_id, l.event_type, l.resource_type, l.resource_id,
                                 l.model, l.tools_used, l.request_hash, l.result_status, l.latency_ms, l.metadata,
                                 (extract(epoch FROM l.created_at) * 1000000)::bigint, l.correlation_id, l.request_id,
                                 l.phase)::text, 'UTF8')) <> u.row_hash)
    ORDER BY 1 LIMIT 100";

/// Verifies the log in a database.
#[derive(Clone, Debug)]
pub struct AuditVerifier {
    database: Database,
    keys: TrustedKeys,
}

impl AuditVerifier {
    /// Over connections of the auditor's role.
    #[must_use]
    pub fn new(database: Database, keys: TrustedKeys) -> Self {
        Self { database, keys }
    }

    /// The tenants that the log or `outside` knows, the platform's own stream (nil) among them.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn streams(&self, outside: &[Checkpoint]) -> Result<Vec<Uuid>, StoreError> {
        let mut transaction = self.database.begin_snapshot(Uuid::nil().to_string()).await?;
        unhurried(&mut transaction).await?;
        let known: Vec<Uuid> = sqlx::query_scalar("SELECT * FROM audit_streams()")
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed(DOING))?;
        let all: BTreeSet<Uuid> = known.into_iter().chain(outside.iter().map(|signed| signed.tenant_id)).collect();
        Ok(all.into_iter().collect())
    }

    /// Verifies one tenant's log in one snapshot. `outside` are the checkpoints that were kept elsewhere; without them the
    /// removal of the log's end together with its checkpoints cannot be noticed.
    ///
    /// # Errors
    /// Where the database fails; what does not hold is in the report.
    pub async fn verify(&self, tenant: Uuid, outside: &[Checkpoint]) -> Result<StreamReport, StoreError> {
        let mut transaction = self.database.begin_snapshot(tenant.to_string()).await?;
        unhurried(&mut transaction).await?;
        let mut checkpoints = checkpoints(&mut transaction, tenant).await?;
        let removed = outside
            .iter()
            .filter(|kept| kept.tenant_id == tenant)
            // Two processes that start at once sign the same end; the database keeps one of the two signatures.
            .filter(|kept| !checkpoints.iter().any(|c| (c.seq, c.chain_hash) == (kept.seq, kept.chain_hash)))
            .cloned()
            .collect::<Vec<_>>();
        checkpoints.extend(removed.iter().cloned());
        let retirements = sqlx::query("SELECT * FROM audit_retirements WHERE tenant_id = $1")
            .bind(tenant)
            .try_map(retirement)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed(DOING))?;
        let mut walk = Walk::new(tenant, &checkpoints, &retirements, &self.keys);
        self.walk(&mut transaction, tenant, &mut walk).await?;
        let mut report = walk.end();
        for gone in &removed {
            report.add(Some(gone.seq), None, "a checkpoint that was kept elsewhere is not in the database");
        }
        past_the_chain(&mut transaction, tenant, &mut report).await?;
        Ok(report)
    }

    async fn walk(
        &self,
        transaction: &mut Transaction<'static, Postgres>,
        tenant: Uuid,
        walk: &mut Walk,
    ) -> Result<(), StoreError> {
        let mut rows = sqlx::query(ENTRIES).bind(tenant).try_map(entry).fetch(&mut **transaction);
        while let Some(entry) = rows.try_next().await.map_err(failed(DOING))? {
            walk.entry(&entry);
        }
        Ok(())
    }
}

fn entry(row: PgRow) -> Result<ChainEntry, sqlx::Error> {
    let canonical: Option<&str> = row.try_get("canonical")?;
    Ok(ChainEntry {
        seq: row.try_get("seq")?,
        audit_id: row.try_get("audit_id")?,
        at_micros: row.try_get("at_micros")?,
        row_hash: hash(&row, "row_hash")?,
        chain_hash: hash(&row, "chain_hash")?,
        computed: canonical.map(|text| ChainHash::of(text.as_bytes())),
    })
}

async fn checkpoints(connection: &mut PgConnection, tenant: Uuid) -> Result<Vec<Checkpoint>, StoreError> {
    sqlx::query("SELECT * FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY seq")
        .bind(tenant)
        .try_map(checkpoint)
        .fetch_all(connection)
        .await
        .map_err(failed(DOING))
}

async fn past_the_chain(
    connection: &mut PgConnection,
    tenant: Uuid,
    report: &mut StreamReport,
) -> Result<(), StoreError> {
    let strays: Vec<(Uuid, String)> =
        sqlx::query_as(PAST_THE_CHAIN).bind(tenant).fetch_all(&mut *connection).await.map_err(failed(DOING))?;
    for (id, what) in strays {
        report.add(None, Some(id), what);
    }
    let unsealed: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_unsealed WHERE tenant_id = $1")
        .bind(tenant)
        .fetch_one(connection)
        .await
        .map_err(failed(DOING))?;
    report.unsealed = u64::try_from(unsealed).unwrap_or_default();
    Ok(())
}

/// A whole log takes longer than a request may, and sorts more.
pub(super) async fn unhurried(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT set_config('statement_timeout', '0', true), set_config('work_mem', '128MB', true)")
        .execute(connection)
        .await
        .map(drop)
        .map_err(failed(DOING))
}
