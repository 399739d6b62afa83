//! A read replica: a physical standby of the primary, which serves a read once it has everything that the primary had
//! when the read began.
//!
//! That includes the caller's own writes and the decisions that the read depends on, such as a document's
//! classification: no read sees data older than the request.

use crate::pool::Database;
use crate::statement::{Scalar, Statement, statements};
use crate::tx::PgStore;
use async_trait::async_trait;
use domain::ports::{Store, StoreError, TenantTx};
use domain::scope::TenantScope;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Interval at which the replica's position is polled.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Time for which reads go to the primary without checking the replica, after it failed or was too late.
const PAUSE: Duration = Duration::from_secs(2);

statements! {
    /// Transactions that others can see are flushed, unless `synchronous_commit` is off.
    FLUSHED: Scalar<String> = Statement::call(
        "pg_current_wal_flush_lsn",
        "reading the position of the primary",
        "SELECT pg_current_wal_flush_lsn()::text",
    );
    /// A server that is not a standby is not a replica of this primary, for example after a failover. The login is
    /// checked here because the preflight does not wait for a replica.
    HAS_REPLAYED: Scalar<bool> = Statement::call(
        "pg_last_wal_replay_lsn",
        "reading the position of the replica",
        "SELECT pg_is_in_recovery() AND coalesce(pg_last_wal_replay_lsn() >= $1::text::pg_lsn, false)
                AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls))",
    );
}

/// A replica, with connections of one role. Clones share its known state.
#[derive(Clone, Debug)]
pub struct ReadReplica {
    database: Database,
    max_wait: Duration,
    paused_until: Arc<Mutex<Option<Instant>>>,
}

impl ReadReplica {
    /// Creates a replica from a connection pool. A read waits up to `max_wait` for it, and then goes to the primary.
    #[must_use]
    pub fn new(database: Database, max_wait: Duration) -> Self {
        Self { database, max_wait, paused_until: Arc::default() }
    }

    /// The replica's connections, if it has everything that `primary` has at this moment; otherwise `None`, as for a
    /// replica that does not respond.
    pub(crate) async fn caught_up(&self, primary: &Database) -> Option<&Database> {
        if self.is_paused() {
            return None;
        }
        let deadline = Instant::now() + self.max_wait;
        match timeout_at(deadline, self.wait_for(primary, deadline)).await {
            Ok(Ok(true)) => return Some(&self.database),
            Ok(Ok(false)) | Err(_) => tracing::debug!("the replica is behind; reads go to the primary for a while"),
            Ok(Err(error)) => tracing::warn!(%error, "the replica fails; reads go to the primary for a while"),
        }
        self.pause();
        None
    }

    /// Sends reads to the primary for a while.
    pub(crate) fn pause(&self) {
        *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }

    /// Waits until all connections are returned, then closes them.
    pub async fn close(&self) {
        self.database.close().await;
    }

    fn is_paused(&self) -> bool {
        let paused_until = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        paused_until.is_some_and(|until| Instant::now() < until)
    }

    async fn wait_for(&self, primary: &Database, deadline: Instant) -> Result<bool, StoreError> {
        let mut connection = primary.acquire("reading the position of the primary").await?;
        let position: String = FLUSHED.query().scalar(&mut connection).await?;
        drop(connection);
        let mut connection = self.database.acquire("reading the position of the replica").await?;
        loop {
            if HAS_REPLAYED.query().bind(position.as_str()).scalar(&mut connection).await? {
                return Ok(true);
            }
            if Instant::now() + POLL_INTERVAL >= deadline {
                return Ok(false);
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// A [`Store`] for reads: its transactions run on the replica when that has caught up, and otherwise on the primary. A
/// write in such a transaction fails on the replica, so it is only for code that never writes.
#[derive(Clone, Debug)]
pub struct ReplicaStore {
    primary: Database,
    replica: ReadReplica,
}

impl ReplicaStore {
    /// Creates a store from connection pools of the application's role.
    #[must_use]
    pub fn new(primary: Database, replica: ReadReplica) -> Self {
        Self { primary, replica }
    }
}

#[async_trait]
impl Store for ReplicaStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        if let Some(database) = self.replica.caught_up(&self.primary).await {
            match PgStore::new(database.clone()).begin(scope).await {
                Err(error @ StoreError::Unavailable { .. }) => {
                    tracing::warn!(%error, "the replica fails; reads go to the primary for a while");
                    self.replica.pause();
                }
                begun => return begun,
            }
        }
        PgStore::new(self.primary.clone()).begin(scope).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        PgStore::new(self.primary.clone()).ping().await
    }
}
