//! The audit log: every operation has one intent and one outcome, every refusal has a row, and no row contains content.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

/// The audit rows of one user, oldest first.
async fn audit_rows_of_user(db: &mut SuperuserDb, user: &str) -> Vec<Value> {
    db.rows("SELECT * FROM audit_logs WHERE user_id = $1::uuid ORDER BY created_at, id", &[user]).await
}

/// Asserts that there are exactly one intent and one outcome of these events, with the same correlation id; returns the
/// outcome.
fn assert_intent_and_outcome(rows: &[Value], intent: &str, outcome: &str) -> Value {
    let rows_of_phase = |event: &str, phase: &str| -> Vec<&Value> {
        rows.iter().filter(|row| row["event_type"] == event && row["phase"] == phase).collect()
    };
    let (intents, outcomes) = (rows_of_phase(intent, "intent"), rows_of_phase(outcome, "outcome"));
    assert_eq!((intents.len(), outcomes.len()), (1, 1), "{intent}: {rows:#?}");
    assert_eq!(intents[0]["result_status"], "pending", "{intent}");
    assert_eq!(outcomes[0]["result_status"], "success", "{outcome}");
    assert_eq!(intents[0]["correlation_id"], outcomes[0]["correlation_id"], "{intent}");
    assert!(outcomes[0]["latency_ms"].as_i64() >= Some(0), "{outcome}");
    outcomes[0].clone()
}

async fn user_id(caller: &crate::support::api_client::ApiClient<'_>) -> String {
    caller.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn chat_upload_and_search_record_intent_and_outcome_without_content() {
    let app = TestApp::shared().await;
    let mut db = SuperuserDb::connect(app).await;
    let user = app.caller(TENANT_A, "audited", Role::User);
    let id = user_id(&user).await;
    let document = user.ingest("zanzibar-file.md", &files::note("zanzibar-title"), &[("tags", "zanzibar-tag")]).await;
    user.post("/v1/search", &json!({ "query": "zanzibar-query of the strainer" })).await.expect_json(200);
    let new_conversation =
        user.post("/v1/conversations", &json!({ "title": "zanzibar-conversation" })).await.expect_json(201);
    let conversation = new_conversation["id"].as_str().expect("an id");
    user.chat(conversation, "How often is the strainer of zanzibar-title cleaned?").await;
    user.post("/v1/memories", &json!({ "content": "zanzibar-memory" })).await.expect_json(201);

    let rows = audit_rows_of_user(&mut db, &id).await;
    for event in ["doc.upload", "search.query", "conversation.create", "memory.create"] {
        assert_intent_and_outcome(&rows, event, event);
    }
    let chat_outcome = assert_intent_and_outcome(&rows, "chat.request", "chat.response");
    assert_eq!(
        (&chat_outcome["conversation_id"], &chat_outcome["model"]),
        (&json!(conversation), &json!("extractive"))
    );
    assert!(chat_outcome["tools_used"].to_string().contains("rag_search"), "{chat_outcome}");
    let tools = rows.iter().filter(|row| row["event_type"] == "tool.invocation");
    assert_eq!(tools.clone().count() % 2, 0);
    assert!(tools.clone().count() >= 4, "the search and the chat turn each call a tool: {rows:#?}");

    let document_id = document["id"].as_str().expect("an id");
    let ingestion_query = "SELECT * FROM audit_logs WHERE event_type = 'doc.ingestion' AND resource_id = $1::uuid";
    let ingestion = db.rows(ingestion_query, &[document_id]).await;
    assert_intent_and_outcome(&ingestion, "doc.ingestion", "doc.ingestion");
    assert!(ingestion.iter().all(|row| row["user_id"].is_null()), "{ingestion:#?}");

    let count_rows_with_content = "SELECT count(*) FROM audit_logs WHERE audit_logs::text ILIKE '%zanzibar%'";
    assert_eq!(db.count(count_rows_with_content, &[]).await, 0, "the audit log must not contain content");
    let count_intents_without_hash =
        "SELECT count(*) FROM audit_logs WHERE user_id = $1::uuid AND phase = 'intent' AND request_hash IS NULL
                  AND event_type <> 'tool.invocation'";
    assert_eq!(db.count(count_intents_without_hash, &[&id]).await, 0);
}

#[tokio::test]
async fn admins_read_the_audit_rows_of_all_users_and_users_their_own() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "watched", Role::User);
    let id = user_id(&user).await;
    user.post("/v1/search", &json!({ "query": "pumps" })).await.expect_json(200);
    for reader in [app.as_admin(TENANT_A), user.clone()] {
        let path = format!("/v1/audit?event_type=search.query&user_id={id}");
        let listed = reader.get(&path).await.expect_json(200);
        let rows = listed["data"].as_array().expect("rows");
        let mut states: Vec<_> = rows.iter().filter_map(|row| row["result_status"].as_str()).collect();
        states.sort_unstable();
        assert_eq!(states, ["pending", "success"], "{listed}");
        assert_eq!(rows[0]["correlation_id"], rows[1]["correlation_id"]);
    }
    let colleague = app.caller(TENANT_A, "curious", Role::User);
    let listed = colleague.get(&format!("/v1/audit?user_id={id}")).await.expect_json(200);
    assert_eq!(listed["data"], json!([]), "a user sees their own rows only");
}

#[tokio::test]
async fn refusals_are_recorded_with_their_reason() {
    let app = TestApp::shared().await;
    let mut db = SuperuserDb::connect(app).await;
    let viewer = app.caller(TENANT_A, "refused", Role::Viewer);
    let id = user_id(&viewer).await;
    viewer.get("/v1/admin/users").await.expect_problem(403, "policy_denied");
    viewer.get(&format!("/v1/conversations/{}", Uuid::from_u128(7))).await.expect_problem(404, "not_found");
    let query = "SELECT result_status, resource_type, metadata - 'steps' AS metadata FROM audit_logs
                  WHERE event_type = 'policy.denied' AND user_id = $1::uuid ORDER BY created_at, id";
    let rows = db.rows(query, &[&id]).await;
    let standing = json!({ "role": "viewer", "grants": [], "clearance": "internal" });
    let expected = [
        json!({ "result_status": "denied", "resource_type": "users",
                "metadata": { "reason": "matrix", "rule": "matrix", "attempted": "admin.user_listed",
                              "operation": "list", "standing": standing } }),
        json!({ "result_status": "denied", "resource_type": "conversations",
                "metadata": { "reason": "not_found", "rule": "target", "attempted": "conversation.read",
                              "operation": "read", "standing": standing } }),
    ];
    assert_eq!(rows, expected);

    let refusal = app.with_token("not-a-token").get("/v1/me").await;
    let request_id = refusal.expect_problem(401, "invalid_token")["request_id"].as_str().expect("an id").to_owned();
    let query_by_request =
        "SELECT event_type, result_status, metadata->>'reason' AS reason FROM audit_logs WHERE request_id = $1";
    let row = json!({ "event_type": "auth.denied", "result_status": "denied", "reason": "token_malformed" });
    assert_eq!(db.rows(query_by_request, &[&request_id]).await, [row]);
}

#[tokio::test]
async fn a_token_is_one_login_regardless_of_how_often_it_is_used() {
    let app = TestApp::shared().await;
    let mut db = SuperuserDb::connect(app).await;
    let user = app.caller(TENANT_A, "frequent", Role::User);
    let id = user_id(&user).await;
    for _ in 0..2 {
        user.get("/v1/me").await.expect_json(200);
    }
    let count_logins = "SELECT count(*) FROM audit_logs WHERE event_type = 'auth.login' AND user_id = $1::uuid";
    assert_eq!(db.count(count_logins, &[&id]).await, 1);
    user_id(&app.caller(TENANT_A, "frequent", Role::User)).await;
    assert_eq!(db.count(count_logins, &[&id]).await, 2, "a new token is a new login");
}

#[tokio::test]
async fn a_response_has_the_request_id_of_its_audit_rows() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let response = crate::support::api_client::ApiResponse::send(user.request(Method::GET, "/v1/conversations")).await;
    let request_id = response.header("x-request-id").expect("a request id");
    let phases_query =
        "SELECT phase FROM audit_logs WHERE request_id = $1 AND event_type = 'conversation.list' ORDER BY phase";
    let found = SuperuserDb::connect(app).await.rows(phases_query, &[request_id]).await;
    assert_eq!(found, [json!({ "phase": "intent" }), json!({ "phase": "outcome" })]);
}
