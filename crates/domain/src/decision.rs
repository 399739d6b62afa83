//! Why the gate decided as it did: the rules that were asked, in order, and what each said.

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

string_enum! {
    /// Why something was refused: the closed set of codes that stand in the audit log, in log lines and, where the caller
    /// may learn them, in problem documents.
    RefusalCode {
        /// The token names no tenant that the platform knows.
        TenantUnmapped = "tenant_unmapped",
        /// The tenant is switched off.
        TenantSuspended = "tenant_suspended",
        /// The user is switched off, or there is no such user.
        UserDisabled = "user_disabled",
        /// The token leaves out the groups.
        GroupsOverage = "groups_overage",
        /// Guests of the directory are not let in.
        GuestRefused = "guest_refused",
        /// The token lacks the scope or role that the platform requires.
        InsufficientScope = "insufficient_scope",
        /// The access token's scopes do not include the operation.
        TokenScope = "token_scope",
        /// Role and grants do not allow the operation on the resource.
        Matrix = "matrix",
        /// The thing is a colleague's, and the operation reaches the user's own only.
        NotOwner = "not_owner",
        /// The class to be given is above the user's own clearance.
        AboveOwnClearance = "above_own_clearance",
        /// A class may be lowered by an admin only.
        Declassification = "declassification",
        /// The content rests on something above the reader's clearance.
        AboveClearance = "above_clearance",
        /// Not there, or not for this user to know of.
        NotFound = "not_found",
        /// No tool of that name is registered.
        UnknownTool = "unknown_tool",
        /// Tools act for users only.
        NoUser = "no_user",
        /// The tool writes to a plant system.
        Writes = "writes",
    }
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
