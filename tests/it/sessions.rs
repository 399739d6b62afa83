//! Sessions over HTTP: listed, revoked by users and admins with effect in every process, and named in the audit log.

use crate::support::api_client::{ApiClient, SseEvent};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::cli::Cli;
use crate::support::db::SuperuserDb;
use crate::support::model::{ModelServer, Reply};
use crate::support::oidc::{AUDIENCE, Issuer};
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;

/// How long the tokens of a revoked session may still be accepted.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer of a revoked session may still be written.
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);

async fn wait_until_refused(caller: &ApiClient<'_>) {
    eventually_within(REFUSAL_TIMEOUT, "the token is refused", || async {
        (caller.get("/v1/me").await.status == 401).then_some(())
    })
    .await;
}

async fn sessions(caller: &ApiClient<'_>, path: &str) -> Vec<Value> {
    caller.get(path).await.expect_json(200)["data"].as_array().expect("a list").clone()
}

/// The session that the caller's token belongs to.
async fn current_session(caller: &ApiClient<'_>) -> String {
    let listed = sessions(caller, "/v1/sessions").await;
    let current: Vec<_> = listed.iter().filter(|session| session["current"] == true).collect();
    assert_eq!(current.len(), 1, "{listed:?}");
    current[0]["id"].as_str().expect("an id").to_owned()
}

async fn id_of(caller: &ApiClient<'_>) -> String {
    caller.get("/v1/me").await.expect_json(200)["id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_user_lists_and_ends_a_session_of_two_tokens_in_every_process() {
    let issuer = Issuer::start().await;
    let settings = [("OIDC_ISSUER", issuer.url.as_str()), ("OIDC_AUDIENCE", AUDIENCE)];
    let app = TestApp::start(&settings).await;
    let replica = app.start_replica(&settings).await;
    let sign = |changes: Value| issuer.sign(&issuer.claims(TENANT_A, &changes));
    let first_token = sign(json!({ "sid": "lost laptop", "jti": "1", "azp": "console" }));
    let second_token = sign(json!({ "sid": "lost laptop", "jti": "2", "azp": "console" }));
    let phone = app.with_token(&sign(json!({ "sid": "phone", "jti": "3" })));
    let laptop = [app.with_token(&first_token), replica.with_token(&second_token), replica.with_token(&first_token)];
    let mut laptop_ids = Vec::new();
    for caller in &laptop {
        laptop_ids.push(current_session(caller).await);
    }
    laptop_ids.dedup();
    assert_eq!(laptop_ids.len(), 1, "both tokens belong to one session");
    let phone_id = current_session(&phone).await;
    let listed = sessions(&phone, "/v1/sessions").await;
    assert_eq!(listed.len(), 2, "{listed:?}");
    let laptop_session = listed.iter().find(|session| session["id"] == laptop_ids[0].as_str()).expect("listed");
    assert_eq!((&laptop_session["client"], &laptop_session["current"]), (&json!("console"), &json!(false)));
    for field in ["created_at", "last_seen_at", "expires_at"] {
        assert!(laptop_session[field].as_str().is_some_and(|at| at.starts_with("20")), "{field}: {laptop_session}");
    }

    let path = format!("/v1/sessions/{}", laptop_ids[0]);
    assert_eq!(phone.delete(&path).await.status, 204);
    for caller in &laptop {
        wait_until_refused(caller).await;
        caller.get("/v1/me").await.expect_problem(401, "invalid_token");
    }
    let renewed_token = sign(json!({ "sid": "lost laptop", "jti": "4" }));
    app.with_token(&renewed_token).get("/v1/me").await.expect_problem(401, "invalid_token");
    phone.delete(&path).await.expect_problem(404, "not_found");
    let listed = sessions(&phone, "/v1/sessions").await;
    assert_eq!(listed.iter().map(|session| &session["id"]).collect::<Vec<_>>(), [&json!(phone_id)]);

    assert_eq!(
        phone.delete(&format!("/v1/sessions/{phone_id}")).await.status,
        204,
        "users may end their current session"
    );
    wait_until_refused(&phone).await;
}

#[tokio::test]
async fn an_admin_ends_a_session_and_its_running_answer() {
    let model = ModelServer::start_with_default(Reply::PauseUntilResumed("First open ", "never said")).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let (user, admin) = (app.as_user(TENANT_A), app.as_admin(TENANT_A));
    let (user_id, session) = (id_of(&user).await, current_session(&user).await);
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": "How?", "retrieval": "never" })).await;
    stream.read_until("message.delta").await;

    let path = format!("/v1/admin/users/{user_id}/sessions");
    let listed = sessions(&admin, &path).await;
    assert!(listed.iter().any(|listed| listed["id"] == session.as_str() && listed["current"] == false), "{listed:?}");
    let admins_id = id_of(&admin).await;
    let wrong_user = format!("/v1/admin/users/{admins_id}/sessions/{session}");
    admin.delete(&wrong_user).await.expect_problem(404, "not_found");
    user.delete(&format!("{path}/{session}")).await.expect_problem(403, "policy_denied");
    app.as_admin(TENANT_B).delete(&format!("{path}/{session}")).await.expect_problem(404, "not_found");
    admin.delete(&format!("/v1/sessions/{session}")).await.expect_problem(404, "not_found");
    user.get("/v1/me").await.expect_json(200);
    assert_eq!(admin.delete(&format!("{path}/{session}")).await.status, 204);

    let ended = tokio::time::timeout(STREAM_TIMEOUT, stream.read_to_end()).await.expect("the stream ends");
    let problem = ended.iter().find(|event: &&SseEvent| event.name == "error").expect("an error");
    assert_eq!(problem.data["problem"]["code"], "session_revoked", "{ended:?}");
    wait_until_refused(&user).await;
    app.as_user(TENANT_A).get("/v1/me").await.expect_json(200);

    let mut db = SuperuserDb::connect(&app).await;
    let query = "SELECT phase, result_status, metadata ->> 'session_id' AS session FROM audit_logs
                 WHERE event_type = 'admin.session_revoked' AND resource_id = $1::uuid AND result_status <> 'denied'
                   AND metadata ->> 'session_id' = $2 ORDER BY id";
    let rows = db.rows(query, &[&user_id, &session]).await;
    assert_eq!(rows.iter().map(|row| &row["phase"]).collect::<Vec<_>>(), ["intent", "outcome"], "{rows:?}");
}

#[tokio::test]
async fn audit_rows_name_the_session_or_the_access_token() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "traced", Role::User);
    let session = current_session(&user).await;
    let conversation = user.create_conversation().await;
    user.chat(&conversation, "Which bolts?").await;
    let new_token = json!({ "name": "export", "scopes": ["documents:list"] });
    let token = user.post("/v1/tokens", &new_token).await.expect_json(201);
    app.with_token(token["secret"].as_str().expect("a secret")).get("/v1/documents").await.expect_json(200);

    let read =
        async |query: &str| user.get(&format!("/v1/audit?limit=200&{query}")).await.expect_json(200)["data"].clone();
    let rows = read(&format!("session_id={session}")).await;
    let rows = rows.as_array().expect("rows");
    let events: Vec<_> = rows.iter().filter_map(|row| row["event_type"].as_str()).collect();
    for event in ["auth.login", "conversation.create", "chat.request", "chat.response", "token.issued"] {
        assert!(events.contains(&event), "{event}: {events:?}");
    }
    assert!(rows.iter().all(|row| row["session_id"] == session.as_str()));
    let rows = read(&format!("conversation_id={conversation}&event_type=chat.response")).await;
    assert_eq!((&rows[0]["session_id"], &rows[0]["conversation_id"]), (&json!(session), &json!(conversation)));
    let token_id = token["id"].as_str().expect("an id");
    let rows = read(&format!("session_id={token_id}&event_type=doc.list")).await;
    assert_eq!(rows.as_array().map(Vec::len), Some(2), "intent and outcome: {rows}");
    let listed = sessions(&user, "/v1/sessions").await;
    assert!(listed.iter().all(|session| session["id"] != token_id), "an access token is not a session: {listed:?}");
}

#[tokio::test]
async fn the_command_line_lists_and_ends_sessions() {
    let app = TestApp::shared().await;
    let (cli, user) = Cli::signed_in(app, TENANT_A, "cli-sessions", Role::User);
    let lost = app.caller(TENANT_A, "cli-sessions", Role::User);
    let (own_id, lost_id) = (current_session(&user).await, current_session(&lost).await);
    let listed = cli.run(&["sessions", "list"]).await.expect(0).out;
    let lines: Vec<_> = listed.lines().filter(|line| line.starts_with(&own_id) || line.starts_with(&lost_id)).collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(lines.iter().all(|line| line.ends_with("this one") == line.starts_with(&own_id)), "{listed}");
    let ended = cli.run(&["sessions", "revoke", &lost_id, "--output", "json"]).await.expect(0).json();
    assert_eq!(ended, json!({ "id": lost_id, "revoked": true }));
    wait_until_refused(&lost).await;
    cli.run(&["sessions", "revoke", &lost_id]).await.expect(1);
    cli.run(&["sessions", "revoke", &own_id]).await.expect(0);
    wait_until_refused(&user).await;
    cli.run(&["sessions", "list"]).await.expect(3);
}
