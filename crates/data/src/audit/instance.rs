//! That this process is alive, in a way that ends with it: an advisory lock on a connection of its own. What a process
//! without its lock left open is closed by another (`audit_recover`).

use crate::error::failed;
use crate::pool::Database;
use domain::ports::StoreError;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// How long the connection may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sign of life of one process.
#[derive(Debug)]
pub struct Instance {
    id: Uuid,
    connection: Option<PgConnection>,
}

impl Instance {
    /// Prepares the sign of the process whose connections carry `id` ([`crate::PoolSettings::instance`]).
    #[must_use]
    pub fn new(id: Uuid) -> Self {
        Self { id, connection: None }
    }

    /// Takes the lock, or makes sure that it is still held; after a lost connection, takes it anew.
    ///
    /// # Errors
    /// Where the database fails; the next call tries again.
    pub async fn hold(&mut self, database: &Database) -> Result<(), StoreError> {
        let doing = "holding the sign of life";
        if let Some(connection) = &mut self.connection {
            // A connection that fell silent would keep this waiting while the server has long given it up.
            let probe = tokio::time::timeout(PATIENCE, sqlx::query("SELECT 1").execute(connection)).await;
            if probe.is_ok_and(|answered| answered.is_ok()) {
                return Ok(());
            }
            self.connection = None;
        }
        let mut connection = database.detached().await.map_err(failed(doing))?;
        sqlx::query("SELECT pg_advisory_lock(x'696e7374'::integer, ('x' || right($1::text, 8))::bit(32)::integer)")
            .bind(self.id)
            .execute(&mut connection)
            .await
            .map_err(failed(doing))?;
        self.connection = Some(connection);
        Ok(())
    }
}
