//! The cost that the OpenAI-compatible API adds to a model call, compared with a proxy that only forwards bytes.

use crate::support::environment::{BenchEnvironment, ModelAnswerProfile};
use crate::support::fixtures::TenantShape;
use crate::support::load::{LoadResult, closed_loop, timed_request};
use crate::support::model_server::TOKEN_PREFIX;
use crate::support::options::{Implementation, Options, RoundSeconds};
use crate::support::report::{Report, print_progress};
use crate::support::round::{RESPONSE_LATENCY, ReportTarget, measure};
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::time::Duration;

const CLIENTS: &[usize] = &[8];
const USERS: usize = 20;
const QUESTION: &str = "Which valve is closed before the seal of pump P-101A is changed?";
/// The kinds of answers to measure.
const ANSWER_SHAPES: &[AnswerShape] = &[
    AnswerShape { name: "json of 16 tokens", stream: false, tokens: 16 },
    AnswerShape { name: "stream of 1 token", stream: true, tokens: 1 },
    AnswerShape { name: "stream of 257 tokens", stream: true, tokens: 257 },
];

/// Form and length of an answer.
#[derive(Clone, Copy)]
struct AnswerShape {
    name: &'static str,
    stream: bool,
    tokens: usize,
}

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user: 0, passages: 0 };
    // With `tokens: 0`, the model server sends as many tokens as the request allows.
    let env =
        BenchEnvironment::start(options, ModelAnswerProfile { tokens: 0, interval: Duration::ZERO }, &[shape]).await?;
    let (mut report, duration) = (Report::default(), options.round_duration(RoundSeconds { quick: 1.0, full: 2.5 }));
    for implementation in options.implementations() {
        run_load(
            &env,
            implementation,
            Load { shape: ANSWER_SHAPES[0], clients: USERS, duration: Duration::from_millis(500) },
        )
        .await?;
    }
    for clients in options.concurrency(CLIENTS) {
        for shape in ANSWER_SHAPES {
            let case = format!("{}, {clients} clients", shape.name);
            for round in 0..options.rounds() {
                for implementation in options.implementations() {
                    print_progress(&format!("{case}, round {}, {}", round + 1, implementation.name()));
                    let target = ReportTarget { report: &mut report, case: &case, implementation };
                    measure(
                        &env,
                        target,
                        RESPONSE_LATENCY,
                        run_load(&env, implementation, Load { shape: *shape, clients, duration }),
                    )
                    .await?;
                }
            }
        }
    }
    report.print()
}

#[derive(Clone, Copy)]
struct Load {
    shape: AnswerShape,
    clients: usize,
    duration: Duration,
}

async fn run_load(env: &BenchEnvironment, implementation: Implementation, load: Load) -> Result<LoadResult> {
    let server = env.server(implementation)?;
    let tenant = server.tenants.first().context("no tenant")?;
    let url = format!("{}/openai/v1/chat/completions", server.process.url);
    let AnswerShape { stream, tokens, .. } = load.shape;
    let body = json!({ "model": "fast-direct", "stream": stream, "max_tokens": tokens,
        "messages": [{ "role": "user", "content": QUESTION }] });
    closed_loop(load.clients, load.duration, |client, _| {
        let request = env.http.post(&url).bearer_auth(&tenant.users[client % USERS].token).json(&body);
        async move {
            let answer = timed_request(request).await?;
            match answer.text.matches(TOKEN_PREFIX).count() {
                count if count == tokens => Ok(answer.sample),
                count => bail!("the answer has {count} tokens instead of {tokens}"),
            }
        }
    })
    .await
}
