//! The authorization matrix (role × resource × operation). The gate uses it for decisions; [`render`] writes it as a
//! text table for people.

use crate::operations::{grant_reach, role_reach};
use domain::credential::Credential;
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Grant, Operation, Resource, Role};
use domain::user::Entitlements;
use std::fmt::Write as _;

/// Returns the wider reach of a user's role and grants; `None` if neither allows the operation.
#[must_use]
pub fn effective_reach(entitlements: &Entitlements, resource: Resource, operation: Operation) -> Option<Reach> {
    let by_grant = entitlements.grants.iter().filter_map(|grant| grant_reach(*grant, resource, operation));
    by_grant.chain(role_reach(entitlements.role, resource, operation)).max()
}

/// Effective rights of a user with a credential: the matrix, limited by the credential's scopes.
#[must_use]
pub fn rights(entitlements: &Entitlements, credential: &Credential) -> Rights {
    Rights::from_fn(entitlements.clearance, |Permission { resource, operation }| {
        effective_reach(entitlements, resource, operation).filter(|_| credential.covers(resource, operation))
    })
}

/// Renders the matrix as text: one line per resource and operation that some role or grant allows.
#[must_use]
pub fn render() -> String {
    let mut text = String::from("# Generated from policy::matrix. `-` means no.\n\n");
    let grants = [Grant::PlatformAdmin, Grant::Auditor, Grant::Approver];
    let columns = Role::ALL.iter().map(|role| role.as_str()).chain(grants.iter().map(|grant| grant.as_str()));
    let _ = writeln!(
        text,
        "{:<28}{}",
        "resource.operation",
        columns.map(|column| format!("{column:<16}")).collect::<String>()
    );
    for resource in Resource::ALL {
        for operation in Operation::ALL {
            let by_role = Role::ALL.iter().map(|role| role_reach(*role, *resource, *operation));
            let by_grant = grants.iter().map(|grant| grant_reach(*grant, *resource, *operation));
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
    fn a_stronger_role_reaches_at_least_as_far() {
        for resource in Resource::ALL {
            for operation in Operation::ALL {
                let by_role: Vec<_> = Role::ALL.iter().map(|role| role_reach(*role, *resource, *operation)).collect();
                assert!(by_role.is_sorted(), "{resource}.{operation}: {by_role:?}");
            }
        }
    }

    #[test]
    fn no_role_reaches_across_tenants() {
        for role in Role::ALL {
            for operation in Operation::ALL {
                assert_eq!(role_reach(*role, Resource::Tenants, *operation), None);
            }
        }
        let platform_admin = Entitlements {
            role: Role::Viewer,
            grants: vec![Grant::PlatformAdmin],
            clearance: Classification::Internal,
        };
        assert_eq!(effective_reach(&platform_admin, Resource::Tenants, Operation::Create), Some(Reach::Platform));
        assert_eq!(effective_reach(&platform_admin, Resource::Users, Operation::List), None);
    }

    /// The layers below `policy` use a fake of these rules in their tests; it must give the same rights.
    #[test]
    fn the_fake_rules_of_the_lower_layers_match_the_matrix() {
        for role in Role::ALL {
            let entitlements = Entitlements { role: *role, grants: Vec::new(), clearance: Classification::Internal };
            let actual = rights(&entitlements, &Credential::interactive());
            let fake = access::rights(*role, Classification::Internal);
            for permission in access::CHECKED_BELOW_POLICY {
                assert_eq!(actual.reach(*permission), fake.reach(*permission), "{role}: {permission}");
            }
        }
    }

    #[test]
    fn a_credential_never_extends_the_rights_of_its_user() {
        let kind = CredentialKind::PersonalAccessToken {
            id: AccessTokenId::from_uuid(Uuid::nil()),
            scopes: TokenScope::all().collect(),
        };
        let with_all_scopes = Credential { kind, client: None, session: None };
        for role in Role::ALL {
            let entitlements = Entitlements { role: *role, grants: Vec::new(), clearance: Classification::Internal };
            let unscoped = rights(&entitlements, &Credential::interactive());
            let scoped = rights(&entitlements, &with_all_scopes);
            assert_eq!(scoped.intersection(&unscoped), scoped);
        }
    }

    #[test]
    fn viewers_cannot_upload_and_auditors_read_the_tenants_log() {
        assert_eq!(role_reach(Role::Viewer, Resource::Documents, Operation::Create), None);
        let auditor =
            Entitlements { role: Role::Viewer, grants: vec![Grant::Auditor], clearance: Classification::Public };
        assert_eq!(effective_reach(&auditor, Resource::AuditLogs, Operation::List), Some(Reach::Tenant));
    }
}
