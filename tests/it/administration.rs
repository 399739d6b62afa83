//! Administration over HTTP: decisions, settings, grants, quotas, and deactivated users and tenants.

use crate::support::app::{A, App, B};
use crate::support::caller::{Answer, Caller};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use fakes::eventually_within;
use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

async fn id_of(caller: &Caller<'_>) -> String {
    caller.get("/v1/me").await.expect(200)["id"].as_str().expect("an id").to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[tokio::test]
async fn an_admin_asks_why_and_what_if() {
    let app = App::shared().await;
    let (admin, user) = (app.as_admin(A), app.as_user(A));
    let theirs = app.caller(A, "owner-of-why", Role::User);
    let uploaded = theirs.upload("why.md", &files::note("why"), &[]).await.expect(202);
    let document = text(&uploaded["document_id"]).to_owned();
    let refusal = user.delete(&format!("/v1/documents/{document}")).await.problem(403, "policy_denied");
    let address = format!("/v1/admin/decisions/{}", text(&refusal["decision_id"]));

    let told = admin.get(&address).await.expect(200);
    assert_eq!(told["rule"], "ownership", "{told}");
    assert_eq!((&told["resource"], &told["operation"]), (&json!("documents"), &json!("delete")));
    assert_eq!(told["resource_id"], json!(document));
    assert_eq!(told["user_id"], json!(id_of(&user).await));
    assert_eq!(told["standing"]["role"], "user");
    assert_eq!(
        told["steps"].as_array().and_then(|steps| steps.last()).map(|step| &step["passed"]),
        Some(&json!(false))
    );
    user.get(&address).await.problem(403, "policy_denied");
    app.as_admin(B).get(&address).await.problem(404, "not_found");

    let ask = |operation: &str| {
        let (user, document) = (told["user_id"].clone(), document.clone());
        json!({ "user_id": user, "resource": "documents", "operation": operation, "resource_id": document })
    };
    let simulate = "/v1/admin/decisions/simulate";
    let told = admin.post(simulate, &ask("delete")).await.expect(200);
    assert_eq!(
        (&told["allowed"], &told["rule"], &told["code"]),
        (&json!(false), &json!("ownership"), &json!("policy_denied"))
    );
    assert_eq!(admin.post(simulate, &ask("read")).await.expect(200)["allowed"], true);
    assert_eq!(theirs.get(&format!("/v1/documents/{document}")).await.status, 200, "nothing was deleted");
    let odd =
        json!({ "user_id": id_of(&user).await, "resource": "search", "operation": "read", "resource_id": document });
    let problem = admin.post(simulate, &odd).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/resource_id");
}

#[tokio::test]
async fn every_403_has_a_decision_and_no_404_does() {
    let app = App::shared().await;
    let user = app.as_user(A);
    for path in ["/v1/admin/users", "/v1/admin/tenants"] {
        assert!(user.get(path).await.problem(403, "policy_denied")["decision_id"].is_string(), "{path}");
    }
    let unmapped = app.caller("no-such-plant", "stranger", Role::Admin).get("/v1/me").await;
    assert!(unmapped.problem(403, "tenant_unmapped")["decision_id"].is_string());
    let absent = "/v1/documents/00000000-0000-7000-8000-00000000dead";
    assert_eq!(user.get(absent).await.problem(404, "not_found").get("decision_id"), None);
}

/// Repeats a request until its response satisfies `holds`; fails after five seconds, the most that a change may take.
async fn until(caller: &Caller<'_>, path: &str, holds: impl Fn(&Value) -> bool) {
    eventually_within(Duration::from_secs(5), &format!("{path} shows the change"), || async {
        let answer = caller.get(path).await;
        (answer.status == 200 && holds(&answer.json())).then_some(())
    })
    .await;
}

#[tokio::test]
async fn settings_change_by_merge_patch_and_version_and_hold_at_once() {
    let app = App::shared().await;
    app.make_tenant("settled").await;
    let (admin, user) = (app.as_admin("settled"), app.as_user("settled"));
    let mut db = SuperuserDb::of(app).await;
    let kept =
        "UPDATE tenants SET config = config || '{\"pii_sanitization\": {\"mode\": \"block\"}}' WHERE slug = 'settled'";
    db.execute(kept, &[]).await;
    let path = "/v1/admin/settings";
    let before = admin.get(path).await;
    assert_eq!(before.header("etag"), Some("\"2\""), "a change by SQL increments the version as well");
    let secret = user.upload("s.md", &files::note("settled"), &[("classification", "confidential")]).await.expect(202);
    let document = format!("/v1/documents/{}", text(&secret["document_id"]));
    assert_eq!(user.get(&document).await.status, 200, "control");

    let patch = json!({ "clearance": { "user": "internal" }, "role_mappings": { "g:operators": "user" } });
    let request = admin.request(Method::PATCH, path).header("if-match", "\"2\"").json(&patch);
    let changed = Answer::of(request).await.expect(200);
    assert_eq!((&changed["version"], &changed["settings"]["clearance"]["user"]), (&json!(3), &json!("internal")));
    user.get(&document).await.problem(404, "not_found");
    let late = admin.request(Method::PATCH, path).header("if-match", "\"2\"").json(&patch);
    Answer::of(late).await.problem(409, "stale_version");
    let back = json!({ "clearance": null, "language": "german" });
    assert_eq!(admin.patch(path, &back).await.expect(200)["settings"]["clearance"]["user"], Value::Null);
    assert_eq!(user.get(&document).await.status, 200);

    let stored = db.rows("SELECT config FROM tenants WHERE slug = 'settled'", &[]).await;
    assert_eq!(
        stored[0]["config"],
        json!({
            "pii_sanitization": { "mode": "block" }, "language": "german", "role_mappings": { "g:operators": "user" },
        })
    );
    let versions = admin.get("/v1/admin/settings/versions").await.expect(200);
    let numbers: Vec<_> =
        versions["data"].as_array().expect("versions").iter().map(|v| v["version"].as_i64()).collect();
    assert_eq!(numbers, [Some(4), Some(3), Some(2), Some(1)]);
    assert_eq!(versions["data"][0]["changed_by"], json!(id_of(&admin).await));
    let audit = admin.get("/v1/audit?event_type=admin.settings_changed&limit=200").await.expect(200);
    let rows = audit["data"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["metadata"]["after"]["version"] == 3).expect("the change");
    assert_eq!(row["metadata"]["before"]["clearance"], Value::Null, "{row}");
    assert_eq!(row["metadata"]["after"]["clearance"]["user"], "internal", "{row}");

    for (wrong, pointer) in [
        (json!({ "quotas": { "documents": 9 } }), "/quotas"),
        (json!({ "languages": "german" }), "/languages"),
        (json!({ "language": "klingon" }), "/language"),
        (json!({ "clearance": { "viewer": "restricted" } }), "/clearance/viewer"),
        (json!({ "clearance": { "user": "top" } }), "/clearance/user"),
        (json!({ "role_mappings": { "a": "king" } }), "/role_mappings/a"),
        (json!({ "access_token_max_days": 0 }), "/access_token_max_days"),
    ] {
        let problem = admin.patch(path, &wrong).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{wrong}: {problem}");
    }
}

#[tokio::test]
async fn the_platforms_admin_sets_limits_and_quotas_of_a_tenant_and_reads_nothing_else() {
    let app = App::shared().await;
    app.make_tenant("limited").await;
    let (root, user) = (app.as_platform_admin(), app.as_user("limited"));
    let tenant = text(&user.get("/v1/me").await.expect(200)["tenant"]["id"]).to_owned();
    let path = format!("/v1/admin/tenants/{tenant}/settings");
    let patch = json!({
        "quotas": { "documents": 2, "bytes": 1_000_000 },
        "rate_limits": { "user": { "per_minute": 7, "per_hour": 70 } },
    });
    assert_eq!(root.patch(&path, &patch).await.expect(200)["settings"]["quotas"]["documents"], 2);
    until(&user, "/v1/me", |me| me["limits"].to_string().contains('7')).await;
    assert_eq!(root.get(&format!("{path}/versions")).await.expect(200)["data"].as_array().map(Vec::len), Some(2));
    app.as_admin("limited").get(&path).await.problem(403, "policy_denied");
    root.get("/v1/admin/users").await.problem(403, "policy_denied");
    let nobody = "/v1/admin/tenants/00000000-0000-7000-8000-00000000dead/settings";
    root.get(nobody).await.problem(404, "not_found");
    root.patch(nobody, &patch).await.problem(404, "not_found");

    // Two of ten concurrent uploads are accepted; a deletion makes room for another one.
    let notes: Vec<_> = (0..10).map(|n| files::note(&format!("quota {n}"))).collect();
    let uploads = notes.iter().enumerate().map(|(n, note)| {
        let user = user.clone();
        async move { user.upload(&format!("q{n}.md"), note, &[]).await }
    });
    let answers = join_all(uploads).await;
    let accepted: Vec<_> = answers.iter().filter(|answer| answer.status == 202).collect();
    assert_eq!(accepted.len(), 2, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        refused.problem(409, "quota_exceeded");
    }
    let admin = app.as_admin("limited");
    let usage = admin.get("/v1/admin/usage").await.expect(200);
    assert_eq!(usage["documents"], json!({ "used": 2, "allowed": 2 }), "{usage}");
    let gone = format!("/v1/documents/{}", text(&accepted[0].json()["document_id"]));
    assert_eq!(user.delete(&gone).await.status, 204);
    assert_eq!(user.upload("again.md", &files::note("quota again"), &[]).await.status, 202);
    user.upload("more.md", &files::note("quota more"), &[]).await.problem(409, "quota_exceeded");
}

#[tokio::test]
async fn tokens_of_a_day_are_counted_and_end() {
    let model = ModelServer::start([Reply::Text(vec!["Every 14 days."])]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (root, user) = (app.as_platform_admin(), app.as_user(A));
    let tenant = text(&user.get("/v1/me").await.expect(200)["tenant"]["id"]).to_owned();
    // Enough for one short answer.
    let patch = json!({ "quotas": { "tokens_per_day": 590 } });
    root.patch(&format!("/v1/admin/tenants/{tenant}/settings"), &patch).await.expect(200);
    let conversation = user.conversation().await;
    let answer = user.chat(&conversation, "How often?").await;
    assert_eq!(answer["usage"], json!({ "input_tokens": 21, "output_tokens": 7 }));
    let usage = app.as_admin(A).get("/v1/admin/usage").await.expect(200);
    assert_eq!(usage["tokens_per_day"], json!({ "used": 28, "allowed": 590 }));
    let path = format!("/v1/conversations/{conversation}/chat");
    let refused = user.post(&path, &json!({ "message": "And again?" })).await;
    refused.problem(429, "quota_exceeded");
    let wait: u64 = refused.header("retry-after").and_then(|s| s.parse().ok()).expect("seconds");
    assert!((1..=86_400).contains(&wait), "seconds until the day ends: {wait}");
    assert_eq!(model.asked().len(), 1, "the refused turn does not reach the model");
}

#[tokio::test]
async fn grants_are_given_and_the_last_admin_stays() {
    let app = App::shared().await;
    app.make_tenant("granted").await;
    let (admin, viewer) = (app.as_admin("granted"), app.as_viewer("granted"));
    let path = format!("/v1/admin/users/{}", id_of(&viewer).await);
    viewer.get("/v1/admin/decisions/00000000-0000-7000-8000-00000000dead").await.problem(403, "policy_denied");
    let given = admin.patch(&path, &json!({ "grants": ["approver", "auditor", "auditor"] })).await.expect(200);
    assert_eq!(given["grants"], json!(["auditor", "approver"]));
    assert_eq!(admin.get(&path).await.expect(200), given);
    viewer.get("/v1/admin/decisions/00000000-0000-7000-8000-00000000dead").await.problem(404, "not_found");
    let problem = admin.patch(&path, &json!({ "grants": ["platform_admin"] })).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["pointer"], "/grants/0");
    let audit = admin.get("/v1/audit?event_type=admin.role_changed&limit=50").await.expect(200);
    let row = audit["data"].as_array().and_then(|rows| rows.iter().find(|row| row["result_status"] == "success"));
    let row = row.expect("the change");
    assert_eq!(
        row["metadata"]["before"],
        json!({ "role": "viewer", "role_pinned": false, "grants": [], "is_active": true })
    );
    assert_eq!(row["metadata"]["after"]["grants"], json!(["auditor", "approver"]));

    // Two admins deactivate each other at the same time: one of them remains.
    app.make_tenant("duel").await;
    let (one, other) = (app.caller("duel", "one", Role::Admin), app.caller("duel", "other", Role::Admin));
    let (of_one, of_other) = (id_of(&one).await, id_of(&other).await);
    let mut db = SuperuserDb::of(app).await;
    let only_two = "UPDATE users SET is_active = false WHERE external_id NOT IN ('one', 'other')
                    AND tenant_id = (SELECT id FROM tenants WHERE slug = 'duel')";
    db.execute(only_two, &[]).await;
    let off = json!({ "is_active": false });
    let (first, second) = (format!("/v1/admin/users/{of_other}"), format!("/v1/admin/users/{of_one}"));
    let ends = tokio::join!(one.patch(&first, &off), other.patch(&second, &off));
    let left = "SELECT count(*) FROM users WHERE role = 'admin' AND is_active
                AND tenant_id = (SELECT id FROM tenants WHERE slug = 'duel')";
    assert_eq!(db.count(left, &[]).await, 1, "{ends:?}");
}

#[tokio::test]
async fn a_new_classification_holds_at_once_in_search_lists_and_downloads() {
    let app = App::shared().await;
    let (admin, owner) = (app.as_admin(A), app.caller(A, "classifier", Role::User));
    let (viewer, other) = (app.as_viewer(A), app.caller(A, "no-owner", Role::User));
    let ingested = owner.ingest("class.md", &files::note("CLASSIFIED-1"), &[]).await;
    let path = format!("/v1/documents/{}", text(&ingested["id"]));
    let search = json!({ "query": "strainer of CLASSIFIED-1", "top_k": 50 });
    let finds = async |caller: &Caller<'_>| {
        caller.post("/v1/search", &search).await.expect(200).to_string().contains("class.md")
    };
    assert!(finds(&viewer).await, "control");
    other.patch(&path, &json!({ "classification": "confidential" })).await.problem(403, "policy_denied");
    let raised = owner.patch(&path, &json!({ "classification": "confidential", "title": "C", "tags": ["x"] })).await;
    assert_eq!(raised.expect(200)["classification"], "confidential");
    assert!(!finds(&viewer).await && finds(&owner).await);
    viewer.get(&format!("{path}/content")).await.problem(404, "not_found");
    assert_eq!(owner.get(&format!("{path}/content")).await.status, 200);
    let refused = owner.patch(&path, &json!({ "classification": "public" })).await.problem(403, "policy_denied");
    let why = admin.get(&format!("/v1/admin/decisions/{}", text(&refused["decision_id"]))).await.expect(200);
    assert_eq!((&why["rule"], &why["reason"]), (&json!("reclassification"), &json!("declassification")));
    assert_eq!(admin.patch(&path, &json!({ "classification": "public" })).await.expect(200)["title"], "C");
    assert!(finds(&viewer).await);
    let audit = admin.get("/v1/audit?event_type=doc.update&limit=200").await.expect(200);
    let rows: Vec<_> = audit["data"].as_array().expect("rows").iter().map(|row| row["metadata"].clone()).collect();
    let raised = json!({
        "before": { "classification": "internal" }, "after": { "classification": "confidential" },
        "changed": ["title", "tags", "classification"],
    });
    assert!(rows.contains(&raised), "{rows:?}");
}

#[tokio::test]
async fn a_running_stream_ends_when_its_tenant_is_switched_off() {
    let model = ModelServer::start([Reply::Pause("Every ", "14 days."), Reply::Pause("Every ", "14 days.")]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (user, root) = (app.as_user(B), app.as_platform_admin());
    let conversation = user.conversation().await;
    let mut stream = user.begin_stream(&conversation, &json!({ "message": "How often?" })).await;
    stream.until("message.delta").await;
    let tenant = text(&user.get("/v1/me").await.expect(200)["tenant"]["id"]).to_owned();
    let begun = Instant::now();
    root.patch(&format!("/v1/admin/tenants/{tenant}"), &json!({ "is_active": false })).await.expect(200);
    let rest = stream.rest().await;
    let last = rest.last().expect("an end");
    assert_eq!((last.name.as_str(), &last.data["problem"]["code"]), ("error", &json!("tenant_suspended")));
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let refused = user.get("/v1/me").await;
    assert!(refused.status == 403, "{refused:?}");
    let mut db = SuperuserDb::of(&app).await;
    let stored = db.rows("SELECT status, content FROM messages WHERE role = 'assistant'", &[]).await;
    assert_eq!(stored, [json!({ "status": "cancelled", "content": "Every " })]);
}
