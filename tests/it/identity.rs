//! Authentication: tokens of another issuer, deactivated tenants and users, and changes of roles.

use crate::support::app::{A, App};
use crate::support::caller::Caller;
use crate::support::db::SuperuserDb;
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use fakes::eventually_within;
use futures::future::join_all;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a change may take to apply.
const IN_FORCE: Duration = Duration::from_secs(5);

async fn id_of(caller: &Caller<'_>) -> String {
    caller.get("/v1/me").await.expect(200)["id"].as_str().expect("an id").to_owned()
}

/// Repeats a request until its response has this status; fails after the time that a change may take.
async fn until_status(caller: &Caller<'_>, path: &str, status: u16) -> Value {
    eventually_within(IN_FORCE, &format!("{path} answers {status}"), || async {
        let answer = caller.get(path).await;
        (answer.status == status).then(|| answer.json())
    })
    .await
}

#[tokio::test]
async fn a_token_for_an_unknown_tenant_is_403_and_makes_nothing() {
    let app = App::shared().await;
    app.caller("no-such-plant", "stranger", Role::Admin).get("/v1/me").await.problem(403, "tenant_unmapped");
    let mut db = SuperuserDb::of(app).await;
    assert_eq!(db.count("SELECT count(*) FROM users WHERE external_id = 'stranger'", &[]).await, 0);
    assert_eq!(db.count("SELECT count(*) FROM tenants WHERE slug = 'no-such-plant'", &[]).await, 0);
}

#[tokio::test]
async fn a_user_or_tenant_that_is_switched_off_is_refused_at_once() {
    let app = App::shared().await;
    app.make_tenant("switched").await;
    let (user, colleague) = (app.as_user("switched"), app.as_viewer("switched"));
    let mut db = SuperuserDb::of(app).await;
    let id = id_of(&user).await;
    assert_eq!(db.execute("UPDATE users SET is_active = false WHERE id = $1::uuid", &[&id]).await, 1);
    assert_eq!(until_status(&user, "/v1/conversations", 403).await["code"], "user_disabled");
    assert_eq!(colleague.get("/v1/me").await.status, 200, "other users are not affected");
    app.as_user("switched").get("/v1/me").await.problem(403, "user_disabled");
    db.execute("UPDATE users SET is_active = true WHERE id = $1::uuid", &[&id]).await;
    until_status(&user, "/v1/conversations", 200).await;

    db.execute("UPDATE tenants SET is_active = false WHERE slug = $1", &["switched"]).await;
    assert_eq!(until_status(&colleague, "/v1/conversations", 403).await["code"], "tenant_suspended");
    assert_eq!(app.as_user(A).get("/v1/me").await.status, 200, "other tenants are not affected");
}

#[tokio::test]
async fn a_role_that_an_admin_changes_holds_against_the_tokens() {
    let app = App::shared().await;
    app.make_tenant("roles").await;
    let (admin, user) = (app.as_admin("roles"), app.as_user("roles"));
    let path = format!("/v1/admin/users/{}", id_of(&user).await);
    assert_eq!(user.upload("r.md", b"# Before\n\nText.\n", &[]).await.status, 202);
    assert_eq!(admin.patch(&path, &json!({ "role": "viewer" })).await.expect(200)["role"], "viewer");
    user.upload("r.md", b"# After\n\nText.\n", &[]).await.problem(403, "policy_denied");
    assert_eq!(until_status(&user, "/v1/me", 200).await["role"], "viewer");
    assert_eq!(admin.patch(&path, &json!({ "role": "admin" })).await.expect(200)["role"], "admin");
    assert_eq!(user.get("/v1/admin/users").await.status, 200);
    assert_eq!(admin.patch(&path, &json!({ "is_active": false })).await.expect(200)["is_active"], false);
    user.get("/v1/admin/users").await.problem(403, "user_disabled");
}

#[tokio::test]
async fn fifty_first_requests_at_once_make_one_user() {
    let app = App::shared().await;
    let callers: Vec<_> = (0..50).map(|_| app.caller(A, "crowd", Role::User)).collect();
    let answers = join_all(callers.iter().map(|caller| caller.get("/v1/me"))).await;
    let mut ids: Vec<_> = answers.iter().map(|answer| answer.expect(200)["id"].to_string()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(
        SuperuserDb::of(app).await.count("SELECT count(*) FROM users WHERE external_id = 'crowd'", &[]).await,
        1
    );
}

#[tokio::test]
async fn an_admin_makes_a_user_before_the_first_login() {
    let app = App::shared().await;
    app.make_tenant("invited").await;
    let admin = app.as_admin("invited");
    let issuer = platform_server::config::DEVELOPMENT_ISSUER;
    let user = json!({
        "external_id": "nadia", "email": "nadia@plant.example", "name": "Nadia", "role": "user", "issuer": issuer,
    });
    let made = admin.post("/v1/admin/users", &user).await.expect(201);
    admin.post("/v1/admin/users", &user).await.problem(409, "conflict");
    let me = app.caller("invited", "nadia", Role::User).get("/v1/me").await.expect(200);
    assert_eq!((&me["id"], &me["name"], &me["role"]), (&made["id"], &json!("Nadia"), &json!("user")));
}

#[tokio::test]
async fn another_issuers_tokens_count_and_what_is_wrong_with_one_is_never_told() {
    let issuer = Issuer::start().await;
    let app = App::start(&[("OIDC_ISSUER", &issuer.url), ("OIDC_AUDIENCE", AUDIENCE)]).await;
    let good = |changes: Value| issuer.sign(&issuer.claims(A, &changes));
    let me = app.with_token(&good(json!({}))).get("/v1/me").await.expect(200);
    assert_eq!((&me["name"], &me["role"], &me["tenant"]["slug"]), (&json!("Olga"), &json!("user"), &json!(A)));
    let list = good(json!({ "aud": ["other", AUDIENCE], "roles": ["PlatformViewer", "PlatformAdmin"], "sub": "two" }));
    assert_eq!(app.with_token(&list).get("/v1/me").await.expect(200)["role"], "admin");
    let skewed =
        issuer.claims(A, &json!({ "exp": issuer.claims(A, &json!({}))["iat"].as_i64().expect("a number") - 30 }));
    assert_eq!(
        app.with_token(&issuer.sign(&skewed)).get("/v1/me").await.status,
        200,
        "a clock may be half a minute off"
    );

    let claims = issuer.claims(A, &json!({}));
    let now = claims["iat"].as_i64().expect("a number");
    let wrong = [
        ("no signature", issuer.unsigned(&claims)),
        ("HMAC with the public key", issuer.confuse(&claims)),
        ("another key under the key's id", issuer.forge(&claims)),
        ("an unknown key", issuer.sign_with_unknown_key(&claims)),
        ("another audience", good(json!({ "aud": "api://other" }))),
        ("no audience", good(json!({ "aud": null }))),
        ("another issuer", good(json!({ "iss": "https://evil.example" }))),
        ("expired", good(json!({ "exp": now - 61 }))),
        ("no expiry", good(json!({ "exp": null }))),
        ("not yet", good(json!({ "nbf": now + 120 }))),
        ("an ID token", good(json!({ "nonce": "n-0S6_WzA2Mj" }))),
        ("no subject", good(json!({ "sub": null }))),
    ];
    let mut distinguishable = Vec::new();
    for (what, token) in &wrong {
        let answer = app.with_token(token).get("/v1/me").await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        distinguishable.push((answer.distinguishable(), answer.header("www-authenticate").map(str::to_owned)));
    }
    distinguishable.dedup();
    assert_eq!(distinguishable.len(), 1, "the answers differ: {distinguishable:?}");
    assert!(issuer.fetches() <= 2, "an unknown key is looked for once: {}", issuer.fetches());
}
