//! Where a user's role comes from, and who wins: an admin's word, or that of the next token.

use crate::role::Role;
use crate::time::Timestamp;
use chrono::SubsecRound as _;

/// A user's role, with what decides whether a token may change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssignedRole {
    /// The role as stored.
    pub role: Role,
    /// A token gave it: a later token that names no role takes it away.
    pub from_token: bool,
    /// An admin pinned it: a token may lower it and never raise it.
    pub pinned: bool,
    /// When it was set: the moment of an admin's change, or the time of issue of the last token that was heard. `None`:
    /// it came with the user and was never set since.
    pub set_at: Option<Timestamp>,
}

/// The role claim of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleClaim {
    /// The role that its claims map to; `None` where it has no role claim at all.
    pub role: Option<Role>,
    /// The token's `iat` claim, if it has one.
    pub issued_at: Option<Timestamp>,
}

/// Why the role claim of a token was ignored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleClaimRejection {
    /// The token was issued before the role was set.
    IssuedBefore,
    /// The token has no `iat`.
    NoIssueTime,
    /// The claim would raise a role that an admin has pinned.
    Pinned,
}

impl RoleClaimRejection {
    /// The code in the audit row.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::IssuedBefore => "issued_before_role_was_set",
            Self::NoIssueTime => "no_issue_time",
            Self::Pinned => "role_pinned",
        }
    }
}

impl AssignedRole {
    /// The role of a user who never signed in with a token.
    #[must_use]
    pub const fn unset(role: Role) -> Self {
        Self { role, from_token: false, pinned: false, set_at: None }
    }

    /// Why what a token says of the role is left aside; `None`: it is not. The answer is the same before and after
    /// [`Self::after_token`].
    ///
    /// `iat` has whole seconds, so a token of the second in which the role was set counts as later.
    #[must_use]
    pub fn rejects(&self, claim: RoleClaim) -> Option<RoleClaimRejection> {
        let Some(issued_at) = claim.issued_at else { return claim.role.map(|_| RoleClaimRejection::NoIssueTime) };
        if self.set_at.is_some_and(|set_at| issued_at < set_at.trunc_subsecs(0)) {
            return Some(RoleClaimRejection::IssuedBefore);
        }
        let raises = self.pinned && claim.role.is_some_and(|role| role > self.role);
        raises.then_some(RoleClaimRejection::Pinned)
    }

    /// The role after a token.
    ///
    /// A token without `iat` counts as one that names no role: it gives nothing, and a role that another token gave is
    /// lost.
    #[must_use]
    pub fn after_token(self, claim: RoleClaim) -> Self {
        match self.rejects(claim) {
            Some(RoleClaimRejection::IssuedBefore | RoleClaimRejection::Pinned) => return self,
            Some(RoleClaimRejection::NoIssueTime) | None => {}
        }
        match claim.role.filter(|_| claim.issued_at.is_some()) {
            None if self.from_token => Self { role: Role::Viewer, set_at: claim.issued_at.max(self.set_at), ..self },
            None => self,
            Some(role) if self.pinned && role == self.role => self,
            Some(role) => Self { role, from_token: !self.pinned, set_at: claim.issued_at.max(self.set_at), ..self },
        }
    }

    /// The role after an admin's change. Naming a role pins it, the present one too; so does pinning alone. Unpinning
    /// leaves the role to the next token that is issued after the role was set.
    #[must_use]
    pub fn after_admin(self, role: Option<Role>, pinned: Option<bool>, now: Timestamp) -> Self {
        let is_set = role.is_some() || pinned == Some(true);
        let pinned = pinned.unwrap_or(self.pinned || role.is_some());
        if !is_set {
            return Self { pinned, ..self };
        }
        Self { role: role.unwrap_or(self.role), from_token: false, pinned, set_at: Some(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("valid")
    }

    fn claim(role: Role, second: i64) -> RoleClaim {
        RoleClaim { role: Some(role), issued_at: Some(at(second)) }
    }

    #[test]
    fn the_provider_is_heard_in_the_order_in_which_it_spoke() {
        let given = AssignedRole::unset(Role::Viewer).after_token(claim(Role::Admin, 100));
        let given = given.after_token(claim(Role::User, 200));
        let late = claim(Role::Admin, 150);
        assert_eq!((given.after_token(late), given.rejects(late)), (given, Some(RoleClaimRejection::IssuedBefore)));
        let confirmed = given.after_token(claim(Role::User, 300));
        assert_eq!(confirmed.after_token(claim(Role::Admin, 250)).role, Role::User);
        let silent = RoleClaim { role: None, issued_at: Some(at(150)) };
        assert_eq!(given.after_token(silent).role, Role::User, "an older one takes nothing away either");
    }

    #[test]
    fn a_pinned_role_is_lowered_and_not_raised_until_it_is_unpinned() {
        let given = AssignedRole::unset(Role::Admin).after_admin(Some(Role::User), None, at(100));
        assert!(given.pinned);
        let raises = claim(Role::Admin, 200);
        assert_eq!((given.after_token(raises), given.rejects(raises)), (given, Some(RoleClaimRejection::Pinned)));
        let lowers = claim(Role::Viewer, 200);
        let lowered = given.after_token(lowers);
        assert_eq!((lowered.role, lowered.pinned, given.rejects(lowers)), (Role::Viewer, true, None));
        let free = lowered.after_admin(None, Some(false), at(300));
        assert_eq!(free.after_token(claim(Role::Admin, 150)).role, Role::Viewer, "issued before");
        assert_eq!(free.after_token(claim(Role::Admin, 250)).role, Role::Admin);
    }

    #[test]
    fn naming_the_present_role_pins_it_as_of_now() {
        let given = AssignedRole::unset(Role::Viewer).after_token(claim(Role::User, 100));
        let confirmed = given.after_admin(Some(Role::User), None, at(200));
        assert_eq!(
            confirmed,
            AssignedRole { role: Role::User, from_token: false, pinned: true, set_at: Some(at(200)) }
        );
        assert_eq!(given.after_admin(None, Some(true), at(200)), confirmed);
        assert_eq!(given.after_admin(None, None, at(200)), given);
        assert!(!given.after_admin(Some(Role::Admin), Some(false), at(200)).pinned);
    }

    #[test]
    fn a_token_that_does_not_say_when_it_was_issued_gives_no_role() {
        let unsaid = RoleClaim { role: Some(Role::Admin), issued_at: None };
        let new = AssignedRole::unset(Role::Viewer);
        assert_eq!((new.after_token(unsaid), new.rejects(unsaid)), (new, Some(RoleClaimRejection::NoIssueTime)));
        let given = new.after_token(claim(Role::User, 100));
        assert_eq!(given.after_token(unsaid).role, Role::Viewer);
        let by_admin = new.after_admin(Some(Role::User), None, at(100));
        assert_eq!(by_admin.after_token(unsaid), by_admin);
    }
}
