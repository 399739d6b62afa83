//! What the OpenAI-compatible API adds to a model call, compared with a bare proxy that passes bytes through.

use crate::support::load::{Observed, closed_loop, unary};
use crate::support::model_server::TOKEN_MARK;
use crate::support::options::{Options, Side};
use crate::support::report::{Report, progress};
use crate::support::round::{Target, WHOLE, measure};
use crate::support::site::{Answers, Site};
use crate::support::world::TenantShape;
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::time::Duration;

const CLIENTS: &[usize] = &[8];
const USERS: usize = 20;
const QUESTION: &str = "Which valve is closed before the seal of pump P-101A is changed?";
/// The kinds of answers to measure.
const SHAPES: &[Shape] = &[
    Shape { name: "json of 16 tokens", stream: false, tokens: 16 },
    Shape { name: "stream of 1 token", stream: true, tokens: 1 },
    Shape { name: "stream of 257 tokens", stream: true, tokens: 257 },
];

/// Form and length of an answer.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    stream: bool,
    tokens: usize,
}

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user: 0, passages: 0 };
    // With 0 the model writes as many tokens as the request allows.
    let site = Site::start(options, Answers { tokens: 0, interval: Duration::ZERO }, &[shape]).await?;
    let (mut report, time) = (Report::default(), options.round_time(1.0, 2.5));
    for side in options.sides() {
        load(&site, side, Load { shape: SHAPES[0], clients: USERS, time: Duration::from_millis(500) }).await?;
    }
    for clients in options.concurrency(CLIENTS) {
        for shape in SHAPES {
            let case = format!("{}, {clients} clients", shape.name);
            for round in 0..options.rounds() {
                for side in options.sides() {
                    progress(&format!("{case}, round {}, {}", round + 1, side.name()));
                    let target = Target { report: &mut report, case: &case, side };
                    measure(&site, target, WHOLE, load(&site, side, Load { shape: *shape, clients, time })).await?;
                }
            }
        }
    }
    report.print()
}

#[derive(Clone, Copy)]
struct Load {
    shape: Shape,
    clients: usize,
    time: Duration,
}

async fn load(site: &Site, side: Side, load: Load) -> Result<Observed> {
    let measured = site.measured(side)?;
    let tenant = measured.tenants.first().context("no tenant")?;
    let url = format!("{}/openai/v1/chat/completions", measured.part.url);
    let Shape { stream, tokens, .. } = load.shape;
    let body = json!({ "model": "fast-direct", "stream": stream, "max_tokens": tokens,
        "messages": [{ "role": "user", "content": QUESTION }] });
    closed_loop(load.clients, load.time, |client, _| {
        let request = site.http.post(&url).bearer_auth(&tenant.users[client % USERS].token).json(&body);
        async move {
            let answer = unary(request).await?;
            match answer.text.matches(TOKEN_MARK).count() {
                count if count == tokens => Ok(answer.sample),
                count => bail!("an answer of {count} tokens instead of {tokens}"),
            }
        }
    })
    .await
}
