//! Chat turns with a search: CPU time per request, first token, requests per second and memory.

use crate::support::environment::{BenchEnvironment, ModelAnswerProfile};
use crate::support::fixtures::{FixtureWriter, TenantShape};
use crate::support::load::{LoadResult, chat, closed_loop};
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::report::{Report, print_progress};
use crate::support::round::{FIRST_TOKEN_LATENCY, ReportTarget, measure};
use anyhow::{Context as _, Result};
use std::time::Duration;

const CLIENTS: &[usize] = &[1, 8, 32, 128];
const QUICK_CLIENTS: &[usize] = &[1, 32];
/// Users whose conversations the clients continue.
pub const USERS: usize = 20;
const PASSAGES: u64 = 1_000;
/// Number of tokens per answer.
pub const TOKENS_PER_ANSWER: usize = 16;
/// The load before the first round. It is not measured.
const WARM_UP: Load = Load { clients: 16, duration: Duration::from_millis(700), seed: 0 };

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let clients = options.concurrency(if options.quick { QUICK_CLIENTS } else { CLIENTS });
    let max_clients = clients.iter().copied().max().unwrap_or(1).max(WARM_UP.clients);
    let passages = options.passages(&[PASSAGES]).first().copied().unwrap_or(PASSAGES);
    // Each client has its own conversation.
    let conversations_per_user = max_clients.div_ceil(USERS);
    let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user, passages };
    let answers = ModelAnswerProfile { tokens: TOKENS_PER_ANSWER, interval: Duration::ZERO };
    let env = BenchEnvironment::start(options, answers, &[shape]).await?;
    let (mut report, duration) = (Report::default(), options.round_duration(RoundSeconds { quick: 1.0, full: 1.5 }));
    for implementation in options.implementations() {
        run_load(&env, implementation, WARM_UP).await?;
    }
    for clients in clients {
        let case = format!("{clients} clients");
        for round in 0..options.rounds() {
            for implementation in options.implementations() {
                print_progress(&format!("{case}, round {}, {}", round + 1, implementation.name()));
                let target = ReportTarget { report: &mut report, case: &case, implementation };
                let load = run_load(&env, implementation, Load { clients, duration, seed: 1 + round as u64 });
                measure(&env, target, FIRST_TOKEN_LATENCY, load).await?;
            }
        }
    }
    report.print()
}

/// The load of one round; `seed` selects the questions.
#[derive(Clone, Copy)]
pub struct Load {
    pub clients: usize,
    pub duration: Duration,
    pub seed: u64,
}

/// Runs chat turns with several clients, each in its own conversation.
pub async fn run_load(env: &BenchEnvironment, implementation: Implementation, load: Load) -> Result<LoadResult> {
    let server = env.server(implementation)?;
    let tenant = server.tenants.first().context("no tenant")?;
    let fixtures = FixtureWriter::new(env.issuer());
    closed_loop(load.clients, load.duration, |client, request_number| {
        let user = &tenant.users[client % USERS];
        let url = format!("{}/v1/conversations/{}/chat", server.process.url, user.conversations[client / USERS]);
        let question = fixtures.question(tenant.passages, load.seed << 32 | (client << 16 | request_number) as u64);
        async move { chat(&env.http, &url, &user.token, &question).await }
    })
    .await
}
