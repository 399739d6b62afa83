//! Personal access tokens are held to their user's last interactive login, by the rules as they are now.

use crate::support::issuer::ISSUER;
use crate::support::{World, but, present};
use chrono::TimeDelta;
use domain::access_token::{NewAccessToken, TokenScope};
use domain::error::Classify as _;
use domain::ids::TenantId;
use domain::mapping::NewMapping;
use domain::ports::{Clock as _, Directory as _, IdGen as _, NewTenant, Store as _, TokenSecret, TokenSecrets as _};
use domain::role::Role;
use domain::tenant::TenantSettings;
use domain::user::UserPatch;
use policy::authn::settings::{IssuerSettings, TenantTrust};
use policy::caller::Caller;
use policy::error::GateError;
use serde_json::{Value, json};

/// An access token of the caller's, good for a year.
async fn issue(world: &World, user: &Caller) -> String {
    let TokenSecret { secret, hash } = world.authenticator().generate().expect("randomness");
    let token = NewAccessToken {
        id: world.ids.uuid().into(),
        user_id: user.user().id,
        name: "export".to_owned(),
        hash,
        scopes: TokenScope::all().collect(),
        expires_at: world.clock.now() + TimeDelta::days(365),
    };
    let mut tx = world.store.begin(user.scope()).await.expect("open");
    tx.access_tokens().insert(&token, world.clock.now()).await.expect("stored");
    tx.commit().await.expect("committed");
    secret
}

/// A change of an issuer's settings.
type Edit = fn(&mut IssuerSettings);

/// How an access token fares whose user logged in with such claims, once the issuer's settings are changed.
async fn after(claims: Value, before: Edit, change: Edit) -> Option<String> {
    let world = World::new().await;
    let issuer = |edit: Edit| {
        let mut issuer = world.issuer(world.key_file());
        edit(&mut issuer);
        vec![issuer]
    };
    let mut all = world.claims("ada", "PlatformUser");
    for (name, value) in claims.as_object().expect("an object") {
        all = but(all, name, value.clone());
    }
    let ada = present(&world.authenticator_of(issuer(before)), &world.signer.sign(&all)).await.expect("good");
    let secret = issue(&world, &ada).await;
    present(&world.authenticator_of(issuer(before)), &secret).await.expect("the login holds");
    let error = present(&world.authenticator_of(issuer(change)), &secret).await.err()?;
    Some(recorded(&world, &error))
}

/// The reason in the audit log; to the caller all are alike.
fn recorded(world: &World, error: &GateError) -> String {
    assert_eq!(error.code(), "invalid_token");
    let denied = world.audit_of(TenantId::PLATFORM).into_iter().rfind(|row| row.event_type == "auth.denied");
    denied.expect("recorded").metadata["reason"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn an_access_token_does_not_outlive_what_let_its_user_in() {
    let home = "https://sts.windows.net/t2/";
    let cases: [(&str, Value, Edit, Edit); 7] = [
        ("access_token_guest_refused", json!({"idp": home}), |i| i.guests = vec!["*".to_owned()], |_| {}),
        ("access_token_tenant_unmapped", json!({}), |_| {}, |i| i.tenants = TenantTrust::Mapped([].into())),
        (
            "access_token_insufficient_scope",
            json!({"scp": "other"}),
            |_| {},
            |i| i.required_scope = Some("platform.use".to_owned()),
        ),
        (
            "access_token_insufficient_scope",
            json!({}),
            |i| i.required_role = Some("PlatformUser".to_owned()),
            |i| i.required_role = Some("PlatformAdmin".to_owned()),
        ),
        ("access_token_authenticated_too_long_ago", json!({}), |_| {}, |i| i.max_age_s = Some(3600)),
        ("access_token_issuer_unknown", json!({}), |_| {}, |i| i.issuer = "https://elsewhere.test".to_owned()),
        (
            "access_token_required_claim_mismatch",
            json!({}),
            |_| {},
            |i| i.required_claim = Some(("tid".to_owned(), "t9".to_owned())),
        ),
    ];
    for (reason, claims, before, change) in cases {
        assert_eq!(after(claims, before, change).await.as_deref(), Some(reason));
    }
    let lowered = after(json!({}), |_| {}, |i| i.roles = [("PlatformUser".to_owned(), Role::Viewer)].into()).await;
    assert_eq!(lowered.as_deref(), Some("access_token_role_lowered"));
    let still = after(json!({"scp": "platform.use"}), |_| {}, |i| i.required_scope = Some("platform.use".to_owned()));
    assert_eq!(still.await, None, "what the login had is asked of the token and found");
}

#[tokio::test]
async fn an_access_token_needs_an_interactive_login_every_so_many_days() {
    let world = World::new().await;
    let login = |world: &World| world.signer.sign(&world.claims("ada", "PlatformUser"));
    let ada = present(&world.authenticator(), &login(&world)).await.expect("good");
    let secret = issue(&world, &ada).await;
    world.clock.advance(TimeDelta::days(30) - TimeDelta::seconds(1));
    present(&world.authenticator(), &secret).await.expect("a login within thirty days");
    world.clock.advance(TimeDelta::seconds(1));
    let error = present(&world.authenticator(), &secret).await.expect_err("thirty days");
    assert_eq!(recorded(&world, &error), "access_token_login_too_old");
    present(&world.authenticator(), &login(&world)).await.expect("good");
    present(&world.authenticator(), &secret).await.expect("logged in again");
    // A token says when its bearer logged in: refreshing it day after day is no login.
    world.clock.advance(TimeDelta::days(31));
    let long_ago = json!((world.clock.now() - TimeDelta::days(31)).timestamp());
    let refreshed = but(world.claims("ada", "PlatformUser"), "auth_time", long_ago);
    present(&world.authenticator(), &world.signer.sign(&refreshed)).await.expect("good");
    present(&world.authenticator(), &secret).await.expect_err("no login since");
}

#[tokio::test]
async fn an_access_token_ends_with_the_mapping_that_let_its_user_in() {
    let world = World::new().await;
    let new = NewTenant { id: world.ids.uuid().into(), name: "Plant B".to_owned(), slug: "plant-b".to_owned() };
    let tenant = world.store.create_tenant(new).await.expect("a new tenant").id;
    let (id, claim) = (world.ids.uuid().into(), "north".to_owned());
    let mapping = NewMapping { id, tenant, issuer: ISSUER.to_owned(), claim };
    let made = world
        .store
        .create_mapping(mapping, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in memory")
        .expect("a tenant");
    let claims = but(world.claims("ada", "PlatformUser"), "extension_PlatformTenantId", json!("north"));
    let ada = present(&world.authenticator(), &world.signer.sign(&claims)).await.expect("mapped");
    let secret = issue(&world, &ada).await;
    present(&world.authenticator(), &secret).await.expect("mapped");
    world
        .store
        .delete_mapping(tenant, made.id, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in memory")
        .expect("is there");
    let error = present(&world.authenticator(), &secret).await.expect_err("unmapped");
    assert_eq!(recorded(&world, &error), "access_token_tenant_unmapped");
}

#[tokio::test]
async fn an_access_token_ends_with_a_role_that_the_tenants_mapping_gave_no_longer() {
    let world = World::new().await;
    let mapped = |role| TenantSettings { role_mappings: [("g:ops".to_owned(), role)].into(), ..Default::default() };
    world.store.set_settings(world.tenant, mapped(Role::Admin)).await.expect("in memory");
    let claims = but(but(world.claims("ada", ""), "roles", Value::Null), "groups", json!(["ops", "else\u{0}where"]));
    let ada = present(&world.authenticator(), &world.signer.sign(&claims)).await.expect("good");
    let secret = issue(&world, &ada).await;
    assert_eq!(present(&world.authenticator(), &secret).await.expect("good").entitlements().role, Role::Admin);
    world.store.set_settings(world.tenant, mapped(Role::User)).await.expect("in memory");
    let error = present(&world.authenticator(), &secret).await.expect_err("an admin no more");
    assert_eq!(recorded(&world, &error), "access_token_role_lowered");
    // An admin's word is above the mapping's.
    world.patch(ada.user(), UserPatch { role: Some(Role::Admin), ..UserPatch::default() }).await;
    assert_eq!(present(&world.authenticator(), &secret).await.expect("good").entitlements().role, Role::Admin);
}
