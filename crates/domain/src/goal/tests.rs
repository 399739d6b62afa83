//! Tests of what follows for a goal from the states of its steps.

use super::*;
use proptest::prelude::*;

fn step(id: &str, depends_on: &[&str], status: StepStatus) -> Step {
    let plan = PlannedStep {
        id: id.to_owned(),
        title: id.to_owned(),
        agent: "document_analyst".to_owned(),
        instruction: id.to_owned(),
        depends_on: depends_on.iter().map(|&id| id.to_owned()).collect(),
    };
    Step { status, ..Step::planned(plan) }
}

fn diamond(statuses: [StepStatus; 4]) -> Vec<Step> {
    let [a, b, c, d] = statuses;
    vec![step("a", &[], a), step("b", &["a"], b), step("c", &["a"], c), step("d", &["b", "c"], d)]
}

fn skipped_ids(outlook: &Outlook) -> Vec<&str> {
    outlook.skipped.iter().map(|skipped| skipped.id.as_str()).collect()
}

use StepStatus::{Failed, Pending, Running, Skipped, Succeeded, WaitingApproval};

#[test]
fn a_goal_succeeds_when_all_of_its_steps_have() {
    let done = outlook(&diamond([Succeeded; 4]));
    assert!(done.has_ended && done.has_succeeded && done.skipped.is_empty());
    for last in [Pending, Running, WaitingApproval] {
        let going_on = outlook(&diamond([Succeeded, Succeeded, Succeeded, last]));
        assert!(!going_on.has_ended && !going_on.has_succeeded, "{last}");
    }
    assert!(!outlook(&[]).has_succeeded, "no plan is no success");
}

#[test]
fn what_depends_on_a_failed_step_is_skipped_and_the_rest_goes_on() {
    let first_failed = outlook(&diamond([Failed, Pending, Pending, Pending]));
    assert_eq!(skipped_ids(&first_failed), ["b", "c", "d"]);
    assert!(first_failed.has_ended && !first_failed.has_succeeded);
    let branch_failed = outlook(&diamond([Succeeded, Failed, Running, Pending]));
    assert_eq!(skipped_ids(&branch_failed), ["d"]);
    assert!(!branch_failed.has_ended, "the other branch runs on");
    assert_eq!(branch_failed.skipped[0].error.code, GoalError::DEPENDENCY_FAILED);
}

#[test]
fn a_goal_fails_with_the_code_of_the_step_that_failed() {
    let mut steps = diamond([Failed, Skipped, Skipped, Skipped]);
    steps[0].error = Some(GoalError::new("quota_exceeded", "The tokens are used up."));
    let error = outlook(&steps).error.expect("an error");
    assert_eq!((error.code.as_str(), error.detail.as_str()), ("quota_exceeded", "The step a failed."));
}

#[test]
fn a_retry_reopens_what_it_makes_possible_and_nothing_else() {
    assert_eq!(steps_to_reopen(&diamond([Failed, Skipped, Skipped, Skipped]), "a"), ["b", "c", "d"]);
    assert_eq!(steps_to_reopen(&diamond([Succeeded, Failed, Succeeded, Skipped]), "b"), ["d"]);
    assert!(steps_to_reopen(&diamond([Succeeded, Failed, Failed, Skipped]), "b").is_empty(), "c has failed as well");
}

proptest! {
    /// Applying the outlook leaves nothing more to skip, and never touches a step that has ended.
    #[test]
    fn an_outlook_is_complete(states in proptest::collection::vec(0_usize..6, 4)) {
        let mut steps = diamond([0, 1, 2, 3].map(|index: usize| StepStatus::ALL[states[index]]));
        let first = outlook(&steps);
        for step in &mut steps {
            if first.skipped.iter().any(|skipped| skipped.id == step.plan.id) {
                prop_assert_eq!(step.status, Pending);
                step.status = Skipped;
            }
        }
        let second = outlook(&steps);
        prop_assert!(second.skipped.is_empty());
        prop_assert_eq!(first.has_ended, second.has_ended);
    }
}
