//! Runs statements without a tenant condition against every table, with every kind of tenant setting: no row of another
//! tenant is read, changed, deleted or inserted. Each statement has a positive control, which shows that the statement
//! is valid, so that it is the policy that blocks it.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_app, connect_as_superuser};
use data::testing::{TestDb, TestError};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

/// The tenant tables that the application may read, with a column that it may update (`None` if there is none), and
/// whether it can delete the test's row: it may delete from the table, and no foreign key prevents it.
const TABLES: &[(&str, Option<&str>, bool)] = &[
    ("users", Some("email"), false),
    ("sign_in_tokens", None, true),
    ("access_tokens", Some("last_used_at"), false),
    ("sessions", Some("last_seen_at"), false),
    ("teams", Some("name"), true),
    ("team_memberships", Some("team_role"), true),
    ("team_invitations", Some("status"), false),
    ("team_links", Some("status"), false),
    ("conversations", Some("title"), true),
    ("messages", Some("content"), false),
    ("run_events", None, false),
    ("message_feedback", Some("rating"), true),
    ("memories", Some("content"), true),
    ("documents", Some("title"), true),
    ("document_tombstones", None, false),
    ("document_chunks", None, true),
    ("document_terms", None, true),
    ("jobs", Some("attempts"), true),
    ("idempotency_keys", Some("body"), true),
    ("tenant_usage", None, false),
    ("tenant_token_usage", Some("input_tokens"), false),
    ("usage_days", None, false),
    ("model_calls", None, false),
    ("budget_reservations", Some("tokens"), true),
    ("approval_policies", Some("version"), false),
    ("approvals", Some("updated_at"), false),
    ("approval_decisions", None, false),
    ("work_orders", Some("status"), false),
    ("maintenance_systems", Some("kind"), false),
    ("plant_mode", Some("reason"), false),
    ("channels", Some("name"), true),
    ("channel_deliveries", Some("attempts"), true),
    ("mcp_servers", Some("url"), true),
    ("glossary_versions", None, true),
    ("connectors", Some("endpoint"), true),
    ("tags", Some("unit"), true),
    ("plant_requests", None, true),
    ("agents", Some("description"), true),
    ("goals", Some("updated_at"), false),
    ("goal_plans", None, false),
    ("goal_steps", Some("due_at"), true),
    ("goal_events", None, false),
];

/// Inserts one row into each table. `$1` is the tenant id, which is also the id of every other row.
const INSERT_ROW_IN_EACH_TABLE: &str = "
    INSERT INTO tenants (id, name, slug) VALUES ($1, $1::text, 'tenant-' || right($1::text, 1));
    INSERT INTO users (id, tenant_id, issuer, external_id) VALUES ($1, $1, 'issuer', 'subject');
    INSERT INTO sign_in_tokens VALUES ($1, 'hash', $1, now());
    INSERT INTO access_tokens (id, tenant_id, user_id, name, token_hash, scopes, expires_at)
        VALUES ($1, $1, $1, '', 'hash', '{account:read}', now());
    INSERT INTO sessions VALUES ($1, $1, $1, '', now(), now(), now() + interval '1 hour');
    INSERT INTO tenant_mappings (id, tenant_id, issuer, claim_value) VALUES ($1, $1, 'issuer', $1::text);
    INSERT INTO teams (id, tenant_id, name, slug) VALUES ($1, $1, 'team', 'team');
    INSERT INTO team_memberships (tenant_id, team_id, user_id) VALUES ($1, $1, $1);
    INSERT INTO team_invitations (id, tenant_id, team_id, invited_by, guest_tenant, email, created_at, expires_at)
        VALUES ($1, $1, $1, $1, 'other', 'guest@example.com', now(), now());
    INSERT INTO team_links (invitation_id, tenant_id, user_id, email, host_tenant_id, team_id, team_name, created_at,
        expires_at)
        VALUES ($1, $1, $1, 'guest@example.com', $1, $1, 'team', now(), now());
    INSERT INTO conversations (id, tenant_id, user_id) VALUES ($1, $1, $1);
    INSERT INTO messages (id, tenant_id, conversation_id, user_id, seq, role, content)
        VALUES ($1, $1, $1, $1, 1, 'user', '');
    INSERT INTO run_events (tenant_id, run_id, user_id, conversation_id, message_id, instance, first_seq, last_seq,
        events, classification)
        VALUES ($1, $1, $1, $1, $1, $1, 1, 1, '[]', 'public');
    INSERT INTO message_feedback (tenant_id, message_id, user_id, rating) VALUES ($1, $1, $1, 'up');
    INSERT INTO memories (id, tenant_id, user_id, content) VALUES ($1, $1, $1, '');
    INSERT INTO documents (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256,
        storage_path)
        VALUES ($1, $1, $1, '', '', '', 0, repeat('0', 64), '');
    INSERT INTO document_chunks (id, tenant_id, document_id, chunk_index, content, classification)
        VALUES ($1, $1, $1, 0, '', 'internal');
    INSERT INTO document_terms VALUES ($1, $1, 'valve', '{0}', '{1}', '{1}', '');
    INSERT INTO jobs (id, tenant_id, document_id) VALUES ($1, $1, $1);
    INSERT INTO document_tombstones (tenant_id, document_id, classification) VALUES ($1, $1, 'internal');
    INSERT INTO idempotency_keys (tenant_id, user_id, key_hash, created_at, expires_at)
        VALUES ($1, $1, 'key', now(), now() + interval '1 day');
    INSERT INTO model_calls (id, tenant_id, user_id, request_id, operation, backend, requested_model, model,
        fallback, status,
        input_tokens, output_tokens, estimated, metered, cost_micros, took_ms, created_at)
        VALUES ($1, $1, $1, '', 'chat', '', '', '', false, 'ok', 1, 1, false, true, 1, 1, now());
    INSERT INTO tenant_token_usage (tenant_id, day) VALUES ($1, '2026-01-01');
    INSERT INTO budget_reservations VALUES ($1, $1, $1, 1, 1, now(), now() + interval '1 day');
    INSERT INTO approval_policies (tenant_id, tool, version, terms, updated_at) VALUES ($1, 'tool', 1, '{}', now());
    INSERT INTO agents (tenant_id, name, description, instructions, model, created_at, updated_at)
        VALUES ($1, 'agent', '', '', 'auto', now(), now());
    INSERT INTO goals (id, tenant_id, user_id, objective, approval, created_at, updated_at)
        VALUES ($1, $1, $1, '', 'none', now(), now());
    INSERT INTO goal_plans (tenant_id, goal_id, user_id, version, steps, author, created_at)
        VALUES ($1, $1, $1, 1, '[]', 'user', now());
    INSERT INTO goal_steps (tenant_id, goal_id, user_id, id, position, title, agent, instruction, due_at)
        VALUES ($1, $1, $1, 'a', 0, '', 'agent', '', now());
    INSERT INTO goal_events (tenant_id, goal_id, user_id, seq, kind, data, created_at)
        VALUES ($1, $1, $1, 1, 'plan.changed', '{}', now());
    INSERT INTO approvals (id, tenant_id, tool, tool_version, target, arguments, preview, digest, requested_by,
        policy_version, terms, expires_at, created_at, updated_at)
        VALUES ($1, $1, 'tool', 1, '', '{}', '{}', 'sha256:' || repeat('0', 64), $1, 0, '{}', now(), now(), now());
    ALTER TABLE approval_decisions DISABLE TRIGGER own_request;
    INSERT INTO approval_decisions VALUES ($1, $1, $1, 'approve', NULL, now());
    ALTER TABLE approval_decisions ENABLE TRIGGER own_request;
    INSERT INTO work_orders (id, tenant_id, external_reference, target, title, description, priority, requested_by,
        created_at)
        VALUES ($1, $1, 'reference', '', '', '', 1, $1, now());
    INSERT INTO maintenance_systems (tenant_id, kind, options, sealed_secret, updated_at)
        VALUES ($1, 'rest', '{}', decode(repeat('00', 40), 'hex'), now());
    INSERT INTO plant_mode (tenant_id, mode, reason, changed_at) VALUES ($1, 'normal', '', now());
    INSERT INTO channels (id, tenant_id, name, kind, config, created_at, updated_at)
        VALUES ($1, $1, 'channel', 'webhook', '{}', now(), now());
    INSERT INTO channel_deliveries (id, tenant_id, channel_id, event, facts, next_attempt_at, created_at)
        VALUES ($1, $1, $1, 'channel.test', '{}', now(), now());
    INSERT INTO mcp_servers (id, tenant_id, name, url, created_at, updated_at)
        VALUES ($1, $1, 'server', 'https://mcp.example', now(), now());
    INSERT INTO glossary_versions (tenant_id, version, concepts, changed_at) VALUES ($1, 1, '[]', now());
    INSERT INTO connectors (id, tenant_id, name, kind, endpoint, config, classification, stale_after_s, enabled,
        revision, created_at, updated_at)
        VALUES ($1, $1, 'plc', 'simulator', '', '{}', 'internal', 60, true, 1, now(), now());
    INSERT INTO tags (id, tenant_id, connector_id, name, normalized_name, address, terms, search_text)
        VALUES ($1, $1, $1, 'T', 't', 't', '{}', '');
    INSERT INTO plant_requests (id, tenant_id, connector_id, kind, question, clearance, created_at, expires_at)
        VALUES ($1, $1, $1, 'check', '{}', 'internal', now(), now() + interval '1 hour');
    INSERT INTO tag_samples VALUES ($1, $1, '{}', now());
    INSERT INTO recorded_samples (tenant_id, tag_id, at, quality, stale) VALUES ($1, $1, now(), 'good', false);
    INSERT INTO audit_logs (id, tenant_id, event_type) VALUES ($1, $1, 'doc.read')";

/// Creates a database with two tenants that have one row in each table, and connects as the application.
pub(crate) async fn database_with_two_tenants() -> Result<(TestDb, PgConnection), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for tenant in [TENANT_A, TENANT_B] {
        execute_sql(&mut superuser, &INSERT_ROW_IN_EACH_TABLE.replace("$1", &format!("'{tenant}'::uuid"))).await?;
    }
    let app = connect_as_app(&db).await?;
    Ok((db, app))
}

/// Runs statements that the tests build from constants; nothing is escaped.
pub(crate) async fn execute_sql(connection: &mut PgConnection, sql: &str) -> Result<u64, sqlx::Error> {
    Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?.rows_affected())
}

/// Runs a statement with the given tenant (also used as the user id) in a transaction that is rolled back. Returns the
/// number of affected rows, or the SQLSTATE of the error.
pub(crate) async fn execute_as_tenant(
    app: &mut PgConnection,
    tenant: Option<&str>,
    sql: &str,
) -> Result<Result<u64, String>, TestError> {
    let mut transaction = app.begin().await?;
    if let Some(tenant) = tenant {
        sqlx::query(
            "SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $1, true)",
        )
        .bind(tenant)
        .execute(&mut *transaction)
        .await?;
    }
    let outcome = execute_sql(&mut transaction, sql).await;
    transaction.rollback().await?;
    Ok(outcome.map_err(|error| {
        error.as_database_error().and_then(|e| e.code().map(|code| code.into_owned())).unwrap_or_default()
    }))
}

/// Values of the tenant setting that are not the id of an existing tenant.
const INVALID_TENANT_IDS: [Option<&str>; 6] = [
    None,
    Some(""),
    Some("garbage"),
    Some("00000000-0000-0000-0000-00000000000"),
    Some("00000000-0000-0000-0000-00000000000a' OR true --"),
    Some("00000000-0000-0000-0000-000000000000"),
];

#[tokio::test]
async fn without_a_tenant_there_are_no_rows_and_no_errors() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    for setting in INVALID_TENANT_IDS {
        for (table, _, _) in TABLES.iter().chain(&[("tenants", None, false)]) {
            let result = execute_as_tenant(&mut app, setting, &format!("SELECT * FROM {table}")).await?;
            assert_eq!(result, Ok(0), "{table} with {setting:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_statement_without_a_filter_touches_the_tenants_own_row_only() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let (own_tenant, mut other_settings) = (TENANT_A.to_string(), INVALID_TENANT_IDS.to_vec());
    let unknown_tenant = Uuid::from_u128(0xc).to_string();
    other_settings.push(Some(&unknown_tenant));
    for (table, column, can_delete) in TABLES {
        let mut statements = vec![format!("SELECT * FROM {table}")];
        statements.extend(column.map(|column| format!("UPDATE {table} SET {column} = {column}")));
        statements.extend(can_delete.then(|| format!("DELETE FROM {table}")));
        for sql in statements {
            assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), &sql).await?, Ok(1), "control: {sql}");
            for setting in &other_settings {
                assert_eq!(execute_as_tenant(&mut app, *setting, &sql).await?, Ok(0), "{sql} with {setting:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn another_tenants_rows_are_not_found_by_its_tenant_id() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let (own_tenant, other_tenant, unknown_tenant) =
        (TENANT_A.to_string(), TENANT_B.to_string(), Uuid::from_u128(0xc).to_string());
    for (table, column, can_delete) in TABLES {
        for id in [&other_tenant, &unknown_tenant] {
            let mut statements = vec![format!("SELECT * FROM {table} WHERE tenant_id = '{id}'")];
            statements.extend(column.map(|c| format!("UPDATE {table} SET {c} = {c} WHERE tenant_id = '{id}'")));
            statements.extend(can_delete.then(|| format!("DELETE FROM {table} WHERE tenant_id = '{id}'")));
            for sql in statements {
                assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), &sql).await?, Ok(0), "{sql}");
            }
        }
    }
    Ok(())
}

/// For each table the application may insert into, a statement that inserts one more row. `T` stands for the tenant id
/// and `P` for the ids of the parent rows.
pub(crate) const INSERTS: &[(&str, &str)] = &[
    ("users", "INSERT INTO users (tenant_id, issuer, external_id) VALUES (T, 'issuer', 'new')"),
    ("sign_in_tokens", "INSERT INTO sign_in_tokens VALUES (T, 'new', P, now())"),
    (
        "access_tokens",
        "INSERT INTO access_tokens (tenant_id, user_id, name, token_hash, scopes, expires_at)
         VALUES (T, P, '', 'new', '{account:read}', now())",
    ),
    (
        "sessions",
        "INSERT INTO sessions (tenant_id, user_id, id, created_at, last_seen_at, expires_at)
         VALUES (T, P, gen_random_uuid(), now(), now(), now())",
    ),
    ("teams", "INSERT INTO teams (tenant_id, name, slug) VALUES (T, 'new', 'new')"),
    (
        "team_invitations",
        "INSERT INTO team_invitations (tenant_id, id, team_id, invited_by, guest_tenant, email, created_at, expires_at)
         VALUES (T, gen_random_uuid(), P, P, '', '', now(), now())",
    ),
    (
        "team_links",
        "INSERT INTO team_links (tenant_id, invitation_id, user_id, email, host_tenant_id, team_id, team_name,
                                 created_at, expires_at)
         VALUES (T, gen_random_uuid(), P, '', P, P, '', now(), now())",
    ),
    (
        "team_memberships",
        "WITH gone AS (DELETE FROM team_memberships) INSERT INTO team_memberships (tenant_id, team_id, user_id)
         SELECT T, P, P WHERE NOT EXISTS (SELECT FROM team_memberships WHERE tenant_id = T AND team_id = P)",
    ),
    ("conversations", "INSERT INTO conversations (tenant_id, user_id) VALUES (T, P)"),
    (
        "messages",
        "INSERT INTO messages (tenant_id, conversation_id, user_id, seq, role, content)
            VALUES (T, P, P, 2, 'user', '')",
    ),
    (
        "run_events",
        "INSERT INTO run_events (tenant_id, run_id, user_id, conversation_id, message_id, instance, first_seq, last_seq,
            events, classification)
         VALUES (T, P, P, P, P, P, 2, 2, '[]', 'public')",
    ),
    (
        "message_feedback",
        "INSERT INTO message_feedback (tenant_id, message_id, user_id, rating) VALUES (T, P, P, 'up')
         ON CONFLICT (tenant_id, message_id) DO UPDATE SET rating = excluded.rating",
    ),
    ("memories", "INSERT INTO memories (tenant_id, user_id, content) VALUES (T, P, '')"),
    (
        "documents",
        "INSERT INTO documents (tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256,
            storage_path)
         VALUES (T, P, '', '', '', 0, repeat('1', 64), '')",
    ),
    (
        "document_tombstones",
        "INSERT INTO document_tombstones (tenant_id, document_id, classification)
         VALUES (T, gen_random_uuid(), 'internal')",
    ),
    (
        "document_chunks",
        "INSERT INTO document_chunks (tenant_id, document_id, chunk_index, content, classification)
         VALUES (T, P, 1, '', 'internal')",
    ),
    ("document_terms", "INSERT INTO document_terms VALUES (T, P, 'pump', '{0}', '{1}', '{1}', '')"),
    (
        "idempotency_keys",
        "INSERT INTO idempotency_keys (tenant_id, user_id, key_hash, created_at, expires_at)
         VALUES (T, P, 'new', now(), now())",
    ),
    ("jobs", "INSERT INTO jobs (tenant_id, document_id, kind) SELECT T, NULL, 'reindex'"),
    ("audit_logs", "INSERT INTO audit_logs (tenant_id, event_type) VALUES (T, 'doc.read')"),
    (
        "model_calls",
        "INSERT INTO model_calls (tenant_id, id, request_id, operation, backend, requested_model, model, fallback,
            status,
             input_tokens, output_tokens, estimated, metered, cost_micros, took_ms, created_at)
         VALUES (T, gen_random_uuid(), '', 'chat', '', '', '', false, 'ok', 1, 1, false, true, 1, 1, now())",
    ),
    ("tenant_token_usage", "INSERT INTO tenant_token_usage (tenant_id, day) VALUES (T, '2026-01-02')"),
    (
        "budget_reservations",
        "INSERT INTO budget_reservations (tenant_id, user_id, id, tokens, cost_micros, created_at, expires_at)
         VALUES (T, P, gen_random_uuid(), 1, 1, now(), now())",
    ),
    (
        "agents",
        "INSERT INTO agents (tenant_id, name, description, instructions, model, created_at, updated_at)
         VALUES (T, 'new', '', '', 'auto', now(), now())",
    ),
    (
        "goals",
        "INSERT INTO goals (tenant_id, id, user_id, objective, approval, created_at, updated_at)
         VALUES (T, gen_random_uuid(), P, '', 'none', now(), now())",
    ),
    (
        "goal_plans",
        "INSERT INTO goal_plans (tenant_id, goal_id, user_id, version, steps, author, created_at)
         VALUES (T, P, P, 2, '[]', 'user', now())",
    ),
    (
        "goal_steps",
        "INSERT INTO goal_steps (tenant_id, goal_id, user_id, id, position, title, agent, instruction, due_at)
         VALUES (T, P, P, 'new', 1, '', 'agent', '', now())",
    ),
    (
        "goal_events",
        "INSERT INTO goal_events (tenant_id, goal_id, user_id, seq, kind, data, created_at)
         VALUES (T, P, P, 2, 'plan.changed', '{}', now())",
    ),
    (
        "approval_policies",
        "INSERT INTO approval_policies (tenant_id, tool, version, terms, updated_at) VALUES (T, 'new', 1, '{}', now())",
    ),
    (
        "approvals",
        "INSERT INTO approvals (tenant_id, id, tool, tool_version, target, arguments, preview, digest, requested_by,
             policy_version, terms, expires_at, created_at, updated_at)
         SELECT T, gen_random_uuid(), 'tool', 1, '', '{}', '{}', 'sha256:' || repeat('0', 64), P, 0, '{}', now(),
                now(), now()",
    ),
    (
        "approval_decisions",
        "WITH colleague AS (INSERT INTO users (tenant_id, issuer, external_id)
                            VALUES (app_tenant(), 'issuer', 'colleague') RETURNING id)
         INSERT INTO approval_decisions (tenant_id, approval_id, user_id, decision, decided_at)
         SELECT T, P, id, 'approve', now() FROM colleague",
    ),
    (
        "work_orders",
        "INSERT INTO work_orders (tenant_id, id, external_reference, target, title, description, priority,
             requested_by, created_at)
         SELECT T, gen_random_uuid(), 'new', '', '', '', 1, P, now()",
    ),
    (
        "maintenance_systems",
        "INSERT INTO maintenance_systems (tenant_id, kind, options, updated_at) VALUES (T, 'rest', '{}', now())
         ON CONFLICT (tenant_id) DO UPDATE SET kind = excluded.kind",
    ),
    (
        "plant_mode",
        "INSERT INTO plant_mode (tenant_id, mode, reason, changed_at) VALUES (T, 'off', '', now())
         ON CONFLICT (tenant_id) DO UPDATE SET mode = excluded.mode",
    ),
    (
        "channels",
        "INSERT INTO channels (tenant_id, id, name, kind, config, created_at, updated_at)
         SELECT T, gen_random_uuid(), 'new', 'webhook', '{}', now(), now()",
    ),
    (
        "channel_deliveries",
        "INSERT INTO channel_deliveries (tenant_id, id, channel_id, event, facts, next_attempt_at, created_at)
         SELECT T, gen_random_uuid(), P, 'channel.test', '{}', now(), now()",
    ),
    (
        "mcp_servers",
        "INSERT INTO mcp_servers (tenant_id, id, name, url, created_at, updated_at)
         VALUES (T, gen_random_uuid(), 'new', '', now(), now())",
    ),
    (
        "glossary_versions",
        "INSERT INTO glossary_versions (tenant_id, version, concepts, changed_at) VALUES (T, 2, '[]', now())",
    ),
    (
        "connectors",
        "INSERT INTO connectors (tenant_id, id, name, kind, endpoint, config, classification, stale_after_s, enabled,
             revision, created_at, updated_at)
         SELECT T, gen_random_uuid(), 'new', 'simulator', '', '{}', 'internal', 60, true, 1, now(), now()",
    ),
    (
        "tags",
        "INSERT INTO tags (tenant_id, connector_id, id, name, normalized_name, address, terms, search_text)
         SELECT T, P, gen_random_uuid(), 'new', 'new', 'new', '{}', ''",
    ),
    (
        "plant_requests",
        "INSERT INTO plant_requests (tenant_id, connector_id, id, kind, question, clearance, created_at, expires_at)
         SELECT T, P, gen_random_uuid(), 'check', '{}', 'internal', now(), now()",
    ),
];

/// As [`INSERTS`], for the tables into which only the plant process inserts.
pub(crate) const PLANT_INSERTS: &[(&str, &str)] = &[
    (
        "tag_samples",
        "INSERT INTO tag_samples (tenant_id, tag_id, sample, received_at) VALUES (T, P, '{}', now())
         ON CONFLICT (tenant_id, tag_id) DO UPDATE SET sample = excluded.sample",
    ),
    (
        "recorded_samples",
        "INSERT INTO recorded_samples (tenant_id, tag_id, at, quality, stale)
         VALUES (T, gen_random_uuid(), now(), 'good', false)",
    ),
];

/// Replaces the placeholders of one of the [`INSERTS`].
pub(crate) fn substitute(sql: &str, tenant: &str, parent: &str) -> String {
    sql.replace("(T", &format!("('{tenant}'"))
        .replace("SELECT T", &format!("SELECT '{tenant}'"))
        .replace("= T", &format!("= '{tenant}'"))
        .replace(" P", &format!(" '{parent}'"))
}

#[tokio::test]
async fn no_row_is_inserted_for_another_tenant_or_under_its_parents() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let (own_tenant, other_tenant, unknown_tenant) =
        (TENANT_A.to_string(), TENANT_B.to_string(), Uuid::from_u128(0xc).to_string());
    let permission_denied = Err("42501".to_owned());
    for (table, sql) in INSERTS {
        let control =
            execute_as_tenant(&mut app, Some(&own_tenant), &substitute(sql, &own_tenant, &own_tenant)).await?;
        assert_eq!(control, if *table == "team_memberships" { Ok(0) } else { Ok(1) }, "control: {table}");
        // A tenant that does not exist causes the same error as one that does, so the error reveals nothing.
        for other in [&other_tenant, &unknown_tenant] {
            assert_eq!(
                execute_as_tenant(&mut app, Some(&own_tenant), &substitute(sql, other, other)).await?,
                permission_denied,
                "{table}: {other}"
            );
        }
        for setting in INVALID_TENANT_IDS {
            assert_eq!(
                execute_as_tenant(&mut app, setting, &substitute(sql, &own_tenant, &own_tenant)).await?,
                permission_denied,
                "{table} with {setting:?}"
            );
        }
        if sql.contains(" P") {
            // Own tenant id, parent of another tenant: rejected by row-level security (for tables with a user
            // condition) or by the composite foreign key.
            let result =
                execute_as_tenant(&mut app, Some(&own_tenant), &substitute(sql, &own_tenant, &other_tenant)).await?;
            assert!(matches!(result.as_ref().map_err(String::as_str), Err("42501" | "23503")), "{table}: {result:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_row_cannot_be_moved_to_another_tenant() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let own_tenant = TENANT_A.to_string();
    for (table, _, _) in TABLES.iter().chain(&[("tenants", None, false), ("audit_logs", None, false)]) {
        let column = if *table == "tenants" { "id" } else { "tenant_id" };
        let result =
            execute_as_tenant(&mut app, Some(&own_tenant), &format!("UPDATE {table} SET {column} = '{TENANT_B}'"))
                .await?;
        assert_eq!(result, Err("42501".to_owned()), "{table}");
    }
    Ok(())
}

/// ON CONFLICT must neither reveal whether another tenant has the key nor change that tenant's row.
#[tokio::test]
async fn on_conflict_does_not_affect_another_tenants_row() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let (own_tenant, other_tenant) = (TENANT_A.to_string(), TENANT_B.to_string());
    let upsert = |tenant: &str, subject: &str| {
        format!(
            "INSERT INTO users (tenant_id, issuer, external_id) VALUES ('{tenant}', 'issuer', '{subject}')
             ON CONFLICT (tenant_id, issuer, external_id) DO UPDATE SET email = 'taken over'"
        )
    };
    assert_eq!(
        execute_as_tenant(&mut app, Some(&own_tenant), &upsert(&own_tenant, "subject")).await?,
        Ok(1),
        "control"
    );
    for subject in ["subject", "nobody"] {
        let result = execute_as_tenant(&mut app, Some(&own_tenant), &upsert(&other_tenant, subject)).await?;
        assert_eq!(result, Err("42501".to_owned()), "{subject}");
    }
    let insert_team_with_id = |id: Uuid| {
        format!(
            "INSERT INTO teams (id, tenant_id, name, slug)
                VALUES ('{id}', '{TENANT_A}', 'x', 'x') ON CONFLICT DO NOTHING"
        )
    };
    assert_eq!(
        execute_as_tenant(&mut app, Some(&own_tenant), &insert_team_with_id(TENANT_A)).await?,
        Ok(0),
        "control: the id is in use"
    );
    assert_eq!(
        execute_as_tenant(&mut app, Some(&own_tenant), &insert_team_with_id(TENANT_B)).await?,
        Ok(1),
        "the id of another tenant"
    );
    Ok(())
}

/// The functions of the directory return only the row of the exact hash or claim. The application cannot access the
/// mappings in any other way, and cannot change the owner, hash, scopes or expiry of a token.
#[tokio::test]
async fn tokens_and_mappings_are_found_by_their_value_only() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let own_tenant = TENANT_A.to_string();
    for setting in [None, Some(own_tenant.as_str())] {
        for (sql, rows) in [
            ("SELECT * FROM directory_access_token('hash')", 1),
            ("SELECT * FROM directory_access_token('other')", 0),
            ("SELECT * FROM directory_access_token('%')", 0),
            ("SELECT * FROM directory_mapped_tenant('issuer', '00000000-0000-0000-0000-00000000000b')", 1),
            ("SELECT * FROM directory_mapped_tenant('issuer', 'other')", 0),
            ("SELECT * FROM directory_mapped_tenant('other', '00000000-0000-0000-0000-00000000000b')", 0),
        ] {
            assert_eq!(execute_as_tenant(&mut app, setting, sql).await?, Ok(rows), "{sql}");
        }
    }
    for sql in [
        "SELECT * FROM tenant_mappings",
        "INSERT INTO tenant_mappings (tenant_id, issuer, claim_value) VALUES (app_tenant(), 'i', 'c')",
        "DELETE FROM tenant_mappings",
        "DELETE FROM access_tokens",
        "UPDATE access_tokens SET user_id = user_id",
        "UPDATE access_tokens SET token_hash = ''",
        "UPDATE access_tokens SET scopes = scopes",
        "UPDATE access_tokens SET expires_at = now()",
        "DELETE FROM sessions",
        "UPDATE sessions SET user_id = user_id",
        "UPDATE sessions SET created_at = now()",
    ] {
        assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), sql).await?, Err("42501".to_owned()), "{sql}");
    }
    Ok(())
}

/// No login role may access the partition of a tenant's passages directly, only through the parent table.
#[tokio::test]
async fn a_partition_is_accessible_through_its_parent_only() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let own_tenant = TENANT_A.to_string();
    assert_eq!(
        execute_as_tenant(&mut app, Some(&own_tenant), "SELECT * FROM document_chunks").await?,
        Ok(1),
        "control"
    );
    for tenant in [TENANT_A, TENANT_B] {
        let partition = format!("document_chunks_{}", tenant.simple());
        for sql in [
            format!("SELECT * FROM {partition}"),
            format!("DELETE FROM {partition}"),
            format!("UPDATE {partition} SET content = ''"),
            format!(
                "INSERT INTO {partition} (tenant_id, document_id, chunk_index, content, classification)
                     VALUES ('{TENANT_A}', '{TENANT_A}', 1, '', 'internal')"
            ),
            format!("ALTER TABLE document_chunks DETACH PARTITION {partition}"),
        ] {
            assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), &sql).await?, Err("42501".to_owned()), "{sql}");
        }
    }
    Ok(())
}

/// In the row of the current tenant, the application may change the current and the next embedding model, but nothing
/// else.
#[tokio::test]
async fn the_application_can_change_only_the_embedding_models_of_its_tenant() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let own_tenant = TENANT_A.to_string();
    assert_eq!(
        execute_as_tenant(&mut app, Some(&own_tenant), "UPDATE tenants SET embedding_model = 'm'").await?,
        Ok(1),
        "control"
    );
    let foreign_update = format!("UPDATE tenants SET embedding_model = 'm' WHERE id = '{TENANT_B}'");
    assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), &foreign_update).await?, Ok(0));
    for column in ["is_active = true", "config = '{}'", "name = 'x'"] {
        let result = execute_as_tenant(&mut app, Some(&own_tenant), &format!("UPDATE tenants SET {column}")).await?;
        assert_eq!(result, Err("42501".to_owned()), "{column}");
    }
    Ok(())
}

#[tokio::test]
async fn a_colleagues_rows_are_hidden() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    for table in ["conversations", "messages", "memories", "idempotency_keys", "run_events"] {
        let sql = format!(
            "SELECT set_config('app.current_tenant_id', '{TENANT_A}', true), set_config('app.current_user_id',
                '{TENANT_B}', true);
             DELETE FROM {table} WHERE false; SELECT * FROM {table}"
        );
        let may_delete = !["messages", "run_events"].contains(&table);
        let sql = if may_delete { sql } else { sql.replace(&format!("DELETE FROM {table} WHERE false;"), "") };
        // The one row is the result of set_config.
        assert_eq!(execute_as_tenant(&mut app, None, &sql).await?, Ok(1), "{table}");
    }
    Ok(())
}

#[tokio::test]
async fn the_log_is_append_only_and_read_by_its_tenants_auditor() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let own_tenant = TENANT_A.to_string();
    for sql in [
        "SELECT * FROM audit_logs",
        "UPDATE audit_logs SET event_type = ''",
        "DELETE FROM audit_logs",
        "TRUNCATE audit_logs",
        "INSERT INTO audit_logs (tenant_id, event_type) VALUES (app_tenant(), 'x') RETURNING id",
    ] {
        assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), sql).await?, Err("42501".to_owned()), "{sql}");
    }
    let mut auditor = PgConnection::connect(&db.auditor_url()).await?;
    assert_eq!(execute_as_tenant(&mut auditor, Some(&own_tenant), "SELECT * FROM audit_logs").await?, Ok(1));
    assert_eq!(execute_as_tenant(&mut auditor, None, "SELECT * FROM audit_logs").await?, Ok(0));
    for sql in [
        "DELETE FROM audit_logs",
        "SELECT * FROM users",
        "INSERT INTO audit_logs (tenant_id, event_type) VALUES (app_tenant(), '')",
    ] {
        assert_eq!(execute_as_tenant(&mut auditor, Some(&own_tenant), sql).await?, Err("42501".to_owned()), "{sql}");
    }
    Ok(())
}

/// The application may read the ledger and append to it, but not change or delete rows; the database maintains the
/// sums.
#[tokio::test]
async fn the_ledger_and_its_sums_are_not_changed() -> Result<(), TestError> {
    let (db, mut app) = database_with_two_tenants().await?;
    let own_tenant = TENANT_A.to_string();
    let permission_denied = Err("42501".to_owned());
    for sql in [
        "UPDATE model_calls SET cost_micros = 0",
        "UPDATE model_calls SET user_id = NULL",
        "DELETE FROM model_calls",
        "TRUNCATE model_calls",
        "UPDATE usage_days SET cost_micros = 0",
        "INSERT INTO usage_days (tenant_id, day) VALUES (app_tenant(), '2026-01-01')",
        "DELETE FROM usage_days",
        "UPDATE budget_reservations SET user_id = NULL",
        "SELECT count_model_call()",
    ] {
        assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), sql).await?, permission_denied, "{sql}");
    }
    let mut superuser = connect_as_superuser(&db).await?;
    execute_sql(&mut superuser, "DELETE FROM conversations; DELETE FROM users WHERE false").await?;
    assert_eq!(
        execute_as_tenant(&mut app, Some(&own_tenant), "SELECT * FROM model_calls").await?,
        Ok(1),
        "a model call outlives its conversation"
    );
    Ok(())
}

#[tokio::test]
async fn the_worker_gets_ids_and_nothing_else() -> Result<(), TestError> {
    let (db, _app) = database_with_two_tenants().await?;
    let mut worker = PgConnection::connect(&db.worker_url()).await?;
    let own_tenant = TENANT_A.to_string();
    for table in [
        "jobs",
        "documents",
        "idempotency_keys",
        "sessions",
        "document_chunks",
        "users",
        "tenants",
        "audit_logs",
        "model_calls",
        "usage_days",
        "budget_reservations",
        "run_events",
        "approvals",
        "approval_decisions",
        "work_orders",
        "maintenance_systems",
        "plant_mode",
        "channels",
        "channel_deliveries",
        "mcp_servers",
        "glossary_versions",
        "connectors",
        "tags",
        "plant_requests",
        "tag_samples",
        "recorded_samples",
        "agents",
        "goals",
        "goal_plans",
        "goal_steps",
        "goal_events",
    ] {
        let result = execute_as_tenant(&mut worker, Some(&own_tenant), &format!("SELECT * FROM {table}")).await?;
        assert_eq!(result, Err("42501".to_owned()), "{table}");
    }
    let directory = execute_as_tenant(&mut worker, None, "SELECT * FROM directory_list(NULL, NULL, 9)").await?;
    assert_eq!(directory, Err("42501".to_owned()));
    assert_eq!(execute_as_tenant(&mut worker, None, "SELECT * FROM claim_job('1 hour')").await?, Ok(1), "control");
    Ok(())
}

/// The policies apply to COPY and MERGE, as they do to SELECT, INSERT and UPDATE.
#[tokio::test]
async fn copy_and_merge_see_and_change_the_tenants_own_rows_only() -> Result<(), TestError> {
    let (_db, mut app) = database_with_two_tenants().await?;
    let (own_tenant, other_tenant) = (TENANT_A.to_string(), TENANT_B.to_string());
    for (table, _, _) in TABLES {
        for (setting, expected) in [(Some(own_tenant.as_str()), 1), (Some(""), 0), (None, 0)] {
            let lines = copy_to_stdout(&mut app, setting, table).await?;
            assert_eq!(lines.len(), expected, "{table} with {setting:?}");
            assert!(lines.iter().all(|line| !line.contains(&other_tenant)), "{table}: {lines:?}");
        }
    }
    let merge = |tenant: &str| {
        format!(
            "MERGE INTO teams t USING (SELECT '{tenant}'::uuid AS tenant_id) s ON t.tenant_id = s.tenant_id
             WHEN MATCHED THEN UPDATE SET name = 'taken over'
             WHEN NOT MATCHED THEN INSERT (tenant_id, name, slug) VALUES (s.tenant_id, 'x', 'x')"
        )
    };
    assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), &merge(&own_tenant)).await?, Ok(1), "control");
    assert_eq!(execute_as_tenant(&mut app, Some(&own_tenant), &merge(&other_tenant)).await?, Err("42501".to_owned()));
    assert_eq!(execute_as_tenant(&mut app, None, &merge(&other_tenant)).await?, Err("42501".to_owned()));
    Ok(())
}

/// Returns the lines of `COPY … TO STDOUT`.
async fn copy_to_stdout(app: &mut PgConnection, tenant: Option<&str>, table: &str) -> Result<Vec<String>, TestError> {
    use futures::TryStreamExt as _;
    let mut transaction = app.begin().await?;
    sqlx::query("SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $1, true)")
        .bind(tenant.unwrap_or_default())
        .execute(&mut *transaction)
        .await?;
    // COPY cannot read a partitioned table directly, so it gets a query.
    let copy = format!("COPY (SELECT * FROM {table}) TO STDOUT");
    let bytes: Vec<_> = transaction.copy_out_raw(&copy).await?.try_collect().await?;
    transaction.rollback().await?;
    Ok(String::from_utf8(bytes.concat())?.lines().map(str::to_owned).collect())
}
