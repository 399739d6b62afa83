//! What a goal's user sees of it: outputs that are classified above the user's clearance are withheld.

use crate::withheld::current_classifications;
use domain::goal::{Goal, GoalError, GoalWithPlan, Step};
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;

/// Code of the error that stands for an output that is withheld.
const ABOVE_CLEARANCE: &str = "above_clearance";

/// Reads the steps of goals and withholds what their user may no longer see.
///
/// # Errors
/// If the database fails.
pub(super) async fn with_plans(
    tx: &mut dyn TenantTx,
    goals: Vec<Goal>,
    clearance: Classification,
) -> Result<Vec<GoalWithPlan>, StoreError> {
    let ids: Vec<_> = goals.iter().map(|goal| goal.id).collect();
    let mut steps = tx.goals().steps(&ids).await?;
    let documents = steps.iter().flat_map(|row| row.step.sources.documents());
    let current = current_classifications(tx, documents).await?;
    for row in &mut steps {
        let step = &mut row.step;
        step.classification = step.classification.max(step.sources.current_classification(&current));
    }
    let with_plan = |goal: Goal| {
        let steps = steps.iter().filter(|row| row.goal == goal.id).map(|row| row.step.clone()).collect();
        withhold(GoalWithPlan { goal, steps }, clearance)
    };
    Ok(goals.into_iter().map(with_plan).collect())
}

/// Reads one goal's steps as [`with_plans`] does.
///
/// # Errors
/// If the database fails.
pub(super) async fn with_plan(
    tx: &mut dyn TenantTx,
    goal: Goal,
    clearance: Classification,
) -> Result<GoalWithPlan, StoreError> {
    let fallback = goal.clone();
    let goals = with_plans(tx, vec![goal], clearance).await?;
    Ok(goals.into_iter().next().unwrap_or(GoalWithPlan { goal: fallback, steps: Vec::new() }))
}

fn withhold(mut view: GoalWithPlan, clearance: Classification) -> GoalWithPlan {
    let highest = view.steps.iter().map(|step| step.classification).max().unwrap_or(Classification::Public);
    if view.goal.classification.max(highest) > clearance {
        view.goal.result = None;
    }
    for step in view.steps.iter_mut().filter(|step| step.classification > clearance) {
        withhold_step(step);
    }
    view
}

fn withhold_step(step: &mut Step) {
    step.citations.clear();
    if step.output.take().is_some() {
        step.error = Some(GoalError::new(ABOVE_CLEARANCE, "The output is classified above your clearance."));
    }
}
