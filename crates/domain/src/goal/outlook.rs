//! What follows for a goal from the states of its steps. Pure functions, so that every graph can be tested.

use super::{GoalError, Step, StepStatus};
use std::collections::{BTreeMap, BTreeSet};

/// What follows from the states of the steps.
#[derive(Clone, PartialEq, Debug)]
pub struct Outlook {
    /// Steps that can no longer be executed.
    pub skipped: Vec<SkippedStep>,
    /// Whether all steps have ended, those in `skipped` included.
    pub has_ended: bool,
    /// Whether all steps succeeded.
    pub has_succeeded: bool,
    /// Error of the first step that failed.
    pub error: Option<GoalError>,
}

/// A step that is skipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedStep {
    /// Id of the step.
    pub id: String,
    /// Why it is skipped.
    pub error: GoalError,
}

/// Finds out which pending steps can no longer be executed, and whether the goal has ended.
#[must_use]
pub fn outlook(steps: &[Step]) -> Outlook {
    let mut status: BTreeMap<&str, StepStatus> =
        steps.iter().map(|step| (step.plan.id.as_str(), step.status)).collect();
    let mut skipped = Vec::new();
    loop {
        let next = steps.iter().find_map(|step| {
            let id = step.plan.id.as_str();
            let is_lost = |dependency: &&String| {
                matches!(status.get(dependency.as_str()), Some(StepStatus::Failed | StepStatus::Skipped))
            };
            let cause = step.plan.depends_on.iter().find(is_lost)?;
            (status.get(id) == Some(&StepStatus::Pending)).then_some((id, cause))
        });
        let Some((id, cause)) = next else { break };
        status.insert(id, StepStatus::Skipped);
        let detail = format!("The step {cause} did not succeed.");
        skipped.push(SkippedStep { id: id.to_owned(), error: GoalError::new(GoalError::DEPENDENCY_FAILED, detail) });
    }
    let failed = steps.iter().find(|step| step.status == StepStatus::Failed);
    let error = failed.map(|step| {
        let code = step.error.as_ref().map_or("step_failed", |error| error.code.as_str());
        GoalError::new(code, format!("The step {} failed.", step.plan.id))
    });
    Outlook {
        has_ended: status.values().all(|status| status.has_ended()),
        has_succeeded: !steps.is_empty() && status.values().all(|status| *status == StepStatus::Succeeded),
        skipped,
        error,
    }
}

/// The skipped steps that wait for their turn again when the step `retried` is tried again: those that depend on it,
/// and on no other step that failed.
#[must_use]
pub fn steps_to_reopen(steps: &[Step], retried: &str) -> Vec<String> {
    let by_id: BTreeMap<&str, &Step> = steps.iter().map(|step| (step.plan.id.as_str(), step)).collect();
    let mut reopened: BTreeSet<&str> = BTreeSet::from([retried]);
    loop {
        let can_reopen = |step: &&Step| {
            let is_possible = |id: &String| match by_id.get(id.as_str()) {
                Some(other) if matches!(other.status, StepStatus::Failed | StepStatus::Skipped) => {
                    reopened.contains(id.as_str())
                }
                Some(_) => true,
                None => false,
            };
            step.status == StepStatus::Skipped
                && !reopened.contains(step.plan.id.as_str())
                && step.plan.depends_on.iter().all(is_possible)
        };
        let Some(next) = steps.iter().find(can_reopen) else { break };
        reopened.insert(&next.plan.id);
    }
    reopened.remove(retried);
    reopened.into_iter().map(str::to_owned).collect()
}
