//! A personal access token stops working when its user's last interactive login would no longer be accepted.

use crate::support::issuer::ISSUER;
use crate::support::{Fixture, authenticate, with_claim};
use chrono::TimeDelta;
use domain::access_token::{NewAccessToken, TokenScope};
use domain::error::Classify as _;
use domain::ids::TenantId;
use domain::mapping::NewMapping;
use domain::ports::{
    Clock as _, IdGen as _, NewTenant, Store as _, TenantDirectory as _, TokenSecret, TokenSecrets as _,
};
use domain::role::Role;
use domain::tenant::TenantSettings;
use domain::user::UserPatch;
use policy::authn::settings::{IssuerSettings, IssuerTenantMapping};
use policy::caller::Caller;
use policy::error::GateError;
use serde_json::{Value, json};

/// Issues an access token for the caller that is valid for a year.
async fn issue_token(fixture: &Fixture, caller: &Caller) -> String {
    let TokenSecret { secret, hash } = fixture.authenticator().generate().expect("randomness");
    let token = NewAccessToken {
        id: fixture.ids.uuid().into(),
        user_id: caller.user().id,
        name: "export".to_owned(),
        hash,
        scopes: TokenScope::all().collect(),
        expires_at: fixture.clock.now() + TimeDelta::days(365),
    };
    let mut tx = fixture.store.begin(caller.scope()).await.expect("transaction");
    tx.access_tokens().insert(&token, fixture.clock.now()).await.expect("stored");
    tx.commit().await.expect("committed");
    secret
}

/// A change of an issuer's settings.
type SettingsEdit = fn(&mut IssuerSettings);

/// Issues an access token to a user who logged in with `claims` under the settings `at_login`, and uses it under the
/// settings `at_use`. Returns the recorded reason of the refusal, or `None` if the token is accepted.
async fn refusal_after_change(claims: Value, at_login: SettingsEdit, at_use: SettingsEdit) -> Option<String> {
    let fixture = Fixture::new().await;
    let issuer = |edit: SettingsEdit| {
        let mut issuer = fixture.issuer(fixture.key_file());
        edit(&mut issuer);
        vec![issuer]
    };
    let mut all_claims = fixture.claims("ada", "PlatformUser");
    for (name, value) in claims.as_object().expect("an object") {
        all_claims = with_claim(all_claims, name, value.clone());
    }
    let ada = authenticate(&fixture.authenticator_with(issuer(at_login)), &fixture.signer.sign(&all_claims))
        .await
        .expect("valid token");
    let secret = issue_token(&fixture, &ada).await;
    authenticate(&fixture.authenticator_with(issuer(at_login)), &secret).await.expect("the login is accepted");
    let error = authenticate(&fixture.authenticator_with(issuer(at_use)), &secret).await.err()?;
    Some(recorded_reason(&fixture, &error))
}

/// Returns the reason in the audit log, and checks that the caller gets the same error for every reason.
fn recorded_reason(fixture: &Fixture, error: &GateError) -> String {
    assert_eq!(error.code(), "invalid_token");
    let denied = fixture.audit_rows_of(TenantId::PLATFORM).into_iter().rfind(|row| row.event_type == "auth.denied");
    denied.expect("recorded").metadata["reason"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn an_access_token_is_refused_once_its_users_login_would_be_refused() {
    let guest_home = "https://sts.windows.net/t2/";
    let cases: [(&str, Value, SettingsEdit, SettingsEdit); 7] = [
        (
            "access_token_guest_refused",
            json!({"idp": guest_home}),
            |i| i.guest_directories = vec!["*".to_owned()],
            |_| {},
        ),
        ("access_token_tenant_unmapped", json!({}), |_| {}, |i| i.tenants = IssuerTenantMapping::Mapped([].into())),
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
    for (reason, claims, at_login, at_use) in cases {
        assert_eq!(refusal_after_change(claims, at_login, at_use).await.as_deref(), Some(reason));
    }
    let reason_after_lowering =
        refusal_after_change(json!({}), |_| {}, |i| i.roles = [("PlatformUser".to_owned(), Role::Viewer)].into()).await;
    assert_eq!(reason_after_lowering.as_deref(), Some("access_token_role_lowered"));
    let reason_without_change = refusal_after_change(
        json!({"scp": "platform.use"}),
        |_| {},
        |i| i.required_scope = Some("platform.use".to_owned()),
    );
    assert_eq!(reason_without_change.await, None, "the login had the required scope");
}

#[tokio::test]
async fn an_access_token_needs_a_recent_interactive_login() {
    let fixture = Fixture::new().await;
    let login = |fixture: &Fixture| fixture.signer.sign(&fixture.claims("ada", "PlatformUser"));
    let ada = authenticate(&fixture.authenticator(), &login(&fixture)).await.expect("valid token");
    let secret = issue_token(&fixture, &ada).await;
    fixture.clock.advance(TimeDelta::days(30) - TimeDelta::seconds(1));
    authenticate(&fixture.authenticator(), &secret).await.expect("a login within thirty days");
    fixture.clock.advance(TimeDelta::seconds(1));
    let error = authenticate(&fixture.authenticator(), &secret).await.expect_err("thirty days ago");
    assert_eq!(recorded_reason(&fixture, &error), "access_token_login_too_old");
    authenticate(&fixture.authenticator(), &login(&fixture)).await.expect("valid token");
    authenticate(&fixture.authenticator(), &secret).await.expect("logged in again");
    // `auth_time` is the time of the login: refreshing the token every day does not count as a login.
    fixture.clock.advance(TimeDelta::days(31));
    let long_ago = json!((fixture.clock.now() - TimeDelta::days(31)).timestamp());
    let refreshed_claims = with_claim(fixture.claims("ada", "PlatformUser"), "auth_time", long_ago);
    authenticate(&fixture.authenticator(), &fixture.signer.sign(&refreshed_claims)).await.expect("valid token");
    authenticate(&fixture.authenticator(), &secret).await.expect_err("no login since");
}

#[tokio::test]
async fn an_access_token_is_refused_once_the_tenant_mapping_is_deleted() {
    let fixture = Fixture::new().await;
    let new_tenant =
        NewTenant { id: fixture.ids.uuid().into(), name: "Plant B".to_owned(), slug: "plant-b".to_owned() };
    let tenant = fixture.store.create_tenant(new_tenant).await.expect("a new tenant").id;
    let (id, claim) = (fixture.ids.uuid().into(), "north".to_owned());
    let mapping = NewMapping { id, tenant, issuer: ISSUER.to_owned(), claim };
    let mapping = fixture
        .store
        .create_mapping(mapping, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in-memory store")
        .expect("a tenant");
    let claims = with_claim(fixture.claims("ada", "PlatformUser"), "extension_PlatformTenantId", json!("north"));
    let ada = authenticate(&fixture.authenticator(), &fixture.signer.sign(&claims)).await.expect("mapped");
    let secret = issue_token(&fixture, &ada).await;
    authenticate(&fixture.authenticator(), &secret).await.expect("mapped");
    fixture
        .store
        .delete_mapping(tenant, mapping.id, &domain::tenant_change::ChangedBy::default())
        .await
        .expect("in-memory store")
        .expect("exists");
    let error = authenticate(&fixture.authenticator(), &secret).await.expect_err("unmapped");
    assert_eq!(recorded_reason(&fixture, &error), "access_token_tenant_unmapped");
}

#[tokio::test]
async fn an_access_token_is_refused_once_the_tenants_role_mapping_gives_a_weaker_role() {
    let fixture = Fixture::new().await;
    let settings_with_role =
        |role| TenantSettings { role_mappings: [("g:ops".to_owned(), role)].into(), ..Default::default() };
    fixture.store.set_settings(fixture.tenant, settings_with_role(Role::Admin)).await.expect("in-memory store");
    let claims = with_claim(
        with_claim(fixture.claims("ada", ""), "roles", Value::Null),
        "groups",
        json!(["ops", "else\u{0}where"]),
    );
    let ada = authenticate(&fixture.authenticator(), &fixture.signer.sign(&claims)).await.expect("valid token");
    let secret = issue_token(&fixture, &ada).await;
    assert_eq!(
        authenticate(&fixture.authenticator(), &secret).await.expect("valid token").entitlements().role,
        Role::Admin
    );
    fixture.store.set_settings(fixture.tenant, settings_with_role(Role::User)).await.expect("in-memory store");
    let error = authenticate(&fixture.authenticator(), &secret).await.expect_err("role lowered");
    assert_eq!(recorded_reason(&fixture, &error), "access_token_role_lowered");
    // A role set by an admin takes precedence over the mapping.
    fixture.patch(ada.user(), UserPatch { role: Some(Role::Admin), ..UserPatch::default() }).await;
    assert_eq!(
        authenticate(&fixture.authenticator(), &secret).await.expect("valid token").entitlements().role,
        Role::Admin
    );
}
