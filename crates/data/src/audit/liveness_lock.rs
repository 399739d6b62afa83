//! An advisory lock that shows that a process is alive. The process holds it on a dedicated connection, so PostgreSQL
//! releases the lock when the process dies. Another process then closes the operations that the dead one left open
//! (`audit_recover`).

use crate::pool::Database;
use crate::statement::{Scalar, Statement, statements};
use domain::ports::StoreError;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Timeout of the query that checks whether the lock's connection still works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

statements! {
    PROBE: Scalar<i32> = Statement::call("", "probing the instance's lock", "SELECT 1");
    /// The first key, `x'696e7374'` ("inst" in ASCII), separates these locks from others; the second one is the last 32
    /// bits of the instance id. `audit_absent_instances` looks for the same keys.
    TAKE_LOCK: () = Statement::call(
        "pg_advisory_lock",
        "taking the instance's lock",
        "SELECT pg_advisory_lock(x'696e7374'::integer, ('x' || right($1::text, 8))::bit(32)::integer)",
    );
}

/// The advisory lock that shows that this process is alive.
#[derive(Debug)]
pub struct LivenessLock {
    id: Uuid,
    connection: Option<PgConnection>,
}

impl LivenessLock {
    /// Creates the lock of the process with this id ([`crate::PoolSettings::instance_id`]). Nothing is locked before
    /// the first call of [`Self::ensure_held`].
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self { id, connection: None }
    }

    /// Takes the lock, or checks that it is still held. If its connection was lost, takes the lock on a new one.
    ///
    /// # Errors
    /// If the database fails. The next call retries.
    pub async fn ensure_held(&mut self, database: &Database) -> Result<(), StoreError> {
        if let Some(connection) = &mut self.connection {
            // Without the timeout, a dead connection would block here long after the server has dropped it.
            let probe = tokio::time::timeout(PROBE_TIMEOUT, PROBE.query().execute(connection)).await;
            if probe.is_ok_and(|result| result.is_ok()) {
                return Ok(());
            }
            self.connection = None;
        }
        let mut connection = database.detached_connection("taking the instance's lock").await?;
        TAKE_LOCK.query().bind(self.id).execute(&mut connection).await?;
        self.connection = Some(connection);
        Ok(())
    }
}
