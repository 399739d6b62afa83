//! Requests that are repeated with the same `Idempotency-Key` have one effect and get the same response.

use crate::support::app::{A, App, B};
use crate::support::caller::{Answer, BOUNDARY, Caller};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use fakes::eventually;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";

async fn post(caller: &Caller<'_>, path: &str, key: &str, body: &Value) -> Answer {
    Answer::of(caller.request(Method::POST, path).header(KEY, key).json(body)).await
}

async fn upload(caller: &Caller<'_>, key: &str, boundary: &str, content: &[u8], tags: &str) -> Answer {
    let part =
        |head: &str, body: &str| format!("--{boundary}\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let form =
        part("name=\"tags\"", tags) + &part("name=\"file\"; filename=\"note.md\"", &String::from_utf8_lossy(content));
    let request = caller.request(Method::POST, "/v1/documents/upload").header(KEY, key);
    let request = request.header("content-type", format!("multipart/form-data; boundary={boundary}"));
    Answer::of(request.body(format!("{form}--{boundary}--\r\n"))).await
}

#[tokio::test]
async fn a_repeated_request_has_one_effect_and_the_same_answer() {
    let app = App::shared().await;
    let user = app.caller(A, "repeats", domain::role::Role::User);
    let body = json!({ "title": "once" });
    let first = post(&user, "/v1/conversations", "\"k-1\"", &body).await;
    assert_eq!((first.status, first.header(REPLAYED)), (201, None));
    for key in ["\"k-1\"", "k-1"] {
        let again = post(&user, "/v1/conversations", key, &body).await;
        assert_eq!((again.status, again.header(REPLAYED)), (201, Some("true")));
        assert_eq!(again.json(), first.json());
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.header("content-type"), first.header("content-type"));
    }
    let listed = user.get("/v1/conversations").await.json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1));
    let without = user.post("/v1/conversations", &body).await;
    assert_ne!(without.json()["id"], first.json()["id"], "without a key, each request has its own effect");
}

#[tokio::test]
async fn a_key_belongs_to_one_request_of_one_user() {
    let app = App::shared().await;
    let user = app.caller(A, "own-keys", domain::role::Role::User);
    let first = post(&user, "/v1/memories", "k", &json!({ "content": "a" })).await;
    assert_eq!(first.status, 201);
    for (path, body) in [("/v1/memories", json!({ "content": "b" })), ("/v1/conversations", json!({ "content": "a" }))]
    {
        let other = post(&user, path, "k", &body).await;
        other.problem(422, "idempotency_key_reused");
        assert_eq!(other.json()["errors"][0]["pointer"], "/Idempotency-Key", "{other:?}");
    }
    for stranger in
        [app.caller(A, "colleague", domain::role::Role::User), app.caller(B, "own-keys", domain::role::Role::User)]
    {
        let theirs = post(&stranger, "/v1/memories", "k", &json!({ "content": "a" })).await;
        assert_eq!((theirs.status, theirs.header(REPLAYED)), (201, None));
        assert_ne!(theirs.json()["id"], first.json()["id"]);
    }
    let long = "k".repeat(256);
    for bad in ["\"k", "", long.as_str()] {
        let refused = post(&user, "/v1/memories", bad, &json!({ "content": "a" })).await;
        refused.problem(422, "validation");
        assert_eq!(refused.json()["errors"][0]["pointer"], "/Idempotency-Key");
    }
}

#[tokio::test]
async fn many_at_once_with_one_key_have_one_effect() {
    let app = App::shared().await;
    let user = app.caller(A, "all-at-once", domain::role::Role::User);
    let body = json!({ "content": "one of many" });
    let all = futures::future::join_all((0..20).map(|_| post(&user, "/v1/memories", "k", &body))).await;
    for answer in &all {
        match answer.status {
            201 => {}
            _ => {
                answer.problem(409, "idempotency_in_progress");
                assert!(answer.header("retry-after").is_some());
            }
        }
    }
    assert_eq!(all.iter().filter(|answer| answer.status == 201 && answer.header(REPLAYED).is_none()).count(), 1);
    assert_eq!(user.get("/v1/memories").await.json()["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_failure_is_not_kept() {
    let app = App::shared().await;
    let user = app.caller(A, "tries-again", domain::role::Role::User);
    post(&user, "/v1/memories", "k", &json!({ "content": "" })).await.problem(422, "validation");
    let mended = post(&user, "/v1/memories", "k", &json!({ "content": "not empty" })).await;
    assert_eq!((mended.status, mended.header(REPLAYED)), (201, None));
}

#[tokio::test]
async fn a_search_is_no_effect_and_not_kept() {
    let app = App::shared().await;
    let user = app.caller(A, "searches", domain::role::Role::User);
    for _ in 0..2 {
        let found = post(&user, "/v1/search", "k", &json!({ "query": "pump" })).await;
        assert_eq!((found.status, found.header(REPLAYED)), (200, None));
    }
}

#[tokio::test]
async fn an_upload_is_the_same_whatever_its_boundary() {
    let app = App::shared().await;
    let user = app.caller(A, "uploads-twice", domain::role::Role::User);
    let content = files::note("IDEM-1");
    let first = upload(&user, "k", BOUNDARY, &content, "a").await;
    assert_eq!((first.status, first.header(REPLAYED)), (202, None), "{first:?}");
    let again = upload(&user, "k", "another-boundary-77", &content, "a").await;
    assert_eq!((again.status, again.header(REPLAYED)), (202, Some("true")), "{again:?}");
    assert_eq!((again.json(), again.header("location")), (first.json(), first.header("location")));
    for (content, tags) in [(files::note("IDEM-2"), "a"), (content, "b")] {
        upload(&user, "k", BOUNDARY, &content, tags).await.problem(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn a_turn_that_is_sent_again_is_said_and_answered_once() {
    let replies = [Reply::Text(vec!["The valve ", "is closed."]), Reply::Text(vec!["A second answer."])];
    let model = ModelServer::start(replies).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let whole = json!({ "message": "Is it closed?", "stream": false, "retrieval": "never" });
    let first = post(&user, &path, "whole", &whole).await;
    assert_eq!(first.status, 200, "{first:?}");
    let again = post(&user, &path, "whole", &whole).await;
    assert_eq!((again.status, again.header(REPLAYED)), (200, Some("true")), "{again:?}");
    let first_whole = first.json();
    assert_eq!(again.json(), first_whole);

    let streamed = json!({ "message": "And the other?", "retrieval": "never" });
    let first = post(&user, &path, "streamed", &streamed).await;
    let again = post(&user, &path, "streamed", &streamed).await;
    assert_eq!((again.status, again.header(REPLAYED)), (200, Some("true")), "{again:?}");
    assert_eq!(again.header("content-type"), Some("text/event-stream"));
    assert_eq!(again.body, first.body, "the same run's events");

    let messages = user.get(&format!("/v1/conversations/{conversation}")).await.json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(4), "{messages}");
    assert_eq!(model.asked().len(), 2);

    // Another server does not have the run's log, so it replays the stored answer.
    let other = app.replica(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = other.as_user(A);
    let told = post(&user, &path, "streamed", &streamed).await;
    let text = String::from_utf8_lossy(&told.body).into_owned();
    assert_eq!((told.status, told.header(REPLAYED)), (200, Some("true")), "{told:?}");
    for piece in ["event: run.started", "A second answer.", "event: run.finished"] {
        assert!(text.contains(piece), "{piece} in {text}");
    }
    let whole_again = post(&user, &path, "whole", &whole).await;
    assert_eq!(whole_again.json(), first_whole, "the same answer from another server");
    assert_eq!(model.asked().len(), 2);
}

/// The user's message is stored however the turn ended, so a repeated request does not store it twice.
#[tokio::test]
async fn a_turn_that_failed_once_it_had_begun_is_not_said_again() {
    let model = ModelServer::start([Reply::Interrupt("Half of "), Reply::Text(vec!["A second answer."])]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let body = json!({ "message": "Is it closed?", "stream": false, "retrieval": "never" });
    let first = post(&user, &path, "k", &body).await;
    assert!(first.status >= 500, "{first:?}");
    let again = post(&user, &path, "k", &body).await;
    assert_eq!((again.status, again.header(REPLAYED)), (first.status, Some("true")), "{again:?}");
    let messages = user.get(&format!("/v1/conversations/{conversation}")).await.json();
    assert_eq!(messages["messages"].as_array().map(Vec::len), Some(2), "{messages}");
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn a_client_that_hung_up_asks_again_and_gets_the_answer() {
    let model = ModelServer::start([Reply::Pause("Slowly ", "said.")]).await;
    let app = App::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let body = json!({ "message": "Well?", "stream": false, "retrieval": "never" });
    let hurried = user.request(Method::POST, &path).header(KEY, "k").json(&body).timeout(Duration::from_millis(400));
    assert!(hurried.send().await.is_err(), "the client gives up");
    let early = post(&user, &path, "k", &body).await;
    early.problem(409, "idempotency_in_progress");
    model.resume_replies();
    let answer = eventually("the first request's answer is replayed", || async {
        Some(post(&user, &path, "k", &body).await).filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!((answer.status, answer.header(REPLAYED)), (200, Some("true")), "{answer:?}");
    assert_eq!(answer.json()["content"], "Slowly said.");
    assert_eq!(model.asked().len(), 1);
}

#[tokio::test]
async fn what_is_kept_holds_no_key_no_prompt_and_expires() {
    let app = App::start(&[]).await;
    let user = app.as_user(A);
    post(&user, "/v1/conversations", "a-key-of-my-own", &json!({ "title": "t" })).await;
    let mut db = SuperuserDb::of(&app).await;
    let held =
        "SELECT count(*) FROM idempotency_keys WHERE key_hash ~ '^[0-9a-f]{64}$' AND fingerprint ~ '^[0-9a-f]{64}$'
                AND expires_at BETWEEN now() + interval '23 hours' AND now() + interval '25 hours'";
    assert_eq!(db.count(held, &[]).await, 1);
    db.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 minute'", &[]).await;
    let anew = post(&user, "/v1/conversations", "a-key-of-my-own", &json!({ "title": "t" })).await;
    assert_eq!((anew.status, anew.header(REPLAYED)), (201, None));
    // The state that a server leaves if it dies during the request.
    db.execute(
        "UPDATE idempotency_keys SET state = 'running', body = NULL, created_at = now() - interval '1 hour'",
        &[],
    )
    .await;
    post(&user, "/v1/conversations", "a-key-of-my-own", &json!({ "title": "t" }))
        .await
        .problem(409, "idempotency_outcome_unknown");
}
