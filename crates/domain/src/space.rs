//! Entering a team's space. This is the only place where a user's work gets there: after the membership was read in the
//! hosting tenant and, for a guest, in the guest's own.

use crate::ports::{Store, StoreError, TenantTx};
use crate::scope::TenantScope;
use crate::team::TeamSpace;
use crate::user::Membership;

/// A transaction in a team's space, with the membership that was read in it.
pub struct EnteredSpace {
    /// Begun in the team's space.
    pub tx: Box<dyn TenantTx>,
    /// The scope in which `tx` was begun.
    pub scope: TenantScope,
    /// What the user is in the team. The user may be a member no longer, or be refused: see [`Membership::refusal`].
    pub membership: Membership,
}

/// Begins a transaction in a team's space for the user of a home scope. `None` if the user never was a member.
///
/// # Errors
/// If the database is not available.
pub async fn enter_team(
    store: &dyn Store,
    home: &TenantScope,
    at_home: &Membership,
    space: TeamSpace,
) -> Result<Option<EnteredSpace>, StoreError> {
    let scope = team_scope(home, space);
    let mut tx = store.begin(&scope).await?;
    let Some(membership) = tx.users().membership(at_home.user.id).await? else { return Ok(None) };
    let membership = if scope.guest_of().is_some() { membership.with_home(at_home) } else { membership };
    Ok(Some(EnteredSpace { tx, scope, membership }))
}

/// Begins a transaction in a team's space for a user of another tenant who is not a member yet, to answer an invitation
/// that was addressed to the user. The caller checks that it was.
///
/// # Errors
/// If the database is not available.
pub async fn enter_guest(
    store: &dyn Store,
    home: &TenantScope,
    space: TeamSpace,
) -> Result<Box<dyn TenantTx>, StoreError> {
    store.begin(&team_scope(home, space)).await
}

/// The scopes of all spaces of a tenant for work on the tenant as a whole: the home space first. `scope` is the
/// worker's.
///
/// # Errors
/// If the database is not available.
pub async fn spaces_of_tenant(store: &dyn Store, scope: &TenantScope) -> Result<Vec<TenantScope>, StoreError> {
    let home = scope.at_home();
    // What a user may enter is asked elsewhere.
    let teams = if scope.user().is_none() { store.begin(&home).await?.teams().all().await? } else { Vec::new() };
    let host = home.tenant();
    let of_teams: Vec<_> = teams.into_iter().map(|team| team_scope(&home, TeamSpace { team, host })).collect();
    Ok(std::iter::once(home).chain(of_teams).collect())
}

/// Reads what the scope's user is in the scope's space at this moment, in `tx`, which was begun with this scope. `None`
/// if the user does not exist there, or the scope has none.
///
/// # Errors
/// If the database is not available.
pub async fn current_membership(
    store: &dyn Store,
    tx: &mut dyn TenantTx,
    scope: &TenantScope,
) -> Result<Option<Membership>, StoreError> {
    let Some(user) = scope.user() else { return Ok(None) };
    let membership = tx.users().membership(user).await?;
    if scope.guest_of().is_none() {
        return Ok(membership);
    }
    let Some(membership) = membership else { return Ok(None) };
    let at_home = store.begin(&scope.at_home()).await?.users().membership(user).await?;
    Ok(at_home.map(|at_home| membership.with_home(&at_home)))
}

#[expect(clippy::disallowed_methods, reason = "only minted here, for a transaction that reads the membership first")]
fn team_scope(home: &TenantScope, space: TeamSpace) -> TenantScope {
    home.in_team(space.host, space.team)
}
