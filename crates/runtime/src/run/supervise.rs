//! Ends a run that must not continue: because it was cancelled, abandoned by its readers or exceeded its time limit, or
//! because its user may no longer see the answer (user or tenant inactive, session revoked, or clearance below the
//! answer's classification).

use super::context::RunContext;
use super::end::RunEnd;
use super::provenance::Provenance;
use crate::error::RuntimeError;
use crate::withheld::current_classifications;
use domain::decision::RefusalCode;
use domain::error::{ErrorKind, Problem};
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use domain::run::FinishReason;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Interval between two checks whether the user may still see the answer.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Polls `execution` until it is done, panics, or something else ends the run.
pub async fn supervise(
    ctx: RunContext<'_>,
    execution: impl Future<Output = Result<FinishReason, RuntimeError>>,
) -> RunEnd {
    let limits = &ctx.run.agent.limits;
    tokio::select! {
        result = AssertUnwindSafe(execution).catch_unwind() => match result {
            Ok(Ok(reason)) => RunEnd::Completed(reason),
            Ok(Err(error)) => RunEnd::Failed(error),
            Err(_panic) => RunEnd::Failed(RuntimeError::Panicked),
        },
        () = ctx.log.cancel.cancelled() => RunEnd::Cancelled,
        problem = wait_for_revocation(ctx) => RunEnd::Revoked(problem),
        () = ctx.log.wait_until_abandoned(limits.max_time_without_reader) => RunEnd::Cancelled,
        () = tokio::time::sleep(limits.time_limit) => RunEnd::Failed(RuntimeError::TimeLimit),
    }
}

/// Waits until the user may no longer see the answer, and returns the reason. If the database is unavailable, the run
/// continues until the next check.
async fn wait_for_revocation(ctx: RunContext<'_>) -> Problem {
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        match check_revocation(ctx).await {
            Ok(None) => {}
            Ok(Some(problem)) => return problem,
            Err(error) => {
                let request_id = ctx.run.permit.scope().request();
                tracing::warn!(%request_id, %error, "failed to check the user of a run");
            }
        }
    }
}

async fn check_revocation(ctx: RunContext<'_>) -> Result<Option<Problem>, StoreError> {
    let permit = &ctx.run.permit;
    let Some(user) = permit.scope().user() else { return Ok(None) };
    let mut tx = ctx.ports.store.begin(permit.scope()).await?;
    let member = tx.users().membership(user).await?;
    let classification = current_classification(&mut *tx, &ctx.log.provenance()).await?;
    drop(tx);
    let detail = "The answer is based on content above your clearance.";
    Ok(match ctx.ports.rules.remaining_rights(permit, member.as_ref()) {
        Ok(rights) => {
            (classification > rights.clearance()).then(|| forbidden(RefusalCode::ContentAboveClearance, detail))
        }
        Err(code @ RefusalCode::TenantSuspended) => Some(forbidden(code, "The tenant was deactivated.")),
        Err(code @ RefusalCode::SessionRevoked) => Some(forbidden(code, "The session was ended.")),
        Err(code) => Some(forbidden(code, "The user was deactivated.")),
    })
}

/// Returns the classification of an answer, based on the current classification of its documents.
///
/// # Errors
/// If the store fails.
pub async fn current_classification(
    tx: &mut dyn TenantTx,
    provenance: &Provenance,
) -> Result<Classification, StoreError> {
    let classifications = current_classifications(tx, provenance.sources.documents()).await?;
    Ok(provenance.classification.max(provenance.sources.current_classification(&classifications)))
}

fn forbidden(code: RefusalCode, detail: &str) -> Problem {
    Problem { kind: ErrorKind::Forbidden, code: code.as_str(), detail: Some(detail.to_owned()), decision_id: None }
}
