//! Rules that admit a login and map it to a role. They are applied to a token when it is first used, and to the last
//! interactive login of a personal access token's user.

use super::claims;
use super::settings::{GroupsOverage, IssuerSettings};
use domain::decision::RefusalCode;
use domain::login::LoginClaims;
use domain::role::Role;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// A tenant's mapping from role values and groups (`g:<group>`) to roles.
pub type RoleMappings = BTreeMap<String, Role>;

/// Returns the code of the first rule that refuses the login, or `None` if the login is admitted. The code may be shown
/// to the caller.
pub fn refusal(
    login: &LoginClaims,
    issuer: &IssuerSettings,
    tenant_role_mappings: &RoleMappings,
) -> Option<RefusalCode> {
    if login.groups_left_out && issuer.groups_overage == GroupsOverage::Refuse {
        return Some(RefusalCode::GroupsOverage);
    }
    let is_admitted_guest = |home: &str| issuer.guest_directories.iter().any(|guest| guest == "*" || guest == home);
    if login.guest_of.as_deref().is_some_and(|home| !is_admitted_guest(home)) {
        return Some(RefusalCode::GuestRefused);
    }
    // If an API does not require assignment, Entra issues tokens for it to every application of the directory. So only
    // applications with a mapped role are admitted.
    if login.is_application && !has_mapped_role(login, issuer, tenant_role_mappings) {
        return Some(RefusalCode::InsufficientScope);
    }
    let has_required_scope = issuer.required_scope.as_ref().map(|scope| login.scopes.contains(scope));
    let has_required_role =
        issuer.required_role.as_ref().map(|role| login.roles.iter().flatten().any(|value| value == role));
    let requirements = [has_required_scope, has_required_role];
    let is_satisfied = requirements.contains(&Some(true)) || requirements == [None, None];
    (!is_satisfied).then_some(RefusalCode::InsufficientScope)
}

/// Returns the highest role that the login's role values and groups map to, in the issuer's or the tenant's mapping.
///
/// A login whose values are all unmapped gets the lowest role, so that a user who loses a role at the issuer loses it
/// here too. Returns `None` if the login has no role claim and no groups, or groups that no mapping uses.
pub fn mapped_role(login: &LoginClaims, issuer: &IssuerSettings, tenant_role_mappings: &RoleMappings) -> Option<Role> {
    let mappings = [&issuer.roles, tenant_role_mappings];
    let groups_are_mapped = mappings.iter().any(|mapping| mapping.keys().any(|value| value.starts_with("g:")));
    let has_values = login.roles.is_some() || (groups_are_mapped && login.groups.is_some());
    let roles = mapping_keys(login)
        .filter_map(|value| mappings.iter().filter_map(|mapping| mapping.get(&value)).max().copied());
    has_values.then(|| roles.max().unwrap_or(Role::Viewer))
}

/// Whether at least one role value or group is mapped.
fn has_mapped_role(login: &LoginClaims, issuer: &IssuerSettings, tenant_role_mappings: &RoleMappings) -> bool {
    mapping_keys(login).any(|value| issuer.roles.contains_key(&value) || tenant_role_mappings.contains_key(&value))
}

/// The keys to look up in a role mapping: role values as they are, groups as `g:<group>`. A role value that looks like
/// a group key is ignored.
fn mapping_keys(login: &LoginClaims) -> impl Iterator<Item = String> {
    let roles = login.roles.iter().flatten().filter(|value| !value.starts_with("g:")).cloned();
    roles.chain(login.groups.iter().flatten().map(|group| format!("g:{group}")))
}

/// Removes the groups that no mapping uses, before the login is stored. A user may have hundreds of groups.
pub fn without_unmapped_groups(
    login: &LoginClaims,
    issuer: &IssuerSettings,
    tenant_role_mappings: &RoleMappings,
) -> LoginClaims {
    let is_mapped = |group: &&String| {
        let value = format!("g:{group}");
        issuer.roles.contains_key(&value) || tenant_role_mappings.contains_key(&value)
    };
    let groups = login.groups.as_ref().map(|groups| groups.iter().filter(is_mapped).cloned().collect());
    LoginClaims { groups, ..login.clone() }
}

/// Whether the user's authentication is recent enough for the issuer's `max_age_s`.
pub fn is_recent(login: &LoginClaims, issuer: &IssuerSettings, now: Timestamp) -> bool {
    claims::check_auth_age(login.authenticated_at, issuer.max_age_s, now).is_ok()
}

/// Whether the login has the claim value that the issuer's settings require.
pub fn has_required_claim(login: &LoginClaims, issuer: &IssuerSettings) -> bool {
    issuer.required_claim.as_ref().is_none_or(|(_, value)| login.required_claim.as_ref() == Some(value))
}
