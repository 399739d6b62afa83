//! Privacy rules from both sides: what the model server receives, and what the user reads.

use crate::support::api_client::{ApiClient, ApiResponse, answer_text};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually_within;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const CHAT_PATH: &str = "/openai/v1/chat/completions";
const EMAIL: &str = "k.brandt@northwind.example";
const TUNING_SET: &str = include_str!("../../crates/model-client/testdata/privacy/tuning.txt");

/// A line of the tuning set: a message, and the one value in it that must be redacted.
struct LabeledMessage {
    message: String,
    value: String,
}

/// Every `step`th line of the tuning set that has exactly one value, no escape sequence, and nothing that the platform
/// removes from answers, such as links.
fn labeled_messages(step: usize) -> Vec<LabeledMessage> {
    let excluded = ['\\', '<', ']', '/'];
    let lines = TUNING_SET
        .lines()
        .filter(|line| !line.starts_with('#') && !line.contains(excluded) && !line.contains("mailto"));
    let parse = |line: &str| {
        let (before, rest) = line.split_once("{{")?;
        let (label, after) = rest.split_once("}}")?;
        let (_, value) = label.split_once('|')?;
        let message = format!("{before}{value}{after}");
        (!after.contains("{{")).then(|| LabeledMessage { message, value: value.to_owned() })
    };
    lines.filter_map(parse).step_by(step).collect()
}

async fn app_with(model: &ModelServer) -> TestApp {
    TestApp::start(&[("LITELLM_BASE_URL", &model.url), ("PLATFORM__MODELS__EMBED_SOURCE", "remote")]).await
}

/// Sets the privacy rules of a tenant.
async fn set_rules(app: &TestApp, tenant: &str, rules: Value) {
    let admin = app.as_admin(tenant);
    let answer = admin.patch("/v1/admin/settings", &json!({ "pii_sanitization": rules })).await.expect_json(200);
    assert_eq!(answer["settings"]["pii_sanitization"]["enabled"], rules["enabled"], "{answer}");
}

/// All requests that the model server has received, as one text.
fn requests_as_text(model: &ModelServer) -> String {
    [model.requests(), model.embed_requests()].concat().iter().map(Value::to_string).collect::<Vec<_>>().join("\n")
}

async fn ask(caller: &ApiClient<'_>, conversation: &str, message: &str) -> Value {
    let body = json!({ "message": message, "stream": false, "retrieval": "never" });
    caller.post(&format!("/v1/conversations/{conversation}/chat"), &body).await.expect_json(200)
}

#[tokio::test]
async fn no_labeled_value_reaches_the_model_and_the_user_reads_all_of_them() {
    let model = ModelServer::start_with_default(Reply::Echo(3)).await;
    let app = app_with(&model).await;
    set_rules(&app, TENANT_A, json!({ "enabled": true, "action": "redact" })).await;
    let user = app.as_user(TENANT_A);
    let (mut checked, mut db) = (0, SuperuserDb::connect(&app).await);
    for (index, LabeledMessage { message, value }) in labeled_messages(6).into_iter().enumerate() {
        let conversation = user.create_conversation().await;
        let request_index = model.requests().len();
        let answer = if index % 2 == 0 {
            let body = json!({ "message": message, "retrieval": "never" });
            answer_text(&user.start_stream(&conversation, &body).await.read_to_end().await)
        } else {
            ask(&user, &conversation, &message).await["content"].as_str().expect("an answer").to_owned()
        };
        let request = &model.requests()[request_index];
        assert!(!request.to_string().contains(&value), "{value} reached the model in {request}");
        assert!(answer.contains(&value), "{value} is not restored in {answer}");
        checked += 1;
    }
    assert!(checked >= 80, "{checked}");
    let audit = db.rows("SELECT metadata::text AS metadata FROM audit_logs", &[]).await;
    let audit: String = audit.iter().map(Value::to_string).collect();
    for LabeledMessage { value, .. } in labeled_messages(6) {
        assert!(value.len() < 8 || !audit.contains(&value), "{value} is in the audit log");
    }
    assert!(audit.contains("replaced"), "{audit}");
}

#[tokio::test]
async fn a_value_has_one_placeholder_throughout_its_conversation() {
    let model = ModelServer::start_with_default(Reply::Echo(5)).await;
    let app = app_with(&model).await;
    let replica = app.start_replica(&[("LITELLM_BASE_URL", &model.url)]).await;
    set_rules(&app, TENANT_A, json!({ "enabled": true })).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    ask(&user, &conversation, &format!("Write to {EMAIL}.")).await;
    ask(&replica.as_user(TENANT_A), &conversation, &format!("Again to {EMAIL}.")).await;
    let other = user.create_conversation().await;
    ask(&user, &other, &format!("Write to {EMAIL}.")).await;
    let placeholder = |index: usize| {
        let request = model.requests()[index].to_string();
        let start = request.rfind("[EMAIL_").unwrap_or_else(|| panic!("no placeholder: {request}"));
        request[start..start + "[EMAIL_BCDFGH]".len()].to_owned()
    };
    assert_eq!(placeholder(0), placeholder(1));
    assert_ne!(placeholder(0), placeholder(2));
    assert_eq!(model.requests()[1].to_string().matches(&placeholder(0)).count(), 3, "in two questions and one answer");
    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(stored["messages"][1]["content"].as_str(), Some(format!("Write to {EMAIL}.").as_str()), "{stored}");
}

#[tokio::test]
async fn values_of_openai_clients_are_redacted_and_restored_too() {
    let model = ModelServer::start_with_default(Reply::Echo(2)).await;
    let app = app_with(&model).await;
    set_rules(&app, TENANT_A, json!({ "enabled": true, "custom": [{ "name": "project", "pattern": "PRJ-[0-9]+" }] }))
        .await;
    let user = app.as_user(TENANT_A);
    for (name, stream) in [("fast-direct", false), ("fast-direct", true), ("auto", false), ("auto", true)] {
        let body = json!({
            "model": name, "stream": stream, "retrieval": "never",
            "messages": [{ "role": "user", "content": format!("{EMAIL} works on PRJ-4471.") }],
        });
        let answer = ApiResponse::send(user.request(Method::POST, CHAT_PATH).json(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let text: String = if stream {
            let chunks = answer.text();
            let chunks =
                chunks.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
            chunks.filter_map(|chunk| Some(chunk["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
        } else {
            answer.json()["choices"][0]["message"]["content"].as_str().expect("an answer").to_owned()
        };
        assert!(text.contains(EMAIL) && text.contains("PRJ-4471"), "{text}");
    }
    let body = json!({ "model": "embed", "input": [format!("ask {EMAIL}"), "PRJ-4471"] });
    user.post("/openai/v1/embeddings", &body).await.expect_json(200);
    user.post("/v1/search", &json!({ "query": format!("who is {EMAIL}") })).await.expect_json(200);
    let note = format!("# Contacts\n\nThe planner of PRJ-4471 is {EMAIL}.\n");
    user.ingest("contacts.md", note.as_bytes(), &[]).await;
    let sent = requests_as_text(&model);
    assert!(!sent.contains(EMAIL) && !sent.contains("PRJ-4471"), "{sent}");
    assert!(model.embed_requests().len() >= 3, "a query, a search and a passage");
    let found = user.post("/v1/search", &json!({ "query": "planner contacts" })).await.expect_json(200);
    assert!(found["results"][0]["content"].as_str().is_some_and(|text| text.contains(EMAIL)), "{found}");
}

#[tokio::test]
async fn the_action_warn_reports_the_pattern_and_block_refuses_the_request() {
    let model = ModelServer::start_with_default(Reply::Echo(9)).await;
    let app = app_with(&model).await;
    let message = format!("Write to {EMAIL} at 10.44.3.118.");
    set_rules(&app, TENANT_A, json!({ "enabled": true, "action": "warn", "patterns": ["email"] })).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let events = user.chat_events(&conversation, &message).await;
    assert_eq!(events[0].data["warnings"], json!([{ "code": "pii", "pattern": "email" }]));
    assert!(model.requests()[0].to_string().contains(EMAIL));

    set_rules(&app, TENANT_A, json!({ "enabled": true, "action": "block", "patterns": ["ip_address", "email"] })).await;
    let requests_before = requests_as_text(&model);
    let path = format!("/v1/conversations/{conversation}/chat");
    let problem = user.post(&path, &json!({ "message": message })).await.expect_problem(422, "pii_blocked");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("email")), "{problem}");
    user.post("/v1/search", &json!({ "query": EMAIL })).await.expect_problem(422, "pii_blocked");
    let direct_request = json!({ "model": "fast-direct", "messages": [{ "role": "user", "content": message }] });
    let refused = user.post(CHAT_PATH, &direct_request).await.expect_json(400);
    assert_eq!(refused["error"]["code"], "pii_blocked");
    let embed = json!({ "model": "embed", "input": EMAIL });
    assert_eq!(user.post("/openai/v1/embeddings", &embed).await.expect_json(400)["error"]["code"], "pii_blocked");
    assert_eq!(requests_as_text(&model), requests_before, "nothing may reach the model");
    // The message that was stored while the action was `warn` is redacted now, and does not block the turn.
    ask(&user, &conversation, "Go on.").await;
    assert!(!model.requests().last().expect("a request").to_string().contains(EMAIL));
    let mut db = SuperuserDb::connect(&app).await;
    let count_refusals = "SELECT count(*) FROM audit_logs WHERE metadata->'privacy'->'found'->>'email' = '1' \
                AND metadata->>'reason' = 'pii_blocked'";
    eventually_within(Duration::from_secs(5), "the refusals are recorded with counts", || async {
        (SuperuserDb::connect(&app).await.count(count_refusals, &[]).await >= 3).then_some(())
    })
    .await;
    let count_leaks = "SELECT count(*) FROM audit_logs WHERE audit_logs::text LIKE '%northwind%'";
    assert_eq!(db.count(count_leaks, &[]).await, 0);

    let other = app.as_user(TENANT_B);
    let conversation = other.create_conversation().await;
    assert_eq!(ask(&other, &conversation, &message).await["content"], json!(message));
    assert!(
        model.requests().last().expect("a request").to_string().contains(EMAIL),
        "without rules the message is unchanged"
    );
}

#[tokio::test]
async fn only_an_admin_changes_the_rules_and_an_invalid_pattern_is_refused_with_a_pointer() {
    let app = TestApp::shared().await;
    let path = "/v1/admin/settings";
    let rules = |rules: Value| json!({ "pii_sanitization": rules });
    app.as_user(TENANT_A).patch(path, &rules(json!({ "enabled": true }))).await.expect_problem(403, "policy_denied");
    let admin = app.as_admin(TENANT_A);
    for (custom, pointer) in [
        (json!({ "name": "a", "pattern": "(x" }), "/pii_sanitization/custom/0/pattern"),
        (json!({ "name": "a", "pattern": "(?=x)" }), "/pii_sanitization/custom/0/pattern"),
        (json!({ "name": "a", "pattern": "(\\w{1000}){1000}" }), "/pii_sanitization/custom/0/pattern"),
        (json!({ "name": "email", "pattern": "x" }), "/pii_sanitization/custom/0/name"),
    ] {
        let change = rules(json!({ "enabled": true, "custom": [custom] }));
        let problem = admin.patch(path, &change).await.expect_problem(422, "validation");
        assert!(problem["errors"][0]["pointer"].as_str().is_some_and(|found| found.ends_with(pointer)), "{problem}");
    }
    let answer = admin.get(path).await.expect_json(200);
    assert_eq!(answer["settings"]["pii_sanitization"], json!({ "enabled": false }));
}
