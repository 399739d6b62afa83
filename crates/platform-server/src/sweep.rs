//! Periodic work on all tenants: deletes expired idempotency keys, ended sessions and the content of deleted teams, and
//! queues due approvals and messages.

use domain::ports::JobQueue;
use runtime::teams::purge::TeamPurge;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Interval between two sweeps.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Deletes expired idempotency keys, ended sessions and the content of deleted teams at each interval until `stop`.
pub async fn sweep_periodically(queue: Arc<dyn JobQueue>, teams: TeamPurge, stop: CancellationToken) {
    loop {
        purge_teams(&*queue, &teams).await;
        match queue.sweep_expired_idempotency_keys().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted expired idempotency keys"),
            Err(error) => tracing::debug!(%error, "expired idempotency keys could not be deleted"),
        }
        match queue.sweep_ended_sessions().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted ended sessions"),
            Err(error) => tracing::debug!(%error, "ended sessions could not be deleted"),
        }
        if stop.run_until_cancelled(tokio::time::sleep(SWEEP_INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// Deletes the content of teams that were deleted some days ago. A team that fails is tried again at the next sweep.
async fn purge_teams(queue: &dyn JobQueue, teams: &TeamPurge) {
    let scopes = queue.expired_teams().await.unwrap_or_else(|error| {
        tracing::debug!(%error, "deleted teams could not be looked for");
        Vec::new()
    });
    for scope in scopes {
        let (tenant, team) = (scope.tenant(), scope.team().map(|team| team.to_string()));
        match teams.purge(&scope).await {
            Ok(()) => tracing::info!(%tenant, team, "deleted the content of a deleted team"),
            Err(error) => tracing::warn!(%tenant, team, %error, "the content of a deleted team could not be deleted"),
        }
    }
}

/// Interval between two searches for due approvals and messages: how late a request may expire, a write be executed
/// that nobody queued, or a message be tried again.
const DUE_INTERVAL: Duration = Duration::from_secs(1);

/// Queues the processing of due approvals and messages at each interval until `stop`.
pub async fn queue_due_work(queue: Arc<dyn JobQueue>, stop: CancellationToken) {
    loop {
        if let Err(error) = queue.enqueue_due_approvals().await {
            tracing::debug!(%error, "due approvals could not be queued");
        }
        if let Err(error) = queue.enqueue_due_deliveries().await {
            tracing::debug!(%error, "due messages could not be queued");
        }
        if stop.run_until_cancelled(tokio::time::sleep(DUE_INTERVAL)).await.is_none() {
            return;
        }
    }
}
