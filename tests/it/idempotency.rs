//! Requests that are repeated with the same `Idempotency-Key` have one effect and get the same response.

use crate::support::api_client::{ApiClient, ApiResponse, BOUNDARY};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const KEY_HEADER: &str = "idempotency-key";
const REPLAYED_HEADER: &str = "idempotency-replayed";

async fn post_with_key(caller: &ApiClient<'_>, path: &str, key: &str, body: &Value) -> ApiResponse {
    ApiResponse::send(caller.request(Method::POST, path).header(KEY_HEADER, key).json(body)).await
}

async fn upload_with_key(caller: &ApiClient<'_>, key: &str, boundary: &str, content: &[u8], tags: &str) -> ApiResponse {
    let part =
        |head: &str, body: &str| format!("--{boundary}\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let form =
        part("name=\"tags\"", tags) + &part("name=\"file\"; filename=\"note.md\"", &String::from_utf8_lossy(content));
    let request = caller.request(Method::POST, "/v1/documents/upload").header(KEY_HEADER, key);
    let request = request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
    ApiResponse::send(request.body(format!("{form}--{boundary}--\r\n"))).await
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_and_the_same_response() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "repeats", domain::role::Role::User);
    let body = json!({ "title": "once" });
    let first = post_with_key(&user, "/v1/conversations", "\"k-1\"", &body).await;
    assert_eq!((first.status, first.header(REPLAYED_HEADER)), (201, None));
    for key in ["\"k-1\"", "k-1"] {
        let replay = post_with_key(&user, "/v1/conversations", key, &body).await;
        assert_eq!((replay.status, replay.header(REPLAYED_HEADER)), (201, Some("true")));
        assert_eq!(replay.json(), first.json());
        assert_eq!(replay.header("location"), first.header("location"));
        assert_eq!(replay.header("content-type"), first.header("content-type"));
    }
    let listed = user.get("/v1/conversations").await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    let without_key = user.post("/v1/conversations", &body).await;
    assert_ne!(without_key.json()["id"], first.json()["id"], "without a key, each request has its own effect");
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_user() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "own-keys", domain::role::Role::User);
    let first = post_with_key(&user, "/v1/memories", "k", &json!({ "content": "a" })).await;
    assert_eq!(first.status, 201);
    for (path, body) in [("/v1/memories", json!({ "content": "b" })), ("/v1/conversations", json!({ "content": "a" }))]
    {
        let mismatched = post_with_key(&user, path, "k", &body).await;
        mismatched.expect_problem(422, "idempotency_key_reused");
        assert_eq!(mismatched.json()["errors"][0]["pointer"], "/Idempotency-Key", "{mismatched:?}");
    }
    for stranger in [
        app.caller(TENANT_A, "colleague", domain::role::Role::User),
        app.caller(TENANT_B, "own-keys", domain::role::Role::User),
    ] {
        let strangers_response = post_with_key(&stranger, "/v1/memories", "k", &json!({ "content": "a" })).await;
        assert_eq!((strangers_response.status, strangers_response.header(REPLAYED_HEADER)), (201, None));
        assert_ne!(strangers_response.json()["id"], first.json()["id"]);
    }
    let long = "k".repeat(256);
    for invalid_key in ["\"k", "", long.as_str()] {
        let refusal = post_with_key(&user, "/v1/memories", invalid_key, &json!({ "content": "a" })).await;
        refusal.expect_problem(422, "validation");
        assert_eq!(refusal.json()["errors"][0]["pointer"], "/Idempotency-Key");
    }
}

#[tokio::test]
async fn concurrent_requests_with_one_key_have_one_effect() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "all-at-once", domain::role::Role::User);
    let body = json!({ "content": "one of many" });
    let responses = futures::future::join_all((0..20).map(|_| post_with_key(&user, "/v1/memories", "k", &body))).await;
    for response in &responses {
        match response.status {
            201 => {}
            _ => {
                response.expect_problem(409, "idempotency_in_progress");
                assert!(response.header("retry-after").is_some());
            }
        }
    }
    assert_eq!(
        responses
            .iter()
            .filter(|response| response.status == 201 && response.header(REPLAYED_HEADER).is_none())
            .count(),
        1
    );
    assert_eq!(user.get("/v1/memories").await.json()["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_failed_request_does_not_store_its_response() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "tries-again", domain::role::Role::User);
    post_with_key(&user, "/v1/memories", "k", &json!({ "content": "" })).await.expect_problem(422, "validation");
    let corrected = post_with_key(&user, "/v1/memories", "k", &json!({ "content": "not empty" })).await;
    assert_eq!((corrected.status, corrected.header(REPLAYED_HEADER)), (201, None));
}

#[tokio::test]
async fn the_response_of_a_search_is_not_stored() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "searches", domain::role::Role::User);
    for _ in 0..2 {
        let found = post_with_key(&user, "/v1/search", "k", &json!({ "query": "pump" })).await;
        assert_eq!((found.status, found.header(REPLAYED_HEADER)), (200, None));
    }
}

#[tokio::test]
async fn uploads_that_differ_only_in_their_boundary_are_the_same_request() {
    let app = TestApp::shared().await;
    let user = app.caller(TENANT_A, "uploads-twice", domain::role::Role::User);
    let content = files::note("IDEM-1");
    let first = upload_with_key(&user, "k", BOUNDARY, &content, "a").await;
    assert_eq!((first.status, first.header(REPLAYED_HEADER)), (202, None), "{first:?}");
    let replay = upload_with_key(&user, "k", "another-boundary-77", &content, "a").await;
    assert_eq!((replay.status, replay.header(REPLAYED_HEADER)), (202, Some("true")), "{replay:?}");
    assert_eq!((replay.json(), replay.header("location")), (first.json(), first.header("location")));
    for (content, tags) in [(files::note("IDEM-2"), "a"), (content, "b")] {
        upload_with_key(&user, "k", BOUNDARY, &content, tags).await.expect_problem(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn a_repeated_turn_is_stored_and_answered_once() {
    let replies = [Reply::Text(vec!["The valve ", "is closed."]), Reply::Text(vec!["A second answer."])];
    let model = ModelServer::start(replies).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let unstreamed = json!({ "message": "Is it closed?", "stream": false, "retrieval": "never" });
    let first = post_with_key(&user, &path, "whole", &unstreamed).await;
    assert_eq!(first.status, 200, "{first:?}");
    let replay = post_with_key(&user, &path, "whole", &unstreamed).await;
    assert_eq!((replay.status, replay.header(REPLAYED_HEADER)), (200, Some("true")), "{replay:?}");
    let unstreamed_answer = first.json();
    assert_eq!(replay.json(), unstreamed_answer);

    let streamed = json!({ "message": "And the other?", "retrieval": "never" });
    let first = post_with_key(&user, &path, "streamed", &streamed).await;
    let replay = post_with_key(&user, &path, "streamed", &streamed).await;
    assert_eq!((replay.status, replay.header(REPLAYED_HEADER)), (200, Some("true")), "{replay:?}");
    assert_eq!(replay.header("content-type"), Some("text/event-stream"));
    assert_eq!(replay.body, first.body, "the same run's events");

    let messages = user.get(&format!("/v1/conversations/{conversation}")).await.json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(4), "{messages}");
    assert_eq!(model.requests().len(), 2);

    // Another server does not have the run's log, so it replays the stored answer.
    let replica = app.start_replica(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = replica.as_user(TENANT_A);
    let replica_response = post_with_key(&user, &path, "streamed", &streamed).await;
    let text = String::from_utf8_lossy(&replica_response.body).into_owned();
    assert_eq!(
        (replica_response.status, replica_response.header(REPLAYED_HEADER)),
        (200, Some("true")),
        "{replica_response:?}"
    );
    for piece in ["event: run.started", "A second answer.", "event: run.finished"] {
        assert!(text.contains(piece), "{piece} in {text}");
    }
    let unstreamed_from_replica = post_with_key(&user, &path, "whole", &unstreamed).await;
    assert_eq!(unstreamed_from_replica.json(), unstreamed_answer, "the same answer from another server");
    assert_eq!(model.requests().len(), 2);
}

/// A turn stores the user's message even if it fails, so a repeated request must not store it again.
#[tokio::test]
async fn a_repeated_turn_that_failed_after_its_start_is_not_stored_again() {
    let model = ModelServer::start([Reply::Interrupt("Half of "), Reply::Text(vec!["A second answer."])]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let body = json!({ "message": "Is it closed?", "stream": false, "retrieval": "never" });
    let first = post_with_key(&user, &path, "k", &body).await;
    assert!(first.status >= 500, "{first:?}");
    let replay = post_with_key(&user, &path, "k", &body).await;
    assert_eq!((replay.status, replay.header(REPLAYED_HEADER)), (first.status, Some("true")), "{replay:?}");
    let messages = user.get(&format!("/v1/conversations/{conversation}")).await.json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(2), "{messages}");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn a_client_that_timed_out_gets_the_answer_by_repeating_the_request() {
    let model = ModelServer::start([Reply::PauseUntilResumed("Slowly ", "said.")]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let body = json!({ "message": "Well?", "stream": false, "retrieval": "never" });
    let timed_out_request =
        user.request(Method::POST, &path).header(KEY_HEADER, "k").json(&body).timeout(Duration::from_millis(400));
    assert!(timed_out_request.send().await.is_err(), "the client gives up");
    let early_repeat = post_with_key(&user, &path, "k", &body).await;
    early_repeat.expect_problem(409, "idempotency_in_progress");
    model.resume_one_reply();
    let answer = eventually("the first request's answer is replayed", || async {
        Some(post_with_key(&user, &path, "k", &body).await).filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!((answer.status, answer.header(REPLAYED_HEADER)), (200, Some("true")), "{answer:?}");
    assert_eq!(answer.json()["content"], "Slowly said.");
    assert_eq!(model.requests().len(), 1);
}

#[tokio::test]
async fn stored_responses_expire_and_only_hashes_of_keys_are_stored() {
    let app = TestApp::start(&[]).await;
    let user = app.as_user(TENANT_A);
    post_with_key(&user, "/v1/conversations", "a-key-of-my-own", &json!({ "title": "t" })).await;
    let mut db = SuperuserDb::connect(&app).await;
    let count_hashed_keys =
        "SELECT count(*) FROM idempotency_keys WHERE key_hash ~ '^[0-9a-f]{64}$' AND fingerprint ~ '^[0-9a-f]{64}$'
                AND expires_at BETWEEN now() + interval '23 hours' AND now() + interval '25 hours'";
    assert_eq!(db.count(count_hashed_keys, &[]).await, 1);
    db.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 minute'", &[]).await;
    let after_expiry = post_with_key(&user, "/v1/conversations", "a-key-of-my-own", &json!({ "title": "t" })).await;
    assert_eq!((after_expiry.status, after_expiry.header(REPLAYED_HEADER)), (201, None));
    // The state that a server leaves behind if it dies during the request.
    db.execute(
        "UPDATE idempotency_keys SET state = 'running', body = NULL, created_at = now() - interval '1 hour'",
        &[],
    )
    .await;
    post_with_key(&user, "/v1/conversations", "a-key-of-my-own", &json!({ "title": "t" }))
        .await
        .expect_problem(409, "idempotency_outcome_unknown");
}
