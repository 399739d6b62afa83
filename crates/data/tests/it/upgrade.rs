//! Tests migrations on existing data: rows that an earlier version stored are still there afterwards.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_superuser, isolation_violations};
use data::audit::{AuditMaintenance, AuditVerifier, SigningKey, TrustedKeys};
use data::testing::{TestDb, TestError};
use data::{PgAuditReader, PgStore};
use domain::audit::chain::ChainPageEntry;
use domain::audit::{AuditFilter, AuditedOperation};
use domain::command::{Command as _, GetDocument};
use domain::ids::SessionId;
use domain::page::PageRequest;
use domain::ports::{AuditReader as _, Store as _};
use domain::scope::Actor;
use fakes::store_contract::scope;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

macro_rules! migration {
    ($name:literal) => {
        include_str!(concat!("../../../../migrations/", $name, ".sql"))
    };
}

/// The migrations before the one that partitions the passages.
const MIGRATIONS_BEFORE_PARTITIONS: [&str; 8] = [
    migration!("0001_roles"),
    migration!("0002_tenants_and_users"),
    migration!("0003_conversations_and_memories"),
    migration!("0004_documents"),
    migration!("0005_audit_log"),
    migration!("0006_jobs"),
    migration!("0007_directory"),
    migration!("0008_document_revisions"),
];

/// Runs a script in a transaction.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) -> Result<(), TestError> {
    sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {sql}; COMMIT"))).execute(connection).await?;
    Ok(())
}

#[tokio::test]
async fn passages_and_terms_move_into_their_tenants_partitions() -> Result<(), TestError> {
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for migration in MIGRATIONS_BEFORE_PARTITIONS {
        run(&mut superuser, migration).await?;
    }
    for tenant in [TENANT_A, TENANT_B] {
        let rows = "
            INSERT INTO tenants (id, name, slug) VALUES ($1, $1::text, 'tenant-' || right($1::text, 1));
            INSERT INTO users (id, tenant_id, issuer, external_id) VALUES ($1, $1, 'issuer', 'subject');
            INSERT INTO documents (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256,
                                   storage_path, status, chunk_count)
                VALUES ($1, $1, $1, '', '', '', 0, repeat('0', 64), '', 'ready', 2);
            INSERT INTO document_chunks (tenant_id, document_id, chunk_index, content, classification, embedding,
                                         embedding_model)
                SELECT $1, $1, index, 'passage', 'internal', '[1, 0]', 'model' FROM generate_series(0, 1) AS index;
            INSERT INTO document_terms VALUES ($1, $1, 'passag', '{0,1}', '{1,1}', '{1,1}')";
        run(&mut superuser, &rows.replace("$1", &format!("'{tenant}'::uuid"))).await?;
    }
    run(&mut superuser, migration!("0009_passage_index")).await?;
    let migrated: Vec<(Uuid, String, i64)> = sqlx::query_as(
        "SELECT c.tenant_id, d.embedding_model || ' ' || t.embedding_model || ' ' || w.embedding_model || ' '
            || d.language,
                count(*)
         FROM document_chunks c
         JOIN documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id
             AND d.embedding_model = c.embedding_model
         JOIN tenants t ON t.id = c.tenant_id
         JOIN document_terms w ON w.tenant_id = c.tenant_id AND w.document_id = d.id
         WHERE c.tableoid = to_regclass(passage_partition(c.tenant_id))
         GROUP BY 1, 2 ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await?;
    let expected_models = "model model model english".to_owned();
    assert_eq!(migrated, [(TENANT_A, expected_models.clone(), 2), (TENANT_B, expected_models, 2)]);
    assert_eq!(isolation_violations(&mut superuser).await?, Vec::<String>::new());
    Ok(())
}

/// Audit rows from before the hash chain keep their content and are sealed, and an intent that its process left open is
/// closed.
#[tokio::test]
async fn the_audit_log_moves_into_partitions_and_gets_its_chain() -> Result<(), TestError> {
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for migration in
        MIGRATIONS_BEFORE_PARTITIONS.into_iter().chain([migration!("0009_passage_index"), migration!("0010_queue")])
    {
        run(&mut superuser, migration).await?;
    }
    let rows = "
        INSERT INTO tenants (id, name, slug) VALUES ($1, 'a', 'a');
        INSERT INTO audit_logs (id, tenant_id, event_type, phase, result_status, correlation_id, created_at, metadata)
            VALUES ($2, $1, 'doc.read', 'intent', 'pending', $2, now() - interval '40 days', '{\"n\": 1.50}'),
                   (gen_random_uuid(), $1, 'doc.read', 'outcome', 'success', $2, now() - interval '40 days', '{}'),
                   ($3, $1, 'chat.request', 'intent', 'pending', $3, now() - interval '1 day', '{}')";
    let ids = ["$1", "$2", "$3"].into_iter().zip([TENANT_A, TENANT_B, Uuid::from_u128(0xc)]);
    run(
        &mut superuser,
        &ids.fold(rows.to_owned(), |sql, (placeholder, id)| sql.replace(placeholder, &format!("'{id}'"))),
    )
    .await?;
    run(&mut superuser, migration!("0011_audit_chain")).await?;
    let recover = "SELECT recovered FROM audit_recover(NULL) AS recovered";
    let closed_count: i64 = sqlx::query_scalar(recover).fetch_one(&mut superuser).await?;
    assert_eq!(closed_count, 1, "the chat turn that was never closed");
    sqlx::query("SELECT * FROM audit_seal(100)").execute(&mut superuser).await?;
    let counts: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM audit_logs), (SELECT count(*) FROM audit_open),
                (SELECT count(*) FROM audit_chain c JOIN audit_logs l ON l.tenant_id = c.tenant_id AND l.id = c.audit_id
                 WHERE c.row_hash = sha256(convert_to(audit_canonical(l), 'UTF8')))",
    )
    .fetch_one(&mut superuser)
    .await?;
    assert_eq!(counts, (4, 0, 4));
    assert_eq!(isolation_violations(&mut superuser).await?, Vec::<String>::new());
    Ok(())
}

/// Audit rows from before sessions were recorded keep their hashes and their conversations, and are in the same chain
/// as later rows. An intent that was open at the upgrade is closed with a row of the same format version.
#[tokio::test]
async fn audit_rows_from_before_sessions_are_still_verified() -> Result<(), TestError> {
    // Creates the template database, which sets the passwords of the login roles for the whole cluster.
    let _migrated = TestDb::create().await?;
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    for migration in migrations_before_sessions() {
        run(&mut superuser, migration).await?;
    }
    let old_rows = "
        INSERT INTO tenants (id, name, slug) VALUES ($1, 'a', 'a');
        INSERT INTO audit_logs (id, tenant_id, session_id, event_type, phase, result_status, correlation_id, created_at)
            VALUES ($2, $1, $3, 'doc.read', 'intent', 'pending', $2, now() - interval '1 hour'),
                   (gen_random_uuid(), $1, $3, 'doc.read', 'outcome', 'success', $2, now() - interval '1 hour'),
                   ($3, $1, $3, 'chat.request', 'intent', 'pending', $3, now() - interval '1 hour');
        SELECT * FROM audit_seal(2)";
    let conversation = Uuid::from_u128(0xc);
    let ids = ["$1", "$2", "$3"].into_iter().zip([TENANT_A, TENANT_B, conversation]);
    let old_rows = ids.fold(old_rows.to_owned(), |sql, (name, id)| sql.replace(name, &format!("'{id}'::uuid")));
    run(&mut superuser, &old_rows).await?;
    run(&mut superuser, migration!("0022_sessions")).await?;
    let session = SessionId::from_uuid(Uuid::from_u128(0x5));
    let in_session = scope(TENANT_A.into(), Actor::System).in_session(Some(session));
    let mut tx = PgStore::new(db.app_pool()?).begin(&in_session).await?;
    let operation = AuditedOperation {
        event: GetDocument::EVENT,
        resource: None,
        resource_id: None,
        conversation_id: Some(conversation.into()),
        request_hash: None,
        metadata: serde_json::json!({}),
    };
    tx.audit().record_intent(Uuid::from_u128(0xd).into(), &operation, chrono::DateTime::UNIX_EPOCH).await?;
    tx.commit().await?;
    sqlx::query("SELECT audit_recover(NULL)").execute(&mut superuser).await?;
    let (maintenance, key) = (AuditMaintenance::new(db.app_pool()?), SigningKey::from_seed(&[7; 32])?);
    for head in maintenance.seal(100).await? {
        let signed_at = chrono::DateTime::UNIX_EPOCH;
        maintenance.store_checkpoint(&key.sign_checkpoint(head.tenant, head.seq, head.chain_hash, signed_at)).await?;
    }

    let verifier = AuditVerifier::new(db.auditor_pool()?, TrustedKeys::new([key.public_key().as_str()])?);
    let report = verifier.verify(TENANT_A, &[]).await?;
    assert!(report.findings.is_empty(), "{report:?}");
    let filter = AuditFilter { conversation_id: Some(conversation.into()), ..AuditFilter::default() };
    let reader = PgAuditReader::new(db.auditor_pool()?);
    let rows = reader.read(&in_session, &filter, &PageRequest::default()).await?.items;
    let sessions: Vec<_> = rows.iter().map(|row| row.session_id).collect();
    assert_eq!((rows.len(), sessions.iter().flatten().count()), (report.entry_count.try_into()?, 2), "{rows:?}");
    let page = reader.chain_page(&in_session, 0, 100).await?;
    for entry in &page.entries {
        let ChainPageEntry::Event(event) = entry else { return Err("a row is missing".into()) };
        assert_eq!((event.computed_hash(), event.conversation_id), (event.row_hash, Some(conversation)), "{event:?}");
    }
    assert_edits_of_old_rows_are_detected(&mut superuser, &verifier, conversation).await
}

/// Edits of a row from before sessions are detected, even in columns that its format version does not use.
async fn assert_edits_of_old_rows_are_detected(
    superuser: &mut PgConnection,
    verifier: &AuditVerifier,
    conversation: Uuid,
) -> Result<(), TestError> {
    for edit in ["conversation_id = tenant_id", "layout = 2", "session_id = tenant_id"] {
        let sql = format!("UPDATE audit_logs SET {edit} WHERE id = '{TENANT_B}'");
        run(superuser, &format!("SET LOCAL session_replication_role = replica; {sql}")).await?;
        assert_eq!(verifier.verify(TENANT_A, &[]).await?.findings.len(), 1, "{edit}");
        run(
            superuser,
            &format!(
                "SET LOCAL session_replication_role = replica;
             UPDATE audit_logs SET conversation_id = NULL, layout = 1, session_id = '{conversation}'
                 WHERE id = '{TENANT_B}'"
            ),
        )
        .await?;
        assert!(verifier.verify(TENANT_A, &[]).await?.findings.is_empty(), "control");
    }
    Ok(())
}

/// The migrations before the one that adds sessions.
fn migrations_before_sessions() -> impl Iterator<Item = &'static str> {
    MIGRATIONS_BEFORE_PARTITIONS.into_iter().chain([
        migration!("0009_passage_index"),
        migration!("0010_queue"),
        migration!("0011_audit_chain"),
        migration!("0012_identity"),
        migration!("0013_idempotency"),
        migration!("0014_settings_and_classification"),
        migration!("0015_model_calls_and_budgets"),
        migration!("0016_given_roles_and_logins"),
        migration!("0017_uploads"),
        migration!("0018_sources_and_classes"),
        migration!("0019_light_candidates"),
        migration!("0020_partition_locks"),
        migration!("0021_conversation_branches"),
    ])
}

/// The migration copies the counts from `tenant_token_usage` to `usage_days`.
#[tokio::test]
async fn token_counts_from_before_the_ledger_are_kept() -> Result<(), TestError> {
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let later_migrations = [
        migration!("0009_passage_index"),
        migration!("0010_queue"),
        migration!("0011_audit_chain"),
        migration!("0012_identity"),
        migration!("0013_idempotency"),
        migration!("0014_settings_and_classification"),
    ];
    for migration in MIGRATIONS_BEFORE_PARTITIONS.into_iter().chain(later_migrations) {
        run(&mut superuser, migration).await?;
    }
    for tenant in [TENANT_A, TENANT_B] {
        let rows = "INSERT INTO tenants (id, name, slug) VALUES ($1, $1::text, 'tenant-' || right($1::text, 1));
                    INSERT INTO tenant_token_usage VALUES ($1, '2026-01-01', 5, 7)";
        run(&mut superuser, &rows.replace("$1", &format!("'{tenant}'::uuid"))).await?;
    }
    run(&mut superuser, migration!("0015_model_calls_and_budgets")).await?;
    let migrated: Vec<(Uuid, String, Option<Uuid>, i64, i64, i64)> = sqlx::query_as(
        "SELECT tenant_id, day::text, user_id, input_tokens, output_tokens, cost_micros FROM usage_days ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await?;
    let row = |tenant| (tenant, "2026-01-01".to_owned(), None, 5, 7, 0);
    assert_eq!(migrated, [row(TENANT_A), row(TENANT_B)]);
    assert_previous_version_counts_tokens(&db, &mut superuser).await?;
    assert_eq!(isolation_violations(&mut superuser).await?, Vec::<String>::new());
    Ok(())
}

/// A server of the previous version, which still runs during an upgrade, counts tokens in the old table with each
/// answer. The new sums must include them.
async fn assert_previous_version_counts_tokens(db: &TestDb, superuser: &mut PgConnection) -> Result<(), TestError> {
    let mut previous_version = PgConnection::connect(&db.app_url()).await?;
    let mut transaction = previous_version.begin().await?;
    sqlx::query("SELECT set_config('app.current_tenant_id', $1, true)")
        .bind(TENANT_A.to_string())
        .execute(&mut *transaction)
        .await?;
    for day in ["2026-01-01", "2026-01-02"] {
        sqlx::query(
            "INSERT INTO tenant_token_usage AS known (tenant_id, day, input_tokens, output_tokens)
             VALUES (app_tenant(), $1::date, 10, 20)
             ON CONFLICT (tenant_id, day) DO UPDATE
             SET input_tokens = known.input_tokens + excluded.input_tokens,
                 output_tokens = known.output_tokens + excluded.output_tokens",
        )
        .bind(day)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    let usage_rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT day::text, input_tokens, output_tokens FROM usage_days WHERE tenant_id = $1 ORDER BY day",
    )
    .bind(TENANT_A)
    .fetch_all(superuser)
    .await?;
    assert_eq!(usage_rows, [("2026-01-01".to_owned(), 15, 27), ("2026-01-02".to_owned(), 10, 20)]);
    Ok(())
}

/// Vectors keep their values with two bytes per dimension, in existing and in new partitions. Passages have no terms
/// until their documents are ingested again. A tenant that had a vector index gets a job that builds the new one.
#[tokio::test]
async fn vectors_become_half_precision_and_their_index_builds_are_queued() -> Result<(), TestError> {
    let db = TestDb::create_empty().await?;
    let mut superuser = connect_as_superuser(&db).await?;
    let later_migrations = [
        migration!("0009_passage_index"),
        migration!("0010_queue"),
        migration!("0011_audit_chain"),
        migration!("0012_identity"),
        migration!("0013_idempotency"),
        migration!("0014_settings_and_classification"),
        migration!("0015_model_calls_and_budgets"),
        migration!("0016_given_roles_and_logins"),
        migration!("0017_uploads"),
        migration!("0018_sources_and_classes"),
    ];
    for migration in MIGRATIONS_BEFORE_PARTITIONS.into_iter().chain(later_migrations) {
        run(&mut superuser, migration).await?;
    }
    store_passages_with_an_index(&mut superuser).await?;
    run(&mut superuser, migration!("0019_light_candidates")).await?;
    run(&mut superuser, &format!("INSERT INTO tenants (id, name, slug) VALUES ('{}', 'c', 'c')", Uuid::from_u128(0xc)))
        .await?;
    let unchanged_vectors: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT tenant_id, count(*) FROM document_chunks
         WHERE embedding = '[0.6, -0.8]'::halfvec AND terms IS NULL GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await?;
    assert_eq!(unchanged_vectors, [(TENANT_A, 2), (TENANT_B, 2)]);
    let columns: Vec<(String, i64)> = sqlx::query_as(
        "SELECT format_type(a.atttypid, NULL) || ' ' || a.attstorage::text, count(*)
         FROM pg_attribute a
         WHERE a.attname IN ('embedding', 'terms') AND a.attrelid::regclass::text LIKE 'document_chunks%'
         GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&mut superuser)
    .await?;
    // The parent table, the partition `document_chunks_nobody`, and the partitions of three tenants.
    assert_eq!(columns, [("bytea m".to_owned(), 5), ("halfvec m".to_owned(), 5)]);
    let queued_jobs: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT tenant_id, kind::text FROM jobs").fetch_all(&mut superuser).await?;
    assert_eq!(queued_jobs, [(TENANT_A, "vector_index".to_owned())]);
    let indexes: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%hnsw%'")
        .fetch_one(&mut superuser)
        .await?;
    assert_eq!(indexes, 0);
    assert_eq!(isolation_violations(&mut superuser).await?, Vec::<String>::new());
    Ok(())
}

/// Stores two passages in each of two tenants, and creates a vector index in the first.
async fn store_passages_with_an_index(superuser: &mut PgConnection) -> Result<(), TestError> {
    for tenant in [TENANT_A, TENANT_B] {
        let rows = "
            INSERT INTO tenants (id, name, slug) VALUES ($1, $1::text, 'tenant-' || right($1::text, 1));
            INSERT INTO users (id, tenant_id, issuer, external_id) VALUES ($1, $1, 'issuer', 'subject');
            INSERT INTO documents (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256,
                                   storage_path, status, chunk_count)
                VALUES ($1, $1, $1, '', '', '', 0, repeat('0', 64), '', 'ready', 2);
            INSERT INTO document_chunks (tenant_id, document_id, chunk_index, content, classification, embedding,
                                         embedding_model)
                SELECT $1, $1, index, 'passage', 'internal', '[0.6, -0.8]', 'model'
                FROM generate_series(0, 1) AS index";
        run(superuser, &rows.replace("$1", &format!("'{tenant}'::uuid"))).await?;
    }
    let index = "DO $$ BEGIN
        EXECUTE format('CREATE INDEX %I ON %I USING hnsw ((embedding::vector(2)) vector_cosine_ops)
                        WHERE embedding_model = %L',
                       vector_index_name('$1', 'model'), passage_partition('$1'), 'model');
        END $$";
    run(superuser, &index.replace("$1", &TENANT_A.to_string())).await
}
