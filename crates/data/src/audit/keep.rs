//! What a process of the platform does for the log beside appending to it: seal, checkpoint, close what dead processes
//! left open, create next month's partition. All of it happens in functions of the database, because the application's
//! role has no other rights on the log.

use crate::pool::Database;
use crate::rows::Hash;
use crate::statement::{Scalar, Statement, row, statements};
use domain::audit::sealed::{ChainHash, Checkpoint, decode_hex};
use domain::ports::StoreError;
use uuid::Uuid;

row! {
    struct HeadRow, columns = head_columns {
        tenant: Uuid,
        seq: i64,
        chain_hash: Hash,
    }
}

statements! {
    SEAL: HeadRow = Statement::call(
        "audit_seal",
        "sealing the audit log",
        concat!("SELECT ", head_columns!(), " FROM audit_seal($1)"),
    );
    UNPROVEN_HEADS: HeadRow = Statement::call(
        "audit_unproven_heads",
        "reading the heads of the audit log",
        concat!("SELECT ", head_columns!(), " FROM audit_unproven_heads()"),
    );
    KEEP_CHECKPOINT: () = Statement::call(
        "audit_keep_checkpoint",
        "storing a checkpoint of the audit log",
        "SELECT audit_keep_checkpoint($1, $2, $3, $4, $5, $6)",
    );
    ABSENT_INSTANCES: Scalar<Uuid> = Statement::call(
        "audit_absent_instances",
        "looking for dead processes",
        "SELECT * FROM audit_absent_instances()",
    );
    RECOVER: Scalar<i64> = Statement::call(
        "audit_recover",
        "closing operations of a dead process",
        "SELECT audit_recover($1)",
    );
    PREPARE_PARTITIONS: () = Statement::call(
        "audit_prepare_partitions",
        "preparing the audit log's partitions",
        "SELECT audit_prepare_partitions()",
    );
}

/// The last entry of a tenant's chain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The tenant; nil for the platform's own stream.
    pub tenant: Uuid,
    /// Number of the entry, from 1.
    pub seq: i64,
    /// The chain's hash at that entry.
    pub chain_hash: ChainHash,
}

/// Maintains the log over connections of the application's role.
#[derive(Clone, Debug)]
pub struct AuditKeeper {
    database: Database,
}

impl AuditKeeper {
    /// A keeper over connections of the application's role.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Adds up to `at_most` rows to their tenants' chains; returns the new heads of the chains that grew. If several
    /// processes ask at once, one seals and the others get nothing.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn seal(&self, at_most: i32) -> Result<Vec<Head>, StoreError> {
        let mut connection = self.database.acquire("sealing the audit log").await?;
        SEAL.query().bind(at_most).fetch_all(&mut connection).await
    }

    /// The heads that no checkpoint covers.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn unproven_heads(&self) -> Result<Vec<Head>, StoreError> {
        let mut connection = self.database.acquire("reading the heads of the audit log").await?;
        UNPROVEN_HEADS.query().fetch_all(&mut connection).await
    }

    /// Stores a checkpoint. One that exists already stays as it is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn keep_checkpoint(&self, signed: &Checkpoint) -> Result<(), StoreError> {
        let mut connection = self.database.acquire("storing a checkpoint of the audit log").await?;
        KEEP_CHECKPOINT
            .query()
            .bind(signed.tenant_id)
            .bind(signed.seq)
            .bind(signed.chain_hash.as_bytes().as_slice())
            .bind(signed.at)
            .bind(&signed.key_id)
            .bind(decode_hex(&signed.signature).unwrap_or_default())
            .execute(&mut connection)
            .await
    }

    /// Processes that left operations open and do not hold their lock at this moment.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn absent_instances(&self) -> Result<Vec<Uuid>, StoreError> {
        let mut connection = self.database.acquire("looking for dead processes").await?;
        ABSENT_INSTANCES.query().scalars(&mut connection).await
    }

    /// Closes the operations that a dead process left open, with the outcome `unknown`. `None` closes those of no known
    /// process that are a quarter of an hour old. Returns how many were closed, a thousand at most.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn recover(&self, gone: Option<Uuid>) -> Result<i64, StoreError> {
        let mut connection = self.database.acquire("closing operations of a dead process").await?;
        RECOVER.query().bind(gone).scalar(&mut connection).await
    }

    /// Creates the partitions of this month and the next two.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prepare_partitions(&self) -> Result<(), StoreError> {
        let mut connection = self.database.acquire("preparing the audit log's partitions").await?;
        PREPARE_PARTITIONS.query().execute(&mut connection).await
    }
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        Self { tenant: row.tenant, seq: row.seq, chain_hash: row.chain_hash.0 }
    }
}
