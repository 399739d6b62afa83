//! Connection pools. No other file uses a pool directly: code that needs SQL gets a new repository method.

use crate::error::{SetupError, store_error};
use domain::ports::StoreError;
use domain::scope::TenantScope;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, SqlSafeStr as _, Transaction};
use std::str::FromStr;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A pooled connection that has been idle for longer than this is pinged before use.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);

/// The tenant and the user of a transaction, which the row-level security policies read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowScope {
    /// The tenant whose rows are visible; if `None`, no tenant's rows are.
    pub(crate) tenant: Option<Uuid>,
    /// The user whose own rows are visible.
    pub(crate) user: Option<Uuid>,
}

impl RowScope {
    /// The scope of work for a tenant that is not done for a user.
    pub(crate) fn tenant(tenant: Uuid) -> Self {
        Self { tenant: Some(tenant), user: None }
    }
}

impl From<&TenantScope> for RowScope {
    fn from(scope: &TenantScope) -> Self {
        Self { tenant: Some(scope.tenant().as_uuid()), user: scope.user().map(|id| id.as_uuid()) }
    }
}

/// Settings of a connection pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolSettings {
    /// Maximum number of open connections.
    pub max_connections: u32,
    /// Maximum time to wait for a free connection.
    pub acquire_timeout: Duration,
    /// The server cancels a statement that runs for longer than this.
    pub statement_timeout: Duration,
    /// Id of this process; stored with each audit row that it writes. See [`crate::audit::LivenessLock`].
    pub instance_id: Option<Uuid>,
}

impl Default for PoolSettings {
    /// 16 connections, 5 s acquire timeout, 30 s statement timeout, no instance id.
    fn default() -> Self {
        Self {
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            instance_id: None,
        }
    }
}

/// A connection pool for one database role. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    /// The tasks that begin transactions; see [`Self::begin`].
    begin_tasks: TaskTracker,
}

impl Database {
    /// Creates a pool that connects as the role named in `url`. Connections are opened on demand, so this succeeds
    /// even if the database is down; [`crate::preflight`] or the first transaction then reports that.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self, SetupError> {
        let timeout = format!("{}ms", settings.statement_timeout.as_millis());
        let instance_id = settings.instance_id.map(|id| id.to_string()).unwrap_or_default();
        let options = PgConnectOptions::from_str(url).map_err(SetupError::Url)?.application_name("platform").options([
            ("statement_timeout", timeout.as_str()),
            // JIT compilation takes longer than any query of this crate runs.
            ("jit", "off"),
            // Lets the lexical search of a large tenant aggregate in memory.
            ("work_mem", "16MB"),
            ("app.instance", instance_id.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            // A ping costs a round trip per transaction, so recently used connections are not pinged. A connection
            // that has been idle for longer may have been closed by the server or the network.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for > PING_AFTER_IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(options);
        Ok(Self { pool, begin_tasks: TaskTracker::new() })
    }

    /// Waits until running transactions have ended, then closes all connections.
    pub async fn close(&self) {
        self.begin_tasks.close();
        self.begin_tasks.wait().await;
        self.pool.close().await;
    }

    /// Acquires a connection for a single statement outside a transaction. `activity` completes "the database is not
    /// available while …".
    pub(crate) async fn acquire(&self, activity: &'static str) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(store_error(activity))
    }

    /// Acquires a connection for the preflight checks, which report errors as [`SetupError`].
    pub(crate) async fn acquire_for_setup(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.pool.acquire().await
    }

    /// Begins a transaction for a tenant and a user, in one round trip.
    ///
    /// `BEGIN` runs in a spawned task. If the caller's future were dropped between `BEGIN` and its response, the pool
    /// would get back a connection with an open transaction that sqlx does not know about, and the next user of that
    /// connection would run inside it.
    pub(crate) async fn begin(&self, scope: RowScope) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin_with("BEGIN", scope).await
    }

    /// Begins a read-only transaction (REPEATABLE READ, so a single snapshot) for a tenant, without a user.
    pub(crate) async fn begin_snapshot(&self, tenant: Uuid) -> Result<Transaction<'static, Postgres>, StoreError> {
        self.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", RowScope::tenant(tenant)).await
    }

    async fn begin_with(&self, begin: &str, scope: RowScope) -> Result<Transaction<'static, Postgres>, StoreError> {
        let activity = "opening a transaction";
        let connection = self.pool.acquire().await.map_err(store_error(activity))?;
        let sql = begin_statements(begin, scope);
        let task = self.begin_tasks.spawn(async move {
            Transaction::begin(connection, Some(AssertSqlSafe(sql).into_sql_str())).await.map_err(store_error(activity))
        });
        match task.await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable { activity, source: Box::new(error) }),
        }
    }

    /// Takes a connection out of the pool permanently; the pool may open another one in its place.
    pub(crate) async fn detached_connection(&self, activity: &'static str) -> Result<PgConnection, StoreError> {
        Ok(self.acquire(activity).await?.detach())
    }

    /// Opens a connection that listens for notifications on `channel`. It reconnects automatically.
    pub(crate) async fn listen(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }
}

/// The statements that begin a transaction and set its scope, for the simple query protocol: the server executes all of
/// them in one round trip. That protocol has no parameters, but a scope consists of UUIDs, and their text cannot inject
/// SQL. An empty text overrides any id that was set for the whole session of the connection.
fn begin_statements(begin: &str, scope: RowScope) -> String {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let (tenant, user) = (text(scope.tenant), text(scope.user));
    format!("{begin}; SET LOCAL app.current_tenant_id = '{tenant}'; SET LOCAL app.current_user_id = '{user}'")
}
