//! Chat turns with a search: CPU time per request, first token, requests per second and memory.

use crate::support::load::{Observed, chat, closed_loop};
use crate::support::options::{Options, Side};
use crate::support::report::{Report, progress};
use crate::support::round::{FIRST_TOKEN, Target, measure};
use crate::support::site::{Answers, Site};
use crate::support::world::{TenantShape, Writer};
use anyhow::{Context as _, Result};
use std::time::Duration;

const CLIENTS: &[usize] = &[1, 8, 32, 128];
const QUICK_CLIENTS: &[usize] = &[1, 32];
/// Users whose conversations the clients continue.
pub const USERS: usize = 20;
const PASSAGES: u64 = 1_000;
/// Number of tokens per answer.
pub const TOKENS: usize = 16;
/// The load before the first round, which is not measured.
const WARM_UP: Load = Load { clients: 16, time: Duration::from_millis(700), seed: 0 };

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let clients = options.concurrency(if options.quick { QUICK_CLIENTS } else { CLIENTS });
    let most = clients.iter().copied().max().unwrap_or(1).max(WARM_UP.clients);
    let passages = options.passages(&[PASSAGES]).first().copied().unwrap_or(PASSAGES);
    // Each client has its own conversation.
    let conversations_per_user = most.div_ceil(USERS);
    let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user, passages };
    let answers = Answers { tokens: TOKENS, interval: Duration::ZERO };
    let site = Site::start(options, answers, &[shape]).await?;
    let (mut report, time) = (Report::default(), options.round_time(1.0, 1.5));
    for side in options.sides() {
        load(&site, side, WARM_UP).await?;
    }
    for clients in clients {
        let case = format!("{clients} clients");
        for round in 0..options.rounds() {
            for side in options.sides() {
                progress(&format!("{case}, round {}, {}", round + 1, side.name()));
                let target = Target { report: &mut report, case: &case, side };
                let load = load(&site, side, Load { clients, time, seed: 1 + round as u64 });
                measure(&site, target, FIRST_TOKEN, load).await?;
            }
        }
    }
    report.print()
}

/// Number of clients, for how long, and which questions they ask.
#[derive(Clone, Copy)]
pub struct Load {
    pub clients: usize,
    pub time: Duration,
    pub seed: u64,
}

/// Runs chat turns with several clients, each in its own conversation.
pub async fn load(site: &Site, side: Side, load: Load) -> Result<Observed> {
    let measured = site.measured(side)?;
    let tenant = measured.tenants.first().context("no tenant")?;
    let writer = Writer::new(site.issuer());
    closed_loop(load.clients, load.time, |client, number| {
        let user = &tenant.users[client % USERS];
        let url = format!("{}/v1/conversations/{}/chat", measured.part.url, user.conversations[client / USERS]);
        let question = writer.question(tenant.passages, load.seed << 32 | (client << 16 | number) as u64);
        async move { chat(&site.http, &url, &user.token, &question).await }
    })
    .await
}
