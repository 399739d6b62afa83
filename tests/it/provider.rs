//! Signing in at a certified OpenID provider: which of its tokens are accepted, also during its failures.

use crate::support::app::{A, App, B};
use crate::support::provider::{AUDIENCE, Provider};
use serde_json::json;

#[tokio::test]
async fn people_sign_in_at_a_real_provider_and_stay_in_through_rotation_outage_and_restart() {
    let mut provider = Provider::start().await;
    let mut app = App::start(&[("OIDC_ISSUER", &provider.issuer), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let alice = provider.sign_in("alice").await;
    let me = app.with_token(&alice.access).get("/v1/me").await.expect(200);
    assert_eq!((&me["tenant"]["slug"], &me["role"]), (&json!(A), &json!("user")));
    app.with_token(&alice.id).get("/v1/me").await.problem(401, "invalid_token");
    let boss = provider.sign_in("boss").await;
    let me = app.with_token(&boss.access).get("/v1/me").await.expect(200);
    assert_eq!((&me["tenant"]["slug"], &me["role"]), (&json!(B), &json!("admin")));
    let many_groups = provider.sign_in("groups").await;
    app.with_token(&many_groups.access).get("/v1/me").await.problem(403, "groups_overage");

    let of_the_old_key = provider.sign_in("alice").await;
    provider.rotate(&app.http).await;
    let of_the_new_key = provider.sign_in("alice").await;
    app.with_token(&of_the_new_key.access).get("/v1/me").await.expect(200);
    app.with_token(&of_the_old_key.access).get("/v1/me").await.problem(401, "invalid_token");

    let (before, after) = (provider.sign_in("alice").await, provider.sign_in("boss").await);
    provider.kill().await;
    app.with_token(&before.access).get("/v1/me").await.expect(200);
    app.stop();
    app.start_again().await;
    app.with_token(&after.access).get("/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_sign_in_of_long_ago_is_asked_for_again() {
    let provider = Provider::start().await;
    let settings =
        [("OIDC_ISSUER", &*provider.issuer), ("OIDC_AUDIENCE", AUDIENCE), ("PLATFORM__AUTH__MAX_AGE_S", "3600")];
    let app = App::start(&settings).await;
    app.with_token(&provider.sign_in("alice").await.access).get("/v1/me").await.expect(200);
    let answer = app.with_token(&provider.sign_in("sleepy").await.access).get("/v1/me").await;
    answer.problem(401, "insufficient_user_authentication");
    let challenge = answer.header("www-authenticate").expect("a challenge");
    assert!(
        challenge.contains(r#"error="insufficient_user_authentication""#) && challenge.contains(r#"max_age="3600""#),
        "{challenge}"
    );
}
