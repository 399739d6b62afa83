//! Where a user's role comes from, and whether an admin's setting or a later token takes precedence.

use crate::role::Role;
use crate::time::Timestamp;
use chrono::SubsecRound as _;

/// A user's role, with what decides whether a token may change it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssignedRole {
    /// The role as stored.
    pub role: Role,
    /// The role came from a token: a later token without a role claim removes it.
    pub from_token: bool,
    /// An admin pinned the role: a token may lower it but never raise it.
    pub pinned: bool,
    /// When the role was set: the time of the admin's change, or the `iat` of the latest token whose role claim set,
    /// confirmed or removed it. `None` if the role has not been set since the user was created.
    pub set_at: Option<Timestamp>,
}

/// The role claim of a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoleClaim {
    /// The role that the token's claims map to; `None` if the token has no role claim.
    pub role: Option<Role>,
    /// The token's `iat` claim, if it has one.
    pub issued_at: Option<Timestamp>,
}

/// Why the token's role claim is not granted. `NoIssueTime` still removes a role that an earlier token granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleClaimRejection {
    /// The token was issued before the role was set.
    IssuedBeforeRoleChange,
    /// The token has no `iat`.
    NoIssueTime,
    /// The claim would raise a role that an admin has pinned.
    Pinned,
}

impl RoleClaimRejection {
    /// The code for the audit row.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::IssuedBeforeRoleChange => "issued_before_role_was_set",
            Self::NoIssueTime => "no_issue_time",
            Self::Pinned => "role_pinned",
        }
    }
}

impl AssignedRole {
    /// The role of a new user, to which no token has been applied yet.
    #[must_use]
    pub const fn initial(role: Role) -> Self {
        Self { role, from_token: false, pinned: false, set_at: None }
    }

    /// Why the token's role claim is not granted; `None` if it is applied. `NoIssueTime` still removes a role that an
    /// earlier token granted. The result is the same before and after [`Self::with_role_claim`].
    ///
    /// `iat` has a resolution of one second, so a token issued in the same second in which the role was set counts as
    /// later.
    #[must_use]
    pub fn claim_rejection(&self, claim: RoleClaim) -> Option<RoleClaimRejection> {
        let Some(issued_at) = claim.issued_at else { return claim.role.map(|_| RoleClaimRejection::NoIssueTime) };
        if self.set_at.is_some_and(|set_at| issued_at < set_at.trunc_subsecs(0)) {
            return Some(RoleClaimRejection::IssuedBeforeRoleChange);
        }
        let raises = self.pinned && claim.role.is_some_and(|role| role > self.role);
        raises.then_some(RoleClaimRejection::Pinned)
    }

    /// The role after a token's role claim was applied.
    ///
    /// A token without `iat` is treated as if it had no role claim: it grants no role, and it removes a role that an
    /// earlier token granted.
    #[must_use]
    pub fn with_role_claim(self, claim: RoleClaim) -> Self {
        match self.claim_rejection(claim) {
            Some(RoleClaimRejection::IssuedBeforeRoleChange | RoleClaimRejection::Pinned) => return self,
            Some(RoleClaimRejection::NoIssueTime) | None => {}
        }
        match claim.role.filter(|_| claim.issued_at.is_some()) {
            None if self.from_token => Self { role: Role::Viewer, set_at: claim.issued_at.max(self.set_at), ..self },
            None => self,
            Some(role) if self.pinned && role == self.role => self,
            Some(role) => Self { role, from_token: !self.pinned, set_at: claim.issued_at.max(self.set_at), ..self },
        }
    }

    /// The role after an admin's change. Setting a role pins it unless `pinned` is `Some(false)`, even if the role is
    /// unchanged; `pinned` alone pins the current role. After unpinning, the next token that was issued after the role
    /// was set decides.
    #[must_use]
    pub fn with_admin_change(self, role: Option<Role>, pinned: Option<bool>, now: Timestamp) -> Self {
        let sets_role = role.is_some() || pinned == Some(true);
        let pinned = pinned.unwrap_or(self.pinned || role.is_some());
        if !sets_role {
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
    fn role_claims_apply_in_the_order_of_their_issue_times() {
        let current = AssignedRole::initial(Role::Viewer).with_role_claim(claim(Role::Admin, 100));
        let current = current.with_role_claim(claim(Role::User, 200));
        let late_claim = claim(Role::Admin, 150);
        assert_eq!(
            (current.with_role_claim(late_claim), current.claim_rejection(late_claim)),
            (current, Some(RoleClaimRejection::IssuedBeforeRoleChange))
        );
        let confirmed = current.with_role_claim(claim(Role::User, 300));
        assert_eq!(confirmed.with_role_claim(claim(Role::Admin, 250)).role, Role::User);
        let without_role = RoleClaim { role: None, issued_at: Some(at(150)) };
        assert_eq!(current.with_role_claim(without_role).role, Role::User, "an older token removes nothing");
    }

    #[test]
    fn a_pinned_role_is_lowered_and_not_raised_until_it_is_unpinned() {
        let current = AssignedRole::initial(Role::Admin).with_admin_change(Some(Role::User), None, at(100));
        assert!(current.pinned);
        let raising_claim = claim(Role::Admin, 200);
        assert_eq!(
            (current.with_role_claim(raising_claim), current.claim_rejection(raising_claim)),
            (current, Some(RoleClaimRejection::Pinned))
        );
        let lowering_claim = claim(Role::Viewer, 200);
        let lowered = current.with_role_claim(lowering_claim);
        assert_eq!((lowered.role, lowered.pinned, current.claim_rejection(lowering_claim)), (Role::Viewer, true, None));
        let unpinned = lowered.with_admin_change(None, Some(false), at(300));
        assert_eq!(unpinned.with_role_claim(claim(Role::Admin, 150)).role, Role::Viewer, "issued before");
        assert_eq!(unpinned.with_role_claim(claim(Role::Admin, 250)).role, Role::Admin);
    }

    #[test]
    fn setting_the_current_role_pins_it_at_that_time() {
        let current = AssignedRole::initial(Role::Viewer).with_role_claim(claim(Role::User, 100));
        let confirmed = current.with_admin_change(Some(Role::User), None, at(200));
        assert_eq!(
            confirmed,
            AssignedRole { role: Role::User, from_token: false, pinned: true, set_at: Some(at(200)) }
        );
        assert_eq!(current.with_admin_change(None, Some(true), at(200)), confirmed);
        assert_eq!(current.with_admin_change(None, None, at(200)), current);
        assert!(!current.with_admin_change(Some(Role::Admin), Some(false), at(200)).pinned);
    }

    #[test]
    fn a_token_without_iat_grants_no_role() {
        let without_iat = RoleClaim { role: Some(Role::Admin), issued_at: None };
        let initial = AssignedRole::initial(Role::Viewer);
        assert_eq!(
            (initial.with_role_claim(without_iat), initial.claim_rejection(without_iat)),
            (initial, Some(RoleClaimRejection::NoIssueTime))
        );
        let current = initial.with_role_claim(claim(Role::User, 100));
        assert_eq!(current.with_role_claim(without_iat).role, Role::Viewer);
        let set_by_admin = initial.with_admin_change(Some(Role::User), None, at(100));
        assert_eq!(set_by_admin.with_role_claim(without_iat), set_by_admin);
    }
}
