//! The state machine of an approval, as data: a table of the allowed transitions. The database has the same table in a
//! trigger and refuses every other transition (migration 40); a test compares the two.

use crate::role::string_enum;

string_enum! {
    /// State of a request for approval.
    ApprovalStatus {
        /// Waits for decisions.
        Pending = "pending",
        /// Enough approvers agreed; a worker will execute it.
        Approved = "approved",
        /// A worker is executing it.
        Executing = "executing",
        /// It was executed; final.
        Executed = "executed",
        /// It could not be executed, or may not be any more; final.
        Failed = "failed",
        /// An approver rejected it; final.
        Rejected = "rejected",
        /// Nobody decided in time, or it could not be executed in time; final.
        Expired = "expired",
        /// The requester withdrew it, or a change of the policy voided it; final.
        Cancelled = "cancelled",
    }
}

use ApprovalStatus::{Approved, Cancelled, Executed, Executing, Expired, Failed, Pending, Rejected};

/// One allowed transition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The only state in which it is allowed.
    pub from: ApprovalStatus,
    /// Never the same as `from`.
    pub to: ApprovalStatus,
}

const fn transition(from: ApprovalStatus, to: ApprovalStatus) -> Transition {
    Transition { from, to }
}

/// All allowed transitions. A pending request that is escalated stays pending.
pub const TRANSITIONS: &[Transition] = &[
    transition(Pending, Approved),
    transition(Pending, Rejected),
    transition(Pending, Expired),
    transition(Pending, Cancelled),
    transition(Approved, Executing),
    transition(Approved, Failed),
    transition(Approved, Expired),
    transition(Executing, Executed),
    transition(Executing, Failed),
];

impl ApprovalStatus {
    /// Whether a request in this state may get the state `to`.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        TRANSITIONS.contains(&transition(self, to))
    }

    /// Whether the write was not executed and will not be.
    #[must_use]
    pub const fn has_failed(self) -> bool {
        matches!(self, Failed | Rejected | Expired | Cancelled)
    }

    /// Whether no transition leads out of this state.
    #[must_use]
    pub fn is_final(self) -> bool {
        TRANSITIONS.iter().all(|allowed| allowed.from != self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pair_of_states_is_allowed_or_refused_as_this_picture_says() {
        let mut picture = String::new();
        for from in ApprovalStatus::ALL {
            let targets: Vec<_> =
                ApprovalStatus::ALL.iter().filter(|to| from.may_become(**to)).map(|to| to.as_str()).collect();
            picture += &format!("{from}: {}\n", targets.join(" "));
        }
        let expected = "pending: approved rejected expired cancelled\napproved: executing failed expired\n\
                        executing: executed failed\nexecuted: \nfailed: \nrejected: \nexpired: \ncancelled: \n";
        assert_eq!(picture, expected);
    }

    #[test]
    fn every_state_is_reached_from_pending_and_leads_to_a_final_one() {
        let mut reached = vec![Pending];
        while let Some(next) = TRANSITIONS.iter().find(|t| reached.contains(&t.from) && !reached.contains(&t.to)) {
            reached.push(next.to);
        }
        assert_eq!(reached.len(), ApprovalStatus::ALL.len(), "{reached:?}");
        for status in ApprovalStatus::ALL {
            assert_eq!(status.is_final(), matches!(status, Executed | Failed | Rejected | Expired | Cancelled));
            assert!(!status.may_become(*status), "{status}");
            assert!(!status.may_become(Pending), "{status}");
        }
    }

    proptest! {
        /// Whatever sequence of states is asked for: only an approved request is executed, and at most once.
        #[test]
        fn no_sequence_of_requests_executes_what_was_not_approved(
            wanted in proptest::collection::vec(0_usize..8, 0..40),
        ) {
            let mut history = vec![Pending];
            for index in wanted {
                let (current, to) = (history[history.len() - 1], ApprovalStatus::ALL[index]);
                if current.may_become(to) {
                    history.push(to);
                }
            }
            let executions = history.iter().filter(|status| **status == Executed).count();
            prop_assert!(executions <= 1);
            if executions == 1 {
                prop_assert_eq!(history, vec![Pending, Approved, Executing, Executed]);
            }
        }
    }
}
