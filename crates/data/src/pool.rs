//! Connections: the only file that sees a pool. Whoever needs SQL adds a repository method.

use crate::error::{SetupError, failed};
use crate::statement::{Statement, statements};
use domain::ports::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, SqlStr, Transaction};
use std::str::FromStr;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A connection that was idle for longer is pinged before it is used.
const MAX_UNTESTED_IDLE: Duration = Duration::from_secs(1);

statements! {
    SET_SCOPE: () = Statement::call(
        "set_config",
        "opening a transaction",
        "SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $2, true)",
    );
}

/// Settings of a connection pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolSettings {
    /// Most connections that are open at once.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// The server cancels a statement that runs for longer.
    pub statement_timeout: Duration,
    /// Id of this process, which the audit rows that it writes carry; see [`crate::audit::Instance`].
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
    /// Prepares connections as the role that `url` names. The first one is opened when it is needed, so a database that
    /// is down shows in [`crate::preflight`] or in the first transaction.
    ///
    /// # Errors
    /// Where the URL is not valid.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self, SetupError> {
        let timeout = format!("{}ms", settings.statement_timeout.as_millis());
        let instance = settings.instance.map(|id| id.to_string()).unwrap_or_default();
        let options = PgConnectOptions::from_str(url).map_err(SetupError::Url)?.application_name("platform").options([
            ("statement_timeout", timeout.as_str()),
            // Compiling a query takes longer than any of our queries runs.
            ("jit", "off"),
            // Plan with the bound values: only then does the planner open one partition of a thousand, and use an
            // index that exists for one model. This applies to the plans of foreign key checks, too.
            ("plan_cache_mode", "force_custom_plan"),
            // A word search over a large tenant aggregates in memory.
            ("work_mem", "16MB"),
            ("app.instance", instance.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            // Pinging a connection costs a round trip per transaction, so one that was in use a moment ago is not
            // pinged. One that was idle for longer may have been cut off.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > MAX_UNTESTED_IDLE {
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

    /// A connection for a single statement. `doing` completes "the database is not available while …".
    pub(crate) async fn acquire(&self, doing: &'static str) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(failed(doing))
    }

    /// A connection for the checks before the start.
    pub(crate) async fn acquire_for_setup(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// A transaction of this tenant and user (`""`: no user).
    ///
    /// The opening runs in a task of its own: if the caller were dropped between BEGIN and its response, the pool would
    /// get back a connection inside a transaction that sqlx does not know of, and the next user would work in it.
    pub(crate) async fn begin(
        &self,
        tenant: String,
        user: String,
    ) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.open(None, tenant, user).await
    }

    /// A read-only transaction of this tenant and no user that sees one snapshot of the database.
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
            let mut transaction = Transaction::begin(connection, begin).await.map_err(failed(doing))?;
            SET_SCOPE.query().bind(tenant).bind(user).execute(&mut transaction).await?;
            Ok(transaction)
        });
        match opening.await {
            Ok(opened) => opened,
            Err(error) => Err(StoreError::Unavailable { doing, source: Box::new(error) }),
        }
    }

    /// A connection that does not go back to the pool.
    pub(crate) async fn detached(&self, doing: &'static str) -> Result<PgConnection, StoreError> {
        Ok(self.acquire(doing).await?.detach())
    }

    /// A connection that listens on a channel and reconnects by itself.
    pub(crate) async fn listen(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }
}
