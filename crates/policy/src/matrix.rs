//! The authorization matrix (role × resource × operation, and role in a team × resource × operation). The gate uses it
//! for decisions; [`render`] writes it as a text table for people.

use crate::operations::{grant_reach, role_reach, team_reach};
use domain::credential::Credential;
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Grant, Operation, Resource, Role};
use domain::team::TeamRole;
use domain::user::Entitlements;
use std::fmt::Write as _;

/// Returns the wider reach of a user's role and grants; `None` if neither allows the operation. In a team's space, it
/// is the lower of that and the reach of the role in the team.
#[must_use]
pub fn effective_reach(entitlements: &Entitlements, resource: Resource, operation: Operation) -> Option<Reach> {
    let by_grant = entitlements.grants.iter().filter_map(|grant| grant_reach(*grant, resource, operation));
    let is_write = matches!((resource, operation), (Resource::WorkOrders | Resource::ForeignTools, Operation::Create));
    let by_setting = (is_write && entitlements.may_request_writes).then_some(Reach::Tenant);
    let in_tenant = by_grant.chain(role_reach(entitlements.role, resource, operation)).chain(by_setting).max();
    match entitlements.team {
        None => in_tenant,
        Some(role) => lower_reach(resource, in_tenant?, team_reach(role, resource, operation)?),
    }
}

/// The lower of two reaches. At home, conversations are everybody's own; in a team's space they are shared, so that
/// only the role in the team says how far an operation on them reaches.
fn lower_reach(resource: Resource, in_tenant: Reach, in_team: Reach) -> Option<Reach> {
    Some(if resource == Resource::Conversations { in_team } else { in_tenant.min(in_team) })
}

/// Effective rights of a user with a credential: the matrix, limited by the credential's scopes.
#[must_use]
pub fn rights(entitlements: &Entitlements, credential: &Credential) -> Rights {
    Rights::from_fn(entitlements.clearance, |Permission { resource, operation }| {
        effective_reach(entitlements, resource, operation).filter(|_| credential.covers(resource, operation))
    })
}

/// Renders the matrix as text: one line per resource and operation, with a column for each role, grant and role in a
/// team. In a team's space, the lower of the role and the role in the team counts.
#[must_use]
pub fn render() -> String {
    let mut text = String::from("# Generated from policy::matrix. `-` means no.\n\n");
    let grants = [Grant::PlatformAdmin, Grant::Auditor, Grant::Approver];
    let columns = Role::ALL.iter().map(|role| role.to_string()).chain(grants.iter().map(|grant| grant.to_string()));
    let columns = columns.chain(TeamRole::ALL.iter().map(|role| format!("team {role}")));
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
            let by_team = TeamRole::ALL.iter().map(|role| team_reach(*role, *resource, *operation));
            let cells: Vec<_> =
                by_role.chain(by_grant).chain(by_team).map(|reach| reach.map_or("-", Reach::as_str)).collect();
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
            may_request_writes: false,
            team: None,
        };
        assert_eq!(effective_reach(&platform_admin, Resource::Tenants, Operation::Create), Some(Reach::Platform));
        assert_eq!(effective_reach(&platform_admin, Resource::Users, Operation::List), None);
    }

    /// The layers below `policy` use a fake of these rules in their tests; it must give the same rights.
    #[test]
    fn the_fake_rules_of_the_lower_layers_match_the_matrix() {
        for role in Role::ALL {
            let entitlements = Entitlements {
                role: *role,
                grants: Vec::new(),
                clearance: Classification::Internal,
                may_request_writes: false,
                team: None,
            };
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
            let entitlements = Entitlements {
                role: *role,
                grants: Vec::new(),
                clearance: Classification::Internal,
                may_request_writes: false,
                team: None,
            };
            let unscoped = rights(&entitlements, &Credential::interactive());
            let scoped = rights(&entitlements, &with_all_scopes);
            assert_eq!(scoped.intersection(&unscoped), scoped);
        }
    }

    #[test]
    fn the_lowest_role_for_writes_is_a_tenants_setting_and_never_gives_anything_else() {
        let user = Entitlements {
            role: Role::User,
            grants: Vec::new(),
            clearance: Classification::Internal,
            may_request_writes: false,
            team: None,
        };
        let writer = Entitlements { may_request_writes: true, ..user.clone() };
        for permission in Permission::all() {
            let reach = |of: &Entitlements| effective_reach(of, permission.resource, permission.operation);
            let is_write = [Resource::WorkOrders, Resource::ForeignTools].contains(&permission.resource)
                && permission.operation == Operation::Create;
            assert_eq!(reach(&user) == reach(&writer), !is_write, "{permission}");
        }
        assert_eq!(effective_reach(&user, Resource::WorkOrders, Operation::Create), None);
    }

    #[test]
    fn a_role_in_a_team_never_gives_more_than_the_role_in_the_tenant_and_the_reverse() {
        for role in Role::ALL {
            for team_role in TeamRole::ALL {
                let at_home = Entitlements {
                    role: *role,
                    grants: Vec::new(),
                    clearance: Classification::Internal,
                    may_request_writes: false,
                    team: None,
                };
                let in_team = Entitlements { team: Some(*team_role), ..at_home.clone() };
                for permission in Permission::all() {
                    let Permission { resource, operation } = permission;
                    let lower = effective_reach(&in_team, resource, operation);
                    assert!(lower <= team_reach(*team_role, resource, operation), "{role} {team_role}: {permission}");
                    let is_shared = resource == Resource::Conversations;
                    let limit = effective_reach(&at_home, resource, operation);
                    assert!(
                        if is_shared { lower.is_none() || limit.is_some() } else { lower <= limit },
                        "{permission}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_stronger_role_in_a_team_reaches_at_least_as_far() {
        for permission in Permission::all() {
            let Permission { resource, operation } = permission;
            let by_role: Vec<_> = TeamRole::ALL.iter().map(|role| team_reach(*role, resource, operation)).collect();
            assert!(by_role.is_sorted(), "{permission}: {by_role:?}");
        }
    }

    #[test]
    fn viewers_of_a_team_only_read_and_nobody_reads_memories_or_plant_systems_there() {
        use Operation::{Create, Declassify, Delete, Export, List, Read, Share, Update};
        for operation in [Create, Update, Delete, Declassify, Export] {
            for resource in Resource::ALL {
                assert_eq!(team_reach(TeamRole::Viewer, *resource, operation), None, "{resource}.{operation}");
            }
        }
        assert_eq!(team_reach(TeamRole::Viewer, Resource::Teams, Share), Some(Reach::Own));
        for resource in [Resource::Memories, Resource::Readings, Resource::Approvals, Resource::Users] {
            for operation in [List, Read, Create] {
                assert_eq!(team_reach(TeamRole::Owner, resource, operation), None, "{resource}.{operation}");
            }
        }
    }

    #[test]
    fn viewers_cannot_upload_and_auditors_read_the_tenants_log() {
        assert_eq!(role_reach(Role::Viewer, Resource::Documents, Operation::Create), None);
        let auditor = Entitlements {
            role: Role::Viewer,
            grants: vec![Grant::Auditor],
            clearance: Classification::Public,
            may_request_writes: false,
            team: None,
        };
        assert_eq!(effective_reach(&auditor, Resource::AuditLogs, Operation::List), Some(Reach::Tenant));
    }
}
