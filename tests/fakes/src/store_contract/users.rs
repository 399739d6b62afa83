//! Test cases for users, roles and logins.

use super::{CaseResult, TestContext, identity, require, scope, user_id};
use chrono::{SubsecRound as _, TimeDelta};
use domain::error::{Classify, ErrorKind};
use domain::login::LoginClaims;
use domain::page::PageRequest;
use domain::ports::TenantPatch;
use domain::role::{Grant, Role};
use domain::scope::Actor;
use domain::tenant::TenantSettings;
use domain::user::{Identity, NewUser, UserPatch};
use futures::future::try_join_all;

/// A later login updates the same user. Email and name are kept if the token does not contain them.
pub async fn a_user_is_provisioned_once_and_kept_up_to_date(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&scope(tenant_a.id, Actor::System)).await?;
    let first = tx.users().sign_in(context.new_id(), &identity("eve", None), context.advance_clock()).await?;
    assert_eq!((first.role, first.is_active), (Role::Viewer, true));
    let promoted =
        tx.users().sign_in(context.new_id(), &identity("eve", Some(Role::Admin)), context.advance_clock()).await?;
    assert_eq!((promoted.id, promoted.role, promoted.last_login), (first.id, Role::Admin, Some(context.now())));
    let without_profile = Identity { email: None, name: None, ..identity("eve", Some(Role::Admin)) };
    let unchanged = tx.users().sign_in(context.new_id(), &without_profile, context.advance_clock()).await?;
    assert_eq!(
        (unchanged.role, unchanged.email, unchanged.display_name),
        (Role::Admin, promoted.email, promoted.display_name)
    );
    let other_issuer = Identity { issuer: "https://elsewhere.test".to_owned(), ..identity("eve", None) };
    assert_ne!(tx.users().sign_in(context.new_id(), &other_issuer, context.now()).await?.id, first.id);
    Ok(())
}

/// A browser may send its first six requests at the same time.
pub async fn concurrent_first_requests_create_one_user(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let system = scope(tenant_a.id, Actor::System);
    let requests = (0..6).map(|_| async {
        let mut tx = context.begin(&system).await?;
        let user = tx.users().sign_in(context.new_id(), &identity("eve", None), context.now()).await?;
        tx.commit().await?;
        Ok::<_, super::CaseError>(user.id)
    });
    let mut ids = try_join_all(requests).await?;
    ids.dedup();
    assert_eq!(ids.len(), 1);
    Ok(())
}

/// Recording a token again returns `false`. Each tenant records tokens separately.
pub async fn a_token_is_recorded_once(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let expires_at = context.now() + TimeDelta::hours(1);
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.users().user_by_token("hash").await?, None);
    assert!(tx.users().mark_token_seen(user_id(&tenant_a.ada)?, "hash", expires_at).await?);
    assert_eq!(tx.users().user_by_token("hash").await?, Some(user_id(&tenant_a.ada)?));
    assert!(!tx.users().mark_token_seen(user_id(&tenant_a.ada)?, "hash", expires_at).await?);
    assert!(tx.users().mark_token_seen(user_id(&tenant_a.ada)?, "other", expires_at).await?);
    tx.commit().await?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.users().user_by_token("hash").await?, None, "another tenant's");
    assert!(tx.users().mark_token_seen(user_id(&tenant_b.ada)?, "hash", expires_at).await?);
    Ok(())
}

/// A membership shows the current state of the user and of the tenant.
pub async fn a_membership_shows_the_tenants_state(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let ada = user_id(&tenant_a.ada)?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let before = require(tx.users().membership(ada).await?)?;
    assert!(before.tenant_active && before.user.is_active);
    assert_eq!(tx.users().membership(context.new_id()).await?, None);
    assert_eq!(tx.users().tenant_settings().await?, before.settings);
    drop(tx);
    let settings = TenantSettings { access_token_max_days: Some(7), ..before.settings };
    require(
        context
            .directory
            .replace_settings(tenant_a.id, &settings, 1, &domain::tenant_change::ChangedBy::default())
            .await?,
    )?;
    let tenant_b = context.create_tenant("b").await?;
    assert_eq!(context.begin(&tenant_a.ada).await?.users().tenant_settings().await?, settings);
    assert_ne!(context.begin(&tenant_b.ada).await?.users().tenant_settings().await?, settings);
    let deactivation = TenantPatch { is_active: Some(false), ..TenantPatch::default() };
    context.directory.update_tenant(tenant_a.id, deactivation, &domain::tenant_change::ChangedBy::default()).await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let patch = UserPatch {
        role: Some(Role::Admin),
        is_active: Some(false),
        grants: Some(vec![Grant::Auditor]),
        ..UserPatch::default()
    };
    assert!(tx.users().update(ada, patch, context.now()).await?.is_some());
    let after = require(tx.users().membership(ada).await?)?;
    assert_eq!((after.tenant_active, after.user.is_active, after.user.role), (false, false, Role::Admin));
    Ok(())
}

/// Creating a user with the identity of an existing one is a conflict.
pub async fn an_identity_is_unique_per_tenant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let new = NewUser {
        id: context.new_id(),
        issuer: "https://issuer.test".to_owned(),
        external_id: "ada".to_owned(),
        email: "ada@plant.test".to_owned(),
        display_name: None,
        role: Role::Viewer,
    };
    let mut tx = context.begin(&tenant_a.ada).await?;
    let result = tx.users().insert(&new, context.now()).await;
    assert_eq!(result.map_err(|error| error.kind()), Err(ErrorKind::Conflict));
    drop(tx);
    let other_user = NewUser { external_id: "cy".to_owned(), ..new };
    let mut tx = context.begin(&tenant_b.ada).await?;
    let inserted = tx.users().insert(&other_user, context.now()).await?;
    assert_eq!((inserted.last_login, inserted.role), (None, Role::Viewer));
    Ok(())
}

/// No method of the repository returns or changes a user of another tenant.
pub async fn nobody_else_sees_a_tenants_users(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let ada = user_id(&tenant_a.ada)?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.users().get(ada).await?, None);
    assert_eq!(tx.users().membership(ada).await?, None);
    assert_eq!(
        tx.users().update(ada, UserPatch { is_active: Some(false), ..UserPatch::default() }, context.now()).await?,
        None
    );
    let listed = tx.users().list(&PageRequest::default()).await?.items;
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|user| user.id != ada));
    drop(tx);
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert!(require(tx.users().get(ada).await?)?.is_active);
    Ok(())
}

/// `lock_admins` returns the active admins of the tenant.
pub async fn only_active_admins_are_locked(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let (ada, bob) = (user_id(&tenant_a.ada)?, user_id(&tenant_a.bob)?);
    let admin = UserPatch { role: Some(Role::Admin), ..UserPatch::default() };
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.users().lock_admins().await?, []);
    for id in [ada, bob] {
        let updated = require(tx.users().update(id, admin.clone(), context.now()).await?)?;
        assert_eq!((updated.role, updated.grants), (Role::Admin, vec![]));
    }
    let patch = UserPatch { is_active: Some(false), grants: Some(vec![Grant::Approver]), ..UserPatch::default() };
    assert_eq!(require(tx.users().update(bob, patch, context.now()).await?)?.grants, [Grant::Approver]);
    assert_eq!(tx.users().lock_admins().await?, [ada]);
    tx.commit().await?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.users().lock_admins().await?, []);
    Ok(())
}

/// Approvers are the active users who are named, and those with the grant where it counts.
pub async fn active_approvers_are_named_or_have_the_grant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let (ada, bob) = (user_id(&tenant_a.ada)?, user_id(&tenant_a.bob)?);
    let mut tx = context.begin(&tenant_a.ada).await?;
    let grant = UserPatch { grants: Some(vec![Grant::Approver]), ..UserPatch::default() };
    tx.users().update(bob, grant, context.now()).await?;
    for (named, with_grant, expected) in [
        (vec![], false, vec![]),
        (vec![], true, vec![bob]),
        (vec![ada, user_id(&tenant_b.ada)?], false, vec![ada]),
        (vec![bob], true, vec![bob]),
    ] {
        let found = tx.users().active_approvers(&named, with_grant).await?;
        assert_eq!(found.iter().map(|user| user.id).collect::<Vec<_>>(), expected, "{named:?}");
    }
    let off = UserPatch { is_active: Some(false), ..UserPatch::default() };
    tx.users().update(bob, off, context.now()).await?;
    assert_eq!(tx.users().active_approvers(&[bob], true).await?, []);
    Ok(())
}

/// A role that an admin has set is kept until a token with a role claim changes it.
pub async fn a_role_from_a_token_is_removed_by_a_later_token(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&scope(tenant_a.id, Actor::System)).await?;
    let mut sign_in = async |role| {
        let user = tx.users().sign_in(context.new_id(), &identity("eve", role), context.advance_clock()).await?;
        Ok::<_, super::CaseError>((user.id, user.role))
    };
    let (eve, role) = sign_in(Some(Role::Admin)).await?;
    assert_eq!(role, Role::Admin);
    assert_eq!(sign_in(None).await?.1, Role::Viewer, "a token without a role claim removes it");
    assert_eq!(sign_in(Some(Role::User)).await?.1, Role::User);
    let admin_change = UserPatch { role: Some(Role::Admin), role_pinned: Some(false), ..UserPatch::default() };
    tx.users().update(eve, admin_change, context.now()).await?;
    let mut sign_in = async |role| {
        Ok::<_, super::CaseError>(
            tx.users().sign_in(context.new_id(), &identity("eve", role), context.advance_clock()).await?.role,
        )
    };
    assert_eq!(sign_in(None).await?, Role::Admin, "set by an admin, and no token has changed it");
    assert_eq!(sign_in(Some(Role::User)).await?, Role::User);
    assert_eq!(sign_in(None).await?, Role::Viewer);
    tx.users().update(eve, UserPatch { is_active: Some(true), ..UserPatch::default() }, context.now()).await?;
    Ok(())
}

/// A role is stored with its origin (token or admin), whether it is pinned, and the time at which it was set.
pub async fn the_origin_and_time_of_a_role_are_stored(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let mut tx = context.begin(&scope(tenant_a.id, Actor::System)).await?;
    let token = |role, issued_at| Identity { issued_at: Some(issued_at), ..identity("eve", Some(role)) };
    let (first_issued_at, admin_set_at) =
        (context.advance_clock().trunc_subsecs(0), context.advance_clock().trunc_subsecs(0) + TimeDelta::seconds(60));
    let eve = tx.users().sign_in(context.new_id(), &token(Role::User, first_issued_at), context.now()).await?;
    assert_eq!((eve.role_from_token, eve.role_pinned, eve.role_set_at), (true, false, Some(first_issued_at)));
    let admin_change = UserPatch { role: Some(Role::Viewer), ..UserPatch::default() };
    let pinned = require(tx.users().update(eve.id, admin_change, admin_set_at).await?)?;
    assert_eq!((pinned.role_from_token, pinned.role_pinned, pinned.role_set_at), (false, true, Some(admin_set_at)));
    let while_pinned =
        tx.users().sign_in(context.new_id(), &token(Role::Admin, first_issued_at), context.now()).await?;
    assert_eq!((while_pinned.role, while_pinned.role_set_at), (Role::Viewer, Some(admin_set_at)));
    let unpin = UserPatch { role_pinned: Some(false), ..UserPatch::default() };
    assert!(!require(tx.users().update(eve.id, unpin, context.now()).await?)?.role_pinned);
    let after_unpinning =
        tx.users().sign_in(context.new_id(), &token(Role::Admin, admin_set_at), context.now()).await?;
    assert_eq!(
        (after_unpinning.role, after_unpinning.role_from_token, require(tx.users().get(eve.id).await?)?),
        (Role::Admin, true, after_unpinning)
    );
    Ok(())
}

/// The login with the latest time of issue is stored, separately per tenant.
pub async fn a_login_is_replaced_only_by_a_later_one(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let ada = user_id(&tenant_a.ada)?;
    let issued_at = |minutes| Some(context.now() + TimeDelta::minutes(minutes));
    let first_login = LoginClaims {
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
        seen_at: context.now(),
    };
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.users().last_login_claims(ada).await?, None);
    tx.users().record_login(ada, &first_login).await?;
    assert_eq!(tx.users().last_login_claims(ada).await?, Some(first_login.clone()));
    tx.users().record_login(ada, &LoginClaims { issued_at: issued_at(0), roles: None, ..first_login.clone() }).await?;
    assert_eq!(
        tx.users().last_login_claims(ada).await?,
        Some(first_login.clone()),
        "an older login does not replace it"
    );
    let later_login = LoginClaims { issued_at: issued_at(2), guest_of: Some(String::new()), ..first_login };
    tx.users().record_login(ada, &later_login).await?;
    assert_eq!(tx.users().last_login_claims(ada).await?, Some(later_login));
    tx.commit().await?;
    assert_eq!(context.begin(&tenant_b.ada).await?.users().last_login_claims(ada).await?, None);
    Ok(())
}
