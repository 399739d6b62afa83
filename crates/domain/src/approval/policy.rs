//! Who approves the writes of a tool, how many of them, and in which time.

use crate::ids::{ChannelId, UserId};
use crate::role::string_enum;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

string_enum! {
    /// What happens if nobody decides in time.
    ExpiryAction {
        /// The request expires.
        Reject = "reject",
        /// Others are asked as well, for the same time once more.
        Escalate = "escalate",
    }
}

/// The rules of a policy. An approval keeps a copy of those it was requested under.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PolicyTerms {
    /// Users who may approve.
    pub approvers: Vec<UserId>,
    /// Whether everybody with the grant `approver` may approve.
    #[serde(rename = "approver_grant")]
    pub allows_any_approver: bool,
    /// How many different users must approve; at least 1.
    pub quorum: u32,
    /// How long a request waits for decisions, in seconds; at least 1.
    pub expires_after_s: u32,
    /// What happens if nobody decides in time.
    pub on_expiry: ExpiryAction,
    /// Users who may approve as well once the request was escalated.
    pub escalate_to: Vec<UserId>,
    /// Channels that are told of requests and of what becomes of them.
    #[serde(default)]
    pub channels: Vec<ChannelId>,
    /// Maximum age of an approver's sign-in, in seconds; at least 1.
    pub max_auth_age_s: u32,
}

impl PolicyTerms {
    /// Maximum number of users in a list.
    pub const MAX_USERS: usize = 100;
    /// Maximum number of channels.
    pub const MAX_CHANNELS: usize = 20;
    /// Maximum number of approvals that a policy may ask for.
    pub const MAX_QUORUM: u32 = 20;
    /// Maximum of `expires_after_s`: 90 days.
    pub const MAX_EXPIRY_S: u32 = 90 * 86_400;
    /// Maximum of `max_auth_age_s`: a day.
    pub const MAX_AUTH_AGE_S: u32 = 86_400;

    /// The platform's default: one user with the grant `approver`, within a day, who signed in less than five minutes
    /// ago.
    #[must_use]
    pub fn platform_default() -> Self {
        Self {
            approvers: Vec::new(),
            allows_any_approver: true,
            quorum: 1,
            expires_after_s: 86_400,
            on_expiry: ExpiryAction::Reject,
            escalate_to: Vec::new(),
            channels: Vec::new(),
            max_auth_age_s: 300,
        }
    }

    /// How long a request waits for decisions.
    #[must_use]
    pub fn expires_after(&self) -> Duration {
        Duration::from_secs(u64::from(self.expires_after_s))
    }

    /// Why the terms cannot be satisfied; `None` if they can.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        if self.approvers.is_empty() && !self.allows_any_approver {
            return Some("must name users, or the grant approver");
        }
        if !self.allows_any_approver && (self.approvers.len() as u64) < u64::from(self.quorum) {
            return Some("must name at least as many users as the quorum needs");
        }
        (self.on_expiry == ExpiryAction::Escalate && self.escalate_to.is_empty())
            .then_some("must name the users to escalate to")
    }
}

/// The policy on the writes of a tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApprovalPolicy {
    /// Name of the tool.
    pub tool: String,
    /// Version: 0 for the platform's default, and one more with each change by an admin.
    pub version: i64,
    /// Who approves, how many of them, and until when.
    pub terms: PolicyTerms,
    /// When an admin last changed it; `None` for the platform's default.
    pub updated_at: Option<Timestamp>,
}

impl ApprovalPolicy {
    /// The policy on a tool for which the tenant has set none.
    #[must_use]
    pub fn platform_default(tool: &str, terms: PolicyTerms) -> Self {
        Self { tool: tool.to_owned(), version: 0, terms, updated_at: None }
    }
}

/// A change of the policy on a tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PolicyChange {
    /// The policy that pending requests were made under.
    pub before: ApprovalPolicy,
    /// The policy of later requests.
    pub after: ApprovalPolicy,
    /// Number of pending requests that the change voided.
    pub voided: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn terms_that_nobody_can_satisfy_are_found() {
        let default = PolicyTerms::platform_default();
        assert_eq!(default.contradiction(), None);
        let nobody = PolicyTerms { allows_any_approver: false, ..default.clone() };
        assert!(nobody.contradiction().is_some());
        let one = UserId::from_uuid(Uuid::from_u128(1));
        let one_of_two = PolicyTerms { approvers: vec![one], quorum: 2, ..nobody.clone() };
        assert!(one_of_two.contradiction().is_some());
        assert_eq!(PolicyTerms { quorum: 1, ..one_of_two }.contradiction(), None);
        let to_nobody = PolicyTerms { on_expiry: ExpiryAction::Escalate, ..default };
        assert!(to_nobody.contradiction().is_some());
    }
}
