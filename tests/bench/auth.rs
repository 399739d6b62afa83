//! Benchmarks `GET /v1/me`, the cheapest authenticated request, against a baseline server that only verifies the token
//! and reads the user.

use crate::support::environment::{BenchEnvironment, ModelAnswerProfile};
use crate::support::fixtures::TenantShape;
use crate::support::load::{LoadResult, closed_loop, timed_request};
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::report::{Report, print_progress};
use crate::support::round::{RESPONSE_LATENCY, ReportTarget, measure};
use anyhow::{Context as _, Result};
use std::time::Duration;

const CLIENTS: &[usize] = &[1, 32];
const USERS: usize = 20;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user: 0, passages: 0 };
    let env =
        BenchEnvironment::start(options, ModelAnswerProfile { tokens: 1, interval: Duration::ZERO }, &[shape]).await?;
    let (mut report, duration) = (Report::default(), options.round_duration(RoundSeconds { quick: 1.0, full: 2.0 }));
    // Warms up: opens the connections and fills the caches.
    for implementation in options.implementations() {
        run_load(&env, implementation, Load { clients: USERS, duration: Duration::from_millis(500) }).await?;
    }
    for clients in options.concurrency(CLIENTS) {
        let case = format!("{clients} clients");
        for round in 0..options.rounds() {
            for implementation in options.implementations() {
                print_progress(&format!("{case}, round {}, {}", round + 1, implementation.name()));
                let target = ReportTarget { report: &mut report, case: &case, implementation };
                measure(&env, target, RESPONSE_LATENCY, run_load(&env, implementation, Load { clients, duration }))
                    .await?;
            }
        }
    }
    report.print()
}

#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    duration: Duration,
}

async fn run_load(env: &BenchEnvironment, implementation: Implementation, load: Load) -> Result<LoadResult> {
    let server = env.server(implementation)?;
    let tenant = server.tenants.first().context("no tenant")?;
    let url = format!("{}/v1/me", server.process.url);
    closed_loop(load.clients, load.duration, |client, _| {
        let request = env.http.get(&url).bearer_auth(&tenant.users[client % USERS].token);
        async move { Ok(timed_request(request).await?.sample) }
    })
    .await
}
