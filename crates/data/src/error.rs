//! Setup errors, and the mapping from `sqlx` errors to [`StoreError`].

use domain::ports::StoreError;

/// Error while connecting to, migrating or checking the database.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The connection URL is not valid.
    #[error("the database URL is not valid")]
    Url(#[source] sqlx::Error),
    /// The connection or a statement failed.
    #[error("the database failed while {activity}")]
    Database {
        /// The activity that failed; completes "the database failed while …".
        activity: &'static str,
        /// The error of the driver. It contains no tenant data.
        #[source]
        source: sqlx::Error,
    },
    /// A migration failed, or the database contains a migration that this program does not know.
    #[error("the migrations cannot be applied")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The server, the schema or the privileges of a role do not meet the requirements.
    #[error("the database is not fit for use: {}", problems.join(" "))]
    Unsupported {
        /// The problems found, each as a full sentence.
        problems: Vec<String>,
    },
}

impl SetupError {
    /// Whether the database could not be reached, in which case the caller may retry.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database { source, .. } if is_unavailable(source))
    }
}

/// Converts a `sqlx` error into a [`StoreError`] that names the activity:
/// `.map_err(store_error("reading a document"))`.
pub(crate) fn store_error(activity: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| {
        if is_unavailable(&error) {
            return StoreError::Unavailable { activity, source: Box::new(error) };
        }
        match conflicting_object(&error) {
            Some(what) => StoreError::Conflict { what },
            None => StoreError::Failed { activity, source: Box::new(error) },
        }
    }
}

/// Whether the error is transient: no connection, a server that is starting, stopping or out of resources, or a
/// transaction that was rolled back because of another one (deadlock, serialization failure).
fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLSTATE classes: connection exception, invalid authorization, invalid catalog name, transaction
            // rollback, insufficient resources, operator intervention (shutdown, statement timeout), system error.
            ["08", "28", "3D", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// The noun phrase for [`StoreError::Conflict`] if the error is a constraint violation; otherwise `None`.
fn conflicting_object(error: &sqlx::Error) -> Option<&'static str> {
    let error = error.as_database_error()?;
    if error.is_foreign_key_violation() {
        return Some("a reference to something that does not exist");
    }
    // 23P01 is exclusion_violation: `tenant_mappings` has an exclusion constraint in place of a unique key.
    let is_taken = error.is_unique_violation() || error.code().is_some_and(|code| code == "23P01");
    is_taken.then(|| match error.constraint() {
        Some("users_identity") => "a user of this issuer and external id",
        Some("tenants_name_key") => "the tenant's name",
        Some("tenants_slug_key") => "the tenant's slug",
        Some("audit_logs_id") => "the audit row's id",
        Some("audit_one_outcome") => "the operation's outcome",
        Some("tenant_mappings_claim") => "a mapping of this issuer and claim",
        Some("messages_one_answer_at_a_time") => "an answer that is being written",
        Some("documents_same_bytes") => "a document with the same bytes",
        Some("documents_one_successor") => "another revision that supersedes the same document",
        _ => "the id",
    })
}
