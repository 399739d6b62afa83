//! Maintenance of the audit log: sealing rows into the hash chain, storing checkpoints, closing operations that dead
//! processes left open, and creating the next months' partitions. All of it runs in database functions, because the
//! application's role may only insert rows into the log.

use crate::pool::Database;
use crate::rows::AuditHashColumn;
use crate::statement::{Scalar, Statement, row, statements};
use domain::audit::chain::{AuditHash, Checkpoint, decode_hex};
use domain::ports::StoreError;
use uuid::Uuid;

row! {
    struct HeadRow, columns = head_columns {
        tenant: Uuid,
        seq: i64,
        chain_hash: AuditHashColumn,
    }
}

statements! {
    SEAL: HeadRow = Statement::call(
        "audit_seal",
        "sealing the audit log",
        concat!("SELECT ", head_columns!(), " FROM audit_seal($1)"),
    );
    UNSIGNED_HEADS: HeadRow = Statement::call(
        "audit_unproven_heads",
        "reading the heads of the audit log",
        concat!("SELECT ", head_columns!(), " FROM audit_unproven_heads()"),
    );
    STORE_CHECKPOINT: () = Statement::call(
        "audit_keep_checkpoint",
        "storing a checkpoint of the audit log",
        "SELECT audit_keep_checkpoint($1, $2, $3, $4, $5, $6)",
    );
    DEAD_INSTANCES: Scalar<Uuid> = Statement::call(
        "audit_absent_instances",
        "looking for dead processes",
        "SELECT * FROM audit_absent_instances()",
    );
    CLOSE_ABANDONED_OPERATIONS: Scalar<i64> = Statement::call(
        "audit_recover",
        "closing operations of a dead process",
        "SELECT audit_recover($1)",
    );
    CREATE_PARTITIONS: () = Statement::call(
        "audit_prepare_partitions",
        "preparing the audit log's partitions",
        "SELECT audit_prepare_partitions()",
    );
}

/// The head of a tenant's chain: its last entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChainHead {
    /// The tenant; nil for the platform's own chain.
    pub tenant: Uuid,
    /// Number of the entry, counted from 1.
    pub seq: i64,
    /// Chain hash of that entry.
    pub chain_hash: AuditHash,
}

/// Maintains the audit log. Connects as the application's role.
#[derive(Clone, Debug)]
pub struct AuditMaintenance {
    database: Database,
}

impl AuditMaintenance {
    /// Runs maintenance through a connection pool of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Seals up to `max_rows` rows, that is, appends them to their tenants' chains. Returns the new heads of the chains
    /// that grew. If several processes call this at the same time, one seals and the others get an empty list.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn seal(&self, max_rows: i32) -> Result<Vec<ChainHead>, StoreError> {
        let mut connection = self.database.acquire("sealing the audit log").await?;
        SEAL.query().bind(max_rows).fetch_all(&mut connection).await
    }

    /// Lists the heads that no checkpoint covers yet.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unsigned_heads(&self) -> Result<Vec<ChainHead>, StoreError> {
        let mut connection = self.database.acquire("reading the heads of the audit log").await?;
        UNSIGNED_HEADS.query().fetch_all(&mut connection).await
    }

    /// Stores a signed checkpoint. Does nothing if this signature of the entry is already stored, or if the chain has
    /// no such entry with that hash.
    ///
    /// # Errors
    /// If the signature is not hexadecimal, or the database fails.
    pub async fn store_checkpoint(&self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let signature = decode_hex(&checkpoint.signature);
        let signature = signature.ok_or_else(|| StoreError::Failed {
            activity: "storing a checkpoint of the audit log",
            source: "its signature is not hexadecimal".into(),
        })?;
        let mut connection = self.database.acquire("storing a checkpoint of the audit log").await?;
        STORE_CHECKPOINT
            .query()
            .bind(checkpoint.tenant_id)
            .bind(checkpoint.seq)
            .bind(checkpoint.chain_hash.as_bytes().as_slice())
            .bind(checkpoint.signed_at)
            .bind(&checkpoint.key_id)
            .bind(signature)
            .execute(&mut connection)
            .await
    }

    /// Lists the processes that left operations open and currently do not hold their [`super::LivenessLock`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn dead_instances(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut connection = self.database.acquire("looking for dead processes").await?;
        DEAD_INSTANCES.query().scalars(&mut connection).await
    }

    /// Closes the operations that the dead process `instance` left open, with the outcome `unknown`. `None` closes
    /// operations of any process that are older than a day, and those without a recorded process after 15 minutes.
    /// Returns the number of closed operations; one call closes at most 1000, and none while that process holds its
    /// lock.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn close_abandoned_operations(&self, instance: Option<Uuid>) -> Result<i64, StoreError> {
        let mut connection = self.database.acquire("closing operations of a dead process").await?;
        CLOSE_ABANDONED_OPERATIONS.query().bind(instance).scalar(&mut connection).await
    }

    /// Creates the partitions of the current month and the next two, unless they exist.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn create_partitions(&self) -> Result<(), StoreError> {
        let mut connection = self.database.acquire("preparing the audit log's partitions").await?;
        CREATE_PARTITIONS.query().execute(&mut connection).await
    }
}

impl From<HeadRow> for ChainHead {
    fn from(row: HeadRow) -> Self {
        Self { tenant: row.tenant, seq: row.seq, chain_hash: row.chain_hash.0 }
    }
}
