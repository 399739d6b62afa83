//! The number of locks that a statement takes is independent of the number of tenants: passages have a partition per
//! tenant, and a statement that opens all of them takes three locks per tenant.

use crate::sql_support::{connect_as_app, connect_as_superuser};
use data::testing::{DbRole, StatementInfo, TestDb, TestError, statements};
use data::{Database, PgStore, PoolSettings};
use domain::document::DocumentPatch;
use domain::ids::{ChunkId, DocumentId, TenantId};
use domain::ports::{Store as _, StoreError, TenantTx};
use domain::role::Classification;
use domain::scope::Actor;
use domain::search::{SearchFilters, SearchScope};
use domain::time::Timestamp;
use fakes::store_contract::scope;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Number of tenants, larger than the number of locks that a statement takes for other reasons.
const TENANT_COUNT: u128 = 100;
/// Accepted number of additional locks, because the first execution in a session also locks catalog tables.
const TOLERANCE: i64 = 20;
/// The planner setting of a transaction after its first statement on passages.
const FORCE_CUSTOM_PLAN: &str = "SET plan_cache_mode = force_custom_plan";
/// The planner setting that makes PostgreSQL use generic plans, as it may do for all other statements.
const FORCE_GENERIC_PLAN: &str = "SET plan_cache_mode = force_generic_plan";
/// Number of executions. PostgreSQL considers a generic plan from the sixth execution in a session.
const EXECUTIONS: u32 = 8;

/// Inserts a user, a document and a passage for each tenant. User and document have the tenant's id.
const INSERT_ROWS: &str = "INSERT INTO users (id, tenant_id, issuer, external_id) SELECT id, id, '', '' FROM tenants;
        INSERT INTO documents (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256,
                               storage_path, embedding_model, status)
        SELECT id, id, id, '', '', '', 1, repeat('a', 64), '', 'one', 'ready' FROM tenants;
        INSERT INTO document_chunks (tenant_id, document_id, chunk_index, content, classification, embedding,
                                     embedding_model)
        SELECT tenant_id, id, 0, '', classification, '[1]', 'one' FROM documents";

async fn create_tenants(app: &mut PgConnection, numbers: std::ops::Range<u128>) -> Result<(), TestError> {
    for number in numbers {
        sqlx::query("SELECT directory_create($1, $2, $2)")
            .bind(Uuid::from_u128(number))
            .bind(format!("plant-{number}"))
            .execute(&mut *app)
            .await?;
    }
    Ok(())
}

/// Runs SQL in a transaction of tenant 1, and returns the number of relations that it locked. Rolls back.
async fn count_locks(connection: &mut PgConnection, sql: String) -> Result<i64, TestError> {
    let mut transaction = connection.begin().await?;
    let set_scope_sql =
        "SELECT set_config('app.current_tenant_id', $1, true), set_config('app.current_user_id', $1, true)";
    sqlx::query(set_scope_sql).bind(Uuid::from_u128(1).to_string()).execute(&mut *transaction).await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    let count_sql = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'";
    let count = sqlx::query_scalar(count_sql).fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(count)
}

/// Returns a literal of a parameter type. The UUID is the id of the tenant and also of its user and its document.
fn literal(parameter_type: &str) -> String {
    let text = match parameter_type {
        "uuid" => "00000000-0000-0000-0000-000000000001",
        "vector" => return format!("('[1' || repeat(',1', 383) || ']')::{parameter_type}"),
        "jsonb" | "json" => "{}",
        "boolean" => "true",
        "timestamp with time zone" | "date" => "2026-01-01",
        "interval" => "1 s",
        "text" | "character varying" => "1",
        other if other.ends_with("[]") => "{}",
        "bytea" => "",
        _ => "1",
    };
    format!("'{text}'::{parameter_type}")
}

/// Counts the locks that planning each statement takes, by the activity of the statement. Statements on passages get
/// custom plans, all others generic ones.
async fn count_statement_locks(
    connection: &mut PgConnection,
    all: &[StatementInfo],
) -> Result<BTreeMap<&'static str, i64>, TestError> {
    let mut locks = BTreeMap::new();
    for statement in all {
        let on_passages = ["document_chunks", "document_terms"].iter().any(|table| statement.sql.contains(table));
        let plan = if on_passages { FORCE_CUSTOM_PLAN } else { FORCE_GENERIC_PLAN };
        sqlx::raw_sql(AssertSqlSafe(plan)).execute(&mut *connection).await?;
        sqlx::raw_sql(AssertSqlSafe(format!("PREPARE s AS {}", statement.sql))).execute(&mut *connection).await?;
        let types = "SELECT unnest(parameter_types)::text FROM pg_prepared_statements WHERE name = 's'";
        let types: Vec<String> = sqlx::query_scalar(types).fetch_all(&mut *connection).await?;
        let values: Vec<String> = types.iter().map(|name| literal(name)).collect();
        let execute_arguments = if values.is_empty() { "s".to_owned() } else { format!("s({})", values.join(", ")) };
        let lock_count = count_locks(connection, format!("EXPLAIN EXECUTE {execute_arguments}")).await;
        let lock_count = lock_count.map_err(|error| format!("{error}: {}", statement.sql))?;
        sqlx::raw_sql("DEALLOCATE s").execute(&mut *connection).await?;
        let max_locks = locks.entry(statement.activity).or_insert(lock_count);
        *max_locks = lock_count.max(*max_locks);
    }
    Ok(locks)
}

#[tokio::test]
async fn the_number_of_locks_of_a_statement_does_not_grow_with_the_number_of_tenants() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut app = connect_as_app(&db).await?;
    let app_statements: Vec<_> = statements().into_iter().filter(|statement| statement.role == DbRole::App).collect();
    create_tenants(&mut app, 1..3).await?;
    let locks_with_few_tenants = count_statement_locks(&mut app, &app_statements).await?;
    create_tenants(&mut app, 3..TENANT_COUNT).await?;
    let locks_with_many_tenants = count_statement_locks(&mut app, &app_statements).await?;
    let grown_locks: Vec<_> = locks_with_many_tenants
        .iter()
        .filter(|(activity, locks)| **locks > locks_with_few_tenants[*activity] + TOLERANCE)
        .collect();
    assert!(grown_locks.is_empty(), "{grown_locks:?}");
    let without_tenant =
        "EXPLAIN SELECT FROM document_chunks WHERE document_id = '00000000-0000-0000-0000-000000000001'";
    let without_tenant = count_locks(&mut app, without_tenant.to_owned()).await?;
    assert!(
        without_tenant > 2 * i64::try_from(TENANT_COUNT)?,
        "without the tenant, every partition is locked: {without_tenant}"
    );
    Ok(())
}

/// Covers what a statement triggers: foreign keys that cascade to the passages, and functions that run as the owner.
#[tokio::test]
async fn cascades_and_functions_lock_only_one_partition() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut app = connect_as_app(&db).await?;
    sqlx::raw_sql(FORCE_CUSTOM_PLAN).execute(&mut app).await?;
    create_tenants(&mut app, 1..TENANT_COUNT).await?;
    sqlx::raw_sql(INSERT_ROWS).execute(&mut connect_as_superuser(&db).await?).await?;
    for round in 1..=EXECUTIONS {
        for sql in [
            "UPDATE documents SET classification = 'restricted' WHERE id = '00000000-0000-0000-0000-000000000001'",
            "DELETE FROM documents WHERE id = '00000000-0000-0000-0000-000000000001'",
            "SELECT directory_create(gen_random_uuid(), 'another', 'another')",
        ] {
            let locks = count_locks(&mut app, sql.to_owned()).await?;
            assert!(locks < i64::try_from(TENANT_COUNT)?, "round {round}: {locks} locks of {sql}");
        }
    }
    let mut worker = PgConnection::connect(&db.worker_url()).await?;
    for round in 1..=EXECUTIONS {
        for sql in [
            "SELECT requeue_documents_of_other_models('{two}')",
            "SELECT enqueue_reindex()",
            "SELECT * FROM claim_job('1 s', '{ingestion,reindex}', NULL)",
            "SELECT job_traceparent(gen_random_uuid())",
            "SELECT * FROM job_queue_depth()",
        ] {
            let locks = count_locks(&mut worker, sql.to_owned()).await?;
            assert!(locks < i64::try_from(TENANT_COUNT)?, "round {round}: {locks} locks of {sql}");
        }
    }
    Ok(())
}

/// Calls a repository method that accesses passages, selected by number.
async fn call_method(tx: &mut dyn TenantTx, method: u32) -> Result<(), StoreError> {
    let (document, now, model) = (DocumentId::from_uuid(Uuid::from_u128(1)), Timestamp::UNIX_EPOCH, "one");
    let (clearance, filters) = (Classification::Restricted, SearchFilters::default());
    let search_scope = SearchScope { filters, clearance };
    match method {
        0 => drop(tx.chunks().search_vector(&[1.0], model, &search_scope, 5).await?),
        1 => drop(tx.chunks().search_lexical(&"valve".into(), &search_scope, 5).await?),
        2 => drop(tx.chunks().list_by_document(document, clearance, 0, 5).await?),
        3 => drop(tx.chunks().get_by_positions(&[(document, 0)], clearance).await?),
        4 => drop(tx.chunks().get_by_ids(&[ChunkId::from_uuid(Uuid::from_u128(1))], clearance).await?),
        5 => drop(tx.chunks().list_unstaged("two", 5).await?),
        6 => tx.chunks().replace(document, model, &[], now).await?,
        7 => tx.chunks().stage(document, "two", &[], now).await?,
        8 => drop(tx.chunks().switch_model("two", now).await?),
        9 => {
            let patch = DocumentPatch { classification: Some(Classification::Public), ..DocumentPatch::default() };
            drop(tx.documents().update(document, &patch, now).await?);
        }
        _ => drop(tx.documents().delete(document).await?),
    }
    Ok(())
}

#[tokio::test]
async fn the_repositories_use_custom_plans_for_statements_on_passages() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    create_tenants(&mut connect_as_app(&db).await?, 1..TENANT_COUNT).await?;
    let mut superuser = connect_as_superuser(&db).await?;
    sqlx::raw_sql(INSERT_ROWS).execute(&mut superuser).await?;
    let settings = PoolSettings { max_connections: 1, ..PoolSettings::default() };
    let store = PgStore::new(Database::new(&db.app_url(), &settings)?);
    let tenant_scope = scope(TenantId::from_uuid(Uuid::from_u128(1)), Actor::User(Uuid::from_u128(1).into()));
    for method in 0..=10 {
        for round in 1..=EXECUTIONS {
            let mut tx = store.begin(&tenant_scope).await?;
            call_method(&mut *tx, method).await?;
            let locks = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
                         WHERE l.locktype = 'relation' AND a.application_name = 'platform'
                           AND a.datname = current_database()";
            let locks: i64 = sqlx::query_scalar(locks).fetch_one(&mut superuser).await?;
            assert!(locks > 0, "method {method}: the transaction is open");
            assert!(locks < i64::try_from(TENANT_COUNT)?, "round {round}: {locks} locks of method {method}");
        }
    }
    Ok(())
}
