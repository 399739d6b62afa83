//! Applies the migrations, which are embedded in the program, and sets the passwords of the login roles.

use crate::error::SetupError;
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};
use sqlx::{Connection, PgConnection};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The first migration. Its first statement creates the roles and grants privileges on the database. A dump contains
/// neither: roles belong to the whole cluster, and privileges on a database are not part of any schema.
const ROLES_MIGRATION: &str = include_str!("../../../migrations/0001_roles.sql");
/// The migration that adds the role of the plant process, in the same way.
const PLANT_ROLE_MIGRATION: &str = include_str!("../../../migrations/0043_plant_connectors.sql");
/// The text that ends the first statement of these migrations.
const END_OF_ROLES: &str = "$$;";

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// SQLSTATE `lock_not_available`: a statement waited longer than `lock_timeout`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Timeouts and retries of migrations that wait for locks on tables in use. While a migration waits, every later query
/// of the same table waits behind it; so it times out quickly to let the queries through, and is retried.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LockWait {
    /// Maximum wait of a statement for a lock; PostgreSQL's `lock_timeout`.
    pub timeout: Duration,
    /// Pause between two attempts.
    pub pause: Duration,
    /// Number of attempts to apply the pending migrations, at least 1.
    pub attempts: u32,
}

impl Default for LockWait {
    /// About three minutes in total.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), pause: Duration::from_secs(2), attempts: 25 }
    }
}

/// A database role that the platform logs in as: the roles to which `migrate` gives a password.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LoginRole {
    /// Used by the API server; sees only rows of the current tenant.
    App,
    /// Used by the background worker; may call functions such as `claim_job`, but access no table.
    Worker,
    /// Used to read the audit log; has no other privileges.
    Auditor,
    /// Used by the plant process; sees their connectors, tags, requests and samples.
    Plant,
}

impl LoginRole {
    /// All login roles of the platform.
    pub const ALL: [Self; 4] = [Self::App, Self::Worker, Self::Auditor, Self::Plant];

    /// Name of the role in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::App => "platform_app",
            Self::Worker => "platform_worker",
            Self::Auditor => "platform_auditor",
            Self::Plant => "platform_plant",
        }
    }
}

/// Applies all pending migrations, with the login in `url` (a superuser, or the database's owner with CREATEROLE).
/// Concurrent runs are serialized.
///
/// # Errors
/// If the database is not reachable, if a migration fails or does not get its locks, or if the database contains a
/// migration that this program does not know or knows with different content.
pub async fn run(url: &str) -> Result<(), SetupError> {
    run_with_lock_wait(url, LockWait::default()).await
}

/// Like [`run`], but with the given lock timeout and retries.
///
/// # Errors
/// See [`run`].
pub async fn run_with_lock_wait(url: &str, lock_wait: LockWait) -> Result<(), SetupError> {
    let mut connection = connect(url).await?;
    // Take sqlx's advisory lock before setting `lock_timeout`, so the timeout does not apply to waiting for another
    // run. `Migrator::run` takes it again, which is harmless.
    connection.lock().await?;
    sqlx::query("SELECT set_config('lock_timeout', $1, false)")
        .bind(format!("{}ms", lock_wait.timeout.as_millis()))
        .execute(&mut connection)
        .await
        .map_err(|source| SetupError::Database { activity: "setting the lock timeout", source })?;
    let mut attempt = 1;
    while let Err(error) = MIGRATIONS.run(&mut connection).await {
        if !is_lock_timeout(&error) {
            return Err(error.into());
        }
        if attempt >= lock_wait.attempts {
            return Err(SetupError::TablesInUse(error));
        }
        tracing::warn!(attempt, "timed out waiting for a table lock; retrying the migration");
        attempt += 1;
        tokio::time::sleep(lock_wait.pause).await;
    }
    // Releases the advisory lock.
    close(connection).await
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)) = error else { return false };
    source.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// Sets the password of `role`, with the login in `url`, and allows the role to log in.
///
/// # Errors
/// If the database is not reachable or rejects the change.
pub async fn enable_login(url: &str, role: LoginRole, password: &str) -> Result<(), SetupError> {
    let database_error = |source| SetupError::Database { activity: "setting a password", source };
    let mut connection = connect(url).await?;
    let mut transaction = connection.begin().await.map_err(database_error)?;
    // ALTER ROLE takes no parameters, so the values are passed as transaction-local settings and quoted by format().
    sqlx::query("SELECT set_config('platform.role', $1, true), set_config('platform.password', $2, true)")
        .bind(role.name())
        .bind(password)
        .execute(&mut *transaction)
        .await
        .map_err(database_error)?;
    // Roles are shared by all databases of the cluster: without the lock, concurrent changes (parallel tests) fail
    // with "tuple concurrently updated".
    sqlx::raw_sql(
        "DO $$ BEGIN
             IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
                 LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE;
             END IF;
             EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L',
                            current_setting('platform.role'), current_setting('platform.password'));
         END $$",
    )
    .execute(&mut *transaction)
    .await
    .map_err(database_error)?;
    transaction.commit().await.map_err(database_error)?;
    close(connection).await
}

/// A document's file, as recorded in the database.
#[derive(Clone, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct DocumentFile {
    /// Id of the document that the file belongs to.
    pub id: Uuid,
    /// Tenant of the document. The file is in the tenant's directory.
    pub tenant_id: Uuid,
    /// Name of the file in that directory.
    pub storage_path: String,
    /// SHA-256 of the file's content, in hexadecimal digits.
    pub sha256: String,
}

/// Whether the database has no tables yet. Connects with the login in `url`.
///
/// # Errors
/// If the database is not reachable.
pub async fn is_empty(url: &str) -> Result<bool, SetupError> {
    let mut connection = connect(url).await?;
    let count: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'",
    )
    .fetch_one(&mut connection)
    .await
    .map_err(|source| SetupError::Database { activity: "counting tables", source })?;
    close(connection).await?;
    Ok(count == 0)
}

/// Creates the roles and grants the privileges on the database, which a dump does not contain, with the login in `url`.
/// Runs the first statement of the migrations that create roles.
///
/// # Errors
/// If the database is not reachable, or the login may not create roles.
pub async fn prepare_roles(url: &str) -> Result<(), SetupError> {
    let mut connection = connect(url).await?;
    for migration in [ROLES_MIGRATION, PLANT_ROLE_MIGRATION] {
        let create_roles = migration.split_inclusive(END_OF_ROLES).next().unwrap_or(migration);
        sqlx::raw_sql(create_roles)
            .execute(&mut connection)
            .await
            .map_err(|source| SetupError::Database { activity: "creating the roles", source })?;
    }
    close(connection).await
}

/// Returns the files of all documents. The login in `url` must be a superuser, to whom row-level security does not
/// apply.
///
/// # Errors
/// If the database is not reachable.
pub async fn document_files(url: &str) -> Result<Vec<DocumentFile>, SetupError> {
    let mut connection = connect(url).await?;
    let files = sqlx::query_as("SELECT id, tenant_id, storage_path, sha256 FROM documents ORDER BY tenant_id, id")
        .fetch_all(&mut connection)
        .await
        .map_err(|source| SetupError::Database { activity: "reading the documents", source })?;
    close(connection).await?;
    Ok(files)
}

/// Identifies the set of migrations: the first 8 bytes of the SHA-256 over all checksums, in hex.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    MIGRATIONS.iter().for_each(|migration| hash.update(&migration.checksum));
    hex::encode(&hash.finalize()[..8])
}

/// Compares the applied migrations with those of this program; returns each difference as a full sentence.
pub(crate) async fn check(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let has_migrations_table: Option<bool> =
        sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
    if has_migrations_table != Some(true) {
        return Ok(vec!["No migration has been applied: run `platform-server migrate`.".to_owned()]);
    }
    let rows: Vec<(i64, Vec<u8>, bool)> =
        sqlx::query_as("SELECT version, checksum, success FROM public._sqlx_migrations").fetch_all(connection).await?;
    let mut applied_migrations: BTreeMap<i64, (Vec<u8>, bool)> =
        rows.into_iter().map(|(version, checksum, success)| (version, (checksum, success))).collect();
    let mut problems = Vec::new();
    for migration in MIGRATIONS.iter() {
        let version = migration.version;
        match applied_migrations.remove(&version) {
            None => problems.push(format!("Migration {version} has not been applied: run `platform-server migrate`.")),
            Some((_, false)) => problems.push(format!("Migration {version} was interrupted.")),
            Some((checksum, true)) if *checksum != *migration.checksum => {
                problems.push(format!("Migration {version} was applied with different content."));
            }
            Some(_) => {}
        }
    }
    // Applied migrations that this program does not know are not a problem: during an update, a newer program may
    // already have migrated.
    Ok(problems)
}

async fn connect(url: &str) -> Result<PgConnection, SetupError> {
    PgConnection::connect(url).await.map_err(|error| match error {
        sqlx::Error::Configuration(_) => SetupError::Url(error),
        source => SetupError::Database { activity: "connecting", source },
    })
}

async fn close(connection: PgConnection) -> Result<(), SetupError> {
    connection.close().await.map_err(|source| SetupError::Database { activity: "disconnecting", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_switches_to_the_owner_role_and_back() {
        for migration in MIGRATIONS.iter() {
            let sql = migration.sql.as_str().trim();
            assert!(sql.contains("SET LOCAL ROLE platform_owner;"), "{}", migration.version);
            assert!(sql.ends_with("RESET ROLE;"), "{}", migration.version);
        }
    }
}
