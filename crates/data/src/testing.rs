//! A migrated database of its own for each test, with a login for each role.
//!
//! `PLATFORM_TEST_DATABASE_URL` names a superuser of a throw-away cluster; `cargo xtask test` provides one. The first
//! test migrates a template database, every test copies it.

use crate::migrate::{self, LoginRole};
use crate::pool::{Database, PoolSettings};
pub use crate::statement::{Field, Login, StatementInfo};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;
use uuid::Uuid;

/// The password of every role in the throw-away cluster.
const PASSWORD: &str = "test";
/// The advisory lock under which the template is made.
const TEMPLATE_LOCK: i64 = 0x706c_6174;

/// Any error of a test's preparation.
pub type TestError = Box<dyn std::error::Error + Send + Sync>;

/// A database that exists for one test. Dropping it removes the database if that is possible.
#[derive(Debug)]
pub struct TestDb {
    name: String,
    server: Server,
}

impl TestDb {
    /// Copies the migrated template.
    ///
    /// # Errors
    /// If `PLATFORM_TEST_DATABASE_URL` is not set, or is not a superuser of a running server.
    pub async fn create() -> Result<Self, TestError> {
        let server = Server::from_environment()?;
        let name = format!("test_{}", random().simple());
        let template = server.template().await?;
        server.execute(format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        // A copy has everything but the template's rights on the database as such (migration 1 sets them).
        let roles = LoginRole::ALL.map(LoginRole::name).join(", ");
        server.execute(format!("REVOKE CREATE, TEMPORARY ON DATABASE {name} FROM PUBLIC")).await?;
        server.execute(format!("GRANT CONNECT ON DATABASE {name} TO {roles}")).await?;
        Ok(Self { name, server })
    }

    /// An empty database: nothing migrated.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub async fn create_empty() -> Result<Self, TestError> {
        let server = Server::from_environment()?;
        let name = format!("test_{}", random().simple());
        server.execute(format!("CREATE DATABASE {name}")).await?;
        Ok(Self { name, server })
    }

    /// URL of the application's role.
    #[must_use]
    pub fn app_url(&self) -> String {
        self.url(LoginRole::App)
    }

    /// URL of the worker's role.
    #[must_use]
    pub fn worker_url(&self) -> String {
        self.url(LoginRole::Worker)
    }

    /// URL of the auditor's role.
    #[must_use]
    pub fn auditor_url(&self) -> String {
        self.url(LoginRole::Auditor)
    }

    /// URL of the cluster's superuser.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        self.server.url(&self.name, &self.server.login)
    }

    /// Connections of the application's role.
    ///
    /// # Errors
    /// Never, since the URL is made here.
    pub fn app(&self) -> Result<Database, TestError> {
        connections(&self.app_url())
    }

    /// Connections of the worker's role.
    ///
    /// # Errors
    /// As [`Self::app`].
    pub fn worker(&self) -> Result<Database, TestError> {
        connections(&self.worker_url())
    }

    /// Connections of the auditor's role.
    ///
    /// # Errors
    /// As [`Self::app`].
    pub fn auditor(&self) -> Result<Database, TestError> {
        connections(&self.auditor_url())
    }

    fn url(&self, role: LoginRole) -> String {
        self.server.url(&self.name, &format!("{}:{PASSWORD}", role.name()))
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // On a thread with its own runtime, because the test's may be gone or busy. Leftovers go with the cluster.
        let _removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(server.execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).ok()
        })
        .join();
    }
}

/// Every static statement of this crate but those that set a database up or check it before the start.
#[must_use]
pub fn statements() -> Vec<StatementInfo> {
    [
        crate::access_tokens::STATEMENTS,
        crate::audit::STATEMENTS,
        crate::audit::export::STATEMENTS,
        crate::audit::instance::STATEMENTS,
        crate::audit::keep::STATEMENTS,
        crate::audit::retire::STATEMENTS,
        crate::audit::verify::STATEMENTS,
        crate::chunks::STATEMENTS,
        crate::chunks::generations::STATEMENTS,
        crate::chunks::nearest::STATEMENTS,
        crate::chunks::publish::STATEMENTS,
        crate::conversations::STATEMENTS,
        crate::directory::STATEMENTS,
        crate::documents::STATEMENTS,
        crate::idempotency::STATEMENTS,
        crate::jobs::STATEMENTS,
        crate::ledger::STATEMENTS,
        crate::memories::STATEMENTS,
        crate::messages::STATEMENTS,
        crate::pool::STATEMENTS,
        crate::tx::STATEMENTS,
        crate::usage::STATEMENTS,
        crate::users::STATEMENTS,
    ]
    .concat()
}

/// Few connections, because many tests run at once.
fn connections(url: &str) -> Result<Database, TestError> {
    let settings =
        PoolSettings { max_connections: 6, acquire_timeout: Duration::from_secs(20), ..PoolSettings::default() };
    Ok(Database::new(url, &settings)?)
}

/// The throw-away cluster.
#[derive(Clone, Debug)]
struct Server {
    /// Everything of the URL before the login.
    scheme: String,
    /// `user` or `user:password` of the superuser.
    login: String,
    /// `host:port` of the PostgreSQL server.
    address: String,
}

impl Server {
    #[expect(clippy::disallowed_methods, reason = "the tests' one setting comes from whoever starts them")]
    fn from_environment() -> Result<Self, TestError> {
        let url = std::env::var("PLATFORM_TEST_DATABASE_URL")
            .map_err(|_| "PLATFORM_TEST_DATABASE_URL is not set: run the tests with `cargo xtask test`")?;
        let unusable = "PLATFORM_TEST_DATABASE_URL is not of the form postgres://user[:password]@host:port/database";
        let (scheme, rest) = url.split_once("://").ok_or(unusable)?;
        let (login, rest) = rest.rsplit_once('@').ok_or(unusable)?;
        let address = rest.split('/').next().unwrap_or(rest);
        Ok(Self { scheme: scheme.to_owned(), login: login.to_owned(), address: address.to_owned() })
    }

    fn url(&self, database: &str, login: &str) -> String {
        format!("{}://{login}@{}/{database}", self.scheme, self.address)
    }

    async fn connect(&self) -> Result<PgConnection, TestError> {
        Ok(PgConnection::connect(&self.url("postgres", &self.login)).await?)
    }

    /// Runs a statement that names only databases of these tests.
    async fn execute(&self, statement: String) -> Result<(), TestError> {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Name of the migrated template, which the first test creates. It contains the migrations' checksum, so a cluster
    /// that outlives one run never serves an old schema.
    async fn template(&self) -> Result<String, TestError> {
        let name = format!("template_{}", migrate::fingerprint());
        let mut connection = self.connect().await?;
        sqlx::query("SELECT pg_advisory_lock($1)").bind(TEMPLATE_LOCK).execute(&mut connection).await?;
        let ready: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut connection)
            .await?;
        if !ready {
            self.make_template(&name).await?;
        }
        // Releases the lock.
        connection.close().await?;
        Ok(name)
    }

    /// Creates the template under another name and renames it when it is complete.
    async fn make_template(&self, name: &str) -> Result<(), TestError> {
        let draft = format!("draft_{}", random().simple());
        self.execute(format!("CREATE DATABASE {draft}")).await?;
        let url = self.url(&draft, &self.login);
        migrate::run(&url).await?;
        for role in LoginRole::ALL {
            migrate::set_login(&url, role, PASSWORD).await?;
        }
        self.execute(format!("ALTER DATABASE {draft} RENAME TO {name}")).await
    }
}

#[expect(clippy::disallowed_methods, reason = "databases of parallel tests need names that differ, nothing more")]
fn random() -> Uuid {
    Uuid::new_v4()
}
