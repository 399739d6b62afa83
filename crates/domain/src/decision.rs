//! Why the gate decided as it did: the rules that were asked, in order, and what each said.

pub use crate::refusal::RefusalCode;

use crate::role::string_enum;
use crate::user::Entitlements;
use serde::{Deserialize, Serialize};

string_enum! {
    /// A rule of the gate, in the order in which they are asked; the first that says no ends the decision.
    Rule {
        /// The token names a tenant, a scope and a role that open the platform.
        Token = "token",
        /// The tenant is switched on.
        TenantActive = "tenant_active",
        /// The user is there and switched on.
        UserActive = "user_active",
        /// Role and grants allow the operation on the resource, and how far.
        Matrix = "matrix",
        /// The token's own scopes include the operation.
        TokenScope = "token_scope",
        /// What the request is about is there.
        Target = "target",
        /// It is within the user's clearance.
        Clearance = "clearance",
        /// It is the user's own, where the operation reaches no further.
        Ownership = "ownership",
        /// The user may give it the classification that was asked for.
        Reclassification = "reclassification",
        /// The other documents that the request names are there, within clearance.
        NamedDocuments = "named_documents",
    }
}

/// What one rule said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// Whether it lets the request go on.
    pub passed: bool,
    /// On what grounds: a sentence without content.
    pub detail: String,
}

/// What came of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on.
    Allowed,
    /// User or tenant are switched off: no way in at all.
    Refused {
        /// The stable code that the caller reads.
        code: RefusalCode,
    },
    /// Known to the caller, and not allowed.
    Denied {
        /// The ground, for log and audit.
        reason: RefusalCode,
    },
    /// Not there, or not for this caller to know of.
    NotFound,
}

impl Verdict {
    /// The ground of a no.
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

/// A decision with its grounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What came of it.
    pub verdict: Verdict,
    /// What each rule said, in order, up to the one that decided.
    pub steps: Vec<Step>,
    /// Role, grants and clearance at that moment; `None` where there is no such user.
    pub entitlements: Option<Entitlements>,
}

impl Decision {
    /// The rule that said no.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        self.steps.iter().find(|step| !step.passed).map(|step| step.rule)
    }
}
