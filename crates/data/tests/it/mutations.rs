//! Mutation tests of the row-level security policies: each policy is dropped or weakened in turn, and the isolation
//! checks must then fail. A policy whose loss goes unnoticed here is not covered by any test.

use crate::catalog::{TENANT_A, TENANT_B, as_superuser, leaks};
use crate::sql_matrix::{INSERTS, attempt, fill, run, two_tenants};
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
    fn create(&self) -> String {
        let Self { table, name, roles, command, .. } = self;
        let using = self.using.as_ref().map(|qual| format!(" USING ({qual})")).unwrap_or_default();
        let check = self.check.as_ref().map(|check| format!(" WITH CHECK ({check})")).unwrap_or_default();
        format!("CREATE POLICY {name} ON {table} FOR {command} TO {roles}{using}{check}")
    }

    /// Statements that drop or weaken the policy, as a mistake in a migration might.
    fn mutations(&self) -> Vec<String> {
        let Self { table, name, .. } = self;
        let mut mistakes = vec![format!("DROP POLICY {name} ON {table}")];
        let weaker = |part: &str, expression: &str| format!("ALTER POLICY {name} ON {table} {part} ({expression})");
        for (part, expression) in [("USING", &self.using), ("WITH CHECK", &self.check)] {
            let Some(expression) = expression else { continue };
            mistakes.push(weaker(part, "true"));
            if expression.contains("app_user()") {
                mistakes.push(weaker(part, "tenant_id = (SELECT app_tenant())"));
            }
        }
        mistakes
    }
}

/// Inserts rows of both tenants into the tables that `database_with_two_tenants` leaves empty.
async fn insert_audit_rows(superuser: &mut PgConnection) -> Result<(), TestError> {
    run(superuser, "SELECT * FROM audit_seal(100)").await?;
    for tenant in [TENANT_A, TENANT_B] {
        run(
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
async fn violations(role: &mut PgConnection, table: &str) -> Result<Vec<String>, TestError> {
    let (here, foreign) = (TENANT_A.to_string(), TENANT_B.to_string());
    let privileges: (bool, bool) = sqlx::query_as(
        "SELECT has_any_column_privilege($1::regclass, 'SELECT'), has_any_column_privilege($1::regclass, 'INSERT')",
    )
    .bind(table)
    .fetch_one(&mut *role)
    .await?;
    let (reads, inserts) = privileges;
    let tenant = if table == "tenants" { "id" } else { "tenant_id" };
    let mut found = Vec::new();
    if reads {
        let own = attempt(role, Some(&here), &format!("SELECT 1 FROM {table} WHERE {tenant} = '{here}'")).await?;
        if !own.as_ref().is_ok_and(|rows| *rows > 0) {
            found.push(format!("{table}: the tenant does not see its own: {own:?}"));
        }
        for setting in [Some(here.as_str()), Some(""), None] {
            let others = format!("SELECT 1 FROM {table} WHERE {tenant} = '{foreign}'");
            let seen = attempt(role, setting, &others).await?;
            if seen != Ok(0) {
                found.push(format!("{table}: another tenant's rows with {setting:?}: {seen:?}"));
            }
        }
        if ["conversations", "messages", "memories", "idempotency_keys"].contains(&table) {
            let colleague = format!(
                "SELECT 1 FROM {table} WHERE set_config('app.current_user_id', '{TENANT_B}', true) IS NOT NULL
                    AND false;
                 SELECT set_config('app.current_user_id', '{TENANT_B}', true); SELECT 1 FROM {table}"
            );
            // The one row is the result of set_config.
            let seen = attempt(role, Some(&here), &colleague).await?;
            if seen != Ok(1) {
                found.push(format!("{table}: a colleague's rows: {seen:?}"));
            }
        }
    }
    if inserts {
        found.extend(insert_violations(role, table, &here, &foreign).await?);
    }
    if table == "tenants" {
        // Assigns a constant, because an update that reads a column is also limited by the SELECT policies.
        let changed = attempt(role, Some(&here), "UPDATE tenants SET embedding_model = 'm'").await?;
        if changed != Ok(1) {
            found.push(format!("{table}: an update without a filter: {changed:?}"));
        }
    }
    Ok(found)
}

/// Checks that rows can be inserted for the current tenant, but not for another tenant or user; returns each violation
/// as text.
async fn insert_violations(
    role: &mut PgConnection,
    table: &str,
    here: &str,
    foreign: &str,
) -> Result<Vec<String>, TestError> {
    let mut found = Vec::new();
    let Some((_, sql)) = INSERTS.iter().find(|(known, _)| *known == table) else {
        return Ok(vec![format!("{table}: no insert is known to try")]);
    };
    let own = attempt(role, Some(here), &fill(sql, here, here)).await?;
    if own.is_err() {
        found.push(format!("{table}: the tenant cannot write its own: {own:?}"));
    }
    let refused = Err("42501".to_owned());
    let planted = attempt(role, Some(here), &fill(sql, foreign, foreign)).await?;
    if planted != refused {
        found.push(format!("{table}: a row planted in another tenant: {planted:?}"));
    }
    if ["conversations", "memories", "idempotency_keys"].contains(&table) {
        let theirs = attempt(role, Some(here), &fill(sql, here, foreign)).await?;
        if theirs != refused {
            found.push(format!("{table}: a row planted for another user: {theirs:?}"));
        }
    }
    if table == "messages" {
        // The foreign key would reject this, too, but with another SQLSTATE: the policy must reject it first.
        let theirs = attempt(role, Some(here), &fill(sql, here, foreign)).await?;
        if theirs != refused {
            found.push(format!("{table}: a message planted for another user: {theirs:?}"));
        }
    }
    Ok(found)
}

async fn connect(db: &TestDb, policy: &Policy) -> Result<PgConnection, TestError> {
    let url = if policy.roles.contains("platform_auditor") { db.auditor_url() } else { db.app_url() };
    Ok(PgConnection::connect(&url).await?)
}

#[tokio::test]
async fn the_loss_of_any_policy_is_noticed() -> Result<(), TestError> {
    let (db, _app) = two_tenants().await?;
    let mut superuser = as_superuser(&db).await?;
    insert_audit_rows(&mut superuser).await?;
    let policies: Vec<Policy> = sqlx::query_as(POLICIES).fetch_all(&mut superuser).await?;
    assert!(policies.len() >= 20, "too few policies in the catalog: {policies:?}");
    let mut mutations = 0;
    for policy in &policies {
        let mut role = connect(&db, policy).await?;
        let sound = violations(&mut role, &policy.table).await?;
        assert_eq!(sound, Vec::<String>::new(), "control: {policy:?}");
        for mistake in policy.mutations() {
            run(&mut superuser, &mistake).await?;
            // A weaker WITH CHECK of an UPDATE policy has no effect on statements, because no role may update
            // tenant_id. Only the check of the catalog detects it.
            let noticed = match policy.command.as_str() {
                "UPDATE" if mistake.contains("WITH CHECK") => leaks(&mut superuser).await?,
                _ => violations(&mut role, &policy.table).await?,
            };
            assert!(!noticed.is_empty(), "undetected: {mistake}");
            let restored = format!("DROP POLICY IF EXISTS {} ON {}; {}", policy.name, policy.table, policy.create());
            run(&mut superuser, &restored).await?;
            mutations += 1;
        }
        assert_eq!(violations(&mut role, &policy.table).await?, Vec::<String>::new(), "restored: {policy:?}");
    }
    assert!(mutations >= 2 * policies.len(), "{mutations} mutations of {} policies", policies.len());
    Ok(())
}

/// With row-level security disabled, every table leaks. This shows that the checks look at rows, not only at policies.
#[tokio::test]
async fn a_table_without_row_security_is_noticed() -> Result<(), TestError> {
    let (db, mut app) = two_tenants().await?;
    let mut superuser = as_superuser(&db).await?;
    for (table, _) in INSERTS {
        run(&mut superuser, &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")).await?;
        let noticed = violations(&mut app, table).await?;
        assert!(!noticed.is_empty(), "undetected: {table}");
        run(&mut superuser, &format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")).await?;
        assert_eq!(violations(&mut app, table).await?, Vec::<String>::new(), "restored: {table}");
    }
    Ok(())
}
