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
    /// A migration did not get the locks of its tables, although it was tried repeatedly.
    #[error(
        "a migration cannot lock its tables, because long transactions use them: find these in pg_stat_activity \
         and end them, or stop the servers, and migrate again"
    )]
    TablesInUse(#[source] sqlx::migrate::MigrateError),
    /// The server, the schema or the privileges of a role do not meet the requirements.
    #[error("the database does not meet the requirements: {}", problems.join(" "))]
    RequirementsNotMet {
        /// The problems found, each as a full sentence.
        problems: Vec<String>,
    },
}

impl SetupError {
    /// Whether the database was unavailable, in which case the caller may retry.
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
        match conflict(&error) {
            Some(reason) => StoreError::Conflict { reason },
            None => StoreError::Failed { activity, source: Box::new(error) },
        }
    }
}

/// Whether the caller may retry: the connection failed or was refused (also for a wrong password or database name), the
/// pool is exhausted, the server is starting, stopping or out of resources, a statement timed out, or the transaction
/// was rolled back because of another one (deadlock, serialization failure).
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

/// The sentence for [`StoreError::Conflict`] if the error is a constraint violation; otherwise `None`.
fn conflict(error: &sqlx::Error) -> Option<&'static str> {
    let error = error.as_database_error()?;
    if error.is_foreign_key_violation() {
        return Some("A referenced object does not exist.");
    }
    // 23P01 is exclusion_violation: `tenant_mappings` has an exclusion constraint in place of a unique key.
    let is_taken = error.is_unique_violation() || error.code().is_some_and(|code| code == "23P01");
    is_taken.then(|| match error.constraint() {
        Some("agents_pkey") => "The tenant has an agent of this name.",
        Some("users_identity") => "A user with this issuer and external id already exists.",
        Some("tenants_name_key") => "A tenant with this name already exists.",
        Some("tenants_slug_key") => "A tenant with this slug already exists.",
        Some("audit_logs_id") => "An audit row with this id already exists.",
        Some("audit_one_outcome") => "The operation already has an outcome.",
        Some("tenant_mappings_claim") => "A mapping of this issuer and claim already exists.",
        Some("messages_one_answer_at_a_time") => "An answer is already being written in this conversation.",
        Some("channels_name") => "A channel with this name already exists.",
        Some("mcp_servers_tenant_id_name_key") => "An MCP server with this name already exists.",
        Some("documents_same_bytes") => "A document with the same content already exists.",
        Some("connectors_name") => "A connector with this name already exists.",
        Some("tags_name") => "A tag with this name belongs to another connector.",
        Some("teams_tenant_id_slug_key") => "A team with this slug already exists.",
        Some("documents_one_successor") => "Another revision already supersedes this document.",
        _ => "An object with the same unique value already exists.",
    })
}
