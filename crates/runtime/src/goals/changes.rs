//! Changes of goals: their events, and what follows for a goal from the states of its steps. The caller holds the
//! goal's lock.

use domain::goal::{Goal, GoalError, GoalEventKind, GoalStatus, Step, StepStatus, outlook};
use domain::ids::GoalId;
use domain::ports::{GoalTransition, StoreError, TenantTx};
use domain::role::Classification;
use domain::time::Timestamp;
use serde_json::{Value, json};

/// Reads the steps of a goal in the order of the plan.
///
/// # Errors
/// If the database fails.
pub(super) async fn steps_of(tx: &mut dyn TenantTx, goal: GoalId) -> Result<Vec<Step>, StoreError> {
    Ok(tx.goals().steps(&[goal]).await?.into_iter().map(|row| row.step).collect())
}

/// Changes the state of a goal and tells its readers; `false` if it has another state.
///
/// # Errors
/// If the database fails.
pub(super) async fn set_status(
    tx: &mut dyn TenantTx,
    goal: GoalId,
    transition: &GoalTransition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if !tx.goals().transition(goal, transition, now).await? {
        return Ok(false);
    }
    let mut data = json!({ "goal_id": goal, "status": transition.to });
    add_error(&mut data, transition.error.as_ref());
    tx.goals().append_event(goal, GoalEventKind::GoalStatus, &data, now).await?;
    Ok(true)
}

/// Tells the readers that a try of a step started.
///
/// # Errors
/// If the database fails.
pub(super) async fn tell_started(
    tx: &mut dyn TenantTx,
    goal: GoalId,
    step: &Step,
    now: Timestamp,
) -> Result<(), StoreError> {
    let data = json!({
        "goal_id": goal, "step_id": step.plan.id, "agent": step.plan.agent, "title": step.plan.title,
        "attempt": step.attempts.saturating_add(1),
    });
    tx.goals().append_event(goal, GoalEventKind::StepStarted, &data, now).await
}

/// Tells the readers that a step ended.
///
/// # Errors
/// If the database fails.
pub(super) async fn tell_finished(
    tx: &mut dyn TenantTx,
    goal: GoalId,
    ended: EndedStep<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut data = json!({ "goal_id": goal, "step_id": ended.id, "status": ended.status });
    add_error(&mut data, ended.error);
    tx.goals().append_event(goal, GoalEventKind::StepFinished, &data, now).await
}

/// A step that ended.
#[derive(Clone, Copy)]
pub(super) struct EndedStep<'a> {
    pub id: &'a str,
    pub status: StepStatus,
    pub error: Option<&'a GoalError>,
}

/// Tells the readers that a step waits for an approval, while the goal goes on.
///
/// # Errors
/// If the database fails.
pub(super) async fn tell_waiting(
    tx: &mut dyn TenantTx,
    goal: GoalId,
    step: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let data = json!({ "goal_id": goal, "status": GoalStatus::Running, "waiting_approval": [step] });
    tx.goals().append_event(goal, GoalEventKind::GoalStatus, &data, now).await
}

fn add_error(data: &mut Value, error: Option<&GoalError>) {
    if let Some(error) = error {
        data["error"] = json!(error);
    }
}

/// Skips what can no longer be executed, and ends the goal once all of its steps have ended.
///
/// # Errors
/// If the database fails.
pub(super) async fn advance(tx: &mut dyn TenantTx, goal: GoalId, now: Timestamp) -> Result<(), StoreError> {
    let steps = steps_of(tx, goal).await?;
    let outlook = outlook(&steps);
    for skipped in &outlook.skipped {
        tx.goals().skip_step(goal, &skipped.id, &skipped.error, now).await?;
        let ended = EndedStep { id: &skipped.id, status: StepStatus::Skipped, error: Some(&skipped.error) };
        tell_finished(tx, goal, ended, now).await?;
    }
    if !outlook.has_ended {
        return Ok(());
    }
    let transition = if outlook.has_succeeded {
        GoalTransition {
            result: Some(result_of(&steps)),
            classification: steps.iter().map(|step| step.classification).max().unwrap_or(Classification::Public),
            ..GoalTransition::new(GoalStatus::Running, GoalStatus::Succeeded)
        }
    } else {
        GoalTransition { error: outlook.error, ..GoalTransition::new(GoalStatus::Running, GoalStatus::Failed) }
    };
    set_status(tx, goal, &transition, now).await?;
    Ok(())
}

/// The outputs of the steps that no other step depends on.
fn result_of(steps: &[Step]) -> String {
    let is_last = |step: &&Step| steps.iter().all(|other| !other.plan.depends_on.contains(&step.plan.id));
    let last: Vec<_> = steps.iter().filter(is_last).collect();
    let text = |step: &Step| step.output.clone().unwrap_or_default();
    match last.as_slice() {
        [only] => text(only),
        several => {
            let parts: Vec<_> = several.iter().map(|step| format!("{}\n\n{}", step.plan.title, text(step))).collect();
            parts.join("\n\n")
        }
    }
}

/// Whether the goal's work may go on.
pub(super) fn is_running(goal: &Goal) -> bool {
    goal.status == GoalStatus::Running
}
