//! Administration over HTTP: decisions, settings, grants, quotas, and deactivated users and tenants.

use crate::support::api_client::{ApiClient, ApiResponse};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use fakes::eventually_within;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

async fn user_id(caller: &ApiClient<'_>) -> String {
    caller.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned()
}

fn as_text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

#[tokio::test]
async fn an_admin_reads_and_simulates_decisions() {
    let app = TestApp::shared().await;
    let (admin, user) = (app.as_admin(TENANT_A), app.as_user(TENANT_A));
    let owner = app.caller(TENANT_A, "decision-owner", Role::User);
    let uploaded = owner.upload("decision.md", &files::note("DECISION-1"), &[]).await.expect_json(202);
    let document = as_text(&uploaded["document_id"]).to_owned();
    let refusal = user.delete(&format!("/v1/documents/{document}")).await.expect_problem(403, "policy_denied");
    let decision_path = format!("/v1/admin/decisions/{}", as_text(&refusal["decision_id"]));

    let decision = admin.get(&decision_path).await.expect_json(200);
    assert_eq!(decision["rule"], "ownership", "{decision}");
    assert_eq!((&decision["resource"], &decision["operation"]), (&json!("documents"), &json!("delete")));
    assert_eq!(decision["resource_id"], json!(document));
    assert_eq!(decision["user_id"], json!(user_id(&user).await));
    assert_eq!(decision["standing"]["role"], "user");
    assert_eq!(
        decision["steps"].as_array().and_then(|steps| steps.last()).map(|step| &step["passed"]),
        Some(&json!(false))
    );
    user.get(&decision_path).await.expect_problem(403, "policy_denied");
    app.as_admin(TENANT_B).get(&decision_path).await.expect_problem(404, "not_found");

    let simulation = |operation: &str| {
        let (user, document) = (decision["user_id"].clone(), document.clone());
        json!({ "user_id": user, "resource": "documents", "operation": operation, "resource_id": document })
    };
    let simulate_path = "/v1/admin/decisions/simulate";
    let simulated = admin.post(simulate_path, &simulation("delete")).await.expect_json(200);
    assert_eq!(
        (&simulated["allowed"], &simulated["rule"], &simulated["code"]),
        (&json!(false), &json!("ownership"), &json!("policy_denied"))
    );
    assert_eq!(admin.post(simulate_path, &simulation("read")).await.expect_json(200)["allowed"], true);
    assert_eq!(owner.get(&format!("/v1/documents/{document}")).await.status, 200, "nothing was deleted");
    let invalid_simulation =
        json!({ "user_id": user_id(&user).await, "resource": "search", "operation": "read", "resource_id": document });
    let problem = admin.post(simulate_path, &invalid_simulation).await.expect_problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/resource_id");
}

#[tokio::test]
async fn every_403_has_a_decision_and_no_404_does() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    for path in ["/v1/admin/users", "/v1/admin/tenants"] {
        assert!(user.get(path).await.expect_problem(403, "policy_denied")["decision_id"].is_string(), "{path}");
    }
    let unmapped_response = app.caller("no-such-plant", "stranger", Role::Admin).get("/v1/me").await;
    assert!(unmapped_response.expect_problem(403, "tenant_unmapped")["decision_id"].is_string());
    let missing_document = "/v1/documents/00000000-0000-7000-8000-00000000dead";
    assert_eq!(user.get(missing_document).await.expect_problem(404, "not_found").get("decision_id"), None);
}

/// Repeats a request until its response satisfies `is_match`; panics after five seconds, the maximum time that a change
/// may take.
async fn wait_for_matching_response(caller: &ApiClient<'_>, path: &str, is_match: impl Fn(&Value) -> bool) {
    eventually_within(Duration::from_secs(5), &format!("{path} shows the change"), || async {
        let response = caller.get(path).await;
        (response.status == 200 && is_match(&response.json())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_merge_patch_of_a_settings_version_applies_at_once() {
    let app = TestApp::shared().await;
    app.create_tenant("settled").await;
    let (admin, user) = (app.as_admin("settled"), app.as_user("settled"));
    let mut db = SuperuserDb::connect(app).await;
    let add_unknown_setting =
        "UPDATE tenants SET config = config || '{\"future_setting\": {\"mode\": \"block\"}}' WHERE slug = 'settled'";
    db.execute(add_unknown_setting, &[]).await;
    let path = "/v1/admin/settings";
    let initial = admin.get(path).await;
    assert_eq!(initial.header("etag"), Some("\"2\""), "a change by SQL increments the version as well");
    let confidential =
        user.upload("s.md", &files::note("settled"), &[("classification", "confidential")]).await.expect_json(202);
    let document_path = format!("/v1/documents/{}", as_text(&confidential["document_id"]));
    assert_eq!(user.get(&document_path).await.status, 200, "before the change");

    let patch = json!({ "clearance": { "user": "internal" }, "role_mappings": { "g:operators": "user" } });
    let request = admin.request(Method::PATCH, path).header("if-match", "\"2\"").json(&patch);
    let changed = ApiResponse::send(request).await.expect_json(200);
    assert_eq!((&changed["version"], &changed["settings"]["clearance"]["user"]), (&json!(3), &json!("internal")));
    user.get(&document_path).await.expect_problem(404, "not_found");
    let stale_request = admin.request(Method::PATCH, path).header("if-match", "\"2\"").json(&patch);
    ApiResponse::send(stale_request).await.expect_problem(409, "stale_version");
    let revert_patch = json!({ "clearance": null, "language": "german" });
    assert_eq!(admin.patch(path, &revert_patch).await.expect_json(200)["settings"]["clearance"]["user"], Value::Null);
    assert_eq!(user.get(&document_path).await.status, 200);

    let stored_rows = db.rows("SELECT config FROM tenants WHERE slug = 'settled'", &[]).await;
    assert_eq!(
        stored_rows[0]["config"],
        json!({
            "future_setting": { "mode": "block" }, "language": "german", "role_mappings": { "g:operators": "user" },
        })
    );
    let versions = admin.get("/v1/admin/settings/versions").await.expect_json(200);
    let numbers: Vec<_> =
        versions["data"].as_array().expect("versions").iter().map(|v| v["version"].as_i64()).collect();
    assert_eq!(numbers, [Some(4), Some(3), Some(2), Some(1)]);
    assert_eq!(versions["data"][0]["changed_by"], json!(user_id(&admin).await));
    let audit = admin.get("/v1/audit?event_type=admin.settings_changed&limit=200").await.expect_json(200);
    let rows = audit["data"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["metadata"]["after"]["version"] == 3).expect("the change");
    assert_eq!(row["metadata"]["before"]["clearance"], Value::Null, "{row}");
    assert_eq!(row["metadata"]["after"]["clearance"]["user"], "internal", "{row}");

    for (invalid_patch, pointer) in [
        (json!({ "quotas": { "documents": 9 } }), "/quotas"),
        (json!({ "languages": "german" }), "/languages"),
        (json!({ "language": "klingon" }), "/language"),
        (json!({ "clearance": { "viewer": "restricted" } }), "/clearance/viewer"),
        (json!({ "clearance": { "user": "top" } }), "/clearance/user"),
        (json!({ "role_mappings": { "a": "king" } }), "/role_mappings/a"),
        (json!({ "access_token_max_days": 0 }), "/access_token_max_days"),
        (json!({ "instructions": " \n" }), "/instructions"),
        (json!({ "instructions": "x".repeat(4_001) }), "/instructions"),
    ] {
        let problem = admin.patch(path, &invalid_patch).await.expect_problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{invalid_patch}: {problem}");
    }
}

#[tokio::test]
async fn a_platform_admin_sets_limits_and_quotas_of_a_tenant_and_reads_nothing_else() {
    let app = TestApp::shared().await;
    app.create_tenant("limited").await;
    let (platform_admin, user) = (app.as_platform_admin(), app.as_user("limited"));
    let tenant = as_text(&user.get("/v1/me").await.expect_json(200)["tenant"]["id"]).to_owned();
    let path = format!("/v1/admin/tenants/{tenant}/settings");
    let patch = json!({
        "quotas": { "documents": 2, "bytes": 1_000_000 },
        "rate_limits": { "user": { "per_minute": 7, "per_hour": 70 } },
    });
    assert_eq!(platform_admin.patch(&path, &patch).await.expect_json(200)["settings"]["quotas"]["documents"], 2);
    wait_for_matching_response(&user, "/v1/me", |me| me["limits"].to_string().contains('7')).await;
    assert_eq!(
        platform_admin.get(&format!("{path}/versions")).await.expect_json(200)["data"].as_array().map(Vec::len),
        Some(2)
    );
    app.as_admin("limited").get(&path).await.expect_problem(403, "policy_denied");
    platform_admin.get("/v1/admin/users").await.expect_problem(403, "policy_denied");
    let missing_tenant = "/v1/admin/tenants/00000000-0000-7000-8000-00000000dead/settings";
    platform_admin.get(missing_tenant).await.expect_problem(404, "not_found");
    platform_admin.patch(missing_tenant, &patch).await.expect_problem(404, "not_found");

    // Two of ten concurrent uploads are accepted. After a deletion, one more is.
    let notes: Vec<_> = (0..10).map(|n| files::note(&format!("quota {n}"))).collect();
    let uploads = notes.iter().enumerate().map(|(n, note)| {
        let user = user.clone();
        async move { user.upload(&format!("q{n}.md"), note, &[]).await }
    });
    let responses = join_all(uploads).await;
    let accepted: Vec<_> = responses.iter().filter(|response| response.status == 202).collect();
    assert_eq!(accepted.len(), 2, "{responses:?}");
    for refusal in responses.iter().filter(|response| response.status != 202) {
        refusal.expect_problem(409, "quota_exceeded");
    }
    let admin = app.as_admin("limited");
    let usage = admin.get("/v1/admin/usage").await.expect_json(200);
    assert_eq!(usage["documents"], json!({ "used": 2, "allowed": 2 }), "{usage}");
    let deleted_document = format!("/v1/documents/{}", as_text(&accepted[0].json()["document_id"]));
    assert_eq!(user.delete(&deleted_document).await.status, 204);
    assert_eq!(user.upload("again.md", &files::note("quota again"), &[]).await.status, 202);
    user.upload("more.md", &files::note("quota more"), &[]).await.expect_problem(409, "quota_exceeded");
}

#[tokio::test]
async fn the_daily_token_budget_is_counted_and_enforced() {
    let model = ModelServer::start([Reply::Text(vec!["Every 14 days."])]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (platform_admin, user) = (app.as_platform_admin(), app.as_user(TENANT_A));
    let tenant = as_text(&user.get("/v1/me").await.expect_json(200)["tenant"]["id"]).to_owned();
    let settings = format!("/v1/admin/tenants/{tenant}/settings");
    let set_quota = async |tokens: u32| {
        let patch = json!({ "quotas": { "tokens_per_day": tokens } });
        platform_admin.patch(&settings, &patch).await.expect_json(200);
    };
    set_quota(2_000).await;
    let conversation = user.create_conversation().await;
    let answer = user.chat(&conversation, "How often?").await;
    assert_eq!(answer["usage"], json!({ "input_tokens": 21, "output_tokens": 7 }));
    let usage = app.as_admin(TENANT_A).get("/v1/admin/usage").await.expect_json(200);
    assert_eq!(usage["tokens_per_day"], json!({ "used": 28, "allowed": 2_000 }));
    // A turn is refused if its shortest prompt and reply, about 500 tokens, do not fit into what is left.
    set_quota(300).await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let refusal = user.post(&path, &json!({ "message": "And again?" })).await;
    refusal.expect_problem(429, "quota_exceeded");
    let retry_after_s: u64 = refusal.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=86_400).contains(&retry_after_s), "seconds until the day ends: {retry_after_s}");
    assert_eq!(model.requests().len(), 1, "the refused turn does not reach the model");
}

#[tokio::test]
async fn grants_are_set_and_the_last_admin_cannot_be_deactivated() {
    let app = TestApp::shared().await;
    app.create_tenant("granted").await;
    let (admin, viewer) = (app.as_admin("granted"), app.as_viewer("granted"));
    let path = format!("/v1/admin/users/{}", user_id(&viewer).await);
    viewer.get("/v1/admin/decisions/00000000-0000-7000-8000-00000000dead").await.expect_problem(403, "policy_denied");
    let updated_user =
        admin.patch(&path, &json!({ "grants": ["approver", "auditor", "auditor"] })).await.expect_json(200);
    assert_eq!(updated_user["grants"], json!(["auditor", "approver"]));
    assert_eq!(admin.get(&path).await.expect_json(200), updated_user);
    viewer.get("/v1/admin/decisions/00000000-0000-7000-8000-00000000dead").await.expect_problem(404, "not_found");
    let problem = admin.patch(&path, &json!({ "grants": ["platform_admin"] })).await.expect_problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/grants/0");
    let audit = admin.get("/v1/audit?event_type=admin.role_changed&limit=50").await.expect_json(200);
    let row = audit["data"].as_array().and_then(|rows| rows.iter().find(|row| row["result_status"] == "success"));
    let row = row.expect("the change");
    assert_eq!(
        row["metadata"]["before"],
        json!({ "role": "viewer", "role_pinned": false, "grants": [], "is_active": true })
    );
    assert_eq!(row["metadata"]["after"]["grants"], json!(["auditor", "approver"]));

    // Two admins deactivate each other at the same time. One of them stays active.
    app.create_tenant("duel").await;
    let (first_admin, second_admin) =
        (app.caller("duel", "one", Role::Admin), app.caller("duel", "other", Role::Admin));
    let (first_id, second_id) = (user_id(&first_admin).await, user_id(&second_admin).await);
    let mut db = SuperuserDb::connect(app).await;
    let deactivate_others = "UPDATE users SET is_active = false WHERE external_id NOT IN ('one', 'other')
                    AND tenant_id = (SELECT id FROM tenants WHERE slug = 'duel')";
    db.execute(deactivate_others, &[]).await;
    let deactivation = json!({ "is_active": false });
    let (second_admin_path, first_admin_path) =
        (format!("/v1/admin/users/{second_id}"), format!("/v1/admin/users/{first_id}"));
    let responses = tokio::join!(
        first_admin.patch(&second_admin_path, &deactivation),
        second_admin.patch(&first_admin_path, &deactivation)
    );
    let count_active_admins = "SELECT count(*) FROM users WHERE role = 'admin' AND is_active
                AND tenant_id = (SELECT id FROM tenants WHERE slug = 'duel')";
    assert_eq!(db.count(count_active_admins, &[]).await, 1, "{responses:?}");
}

#[tokio::test]
async fn a_new_classification_applies_at_once_in_search_lists_and_downloads() {
    let app = TestApp::shared().await;
    let (admin, owner) = (app.as_admin(TENANT_A), app.caller(TENANT_A, "classifier", Role::User));
    let (viewer, other_user) = (app.as_viewer(TENANT_A), app.caller(TENANT_A, "not-the-owner", Role::User));
    let ingested = owner.ingest("class.md", &files::note("CLASSIFIED-1"), &[]).await;
    let path = format!("/v1/documents/{}", as_text(&ingested["id"]));
    let search = json!({ "query": "strainer of CLASSIFIED-1", "top_k": 50 });
    let finds_document = async |caller: &ApiClient<'_>| {
        caller.post("/v1/search", &search).await.expect_json(200).to_string().contains("class.md")
    };
    assert!(finds_document(&viewer).await, "before the change");
    other_user.patch(&path, &json!({ "classification": "confidential" })).await.expect_problem(403, "policy_denied");
    let raised_response =
        owner.patch(&path, &json!({ "classification": "confidential", "title": "C", "tags": ["x"] })).await;
    assert_eq!(raised_response.expect_json(200)["classification"], "confidential");
    assert!(!finds_document(&viewer).await && finds_document(&owner).await);
    viewer.get(&format!("{path}/content")).await.expect_problem(404, "not_found");
    assert_eq!(owner.get(&format!("{path}/content")).await.status, 200);
    let problem = owner.patch(&path, &json!({ "classification": "public" })).await.expect_problem(403, "policy_denied");
    let decision =
        admin.get(&format!("/v1/admin/decisions/{}", as_text(&problem["decision_id"]))).await.expect_json(200);
    assert_eq!((&decision["rule"], &decision["reason"]), (&json!("reclassification"), &json!("declassification")));
    assert_eq!(admin.patch(&path, &json!({ "classification": "public" })).await.expect_json(200)["title"], "C");
    assert!(finds_document(&viewer).await);
    let audit = admin.get("/v1/audit?event_type=doc.update&limit=200").await.expect_json(200);
    let rows: Vec<_> = audit["data"].as_array().expect("rows").iter().map(|row| row["metadata"].clone()).collect();
    let expected_row = json!({
        "before": { "classification": "internal" }, "after": { "classification": "confidential" },
        "changed": ["title", "tags", "classification"],
    });
    assert!(rows.contains(&expected_row), "{rows:?}");
}

#[tokio::test]
async fn a_running_stream_ends_when_its_tenant_is_deactivated() {
    let model = ModelServer::start([
        Reply::PauseUntilResumed("Every ", "14 days."),
        Reply::PauseUntilResumed("Every ", "14 days."),
    ])
    .await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (user, platform_admin) = (app.as_user(TENANT_B), app.as_platform_admin());
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": "How often?" })).await;
    stream.read_until("message.delta").await;
    let tenant = as_text(&user.get("/v1/me").await.expect_json(200)["tenant"]["id"]).to_owned();
    let start = Instant::now();
    platform_admin.patch(&format!("/v1/admin/tenants/{tenant}"), &json!({ "is_active": false })).await.expect_json(200);
    let remaining_events = stream.read_to_end().await;
    let last_event = remaining_events.last().expect("a last event");
    assert_eq!((last_event.name.as_str(), &last_event.data["problem"]["code"]), ("error", &json!("tenant_suspended")));
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let refusal = user.get("/v1/me").await;
    assert!(refusal.status == 403, "{refusal:?}");
    let mut db = SuperuserDb::connect(&app).await;
    let stored_answers = db.rows("SELECT status, content FROM messages WHERE role = 'assistant'", &[]).await;
    assert_eq!(stored_answers, [json!({ "status": "cancelled", "content": "Every " })]);
}
