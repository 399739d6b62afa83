//! Ends a run that must not continue: because it was cancelled, abandoned by its readers or exceeded its time limit, or
//! because its user may no longer see the answer (user or tenant inactive, session revoked, or clearance below the
//! answer's classification).

use super::context::RunContext;
use super::end::RunEnd;
use super::ports::RunPorts;
use super::provenance::Provenance;
use crate::error::RuntimeError;
use crate::withheld::current_classifications;
use domain::authorized::Permit;
use domain::decision::RefusalCode;
use domain::error::{ErrorKind, Problem};
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use domain::run::FinishReason;
use domain::space::{current_membership, enter_team};
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Interval between two checks whether the user may still see the answer.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(5);

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
    for permit in &ctx.run.team_permits {
        let mut tx = ctx.ports.store.begin(permit.scope()).await?;
        let member = current_membership(&*ctx.ports.store, &mut *tx, permit.scope()).await?;
        if let Err(code) = ctx.ports.rules.remaining_rights(permit, member.as_ref()) {
            return Ok(Some(forbidden(code, "You may no longer read a team that the answer is written from.")));
        }
    }
    if !may_read_sources(ctx).await? {
        return Ok(Some(forbidden(
            RefusalCode::NotTeamMember,
            "You may no longer read a team from which the answer, or what it builds on, is written.",
        )));
    }
    let permit = &ctx.run.permit;
    if permit.scope().user().is_none() {
        return Ok(None);
    }
    Ok(recheck(ctx.ports, permit, &ctx.log.provenance()).await?.err())
}

/// Whether the user is a member of each team from whose documents the answer, or the history that it builds on, is
/// written, and cleared there for the documents.
async fn may_read_sources(ctx: RunContext<'_>) -> Result<bool, StoreError> {
    let (store, permit) = (&*ctx.ports.store, &ctx.run.permit);
    let (false, Some(user)) = (ctx.run.source_teams.is_empty(), permit.scope().user()) else { return Ok(true) };
    let mut tx = store.begin(permit.scope()).await?;
    let Some(at_home) = tx.users().membership(user).await? else { return Ok(false) };
    let spaces = tx.teams().spaces(user).await?;
    drop(tx);
    let sources = ctx.log.provenance().sources;
    for team in &ctx.run.source_teams {
        let Some(space) = spaces.iter().find(|space| space.team == *team) else { return Ok(false) };
        let entered = enter_team(store, permit.scope(), &at_home, *space).await?;
        let Some(mut entered) = entered.filter(|entered| entered.membership.refusal().is_none()) else {
            return Ok(false);
        };
        let clearance = entered.membership.entitlements(&[]).clearance;
        let classifications = current_classifications(&mut *entered.tx, sources.documents()).await?;
        if classifications.values().any(|classification| *classification > clearance) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads again whether the permit's user may see an answer of this provenance. Returns the user's current clearance, or
/// why the user may not.
///
/// # Errors
/// If the store fails.
pub(super) async fn recheck(
    ports: &RunPorts,
    permit: &Permit,
    provenance: &Provenance,
) -> Result<Result<Classification, Problem>, StoreError> {
    let mut tx = ports.store.begin(permit.scope()).await?;
    let member = current_membership(&*ports.store, &mut *tx, permit.scope()).await?;
    let classification = current_classification(&mut *tx, provenance).await?;
    drop(tx);
    Ok(match ports.rules.remaining_rights(permit, member.as_ref()) {
        Ok(rights) if classification > rights.clearance() => Err(above_clearance()),
        Ok(rights) => Ok(rights.clearance()),
        Err(code @ RefusalCode::TenantSuspended) => Err(forbidden(code, "The tenant was deactivated.")),
        Err(code @ RefusalCode::SessionRevoked) => Err(forbidden(code, "The session was ended.")),
        Err(code @ RefusalCode::NotTeamMember) => Err(forbidden(code, "You are no member of the team any more.")),
        Err(code) => Err(forbidden(code, "The user was deactivated.")),
    })
}

/// Why a reader's stream ends when the answer turns out to be above the clearance.
pub(super) fn above_clearance() -> Problem {
    forbidden(RefusalCode::ContentAboveClearance, "The answer is based on content above your clearance.")
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
