//! What a process of the platform does for the log beside writing it: seal, checkpoint, close what dead processes left
//! open, make next month's partition. All of it in functions of the database; the application's role can do no more.

use super::sealed_rows::hash;
use crate::error::failed;
use crate::pool::Database;
use domain::audit::sealed::{ChainHash, Checkpoint, decode_hex};
use domain::ports::StoreError;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// The end of a tenant's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The tenant; nil for the platform's own stream.
    pub tenant: Uuid,
    /// The place.
    pub seq: i64,
    /// The chain's hash there.
    pub chain_hash: ChainHash,
}

/// Keeps the log, over connections of the application's role.
#[derive(Clone, Debug)]
pub struct AuditKeeper {
    database: Database,
}

impl AuditKeeper {
    /// Over connections of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Gives up to `at_most` rows their place in their tenants' chains; the new ends of the chains that grew. Of several
    /// processes that ask at once, one seals and the others get nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn seal(&self, at_most: i32) -> Result<Vec<Head>, StoreError> {
        let doing = "sealing the audit log";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM audit_seal($1)")
            .bind(at_most)
            .try_map(head)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    /// The ends of chains that no checkpoint covers.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn unproven_heads(&self) -> Result<Vec<Head>, StoreError> {
        let doing = "reading the ends of the audit log";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT * FROM audit_unproven_heads()")
            .try_map(head)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    /// Stores a checkpoint; one that is there already stays.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn keep_checkpoint(&self, signed: &Checkpoint) -> Result<(), StoreError> {
        let doing = "storing a checkpoint of the audit log";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT audit_keep_checkpoint($1, $2, $3, $4, $5, $6)")
            .bind(signed.tenant_id)
            .bind(signed.seq)
            .bind(signed.chain_hash.as_bytes().as_slice())
            .bind(signed.at)
            .bind(&signed.key_id)
            .bind(decode_hex(&signed.signature).unwrap_or_default())
            .execute(&mut *connection)
            .await
            .map(drop)
            .map_err(failed(doing))
    }

    /// Processes that left something open and do not hold their lock at this moment.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn absent_instances(&self) -> Result<Vec<Uuid>, StoreError> {
        let doing = "looking for dead processes";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query_scalar("SELECT * FROM audit_absent_instances()")
            .fetch_all(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    /// Closes what a dead process left open, with the outcome `unknown`; `None`: what no process is known for and is a
    /// quarter of an hour old. Returns how many, a thousand at most.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn recover(&self, gone: Option<Uuid>) -> Result<i64, StoreError> {
        let doing = "closing operations of a dead process";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query_scalar("SELECT audit_recover($1)")
            .bind(gone)
            .fetch_one(&mut *connection)
            .await
            .map_err(failed(doing))
    }

    /// Makes the partitions of this month and the next two.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn prepare_partitions(&self) -> Result<(), StoreError> {
        let doing = "preparing the audit log's partitions";
        let mut connection = self.database.acquire().await.map_err(failed(doing))?;
        sqlx::query("SELECT audit_prepare_partitions()")
            .execute(&mut *connection)
            .await
            .map(drop)
            .map_err(failed(doing))
    }
}

fn head(row: PgRow) -> Result<Head, sqlx::Error> {
    Ok(Head { tenant: row.try_get("tenant")?, seq: row.try_get("seq")?, chain_hash: hash(&row, "chain_hash")? })
}
