//! A decision of the policy gate, with the rules that were evaluated, in order, and their results.

pub use crate::refusal::RefusalCode;

use crate::role::string_enum;
use crate::user::Entitlements;
use serde::{Deserialize, Serialize};

string_enum! {
    /// A rule of the gate, in order of evaluation; the first rule that refuses ends the decision.
    Rule {
        /// The token is mapped to a tenant and has the scope and role that the platform requires.
        Token = "token",
        /// The tenant is active.
        TenantActive = "tenant_active",
        /// The user exists and is active.
        UserActive = "user_active",
        /// The session of the token was not revoked.
        Session = "session",
        /// The user is a member of the team that the request is for.
        Team = "team",
        /// Role and grants allow the operation on the resource; this also determines the reach.
        Matrix = "matrix",
        /// The token's own scopes include the operation.
        TokenScope = "token_scope",
        /// The target of the request exists.
        Target = "target",
        /// The target is within the user's clearance.
        Clearance = "clearance",
        /// The target belongs to the user, if the operation is limited to the user's own resources.
        Ownership = "ownership",
        /// The user may set the requested classification.
        Reclassification = "reclassification",
        /// The other documents in the request exist and are within the user's clearance.
        ReferencedDocuments = "named_documents",
    }
}

/// The result of one rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RuleResult {
    /// Rule that was evaluated.
    pub rule: Rule,
    /// Whether the rule allows the request.
    pub passed: bool,
    /// The reason, as a sentence without content.
    pub detail: String,
}

/// The outcome of a decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The request may proceed.
    Allowed,
    /// The caller may not use the platform: the token is not accepted, or the user or the tenant is deactivated.
    CallerRefused {
        /// The stable code that is returned to the caller.
        code: RefusalCode,
    },
    /// The target is visible to the caller, but the operation is not allowed.
    OperationDenied {
        /// The reason, for log and audit.
        reason: RefusalCode,
    },
    /// The target does not exist, or is hidden from this caller.
    NotFound,
}

impl Verdict {
    /// The reason of a refusal; `None` if allowed.
    #[must_use]
    pub const fn reason(self) -> Option<RefusalCode> {
        match self {
            Self::Allowed => None,
            Self::CallerRefused { code } => Some(code),
            Self::OperationDenied { reason } => Some(reason),
            Self::NotFound => Some(RefusalCode::NotFound),
        }
    }
}

/// A decision with its reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Whether the request is allowed.
    pub verdict: Verdict,
    /// Results of the rules, in order, up to the one that decided.
    pub rule_results: Vec<RuleResult>,
    /// Role, grants and clearance at the time of the decision; `None` if the user does not exist.
    pub entitlements: Option<Entitlements>,
}

impl Decision {
    /// The rule that refused the request; `None` if all passed.
    #[must_use]
    pub fn refusing_rule(&self) -> Option<Rule> {
        self.rule_results.iter().find(|result| !result.passed).map(|result| result.rule)
    }
}
