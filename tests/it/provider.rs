//! Signing in at a certified OpenID provider: which of its tokens are accepted, also while the provider is down.

use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::provider::{AUDIENCE, OidcProvider};
use serde_json::json;

#[tokio::test]
async fn tokens_of_a_real_provider_are_accepted_through_key_rotation_outage_and_restart() {
    let mut provider = OidcProvider::start().await;
    let mut app = TestApp::start(&[("OIDC_ISSUER", &provider.issuer), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let alice = provider.sign_in("alice").await;
    let me = app.with_token(&alice.access_token).get("/v1/me").await.expect_json(200);
    assert_eq!((&me["tenant"]["slug"], &me["role"]), (&json!(TENANT_A), &json!("user")));
    app.with_token(&alice.id_token).get("/v1/me").await.expect_problem(401, "invalid_token");
    let admin = provider.sign_in("boss").await;
    let me = app.with_token(&admin.access_token).get("/v1/me").await.expect_json(200);
    assert_eq!((&me["tenant"]["slug"], &me["role"]), (&json!(TENANT_B), &json!("admin")));
    let many_groups = provider.sign_in("groups").await;
    app.with_token(&many_groups.access_token).get("/v1/me").await.expect_problem(403, "groups_overage");

    let with_old_key = provider.sign_in("alice").await;
    provider.rotate_key(&app.http).await;
    let with_new_key = provider.sign_in("alice").await;
    app.with_token(&with_new_key.access_token).get("/v1/me").await.expect_json(200);
    app.with_token(&with_old_key.access_token).get("/v1/me").await.expect_problem(401, "invalid_token");

    let (used_before_restart, used_after_restart) = (provider.sign_in("alice").await, provider.sign_in("boss").await);
    provider.kill().await;
    app.with_token(&used_before_restart.access_token).get("/v1/me").await.expect_json(200);
    app.stop();
    app.restart().await;
    app.with_token(&used_after_restart.access_token).get("/v1/me").await.expect_json(200);
}

#[tokio::test]
async fn a_login_older_than_the_maximum_age_must_be_repeated() {
    let provider = OidcProvider::start().await;
    let settings =
        [("OIDC_ISSUER", &*provider.issuer), ("OIDC_AUDIENCE", AUDIENCE), ("PLATFORM__AUTH__MAX_AGE_S", "3600")];
    let app = TestApp::start(&settings).await;
    app.with_token(&provider.sign_in("alice").await.access_token).get("/v1/me").await.expect_json(200);
    let answer = app.with_token(&provider.sign_in("sleepy").await.access_token).get("/v1/me").await;
    answer.expect_problem(401, "insufficient_user_authentication");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains(r#"error="insufficient_user_authentication""#) && challenge.contains(r#"max_age="3600""#),
        "{challenge}"
    );
}
