//! Checks the database before the server starts: server version, migrations, row-level security and the privileges of
//! each role. A server whose roles could bypass row-level security must not start.

use crate::error::SetupError;
use crate::migrate::{self, LoginRole};
use crate::pool::Database;
use sqlx::PgConnection;

/// Oldest supported PostgreSQL version, in the format of `server_version_num`.
const MIN_SERVER_VERSION: i32 = 160_000;

/// Tables on which the auditor's role may have SELECT.
const AUDITOR_TABLES: [&str; 5] =
    ["audit_logs", "audit_chain", "audit_checkpoints", "audit_retirements", "audit_unsealed"];

/// The privileges on tables that the plant process's role may have.
const PLANT_PRIVILEGES: [(&str, &[&str]); 5] = [
    ("connectors", &["SELECT"]),
    ("tags", &["SELECT"]),
    ("plant_requests", &["SELECT", "UPDATE"]),
    ("tag_samples", &["SELECT", "INSERT", "UPDATE"]),
    ("recorded_samples", &["SELECT", "INSERT"]),
];

/// The connection pools to check, one per role.
#[derive(Clone, Copy, Debug)]
pub struct RolePools<'a> {
    /// Connections of the application's role.
    pub app: &'a Database,
    /// Connections of the worker's role.
    pub worker: &'a Database,
    /// Connections of the auditor's role.
    pub auditor: &'a Database,
    /// Connections of the plant process's role, where there are any.
    pub plant: Option<&'a Database>,
}

/// Checks the server, the migrations and the privileges of all roles.
///
/// # Errors
/// [`SetupError::RequirementsNotMet`] with all problems found, each as a full sentence; [`SetupError::Database`] if a
/// query fails.
pub async fn check(roles: RolePools<'_>) -> Result<(), SetupError> {
    let mut problems = Vec::new();
    let plant = roles.plant.map(|plant| (plant, LoginRole::Plant));
    let others = [(roles.app, LoginRole::App), (roles.worker, LoginRole::Worker), (roles.auditor, LoginRole::Auditor)];
    for (database, pool_role) in others.into_iter().chain(plant) {
        problems.extend(role_problems(database, pool_role).await?);
    }
    if problems.is_empty() { Ok(()) } else { Err(SetupError::RequirementsNotMet { problems }) }
}

/// Checks only the plant process's role, the only role that process connects as.
///
/// # Errors
/// See [`check`].
pub async fn check_plant(plant: &Database) -> Result<(), SetupError> {
    let problems = role_problems(plant, LoginRole::Plant).await?;
    if problems.is_empty() { Ok(()) } else { Err(SetupError::RequirementsNotMet { problems }) }
}

/// The problems of one role and, with the application's, those of the server and the schema.
async fn role_problems(database: &Database, pool_role: LoginRole) -> Result<Vec<String>, SetupError> {
    let database_error = |source| SetupError::Database { activity: pool_role.check_activity(), source };
    let mut problems = Vec::new();
    let mut connection = database.acquire_for_setup().await.map_err(database_error)?;
    if pool_role == LoginRole::App {
        problems.extend(server_problems(&mut connection).await.map_err(database_error)?);
        problems.extend(migrate::check(&mut connection).await.map_err(database_error)?);
        problems.extend(unprotected_tables(&mut connection).await.map_err(database_error)?);
    }
    problems.extend(row_security_bypasses(&mut connection).await.map_err(database_error)?);
    problems.extend(privilege_problems(&mut connection, pool_role).await.map_err(database_error)?);
    Ok(problems)
}

impl LoginRole {
    const fn check_activity(self) -> &'static str {
        match self {
            Self::App => "checking the application's role",
            Self::Worker => "checking the worker's role",
            Self::Auditor => "checking the auditor's role",
            Self::Plant => "checking the plant process's role",
        }
    }

    /// Name of the role in messages.
    const fn label(self) -> &'static str {
        match self {
            Self::App => "application",
            Self::Worker => "worker",
            Self::Auditor => "auditor",
            Self::Plant => "plant",
        }
    }

    /// Whether the role may have `privilege` on `table`. The application may have every privilege that row-level
    /// security limits, so not TRUNCATE; on the audit log, it may only insert.
    fn may_have(self, table: &str, privilege: &str) -> bool {
        match self {
            Self::App if privilege == "TRUNCATE" => false,
            Self::App => table != "audit_logs" || privilege == "INSERT",
            Self::Worker => false,
            Self::Auditor => AUDITOR_TABLES.contains(&table) && privilege == "SELECT",
            Self::Plant => {
                PLANT_PRIVILEGES.iter().any(|(known, privileges)| *known == table && privileges.contains(&privilege))
            }
        }
    }
}

async fn server_problems(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let (version, has_pgvector): (i32, bool) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::integer,
                EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')",
    )
    .fetch_one(connection)
    .await?;
    let mut problems = Vec::new();
    if version < MIN_SERVER_VERSION {
        problems.push(format!("The server is PostgreSQL {}; 16 or newer is needed.", version / 10_000));
    }
    if !has_pgvector {
        problems.push("The extension vector (pgvector) is not installed in the database.".to_owned());
    }
    Ok(problems)
}

async fn unprotected_tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
           AND (c.relname = 'tenants' OR EXISTS (
               SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
         ORDER BY 1",
    )
    .fetch_all(connection)
    .await?;
    Ok(tables
        .into_iter()
        .map(|table| format!("Row-level security is not enabled and forced on table \"{table}\"."))
        .collect())
}

/// Finds the ways in which the connected role could bypass row-level security, itself or as a member of another role.
async fn row_security_bypasses(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let bypasses: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT current_user::text, r.rolname::text, power.name
         FROM pg_roles r
         CROSS JOIN LATERAL (
             VALUES ('is a superuser', r.rolsuper),
                    ('has BYPASSRLS', r.rolbypassrls),
                    ('may create roles', r.rolcreaterole),
                    ('owns tables', EXISTS (
                        SELECT FROM pg_class c WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p', 'v', 'm')
                          AND c.relnamespace = 'public'::regnamespace)),
                    ('may create objects in the schema public',
                     has_schema_privilege(r.oid, 'public', 'CREATE')),
                    ('may read or write every table',
                     r.rolname IN ('pg_read_all_data', 'pg_write_all_data'))) AS power (name, has)
         WHERE power.has AND (r.rolname = current_user OR pg_has_role(current_user, r.oid, 'MEMBER'))
           -- A superuser counts as a member of every role; its own row is enough.
           AND (r.rolname = current_user OR NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
         ORDER BY 2, 3",
    )
    .fetch_all(connection)
    .await?;
    let sentence = |(user, role, power): (String, String, String)| {
        if user == role {
            format!("The role \"{user}\" {power}.")
        } else {
            format!("The role \"{user}\" is a member of \"{role}\", which {power}.")
        }
    };
    Ok(bypasses.into_iter().map(sentence).collect())
}

/// Reports the privileges on tables that the connected role must not have. Also reports a role that lacks one of a few
/// indicative privileges, which means that the migrations were not applied.
async fn privilege_problems(connection: &mut PgConnection, pool_role: LoginRole) -> Result<Vec<String>, sqlx::Error> {
    let granted: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT current_user::text, c.relname::text, wanted.name
         FROM pg_class c
         CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS wanted (name)
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'
           AND CASE WHEN wanted.name IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(c.oid, wanted.name)
                    ELSE has_any_column_privilege(c.oid, wanted.name) END
         ORDER BY 2, 3",
    )
    .fetch_all(&mut *connection)
    .await?;
    let excess_privileges = granted.iter().filter(|(_, table, privilege)| !pool_role.may_have(table, privilege));
    let mut problems: Vec<String> = excess_privileges
        .map(|(user, table, privilege)| {
            format!("The {} role \"{user}\" has {privilege} on \"{table}\".", pool_role.label())
        })
        .collect();
    let has_privilege = |table: &str, privilege: &str| granted.iter().any(|(_, t, p)| t == table && p == privilege);
    let has_required_privileges = match pool_role {
        LoginRole::App => has_privilege("audit_logs", "INSERT") && has_privilege("conversations", "SELECT"),
        LoginRole::Auditor => has_privilege("audit_logs", "SELECT"),
        LoginRole::Plant => has_privilege("connectors", "SELECT") && has_privilege("recorded_samples", "INSERT"),
        LoginRole::Worker => {
            // to_regprocedure returns NULL where the function does not exist (a database that was never migrated).
            let may_claim: Option<bool> = sqlx::query_scalar(
                "SELECT has_function_privilege(to_regprocedure('claim_job(interval, text[], bigint)'), 'EXECUTE')",
            )
            .fetch_one(connection)
            .await?;
            may_claim == Some(true)
        }
    };
    if !has_required_privileges {
        problems.push(format!(
            "The {} role lacks privileges that it needs; were the migrations applied?",
            pool_role.label()
        ));
    }
    Ok(problems)
}
