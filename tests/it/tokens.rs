//! Personal access tokens, and mappings from claims to tenants, over HTTP.

use crate::support::api_client::ApiClient;
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use fakes::eventually_within;
use platform_server::config::DEVELOPMENT_ISSUER;
use serde_json::{Value, json};
use std::time::Duration;

/// How long a change may take to apply.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

async fn wait_for_status(caller: &ApiClient<'_>, path: &str, status: u16) {
    eventually_within(CHANGE_TIMEOUT, &format!("{path} responds with {status}"), || async {
        (caller.get(path).await.status == status).then_some(())
    })
    .await;
}

async fn create_access_token(caller: &ApiClient<'_>, scopes: &[&str]) -> (String, String) {
    let access_token = caller.post("/v1/tokens", &json!({ "name": "export", "scopes": scopes })).await.expect_json(201);
    let text = |name: &str| access_token[name].as_str().expect("a string").to_owned();
    (text("id"), text("secret"))
}

#[tokio::test]
async fn an_access_token_allows_what_its_scopes_and_its_user_allow_and_creates_no_tokens() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "machinist", Role::User);
    let (id, secret) = create_access_token(&user, &["documents:list", "documents:create", "account:read"]).await;
    assert!(secret.starts_with("plantpat_"), "{secret}");
    let machine = app.with_token(&secret);
    assert_eq!(machine.get("/v1/me").await.expect_json(200)["id"], user.get("/v1/me").await.expect_json(200)["id"]);
    machine.get("/v1/documents").await.expect_json(200);
    assert_eq!(machine.upload("m.md", b"# By a machine\n\nText.\n", &[]).await.status, 202);
    machine.get("/v1/conversations").await.expect_problem(403, "policy_denied");
    machine.post("/v1/search", &json!({ "query": "bolts" })).await.expect_problem(403, "policy_denied");
    for scopes in [json!(["documents:list"]), json!(["account:read"])] {
        let response = machine.post("/v1/tokens", &json!({ "name": "more", "scopes": scopes })).await;
        response.expect_problem(403, "policy_denied");
    }
    machine.get("/v1/tokens").await.expect_problem(403, "policy_denied");
    machine.delete(&format!("/v1/tokens/{id}")).await.expect_problem(403, "policy_denied");

    let listed = user.get("/v1/tokens").await.expect_json(200);
    assert!(!listed.to_string().contains(&secret) && listed["data"][0]["last_used_at"].is_string(), "{listed}");
    let mut db = SuperuserDb::connect(app).await;
    let count_tokens_containing = "SELECT count(*) FROM access_tokens WHERE access_tokens::text LIKE '%' || $1 || '%'";
    assert_eq!(db.count(count_tokens_containing, &[&secret]).await, 0, "the secret is not stored");
    assert_eq!(db.count(count_tokens_containing, &[&id]).await, 1, "the query finds the id");
    let count_audit_rows_containing = "SELECT count(*) FROM audit_logs WHERE audit_logs::text LIKE '%' || $1 || '%'";
    assert_eq!(db.count(count_audit_rows_containing, &[&secret]).await, 0);
    assert!(db.count(&format!("{count_audit_rows_containing} AND event_type = 'token.issued'"), &[&id]).await >= 1);
}

/// The assistant's tools are limited by the scopes of the token.
#[tokio::test]
async fn an_access_token_for_chat_reads_no_document_through_a_tool() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "quiet-machine", Role::User);
    let text = b"# Strainer S-77\n\nThe strainer S-77 is cleaned every 4711 hours.\n";
    user.ingest("s77.md", text, &[]).await;
    let question = json!({ "message": "When is the strainer S-77 cleaned?", "retrieval": "always", "stream": false });
    let send_question = async |caller: &ApiClient<'_>| {
        let id = caller.post("/v1/conversations", &json!({})).await.expect_json(201)["id"].clone();
        let path = format!("/v1/conversations/{}/chat", id.as_str().expect("an id"));
        caller.post(&path, &question).await.expect_json(200)
    };
    let users_answer = send_question(&user).await;
    assert!(users_answer["content"].as_str().expect("text").contains("4711"), "{users_answer}");

    let (_, secret) = create_access_token(&user, &["conversations:create"]).await;
    let machine = app.with_token(&secret);
    let answer = send_question(&machine).await;
    assert!(!answer.to_string().contains("4711") && answer["citations"] == json!([]), "{answer}");

    let (_, secret) = create_access_token(&user, &["conversations:create", "search:read"]).await;
    let answer = send_question(&app.with_token(&secret)).await;
    assert!(answer["content"].as_str().expect("text").contains("4711"), "with the scope search:read: {answer}");

    let mut db = SuperuserDb::connect(app).await;
    let count_refusals = "SELECT count(*) FROM audit_logs WHERE event_type = 'policy.denied'
                  AND metadata ->> 'tool' = 'rag_search' AND metadata ->> 'reason' = 'token_scope'
                  AND user_id::text = $1";
    let user_id = user.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned();
    assert_eq!(db.count(count_refusals, &[&user_id]).await, 1, "the refusal is in the audit log");
}

#[tokio::test]
async fn a_token_is_refused_within_seconds_once_revoked_or_expired_or_its_user_is_deactivated() {
    let app = TestApp::shared().await;
    app.create_tenant("machines").await;
    let (user, admin) = (app.as_user("machines"), app.as_admin("machines"));
    let mut db = SuperuserDb::connect(app).await;
    let scopes = ["account:read", "documents:create"];
    let (revoked_id, secret) = create_access_token(&user, &scopes).await;
    let machine = app.with_token(&secret);
    machine.get("/v1/me").await.expect_json(200);
    assert_eq!(
        admin.delete(&format!("/v1/tokens/{revoked_id}")).await.status,
        204,
        "an admin may revoke a user's token"
    );
    wait_for_status(&machine, "/v1/me", 401).await;
    assert!(user.get("/v1/tokens").await.expect_json(200)["data"][0]["revoked_at"].is_string());

    let (expired_id, secret) = create_access_token(&user, &scopes).await;
    let machine = app.with_token(&secret);
    machine.get("/v1/me").await.expect_json(200);
    db.execute("UPDATE access_tokens SET expires_at = now() WHERE id = $1::uuid", &[&expired_id]).await;
    wait_for_status(&machine, "/v1/me", 401).await;

    let (_, secret) = create_access_token(&user, &scopes).await;
    let machine = app.with_token(&secret);
    assert_eq!(machine.upload("b.md", b"# Before\n\nText.\n", &[]).await.status, 202);
    let id = user.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/admin/users/{id}");
    admin.patch(&path, &json!({ "role": "viewer" })).await.expect_json(200);
    machine.upload("a.md", b"# After\n\nText.\n", &[]).await.expect_problem(403, "policy_denied");
    admin.patch(&path, &json!({ "is_active": false })).await.expect_json(200);
    wait_for_status(&machine, "/v1/me", 403).await;
    app.with_token(&format!("plantpat_{}", "0".repeat(72))).get("/v1/me").await.expect_problem(401, "invalid_token");
}

#[tokio::test]
async fn an_invalid_token_request_is_refused_with_a_pointer_to_the_field() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "careful", Role::User);
    for (body, pointer) in [
        (json!({ "name": "", "scopes": ["account:read"] }), "/name"),
        (json!({ "name": "n", "scopes": [] }), "/scopes"),
        (json!({ "name": "n", "scopes": ["account:read", "tenants:create"] }), "/scopes/1"),
        (json!({ "name": "n", "scopes": ["*"] }), "/scopes/0"),
        (json!({ "name": "n", "scopes": ["account:read"], "expires_in_days": 0 }), "/expires_in_days"),
        (json!({ "name": "n", "scopes": ["account:read"], "expires_in_days": 366 }), "/expires_in_days"),
    ] {
        let answer = user.post("/v1/tokens", &body).await;
        answer.expect_problem(422, "validation");
        assert_eq!(answer.json()["errors"][0]["pointer"], pointer, "{body}");
    }
    let me = app.as_user(TENANT_B).get("/v1/me").await.expect_json(200);
    let others = user.get(&format!("/v1/tokens?user_id={}", me["id"].as_str().expect("an id"))).await.expect_json(200);
    assert_eq!(others["data"], json!([]));
}

#[tokio::test]
async fn users_of_a_mapped_claim_have_access_until_the_mapping_is_deleted() {
    let issuer = Issuer::start().await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("platform.toml");
    let text = format!(
        "[[auth.platform_admins]]\nissuer = \"{DEVELOPMENT_ISSUER}\"\nsubject = \"root\"\n\
         [[auth.issuers]]\nissuer = \"{}\"\naudiences = [\"{AUDIENCE}\"]\n",
        issuer.url
    );
    std::fs::write(&file, text).expect("writable");
    let app = TestApp::start(&[("PLATFORM_CONFIG", file.to_str().expect("UTF-8"))]).await;
    let platform_admin = app.caller(TENANT_A, "root", Role::Viewer);
    let olga = app.with_token(&issuer.sign(&issuer.claims("acme-north", &json!({}))));
    olga.get("/v1/me").await.expect_problem(403, "tenant_unmapped");

    let tenants = platform_admin.get("/v1/admin/tenants").await.expect_json(200);
    let mappings_path = |slug: &str| {
        let found = tenants["data"].as_array().expect("a list").iter().find(|tenant| tenant["slug"] == slug);
        format!("/v1/admin/tenants/{}/mappings", found.expect("the tenant")["id"].as_str().expect("an id"))
    };
    let mapping = json!({ "issuer": issuer.url, "claim": "acme-north" });
    let new_mapping = platform_admin.post(&mappings_path(TENANT_B), &mapping).await.expect_json(201);
    assert_eq!(olga.get("/v1/me").await.expect_json(200)["tenant"]["slug"], TENANT_B);
    platform_admin.post(&mappings_path(TENANT_A), &mapping).await.expect_problem(409, "conflict");
    let unknown_issuer = platform_admin
        .post(&mappings_path(TENANT_A), &json!({ "issuer": "https://elsewhere.example", "claim": "x" }))
        .await;
    unknown_issuer.expect_problem(422, "validation");
    let missing_tenant_path = "/v1/admin/tenants/00000000-0000-7000-8000-00000000dead/mappings";
    platform_admin
        .post(missing_tenant_path, &json!({ "issuer": issuer.url, "claim": "y" }))
        .await
        .expect_problem(404, "not_found");
    platform_admin.get(missing_tenant_path).await.expect_problem(404, "not_found");
    app.as_admin(TENANT_A).post(&mappings_path(TENANT_A), &mapping).await.expect_problem(403, "policy_denied");

    let listed = platform_admin.get(&mappings_path(TENANT_B)).await.expect_json(200);
    assert_eq!(listed["data"], Value::from(vec![new_mapping.clone()]));
    let path = format!("{}/{}", mappings_path(TENANT_B), new_mapping["id"].as_str().expect("an id"));
    assert_eq!(
        platform_admin.delete(&path.replace(&mappings_path(TENANT_B), &mappings_path(TENANT_A))).await.status,
        404,
        "a mapping cannot be deleted through another tenant"
    );
    assert_eq!(platform_admin.delete(&path).await.status, 204);
    wait_for_status(&olga, "/v1/me", 403).await;
    let count_changes =
        "SELECT count(*) FROM audit_logs WHERE event_type LIKE 'admin.mapping_%' AND metadata ? 'before'";
    let mut db = SuperuserDb::connect(&app).await;
    assert_eq!(
        db.count(count_changes, &[]).await,
        4,
        "each change is in the logs of the administrator and of the tenant"
    );
    let count_changes_of_tenant = format!("{count_changes} AND tenant_id = (SELECT id FROM tenants WHERE slug = $1)");
    assert_eq!(db.count(&count_changes_of_tenant, &[TENANT_B]).await, 2, "both changes are in the log of the tenant");
}
