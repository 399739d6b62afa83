//! Mutation tests of the row-level security policies: each policy is dropped or weakened in turn, and the isolation
//! checks must then fail. A policy whose loss goes unnoticed here is not covered by any test.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_superuser, isolation_violations};
use crate::tenant_isolation::{
    INSERTS, PLANT_INSERTS, database_with_two_tenants, execute_as_tenant, execute_sql, substitute,
};
use data::testing::{TestDb, TestError};
use sqlx::{Connection, PgConnection};

/// A policy of one of the login roles, as read from `pg_policies`.
#[derive(Debug, sqlx::FromRow)]
struct Policy {
    table: String,
    name: String,
    roles: String,
    command: String,
    using: Option<String>,
    check: Option<String>,
}

const POLICIES: &str = "
    SELECT c.relname::text AS table, p.policyname::text AS name, array_to_string(p.roles, ', ') AS roles,
        p.cmd AS command,
           p.qual AS using, p.with_check AS check
    FROM pg_policies p JOIN pg_class c ON c.oid = (quote_ident(p.schemaname) || '.'
        || quote_ident(p.tablename))::regclass
    WHERE p.schemaname = 'public' AND NOT c.relispartition AND p.roles <> '{platform_owner}'
    ORDER BY 1, 2";

impl Policy {
    fn create_statement(&self) -> String {
        let Self { table, name, roles, command, .. } = self;
        let using = self.using.as_ref().map(|qual| format!(" USING ({qual})")).unwrap_or_default();
        let check = self.check.as_ref().map(|check| format!(" WITH CHECK ({check})")).unwrap_or_default();
        format!("CREATE POLICY {name} ON {table} FOR {command} TO {roles}{using}{check}")
    }

    /// Statements that drop or weaken the policy, as a mistake in a migration might.
    fn mutations(&self) -> Vec<String> {
        let Self { table, name, .. } = self;
        let mut mutations = vec![format!("DROP POLICY {name} ON {table}")];
        let alter_policy =
            |part: &str, expression: &str| format!("ALTER POLICY {name} ON {table} {part} ({expression})");
        for (clause, expression) in [("USING", &self.using), ("WITH CHECK", &self.check)] {
            let Some(expression) = expression else { continue };
            mutations.push(alter_policy(clause, "true"));
            // Where the user matters in a team's space only, `spaces` weakens the policy.
            let only_in_team = ["sessions", "access_tokens", "model_calls"].contains(&table.as_str());
            if expression.contains("app_user()") && !only_in_team {
                mutations.push(alter_policy(clause, "tenant_id = (SELECT app_tenant())"));
            }
        }
        mutations
    }
}

/// Fills the tables of the audit log that `database_with_two_tenants` leaves empty, for both tenants.
async fn insert_audit_rows(superuser: &mut PgConnection) -> Result<(), TestError> {
    execute_sql(superuser, "SELECT * FROM audit_seal(100)").await?;
    for tenant in [TENANT_A, TENANT_B] {
        execute_sql(
            superuser,
            &format!(
                "INSERT INTO audit_logs (tenant_id, event_type) VALUES ('{tenant}', 'doc.read');
                 INSERT INTO audit_checkpoints VALUES ('{tenant}', 1, sha256('x'), now(), 'key', sha256('x')
                     || sha256('x'));
                 INSERT INTO audit_retirements VALUES ('{tenant}', 1, sha256('x'), now(), 1, now(), 'key',
                     sha256('x') || sha256('x'))"
            ),
        )
        .await?;
    }
    Ok(())
}

/// Checks the isolation of a table for a role; returns each violation as text.
async fn violations(connection: &mut PgConnection, table: &str) -> Result<Vec<String>, TestError> {
    let (own_tenant, other_tenant) = (TENANT_A.to_string(), TENANT_B.to_string());
    let privileges: (bool, bool) = sqlx::query_as(
        "SELECT has_any_column_privilege($1::regclass, 'SELECT'), has_any_column_privilege($1::regclass, 'INSERT')",
    )
    .bind(table)
    .fetch_one(&mut *connection)
    .await?;
    let (can_select, can_insert) = privileges;
    let tenant_column = if table == "tenants" { "id" } else { "tenant_id" };
    let mut violations = Vec::new();
    if can_select {
        let result = execute_as_tenant(
            connection,
            Some(&own_tenant),
            &format!("SELECT 1 FROM {table} WHERE {tenant_column} = '{own_tenant}'"),
        )
        .await?;
        if !result.as_ref().is_ok_and(|rows| *rows > 0) {
            violations.push(format!("{table}: the tenant does not see its own rows: {result:?}"));
        }
        for setting in [Some(own_tenant.as_str()), Some(""), None] {
            let query = format!("SELECT 1 FROM {table} WHERE {tenant_column} = '{other_tenant}'");
            let result = execute_as_tenant(connection, setting, &query).await?;
            if result != Ok(0) {
                violations.push(format!("{table}: another tenant's rows are visible with {setting:?}: {result:?}"));
            }
        }
        if table == "messages" || OF_ONE_USER.contains(&table) {
            let query = format!(
                "SELECT 1 FROM {table} WHERE set_config('app.current_user_id', '{TENANT_B}', true) IS NOT NULL
                    AND false;
                 SELECT set_config('app.current_user_id', '{TENANT_B}', true); SELECT 1 FROM {table}"
            );
            // The one row is the result of set_config.
            let result = execute_as_tenant(connection, Some(&own_tenant), &query).await?;
            if result != Ok(1) {
                violations.push(format!("{table}: a colleague's rows are visible: {result:?}"));
            }
        }
    }
    if table == "message_feedback" {
        violations.extend(feedback_violations(connection, &own_tenant).await?);
    }
    if can_insert {
        violations.extend(insert_violations(connection, table, &own_tenant, &other_tenant).await?);
    }
    if table == "tenants" {
        // Assigns a constant, because an update that reads a column is also limited by the SELECT policies.
        let result =
            execute_as_tenant(connection, Some(&own_tenant), "UPDATE tenants SET embedding_model = 'm'").await?;
        if result != Ok(1) {
            violations.push(format!("{table}: an update without a filter does not change exactly one row: {result:?}"));
        }
    }
    Ok(violations)
}

/// Tables whose rows only their user sees and inserts.
const OF_ONE_USER: [&str; 8] =
    ["conversations", "memories", "idempotency_keys", "run_events", "goals", "goal_plans", "goal_steps", "goal_events"];

/// Checks that a colleague can read feedback but cannot change or delete it; returns each violation as text.
async fn feedback_violations(connection: &mut PgConnection, own_tenant: &str) -> Result<Vec<String>, TestError> {
    let mut violations = Vec::new();
    for (sql, rows) in [
        ("SELECT 1 FROM message_feedback", 1),
        ("UPDATE message_feedback SET rating = 'down'", 0),
        ("DELETE FROM message_feedback", 0),
    ] {
        let query = format!("SELECT set_config('app.current_user_id', '{TENANT_B}', true); {sql}");
        // One more row is the result of set_config.
        let result = execute_as_tenant(connection, Some(own_tenant), &query).await?;
        if result != Ok(rows + 1) {
            violations.push(format!("a colleague's feedback: {sql} affects the wrong number of rows: {result:?}"));
        }
    }
    Ok(violations)
}

/// Checks that rows can be inserted for the current tenant, but not for another tenant or user; returns each violation
/// as text.
async fn insert_violations(
    connection: &mut PgConnection,
    table: &str,
    own_tenant: &str,
    other_tenant: &str,
) -> Result<Vec<String>, TestError> {
    let mut violations = Vec::new();
    let Some((_, sql)) = INSERTS.iter().chain(PLANT_INSERTS).find(|(known, _)| *known == table) else {
        return Ok(vec![format!("{table}: INSERTS has no statement for this table")]);
    };
    let result = execute_as_tenant(connection, Some(own_tenant), &substitute(sql, own_tenant, own_tenant)).await?;
    if result.is_err() {
        violations.push(format!("{table}: the tenant cannot insert its own row: {result:?}"));
    }
    let permission_denied = Err("42501".to_owned());
    let result = execute_as_tenant(connection, Some(own_tenant), &substitute(sql, other_tenant, other_tenant)).await?;
    if result != permission_denied {
        violations.push(format!("{table}: a row was inserted for another tenant: {result:?}"));
    }
    if table == "message_feedback" || OF_ONE_USER.contains(&table) {
        let result =
            execute_as_tenant(connection, Some(own_tenant), &substitute(sql, own_tenant, other_tenant)).await?;
        if result != permission_denied {
            violations.push(format!("{table}: a row was inserted for another user: {result:?}"));
        }
    }
    if table == "messages" {
        // The foreign key would reject this, too, but with another SQLSTATE: the policy must reject it first.
        let result =
            execute_as_tenant(connection, Some(own_tenant), &substitute(sql, own_tenant, other_tenant)).await?;
        if result != permission_denied {
            violations.push(format!("{table}: a message was inserted for another user: {result:?}"));
        }
    }
    Ok(violations)
}

async fn connect(db: &TestDb, policy: &Policy) -> Result<PgConnection, TestError> {
    let url = match policy.roles.as_str() {
        roles if roles.contains("platform_auditor") => db.auditor_url(),
        roles if roles.contains("platform_plant") => db.plant_url(),
        _ => db.app_url(),
    };
    Ok(PgConnection::connect(&url).await?)
}

#[tokio::test]
async fn dropping_or_weakening_any_policy_is_detected() -> Result<(), TestError> {
    let (db, _app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    insert_audit_rows(&mut superuser).await?;
    let policies: Vec<Policy> = sqlx::query_as(POLICIES).fetch_all(&mut superuser).await?;
    assert!(policies.len() >= 20, "too few policies in the catalog: {policies:?}");
    let mut mutation_count = 0;
    for policy in &policies {
        let mut connection = connect(&db, policy).await?;
        let control_violations = violations(&mut connection, &policy.table).await?;
        assert_eq!(control_violations, Vec::<String>::new(), "control: {policy:?}");
        for mutation in policy.mutations() {
            execute_sql(&mut superuser, &mutation).await?;
            // A weaker WITH CHECK of an UPDATE policy has no effect on statements, because no role may update
            // tenant_id; neither has that of the plant mode or the maintenance system, of which the other tenant
            // already has its only row. Only the catalog check detects them.
            let has_one_row = ["plant_mode", "maintenance_systems", "tag_samples"].contains(&policy.table.as_str());
            // The plant process inserts no requests and may change nothing of them but the answer.
            let only_answers = policy.table == "plant_requests" && policy.name == "plant";
            let is_without_effect = policy.command == "UPDATE" || has_one_row || only_answers;
            let detected = match is_without_effect && mutation.contains("WITH CHECK") {
                true => isolation_violations(&mut superuser).await?,
                false => violations(&mut connection, &policy.table).await?,
            };
            assert!(!detected.is_empty(), "undetected: {mutation}");
            let restore_policy =
                format!("DROP POLICY IF EXISTS {} ON {}; {}", policy.name, policy.table, policy.create_statement());
            execute_sql(&mut superuser, &restore_policy).await?;
            mutation_count += 1;
        }
        assert_eq!(violations(&mut connection, &policy.table).await?, Vec::<String>::new(), "restored: {policy:?}");
    }
    assert!(mutation_count >= 2 * policies.len(), "{mutation_count} mutations of {} policies", policies.len());
    Ok(())
}

/// With row-level security disabled, every table leaks. This shows that the checks look at rows, not only at policies.
#[tokio::test]
async fn a_table_without_row_security_is_detected() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for (table, _) in INSERTS {
        execute_sql(&mut superuser, &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await?;
        let detected = violations(&mut app, table).await?;
        assert!(!detected.is_empty(), "undetected: {table}");
        execute_sql(&mut superuser, &format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")).await?;
        assert_eq!(violations(&mut app, table).await?, Vec::<String>::new(), "restored: {table}");
    }
    Ok(())
}
