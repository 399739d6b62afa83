//! Errors of PostgreSQL as errors of the store.

use domain::ports::StoreError;

/// Why the database could not be set up for use.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The connection URL is not valid.
    #[error("the database URL is not valid")]
    Url(#[source] sqlx::Error),
    /// No connection, or the statement failed.
    #[error("the database failed while {doing}")]
    Database {
        /// What was being done, as a participle clause.
        doing: &'static str,
        /// What went wrong; never content.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed, or the database has one that this program does not know.
    #[error("the migrations cannot be applied")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A role or its rights are not as required.
    #[error("the database is not fit for use: {}", problems.join(" "))]
    Unfit {
        /// The problems, one sentence each.
        problems: Vec<String>,
    },
}

impl SetupError {
    /// Whether the database could not be reached, so that a retry makes sense.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database { source, .. } if is_unavailable(source))
    }
}

/// Names what failed: `.map_err(failed("reading a document"))`.
pub(crate) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        if is_unavailable(&error) {
            return StoreError::Unavailable { doing, source: Box::new(error) };
        }
        match conflict(&error) {
            Some(what) => StoreError::Conflict { what },
            None => StoreError::Failed { doing, source: Box::new(error) },
        }
    }
}

/// No connection, a server that is starting, stopping or out of resources, or a transaction that lost to another.
fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Classes: connection, authorization to connect, no such database, transaction rollback, resources,
            // operator intervention (shutdown, statement timeout), system error.
            ["08", "28", "3D", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// What a violated constraint is about, as a noun for a caller; `None` for other errors.
fn conflict(error: &sqlx::Error) -> Option<&'static str> {
    let error = error.as_database_error()?;
    if error.is_foreign_key_violation() {
        return Some("a reference to something that does not exist");
    }
    // An exclusion is the unique key of `tenant_mappings`.
    let is_taken = error.is_unique_violation() || error.code().is_some_and(|code| code == "23P01");
    is_taken.then(|| match error.constraint() {
        Some("users_identity") => "a user of this issuer and external id",
        Some("tenants_name_key") => "the tenant's name",
        Some("tenants_slug_key") => "the tenant's slug",
        Some("audit_logs_id") => "the audit row's id",
        Some("audit_one_outcome") => "the operation's outcome",
        Some("tenant_mappings_claim") => "a mapping of this issuer and claim",
        Some("documents_same_bytes") => "a document with the same bytes",
        Some("documents_one_successor") => "another revision that supersedes the same document",
        _ => "the id",
    })
}
