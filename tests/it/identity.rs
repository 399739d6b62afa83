//! Authentication: tokens of another issuer, deactivated tenants and users, and role changes.

use crate::support::api_client::ApiClient;
use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use fakes::eventually_within;
use futures::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a change may take to apply.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

async fn user_id(caller: &ApiClient<'_>) -> String {
    caller.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned()
}

/// Repeats a request until its response has this status; panics after [`CHANGE_TIMEOUT`].
async fn wait_for_status(caller: &ApiClient<'_>, path: &str, status: u16) -> Value {
    eventually_within(CHANGE_TIMEOUT, &format!("{path} responds with {status}"), || async {
        let response = caller.get(path).await;
        (response.status == status).then(|| response.json())
    })
    .await
}

#[tokio::test]
async fn a_token_for_an_unknown_tenant_is_refused_and_creates_nothing() {
    let app = TestApp::shared().await;
    app.caller("no-such-plant", "stranger", Role::Admin).get("/v1/me").await.expect_problem(403, "tenant_unmapped");
    let mut db = SuperuserDb::connect(app).await;
    assert_eq!(db.count("SELECT count(*) FROM users WHERE external_id = 'stranger'", &[]).await, 0);
    assert_eq!(db.count("SELECT count(*) FROM tenants WHERE slug = 'no-such-plant'", &[]).await, 0);
}

#[tokio::test]
async fn a_deactivated_user_or_tenant_is_refused_at_once() {
    let app = TestApp::shared().await;
    app.create_tenant("switched").await;
    let (user, colleague) = (app.as_user("switched"), app.as_viewer("switched"));
    let mut db = SuperuserDb::connect(app).await;
    let id = user_id(&user).await;
    assert_eq!(db.execute("UPDATE users SET is_active = false WHERE id = $1::uuid", &[&id]).await, 1);
    assert_eq!(wait_for_status(&user, "/v1/conversations", 403).await["code"], "user_disabled");
    assert_eq!(colleague.get("/v1/me").await.status, 200, "other users are not affected");
    app.as_user("switched").get("/v1/me").await.expect_problem(403, "user_disabled");
    db.execute("UPDATE users SET is_active = true WHERE id = $1::uuid", &[&id]).await;
    wait_for_status(&user, "/v1/conversations", 200).await;

    db.execute("UPDATE tenants SET is_active = false WHERE slug = $1", &["switched"]).await;
    assert_eq!(wait_for_status(&colleague, "/v1/conversations", 403).await["code"], "tenant_suspended");
    assert_eq!(app.as_user(TENANT_A).get("/v1/me").await.status, 200, "other tenants are not affected");
}

#[tokio::test]
async fn a_role_that_an_admin_has_set_overrides_the_role_of_tokens() {
    let app = TestApp::shared().await;
    app.create_tenant("roles").await;
    let (admin, user) = (app.as_admin("roles"), app.as_user("roles"));
    let path = format!("/v1/admin/users/{}", user_id(&user).await);
    assert_eq!(user.upload("r.md", b"# Before\n\nText.\n", &[]).await.status, 202);
    assert_eq!(admin.patch(&path, &json!({ "role": "viewer" })).await.expect_json(200)["role"], "viewer");
    user.upload("r.md", b"# After\n\nText.\n", &[]).await.expect_problem(403, "policy_denied");
    assert_eq!(wait_for_status(&user, "/v1/me", 200).await["role"], "viewer");
    assert_eq!(admin.patch(&path, &json!({ "role": "admin" })).await.expect_json(200)["role"], "admin");
    assert_eq!(user.get("/v1/admin/users").await.status, 200);
    assert_eq!(admin.patch(&path, &json!({ "is_active": false })).await.expect_json(200)["is_active"], false);
    user.get("/v1/admin/users").await.expect_problem(403, "user_disabled");
}

#[tokio::test]
async fn fifty_concurrent_first_requests_create_one_user() {
    let app = TestApp::shared().await;
    let callers: Vec<_> = (0..50).map(|_| app.caller(TENANT_A, "crowd", Role::User)).collect();
    let responses = join_all(callers.iter().map(|caller| caller.get("/v1/me"))).await;
    let mut ids: Vec<_> = responses.iter().map(|response| response.expect_json(200)["id"].to_string()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(
        SuperuserDb::connect(app).await.count("SELECT count(*) FROM users WHERE external_id = 'crowd'", &[]).await,
        1
    );
}

#[tokio::test]
async fn an_admin_creates_a_user_before_the_first_login() {
    let app = TestApp::shared().await;
    app.create_tenant("invited").await;
    let admin = app.as_admin("invited");
    let issuer = platform_server::config::DEVELOPMENT_ISSUER;
    let user = json!({
        "external_id": "nadia", "email": "nadia@plant.example", "name": "Nadia", "role": "user", "issuer": issuer,
    });
    let created_user = admin.post("/v1/admin/users", &user).await.expect_json(201);
    admin.post("/v1/admin/users", &user).await.expect_problem(409, "conflict");
    let me = app.caller("invited", "nadia", Role::User).get("/v1/me").await.expect_json(200);
    assert_eq!((&me["id"], &me["name"], &me["role"]), (&created_user["id"], &json!("Nadia"), &json!("user")));
}

#[tokio::test]
async fn tokens_of_another_issuer_are_accepted_and_invalid_ones_are_refused_alike() {
    let issuer = Issuer::start().await;
    let app = TestApp::start(&[("OIDC_ISSUER", &issuer.url), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let token_with = |changes: Value| issuer.sign(&issuer.claims(TENANT_A, &changes));
    let me = app.with_token(&token_with(json!({}))).get("/v1/me").await.expect_json(200);
    assert_eq!((&me["name"], &me["role"], &me["tenant"]["slug"]), (&json!("Olga"), &json!("user"), &json!(TENANT_A)));
    let token_with_lists =
        token_with(json!({ "aud": ["other", AUDIENCE], "roles": ["PlatformViewer", "PlatformAdmin"], "sub": "two" }));
    assert_eq!(app.with_token(&token_with_lists).get("/v1/me").await.expect_json(200)["role"], "admin");
    let skewed_claims = issuer.claims(
        TENANT_A,
        &json!({ "exp": issuer.claims(TENANT_A, &json!({}))["iat"].as_i64().expect("a number") - 30 }),
    );
    assert_eq!(
        app.with_token(&issuer.sign(&skewed_claims)).get("/v1/me").await.status,
        200,
        "clocks may differ by half a minute"
    );

    let claims = issuer.claims(TENANT_A, &json!({}));
    let now = claims["iat"].as_i64().expect("a number");
    let invalid_tokens = [
        ("no signature", issuer.unsigned(&claims)),
        ("HMAC with the public key", issuer.sign_with_public_key_as_hmac(&claims)),
        ("another key under the key's id", issuer.sign_with_another_key(&claims)),
        ("an unknown key", issuer.sign_with_unknown_key(&claims)),
        ("another audience", token_with(json!({ "aud": "api://other" }))),
        ("no audience", token_with(json!({ "aud": null }))),
        ("another issuer", token_with(json!({ "iss": "https://evil.example" }))),
        ("expired", token_with(json!({ "exp": now - 61 }))),
        ("no expiry", token_with(json!({ "exp": null }))),
        ("not yet", token_with(json!({ "nbf": now + 120 }))),
        ("an ID token", token_with(json!({ "nonce": "n-0S6_WzA2Mj" }))),
        ("no subject", token_with(json!({ "sub": null }))),
    ];
    let mut refusals = Vec::new();
    for (flaw, token) in &invalid_tokens {
        let response = app.with_token(token).get("/v1/me").await;
        assert_eq!(response.status, 401, "{flaw}: {response:?}");
        refusals.push((response.without_request_ids(), response.header("www-authenticate").map(str::to_owned)));
    }
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "the refusals must not differ: {refusals:?}");
    assert!(issuer.key_fetches() <= 2, "an unknown key id causes at most one more fetch: {}", issuer.key_fetches());
}
