//! The role of a user: it follows the identity provider's newest token, unless an admin has set it.

use crate::support::issuer::malleate_signature;
use crate::support::{Fixture, authenticate, with_claim};
use chrono::TimeDelta;
use domain::ports::{Clock as _, Store as _};
use domain::role::Role;
use domain::user::UserPatch;
use policy::caller::Caller;
use policy::error::GateError;
use serde_json::{Value, json};

/// Creates a token of Ada with a role, issued `seconds_ago` seconds ago.
fn token(fixture: &Fixture, role: &str, seconds_ago: i64) -> String {
    let issued_at = fixture.clock.now().timestamp() - seconds_ago;
    fixture.signer.sign(&with_claim(fixture.claims("ada", role), "iat", json!(issued_at)))
}

async fn role_after_login(fixture: &Fixture, token: &str) -> Role {
    authenticate(&fixture.authenticator(), token).await.expect("valid token").entitlements().role
}

async fn set_role(fixture: &Fixture, caller: &Caller, role: Role) {
    fixture.patch(caller.user(), UserPatch { role: Some(role), ..UserPatch::default() }).await;
}

#[tokio::test]
async fn a_token_that_was_issued_before_the_role_was_set_does_not_change_it() {
    let fixture = Fixture::new().await;
    let (unused_token, used_token) = (token(&fixture, "PlatformAdmin", 5), token(&fixture, "PlatformAdmin", 4));
    let ada = authenticate(&fixture.authenticator(), &used_token).await.expect("valid token");
    assert_eq!(ada.entitlements().role, Role::Admin);
    set_role(&fixture, &ada, Role::Viewer).await;
    assert_eq!(role_after_login(&fixture, &unused_token).await, Role::Viewer);
    let login = fixture.audit_rows().into_iter().rfind(|row| row.event_type == "auth.login").expect("recorded");
    assert_eq!(login.metadata["role_ignored"], "issued_before_role_was_set");
}

#[tokio::test]
async fn a_demotion_at_the_provider_is_not_undone_by_older_tokens() {
    let fixture = Fixture::new().await;
    let unused_token = token(&fixture, "PlatformAdmin", 5);
    assert_eq!(role_after_login(&fixture, &token(&fixture, "PlatformAdmin", 4)).await, Role::Admin);
    assert_eq!(role_after_login(&fixture, &token(&fixture, "PlatformViewer", 2)).await, Role::Viewer);
    assert_eq!(role_after_login(&fixture, &unused_token).await, Role::Viewer);
    assert_eq!(
        role_after_login(&fixture, &token(&fixture, "PlatformUser", 0)).await,
        Role::User,
        "a later token sets the role"
    );
}

#[tokio::test]
async fn a_token_can_lower_a_role_that_an_admin_has_set_but_not_raise_it() {
    let fixture = Fixture::new().await;
    let ada = authenticate(&fixture.authenticator(), &token(&fixture, "PlatformAdmin", 0)).await.expect("valid token");
    set_role(&fixture, &ada, Role::User).await;
    fixture.clock.advance(TimeDelta::seconds(5));
    assert_eq!(role_after_login(&fixture, &token(&fixture, "PlatformAdmin", 0)).await, Role::User);
    assert_eq!(role_after_login(&fixture, &token(&fixture, "PlatformViewer", 0)).await, Role::Viewer);
    fixture.clock.advance(TimeDelta::seconds(5));
    assert_eq!(role_after_login(&fixture, &token(&fixture, "PlatformUser", 0)).await, Role::Viewer);
}

#[tokio::test]
async fn a_token_without_iat_gives_no_role() {
    let fixture = Fixture::new().await;
    let token_without_iat =
        fixture.signer.sign(&with_claim(fixture.claims("ada", "PlatformAdmin"), "iat", Value::Null));
    assert_eq!(role_after_login(&fixture, &token_without_iat).await, Role::Viewer);
    let ada = authenticate(&fixture.authenticator(), &token(&fixture, "PlatformUser", 0)).await.expect("valid token");
    assert_eq!(ada.entitlements().role, Role::User);
}

#[tokio::test]
async fn a_token_with_a_malleated_signature_is_refused() {
    let fixture = Fixture::new().await;
    let valid_token = token(&fixture, "PlatformAdmin", 0);
    let ada = authenticate(&fixture.authenticator(), &valid_token).await.expect("valid token");
    set_role(&fixture, &ada, Role::Viewer).await;
    let error = authenticate(&fixture.authenticator(), &malleate_signature(&valid_token))
        .await
        .expect_err("a high s is refused");
    assert!(matches!(error, GateError::Unauthenticated { reason: "signature_high_s" }), "{error:?}");
}

/// If an issuer accepts both signatures of a token, the second one does not count as a new token.
#[tokio::test]
async fn a_used_token_is_recognized_by_its_signing_input() {
    let fixture = Fixture::new().await;
    let valid_token = token(&fixture, "PlatformAdmin", 0);
    let ada = authenticate(&fixture.authenticator(), &valid_token).await.expect("valid token");
    let mut tx = fixture.store.begin(ada.scope()).await.expect("open");
    let user_id = tx.users().user_by_token(&fixture.signing_input_hash(&valid_token)).await.expect("read");
    assert_eq!(user_id, Some(ada.user().id));
    drop(tx);
    let mut issuer = fixture.issuer(fixture.key_file());
    issuer.accept_high_s = true;
    let authenticator = fixture.authenticator_with(vec![issuer]);
    authenticate(&authenticator, &malleate_signature(&valid_token)).await.expect("this issuer uses both forms");
    assert_eq!(fixture.audit_rows().iter().filter(|row| row.event_type == "auth.login").count(), 1);
}
