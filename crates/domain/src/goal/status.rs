//! The state machines of goals and steps, as data: tables of the allowed transitions. The database has the same tables
//! in triggers and refuses every other transition (migration 51); a test compares them.

use crate::role::string_enum;

string_enum! {
    /// State of a goal.
    GoalStatus {
        /// A worker makes its plan.
        Planning = "planning",
        /// The plan waits for the user, who may edit it.
        AwaitingApproval = "awaiting_approval",
        /// Steps are executed, wait for one another, or wait for approval of a write.
        Running = "running",
        /// All steps succeeded; final.
        Succeeded = "succeeded",
        /// No plan could be made, or a step failed. Retrying the step continues it.
        Failed = "failed",
        /// The user stopped it; final.
        Cancelled = "cancelled",
    }
}

string_enum! {
    /// State of a step.
    StepStatus {
        /// Waits for the steps that it depends on, or for its turn.
        Pending = "pending",
        /// A worker executes it.
        Running = "running",
        /// It asked for a write, on which people decide.
        WaitingApproval = "waiting_approval",
        /// It has an output.
        Succeeded = "succeeded",
        /// It has an error.
        Failed = "failed",
        /// It will not be executed: a step that it depends on failed, or the goal was cancelled.
        Skipped = "skipped",
    }
}

/// One allowed transition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition<S> {
    /// The only state in which it is allowed.
    pub from: S,
    /// Never the same as `from`.
    pub to: S,
}

const fn goal(from: GoalStatus, to: GoalStatus) -> Transition<GoalStatus> {
    Transition { from, to }
}

const fn step(from: StepStatus, to: StepStatus) -> Transition<StepStatus> {
    Transition { from, to }
}

/// All allowed transitions of a goal. Retrying a step takes a failed goal back to `running`.
pub const GOAL_TRANSITIONS: &[Transition<GoalStatus>] = &[
    goal(GoalStatus::Planning, GoalStatus::AwaitingApproval),
    goal(GoalStatus::Planning, GoalStatus::Running),
    goal(GoalStatus::Planning, GoalStatus::Failed),
    goal(GoalStatus::Planning, GoalStatus::Cancelled),
    goal(GoalStatus::AwaitingApproval, GoalStatus::Running),
    goal(GoalStatus::AwaitingApproval, GoalStatus::Cancelled),
    goal(GoalStatus::Running, GoalStatus::Succeeded),
    goal(GoalStatus::Running, GoalStatus::Failed),
    goal(GoalStatus::Running, GoalStatus::Cancelled),
    goal(GoalStatus::Failed, GoalStatus::Running),
];

/// All allowed transitions of a step. From `running` it goes back to `pending` for another try; a step that succeeded
/// never changes.
pub const STEP_TRANSITIONS: &[Transition<StepStatus>] = &[
    step(StepStatus::Pending, StepStatus::Running),
    step(StepStatus::Pending, StepStatus::Failed),
    step(StepStatus::Pending, StepStatus::Skipped),
    step(StepStatus::Running, StepStatus::Pending),
    step(StepStatus::Running, StepStatus::WaitingApproval),
    step(StepStatus::Running, StepStatus::Succeeded),
    step(StepStatus::Running, StepStatus::Failed),
    step(StepStatus::Running, StepStatus::Skipped),
    step(StepStatus::WaitingApproval, StepStatus::Succeeded),
    step(StepStatus::WaitingApproval, StepStatus::Failed),
    step(StepStatus::WaitingApproval, StepStatus::Skipped),
    step(StepStatus::Failed, StepStatus::Pending),
    step(StepStatus::Skipped, StepStatus::Pending),
];

impl GoalStatus {
    /// Whether a goal in this state may get the state `to`.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        GOAL_TRANSITIONS.contains(&goal(self, to))
    }

    /// Whether nothing goes on in this state: the events of the goal end with it.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

impl StepStatus {
    /// Whether a step in this state may get the state `to`.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        STEP_TRANSITIONS.contains(&step(self, to))
    }

    /// Whether nothing goes on in this state.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture<S: Copy + PartialEq + std::fmt::Display>(all: &[S], may_become: impl Fn(S, S) -> bool) -> String {
        let line = |from: &S| {
            let targets: Vec<_> = all.iter().filter(|to| may_become(*from, **to)).map(ToString::to_string).collect();
            format!("{from}: {}\n", targets.join(" "))
        };
        all.iter().map(line).collect()
    }

    #[test]
    fn every_pair_of_states_is_allowed_or_refused_as_this_picture_says() {
        assert_eq!(
            picture(GoalStatus::ALL, GoalStatus::may_become),
            "planning: awaiting_approval running failed cancelled\nawaiting_approval: running cancelled\n\
             running: succeeded failed cancelled\nsucceeded: \nfailed: running\ncancelled: \n"
        );
        assert_eq!(
            picture(StepStatus::ALL, StepStatus::may_become),
            "pending: running failed skipped\nrunning: pending waiting_approval succeeded failed skipped\n\
             waiting_approval: succeeded failed skipped\nsucceeded: \nfailed: pending\nskipped: pending\n"
        );
    }
}
