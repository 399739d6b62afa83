//! Effective rights of a user, computed from the policy matrix, so that the layers below policy need not know roles.

use crate::role::{Classification, Operation, Resource};
use std::fmt;

/// The set of resources that a permission covers, narrowest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// The user's own resources.
    Own,
    /// All resources of the tenant.
    Tenant,
    /// Resources of all tenants.
    Platform,
}

impl Reach {
    /// The name in the printed policy matrix.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Tenant => "tenant",
            Self::Platform => "platform",
        }
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One row of the policy matrix: an operation on a kind of resource.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Permission {
    /// Kind of resource that is acted on.
    pub resource: Resource,
    /// Operation on the resource.
    pub operation: Operation,
}

impl Permission {
    /// The permission for `operation` on `resource`.
    #[must_use]
    pub const fn new(resource: Resource, operation: Operation) -> Self {
        Self { resource, operation }
    }

    /// Every combination of resource and operation, including those that no role has.
    pub fn all() -> impl Iterator<Item = Self> {
        let permissions_of =
            |resource: &'static Resource| Operation::ALL.iter().map(move |operation| Self::new(*resource, *operation));
        Resource::ALL.iter().flat_map(permissions_of)
    }
}

/// Writes `resource.operation`, as in the printed matrix.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.resource, self.operation)
    }
}

/// The effective rights of a user with one credential: the reach of each permission, and the clearance.
///
/// Only policy computes them: from role, grants, the tenant's settings and the credential's scopes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    reach: [[Option<Reach>; Operation::ALL.len()]; Resource::ALL.len()],
    clearance: Classification,
}

impl Rights {
    /// Rights without any permission, with this clearance.
    #[must_use]
    pub const fn none(clearance: Classification) -> Self {
        Self { reach: [[None; Operation::ALL.len()]; Resource::ALL.len()], clearance }
    }

    /// Builds rights by calling `reach` for every permission.
    #[must_use]
    pub fn from_fn(clearance: Classification, reach: impl Fn(Permission) -> Option<Reach>) -> Self {
        let mut rights = Self::none(clearance);
        for resource in Resource::ALL {
            for operation in Operation::ALL {
                rights.reach[*resource as usize][*operation as usize] = reach(Permission::new(*resource, *operation));
            }
        }
        rights
    }

    /// The reach of `permission`; `None` if the user does not have it.
    #[must_use]
    pub const fn reach(&self, permission: Permission) -> Option<Reach> {
        self.reach[permission.resource as usize][permission.operation as usize]
    }

    /// Whether the user has `permission`, with any reach.
    #[must_use]
    pub const fn allows(&self, permission: Permission) -> bool {
        self.reach(permission).is_some()
    }

    /// Whether `permission` covers the resources of all users of the tenant, not only the user's own.
    #[must_use]
    pub fn covers_tenant(&self, permission: Permission) -> bool {
        self.reach(permission) >= Some(Reach::Tenant)
    }

    /// The highest classification that the user may see.
    #[must_use]
    pub const fn clearance(&self) -> Classification {
        self.clearance
    }

    /// The classification of the user's own messages: `internal`, or the user's clearance if that is lower.
    #[must_use]
    pub fn own_message_classification(&self) -> Classification {
        Classification::Internal.min(self.clearance)
    }

    /// The rights that both have: the narrower reach of each permission and the lower clearance.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::from_fn(self.clearance.min(other.clearance), |permission| {
            self.reach(permission).min(other.reach(permission))
        })
    }
}

/// Prints the clearance and the granted permissions; permissions that are not granted are omitted.
impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let allowed = Permission::all().filter_map(|permission| Some((permission, self.reach(permission)?)));
        let allowed = allowed.map(|(permission, reach)| format!("{permission}: {reach}"));
        f.debug_struct("Rights")
            .field("clearance", &self.clearance)
            .field("allowed", &allowed.collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Permission = Permission::new(Resource::Documents, Operation::Read);
    const UPDATE: Permission = Permission::new(Resource::Documents, Operation::Update);

    #[test]
    fn an_intersection_allows_what_both_allow_and_reaches_no_further_than_either() {
        let reader = Rights::from_fn(Classification::Restricted, |p| (p == READ).then_some(Reach::Tenant));
        let owner = Rights::from_fn(Classification::Internal, |p| [READ, UPDATE].contains(&p).then_some(Reach::Own));
        let intersection = reader.intersection(&owner);
        assert_eq!(intersection, owner.intersection(&reader));
        assert_eq!((intersection.reach(READ), intersection.reach(UPDATE)), (Some(Reach::Own), None));
        assert_eq!(intersection.clearance(), Classification::Internal);
        assert!(reader.covers_tenant(READ) && !intersection.covers_tenant(READ));
    }

    #[test]
    fn own_messages_are_never_above_the_clearance() {
        for clearance in Classification::ALL {
            let classification = Rights::none(*clearance).own_message_classification();
            assert!(classification <= *clearance && classification <= Classification::Internal);
        }
    }
}
