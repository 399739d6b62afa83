//! Personal access tokens, and mappings from claims to tenants, over HTTP.

use crate::support::app::{A, App, B};
use crate::support::caller::Caller;
use crate::support::db::SuperuserDb;
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use fakes::eventually_within;
use platform_server::config::DEVELOPMENT_ISSUER;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a change may take to apply.
const IN_FORCE: Duration = Duration::from_secs(5);

async fn until_status(caller: &Caller<'_>, path: &str, status: u16) {
    eventually_within(IN_FORCE, &format!("{path} answers {status}"), || async {
        (caller.get(path).await.status == status).then_some(())
    })
    .await;
}

async fn issued(by: &Caller<'_>, scopes: &[&str]) -> (String, String) {
    let made = by.post("/v1/tokens", &json!({ "name": "export", "scopes": scopes })).await.expect(201);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("secret"))
}

#[tokio::test]
async fn a_machine_does_what_its_token_and_its_user_may_and_makes_no_tokens() {
    let app = App::shared().await;
    let user = app.caller(A, "machinist", Role::User);
    let (id, secret) = issued(&user, &["documents:list", "documents:create", "account:read"]).await;
    assert!(secret.starts_with("plantpat_"), "{secret}");
    let machine = app.with_token(&secret);
    assert_eq!(machine.get("/v1/me").await.expect(200)["id"], user.get("/v1/me").await.expect(200)["id"]);
    machine.get("/v1/documents").await.expect(200);
    assert_eq!(machine.upload("m.md", b"# By a machine\n\nText.\n", &[]).await.status, 202);
    machine.get("/v1/conversations").await.problem(403, "policy_denied");
    machine.post("/v1/search", &json!({ "query": "bolts" })).await.problem(403, "policy_denied");
    for scopes in [json!(["documents:list"]), json!(["account:read"])] {
        let more = machine.post("/v1/tokens", &json!({ "name": "more", "scopes": scopes })).await;
        more.problem(403, "policy_denied");
    }
    machine.get("/v1/tokens").await.problem(403, "policy_denied");
    machine.delete(&format!("/v1/tokens/{id}")).await.problem(403, "policy_denied");

    let listed = user.get("/v1/tokens").await.expect(200);
    assert!(!listed.to_string().contains(&secret) && listed["data"][0]["last_used_at"].is_string(), "{listed}");
    let mut db = SuperuserDb::of(app).await;
    let stored = "SELECT count(*) FROM access_tokens WHERE access_tokens::text LIKE '%' || $1 || '%'";
    assert_eq!(db.count(stored, &[&secret]).await, 0, "the secret is not stored");
    assert_eq!(db.count(stored, &[&id]).await, 1, "control");
    let logged = "SELECT count(*) FROM audit_logs WHERE audit_logs::text LIKE '%' || $1 || '%'";
    assert_eq!(db.count(logged, &[&secret]).await, 0);
    assert!(db.count(&format!("{logged} AND event_type = 'token.issued'"), &[&id]).await >= 1);
}

/// The assistant does nothing for a token that the token does not allow.
#[tokio::test]
async fn a_machine_that_may_only_chat_reads_no_document_and_no_memory_through_a_tool() {
    let app = App::shared().await;
    let user = app.caller(A, "quiet-machine", Role::User);
    let text = b"# Strainer S-77\n\nThe strainer S-77 is cleaned every 4711 hours.\n";
    user.ingest("s77.md", text, &[]).await;
    let question = json!({ "message": "When is the strainer S-77 cleaned?", "retrieval": "always", "stream": false });
    let ask = async |by: &Caller<'_>| {
        let id = by.post("/v1/conversations", &json!({})).await.expect(201)["id"].clone();
        let path = format!("/v1/conversations/{}/chat", id.as_str().expect("an id"));
        by.post(&path, &question).await.expect(200)
    };
    let control = ask(&user).await;
    assert!(control["content"].as_str().expect("text").contains("4711"), "control: {control}");

    let (_, secret) = issued(&user, &["conversations:create"]).await;
    let machine = app.with_token(&secret);
    let answer = ask(&machine).await;
    assert!(!answer.to_string().contains("4711") && answer["citations"] == json!([]), "{answer}");

    let (_, secret) = issued(&user, &["conversations:create", "search:read"]).await;
    let answer = ask(&app.with_token(&secret)).await;
    assert!(answer["content"].as_str().expect("text").contains("4711"), "control: {answer}");

    let mut db = SuperuserDb::of(app).await;
    let denied = "SELECT count(*) FROM audit_logs WHERE event_type = 'policy.denied'
                  AND metadata ->> 'tool' = 'rag_search' AND metadata ->> 'reason' = 'token_scope'
                  AND user_id::text = $1";
    let me = user.get("/v1/me").await.expect(200)["id"].as_str().expect("an id").to_owned();
    assert_eq!(db.count(denied, &[&me]).await, 1, "the refusal is on record");
}

#[tokio::test]
async fn a_token_that_is_revoked_expired_or_its_users_no_more_is_refused_within_seconds() {
    let app = App::shared().await;
    app.make_tenant("machines").await;
    let (user, admin) = (app.as_user("machines"), app.as_admin("machines"));
    let mut db = SuperuserDb::of(app).await;
    let scopes = ["account:read", "documents:create"];
    let (revoked, secret) = issued(&user, &scopes).await;
    let machine = app.with_token(&secret);
    machine.get("/v1/me").await.expect(200);
    assert_eq!(admin.delete(&format!("/v1/tokens/{revoked}")).await.status, 204, "an admin revokes a user's");
    until_status(&machine, "/v1/me", 401).await;
    assert!(user.get("/v1/tokens").await.expect(200)["data"][0]["revoked_at"].is_string());

    let (expired, secret) = issued(&user, &scopes).await;
    let machine = app.with_token(&secret);
    machine.get("/v1/me").await.expect(200);
    db.execute("UPDATE access_tokens SET expires_at = now() WHERE id = $1::uuid", &[&expired]).await;
    until_status(&machine, "/v1/me", 401).await;

    let (_, secret) = issued(&user, &scopes).await;
    let machine = app.with_token(&secret);
    assert_eq!(machine.upload("b.md", b"# Before\n\nText.\n", &[]).await.status, 202);
    let id = user.get("/v1/me").await.expect(200)["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/admin/users/{id}");
    admin.patch(&path, &json!({ "role": "viewer" })).await.expect(200);
    machine.upload("a.md", b"# After\n\nText.\n", &[]).await.problem(403, "policy_denied");
    admin.patch(&path, &json!({ "is_active": false })).await.expect(200);
    until_status(&machine, "/v1/me", 403).await;
    app.with_token(&format!("plantpat_{}", "0".repeat(72))).get("/v1/me").await.problem(401, "invalid_token");
}

#[tokio::test]
async fn a_token_that_may_not_be_is_refused_with_its_field() {
    let app = App::shared().await;
    let user = app.caller(A, "careful", Role::User);
    for (body, pointer) in [
        (json!({ "name": "", "scopes": ["account:read"] }), "/name"),
        (json!({ "name": "n", "scopes": [] }), "/scopes"),
        (json!({ "name": "n", "scopes": ["account:read", "tenants:create"] }), "/scopes/1"),
        (json!({ "name": "n", "scopes": ["*"] }), "/scopes/0"),
        (json!({ "name": "n", "scopes": ["account:read"], "expires_in_days": 0 }), "/expires_in_days"),
        (json!({ "name": "n", "scopes": ["account:read"], "expires_in_days": 366 }), "/expires_in_days"),
    ] {
        let answer = user.post("/v1/tokens", &body).await;
        answer.problem(422, "validation");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    let me = app.as_user(B).get("/v1/me").await.expect(200);
    let others = user.get(&format!("/v1/tokens?user_id={}", me["id"].as_str().expect("an id"))).await.expect(200);
    assert_eq!(others["data"], json!([]));
}

#[tokio::test]
async fn a_mapping_that_the_platforms_admin_makes_lets_in_and_its_deletion_keeps_out() {
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("platform.toml");
    let text = format!(
        "[[auth.platform_admins]]\nissuer = \"{DEVELOPMENT_ISSUER}\"\nsubject = \"root\"\n\
         [[auth.issuers]]\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\n",
        issuer.url
    );
    std::fs::write(&file, text).expect("writable");
    let app = App::start(&[("PLATFORM_CONFIG", file.to_str().expect("UTF-8"))]).await;
    let root = app.caller(A, "root", Role::Viewer);
    let olga = app.with_token(&issuer.sign(&issuer.claims("acme-north", &json!({}))));
    olga.get("/v1/me").await.problem(403, "tenant_unmapped");

    let tenants = root.get("/v1/admin/tenants").await.expect(200);
    let of = |slug: &str| {
        let found = tenants["data"].as_array().expect("a list").iter().find(|tenant| tenant["slug"] == slug);
        format!("/v1/admin/tenants/{}/mappings", found.expect("is there")["id"].as_str().expect("an id"))
    };
    let mapping = json!({ "issuer": issuer.url, "claim": "acme-north" });
    let made = root.post(&of(B), &mapping).await.expect(201);
    assert_eq!(olga.get("/v1/me").await.expect(200)["tenant"]["slug"], B);
    root.post(&of(A), &mapping).await.problem(409, "conflict");
    let unknown = root.post(&of(A), &json!({ "issuer": "https://elsewhere.example", "claim": "x" })).await;
    unknown.problem(422, "validation");
    let nobodys = "/v1/admin/tenants/00000000-0000-7000-8000-00000000dead/mappings";
    root.post(nobodys, &json!({ "issuer": issuer.url, "claim": "y" })).await.problem(404, "not_found");
    root.get(nobodys).await.problem(404, "not_found");
    app.as_admin(A).post(&of(A), &mapping).await.problem(403, "policy_denied");

    let listed = root.get(&of(B)).await.expect(200);
    assert_eq!(listed["data"], Value::from(vec![made.clone()]));
    let path = format!("{}/{}", of(B), made["id"].as_str().expect("an id"));
    assert_eq!(root.delete(&path.replace(&of(B), &of(A))).await.status, 404, "not through another tenant");
    assert_eq!(root.delete(&path).await.status, 204);
    until_status(&olga, "/v1/me", 403).await;
    let changes = "SELECT count(*) FROM audit_logs WHERE event_type LIKE 'admin.mapping_%' AND metadata ? 'before'";
    let mut db = SuperuserDb::of(&app).await;
    assert_eq!(db.count(changes, &[]).await, 4, "each change is in the administrator's log and in the tenant's");
    let own = format!("{changes} AND tenant_id = (SELECT id FROM tenants WHERE slug = $1)");
    assert_eq!(db.count(&own, &[B]).await, 2, "in the tenant's own log");
}
