//! Failover between model backends: which backend serves, where a fallback is reported, and that no request is lost.

use crate::support::api_client::{SseEvent, answer_text};
use crate::support::app::{TENANT_A, TestApp};
use crate::support::model::{ModelServer, Reply};
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::NamedTempFile;

const QUESTION: &str = "Hello, how are you?";

/// Settings with two backends for the tier `fast`; the second is the fallback of the first.
fn settings_with_two_backends(primary_url: &str, fallback_url: &str) -> NamedTempFile {
    let file = NamedTempFile::with_suffix_in(".toml", env!("CARGO_TARGET_TMPDIR")).expect("a file");
    let settings = format!(
        r#"
        [models.backends.gpu]
        base_url = "{primary_url}"
        first_token_timeout_s = 5
        [models.backends.spare]
        base_url = "{fallback_url}"
        [[models.tiers.fast]]
        backend = "gpu"
        model = "mistral"
        input_price = 1.0
        output_price = 2.0
        [[models.tiers.fast]]
        backend = "spare"
        model = "phi"
        input_price = 10.0
        output_price = 20.0
        "#
    );
    std::fs::write(file.path(), settings).expect("write");
    file
}

async fn start_app(file: &NamedTempFile) -> TestApp {
    TestApp::start(&[("PLATFORM_CONFIG", file.path().to_str().expect("UTF-8"))]).await
}

fn last_event(events: &[SseEvent]) -> &SseEvent {
    events.last().expect("events")
}

#[tokio::test]
async fn a_fallback_is_reported_in_stream_message_and_audit_log() {
    let primary = ModelServer::start_with_default(Reply::Status(500)).await;
    let fallback = ModelServer::start_with_default(Reply::Text(vec!["All ", "well."])).await;
    let app = start_app(&settings_with_two_backends(&primary.url, &fallback.url)).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;

    let events = user.chat_events(&conversation, QUESTION).await;
    assert_eq!(answer_text(&events), "All well.");
    let finished = &last_event(&events).data;
    assert_eq!((&finished["degraded"], &finished["fallback"]), (&json!(true), &json!(true)), "{finished}");
    assert_eq!(primary.requests().len(), 1, "the backend is tried once");
    assert_eq!(fallback.requests()[0]["model"], "phi");

    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(stored_conversation["messages"][1]["degraded"], true, "{stored_conversation}");
    assert_eq!(stored_conversation["messages"][0]["degraded"], false, "{stored_conversation}");
    let logged = app.as_admin(TENANT_A).get("/v1/audit?event_type=chat.response").await.expect_json(200);
    let metadata = &logged["data"][0]["metadata"];
    assert_eq!((&metadata["backend"], &metadata["fallback"]), (&json!("spare"), &json!(true)), "{logged}");
}

#[tokio::test]
async fn stopping_a_backend_under_load_loses_no_request_that_has_not_started_to_stream() {
    let pieces = vec!["First ", "close ", "HV-1003, ", "then ", "wait."];
    let primary = ModelServer::start_with_default(Reply::Delayed(Duration::from_millis(60), pieces.clone())).await;
    let fallback = ModelServer::start_with_default(Reply::Text(pieces)).await;
    let app = start_app(&settings_with_two_backends(&primary.url, &fallback.url)).await;
    let user = app.as_user(TENANT_A);
    let send_question = async |number: u64| {
        // Spreads the requests over time, because the backend stops in the middle of the load.
        tokio::time::sleep(Duration::from_millis(number * 15)).await;
        let conversation = user.create_conversation().await;
        user.chat_events(&conversation, QUESTION).await
    };
    let stop_backend = async {
        tokio::time::sleep(Duration::from_millis(450)).await;
        drop(primary);
    };
    let (answers, ()) = tokio::join!(futures::future::join_all((0..60).map(send_question)), stop_backend);

    let (mut complete_count, mut fallback_count) = (0, 0);
    for events in &answers {
        let final_event = last_event(events);
        if final_event.name == "run.finished" {
            assert_eq!(answer_text(events), "First close HV-1003, then wait.");
            complete_count += 1;
            fallback_count += usize::from(final_event.data["fallback"] == json!(true));
        } else {
            let has_started = events.iter().any(|event| event.name == "message.delta");
            assert!(has_started, "a request that had not started to stream was lost: {events:?}");
        }
    }
    assert!(
        fallback_count > 10 && fallback_count < complete_count,
        "the backend must stop in the middle of the load: {fallback_count} of {complete_count} answers by the fallback"
    );
}

#[tokio::test]
async fn each_backend_failure_is_reported_and_later_requests_succeed() {
    let primary = ModelServer::start_with_default(Reply::Status(503)).await;
    let fallback = ModelServer::start_with_default(Reply::Text(vec!["All well."])).await;
    let app = start_app(&settings_with_two_backends(&primary.url, &fallback.url)).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    // Both backends fail: the stream ends with the platform's own problem document.
    fallback.queue_replies([Reply::Status(500), Reply::Status(429), Reply::Status(500)]);
    let events = user.chat_events(&conversation, QUESTION).await;
    let problem = &last_event(&events).data["problem"];
    assert_eq!((&problem["status"], &problem["code"]), (&json!(503), &json!("model_unavailable")), "{problem}");
    fallback.queue_replies([Reply::Interrupt("Half an ")]);
    let events = user.chat_events(&conversation, QUESTION).await;
    assert_eq!((answer_text(&events).as_str(), last_event(&events).name.as_str()), ("Half an ", "error"));
    assert_eq!(answer_text(&user.chat_events(&conversation, QUESTION).await), "All well.");
    assert_eq!(user.get("/v1/me").await.status, 200);
    let readiness: Value = user.get("/ready").await.expect_json(200);
    assert_eq!(readiness["status"], "ready", "{readiness}");
}

#[tokio::test]
async fn a_hard_question_is_escalated_to_the_heavy_tier_with_its_reason() {
    let model = ModelServer::start_with_default(Reply::Text(vec!["All well."])).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let start_run = async |message: &str, model: Option<&str>| {
        let mut body = json!({ "message": message, "retrieval": "never" });
        if let Some(model) = model {
            body["model"] = json!(model);
        }
        let started = user.start_stream(&conversation, &body).await.read_to_end().await.remove(0).data;
        (started["model"].clone(), started["escalated"].clone())
    };
    const HARD_QUESTION: &str = "Compare the seals of P-101A and P-101B.";
    assert_eq!(start_run(HARD_QUESTION, None).await, (json!("heavy"), json!("reasoning")));
    assert_eq!(start_run(QUESTION, None).await, (json!("fast"), Value::Null));
    assert_eq!(
        start_run(HARD_QUESTION, Some("fast")).await,
        (json!("fast"), Value::Null),
        "the requested model takes precedence"
    );
    app.as_admin(TENANT_A).patch("/v1/admin/settings", &json!({ "default_model": "fast" })).await.expect_json(200);
    assert_eq!(start_run(HARD_QUESTION, None).await, (json!("fast"), Value::Null), "the tenant's default model");
    let requested_models: Vec<_> = model.requests().iter().map(|request| request["model"].clone()).collect();
    assert_eq!(requested_models, ["heavy", "fast", "fast", "fast"]);
}
