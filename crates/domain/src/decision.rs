//! Why the gate decided as it did: the rules that were asked, in order, and what each said.

pub use crate::refusal::RefusalCode;

use crate::role::string_enum;
use crate::user::Entitlements;
use serde::{Deserialize, Serialize};

string_enum! {
    /// A rule of the gate, in order of evaluation; the first rule that refuses ends the decision.
    Rule {
        /// The token names a tenant, a scope and a role that open the platform.
        Token = "token",
        /// The tenant is active.
        TenantActive = "tenant_active",
        /// The user exists and is active.
        UserActive = "user_active",
        /// Role and grants allow the operation on the resource, and how far.
        Matrix = "matrix",
        /// The token's own scopes include the operation.
        TokenScope = "token_scope",
        /// The target of the request exists.
        Target = "target",
        /// The target is within the user's clearance.
        Clearance = "clearance",
        /// The target is the user's own, if the operation reaches no further.
        Ownership = "ownership",
        /// The user may set the requested classification.
        Reclassification = "reclassification",
        /// The other documents that the request names exist and are within the user's clearance.
        NamedDocuments = "named_documents",
    }
}

/// The result of one rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
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
    /// User or tenant are deactivated: every request is refused.
    Refused {
        /// The stable code that the caller reads.
        code: RefusalCode,
    },
    /// Known to the caller, and not allowed.
    Denied {
        /// The reason, for log and audit.
        reason: RefusalCode,
    },
    /// Absent, or hidden from this caller.
    NotFound,
}

impl Verdict {
    /// The reason of a refusal; `None` if allowed.
    #[must_use]
    pub const fn reason(self) -> Option<RefusalCode> {
        match self {
            Self::Allowed => None,
            Self::Refused { code } => Some(code),
            Self::Denied { reason } => Some(reason),
            Self::NotFound => Some(RefusalCode::NotFound),
        }
    }
}

/// A decision with its reasons.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// The outcome of a decision.
    pub verdict: Verdict,
    /// Results of the rules, in order, up to the one that decided.
    pub steps: Vec<Step>,
    /// Role, grants and clearance at that moment; `None` if there is no such user.
    pub entitlements: Option<Entitlements>,
}

impl Decision {
    /// The rule that refused.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        self.steps.iter().find(|step| !step.passed).map(|step| step.rule)
    }
}
