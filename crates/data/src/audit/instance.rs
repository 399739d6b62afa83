//! The heartbeat of a process: an advisory lock on a connection of its own, which ends with the process. Operations
//! that a process without its lock left open are closed by another (`audit_recover`).

use crate::pool::Database;
use crate::statement::{Scalar, Statement, statements};
use domain::ports::StoreError;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// How long the connection may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

statements! {
    PROBE: Scalar<i32> = Statement::call("", "probing the instance's lock", "SELECT 1");
    LOCK: () = Statement::call(
        "pg_advisory_lock",
        "taking the instance's lock",
        "SELECT pg_advisory_lock(x'696e7374'::integer, ('x' || right($1::text, 8))::bit(32)::integer)",
    );
}

/// The heartbeat of one process.
#[derive(Debug)]
pub struct Instance {
    id: Uuid,
    connection: Option<PgConnection>,
}

impl Instance {
    /// The heartbeat of the process whose connections carry `id` ([`crate::PoolSettings::instance`]). Nothing is locked
    /// before [`Self::hold`].
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self { id, connection: None }
    }

    /// Takes the lock, or verifies that it is still held. After a lost connection, takes it again.
    ///
    /// # Errors
    /// If the database fails; the next call tries again.
    pub async fn hold(&mut self, database: &Database) -> Result<(), StoreError> {
        if let Some(connection) = &mut self.connection {
            // A connection that does not answer would keep this waiting long after the server has given it up.
            let probe = tokio::time::timeout(PROBE_TIMEOUT, PROBE.query().execute(connection)).await;
            if probe.is_ok_and(|answered| answered.is_ok()) {
                return Ok(());
            }
            self.connection = None;
        }
        let mut connection = database.detached("taking the instance's lock").await?;
        LOCK.query().bind(self.id).execute(&mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
