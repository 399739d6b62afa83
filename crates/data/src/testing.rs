//! Gives each test its own migrated database, with login roles for the application, the worker, the auditor and the
//! plant process.
//!
//! `PLATFORM_TEST_DATABASE_URL` is the URL of a superuser of a throw-away cluster; `cargo xtask test` provides one. The
//! first test migrates a template database, and every test works on a copy of it.

use crate::migrate::{self, LoginRole};
use crate::pool::{Database, PoolSettings};
pub use crate::statement::{DbRole, Field, StatementInfo};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;

/// The password of every role in the throw-away cluster.
const PASSWORD: &str = "test";
/// Advisory lock key ("plat" in ASCII) that serializes the creation of the template.
const TEMPLATE_LOCK: i64 = 0x706c_6174;

/// Any error in the setup or the body of a test.
pub type TestError = Box<dyn std::error::Error + Send + Sync>;

/// A database for one test. Dropping this value drops the database; errors are ignored.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    server: Server,
}

impl TestDb {
    /// Creates a database as a copy of the migrated template, which is created first if necessary.
    ///
    /// # Errors
    /// If `PLATFORM_TEST_DATABASE_URL` is not set, or does not name a superuser of a running server.
    pub async fn create() -> Result<Self, TestError> {
        let server = Server::from_environment()?;
        let name = format!("test_{}", random_uuid().simple());
        let template = server.ensure_template().await?;
        server.execute(format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        // A copy does not include the privileges on the database object itself, which migration 1 sets.
        let roles = LoginRole::ALL.map(LoginRole::name).join(", ");
        server.execute(format!("REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC")).await?;
        server.execute(format!("GRANT CONNECT ON DATABASE {name} TO {roles}")).await?;
        Ok(Self { name, server })
    }

    /// Creates an empty database, to which no migration has been applied.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_empty() -> Result<Self, TestError> {
        let server = Server::from_environment()?;
        let name = format!("test_{}", random_uuid().simple());
        server.execute(format!("CREATE DATABASE {name}")).await?;
        Ok(Self { name, server })
    }

    /// Connection URL of the application's role.
    #[must_use]
    pub fn app_url(&self) -> String {
        self.url(LoginRole::App)
    }

    /// Connection URL of the worker's role.
    #[must_use]
    pub fn worker_url(&self) -> String {
        self.url(LoginRole::Worker)
    }

    /// Connection URL of the auditor's role.
    #[must_use]
    pub fn auditor_url(&self) -> String {
        self.url(LoginRole::Auditor)
    }

    /// Connection URL of the plant process's role.
    #[must_use]
    pub fn plant_url(&self) -> String {
        self.url(LoginRole::Plant)
    }

    /// Connection URL of the cluster's superuser.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.server.url(&self.name, &self.server.user_info)
    }

    /// Creates a connection pool of the application's role.
    ///
    /// # Errors
    /// None in practice, since the URL is built here.
    pub fn app_pool(&self) -> Result<Database, TestError> {
        small_pool(&self.app_url())
    }

    /// Creates a connection pool of the worker's role.
    ///
    /// # Errors
    /// As [`Self::app_pool`].
    pub fn worker_pool(&self) -> Result<Database, TestError> {
        small_pool(&self.worker_url())
    }

    /// Creates a connection pool of the auditor's role.
    ///
    /// # Errors
    /// As [`Self::app_pool`].
    pub fn auditor_pool(&self) -> Result<Database, TestError> {
        small_pool(&self.auditor_url())
    }

    /// Creates a connection pool of the plant process's role.
    ///
    /// # Errors
    /// As [`Self::app_pool`].
    pub fn plant_pool(&self) -> Result<Database, TestError> {
        small_pool(&self.plant_url())
    }

    fn url(&self, role: LoginRole) -> String {
        self.server.url(&self.name, &format!("{}:{PASSWORD}", role.name()))
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // On a thread with its own runtime, because the test's runtime may be shut down or blocked. If this fails, the
        // database is removed together with the throw-away cluster.
        let _removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(server.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).ok()
        })
        .join();
    }
}

/// All static statements of this crate, except those of the migrations and of the preflight checks.
#[must_use]
pub fn statements() -> Vec<StatementInfo> {
    [
        crate::access_tokens::STATEMENTS,
        crate::agents::STATEMENTS,
        crate::approvals::STATEMENTS,
        crate::goal_queue::STATEMENTS,
        crate::goals::statements::STATEMENTS,
        crate::audit::STATEMENTS,
        crate::audit::export::STATEMENTS,
        crate::audit::liveness_lock::STATEMENTS,
        crate::audit::maintenance::STATEMENTS,
        crate::audit::purge::STATEMENTS,
        crate::audit::verify::STATEMENTS,
        crate::channels::STATEMENTS,
        crate::chunks::STATEMENTS,
        crate::chunks::model_switch::STATEMENTS,
        crate::chunks::nearest::STATEMENTS,
        crate::chunks::publish::STATEMENTS,
        crate::connectors::STATEMENTS,
        crate::conversations::STATEMENTS,
        crate::deferred::STATEMENTS,
        crate::tenant_directory::STATEMENTS,
        crate::documents::STATEMENTS,
        crate::feedback::STATEMENTS,
        crate::glossary::STATEMENTS,
        crate::idempotency::STATEMENTS,
        crate::jobs::STATEMENTS,
        crate::jobs::counts::STATEMENTS,
        crate::ledger::STATEMENTS,
        crate::maintenance_systems::STATEMENTS,
        crate::mcp_servers::STATEMENTS,
        crate::teams::STATEMENTS,
        crate::teams::EXPIRED_STATEMENTS,
        crate::teams::INVITATION_STATEMENTS,
        crate::memories::STATEMENTS,
        crate::messages::STATEMENTS,
        crate::plant_queue::STATEMENTS,
        crate::plant_requests::STATEMENTS,
        crate::recorded_samples::STATEMENTS,
        crate::replica::STATEMENTS,
        crate::run_events::STATEMENTS,
        crate::run_events::RECOVERY_STATEMENTS,
        crate::sessions::STATEMENTS,
        crate::plant_tags::STATEMENTS,
        crate::tx::STATEMENTS,
        crate::usage::STATEMENTS,
        crate::users::STATEMENTS,
        crate::work_orders::STATEMENTS,
    ]
    .concat()
}

/// Creates a small connection pool, because many tests run in parallel.
fn small_pool(url: &str) -> Result<Database, TestError> {
    let settings =
        PoolSettings { max_connections: 6, acquire_timeout: Duration::from_secs(20), ..PoolSettings::default() };
    Ok(Database::new(url, &settings)?)
}

/// The throw-away cluster, as given by `PLATFORM_TEST_DATABASE_URL`.
#[derive(Clone, Debug)]
struct Server {
    /// The scheme of the URL, without `://`.
    scheme: String,
    /// `user` or `user:password` of the superuser.
    user_info: String,
    /// `host:port` of the PostgreSQL server.
    address: String,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the tests' one setting comes from whoever starts them")]
    fn from_environment() -> Result<Self, TestError> {
        let url = std::env::var("PLATFORM_TEST_DATABASE_URL")
            .map_err(|_| "PLATFORM_TEST_DATABASE_URL is not set: run the tests with `cargo xtask test`")?;
        let invalid_url = "PLATFORM_TEST_DATABASE_URL is not of the form postgres://user[:password]@host:port/database";
        let (scheme, rest) = url.split_once("://").ok_or(invalid_url)?;
        let (user_info, rest) = rest.rsplit_once('@').ok_or(invalid_url)?;
        let address = rest.split('/').next().unwrap_or(rest);
        Ok(Self { scheme: scheme.to_owned(), user_info: user_info.to_owned(), address: address.to_owned() })
    }

    fn url(&self, database: &str, user_info: &str) -> String {
        format!("{}://{user_info}@{}/{database}", self.scheme, self.address)
    }

    async fn connect(&self) -> Result<PgConnection, TestError> {
        Ok(PgConnection::connect(&self.url("postgres", &self.user_info)).await?)
    }

    /// Runs a statement as the superuser. Callers must only insert names generated here, since nothing is escaped.
    async fn execute(&self, statement: String) -> Result<(), TestError> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Returns the name of the migrated template, and creates the template if it does not exist. The name contains a
    /// checksum of the migrations, so a cluster that is reused after a schema change gets a new template.
    async fn ensure_template(&self) -> Result<String, TestError> {
        let name = format!("template_{}", migrate::fingerprint());
        let mut connection = self.connect().await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await?;
        if !exists {
            self.create_template(&name).await?;
        }
        // Closing the connection releases the advisory lock.
        connection.close().await?;
        Ok(name)
    }

    /// Creates the template under a temporary name and renames it when it is complete.
    async fn create_template(&self, name: &str) -> Result<(), TestError> {
        let temporary_name = format!("draft_{}", random_uuid().simple());
        self.execute(format!("CREATE DATABASE {temporary_name}")).await?;
        let url = self.url(&temporary_name, &self.user_info);
        migrate::run(&url).await?;
        for role in LoginRole::ALL {
            migrate::enable_login(&url, role, PASSWORD).await?;
        }
        self.execute(format!("ALTER DATABASE {temporary_name} RENAME TO {name}")).await
    }
}

#[expect(clippy::disallowed_methods, reason = "databases of parallel tests need names that differ, nothing more")]
fn random_uuid() -> Uuid {
    Uuid::new_v4()
}
