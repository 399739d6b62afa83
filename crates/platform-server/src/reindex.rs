//! `reindex`: moves every tenant from the embedding model in use to the next one.
//!
//! The jobs are the queue's, so that this command can be stopped and begun again, and so that running workers with the
//! same settings help. Until a tenant has all its documents embedded anew, it is searched as before.

use crate::compose::Platform;
use crate::config::Settings;
use crate::databases::Databases;
use crate::models::Models;
use crate::shutdown;
use anyhow::{Context as _, Result, bail};
use domain::ports::{JobCounts, JobKind};
use prometheus::Registry;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Wait between two looks at the queue.
const POLL: Duration = Duration::from_secs(1);

/// Queues the work and does it, until it is done or a signal comes.
///
/// # Errors
/// Where there is no next model, the database fails, or a tenant keeps the old model.
pub async fn run(settings: Settings) -> Result<()> {
    if settings.models.next_embed.is_none() {
        bail!("models.next_embed is not set; it names the embedding model to change to");
    }
    let databases = Databases::new(&settings)?;
    databases.preflight().await?;
    let platform = Platform::new(&settings, databases, Models::configured(&settings, &Registry::new()).await?).await?;
    let (worker, model) = platform.reindexer(&settings).context("models.next_embed is not set")?;
    if model.dimension == 0 {
        bail!("the next embedding model does not answer, so its dimension is not known");
    }
    let queued = platform.queue.enqueue_reindex().await.context("the tenants cannot be queued")?;
    crate::print(&format!("{queued} tenants queued to be embedded with {}", model.name))?;
    let signals = TaskTracker::new();
    let stop = shutdown::on_signal(&signals)?;
    let working = TaskTracker::new();
    let idle = stop.clone();
    working.spawn(async move { worker.run(idle).await });
    working.close();
    let left = wait(&platform, &stop).await;
    stop.cancel();
    working.wait().await;
    platform.close().await;
    report(left?, &model.name)
}

/// Waits until nothing is left to do, or a signal came.
async fn wait(platform: &Platform, stop: &CancellationToken) -> Result<JobCounts> {
    let mut told = None;
    loop {
        let left = platform.queue.left(JobKind::Reindex).await.context("the queue cannot be counted")?;
        if told != Some(left.pending) {
            crate::print(&format!("{} tenants to go", left.pending))?;
            told = Some(left.pending);
        }
        if left.pending == 0 || stop.run_until_cancelled(tokio::time::sleep(POLL)).await.is_none() {
            return Ok(left);
        }
    }
}

fn report(left: JobCounts, model: &str) -> Result<()> {
    if left.pending > 0 {
        bail!("stopped with {} tenants to go; the same command goes on where this one ended", left.pending);
    }
    if left.dead > 0 {
        bail!(
            "{} tenants keep the old model, since they have documents that cannot be read any more (events doc.ingestion \
             with result error in their audit log name them); delete those and run this command again",
            left.dead
        );
    }
    crate::print(&format!(
        "every tenant is searched with {model} now; make models.next_embed the model of models.embed and restart"
    ))
    .context("cannot print")
}
