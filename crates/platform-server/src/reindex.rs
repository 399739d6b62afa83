//! `reindex`: migrates every tenant from the current embedding model to the next one, or to the one of its language.
//!
//! The work is done by jobs of the queue. The command can therefore be stopped and started again, and running workers
//! with the same settings take part. Searches in a tenant use the current model until all of its documents are embedded
//! with the next one.

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

/// Interval at which the queue is polled.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Queues one job per tenant and runs the jobs until they are done or a signal arrives.
///
/// # Errors
/// If all tenants use the same model, the database fails, or a tenant could not be migrated.
pub async fn run(settings: Settings) -> Result<()> {
    if settings.models.next_embed.is_none() && settings.models.language_models.is_empty() {
        bail!(
            "neither models.next_embed nor models.language_models is set; they name the embedding models to change to"
        );
    }
    let has_next = settings.models.next_embed.is_some();
    let databases = Databases::new(&settings)?;
    databases.preflight().await?;
    let platform = Platform::new(&settings, databases, Models::configured(&settings, &Registry::new()).await?).await?;
    let (worker, model) = platform.reindex_worker(&settings);
    if model.dimension == 0 {
        bail!("the next embedding model does not respond, so its dimension is unknown");
    }
    let queued = platform.queue.enqueue_reindex().await.context("the tenants cannot be queued")?;
    let target = match settings.models.language_models.len() {
        0 => model.name,
        languages => format!("{} ({languages} languages: models.language_models)", model.name),
    };
    crate::print(&format!("{queued} tenants queued to be embedded with {target}"))?;
    let signals = TaskTracker::new();
    let stop = shutdown::on_signal(&signals)?;
    let worker_tasks = TaskTracker::new();
    let worker_stop = stop.clone();
    worker_tasks.spawn(async move { worker.run(worker_stop).await });
    worker_tasks.close();
    let job_counts = wait_for_jobs(&platform, &stop).await;
    stop.cancel();
    worker_tasks.wait().await;
    platform.close().await;
    report(job_counts?, &target, has_next)
}

/// Waits until no job is pending or a signal arrives, and returns the last counts.
async fn wait_for_jobs(platform: &Platform, stop: &CancellationToken) -> Result<JobCounts> {
    let mut printed = None;
    loop {
        let job_counts = platform.queue.job_counts(JobKind::Reindex).await.context("the jobs cannot be counted")?;
        if printed != Some(job_counts.pending) {
            crate::print(&format!("{} tenants left", job_counts.pending))?;
            printed = Some(job_counts.pending);
        }
        if job_counts.pending == 0 || stop.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_none() {
            return Ok(job_counts);
        }
    }
}

fn report(job_counts: JobCounts, target: &str, has_next: bool) -> Result<()> {
    if job_counts.pending > 0 {
        bail!("stopped with {} tenants left; run the command again to continue", job_counts.pending);
    }
    if job_counts.dead > 0 {
        bail!(
            "{} tenants keep the current model because they have documents that cannot be read anymore (see the \
             doc.ingestion events with result error in their audit logs); delete these and run the command again",
            job_counts.dead
        );
    }
    let remaining_step =
        if has_next { "; make models.next_embed the current model in the configuration and restart" } else { "" };
    crate::print(&format!("all tenants are searched with {target} now{remaining_step}")).context("cannot print")
}
