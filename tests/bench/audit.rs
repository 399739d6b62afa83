//! The audit log: appends an intent and its outcome through the platform's repository, and compares that with inserting
//! the same rows in one round trip each, into a log without a hash chain. Then seals and verifies a chain. Both sides
//! run in this process.

use crate::floor::{Connections, Step};
use crate::support::options::{Options, Side};
use crate::support::postgres::PostgresServer;
use crate::support::process::Times;
use crate::support::report::{Report, progress, quantile};
use anyhow::{Context as _, Result, ensure};
use data::audit::{AuditKeeper, AuditVerifier, SigningKey, TrustedKeys};
use data::testing::TestDb;
use data::{Database, PgStore, PoolSettings};
use domain::audit::{AuditSubject, Outcome, ResultStatus};
use domain::command::{Command as _, SearchDocuments};
use domain::ids::TenantId;
use domain::ports::{Clock as _, IdGen as _, Store as _};
use domain::role::Resource;
use domain::scope::Actor;
use fakes::suite::scope;
use futures::future::try_join_all;
use platform_server::system::{SystemClock, TimeOrderedIds};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::time::{Duration, Instant};
use uuid::Uuid;

const CLIENTS: &[usize] = &[1, 8, 32];
/// Number of connections of each side, the default of the platform and of the floor.
const CONNECTIONS: u32 = 16;
/// Number of events to seal and verify.
const EVENTS: u32 = 200_000;
const QUICK_EVENTS: u32 = 50_000;
/// Maximum number of rows per sealing transaction, the same as in the server.
const SEAL_BATCH: i32 = 5_000;
const TENANT: u128 = 1;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let (mut report, time) = (Report::default(), options.round_time(0.7, 1.5));
    let (chained, bare) = (database().await?, database().await?);
    let mut superuser = PgConnection::connect(&bare.superuser_url()).await?;
    sqlx::raw_sql("ALTER TABLE audit_logs DISABLE TRIGGER appended").execute(&mut superuser).await?;
    let settings = PoolSettings { max_connections: CONNECTIONS, ..PoolSettings::default() };
    let log = Log {
        store: PgStore::new(Database::new(&chained.app_url(), &settings)?),
        floor: Connections::open(&bare.app_url()).await?,
        postgres: PostgresServer::of(&chained).await?,
    };
    for clients in options.concurrency(CLIENTS) {
        let case = format!("append, {clients} clients");
        for round in 0..options.rounds() {
            for side in options.sides() {
                progress(&format!("{case}, round {}, {}", round + 1, side.name()));
                log.measure(Load { case: &case, side, clients, time }, &mut report).await?;
            }
        }
    }
    if options.only != Some(Side::Floor) {
        let events = if options.quick { QUICK_EVENTS } else { EVENTS };
        seal_and_verify(events, &mut report).await?;
    }
    report.print()
}

async fn database() -> Result<TestDb> {
    TestDb::create().await.map_err(|error| anyhow::anyhow!("{error}"))
}

/// The platform's log with its hash chain, and the floor's log without one.
struct Log {
    store: PgStore,
    floor: Connections,
    postgres: PostgresServer,
}

/// One measurement: which side appends, with how many clients, and for how long.
#[derive(Clone, Copy)]
struct Load<'a> {
    case: &'a str,
    side: Side,
    clients: usize,
    time: Duration,
}

impl Log {
    async fn measure(&self, load: Load<'_>, report: &mut Report) -> Result<()> {
        let Load { case, side, clients, time } = load;
        let (cpu, postgres, began) = (own_cpu()?, self.postgres.cpu()?, Instant::now());
        let client = || async {
            let mut took_ms = Vec::new();
            while began.elapsed() < time {
                let asked = Instant::now();
                match side {
                    Side::Platform => self.operation().await?,
                    Side::Floor => self.bare_operation().await?,
                }
                took_ms.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, anyhow::Error>(took_ms)
        };
        let took_ms: Vec<f64> = try_join_all((0..clients).map(|_| client())).await?.concat();
        let (seconds, count) = (began.elapsed().as_secs_f64(), took_ms.len() as f64);
        let cpu = (own_cpu()? - cpu) / count * 1e3;
        let postgres = (self.postgres.cpu()? - postgres) / count * 1e3;
        report.add(case, "application_cpu_ms", side, cpu);
        report.add(case, "with_postgres_cpu_ms", side, cpu + postgres);
        report.add(case, "latency_p50_ms", side, quantile(&took_ms, 0.5));
        report.add(case, "latency_p95_ms", side, quantile(&took_ms, 0.95));
        report.add(case, "operations_per_s", side, count / seconds);
        Ok(())
    }

    /// Inserts intent and outcome through the platform's repository, each in its own transaction.
    async fn operation(&self) -> Result<()> {
        let scope = scope(TenantId::from_uuid(Uuid::from_u128(TENANT)), Actor::System);
        let subject = AuditSubject {
            event: SearchDocuments::EVENT,
            resource: Some(Resource::Search),
            resource_id: None,
            session: None,
            request_hash: Some("ab".repeat(32)),
            metadata: json!({}),
        };
        let (intent, outcome) = (TimeOrderedIds.uuid().into(), TimeOrderedIds.uuid().into());
        let mut tx = self.store.begin(&scope).await?;
        let receipt = tx.audit().intent(intent, &subject, SystemClock.now()).await?;
        tx.commit().await?;
        let end = Outcome { subject, status: ResultStatus::Success, model: None, tools_used: Vec::new() };
        let mut tx = self.store.begin(&scope).await?;
        tx.audit().outcome(outcome, receipt, &end, SystemClock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Inserts the same two rows without the repository, each in one round trip.
    async fn bare_operation(&self) -> Result<()> {
        let (tenant, intent) = (Uuid::from_u128(TENANT).to_string(), TimeOrderedIds.uuid());
        let request = intent.to_string();
        for row in [Row { phase: "intent", status: "pending" }, Row { phase: "outcome", status: "success" }] {
            let id = if row.phase == "intent" { intent } else { TimeOrderedIds.uuid() };
            let taken = self.floor.take().await?;
            let connection = taken.get()?;
            let run = &connection.statements;
            let session = None::<Uuid>;
            connection
                .transaction([
                    Step { run: &run.set_tenant, with: &[&tenant] },
                    Step {
                        run: &run.audit,
                        with: &[
                            &id,
                            &session,
                            &"search",
                            &"search",
                            &row.status,
                            &None::<i32>,
                            &intent,
                            &request,
                            &row.phase,
                        ],
                    },
                ])
                .await?;
        }
        Ok(())
    }
}

/// What differs between the two rows of an operation.
struct Row {
    phase: &'static str,
    status: &'static str,
}

fn own_cpu() -> Result<f64> {
    Ok(Times::of(std::process::id())?.own)
}

/// Measures sealing and verifying the events of one tenant.
async fn seal_and_verify(events: u32, report: &mut Report) -> Result<()> {
    progress(&format!("sealing and verifying {events} events"));
    let (db, tenant) = (database().await?, Uuid::from_u128(TENANT));
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
    let app = db.app().map_err(|error| anyhow::anyhow!("{error}"))?;
    let auditor = db.auditor().map_err(|error| anyhow::anyhow!("{error}"))?;
    let (keeper, key) = (AuditKeeper::new(app), SigningKey::from_seed(&[1; 32])?);
    let (case, began) = (format!("{events} events"), Instant::now());
    loop {
        let heads = keeper.seal(SEAL_BATCH).await?;
        if heads.is_empty() {
            break;
        }
        for head in heads {
            let checkpoint = key.checkpoint(head.tenant, head.seq, head.chain_hash, SystemClock.now());
            keeper.keep_checkpoint(&checkpoint).await?;
        }
    }
    report.add(&case, "sealed_per_s", Side::Platform, f64::from(events) / began.elapsed().as_secs_f64());
    sqlx::raw_sql("ANALYZE audit_logs; ANALYZE audit_chain").execute(&mut superuser).await?;
    let verifier = AuditVerifier::new(auditor, TrustedKeys::new([key.public_key().as_str()]).context("the key")?);
    let began = Instant::now();
    let verified = verifier.verify(tenant, &[]).await?;
    ensure!(verified.holds() && verified.entries == u64::from(events), "{verified:?}");
    report.add(&case, "verified_per_s", Side::Platform, f64::from(events) / began.elapsed().as_secs_f64());
    Ok(())
}
