//! Searches in ten tenants of very different sizes: latency, CPU time, and the recall of the vector index.

use crate::support::load::{Observed, closed_loop, unary};
use crate::support::options::{Options, Side};
use crate::support::report::{Report, progress};
use crate::support::round::{Target, WHOLE, measure};
use crate::support::site::{Answers, Site};
use crate::support::vectors::Vectors;
use crate::support::world::{TenantShape, TenantWorld, Writer, embedding_model};
use anyhow::{Context as _, Result};
use data::PgStore;
use domain::ports::Store as _;
use domain::role::Classification;
use domain::scope::Actor;
use domain::search::{SearchFilters, SearchScope};
use fakes::suite::scope;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

const CLIENTS: &[usize] = &[1, 32];
/// Total numbers of passages of all tenants.
const PASSAGES: &[u64] = &[50_000, 200_000];
const QUICK_PASSAGES: &[u64] = &[5_000];
/// Share of each tenant of the passages, in thousandths.
const SHARES: &[u64] = &[500, 200, 100, 80, 50, 30, 20, 10, 6, 4];
const USERS: usize = 4;
/// Questions for which the recall is computed.
const RECALL_QUESTIONS: u64 = 40;
const TOP_K: usize = 5;
/// Time limit for the platform's worker to build all vector indexes.
const INDEX_LIMIT: Duration = Duration::from_secs(1_800);

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let mut report = Report::default();
    for passages in options.passages(if options.quick { QUICK_PASSAGES } else { PASSAGES }) {
        let answers = Answers { tokens: 1, interval: Duration::ZERO };
        let site = Site::start_shared(options, answers, &shapes(passages)).await?;
        wait_for_indexes(&site).await?;
        for tenant in [0, SHARES.len() - 1] {
            let size = if tenant == 0 { "largest" } else { "smallest" };
            let what = Searched { site: &site, tenant, name: format!("{passages} passages, {size} tenant") };
            what.latencies(options, &mut report).await?;
            what.recall(options, &mut report).await?;
        }
    }
    report.print()
}

fn shapes(passages: u64) -> Vec<TenantShape> {
    let shape = |(number, share): (usize, &u64)| TenantShape {
        slug: format!("plant-{number}"),
        users: USERS,
        conversations_per_user: 0,
        passages: (passages * share / 1_000).max(1),
    };
    SHARES.iter().enumerate().map(shape).collect()
}

/// Waits until the platform's worker has built the vector indexes, then runs VACUUM ANALYZE.
async fn wait_for_indexes(site: &Site) -> Result<()> {
    progress("waiting for the vector indexes");
    let mut connection = PgConnection::connect(&site.measured(Side::Platform)?.db.superuser_url()).await?;
    let began = Instant::now();
    while began.elapsed() < INDEX_LIMIT {
        let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(&mut connection).await?;
        if jobs == 0 {
            sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    anyhow::bail!("the vector indexes are not built after {} s", INDEX_LIMIT.as_secs())
}

/// The searches in one tenant.
struct Searched<'a> {
    site: &'a Site,
    tenant: usize,
    name: String,
}

/// Number of clients, for how long, and which questions they ask.
#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    time: Duration,
    seed: u64,
}

impl Searched<'_> {
    async fn latencies(&self, options: &Options, report: &mut Report) -> Result<()> {
        for side in options.sides() {
            self.load(side, Load { clients: 8, time: Duration::from_millis(500), seed: 0 }).await?;
        }
        for clients in options.concurrency(CLIENTS) {
            let (case, time) = (format!("{}, {clients} clients", self.name), options.round_time(1.0, 2.0));
            for round in 0..options.rounds() {
                for side in options.sides() {
                    progress(&format!("{case}, round {}, {}", round + 1, side.name()));
                    let target = Target { report, case: &case, side };
                    let load = self.load(side, Load { clients, time, seed: 1 + round as u64 });
                    measure(self.site, target, WHOLE, load).await?;
                }
            }
        }
        Ok(())
    }

    fn tenant(&self, side: Side) -> Result<&TenantWorld> {
        self.site.measured(side)?.tenants.get(self.tenant).context("no such tenant")
    }

    async fn load(&self, side: Side, load: Load) -> Result<Observed> {
        let (tenant, writer) = (self.tenant(side)?, Writer::new(self.site.issuer()));
        closed_loop(load.clients, load.time, |client, number| {
            let seed = load.seed << 32 | (client << 16 | number) as u64;
            let request = self.request(side, tenant, client, &writer.question(tenant.passages, seed));
            async move { Ok(unary(request?).await?.sample) }
        })
        .await
    }

    fn request(
        &self,
        side: Side,
        tenant: &TenantWorld,
        user: usize,
        question: &str,
    ) -> Result<reqwest::RequestBuilder> {
        let url = format!("{}/v1/search", self.site.measured(side)?.part.url);
        let body = json!({ "query": question, "top_k": TOP_K });
        Ok(self.site.http.post(url).bearer_auth(&tenant.users[user % USERS].token).json(&body))
    }

    /// Compares the nearest passages according to the platform's own statement, and according to the floor, with an
    /// exact scan. The platform's search results combine vectors and words, so only their number is counted.
    async fn recall(&self, options: &Options, report: &mut Report) -> Result<()> {
        let (writer, vectors) = (Writer::new(self.site.issuer()), Vectors::default());
        let db = &self.site.measured(Side::Platform)?.db;
        let mut superuser = PgConnection::connect(&db.superuser_url()).await?;
        sqlx::raw_sql("SET enable_indexscan = off").execute(&mut superuser).await?;
        for side in options.sides() {
            let tenant = self.tenant(side)?;
            let (mut found, mut expected, mut rows) = (0, 0, 0);
            for seed in 0..RECALL_QUESTIONS {
                let question = writer.question(tenant.passages, seed);
                let exact = exact(&mut superuser, tenant, &vectors.embed(&question)).await?;
                let answer = unary(self.request(side, tenant, 0, &question)?).await?.json()?;
                let hits = answer["results"].as_array().context("no results")?;
                let ids: HashSet<Uuid> = match side {
                    Side::Platform => self.nearest(tenant, &vectors.embed(&question)).await?,
                    Side::Floor => hits.iter().filter_map(|hit| hit["chunk_id"].as_str()?.parse().ok()).collect(),
                };
                rows += hits.len();
                found += exact.intersection(&ids).count();
                expected += exact.len();
            }
            report.add(&self.name, "vector_recall_at_5", side, found as f64 / expected as f64);
            report.add(&self.name, "rows_of_5", side, rows as f64 / RECALL_QUESTIONS as f64);
        }
        Ok(())
    }

    /// Returns the nearest passages according to the platform's own statement.
    async fn nearest(&self, tenant: &TenantWorld, vector: &[f32]) -> Result<HashSet<Uuid>> {
        let database = self.site.measured(Side::Platform)?.db.app().map_err(|error| anyhow::anyhow!("{error}"))?;
        let within = SearchScope { filters: SearchFilters::default(), clearance: Classification::Internal };
        let mut tx = PgStore::new(database.clone()).begin(&scope(tenant.id, Actor::System)).await?;
        let found = tx.chunks().nearest(vector, &embedding_model(), &within, TOP_K as u32).await?;
        tx.commit().await?;
        database.close().await;
        Ok(found.iter().map(|hit| hit.candidate.chunk_id.as_uuid()).collect())
    }
}

/// Returns the nearest passages of a tenant according to an exact scan.
async fn exact(superuser: &mut PgConnection, tenant: &TenantWorld, vector: &[f32]) -> Result<HashSet<Uuid>> {
    let nearest =
        "SELECT id FROM document_chunks WHERE tenant_id = $1 ORDER BY embedding <=> $2::real[]::halfvec LIMIT 5";
    let ids: Vec<Uuid> =
        sqlx::query_scalar(nearest).bind(tenant.id.as_uuid()).bind(vector).fetch_all(superuser).await?;
    Ok(ids.into_iter().collect())
}
