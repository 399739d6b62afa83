//! Connection pools. No other file uses a pool directly: code that needs SQL gets a new repository method.

use crate::error::{SetupError, store_error};
use crate::statement::transaction_span;
use domain::ports::StoreError;
use domain::scope::TenantScope;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, SqlSafeStr as _, Transaction};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;
use uuid::Uuid;

/// Maximum number of connections that bypass a pooler, not counting those that are taken out of the pool: one listens,
/// and one is spare while it reconnects.
const MAX_DIRECT_CONNECTIONS: u32 = 2;
/// A pooled connection that has been idle for longer than this is pinged before use.
const PING_AFTER_IDLE: Duration = Duration::from_secs(1);

/// The tenant, the team and the user of a transaction, which the row-level security policies read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct RowScope {
    /// The tenant whose rows are visible; if `None`, no tenant's rows are.
    pub(crate) tenant: Option<Uuid>,
    /// The team whose rows are visible; if `None`, those of the tenant's home space are.
    pub(crate) team: Option<Uuid>,
    /// The user whose own rows are visible.
    pub(crate) user: Option<Uuid>,
}

impl RowScope {
    /// The scope of work for a tenant without a user.
    pub(crate) fn tenant(tenant: Uuid) -> Self {
        Self { tenant: Some(tenant), ..Self::default() }
    }
}

impl From<&TenantScope> for RowScope {
    fn from(scope: &TenantScope) -> Self {
        Self {
            tenant: Some(scope.tenant().as_uuid()),
            team: scope.team().map(|id| id.as_uuid()),
            user: scope.user().map(|id| id.as_uuid()),
        }
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
    /// Pool for connections that keep their session: they listen, or hold an advisory lock. The same as `pool`, unless
    /// that connects to a pooler.
    direct_pool: PgPool,
    /// Statements that each transaction begins with because a pooler does not pass settings on; empty without one.
    local_settings: Arc<str>,
    /// The tasks that begin transactions; see [`Self::begin`].
    begin_tasks: TaskTracker,
    /// Number of callers that wait for a connection.
    waiting: Arc<AtomicUsize>,
}

/// The current numbers of a pool's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolUsage {
    /// Maximum number of open connections.
    pub max: u32,
    /// Number of open connections that run a statement or a transaction, or are being opened.
    pub in_use: u32,
    /// Number of open connections that are idle.
    pub idle: u32,
    /// Callers that wait for a connection.
    pub waiting: usize,
}

/// Counts a caller as waiting until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Database {
    /// Creates a pool that connects as the role named in `url`. Connections are opened on demand, so this succeeds
    /// even if the database is down; [`crate::preflight`] or the first transaction then reports that.
    ///
    /// # Errors
    /// If the URL is not valid.
    pub fn new(url: &str, settings: &PoolSettings) -> Result<Self, SetupError> {
        let session_settings = session_settings(settings);
        let options = connect_options(url)?.options(session_settings.iter().map(|(name, value)| (*name, value)));
        let pool = open_pool(options, settings);
        Ok(Self::from_pools(pool.clone(), pool, String::new()))
    }

    /// Creates a pool whose `url` is that of a pooler, which lends a server connection for one transaction, such as
    /// PgBouncer in transaction mode. It must support prepared statements (PgBouncer 1.21 and newer). `direct_url`
    /// bypasses it, for the role's sessions that must be kept; without one, nothing may listen or take an advisory
    /// lock.
    ///
    /// # Errors
    /// If a URL is not valid.
    pub fn behind_pooler(url: &str, direct_url: Option<&str>, settings: &PoolSettings) -> Result<Self, SetupError> {
        // A pooler refuses to connect with settings that it cannot restore on the next server connection.
        let pool = open_pool(connect_options(url)?.extra_float_digits(None), settings);
        let direct_settings = PoolSettings { max_connections: MAX_DIRECT_CONNECTIONS, ..*settings };
        let direct_pool = match direct_url {
            Some(url) => Self::new(url, &direct_settings)?.pool,
            None => pool.clone(),
        };
        let local_settings =
            session_settings(settings).map(|(name, value)| format!("; SET LOCAL {name} = '{value}'")).concat();
        Ok(Self::from_pools(direct_pool, pool, local_settings))
    }

    fn from_pools(direct_pool: PgPool, pool: PgPool, local_settings: String) -> Self {
        let (begin_tasks, waiting) = (TaskTracker::new(), Arc::default());
        Self { pool, direct_pool, local_settings: local_settings.into(), begin_tasks, waiting }
    }

    /// The current numbers of the pool's connections. They are read one after the other, so they may not add up.
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        let idle = u32::try_from(self.pool.num_idle()).unwrap_or(u32::MAX);
        PoolUsage {
            max: self.pool.options().get_max_connections(),
            in_use: self.pool.size().saturating_sub(idle),
            idle,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    async fn take_connection(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        let _waiting = Waiting::new(&self.waiting);
        self.pool.acquire().await
    }

    /// Waits until running transactions have ended, then closes all connections.
    pub async fn close(&self) {
        self.begin_tasks.close();
        self.begin_tasks.wait().await;
        self.direct_pool.close().await;
        self.pool.close().await;
    }

    /// Acquires a connection for a single statement outside a transaction. `activity` completes "the database is not
    /// available while …".
    pub(crate) async fn acquire(&self, activity: &'static str) -> Result<PoolConnection<Postgres>, StoreError> {
        self.take_connection().await.map_err(store_error(activity))
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
        self.begin_in_span(begin, scope).instrument(transaction_span("BEGIN")).await
    }

    async fn begin_in_span(&self, begin: &str, scope: RowScope) -> Result<Transaction<'static, Postgres>, StoreError> {
        let activity = "opening a transaction";
        let connection = self.take_connection().await.map_err(store_error(activity))?;
        let sql = begin_statements(begin, scope, &self.local_settings);
        let task = self.begin_tasks.spawn(async move {
            Transaction::begin(connection, Some(AssertSqlSafe(sql).into_sql_str())).await.map_err(store_error(activity))
        });
        match task.await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable { activity, source: Box::new(error) }),
        }
    }

    /// Opens a connection that no pooler lends to others, and that belongs to the caller.
    pub(crate) async fn detached_connection(&self, activity: &'static str) -> Result<PgConnection, StoreError> {
        Ok(self.direct_pool.acquire().await.map_err(store_error(activity))?.detach())
    }

    /// Opens a connection that listens for notifications on `channel`. It reconnects automatically.
    pub(crate) async fn listen(&self, channel: &str) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.direct_pool).await?;
        listener.listen(channel).await?;
        Ok(listener)
    }
}

fn connect_options(url: &str) -> Result<PgConnectOptions, SetupError> {
    Ok(PgConnectOptions::from_str(url).map_err(SetupError::Url)?.application_name("platform"))
}

/// The settings of every session. They are set when a connection is opened or, behind a pooler, in each transaction.
/// No value has characters that would have to be escaped.
fn session_settings(settings: &PoolSettings) -> [(&'static str, String); 4] {
    [
        ("statement_timeout", format!("{}ms", settings.statement_timeout.as_millis())),
        // JIT compilation takes longer than any query of this crate runs.
        ("jit", "off".to_owned()),
        // Lets the lexical search of a large tenant aggregate in memory.
        ("work_mem", "16MB".to_owned()),
        ("app.instance", settings.instance_id.map(|id| id.to_string()).unwrap_or_default()),
    ]
}

fn open_pool(options: PgConnectOptions, settings: &PoolSettings) -> PgPool {
    PgPoolOptions::new()
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
        .connect_lazy_with(options)
}

/// The statements that begin a transaction and set its scope, for the simple query protocol: the server executes all of
/// them in one round trip. That protocol has no parameters, but a scope consists of UUIDs, and their text cannot inject
/// SQL. An empty text overrides any id that was set for the whole session of the connection. `local_settings` are
/// further statements, each preceded by a semicolon.
fn begin_statements(begin: &str, scope: RowScope, local_settings: &str) -> String {
    let text = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let (tenant, team, user) = (text(scope.tenant), text(scope.team), text(scope.user));
    format!(
        "{begin}; SET LOCAL app.current_tenant_id = '{tenant}'; SET LOCAL app.team = '{team}'; \
         SET LOCAL app.current_user_id = '{user}'{local_settings}"
    )
}
