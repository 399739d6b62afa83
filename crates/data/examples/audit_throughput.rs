//! Benchmark of the audit log: appending with and without the hash chain's trigger, sealing, and verifying a million
//! events.
//!
//! Run it with `cargo xtask bench audit`. The benchmark's database does not wait for the disk on commit, so absolute
//! commit times are meaningless. The ratio of the two append times and the rates are not.

use data::audit::{AuditKeeper, AuditVerifier, SigningKey, TrustedKeys};
use data::testing::{TestDb, TestError};
use data::{Database, PgStore};
use domain::audit::{AuditSubject, Outcome, ResultStatus};
use domain::command::{Command as _, SearchDocuments};
use domain::ids::TenantId;
use domain::ports::Store as _;
use domain::role::Resource;
use domain::scope::Actor;
use fakes::suite::scope;
use futures::future::try_join_all;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::io::Write as _;
use std::time::{Duration, Instant};
use uuid::Uuid;

const CLIENTS: usize = 8;
const OPERATIONS: usize = 400;
const ROUNDS: usize = 5;
const EVENTS: i32 = 1_000_000;

#[tokio::main]
async fn main() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut superuser = PgConnection::connect(&db.superuser_url()).await?;
    let (mut with_trigger, mut without_trigger) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        sqlx::raw_sql("ALTER TABLE audit_logs DISABLE TRIGGER appended").execute(&mut superuser).await?;
        without_trigger.push(append(&db.app()?).await?);
        sqlx::raw_sql("ALTER TABLE audit_logs ENABLE TRIGGER appended").execute(&mut superuser).await?;
        with_trigger.push(append(&db.app()?).await?);
    }
    let per_second = |time: Duration| 2.0 * (CLIENTS * OPERATIONS) as f64 / time.as_secs_f64();
    let (with_trigger, without_trigger) = (median(with_trigger), median(without_trigger));
    print_json(&json!({
        "appends_per_second_in_one_tenant": per_second(with_trigger).round(),
        "time_with_trigger_over_without": round(with_trigger.as_secs_f64() / without_trigger.as_secs_f64()),
        "clients": CLIENTS,
    }))?;
    seal_and_verify(&db, &mut superuser).await
}

/// Appends the intent and the outcome of each operation, in one transaction each, with several concurrent clients.
/// Returns the elapsed time.
async fn append(database: &Database) -> Result<Duration, TestError> {
    let store = PgStore::new(database.clone());
    let started = Instant::now();
    let client = || async {
        for _ in 0..OPERATIONS {
            operation(&store).await?;
        }
        Ok::<_, TestError>(())
    };
    try_join_all((0..CLIENTS).map(|_| client())).await?;
    Ok(started.elapsed())
}

async fn operation(store: &PgStore) -> Result<(), TestError> {
    let scope = scope(TenantId::from_uuid(Uuid::from_u128(1)), Actor::System);
    let subject = AuditSubject {
        event: SearchDocuments::EVENT,
        resource: Some(Resource::Search),
        resource_id: None,
        session: None,
        request_hash: Some("ab".repeat(32)),
        metadata: json!({}),
    };
    let mut tx = store.begin(&scope).await?;
    let receipt = tx.audit().intent(random().into(), &subject, now()).await?;
    tx.commit().await?;
    let end = Outcome { subject, status: ResultStatus::Success, model: None, tools_used: Vec::new() };
    let mut tx = store.begin(&scope).await?;
    tx.audit().outcome(random().into(), receipt, &end, now()).await?;
    Ok(tx.commit().await?)
}

/// Seals and verifies a million events of one tenant, and prints the rates.
async fn seal_and_verify(db: &TestDb, superuser: &mut PgConnection) -> Result<(), TestError> {
    let tenant = Uuid::from_u128(2);
    sqlx::query(
        "INSERT INTO audit_logs (tenant_id, event_type, resource_type, resource_id, result_status, request_hash,
            metadata,
                                 created_at, request_id)
         SELECT $1, 'doc.read', 'documents', gen_random_uuid(), 'success', repeat('ab', 32),
                jsonb_build_object('number', n, 'reason', 'measured'), now() + n * interval '1 microsecond', 'r-' || n
         FROM generate_series(1, $2) AS n",
    )
    .bind(tenant)
    .bind(EVENTS)
    .execute(&mut *superuser)
    .await?;
    let (keeper, key) = (AuditKeeper::new(db.app()?), SigningKey::from_seed(&[1; 32])?);
    let started = Instant::now();
    loop {
        let heads = keeper.seal(5_000).await?;
        if heads.is_empty() {
            break;
        }
        for head in heads {
            keeper.keep_checkpoint(&key.checkpoint(head.tenant, head.seq, head.chain_hash, now())).await?;
        }
    }
    let sealed = started.elapsed();
    sqlx::raw_sql("ANALYZE audit_logs; ANALYZE audit_chain").execute(superuser).await?;
    let verifier = AuditVerifier::new(db.auditor()?, TrustedKeys::new([key.public_key().as_str()])?);
    let started = Instant::now();
    let report = verifier.verify(tenant, &[]).await?;
    let verified = started.elapsed();
    assert!(report.holds() && report.entries == u64::from(EVENTS.unsigned_abs()), "{report:?}");
    print_json(&json!({
        "events": EVENTS,
        "sealed_per_second": (f64::from(EVENTS) / sealed.as_secs_f64()).round(),
        "verify_seconds": round(verified.as_secs_f64()),
    }))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn print_json(figures: &serde_json::Value) -> Result<(), TestError> {
    Ok(writeln!(std::io::stdout(), "{figures}")?)
}

#[expect(clippy::disallowed_methods, reason = "rows of a benchmark need ids that differ")]
fn random() -> Uuid {
    Uuid::now_v7()
}

#[expect(clippy::disallowed_methods, reason = "rows of a benchmark lie in this month's partition")]
fn now() -> domain::time::Timestamp {
    chrono::Utc::now()
}
