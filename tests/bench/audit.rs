//! The audit log: appends an intent and its outcome through the platform's repository, and compares the cost with
//! inserting the same two rows in one round trip each, into a log without a hash chain. Then measures sealing and
//! verifying a chain. Both implementations run in this process.

use crate::floor::{BoundStatement, ConnectionPool};
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::postgres::PostgresServer;
use crate::support::process::ProcessStat;
use crate::support::report::{Report, print_progress, quantile};
use anyhow::{Context as _, Result, ensure};
use data::audit::{AuditMaintenance, AuditVerifier, SigningKey, TrustedKeys};
use data::testing::TestDb;
use data::{Database, PgStore, PoolSettings};
use domain::audit::{AuditedOperation, Outcome, ResultStatus};
use domain::command::{Command as _, SearchDocuments};
use domain::ids::TenantId;
use domain::ports::{Clock as _, IdGen as _, Store as _};
use domain::role::Resource;
use domain::scope::Actor;
use fakes::store_contract::scope;
use futures::future::try_join_all;
use platform_server::system::{SystemClock, TimeOrderedIds};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const CLIENTS: &[usize] = &[1, 8, 32];
/// Number of connections per implementation: the default of the platform and of the floor.
const CONNECTIONS: u32 = 16;
/// Number of events to seal and verify in a full run.
const EVENTS: u32 = 200_000;
const QUICK_EVENTS: u32 = 50_000;
/// Maximum number of rows per sealing transaction, the same as in the server.
const SEAL_BATCH: i32 = 5_000;
const TENANT: u128 = 1;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let (mut report, duration) = (Report::default(), options.round_duration(RoundSeconds { quick: 0.7, full: 1.5 }));
    let (chained_db, unchained_db) = (create_database().await?, create_database().await?);
    let mut superuser = PgConnection::connect(&unchained_db.superuser_url()).await?;
    sqlx::raw_sql("ALTER TABLE audit_logs DISABLE TRIGGER appended").execute(&mut superuser).await?;
    let settings = PoolSettings { max_connections: CONNECTIONS, ..PoolSettings::default() };
    let benchmark = AuditBenchmark {
        store: PgStore::new(Database::new(&chained_db.app_url(), &settings)?),
        floor: ConnectionPool::open(&unchained_db.app_url()).await?,
        postgres: PostgresServer::of_database(&chained_db).await?,
    };
    for clients in options.concurrency(CLIENTS) {
        let case = format!("append, {clients} clients");
        for round in 0..options.rounds() {
            for implementation in options.implementations() {
                print_progress(&format!("{case}, round {}, {}", round + 1, implementation.name()));
                benchmark.measure(Measurement { case: &case, implementation, clients, duration }, &mut report).await?;
            }
        }
    }
    if options.only != Some(Implementation::Floor) {
        let events = if options.quick { QUICK_EVENTS } else { EVENTS };
        seal_and_verify(events, &mut report).await?;
    }
    report.print()
}

async fn create_database() -> Result<TestDb> {
    TestDb::create().await.map_err(|error| anyhow::anyhow!("{error}"))
}

/// The platform's log with its hash chain, and the floor's log without one.
struct AuditBenchmark {
    store: PgStore,
    floor: ConnectionPool,
    postgres: PostgresServer,
}

/// One measurement: which implementation appends, with how many clients, and for how long.
#[derive(Clone, Copy)]
struct Measurement<'a> {
    case: &'a str,
    implementation: Implementation,
    clients: usize,
    duration: Duration,
}

impl AuditBenchmark {
    async fn measure(&self, measurement: Measurement<'_>, report: &mut Report) -> Result<()> {
        let Measurement { case, implementation, clients, duration } = measurement;
        let (cpu_before, postgres_cpu_before, start) =
            (own_cpu_seconds()?, self.postgres.cpu_seconds()?, Instant::now());
        let client = || async {
            let mut latencies_ms = Vec::new();
            while start.elapsed() < duration {
                let operation_start = Instant::now();
                match implementation {
                    Implementation::Platform => self.append_with_repository().await?,
                    Implementation::Floor => self.append_on_floor().await?,
                }
                latencies_ms.push(operation_start.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, anyhow::Error>(latencies_ms)
        };
        let latencies_ms: Vec<f64> = try_join_all((0..clients).map(|_| client())).await?.concat();
        let (seconds, count) = (start.elapsed().as_secs_f64(), latencies_ms.len() as f64);
        let cpu = (own_cpu_seconds()? - cpu_before) / count * 1e3;
        let postgres_cpu = (self.postgres.cpu_seconds()? - postgres_cpu_before) / count * 1e3;
        report.add(case, "application_cpu_ms", implementation, cpu);
        report.add(case, "with_postgres_cpu_ms", implementation, cpu + postgres_cpu);
        report.add(case, "latency_p50_ms", implementation, quantile(&latencies_ms, 0.5));
        report.add(case, "latency_p95_ms", implementation, quantile(&latencies_ms, 0.95));
        report.add(case, "operations_per_s", implementation, count / seconds);
        Ok(())
    }

    /// Inserts intent and outcome through the platform's repository, each in its own transaction.
    async fn append_with_repository(&self) -> Result<()> {
        let scope = scope(TenantId::from_uuid(Uuid::from_u128(TENANT)), Actor::System);
        let operation = AuditedOperation {
            event: SearchDocuments::EVENT,
            resource: Some(Resource::Search),
            resource_id: None,
            conversation_id: None,
            request_hash: Some("ab".repeat(32)),
            metadata: json!({}),
        };
        let (intent_id, outcome_id) = (TimeOrderedIds.uuid().into(), TimeOrderedIds.uuid().into());
        let mut tx = self.store.begin(&scope).await?;
        let receipt = tx.audit().record_intent(intent_id, &operation, SystemClock.now()).await?;
        tx.commit().await?;
        let audit_outcome = Outcome { operation, status: ResultStatus::Success, model: None, tools_used: Vec::new() };
        let mut tx = self.store.begin(&scope).await?;
        tx.audit().record_outcome(outcome_id, receipt, &audit_outcome, SystemClock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Inserts the same two rows without the repository, each in one round trip.
    async fn append_on_floor(&self) -> Result<()> {
        let (tenant_id, intent_id) = (Uuid::from_u128(TENANT).to_string(), TimeOrderedIds.uuid());
        let request_id = intent_id.to_string();
        for row in [AuditRow { phase: "intent", status: "pending" }, AuditRow { phase: "outcome", status: "success" }] {
            let id = if row.phase == "intent" { intent_id } else { TimeOrderedIds.uuid() };
            let pooled_connection = self.floor.acquire().await?;
            let connection = pooled_connection.get()?;
            let statements = &connection.statements;
            let conversation_id = None::<Uuid>;
            connection
                .transaction([
                    BoundStatement { statement: &statements.set_tenant, parameters: &[&tenant_id] },
                    BoundStatement {
                        statement: &statements.insert_audit_row,
                        parameters: &[
                            &id,
                            &conversation_id,
                            &"search",
                            &"search",
                            &row.status,
                            &None::<i32>,
                            &intent_id,
                            &request_id,
                            &row.phase,
                        ],
                    },
                ])
                .await?;
        }
        Ok(())
    }
}

/// The columns that differ between the two rows of an operation.
struct AuditRow {
    phase: &'static str,
    status: &'static str,
}

fn own_cpu_seconds() -> Result<f64> {
    Ok(ProcessStat::read(std::process::id())?.cpu_seconds)
}

/// Measures sealing and verifying the events of one tenant.
async fn seal_and_verify(events: u32, report: &mut Report) -> Result<()> {
    print_progress(&format!("sealing and verifying {events} events"));
    let (db, tenant) = (create_database().await?, Uuid::from_u128(TENANT));
    let mut superuser = PgConnection::connect(&db.superuser_url()).await?;
    sqlx::query(
        "INSERT INTO audit_logs (tenant_id, event_type, resource_type, resource_id, result_status, request_hash,
                                 metadata, created_at, request_id)
         SELECT $1, 'doc.read', 'documents', gen_random_uuid(), 'success', repeat('ab', 32),
                jsonb_build_object('number', n, 'reason', 'measured'), now() + n * interval '1 microsecond', 'r-' || n
         FROM generate_series(1, $2) AS n",
    )
    .bind(tenant)
    .bind(i64::from(events))
    .execute(&mut superuser)
    .await?;
    let app = db.app_pool().map_err(|error| anyhow::anyhow!("{error}"))?;
    let auditor = db.auditor_pool().map_err(|error| anyhow::anyhow!("{error}"))?;
    let (maintenance, signing_key) = (AuditMaintenance::new(app), SigningKey::from_seed(&[1; 32])?);
    let (case, start) = (format!("{events} events"), Instant::now());
    loop {
        let heads = maintenance.seal(SEAL_BATCH).await?;
        if heads.is_empty() {
            break;
        }
        for head in heads {
            let checkpoint = signing_key.sign_checkpoint(head.tenant, head.seq, head.chain_hash, SystemClock.now());
            maintenance.store_checkpoint(&checkpoint).await?;
        }
    }
    report.add(&case, "sealed_per_s", Implementation::Platform, f64::from(events) / start.elapsed().as_secs_f64());
    sqlx::raw_sql("ANALYZE audit_logs; ANALYZE audit_chain").execute(&mut superuser).await?;
    let verifier = AuditVerifier::new(
        auditor,
        TrustedKeys::new([signing_key.public_key().as_str()]).context("the public key is invalid")?,
    );
    let start = Instant::now();
    let chain_report = verifier.verify(tenant, &[]).await?;
    ensure!(chain_report.is_intact() && chain_report.entry_count == u64::from(events), "{chain_report:?}");
    report.add(&case, "verified_per_s", Implementation::Platform, f64::from(events) / start.elapsed().as_secs_f64());
    Ok(())
}
