//! The cheapest authenticated request, compared with only verifying the token and reading the user.

use crate::support::load::{Observed, closed_loop, unary};
use crate::support::options::{Options, Side};
use crate::support::report::{Report, progress};
use crate::support::round::{Target, WHOLE, measure};
use crate::support::site::{Answers, Site};
use crate::support::world::TenantShape;
use anyhow::{Context as _, Result};
use std::time::Duration;

const CLIENTS: &[usize] = &[1, 32];
const USERS: usize = 20;

/// Runs the benchmark.
pub async fn run(options: &Options) -> Result<()> {
    let shape = TenantShape { slug: "plant".to_owned(), users: USERS, conversations_per_user: 0, passages: 0 };
    let site = Site::start(options, Answers { tokens: 1, interval: Duration::ZERO }, &[shape]).await?;
    let (mut report, time) = (Report::default(), options.round_time(1.0, 2.0));
    for side in options.sides() {
        load(&site, side, Load { clients: USERS, time: Duration::from_millis(500) }).await?;
    }
    for clients in options.concurrency(CLIENTS) {
        let case = format!("{clients} clients");
        for round in 0..options.rounds() {
            for side in options.sides() {
                progress(&format!("{case}, round {}, {}", round + 1, side.name()));
                let target = Target { report: &mut report, case: &case, side };
                measure(&site, target, WHOLE, load(&site, side, Load { clients, time })).await?;
            }
        }
    }
    report.print()
}

#[derive(Clone, Copy)]
struct Load {
    clients: usize,
    time: Duration,
}

async fn load(site: &Site, side: Side, load: Load) -> Result<Observed> {
    let measured = site.measured(side)?;
    let tenant = measured.tenants.first().context("no tenant")?;
    let url = format!("{}/v1/me", measured.part.url);
    closed_loop(load.clients, load.time, |client, _| {
        let request = site.http.get(&url).bearer_auth(&tenant.users[client % USERS].token);
        async move { Ok(unary(request).await?.sample) }
    })
    .await
}
