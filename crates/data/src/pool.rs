//! Connections: the only file that sees a pool. Whoever needs SQL adds a repository method.

use crate::error::{SetupError, failed};
use domain::ports::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, SqlStr, Transaction};
use std::str::FromStr;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// After resting for so long a connection is tried before it is used.
const RESTED: Duration = Duration::from_secs(1);

/// How a pool behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolSettings {
    /// Most connections.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// After how long the server gives up a statement.
    pub statement_timeout: Duration,
    /// Which process it is, for the intents that it writes; see [`crate::audit::Instance`].
    pub instance: Option<Uuid>,
}

impl Default for PoolSettings {
    /// 16 connections, 5 s for a free one, 30 s for a statement.
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            instance: None,
        }
    }
}

/// Connections of one database role. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    opening: TaskTracker,
}

impl Database {
    /// Prepares connections as the role that `url` names; the first is made when it is needed, so a database that is
    /// down is noticed by [`crate::preflight`] or by the first transaction.
    ///
    /// # Errors
    /// Where the URL is not valid.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self, SetupError> {
        let timeout = format!("{}ms", settings.statement_timeout.as_millis());
        let instance = settings.instance.map(|id| id.to_string()).unwrap_or_default();
        let options = PgConnectOptions::from_str(url).map_err(SetupError::Url)?.application_name("platform").options([
            ("statement_timeout", timeout.as_str()),
            // Compiling a query takes longer than any of ours runs.
            ("jit", "off"),
            // Planned with the bound values: only so is one partition of a thousand opened, and an index used that
            // is there for one model. Foreign keys are checked by plans to which this applies too.
            ("plan_cache_mode", "force_custom_plan"),
            // A word search over a large tenant counts in memory.
            ("work_mem", "16MB"),
            ("app.instance", instance.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            // A connection that was in use a moment ago is not asked whether it lives: that is a round trip for each
            // transaction. One that has rested may have been cut off meanwhile.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > RESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, opening: TaskTracker::new() })
    }

    /// Closes all connections, once running transactions have ended.
    pub async fn close(&self) {
        self.opening.close();
        self.opening.wait().await;
        self.pool.close().await;
    }

    /// A connection for a single statement.
    pub(crate) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// A transaction of this tenant and user (`""`: no user).
    ///
    /// The opening runs in a task of its own: a caller that goes away between BEGIN and its answer would otherwise hand
    /// back a connection inside a transaction that sqlx does not know of, and the next user would work in it.
    pub(crate) async fn begin(
        &self,
        tenant: String,
        user: String,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.open(None, tenant, user).await
    }

    /// A transaction of this tenant and no user that sees one state of the database and changes nothing.
    pub(crate) async fn begin_snapshot(&self, tenant: String) -> Result<Transaction<'static, Postgres>, StoreError> {
        let snapshot = SqlStr::from_static("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        self.open(Some(snapshot), tenant, String::new()).await
    }

    async fn open(
        &self,
        begin: Option<SqlStr>,
        tenant: String,
        user: String,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        let doing = "opening a transaction";
        let connection = self.pool.acquire().await.map_err(failed(doing))?;
        let opening = self.opening.spawn(async move {
            let mut transaction = Transaction::begin(connection, begin).await?;
            sqlx::query(
                "SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $2, true)",
            )
            .bind(tenant)
            .bind(user)
            .execute(&mut *transaction)
            .await?;
            Ok(transaction)
        });
        match opening.await {
            Ok(opened) => opened.map_err(failed(doing)),
            Err(error) => Err(StoreError::Unavailable { doing, source: Box::new(error) }),
        }
    }

    /// A connection that does not go back to the pool.
    pub(crate) async fn detached(&self) -> Result<PgConnection, sqlx::Error> {
        Ok(self.pool.acquire().await?.detach())
    }

    /// A connection that listens on a channel, and connects again by itself.
    pub(crate) async fn listen(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }
}
