//! Cases on users, roles and logins.

use super::{CaseResult, World, identity, owner, scope, some};
use chrono::{SubsecRound as _, TimeDelta};
use domain::error::{Classify, ErrorKind};
use domain::login::Login;
use domain::page::PageRequest;
use domain::ports::TenantPatch;
use domain::role::{Grant, Role};
use domain::scope::Actor;
use domain::tenant::TenantSettings;
use domain::user::{Identity, NewUser, UserPatch};
use futures::future::try_join_all;

/// A later login updates the same row: role, e-mail and name are taken from the token if it contains them.
pub async fn a_user_is_provisioned_once_and_kept_up_to_date(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let mut tx = world.begin(&scope(plant.tenant, Actor::System)).await?;
    let first = tx.users().sign_in(world.id(), &identity("eve", None), world.later()).await?;
    assert_eq!((first.role, first.is_active), (Role::Viewer, true));
    let promoted = tx.users().sign_in(world.id(), &identity("eve", Some(Role::Admin)), world.later()).await?;
    assert_eq!((promoted.id, promoted.role, promoted.last_login), (first.id, Role::Admin, Some(world.now())));
    let silent = Identity { email: None, name: None, ..identity("eve", Some(Role::Admin)) };
    let kept = tx.users().sign_in(world.id(), &silent, world.later()).await?;
    assert_eq!((kept.role, kept.email, kept.display_name), (Role::Admin, promoted.email, promoted.display_name));
    let other_issuer = Identity { issuer: "https://elsewhere.test".to_owned(), ..identity("eve", None) };
    assert_ne!(tx.users().sign_in(world.id(), &other_issuer, world.now()).await?.id, first.id);
    Ok(())
}

/// A browser may send six requests with its first token at the same time.
pub async fn concurrent_first_requests_create_one_user(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let system = scope(plant.tenant, Actor::System);
    let requests = (0..6).map(|_| async {
        let mut tx = world.begin(&system).await?;
        let user = tx.users().sign_in(world.id(), &identity("eve", None), world.now()).await?;
        tx.commit().await?;
        Ok::<_, super::CaseError>(user.id)
    });
    let mut ids = try_join_all(requests).await?;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    Ok(())
}

/// Recording it again returns `false`; tenants are independent.
pub async fn a_token_is_recorded_once(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let end = world.now() + TimeDelta::hours(1);
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(tx.users().user_by_token("hash").await?, None);
    assert!(tx.users().record_token(owner(&here.ada)?, "hash", end).await?);
    assert_eq!(tx.users().user_by_token("hash").await?, Some(owner(&here.ada)?));
    assert!(!tx.users().record_token(owner(&here.ada)?, "hash", end).await?);
    assert!(tx.users().record_token(owner(&here.ada)?, "other", end).await?);
    tx.commit().await?;
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.users().user_by_token("hash").await?, None, "another tenant's");
    assert!(tx.users().record_token(owner(&there.ada)?, "hash", end).await?);
    Ok(())
}

/// A deactivated tenant is visible at the next read.
pub async fn a_membership_shows_the_tenants_state(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let ada = owner(&plant.ada)?;
    let mut tx = world.begin(&plant.ada).await?;
    let before = some(tx.users().membership(ada).await?)?;
    assert!(before.tenant_active && before.user.is_active);
    assert_eq!(tx.users().membership(world.id()).await?, None);
    assert_eq!(tx.users().settings().await?, before.settings);
    drop(tx);
    let settings = TenantSettings { access_token_max_days: Some(7), ..before.settings };
    some(world.directory.configure(plant.tenant, &settings, 1, &domain::tenant_change::ChangedBy::default()).await?)?;
    let other = world.plant("b").await?;
    assert_eq!(world.begin(&plant.ada).await?.users().settings().await?, settings);
    assert_ne!(world.begin(&other.ada).await?.users().settings().await?, settings);
    let off = TenantPatch { is_active: Some(false), ..TenantPatch::default() };
    world.directory.update_tenant(plant.tenant, off, &domain::tenant_change::ChangedBy::default()).await?;
    let mut tx = world.begin(&plant.ada).await?;
    let patch = UserPatch {
        role: Some(Role::Admin),
        is_active: Some(false),
        grants: Some(vec![Grant::Auditor]),
        ..UserPatch::default()
    };
    assert!(tx.users().update(ada, patch, world.now()).await?.is_some());
    let after = some(tx.users().membership(ada).await?)?;
    assert_eq!((after.tenant_active, after.user.is_active, after.user.role), (false, false, Role::Admin));
    Ok(())
}

/// An admin cannot create the same user twice.
pub async fn an_identity_is_unique_per_tenant(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let new = NewUser {
        id: world.id(),
        issuer: "https://issuer.test".to_owned(),
        external_id: "ada".to_owned(),
        email: "ada@plant.test".to_owned(),
        display_name: None,
        role: Role::Viewer,
    };
    let mut tx = world.begin(&here.ada).await?;
    let clash = tx.users().insert(&new, world.now()).await;
    assert_eq!(clash.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    drop(tx);
    let fresh = NewUser { external_id: "cy".to_owned(), ..new };
    let mut tx = world.begin(&there.ada).await?;
    let made = tx.users().insert(&fresh, world.now()).await?;
    assert_eq!((made.last_login, made.role), (None, Role::Viewer));
    Ok(())
}

/// No method of the repository returns or changes a user of another tenant.
pub async fn nobody_else_sees_a_tenants_users(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let ada = owner(&here.ada)?;
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.users().get(ada).await?, None);
    assert_eq!(tx.users().membership(ada).await?, None);
    assert_eq!(
        tx.users().update(ada, UserPatch { is_active: Some(false), ..UserPatch::default() }, world.now()).await?,
        None
    );
    let listed = tx.users().list(&PageRequest::default()).await?.items;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|user| user.id != ada));
    drop(tx);
    let mut tx = world.begin(&here.ada).await?;
    assert!(some(tx.users().get(ada).await?)?.is_active);
    Ok(())
}

/// Only active users with the admin role, of one tenant.
pub async fn only_active_admins_are_locked(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let (ada, bob) = (owner(&here.ada)?, owner(&here.bob)?);
    let admin = UserPatch { role: Some(Role::Admin), ..UserPatch::default() };
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(tx.users().lock_admins().await?, []);
    for id in [ada, bob] {
        let made = some(tx.users().update(id, admin.clone(), world.now()).await?)?;
        assert_eq!((made.role, made.grants), (Role::Admin, vec![]));
    }
    let patch = UserPatch { is_active: Some(false), grants: Some(vec![Grant::Approver]), ..UserPatch::default() };
    assert_eq!(some(tx.users().update(bob, patch, world.now()).await?)?.grants, [Grant::Approver]);
    assert_eq!(tx.users().lock_admins().await?, [ada]);
    tx.commit().await?;
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.users().lock_admins().await?, []);
    Ok(())
}

/// A role that an admin has set is kept until a token with a role claim changes it.
pub async fn a_role_from_a_token_is_removed_by_a_later_token(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let mut tx = world.begin(&scope(plant.tenant, Actor::System)).await?;
    let mut signs_in = async |role| {
        let user = tx.users().sign_in(world.id(), &identity("eve", role), world.later()).await?;
        Ok::<_, super::CaseError>((user.id, user.role))
    };
    let (eve, role) = signs_in(Some(Role::Admin)).await?;
    assert_eq!(role, Role::Admin);
    assert_eq!(signs_in(None).await?.1, Role::Viewer, "a token without a role claim removes it");
    assert_eq!(signs_in(Some(Role::User)).await?.1, Role::User);
    let by_hand = UserPatch { role: Some(Role::Admin), role_pinned: Some(false), ..UserPatch::default() };
    tx.users().update(eve, by_hand, world.now()).await?;
    let mut signs_in = async |role| {
        Ok::<_, super::CaseError>(tx.users().sign_in(world.id(), &identity("eve", role), world.later()).await?.role)
    };
    assert_eq!(signs_in(None).await?, Role::Admin, "set by an admin, and no token has changed it");
    assert_eq!(signs_in(Some(Role::User)).await?, Role::User);
    assert_eq!(signs_in(None).await?, Role::Viewer);
    tx.users().update(eve, UserPatch { is_active: Some(true), ..UserPatch::default() }, world.now()).await?;
    Ok(())
}

/// A role is stored with its origin (token or admin), whether it is pinned, and the time at which it was set.
pub async fn the_origin_and_time_of_a_role_are_stored(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let mut tx = world.begin(&scope(plant.tenant, Actor::System)).await?;
    let token = |role, issued_at| Identity { issued_at: Some(issued_at), ..identity("eve", Some(role)) };
    let (first, second) = (world.later().trunc_subsecs(0), world.later().trunc_subsecs(0) + TimeDelta::seconds(60));
    let eve = tx.users().sign_in(world.id(), &token(Role::User, first), world.now()).await?;
    assert_eq!((eve.role_from_token, eve.role_pinned, eve.role_set_at), (true, false, Some(first)));
    let by_hand = UserPatch { role: Some(Role::Viewer), ..UserPatch::default() };
    let pinned = some(tx.users().update(eve.id, by_hand, second).await?)?;
    assert_eq!((pinned.role_from_token, pinned.role_pinned, pinned.role_set_at), (false, true, Some(second)));
    let late = tx.users().sign_in(world.id(), &token(Role::Admin, first), world.now()).await?;
    assert_eq!((late.role, late.role_set_at), (Role::Viewer, Some(second)));
    let unpin = UserPatch { role_pinned: Some(false), ..UserPatch::default() };
    assert!(!some(tx.users().update(eve.id, unpin, world.now()).await?)?.role_pinned);
    let fresh = tx.users().sign_in(world.id(), &token(Role::Admin, second), world.now()).await?;
    assert_eq!((fresh.role, fresh.role_from_token, some(tx.users().get(eve.id).await?)?), (Role::Admin, true, fresh));
    Ok(())
}

/// The login with the latest time of issue is stored, separately per tenant.
pub async fn a_login_is_replaced_only_by_a_later_one(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let ada = owner(&here.ada)?;
    let issued_at = |minutes| Some(world.now() + TimeDelta::minutes(minutes));
    let first = Login {
        tenant_claim: Some("plant-a".to_owned()),
        guest_of: None,
        groups_left_out: false,
        is_application: false,
        scopes: vec!["use".to_owned()],
        roles: Some(vec!["PlatformUser".to_owned()]),
        groups: None,
        required_claim: None,
        authenticated_at: None,
        issued_at: issued_at(1),
        seen_at: world.now(),
    };
    let mut tx = world.begin(&here.ada).await?;
    assert_eq!(tx.users().last_login(ada).await?, None);
    tx.users().record_login(ada, &first).await?;
    assert_eq!(tx.users().last_login(ada).await?, Some(first.clone()));
    tx.users().record_login(ada, &Login { issued_at: issued_at(0), roles: None, ..first.clone() }).await?;
    assert_eq!(tx.users().last_login(ada).await?, Some(first.clone()), "an older login does not replace it");
    let later = Login { issued_at: issued_at(2), guest_of: Some(String::new()), ..first };
    tx.users().record_login(ada, &later).await?;
    assert_eq!(tx.users().last_login(ada).await?, Some(later));
    tx.commit().await?;
    assert_eq!(world.begin(&there.ada).await?.users().last_login(ada).await?, None);
    Ok(())
}
