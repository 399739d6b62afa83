//! Runs statements without any condition in every space: the home space, the own team's, a foreign team's, and with a
//! setting that is no id. Nothing of another space is read, changed, deleted or inserted, and a weaker policy is
//! noticed.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_superuser};
use crate::tenant_isolation::{database_with_two_tenants, execute_as_tenant, execute_sql};
use data::testing::{TestDb, TestError};
use sqlx::PgConnection;
use uuid::Uuid;

/// A second team of the first tenant, with content of its own, beside the one whose id is the tenant's.
const SECOND_TEAM: Uuid = Uuid::from_u128(0xa2);
/// Id of the rows in the space of the first tenant's first team.
const IN_TEAM: Uuid = Uuid::from_u128(0xa1);
/// Id of the rows in the space of the second team.
const IN_SECOND_TEAM: Uuid = Uuid::from_u128(0xa3);

/// Tables with content of each space, and whether rows can be deleted one by one.
const CONTENT: &[(&str, bool)] = &[
    ("conversations", true),
    ("messages", false),
    ("run_events", false),
    ("documents", true),
    ("document_chunks", true),
    ("document_terms", true),
    ("document_tombstones", false),
    ("jobs", true),
];

/// Tables of which nothing is there in a team's space.
const HOME_ONLY: &[&str] = &[
    "sign_in_tokens",
    "message_feedback",
    "memories",
    "idempotency_keys",
    "approval_policies",
    "approvals",
    "approval_decisions",
    "work_orders",
    "maintenance_systems",
    "plant_mode",
    "channels",
    "channel_deliveries",
    "mcp_servers",
    "connectors",
    "tags",
    "plant_requests",
    "team_links",
    "glossary_versions",
    "agents",
    "goals",
    "goal_plans",
    "goal_steps",
    "goal_events",
];

/// Inserts content of a team: `$1` is the tenant, `$2` the team, `$3` the id of each row.
const INSERT_CONTENT: &str = "
    INSERT INTO conversations (id, tenant_id, user_id, team_id) VALUES ($3, $1, $1, $2);
    INSERT INTO messages (id, tenant_id, conversation_id, user_id, seq, role, content, team_id)
        VALUES ($3, $1, $3, $1, 1, 'user', 'planted secret', $2);
    INSERT INTO run_events (tenant_id, run_id, user_id, conversation_id, message_id, instance, first_seq, last_seq,
        events, classification, team_id)
        VALUES ($1, $3, $1, $3, $3, $1, 1, 1, '[]', 'public', $2);
    INSERT INTO documents (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256,
        storage_path, team_id)
        VALUES ($3, $1, $1, '', '', '', 0, replace($3::text || $3::text, '-', ''), '', $2);
    INSERT INTO document_chunks (id, tenant_id, document_id, chunk_index, content, classification, team_id)
        VALUES ($3, $1, $3, 0, 'planted secret', 'internal', $2);
    INSERT INTO document_terms VALUES ($1, $3, 'secret', '{0}', '{1}', '{1}', '', $2);
    INSERT INTO document_tombstones (tenant_id, document_id, classification, team_id) VALUES ($1, $3, 'internal', $2);
    INSERT INTO jobs (id, tenant_id, document_id, team_id) VALUES ($3, $1, $3, $2)";

/// A database where both tenants have rows in their home space and in a team, and the first tenant in another team.
async fn database_with_spaces() -> Result<(TestDb, PgConnection, PgConnection), TestError> {
    let (db, app) = database_with_two_tenants().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    execute_sql(
        &mut superuser,
        &format!("INSERT INTO teams (id, tenant_id, name, slug) VALUES ('{SECOND_TEAM}', '{TENANT_A}', 'two', 'two')"),
    )
    .await?;
    for (tenant, team, id) in [
        (TENANT_A, TENANT_A, IN_TEAM),
        (TENANT_A, SECOND_TEAM, IN_SECOND_TEAM),
        (TENANT_B, TENANT_B, Uuid::from_u128(0xb1)),
    ] {
        let statements = INSERT_CONTENT
            .replace("$1", &format!("'{tenant}'::uuid"))
            .replace("$2", &format!("'{team}'::uuid"))
            .replace("$3", &format!("'{id}'::uuid"));
        execute_sql(&mut superuser, &statements).await?;
    }
    Ok((db, app, superuser))
}

/// Runs a statement as the first tenant (and its user) in a space; `None` does not set the team at all.
async fn execute_in_space(
    app: &mut PgConnection,
    team: Option<&str>,
    sql: &str,
) -> Result<Result<u64, String>, TestError> {
    let setting = team.map(|team| format!("SET LOCAL app.team = '{team}'; ")).unwrap_or_default();
    execute_as_tenant(app, Some(&TENANT_A.to_string()), &format!("{setting}{sql}")).await
}

/// The condition for a row's id, by the name of its column in the table.
fn id_condition(table: &str, id: Uuid) -> String {
    let column = match table {
        "run_events" => "run_id",
        "document_terms" | "document_tombstones" | "jobs" => "document_id",
        _ => "id",
    };
    format!("{column} = '{id}'")
}

/// Checks every table in every space; returns each violation as text.
async fn violations(app: &mut PgConnection) -> Result<Vec<String>, TestError> {
    let (own, second, foreign, unknown) =
        (TENANT_A.to_string(), SECOND_TEAM.to_string(), TENANT_B.to_string(), Uuid::from_u128(0xc).to_string());
    // Which content each setting shows: the id of its only row.
    let settings: [(Option<&str>, Option<Uuid>); 7] = [
        (None, Some(TENANT_A)),
        (Some(""), Some(TENANT_A)),
        (Some(&own), Some(IN_TEAM)),
        (Some(&second), Some(IN_SECOND_TEAM)),
        (Some(&foreign), None),
        (Some(&unknown), None),
        (Some("garbage"), None),
    ];
    let mut violations = Vec::new();
    for (team, visible) in settings {
        for (table, can_delete) in CONTENT {
            let mut statements = vec![format!("SELECT * FROM {table}")];
            statements.extend(can_delete.then(|| format!("DELETE FROM {table}")));
            for sql in statements {
                let result = execute_in_space(app, team, &sql).await?;
                if result != Ok(u64::from(visible.is_some())) {
                    violations.push(format!("{sql} in {team:?}: {result:?}"));
                }
            }
            if let Some(id) = visible {
                let sql = format!("SELECT 1 FROM {table} WHERE {}", id_condition(table, id));
                let result = execute_in_space(app, team, &sql).await?;
                if result != Ok(1) {
                    violations.push(format!("{sql} in {team:?}: {result:?}"));
                }
            }
        }
        let is_home = visible == Some(TENANT_A);
        for table in HOME_ONLY {
            let result = execute_in_space(app, team, &format!("SELECT * FROM {table}")).await?;
            if result != Ok(u64::from(is_home)) {
                violations.push(format!("{table} in {team:?}: {result:?}"));
            }
        }
    }
    violations.extend(directory_violations(app).await?);
    violations.extend(insert_violations(app).await?);
    Ok(violations)
}

/// Checks what of teams and users is visible where.
async fn directory_violations(app: &mut PgConnection) -> Result<Vec<String>, TestError> {
    let (own, second, foreign) = (TENANT_A.to_string(), SECOND_TEAM.to_string(), TENANT_B.to_string());
    let mut violations = Vec::new();
    for (team, table, rows) in [
        (None, "teams", 2),
        (Some(&own), "teams", 1),
        (Some(&second), "teams", 1),
        (Some(&foreign), "teams", 0),
        (None, "users", 1),
        (Some(&own), "users", 1),
        (Some(&second), "users", 0),
        (Some(&own), "team_memberships", 1),
        (Some(&second), "team_memberships", 0),
        (Some(&own), "team_invitations", 1),
        (Some(&second), "team_invitations", 0),
        (Some(&own), "sessions", 1),
        (Some(&own), "access_tokens", 1),
        (Some(&own), "model_calls", 1),
    ] {
        let result = execute_in_space(app, team.map(String::as_str), &format!("SELECT * FROM {table}")).await?;
        if result != Ok(rows) {
            violations.push(format!("{table} in {team:?}: {result:?}"));
        }
    }
    let colleague = format!("SELECT set_config('app.current_user_id', '{TENANT_B}', true);");
    for table in ["sessions", "access_tokens", "model_calls"] {
        let result = execute_in_space(app, Some(&own), &format!("{colleague} SELECT * FROM {table}")).await?;
        // The one row is the result of set_config.
        if result != Ok(1) {
            violations.push(format!("a member's {table}: {result:?}"));
        }
    }
    Ok(violations)
}

/// Inserts the events of a run.
fn events(conversation: Uuid) -> String {
    format!(
        "INSERT INTO run_events (tenant_id, run_id, user_id, conversation_id, message_id, instance, first_seq, last_seq,
                                 events, classification)
         VALUES ('{TENANT_A}', gen_random_uuid(), '{TENANT_A}', '{conversation}', '{TENANT_A}', '{TENANT_A}', 1, 1,
                 '[]', 'public')"
    )
}

/// Inserts a call of a model that is charged to a team.
fn call(team: &str) -> String {
    format!(
        "INSERT INTO model_calls (id, tenant_id, user_id, request_id, operation, backend, requested_model, model,
             fallback, status, input_tokens, output_tokens, estimated, metered, cost_micros, took_ms, created_at,
             team_id)
         VALUES (gen_random_uuid(), '{TENANT_A}', '{TENANT_A}', '', 'chat', '', '', '', false, 'ok', 1, 1, false, true,
                 1, 1, now(), {team})"
    )
}

/// Checks that nothing is inserted into another space, or under a parent in another space.
async fn insert_violations(app: &mut PgConnection) -> Result<Vec<String>, TestError> {
    let (own, second) = (TENANT_A.to_string(), SECOND_TEAM.to_string());
    let tenant = TENANT_A;
    let message = |conversation: Uuid, team: &str| {
        format!(
            "INSERT INTO messages (tenant_id, conversation_id, user_id, seq, role, content{}) VALUES
             ('{tenant}', '{conversation}', '{tenant}', 9, 'user', ''{team})",
            if team.is_empty() { "" } else { ", team_id" }
        )
    };
    let denied = Err("42501".to_owned());
    let memory = format!("INSERT INTO memories (tenant_id, user_id, content) VALUES ('{tenant}', '{tenant}', '')");
    let user = format!("INSERT INTO users (tenant_id, issuer, external_id) VALUES ('{tenant}', 'issuer', 'new')");
    let guest = format!(
        "INSERT INTO users (tenant_id, issuer, external_id, home_tenant_id)
         VALUES ('{tenant}', 'guest', 'new', '{TENANT_B}')"
    );
    let other_team = format!(", '{SECOND_TEAM}'");
    let cases = [
        (Some(own.as_str()), message(IN_TEAM, ""), Ok(1)),
        (Some(own.as_str()), message(IN_TEAM, &other_team), denied.clone()),
        (Some(own.as_str()), message(IN_SECOND_TEAM, ""), denied.clone()),
        (Some(own.as_str()), message(TENANT_A, ""), denied.clone()),
        (None, message(TENANT_A, ""), Ok(1)),
        (None, message(TENANT_A, &other_team), denied.clone()),
        (Some(own.as_str()), events(IN_TEAM), Ok(1)),
        (Some(own.as_str()), events(IN_SECOND_TEAM), denied.clone()),
        (Some(own.as_str()), events(TENANT_A), denied.clone()),
        (None, memory.clone(), Ok(1)),
        (Some(own.as_str()), memory, denied.clone()),
        (None, user.clone(), Ok(1)),
        (Some(own.as_str()), user, denied.clone()),
        (None, guest.clone(), denied.clone()),
        (Some(own.as_str()), guest, Ok(1)),
        (Some(own.as_str()), call(&format!("'{own}'")), Ok(1)),
        (Some(own.as_str()), call("NULL"), denied.clone()),
        (Some(second.as_str()), call(&format!("'{own}'")), denied.clone()),
    ];
    let mut violations = Vec::new();
    for (team, sql, expected) in cases {
        let result = execute_in_space(app, team, &sql).await?;
        if result != expected {
            violations.push(format!("{sql} in {team:?}: {result:?}"));
        }
    }
    for (table, column) in [("documents", "team_id"), ("conversations", "team_id"), ("messages", "team_id")] {
        let result = execute_in_space(app, None, &format!("UPDATE {table} SET {column} = '{own}'")).await?;
        if result != denied {
            violations.push(format!("{table} moved to another space: {result:?}"));
        }
    }
    Ok(violations)
}

#[tokio::test]
async fn each_space_shows_its_own_rows_only() -> Result<(), TestError> {
    let (_db, mut app, _superuser) = database_with_spaces().await?;
    assert_eq!(violations(&mut app).await?, Vec::<String>::new());
    Ok(())
}

/// A policy of the application that reads the team.
#[derive(Debug, sqlx::FromRow)]
struct Policy {
    table: String,
    name: String,
    using: Option<String>,
    check: Option<String>,
}

/// Weakens each policy to what it was without spaces, and expects that the matrix notices.
#[tokio::test]
async fn a_policy_without_the_space_is_detected() -> Result<(), TestError> {
    let (_db, mut app, mut superuser) = database_with_spaces().await?;
    let policies: Vec<Policy> = sqlx::query_as(
        "SELECT tablename::text AS table, policyname::text AS name, qual AS using, with_check AS check
         FROM pg_policies
         WHERE qual LIKE '%app_team()%' AND tablename NOT LIKE 'document_chunks_%' ORDER BY 1, 2",
    )
    .fetch_all(&mut superuser)
    .await?;
    assert!(policies.len() >= 30, "too few policies with a space: {policies:?}");
    for Policy { table, name, using, check } in &policies {
        let is_owned = using.as_ref().is_some_and(|using| using.contains("app_user()")) && table != "sessions";
        let is_owned = is_owned && table != "access_tokens" && table != "model_calls";
        let without_space = match is_owned {
            true => "tenant_id = (SELECT app_tenant()) AND user_id = (SELECT app_user())",
            false => "tenant_id = (SELECT app_tenant())",
        };
        execute_sql(&mut superuser, &format!("ALTER POLICY {name} ON {table} USING ({without_space})")).await?;
        let found = violations(&mut app).await?;
        // The other policy on feedback hides as much: permissive policies are combined with OR.
        assert!(!found.is_empty() || table == "message_feedback", "undetected: {name} on {table}");
        let using = using.as_deref().unwrap_or("true");
        let check = check.as_ref().map(|check| format!(" WITH CHECK ({check})")).unwrap_or_default();
        execute_sql(&mut superuser, &format!("ALTER POLICY {name} ON {table} USING ({using}){check}")).await?;
    }
    assert_eq!(violations(&mut app).await?, Vec::<String>::new(), "restored");
    Ok(())
}
