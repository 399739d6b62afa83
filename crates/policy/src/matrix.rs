//! Who may do what: role × resource × operation, as one table that people read and the gate decides by.

use crate::operations::{granted, reach};
use domain::credential::Credential;
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Grant, Operation, Resource, Role};
use domain::user::Entitlements;
use std::fmt::Write as _;

/// How far a standing reaches: the furthest of its role and its grants.
#[must_use]
pub fn allowed(entitlements: &Entitlements, resource: Resource, operation: Operation) -> Option<Reach> {
    let by_grant = entitlements.grants.iter().filter_map(|grant| granted(*grant, resource, operation));
    by_grant.chain(reach(entitlements.role, resource, operation)).max()
}

/// The effective rights of a standing through a credential: the matrix, as far as the credential's scopes go.
#[must_use]
pub fn rights(entitlements: &Entitlements, credential: &Credential) -> Rights {
    Rights::by(entitlements.clearance, |Permission { resource, operation }| {
        allowed(entitlements, resource, operation).filter(|_| credential.covers(resource, operation))
    })
}

/// The whole matrix as text: one line per resource and operation that anybody may do.
#[must_use]
pub fn render() -> String {
    let mut text = String::from("# Generated from policy::matrix. `-` means no.\n\n");
    let grants = [Grant::PlatformAdmin, Grant::Auditor, Grant::Approver];
    let columns = Role::ALL.iter().map(|role| role.as_str()).chain(grants.iter().map(|grant| grant.as_str()));
    let _ = writeln!(text, "{:<28}{}", "resource.operation", columns.map(|c| format!("{c:<16}")).collect::<String>());
    for resource in Resource::ALL {
        for operation in Operation::ALL {
            let by_role = Role::ALL.iter().map(|role| reach(*role, *resource, *operation));
            let by_grant = grants.iter().map(|grant| granted(*grant, *resource, *operation));
            let cells: Vec<_> = by_role.chain(by_grant).map(|reach| reach.map_or("-", Reach::as_str)).collect();
            let name = format!("{resource}.{operation}");
            let row: String = cells.iter().map(|cell| format!("{cell:<16}")).collect();
            let _ = writeln!(text, "{}", format!("{name:<28}{row}").trim_end());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::access_token::TokenScope;
    use domain::credential::CredentialKind;
    use domain::ids::AccessTokenId;
    use domain::role::Classification;
    use fakes::access;
    use uuid::Uuid;

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
        let platform_admin = Entitlements {
            role: Role::Viewer,
            grants: vec![Grant::PlatformAdmin],
            clearance: Classification::Internal,
        };
        assert_eq!(allowed(&platform_admin, Resource::Tenants, Operation::Create), Some(Reach::Platform));
        assert_eq!(allowed(&platform_admin, Resource::Users, Operation::List), None);
    }

    /// Layers below policy test with a fake of these rules; it must say the same.
    #[test]
    fn the_fake_rules_of_lower_layers_say_what_the_matrix_says() {
        for role in Role::ALL {
            let entitlements = Entitlements { role: *role, grants: Vec::new(), clearance: Classification::Internal };
            let ours = rights(&entitlements, &Credential::interactive());
            let theirs = access::rights(*role, Classification::Internal);
            for permission in access::ASKED_BELOW_POLICY {
                assert_eq!(ours.reach(*permission), theirs.reach(*permission), "{role}: {permission}");
            }
        }
    }

    #[test]
    fn a_credential_never_adds_to_what_its_user_may_do() {
        let kind = CredentialKind::AccessToken {
            id: AccessTokenId::from_uuid(Uuid::nil()),
            scopes: TokenScope::all().collect(),
        };
        let with_all_scopes = Credential { kind, client: None, session: None };
        for role in Role::ALL {
            let entitlements = Entitlements { role: *role, grants: Vec::new(), clearance: Classification::Internal };
            let whole = rights(&entitlements, &Credential::interactive());
            let scoped = rights(&entitlements, &with_all_scopes);
            assert_eq!(scoped.intersection(&whole), scoped);
        }
    }

    #[test]
    fn viewers_upload_nothing_and_auditors_read_the_tenants_log() {
        assert_eq!(reach(Role::Viewer, Resource::Documents, Operation::Create), None);
        let auditor =
            Entitlements { role: Role::Viewer, grants: vec![Grant::Auditor], clearance: Classification::Public };
        assert_eq!(allowed(&auditor, Resource::AuditLogs, Operation::List), Some(Reach::Tenant));
    }
}
