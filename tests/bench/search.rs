//! Searches in ten tenants of very different sizes: latency, CPU time, and the recall of the vector index.

use crate::support::embedder::WordEmbedder;
use crate::support::environment::{BenchEnvironment, ModelAnswerProfile};
use crate::support::fixtures::{FixtureWriter, TenantFixture, TenantShape, embedding_model};
use crate::support::load::{LoadResult, closed_loop, timed_request};
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::report::{Report, print_progress};
use crate::support::round::{RESPONSE_LATENCY, ReportTarget, measure};
use anyhow::{Context as _, Result};
use data::PgStore;
use domain::ports::Store as _;
use domain::role::Classification;
use domain::scope::Actor;
use domain::search::{SearchFilters, SearchScope};
use fakes::store_contract::scope;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

const CLIENTS: &[usize] = &[1, 32];
/// Total numbers of passages of all tenants.
const PASSAGES: &[u64] = &[50_000, 200_000];
const QUICK_PASSAGES: &[u64] = &[5_000];
/// Each tenant's share of the passages, in thousandths.
const TENANT_SHARES_PERMILLE: &[u64] = &[500, 200, 100, 80, 50, 30, 20, 10, 6, 4];
const USERS: usize = 4;
/// Number of questions for which recall is computed.
const RECALL_QUESTIONS: u64 = 40;
const TOP_K: usize = 5;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let mut report = Report::default();
    for passages in options.passages(if options.quick { QUICK_PASSAGES } else { PASSAGES }) {
        let answers = ModelAnswerProfile { tokens: 1, interval: Duration::ZERO };
        let env = BenchEnvironment::start_shared(options, answers, &tenant_shapes(passages)).await?;
        env.wait_for_indexes().await?;
        for tenant in [0, TENANT_SHARES_PERMILLE.len() - 1] {
            let size = if tenant == 0 { "largest" } else { "smallest" };
            let search =
                TenantSearch { env: &env, tenant_index: tenant, case: format!("{passages} passages, {size} tenant") };
            search.measure_latency(options, &mut report).await?;
            search.measure_recall(options, &mut report).await?;
        }
    }
    report.print()
}

fn tenant_shapes(passages: u64) -> Vec<TenantShape> {
    let shape = |(number, share): (usize, &u64)| TenantShape {
        slug: format!("plant-{number}"),
        users: USERS,
        conversations_per_user: 0,
        passages: (passages * share / 1_000).max(1),
    };
    TENANT_SHARES_PERMILLE.iter().enumerate().map(shape).collect()
}

/// Measures searches in one tenant.
struct TenantSearch<'a> {
    env: &'a BenchEnvironment,
    tenant_index: usize,
    case: String,
}

/// The load of one round; `seed` selects the questions.
#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    duration: Duration,
    seed: u64,
}

impl TenantSearch<'_> {
    async fn measure_latency(&self, options: &Options, report: &mut Report) -> Result<()> {
        for implementation in options.implementations() {
            self.run_load(implementation, Load { clients: 8, duration: Duration::from_millis(500), seed: 0 }).await?;
        }
        for clients in options.concurrency(CLIENTS) {
            let (case, duration) = (
                format!("{}, {clients} clients", self.case),
                options.round_duration(RoundSeconds { quick: 1.0, full: 2.0 }),
            );
            for round in 0..options.rounds() {
                for implementation in options.implementations() {
                    print_progress(&format!("{case}, round {}, {}", round + 1, implementation.name()));
                    let target = ReportTarget { report, case: &case, implementation };
                    let load = self.run_load(implementation, Load { clients, duration, seed: 1 + round as u64 });
                    measure(self.env, target, RESPONSE_LATENCY, load).await?;
                }
            }
        }
        Ok(())
    }

    fn tenant(&self, implementation: Implementation) -> Result<&TenantFixture> {
        self.env.server(implementation)?.tenants.get(self.tenant_index).context("no such tenant")
    }

    async fn run_load(&self, implementation: Implementation, load: Load) -> Result<LoadResult> {
        let (tenant, fixtures) = (self.tenant(implementation)?, FixtureWriter::new(self.env.issuer()));
        closed_loop(load.clients, load.duration, |client, request_number| {
            let seed = load.seed << 32 | (client << 16 | request_number) as u64;
            let request = self.request(implementation, tenant, client, &fixtures.question(tenant.passages, seed));
            async move { Ok(timed_request(request?).await?.sample) }
        })
        .await
    }

    fn request(
        &self,
        implementation: Implementation,
        tenant: &TenantFixture,
        user: usize,
        question: &str,
    ) -> Result<reqwest::RequestBuilder> {
        let url = format!("{}/v1/search", self.env.server(implementation)?.process.url);
        let body = json!({ "query": question, "top_k": TOP_K });
        Ok(self.env.http.post(url).bearer_auth(&tenant.users[user % USERS].token).json(&body))
    }

    /// Compares the nearest passages according to the platform's own statement, and according to the floor, with an
    /// exact scan. The platform's search results combine vectors and words, so only their number is counted.
    async fn measure_recall(&self, options: &Options, report: &mut Report) -> Result<()> {
        let (fixtures, embedder) = (FixtureWriter::new(self.env.issuer()), WordEmbedder::default());
        let db = &self.env.server(Implementation::Platform)?.db;
        let mut superuser = PgConnection::connect(&db.superuser_url()).await?;
        sqlx::raw_sql("SET enable_indexscan = off").execute(&mut superuser).await?;
        for implementation in options.implementations() {
            let tenant = self.tenant(implementation)?;
            let (mut found_count, mut expected_count, mut row_count) = (0, 0, 0);
            for seed in 0..RECALL_QUESTIONS {
                let question = fixtures.question(tenant.passages, seed);
                let exact_ids = exact_nearest(&mut superuser, tenant, &embedder.embed(&question)).await?;
                let response = timed_request(self.request(implementation, tenant, 0, &question)?).await?.json()?;
                let hits = response["results"].as_array().context("no results")?;
                let ids: HashSet<Uuid> = match implementation {
                    Implementation::Platform => self.nearest(tenant, &embedder.embed(&question)).await?,
                    Implementation::Floor => {
                        hits.iter().filter_map(|hit| hit["chunk_id"].as_str()?.parse().ok()).collect()
                    }
                };
                row_count += hits.len();
                found_count += exact_ids.intersection(&ids).count();
                expected_count += exact_ids.len();
            }
            report.add(&self.case, "vector_recall_at_5", implementation, found_count as f64 / expected_count as f64);
            report.add(&self.case, "rows_of_5", implementation, row_count as f64 / RECALL_QUESTIONS as f64);
        }
        Ok(())
    }

    /// Returns the nearest passages according to the platform's own statement.
    async fn nearest(&self, tenant: &TenantFixture, vector: &[f32]) -> Result<HashSet<Uuid>> {
        let database =
            self.env.server(Implementation::Platform)?.db.app_pool().map_err(|error| anyhow::anyhow!("{error}"))?;
        let search_scope = SearchScope { filters: SearchFilters::default(), clearance: Classification::Internal };
        let mut tx = PgStore::new(database.clone()).begin(&scope(tenant.id, Actor::System)).await?;
        let found = tx.chunks().search_vector(vector, &embedding_model(), &search_scope, TOP_K as u32).await?;
        tx.commit().await?;
        database.close().await;
        Ok(found.iter().map(|hit| hit.candidate.chunk_id.as_uuid()).collect())
    }
}

/// Returns the nearest passages of a tenant according to an exact scan.
async fn exact_nearest(superuser: &mut PgConnection, tenant: &TenantFixture, vector: &[f32]) -> Result<HashSet<Uuid>> {
    let query =
        "SELECT id FROM document_chunks WHERE tenant_id = $1 ORDER BY embedding <=> $2::real[]::halfvec LIMIT 5";
    let ids: Vec<Uuid> = sqlx::query_scalar(query).bind(tenant.id.as_uuid()).bind(vector).fetch_all(superuser).await?;
    Ok(ids.into_iter().collect())
}
