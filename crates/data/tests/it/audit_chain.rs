//! The audit log as evidence: an untouched log verifies, every manipulation by a superuser is detected, and harmless
//! changes raise no false alarm.

use crate::sql_support::{TENANT_A, TENANT_B, connect_as_app, connect_as_superuser};
use data::audit::{
    AuditMaintenance, AuditVerifier, ChainEntry, ChainHead, ChainReport, ChainVerifier, PurgeError, SigningKey,
    TrustedKeys, purge,
};
use data::testing::{TestDb, TestError};
use data::{PgAuditReader, PgStore};
use domain::audit::chain::{AuditHash, ChainPageEntry, Checkpoint};
use domain::audit::{AuditedOperation, Outcome, ResultStatus};
use domain::command::{Command as _, GetDocument};
use domain::ids::TenantId;
use domain::ports::{AuditReader as _, Store as _, StoreError};
use domain::role::Resource;
use domain::scope::Actor;
use domain::time::Timestamp;
use fakes::eventually;
use fakes::store_contract::scope;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

const SEED: [u8; 32] = [7; 32];

/// A database with the audit log of two tenants, and everything needed to write, seal, sign and verify it.
struct TestLog {
    db: TestDb,
    store: PgStore,
    maintenance: AuditMaintenance,
    key: SigningKey,
    verifier: AuditVerifier,
    /// The checkpoints that were kept outside the database.
    external_checkpoints: Vec<Checkpoint>,
}

impl TestLog {
    async fn new() -> Result<Self, TestError> {
        let db = TestDb::create().await?;
        let key = SigningKey::from_seed(&SEED)?;
        let keys = TrustedKeys::new([key.public_key().as_str()])?;
        let (store, maintenance) = (PgStore::new(db.app_pool()?), AuditMaintenance::new(db.app_pool()?));
        let verifier = AuditVerifier::new(db.auditor_pool()?, keys);
        Ok(Self { store, maintenance, key, verifier, external_checkpoints: Vec::new(), db })
    }

    /// Creates a log with ten operations per tenant (20 rows each), sealed and signed.
    async fn with_history() -> Result<Self, TestError> {
        let mut log = Self::new().await?;
        for number in 0..10 {
            for tenant in [TENANT_A, TENANT_B] {
                log.record_operation(tenant, &json!({"number": number, "kind": "pump", "a": [1, null]})).await?;
            }
        }
        log.seal_and_sign().await?;
        Ok(log)
    }

    async fn record_operation(&self, tenant: Uuid, metadata: &Value) -> Result<(), TestError> {
        let scope = scope(TenantId::from_uuid(tenant), Actor::System);
        let mut tx = self.store.begin(&scope).await?;
        let receipt = tx.audit().record_intent(random_uuid().into(), &audited_operation(metadata), now()).await?;
        tx.commit().await?;
        let mut tx = self.store.begin(&scope).await?;
        let outcome = Outcome {
            operation: audited_operation(metadata),
            status: ResultStatus::Success,
            model: Some("fast".to_owned()),
            tools_used: vec!["rag_search".to_owned()],
        };
        tx.audit().record_outcome(random_uuid().into(), receipt, &outcome, now()).await?;
        Ok(tx.commit().await?)
    }

    async fn seal_and_sign(&mut self) -> Result<Vec<ChainHead>, TestError> {
        let heads = self.maintenance.seal(10_000).await?;
        for head in &heads {
            let checkpoint = self.key.sign_checkpoint(head.tenant, head.seq, head.chain_hash, now());
            self.maintenance.store_checkpoint(&checkpoint).await?;
            self.external_checkpoints.push(checkpoint);
        }
        Ok(heads)
    }

    async fn verify(&self, tenant: Uuid) -> Result<ChainReport, StoreError> {
        self.verifier.verify(tenant, &self.external_checkpoints).await
    }

    /// Runs `sql` as a superuser with all triggers disabled.
    async fn tamper(&self, sql: &str) -> Result<(), TestError> {
        let mut superuser = connect_as_superuser(&self.db).await?;
        let script = format!("SET session_replication_role = replica; {sql}");
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut superuser).await?;
        Ok(())
    }
}

fn audited_operation(metadata: &Value) -> AuditedOperation {
    AuditedOperation {
        event: GetDocument::EVENT,
        resource: Some(Resource::Documents),
        resource_id: Some(random_uuid()),
        conversation_id: None,
        request_hash: Some("ab".repeat(32)),
        metadata: metadata.clone(),
    }
}

#[expect(clippy::disallowed_methods, reason = "rows of a test need ids that differ")]
fn random_uuid() -> Uuid {
    Uuid::now_v7()
}

/// The current time in microseconds, which is the precision of the database.
#[expect(clippy::disallowed_methods, reason = "the rows' partition is this month's")]
fn now() -> Timestamp {
    let now = chrono::Utc::now();
    Timestamp::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

#[tokio::test]
async fn an_unmodified_log_is_intact() -> Result<(), TestError> {
    let mut log = TestLog::with_history().await?;
    log.record_operation(TENANT_A, &json!({})).await?;
    let report = log.verify(TENANT_A).await?;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!(
        (report.entry_count, report.last_seq, report.unsealed_row_count, report.matching_checkpoint_count),
        (20, 20, 2, 1)
    );
    assert_eq!(report.last_checkpoint.map(|(seq, _)| seq), Some(20));
    log.seal_and_sign().await?;
    let report = log.verify(TENANT_A).await?;
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.entry_count, report.unsealed_row_count, report.matching_checkpoint_count), (22, 0, 2));
    assert_eq!(log.verifier.list_tenants(&[]).await?, [TENANT_A, TENANT_B]);
    Ok(())
}

/// Manipulations of tenant A's log, each with the beginning of the finding that it must cause. `ROW5` and `ROW6` stand
/// for the ids of the audit rows 5 and 6, `A` and `B` for the tenants.
const MANIPULATIONS: &[(&str, &str)] = &[
    ("UPDATE audit_logs SET event_type = 'doc.list' WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET metadata = '{}' WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET user_id = id WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET session_id = id WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET conversation_id = id WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET layout = 1 WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET created_at = created_at + interval '1 us' WHERE id = ROW5", "the row was changed"),
    ("UPDATE audit_logs SET created_at = '2001-01-01' WHERE id = ROW5", "the row was changed after it was written"),
    ("UPDATE audit_logs SET result_status = 'success' WHERE id = ROW5", "the row was changed after it was written"),
    (
        "UPDATE audit_logs SET id = CASE id WHEN ROW5 THEN ROW6 ELSE ROW5 END WHERE id IN (ROW5, ROW6)",
        "the row was changed after it was written",
    ),
    (
        "UPDATE audit_chain SET seq = seq + 1000 WHERE tenant_id = A AND seq IN (5, 6);
         UPDATE audit_chain SET seq = CASE seq WHEN 1005 THEN 6 ELSE 5 END WHERE tenant_id = A AND seq > 1000",
        "the chain's hash does not follow from the entry before",
    ),
    ("DELETE FROM audit_logs WHERE id = ROW5", "the row was deleted"),
    (
        "DELETE FROM audit_logs WHERE id = ROW5; DELETE FROM audit_chain WHERE audit_id = ROW5",
        "the entry 5 is missing from the chain",
    ),
    ("DELETE FROM audit_logs WHERE id IN (SELECT audit_id FROM audit_chain WHERE tenant_id = A
        AND seq > 17)", "the row was deleted"),
    (
        "DELETE FROM audit_logs WHERE id IN (SELECT audit_id FROM audit_chain WHERE tenant_id = A AND seq > 17);
         DELETE FROM audit_chain WHERE tenant_id = A AND seq > 17",
        "the end is missing: entry 20 was signed, and the chain ends at entry 17",
    ),
    (
        "DELETE FROM audit_logs WHERE id IN (SELECT audit_id FROM audit_chain WHERE tenant_id = A AND seq > 17);
         DELETE FROM audit_chain WHERE tenant_id = A AND seq > 17; DELETE FROM audit_checkpoints WHERE tenant_id = A",
        "the end is missing: entry 20 was signed, and the chain ends at entry 17",
    ),
    (
        "DELETE FROM audit_logs WHERE tenant_id = A; DELETE FROM audit_chain WHERE tenant_id = A;
         DELETE FROM audit_checkpoints WHERE tenant_id = A",
        "the end is missing: entry 20 was signed, and the chain ends at entry 0",
    ),
    (
        "INSERT INTO audit_logs (tenant_id, event_type, phase) VALUES (A, 'doc.read', 'event')",
        "the row came in past the chain",
    ),
    (
        "INSERT INTO audit_logs SELECT (jsonb_populate_record(l, '{\"created_at\": \"2001-01-01\"}')).*
            FROM audit_logs l WHERE id = ROW5",
        "the entry is a duplicate or out of order",
    ),
    ("UPDATE audit_logs SET tenant_id = B WHERE id = ROW5", "the row was deleted"),
    (
        "UPDATE audit_logs SET tenant_id = B WHERE id = ROW5; UPDATE audit_chain SET tenant_id = B, seq = 21
            WHERE audit_id = ROW5",
        "the entry 5 is missing from the chain",
    ),
    ("UPDATE audit_chain SET row_hash = sha256('x') WHERE tenant_id = A
        AND seq = 5", "the chain's hash does not follow"),
    ("UPDATE audit_chain SET at = at + interval '1 day' WHERE tenant_id = A
        AND seq = 5", "the chain's hash does not follow"),
    ("UPDATE audit_checkpoints SET seq = 19 WHERE tenant_id = A", "a checkpoint's signature is invalid"),
    (
        "UPDATE audit_checkpoints SET chain_hash = (SELECT chain_hash FROM audit_chain WHERE tenant_id = A AND seq = 19)
         WHERE tenant_id = A",
        "a checkpoint's signature is invalid",
    ),
    ("DELETE FROM audit_checkpoints
        WHERE tenant_id = A", "a checkpoint that was kept elsewhere is not in the database"),
];

#[tokio::test]
async fn every_manipulation_is_detected() -> Result<(), TestError> {
    for (sql, expected) in MANIPULATIONS {
        let log = TestLog::with_history().await?;
        assert!(log.verify(TENANT_A).await?.is_intact(), "control");
        let row_id_sql =
            |seq: i64| format!("(SELECT audit_id FROM audit_chain WHERE tenant_id = '{TENANT_A}' AND seq = {seq})");
        let sql = sql
            .replace("ROW5", &format!("'{}'::uuid", query_id(&log, &row_id_sql(5)).await?))
            .replace("ROW6", &format!("'{}'::uuid", query_id(&log, &row_id_sql(6)).await?))
            .replace("= A", &format!("= '{TENANT_A}'"))
            .replace("(A,", &format!("('{TENANT_A}',"))
            .replace("tenant_id = B", &format!("tenant_id = '{TENANT_B}'"));
        log.tamper(&sql).await?;
        let report = log.verify(TENANT_A).await?;
        let findings: Vec<_> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert!(findings.iter().any(|what| what.starts_with(expected)), "{sql}: {findings:?}");
    }
    Ok(())
}

async fn query_id(log: &TestLog, sql: &str) -> Result<Uuid, TestError> {
    let mut superuser = connect_as_superuser(&log.db).await?;
    Ok(sqlx::query_scalar(AssertSqlSafe(format!("SELECT {sql}"))).fetch_one(&mut superuser).await?)
}

/// The test edits the log and recomputes the whole chain with the database's own functions, so that it is consistent.
/// Only the signature reveals the change.
#[tokio::test]
async fn a_recomputed_chain_is_detected() -> Result<(), TestError> {
    let log = TestLog::with_history().await?;
    let rewrite = format!(
        "UPDATE audit_logs SET event_type = 'doc.list' WHERE tenant_id = '{TENANT_A}';
         INSERT INTO audit_unsealed SELECT tenant_id, id, created_at, sha256(convert_to(audit_canonical(l), 'UTF8'))
             FROM audit_logs l WHERE tenant_id = '{TENANT_A}';
         DELETE FROM audit_chain WHERE tenant_id = '{TENANT_A}';
         SELECT * FROM audit_seal(1000)"
    );
    log.tamper(&rewrite).await?;
    let report = log.verify(TENANT_A).await?;
    assert_eq!(report.findings[0].message, "the chain is not the one that was signed: it was rewritten", "{report:?}");
    assert!(log.verify(TENANT_B).await?.is_intact(), "the other tenant's log is not affected");
    Ok(())
}

#[tokio::test]
async fn rows_deleted_before_sealing_are_detected() -> Result<(), TestError> {
    let log = TestLog::with_history().await?;
    log.record_operation(TENANT_A, &json!({})).await?;
    log.tamper(&format!(
        "DELETE FROM audit_logs WHERE tenant_id = '{TENANT_A}' AND id IN (SELECT audit_id FROM audit_unsealed
            WHERE tenant_id = '{TENANT_A}')"
    ))
    .await?;
    let report = log.verify(TENANT_A).await?;
    assert_eq!(report.findings[0].message, "the row was deleted before it was sealed", "{report:?}");
    log.maintenance.seal(1_000).await?;
    let report = log.verify(TENANT_A).await?;
    assert_eq!(report.findings[0].message, "the row was deleted", "{report:?}");
    Ok(())
}

/// Rows are deleted between sealing and signing. The process still signs the head that it got when sealing, and the
/// copy of the checkpoint outside the database reveals the deletion.
#[tokio::test]
async fn rows_deleted_before_signing_are_detected() -> Result<(), TestError> {
    let mut log = TestLog::with_history().await?;
    log.record_operation(TENANT_A, &json!({})).await?;
    let heads = log.maintenance.seal(100).await?;
    log.tamper(&format!(
        "DELETE FROM audit_logs WHERE id IN (SELECT audit_id FROM audit_chain WHERE tenant_id = '{TENANT_A}'
            AND seq > 20);
         DELETE FROM audit_chain WHERE tenant_id = '{TENANT_A}' AND seq > 20"
    ))
    .await?;
    for head in heads {
        let checkpoint = log.key.sign_checkpoint(head.tenant, head.seq, head.chain_hash, now());
        log.maintenance.store_checkpoint(&checkpoint).await?;
        log.external_checkpoints.push(checkpoint);
    }
    let report = log.verify(TENANT_A).await?;
    assert_eq!(
        report.findings[0].message, "the end is missing: entry 22 was signed, and the chain ends at entry 20",
        "{report:?}"
    );
    Ok(())
}

/// The key of the partitioned table includes the creation time, so the key alone would allow the same id twice. The
/// second row could not be sealed, and would block sealing for all tenants.
#[tokio::test]
async fn the_id_of_a_sealed_row_cannot_be_reused() -> Result<(), TestError> {
    let mut log = TestLog::with_history().await?;
    let id = query_id(&log, &format!("(SELECT audit_id FROM audit_chain WHERE tenant_id = '{TENANT_A}' AND seq = 5)"))
        .await?;
    let mut app = connect_as_app(&log.db).await?;
    let duplicate_insert = format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{TENANT_A}';
         INSERT INTO audit_logs (id, tenant_id, event_type, created_at)
             VALUES ('{id}', '{TENANT_A}', 'doc.read', '2001-01-01'); COMMIT"
    );
    let result = sqlx::raw_sql(AssertSqlSafe(duplicate_insert)).execute(&mut app).await;
    let code = result.as_ref().err().and_then(|error| error.as_database_error()?.code().map(|code| code.into_owned()));
    assert_eq!(code.as_deref(), Some("23505"), "{result:?}");
    log.record_operation(TENANT_B, &json!({})).await?;
    assert_eq!(log.seal_and_sign().await?.len(), 1, "sealing continues");
    Ok(())
}

/// A checkpoint is only stored if the chain has that entry with that hash, so nobody can store forged checkpoints.
#[tokio::test]
async fn a_checkpoint_of_an_unknown_entry_is_not_stored() -> Result<(), TestError> {
    let log = TestLog::with_history().await?;
    let forged_checkpoint = log.key.sign_checkpoint(TENANT_A, i64::MAX, AuditHash::digest(b"x"), now());
    log.maintenance.store_checkpoint(&forged_checkpoint).await?;
    assert!(log.verify(TENANT_A).await?.is_intact());
    Ok(())
}

#[tokio::test]
async fn a_chain_signed_only_with_unknown_keys_does_not_verify() -> Result<(), TestError> {
    let log = TestLog::with_history().await?;
    let other_key = SigningKey::from_seed(&[9; 32])?;
    let verifier = AuditVerifier::new(log.db.auditor_pool()?, TrustedKeys::new([other_key.public_key().as_str()])?);
    let report = verifier.verify(TENANT_A, &[]).await?;
    assert_eq!(
        report.findings[0].message, "all 1 checkpoints are signed with keys that are not trusted here",
        "{report:?}"
    );
    Ok(())
}

/// The order of JSON keys and the time zone of the session do not affect the hashes.
#[tokio::test]
async fn equivalent_representations_are_not_reported() -> Result<(), TestError> {
    let log = TestLog::with_history().await?;
    log.tamper(&format!(
        "SET timezone = 'Asia/Kathmandu';
         UPDATE audit_logs SET metadata = (SELECT jsonb_object_agg(key, value ORDER BY key DESC)
             FROM jsonb_each(metadata)),
                               created_at = created_at AT TIME ZONE 'UTC' AT TIME ZONE 'UTC'
         WHERE tenant_id = '{TENANT_A}';
         ALTER ROLE platform_auditor IN DATABASE {} SET timezone = 'America/St_Johns'",
        database_name(&log).await?
    ))
    .await?;
    let report = log.verify(TENANT_A).await?;
    assert!(report.is_intact(), "{report:?}");
    Ok(())
}

/// Two processes that start at the same time sign the same head. The database keeps the first signature, and a file
/// outside the database has the second.
#[tokio::test]
async fn a_head_signed_twice_is_not_reported() -> Result<(), TestError> {
    let mut log = TestLog::with_history().await?;
    let first_checkpoint =
        log.external_checkpoints.iter().find(|signed| signed.tenant_id == TENANT_A).cloned().ok_or("a checkpoint")?;
    let signed_at = first_checkpoint.signed_at + chrono::TimeDelta::seconds(1);
    let second_checkpoint = log.key.sign_checkpoint(
        first_checkpoint.tenant_id,
        first_checkpoint.seq,
        first_checkpoint.chain_hash,
        signed_at,
    );
    log.maintenance.store_checkpoint(&second_checkpoint).await?;
    log.external_checkpoints = vec![second_checkpoint];
    let report = log.verify(TENANT_A).await?;
    assert!(report.is_intact(), "{report:?}");
    Ok(())
}

async fn database_name(log: &TestLog) -> Result<String, TestError> {
    let mut superuser = connect_as_superuser(&log.db).await?;
    Ok(sqlx::query_scalar("SELECT current_database()::text").fetch_one(&mut superuser).await?)
}

/// Rows with control characters, escapes, non-ASCII text, numbers and long strings hash to the same value in Rust as in
/// the database.
#[tokio::test]
async fn the_database_and_the_verifier_compute_the_same_hashes() -> Result<(), TestError> {
    let mut log = TestLog::new().await?;
    let unusual_metadata = [
        json!({"text": "a\nb\r\t\u{1b}[31m\"}\\{ \u{7f} é 中 \u{1f600} \u{8}\u{c}\u{1}"}),
        json!({"zz": 1, "a": {"bb": [true, false, null], "b": -7, "ccc": 1.25}, "": "empty", "é": 0}),
        json!({"number": 12_345_678_901_234_567_i64, "small": 0.000_001, "whole": 2.0}),
        json!({"long": "x".repeat(1 << 20)}),
        json!({}),
    ];
    for metadata in &unusual_metadata {
        log.record_operation(TENANT_A, metadata).await?;
    }
    log.seal_and_sign().await?;
    assert!(log.verify(TENANT_A).await?.is_intact());
    let reader = PgAuditReader::new(log.db.auditor_pool()?);
    let page = reader.chain_page(&scope(TenantId::from_uuid(TENANT_A), Actor::System), 0, 100).await?;
    assert_eq!((page.entries.len(), page.has_more, page.checkpoints.len()), (10, false, 1));
    let keys = TrustedKeys::new([log.key.public_key().as_str()])?;
    let mut chain_verifier = ChainVerifier::new(TENANT_A, &page.checkpoints, &page.purges, &keys);
    for entry in page.entries {
        let ChainPageEntry::Event(event) = entry else { return Err("a row is missing".into()) };
        // Serialize as another JSON program would: keys may be reordered and the white space differs.
        let reserialized: Value = serde_json::from_str(&serde_json::to_string(&event)?)?;
        let event: domain::audit::chain::ChainedEvent =
            serde_json::from_str(&serde_json::to_string_pretty(&reserialized)?)?;
        chain_verifier.verify_entry(&ChainEntry::from_event(&event));
    }
    let report = chain_verifier.finish();
    assert!(report.is_intact() && report.last_checkpoint.is_some(), "{report:?}");
    Ok(())
}

/// The roles of the application, the worker and the auditor cannot write to the chain or disable its trigger.
#[tokio::test]
async fn no_login_role_can_write_to_the_chain() -> Result<(), TestError> {
    let log = TestLog::with_history().await?;
    let urls = [log.db.app_url(), log.db.worker_url(), log.db.auditor_url()];
    for url in urls {
        let mut connection = PgConnection::connect(&url).await?;
        let role_attributes: (bool, bool) =
            sqlx::query_as("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
                .fetch_one(&mut connection)
                .await?;
        assert_eq!(role_attributes, (false, false));
        for sql in [
            "UPDATE audit_logs SET event_type = ''",
            "DELETE FROM audit_logs",
            "TRUNCATE audit_logs",
            "ALTER TABLE audit_logs DISABLE TRIGGER appended",
            "SET session_replication_role = replica",
            "INSERT INTO audit_chain VALUES (app_tenant(), 99, app_tenant(), now(), sha256('x'), sha256('x'))",
            "UPDATE audit_chain SET seq = 99",
            "DELETE FROM audit_chain",
            "DELETE FROM audit_unsealed",
            "INSERT INTO audit_unsealed VALUES (app_tenant(), app_tenant(), now(), sha256('x'))",
            "DELETE FROM audit_open",
            "DELETE FROM audit_checkpoints",
            "SELECT make_audit_partition('2001-01-01')",
            "CREATE TABLE audit_logs_2001_01 PARTITION OF audit_logs FOR VALUES FROM ('2001-01-01') TO ('2001-02-01')",
        ] {
            let script = format!("BEGIN; SET LOCAL app.current_tenant_id = '{TENANT_A}'; {sql}; COMMIT");
            let result = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await;
            let code = result.as_ref().err().and_then(|e| e.as_database_error()?.code().map(|c| c.into_owned()));
            assert_eq!(code.as_deref(), Some("42501"), "{url}: {sql}: {result:?}");
            sqlx::raw_sql("ROLLBACK").execute(&mut connection).await?;
        }
    }
    assert!(log.verify(TENANT_A).await?.is_intact());
    Ok(())
}

#[tokio::test]
async fn operations_of_a_dead_process_are_closed_as_unknown_once() -> Result<(), TestError> {
    let log = TestLog::new().await?;
    let mut app = connect_as_app(&log.db).await?;
    let (dead_instance, intent) = (random_uuid(), random_uuid());
    let script = format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{TENANT_A}'; SET LOCAL app.instance = '{dead_instance}';
         INSERT INTO audit_logs (id, tenant_id, event_type, phase, result_status, correlation_id, request_id)
         VALUES ('{intent}', '{TENANT_A}', 'chat.request', 'intent', 'pending', '{intent}', 'r-1'); COMMIT"
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut app).await?;
    let lock = "SELECT pg_advisory_lock(x'696e7374'::integer, ('x' || right($1::text, 8))::bit(32)::integer)";
    let mut lock_connection = connect_as_app(&log.db).await?;
    sqlx::query(lock).bind(dead_instance).execute(&mut lock_connection).await?;
    assert_eq!(log.maintenance.dead_instances().await?, Vec::<Uuid>::new(), "the process still holds its lock");
    assert_eq!(log.maintenance.close_abandoned_operations(Some(dead_instance)).await?, 0);
    lock_connection.close().await?;
    // It takes a moment until the server notices the closed connection and releases the lock.
    let dead_instances = eventually("the process counts as dead", || async {
        log.maintenance.dead_instances().await.ok().filter(|dead| !dead.is_empty())
    });
    assert_eq!(dead_instances.await, [dead_instance]);
    assert_eq!(
        log.maintenance.close_abandoned_operations(None).await?,
        0,
        "operations of a known process are closed by age only after a day"
    );
    assert_eq!(log.maintenance.close_abandoned_operations(Some(dead_instance)).await?, 1);
    assert_eq!(log.maintenance.close_abandoned_operations(Some(dead_instance)).await?, 0);
    let mut superuser = connect_as_superuser(&log.db).await?;
    let outcome_rows: Vec<(String, String, Uuid, Option<String>)> = sqlx::query_as(
        "SELECT event_type, result_status, correlation_id, request_id FROM audit_logs WHERE phase = 'outcome'",
    )
    .fetch_all(&mut superuser)
    .await?;
    assert_eq!(outcome_rows, [("chat.response".to_owned(), "unknown".to_owned(), intent, Some("r-1".to_owned()))]);
    log.maintenance.seal(10).await?;
    assert!(log.verify(TENANT_A).await?.is_intact());
    Ok(())
}

/// Creates a log with rows from 2 months ago (in the partition of that month), from 14 months ago (in the default
/// partition), and from today.
async fn log_with_old_and_new_rows() -> Result<TestLog, TestError> {
    let mut log = TestLog::new().await?;
    let mut superuser = connect_as_superuser(&log.db).await?;
    let create_partition = "SELECT make_audit_partition((date_trunc('month', now()) - interval '2 months')::date)";
    sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE platform_owner; {create_partition}; RESET ROLE")))
        .execute(&mut superuser)
        .await?;
    for age in ["2 months", "2 months", "14 months", "14 months"] {
        let insert_old_row = format!(
            "INSERT INTO audit_logs (tenant_id, event_type, result_status, created_at)
             VALUES ('{TENANT_A}', 'doc.read', 'success', date_trunc('month',
                 now()) - interval '{age}' + interval '3 days')"
        );
        sqlx::raw_sql(AssertSqlSafe(insert_old_row)).execute(&mut superuser).await?;
        log.seal_and_sign().await?;
    }
    for _ in 0..3 {
        log.record_operation(TENANT_A, &json!({})).await?;
    }
    log.seal_and_sign().await?;
    Ok(log)
}

fn start_of_this_month() -> Timestamp {
    use chrono::Datelike as _;
    let day = now().date_naive().with_day(1).and_then(|day| day.and_hms_opt(0, 0, 0));
    day.map_or_else(now, |midnight| midnight.and_utc())
}

#[tokio::test]
async fn a_log_with_purged_rows_is_intact() -> Result<(), TestError> {
    let mut log = log_with_old_and_new_rows().await?;
    assert!(log.verify(TENANT_A).await?.is_intact(), "control");
    let purge_records = purge(&log.db.superuser_url(), start_of_this_month(), &log.key, now()).await?;
    assert_eq!(
        purge_records.iter().map(|record| (record.tenant_id, record.row_count)).collect::<Vec<_>>(),
        [(TENANT_A, 4)]
    );
    let report = log.verify(TENANT_A).await?;
    assert!(report.is_intact(), "{report:?}");
    let mut superuser = connect_as_superuser(&log.db).await?;
    let remaining: (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM audit_logs WHERE created_at < $1), (SELECT count(*) FROM audit_logs),
                (SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                 WHERE i.inhparent = 'audit_logs'::regclass
                   AND c.relname < 'audit_logs_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')
                       AND c.relname ~ '[0-9]$')",
    )
    .bind(start_of_this_month())
    .fetch_one(&mut superuser)
    .await?;
    assert_eq!(remaining, (0, 7, 0), "six rows of today and the event of the purge; the old partition is dropped");
    log.record_operation(TENANT_A, &json!({})).await?;
    log.seal_and_sign().await?;
    assert!(log.verify(TENANT_A).await?.is_intact());

    // A purge record cannot be extended to cover up deletions, because its signature covers the date.
    log.tamper(&format!(
        "UPDATE audit_retirements SET before = now() + interval '1 day' WHERE tenant_id = '{TENANT_A}'"
    ))
    .await?;
    let report = log.verify(TENANT_A).await?;
    assert_eq!(report.findings[0].message, "the signature of an `audit retire` record is invalid", "{report:?}");
    Ok(())
}

#[tokio::test]
async fn unsealed_rows_are_not_purged() -> Result<(), TestError> {
    let log = TestLog::new().await?;
    let mut superuser = connect_as_superuser(&log.db).await?;
    let insert_old_row = format!(
        "INSERT INTO audit_logs (tenant_id, event_type, created_at)
            VALUES ('{TENANT_A}', 'doc.read', now() - interval '14 months')"
    );
    sqlx::raw_sql(AssertSqlSafe(insert_old_row)).execute(&mut superuser).await?;
    let result = purge(&log.db.superuser_url(), start_of_this_month(), &log.key, now()).await;
    assert!(matches!(result, Err(PurgeError::Unsealed(1))), "{result:?}");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_logs").fetch_one(&mut superuser).await?;
    assert_eq!(rows, 1);
    Ok(())
}
