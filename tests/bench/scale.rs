//! How the platform's figures grow with its data: tenants, passages of one tenant, conversations of one user, messages
//! of one conversation, and audit rows of one tenant. One client at a time, so that latency is the work of one request.
//! There is no floor: what matters is the step from one size to the next.

use crate::support::environment::{BenchEnvironment, MeasuredServer, ModelAnswerProfile};
use crate::support::fixtures::{FixtureWriter, TenantFixture, TenantShape, UserFixture};
use crate::support::load::{LatencySample, LoadResult, chat, closed_loop, timed_request};
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::report::{Report, print_progress};
use crate::support::round::{FIRST_TOKEN_LATENCY, LatencyMetrics, RESPONSE_LATENCY, ReportTarget, measure};
use anyhow::{Context as _, Result};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::time::Duration;

const TENANTS: &[usize] = &[1, 100, 1_000];
const PASSAGES: &[u64] = &[10_000, 50_000, 200_000];
const CONVERSATIONS: &[i64] = &[100, 10_000, 100_000];
const MESSAGES: &[i64] = &[50, 1_000, 20_000];
const AUDIT_ROWS: &[i64] = &[100_000, 1_000_000, 10_000_000];
/// Time without requests before the CPU time of background work is read.
const SETTLE_TIME: Duration = Duration::from_secs(3);
/// Time without requests for which the CPU time of background work is read.
const IDLE_TIME: Duration = Duration::from_secs(10);
/// Number of passages per tenant where something else grows.
const FEW_PASSAGES: u64 = 20;

/// Inserts conversations without messages: tenant, user, number.
const INSERT_CONVERSATIONS: &str = "INSERT INTO conversations (tenant_id, user_id, title, created_at, updated_at)
    SELECT tenant_id, user_id, 'Handover of shift ' || n, at, at
    FROM (SELECT tenant_id, user_id FROM conversations WHERE id = $1) AS owner,
         generate_series(1, $2) AS n, LATERAL (SELECT now() - n * interval '1 minute' AS at) AS times";
/// Appends messages to a conversation: conversation, number of its messages so far, number of messages to add.
const INSERT_MESSAGES: &str = "INSERT INTO messages (id, tenant_id, conversation_id, user_id, seq, role, content,
                                                    token_count, parent_id, created_at)
    SELECT md5(c.id::text || n)::uuid, c.tenant_id, c.id, c.user_id, $2 + n,
           CASE WHEN n % 2 = 1 THEN 'user' ELSE 'assistant' END,
           'The seal of the pump was checked in round ' || n || ', its pressure was within its limits.', 55,
           CASE WHEN n = 1 THEN c.active_message_id ELSE md5(c.id::text || (n - 1))::uuid END, now()
    FROM conversations AS c, generate_series(1, $3) AS n WHERE c.id = $1";
/// Makes the last of these messages the active one: conversation, number of messages before, number of messages added.
const ACTIVATE_LAST_MESSAGE: &str = "UPDATE conversations
    SET active_message_id = md5(id::text || $3)::uuid, next_seq = $2 + $3 + 1 WHERE id = $1";
/// Inserts audit rows outside the chain: tenant, number.
const INSERT_AUDIT_ROWS: &str =
    "INSERT INTO audit_logs (tenant_id, event_type, resource_type, resource_id, result_status,
                                                        request_hash, metadata, created_at, request_id)
    SELECT $1, 'doc.read', 'documents', gen_random_uuid(), 'success', repeat('ab', 32),
           jsonb_build_object('number', n), now() - n * interval '1 microsecond', 'r-' || n
    FROM generate_series(1, $2) AS n";

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let options = &Options { only: Some(Implementation::Platform), ..options.clone() };
    let mut report = Report::default();
    for passages in sizes(options, &options.passages(PASSAGES)) {
        measure_passages(options, passages, &mut report).await?;
    }
    if options.passages.is_empty() {
        for tenants in sizes(options, TENANTS) {
            measure_tenants(options, tenants, &mut report).await?;
        }
        measure_rows(options, &mut report).await?;
    }
    report.print()
}

/// All sizes, or with `--quick` the smallest alone.
fn sizes<T: Copy>(options: &Options, all: &[T]) -> Vec<T> {
    all.iter().copied().take(if options.quick { 1 } else { all.len() }).collect()
}

async fn measure_passages(options: &Options, passages: u64, report: &mut Report) -> Result<()> {
    let env = start(options, &[shape(0, passages)]).await?;
    env.wait_for_indexes().await?;
    Scale::new(options, &env)?.measure(&format!("{passages} passages"), Request::Search, report).await
}

/// Measures in the last of the tenants, and what the server does without requests.
async fn measure_tenants(options: &Options, tenants: usize, report: &mut Report) -> Result<()> {
    let shapes: Vec<TenantShape> = (0..tenants).map(|number| shape(number, FEW_PASSAGES)).collect();
    let env = start(options, &shapes).await?;
    let (case, scale) = (format!("{tenants} tenants"), Scale::new(options, &env)?);
    for request in [Request::Me, Request::Documents, Request::Search, Request::Chat] {
        scale.measure(&case, request, report).await?;
    }
    tokio::time::sleep(SETTLE_TIME).await;
    let before = env.cpu(Implementation::Platform).await?;
    tokio::time::sleep(IDLE_TIME).await;
    let after = env.cpu(Implementation::Platform).await?;
    let per_second = |seconds: f64| seconds / IDLE_TIME.as_secs_f64() * 1e3;
    let (application, postgres) = (after.application - before.application, after.postgres - before.postgres);
    let case = format!("{case}, idle");
    report.add(&case, "cpu_ms_per_s", Implementation::Platform, per_second(application));
    report.add(&case, "cpu_ms_per_s_with_postgres", Implementation::Platform, per_second(application + postgres));
    report.add(&case, "resident_mb", Implementation::Platform, scale.server.process.resident_mb()?);
    Ok(())
}

/// Measures in one tenant whose conversations, messages and audit rows grow in turn.
async fn measure_rows(options: &Options, report: &mut Report) -> Result<()> {
    let env = start(options, &[shape(0, FEW_PASSAGES)]).await?;
    let scale = Scale::new(options, &env)?;
    let mut superuser = PgConnection::connect(&scale.server.db.superuser_url()).await?;
    // Triggers and foreign keys cost more than the rows, and the log is not verified here.
    sqlx::raw_sql("SET session_replication_role = replica").execute(&mut superuser).await?;
    let conversation = scale.user.conversations.first().context("no conversation")?.as_uuid();
    let mut inserted = 0;
    for count in sizes(options, CONVERSATIONS) {
        print_progress(&format!("writing {count} conversations"));
        sqlx::query(INSERT_CONVERSATIONS).bind(conversation).bind(count - inserted).execute(&mut superuser).await?;
        inserted = count;
        vacuum(&mut superuser).await?;
        for request in [Request::Conversations, Request::FindConversation] {
            scale.measure(&format!("{count} conversations"), request, report).await?;
        }
    }
    for count in sizes(options, MESSAGES) {
        print_progress(&format!("writing {count} messages"));
        append_messages(&mut superuser, &scale, count).await?;
        vacuum(&mut superuser).await?;
        for request in [Request::Transcript, Request::Chat] {
            scale.measure(&format!("{count} messages"), request, report).await?;
        }
    }
    let mut inserted = 0;
    for count in sizes(options, AUDIT_ROWS) {
        print_progress(&format!("writing {count} audit rows"));
        let rows = sqlx::query(INSERT_AUDIT_ROWS).bind(scale.tenant.id.as_uuid()).bind(count - inserted);
        rows.execute(&mut superuser).await?;
        inserted = count;
        vacuum(&mut superuser).await?;
        for request in [Request::Audit, Request::AuditOfResource, Request::Documents] {
            scale.measure(&format!("{count} audit rows"), request, report).await?;
        }
    }
    Ok(())
}

/// Appends messages until the user's conversation has `count` of them.
async fn append_messages(superuser: &mut PgConnection, scale: &Scale<'_>, count: i64) -> Result<()> {
    let conversation = scale.user.conversations.first().context("no conversation")?.as_uuid();
    let next_seq: i64 = sqlx::query_scalar("SELECT next_seq FROM conversations WHERE id = $1")
        .bind(conversation)
        .fetch_one(&mut *superuser)
        .await?;
    let (existing, missing) = (next_seq - 1, count - (next_seq - 1));
    if missing < 1 {
        return Ok(());
    }
    for statement in [INSERT_MESSAGES, ACTIVATE_LAST_MESSAGE] {
        sqlx::query(statement).bind(conversation).bind(existing).bind(missing).execute(&mut *superuser).await?;
    }
    Ok(())
}

async fn vacuum(superuser: &mut PgConnection) -> Result<()> {
    sqlx::raw_sql("VACUUM ANALYZE").execute(superuser).await?;
    Ok(())
}

async fn start(options: &Options, shapes: &[TenantShape]) -> Result<BenchEnvironment> {
    let answers = ModelAnswerProfile { tokens: 16, interval: Duration::ZERO };
    BenchEnvironment::start(options, answers, shapes).await
}

fn shape(number: usize, passages: u64) -> TenantShape {
    TenantShape { slug: format!("plant-{number}"), users: 1, conversations_per_user: 1, passages }
}

/// A request whose latency is measured.
#[derive(Clone, Copy)]
enum Request {
    Me,
    Documents,
    Search,
    Chat,
    Conversations,
    FindConversation,
    Transcript,
    Audit,
    AuditOfResource,
}

impl Request {
    fn name(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Documents => "list of documents",
            Self::Search => "search",
            Self::Chat => "chat",
            Self::Conversations => "list of conversations",
            Self::FindConversation => "conversations with a word",
            Self::Transcript => "newest messages",
            Self::Audit => "newest audit rows",
            Self::AuditOfResource => "audit rows of a document",
        }
    }

    fn latency(self) -> LatencyMetrics {
        if matches!(self, Self::Chat) { FIRST_TOKEN_LATENCY } else { RESPONSE_LATENCY }
    }
}

/// The user whose requests are measured.
struct Scale<'a> {
    options: &'a Options,
    env: &'a BenchEnvironment,
    server: &'a MeasuredServer,
    tenant: &'a TenantFixture,
    user: &'a UserFixture,
    admin_token: String,
}

impl<'a> Scale<'a> {
    fn new(options: &'a Options, env: &'a BenchEnvironment) -> Result<Self> {
        let server = env.server(Implementation::Platform)?;
        let tenant = server.tenants.last().context("no tenant")?;
        let user = tenant.users.first().context("no user")?;
        let admin_token = env.issuer().admin_token(&tenant.slug, "administrator")?;
        Ok(Self { options, env, server, tenant, user, admin_token })
    }

    async fn measure(&self, size: &str, request: Request, report: &mut Report) -> Result<()> {
        let case = format!("{size}: {}", request.name());
        print_progress(&case);
        let duration = self.options.round_duration(RoundSeconds { quick: 0.5, full: 2.0 });
        // Warms up caches and prepared statements.
        self.run_load(request, Duration::from_millis(300)).await?;
        for _ in 0..self.options.rounds.unwrap_or(2) {
            let target = ReportTarget { report, case: &case, implementation: Implementation::Platform };
            measure(self.env, target, request.latency(), self.run_load(request, duration)).await?;
        }
        Ok(())
    }

    async fn run_load(&self, request: Request, duration: Duration) -> Result<LoadResult> {
        let fixtures = FixtureWriter::new(self.env.issuer());
        closed_loop(1, duration, |_, number| {
            let question = fixtures.question(self.tenant.passages, number as u64);
            async move { self.send(request, &question).await }
        })
        .await
    }

    async fn send(&self, request: Request, question: &str) -> Result<LatencySample> {
        let url = |path: &str| format!("{}{path}", self.server.process.url);
        let get = |path: &str| self.env.http.get(url(path)).bearer_auth(&self.user.token);
        let audit = |path: &str| self.env.http.get(url(path)).bearer_auth(&self.admin_token);
        let conversation = self.user.conversations.first().context("no conversation")?;
        let http_request = match request {
            Request::Chat => {
                let path = format!("/v1/conversations/{conversation}/chat");
                return chat(&self.env.http, &url(&path), &self.user.token, question).await;
            }
            Request::Search => {
                let body = json!({ "query": question, "top_k": 5 });
                self.env.http.post(url("/v1/search")).bearer_auth(&self.user.token).json(&body)
            }
            Request::Me => get("/v1/me"),
            Request::Documents => get("/v1/documents"),
            Request::Conversations => get("/v1/conversations"),
            Request::FindConversation => get("/v1/conversations?q=shift+77"),
            Request::Transcript => get(&format!("/v1/conversations/{conversation}")),
            Request::Audit => audit("/v1/audit"),
            Request::AuditOfResource => audit(&format!("/v1/audit?resource_id={conversation}")),
        };
        Ok(timed_request(http_request).await?.sample)
    }
}
