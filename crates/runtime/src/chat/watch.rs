//! A running answer ends when its reader may not have it any more: user or tenant switched off, or a clearance lowered
//! beneath what the answer is made from.

use super::ChatService;
use super::run_log::RunLog;
use super::stream::End;
use crate::error::RuntimeError;
use crate::withheld::classes_now;
use domain::authorized::Permit;
use domain::decision::RefusalCode;
use domain::error::{ErrorKind, Problem};
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// How often a running answer's user is looked at.
const EVERY: Duration = Duration::from_secs(5);

impl ChatService {
    /// Runs what writes an answer, until it is done or something ends it: a wish, a revocation, nobody reading for `grace`,
    /// the turn's limit, a panic. What it has written survives whichever way.
    pub(super) async fn supervise(
        &self,
        writing: impl Future<Output = End>,
        (permit, log): (&Permit, &RunLog),
        grace: Duration,
    ) -> End {
        tokio::select! {
            end = AssertUnwindSafe(writing).catch_unwind() => {
                end.unwrap_or_else(|_| End::Failed(Problem::of(&RuntimeError::Panicked)))
            }
            () = log.cancel.cancelled() => End::Cancelled,
            problem = self.revoked(permit, log) => End::Revoked(problem),
            () = log.abandoned(grace) => End::Cancelled,
            () = tokio::time::sleep(self.settings.turn_limit) => End::Failed(turn_limit_problem()),
        }
    }

    /// Returns once the answer may not go on, and why. A database that is down for a moment ends no answer: the next
    /// look tells.
    pub(super) async fn revoked(&self, permit: &Permit, log: &RunLog) -> Problem {
        loop {
            tokio::time::sleep(EVERY).await;
            match self.grounds_to_end(permit, log).await {
                Ok(None) => {}
                Ok(Some(problem)) => return problem,
                Err(error) => {
                    tracing::warn!(request_id = %permit.scope().request(), %error, "a running answer's user cannot be read");
                }
            }
        }
    }

    async fn grounds_to_end(&self, permit: &Permit, log: &RunLog) -> Result<Option<Problem>, StoreError> {
        let Some(user) = permit.scope().user() else { return Ok(None) };
        let mut tx = self.parts.store.begin(permit.scope()).await?;
        let member = tx.users().membership(user).await?;
        let class = class_by_now(&mut *tx, log).await?;
        drop(tx);
        Ok(match self.parts.rules.remaining(permit, member.as_ref()) {
            Ok(rights) => (class > rights.clearance()).then(above_clearance),
            Err(code @ RefusalCode::TenantSuspended) => Some(ended(code, "The tenant was switched off.")),
            Err(code) => Some(ended(code, "The user was switched off.")),
        })
    }
}

/// The class of what the answer is made from, its documents as they are classified at this moment.
pub(super) async fn class_by_now(tx: &mut dyn TenantTx, log: &RunLog) -> Result<Classification, StoreError> {
    let (class, sources) = log.origin();
    let now = classes_now(tx, sources.documents()).await?;
    Ok(class.max(sources.class_by(&now)))
}

/// What a reader learns of an answer that is above their clearance by now.
pub(super) fn above_clearance() -> Problem {
    ended(RefusalCode::AboveClearance, "The answer rests on content above your clearance.")
}

fn turn_limit_problem() -> Problem {
    Problem {
        kind: ErrorKind::Unavailable,
        code: "upstream_timeout",
        decision: None,
        detail: Some("The answer took longer than a turn may; what was written so far is kept.".to_owned()),
    }
}

fn ended(code: RefusalCode, detail: &str) -> Problem {
    Problem { kind: ErrorKind::Forbidden, code: code.as_str(), detail: Some(detail.to_owned()), decision: None }
}
