//! Who may do what: role × resource × operation, as one table that people read and the gate decides by.

use domain::role::{Grant, Operation, Resource, Role};
use domain::user::Standing;
use std::fmt::Write as _;

/// How far a permission reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// The caller's own.
    Own,
    /// The tenant's.
    Tenant,
    /// Across tenants.
    Platform,
}

impl Reach {
    const fn word(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Tenant => "tenant",
            Self::Platform => "platform",
        }
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

/// How far `role` alone may do `operation` on `resource`; `None`: not at all.
#[must_use]
pub fn reach(role: Role, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Delete, Export, List, Read, Share, Update};
    use Resource::{
        AccessTokens, Account, AuditLogs, Conversations, Decisions, Documents, Memories, Models, Search,
        TenantMappings, TenantSettings, Tenants, Usage, Users,
    };

    match (resource, operation) {
        // A conversation is its user's; a colleague's is not an everyday right, not even an admin's.
        (Conversations | Memories, List | Read | Create | Update | Delete) => Some(Reach::Own),
        (Account, Read) => Some(Reach::Own),
        // Whoever may chat may ask a model alone, and see which there are.
        (Search, Read) | (Models, List | Read | Create) => Some(Reach::Tenant),
        (Documents, List | Read) => Some(Reach::Tenant),
        (Documents, Create) => (role >= Role::User).then_some(Reach::Tenant),
        (Documents, Update | Delete) => match role {
            Role::Viewer => None,
            Role::User => Some(Reach::Own),
            Role::Admin => Some(Reach::Tenant),
        },
        (AuditLogs, List | Read) | (Usage, Read) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        (Documents | AuditLogs, Export) => (role == Role::Admin).then_some(Reach::Tenant),
        (Users, List | Read | Create | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // Why something was refused, and what would be: reads, whoever is asked about.
        (Decisions, Read) | (TenantSettings, List | Read | Update) => (role == Role::Admin).then_some(Reach::Tenant),
        // One's own tokens; an admin sees and revokes the tenant's, and makes none for others.
        (AccessTokens, Create) => Some(Reach::Own),
        (AccessTokens, List | Delete) => Some(if role == Role::Admin { Reach::Tenant } else { Reach::Own }),
        // No use case yet: each of these is opened together with its route.
        (AccessTokens | TenantMappings | TenantSettings | Decisions | Models, _) => None,
        (Tenants, _) | (_, Share | Export) | (AuditLogs | Users | Account | Search | Usage, _) => None,
    }
}

/// How far `grant` adds to any role.
#[must_use]
pub fn granted(grant: Grant, resource: Resource, operation: Operation) -> Option<Reach> {
    use Operation::{Create, Delete, Export, List, Read, Update};
    match (grant, resource, operation) {
        (Grant::PlatformAdmin, Resource::Tenants, List | Read | Create | Update) => Some(Reach::Platform),
        (Grant::PlatformAdmin, Resource::TenantMappings, List | Create | Delete) => Some(Reach::Platform),
        (Grant::Auditor, Resource::AuditLogs, List | Read | Export) => Some(Reach::Tenant),
        (Grant::Auditor, Resource::Decisions | Resource::Usage, Read) => Some(Reach::Tenant),
        _ => None,
    }
}

/// How far a standing reaches: the furthest of its role and its grants.
#[must_use]
pub fn allowed(standing: &Standing, resource: Resource, operation: Operation) -> Option<Reach> {
    let by_grant = standing.grants.iter().filter_map(|grant| granted(*grant, resource, operation));
    by_grant.chain(reach(standing.role, resource, operation)).max()
}

/// The whole matrix as text: one line per resource and operation that anybody may do.
#[must_use]
pub fn render() -> String {
    let mut text = String::from("# Generated from policy::matrix. `-` means no.\n\n");
    let grants = [Grant::PlatformAdmin, Grant::Auditor, Grant::Approver];
    let columns = Role::ALL.iter().map(|role| role.as_str()).chain(grants.iter().map(|grant| grant.as_str()));
    let _ = writeln!(text, "{:<26}{}", "resource.operation", columns.map(|c| format!("{c:<16}")).collect::<String>());
    for resource in Resource::ALL {
        for operation in Operation::ALL {
            let by_role = Role::ALL.iter().map(|role| reach(*role, *resource, *operation));
            let by_grant = grants.iter().map(|grant| granted(*grant, *resource, *operation));
            let cells: Vec<_> = by_role.chain(by_grant).map(|reach| reach.map_or("-", Reach::word)).collect();
            let name = format!("{resource}.{operation}");
            let row: String = cells.iter().map(|cell| format!("{cell:<16}")).collect();
            let _ = writeln!(text, "{}", format!("{name:<26}{row}").trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::role::Classification;

    #[test]
    fn a_stronger_role_never_reaches_less() {
        for resource in Resource::ALL {
            for operation in Operation::ALL {
                let by_role: Vec<_> = Role::ALL.iter().map(|role| reach(*role, *resource, *operation)).collect();
                assert!(by_role.is_sorted(), "{resource}.{operation}: {by_role:?}");
            }
        }
    }

    #[test]
    fn powers_across_tenants_belong_to_no_role() {
        for role in Role::ALL {
            for operation in Operation::ALL {
                assert_eq!(reach(*role, Resource::Tenants, *operation), None);
            }
        }
        let platform_admin =
            Standing { role: Role::Viewer, grants: vec![Grant::PlatformAdmin], clearance: Classification::Internal };
        assert_eq!(allowed(&platform_admin, Resource::Tenants, Operation::Create), Some(Reach::Platform));
        assert_eq!(allowed(&platform_admin, Resource::Users, Operation::List), None);
    }

    #[test]
    fn viewers_upload_nothing_and_auditors_read_the_tenants_log() {
        assert_eq!(reach(Role::Viewer, Resource::Documents, Operation::Create), None);
        let auditor = Standing { role: Role::Viewer, grants: vec![Grant::Auditor], clearance: Classification::Public };
        assert_eq!(allowed(&auditor, Resource::AuditLogs, Operation::List), Some(Reach::Tenant));
    }
}
