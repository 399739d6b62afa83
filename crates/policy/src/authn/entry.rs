//! Whether a login leads anywhere, and to which role: the rules for the bearer of a token and, held to their last login,
//! for the bearer of a personal access token.

use super::claims;
use super::settings::{GroupsOverage, IssuerSettings};
use domain::decision::RefusalCode;
use domain::login::Login;
use domain::role::Role;
use domain::time::Timestamp;
use std::collections::BTreeMap;

/// A tenant's own role values and groups.
pub type RoleMappings = BTreeMap<String, Role>;

/// Why a login leads nowhere, in a tenant with this mapping of its own: a code that its bearer may read.
pub fn no_entry(login: &Login, issuer: &IssuerSettings, of_tenant: &RoleMappings) -> Option<RefusalCode> {
    if login.groups_left_out && issuer.groups_overage == GroupsOverage::Refuse {
        return Some(RefusalCode::GroupsOverage);
    }
    let is_welcome = |home: &str| issuer.guests.iter().any(|guest| guest == "*" || guest == home);
    if login.guest_of.as_deref().is_some_and(|home| !is_welcome(home)) {
        return Some(RefusalCode::GuestRefused);
    }
    // Any program of the directory gets a token for an API whose assignment is not required; a role makes it ours.
    if login.is_application && !has_mapped_role(login, issuer, of_tenant) {
        return Some(RefusalCode::InsufficientScope);
    }
    let scope = issuer.required_scope.as_ref().map(|scope| login.scopes.contains(scope));
    let role = issuer.required_role.as_ref().map(|role| login.roles.iter().flatten().any(|value| value == role));
    let asked = [scope, role];
    let is_met = asked.contains(&Some(true)) || asked == [None, None];
    (!is_met).then_some(RefusalCode::InsufficientScope)
}

/// The strongest role that the login's role values and groups (`g:<group>`) map to, by the issuer's mapping or the
/// tenant's. Claims with no known value are the weakest role, not missing claims: whoever lost a role at the issuer loses
/// it here. `None`: there are no role values, and no groups that anything is mapped from.
pub fn role(login: &Login, issuer: &IssuerSettings, of_tenant: &RoleMappings) -> Option<Role> {
    let maps = [&issuer.roles, of_tenant];
    let groups_count = maps.iter().any(|map| map.keys().any(|value| value.starts_with("g:")));
    let is_there = login.roles.is_some() || (groups_count && login.groups.is_some());
    let known = values(login).filter_map(|value| maps.iter().filter_map(|map| map.get(&value)).max().copied());
    is_there.then(|| known.max().unwrap_or(Role::Viewer))
}

/// Whether one of the role values or groups is mapped: whether somebody let its bearer in by name.
fn has_mapped_role(login: &Login, issuer: &IssuerSettings, of_tenant: &RoleMappings) -> bool {
    values(login).any(|value| issuer.roles.contains_key(&value) || of_tenant.contains_key(&value))
}

/// Role values as they are and groups as `g:<group>`; a role value that looks like a group is neither.
fn values(login: &Login) -> impl Iterator<Item = String> {
    let roles = login.roles.iter().flatten().filter(|value| !value.starts_with("g:")).cloned();
    roles.chain(login.groups.iter().flatten().map(|group| format!("g:{group}")))
}

/// What is kept of a login: of hundreds of groups those that count for something.
pub fn kept(login: &Login, issuer: &IssuerSettings, of_tenant: &RoleMappings) -> Login {
    let counts = |group: &&String| {
        let value = format!("g:{group}");
        issuer.roles.contains_key(&value) || of_tenant.contains_key(&value)
    };
    let groups = login.groups.as_ref().map(|groups| groups.iter().filter(counts).cloned().collect());
    Login { groups, ..login.clone() }
}

/// Whether the user proved recently enough who they are.
pub fn is_recent(login: &Login, issuer: &IssuerSettings, now: Timestamp) -> bool {
    claims::check_age(login.authenticated_at, issuer.max_age_s, now).is_ok()
}

/// Whether the login had the claim that the issuer's tokens must have.
pub fn has_required_claim(login: &Login, issuer: &IssuerSettings) -> bool {
    issuer.required_claim.as_ref().is_none_or(|(_, value)| login.required_claim.as_ref() == Some(value))
}
