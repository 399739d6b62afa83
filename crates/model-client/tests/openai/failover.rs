//! Tests several backends: routing, fallbacks, retries and rejected requests.

use crate::support::{
    Action, ScriptedServer, backend, caller_of, chat_of, embed_request, embedder_of, event_stream, http_response,
    request, request_with_classification, router, settings,
};
use domain::model::{ChatDelta, ChatRequest, EmbedPurpose, ModelError, ModelTier};
use domain::model_call::{FailedAttempt, MicroCost, Price, ServedBy};
use domain::ports::{ChatModel, Embedder};
use domain::role::Classification;
use fakes::eventually;
use futures::{StreamExt, TryStreamExt};
use model_client::cache_salt::CacheSalts;
use model_client::config::{Dialect, Location, ModelSettings, RouteSettings};
use model_client::metrics::ModelMetrics;
use model_client::openai::OpenAiChat;
use model_client::router::Router;
use prometheus::{Registry, TextEncoder};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const STOP_EVENT: &str =
    r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":100}}"#;

fn word_event(model: &str) -> String {
    format!(r#"{{"model":"{model}","choices":[{{"delta":{{"content":"Close "}}}}]}}"#)
}

fn answer_action(model: &str) -> Action {
    Action::Send(event_stream(&[&word_event(model), STOP_EVENT, "[DONE]"]), 4096)
}

fn failure_action(head: &str) -> Action {
    Action::Send(http_response(head, "application/json", b"{}"), 4096)
}

/// Settings with two backends, of which the second one is the fallback.
fn settings_with_fallback(first: &ScriptedServer, second: &ScriptedServer) -> ModelSettings {
    let mut settings = settings(first.url.clone());
    settings.backends = vec![backend("gpu", first.url.clone()), backend("cpu", second.url.clone())];
    let route = |name, priority| RouteSettings { priority, ..RouteSettings::new(name, "mistral") };
    settings.tiers.fast = vec![route("gpu", 1), route("cpu", 2)];
    settings.tiers.heavy = Vec::new();
    settings.tiers.embed = vec![route("gpu", 1), route("cpu", 2)];
    settings.tiers.rerank = Vec::new();
    settings
}

async fn serve_one_request(chat: &OpenAiChat) -> Result<ServedBy, ModelError> {
    let stream = chat.stream(request()).await?;
    let served_by = stream.served_by;
    stream.deltas.try_collect::<Vec<_>>().await?;
    Ok(served_by)
}

#[tokio::test]
async fn the_next_backend_serves_however_the_first_one_fails_before_the_first_token() {
    let no_response = Action::SendAndHang(Vec::new());
    let html_page = Action::Send(http_response("200 OK", "text/html", b"<html>"), 4096);
    let truncated_head = Action::Send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n".to_vec(), 4096);
    let invalid_json = Action::Send(event_stream(&["{no json"]), 4096);
    let empty_stream = Action::Send(event_stream(&[]), 4096);
    for (action, error) in [
        (failure_action("500 Internal Server Error"), "unavailable"),
        (failure_action("429 Too Many Requests\nretry-after: 30"), "unavailable"),
        (failure_action("401 Unauthorized"), "misconfigured"),
        (failure_action("404 Not Found"), "misconfigured"),
        (truncated_head, "unavailable"),
        (no_response, "timeout"),
        (html_page, "garbled"),
        (invalid_json, "garbled"),
        (empty_stream, "broken_off"),
    ] {
        let (first, second) =
            (ScriptedServer::start(vec![action]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
        let served_by =
            serve_one_request(&chat_of(&settings_with_fallback(&first, &second))).await.expect("the second serves");
        assert_eq!((served_by.backend.as_str(), served_by.model.as_str(), served_by.fallback), ("cpu", "m2", true));
        assert_eq!(served_by.failed_attempts, [FailedAttempt { backend: "gpu".to_owned(), error: error.to_owned() }]);
        assert_eq!((first.request_count(), second.request_count()), (1, 1), "one attempt each: {error}");
    }
}

#[tokio::test]
async fn an_unreachable_backend_is_skipped_and_no_request_is_lost() {
    let (first, second) = (
        ScriptedServer::start(vec![answer_action("m1")]).await,
        ScriptedServer::start(vec![answer_action("m2")]).await,
    );
    let settings = settings_with_fallback(&first, &second);
    let chat = Arc::new(chat_of(&settings));
    assert!(!serve_one_request(&chat).await.expect("both are up").fallback);
    drop(first);
    let requests = (0..40).map(|_| async { serve_one_request(&chat).await });
    for served_by in futures::future::join_all(requests).await {
        let served_by = served_by.expect("no request fails");
        assert!(served_by.fallback && served_by.backend == "cpu");
    }
    // The breaker is open by now, so the first backend is not tried at all.
    assert!(serve_one_request(&chat).await.expect("served").failed_attempts.is_empty());
}

#[tokio::test]
async fn an_invalid_request_is_not_sent_to_another_backend() {
    let too_long = br#"{"error":{"message":"maximum context length","code":"context_length_exceeded"}}"#;
    let content_filtered = br#"{"error":{"message":"filtered","code":"content_filter"}}"#;
    let malformed = br#"{"error":{"message":"bad","type":"invalid_request_error"}}"#;
    for (body, error) in
        [(&too_long[..], "context_too_long"), (&content_filtered[..], "content_filter"), (&malformed[..], "refused")]
    {
        let action = Action::Send(http_response("400 Bad Request", "application/json", body), 4096);
        let (first, second) =
            (ScriptedServer::start(vec![action]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
        let result = serve_one_request(&chat_of(&settings_with_fallback(&first, &second))).await;
        assert_eq!(result.expect_err("refused").error_type(), error);
        assert_eq!(second.request_count(), 0, "{error}");
    }
}

#[tokio::test]
async fn a_failure_after_the_first_token_is_not_retried() {
    let truncated_answer = Action::Send(event_stream(&[&word_event("m1")]), 4096);
    let (first, second) =
        (ScriptedServer::start(vec![truncated_answer]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
    let chat = chat_of(&settings_with_fallback(&first, &second));
    let mut stream = chat.stream(request()).await.expect("the answer starts");
    assert_eq!(stream.deltas.next().await, Some(Ok(ChatDelta::Text("Close ".to_owned()))));
    assert!(matches!(stream.deltas.next().await, Some(Err(ModelError::Interrupted { .. }))));
    assert_eq!(second.request_count(), 0);
}

#[tokio::test]
async fn a_fallback_never_exceeds_the_backends_classification() {
    let failing = failure_action("500 Internal Server Error");
    for (classification, is_allowed) in [(Classification::Internal, true), (Classification::Confidential, false)] {
        let (first, second) = (
            ScriptedServer::start(vec![failing.clone()]).await,
            ScriptedServer::start(vec![answer_action("m2")]).await,
        );
        let mut settings = settings_with_fallback(&first, &second);
        settings.backends[1].location = Location::Cloud;
        let request = request_with_classification(classification);
        let result = chat_of(&settings).stream(request).await;
        assert_eq!((result.is_ok(), second.request_count() == 1), (is_allowed, is_allowed), "{classification}");
        assert!(first.request_count() >= 1, "the first backend was attempted");
    }
}

#[tokio::test]
async fn a_tenant_without_cloud_permission_is_served_on_premises_only() {
    let (first, second) = (
        ScriptedServer::start(vec![answer_action("m1")]).await,
        ScriptedServer::start(vec![answer_action("m2")]).await,
    );
    let mut settings = settings_with_fallback(&first, &second);
    settings.backends[0].location = Location::Cloud;
    let chat = chat_of(&settings);
    let mut request = request();
    request.caller.max_cloud_classification = Classification::Public;
    assert_eq!(chat.stream(request.clone()).await.expect("served").served_by.backend, "cpu");
    assert_eq!(chat.max_input_classification(ModelTier::Fast, &request.caller), Classification::Restricted);
    settings.tiers.fast.truncate(1);
    let chat = chat_of(&settings);
    assert_eq!(chat.max_input_classification(ModelTier::Fast, &request.caller), Classification::Public);
    let error = chat.stream(request).await.err();
    assert!(matches!(error, Some(ModelError::NotConfigured { .. })), "{error:?}");
    assert_eq!(first.request_count(), 0);
}

#[tokio::test]
async fn if_all_backends_fail_the_error_lists_the_attempts_and_the_last_error() {
    let (first, second) = (
        ScriptedServer::start(vec![failure_action("401 Unauthorized")]).await,
        ScriptedServer::start(vec![Action::SendAndHang(vec![])]).await,
    );
    let error = serve_one_request(&chat_of(&settings_with_fallback(&first, &second))).await.expect_err("none serves");
    let ModelError::Exhausted { attempts, last } = &error else { panic!("{error:?}") };
    assert_eq!(attempts.iter().map(|attempt| attempt.backend.as_str()).collect::<Vec<_>>(), ["gpu", "cpu"]);
    assert!(matches!(**last, ModelError::Timeout { .. }));
    assert_eq!((error.error_type(), error.backend(), error.earlier_attempts().len()), ("timeout", "cpu", 1));
}

#[tokio::test]
async fn routes_of_equal_priority_share_requests_by_weight_and_are_not_fallbacks() {
    let hanging = |model: &str| Action::SendAndHang(event_stream(&[&word_event(model)]));
    let (first, second) =
        (ScriptedServer::start(vec![hanging("m1")]).await, ScriptedServer::start(vec![hanging("m2")]).await);
    let mut settings = settings_with_fallback(&first, &second);
    settings.tiers.fast[1].priority = 1;
    settings.tiers.fast[1].weight = 3;
    let chat = chat_of(&settings);
    let mut request_counts = HashMap::<String, usize>::new();
    let mut open_streams = Vec::new();
    for _ in 0..12 {
        let stream = chat.stream(request()).await.expect("served");
        assert!(!stream.served_by.fallback);
        *request_counts.entry(stream.served_by.backend.clone()).or_default() += 1;
        open_streams.push(stream);
    }
    assert_eq!((request_counts["gpu"], request_counts["cpu"]), (3, 9));
}

#[tokio::test]
async fn a_request_waits_for_a_busy_backend_and_then_uses_the_fallback() {
    let hanging = Action::SendAndHang(event_stream(&[&word_event("m1")]));
    let (first, second) =
        (ScriptedServer::start(vec![hanging]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
    let mut settings = settings_with_fallback(&first, &second);
    settings.backends[0].concurrency = 1;
    let chat = chat_of(&settings);
    let open_stream = chat.stream(request()).await.expect("a permit is free");
    assert_eq!(open_stream.served_by.backend, "gpu");
    let served_by = serve_one_request(&chat).await.expect("the second has a free permit");
    assert_eq!((served_by.backend.as_str(), served_by.fallback), ("cpu", true));
}

#[tokio::test]
async fn a_full_queue_rejects_at_once_and_does_not_affect_other_tenants() {
    let hanging = Action::SendAndHang(event_stream(&[&word_event("m1")]));
    let server = ScriptedServer::start(vec![hanging]).await;
    let mut settings = server.settings();
    settings.backends[0].concurrency = 1;
    settings.queue.max_waiting_per_tenant = 2;
    settings.queue.max_wait = Duration::from_secs(30);
    let chat = Arc::new(chat_of(&settings));
    let from_tenant = |tenant| ChatRequest { caller: caller_of(tenant), ..request() };
    let open_stream = chat.stream(from_tenant(1)).await.expect("a permit is free");
    let mut waiting: Vec<_> = [1, 1, 2]
        .map(|tenant| {
            let (chat, request) = (Arc::clone(&chat), from_tenant(tenant));
            Box::pin(async move { chat.stream(request).await })
        })
        .into();
    for waiting_request in &mut waiting {
        assert!(futures::poll!(waiting_request).is_pending());
    }
    let started = Instant::now();
    let rejection = chat.stream(from_tenant(1)).await.err();
    assert!(matches!(rejection, Some(ModelError::NoBackendAvailable { retry_after: Some(_), .. })), "{rejection:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "it was rejected without the 30 s wait");
    drop(open_stream);
    drop(waiting.remove(0).await.expect("the first of tenant 1 is next"));
    drop(waiting.remove(1).await.expect("then tenant 2, before the second of tenant 1"));
}

#[tokio::test]
async fn an_open_breaker_rejects_at_once_and_says_when_to_retry() {
    let server = ScriptedServer::start(vec![failure_action("500 Internal Server Error")]).await;
    let chat = chat_of(&server.settings());
    for _ in 0..2 {
        assert!(chat.stream(request()).await.is_err());
    }
    let requests_before = server.request_count();
    assert_eq!(requests_before, 5, "five failures open the breaker");
    let error = chat.stream(request()).await.err();
    assert!(matches!(error, Some(ModelError::NoBackendAvailable { retry_after: Some(_), .. })), "{error:?}");
    assert_eq!(server.request_count(), requests_before);
}

#[tokio::test]
async fn health_checks_detect_a_backend_that_goes_down_and_comes_back() {
    let (first, second) = (
        ScriptedServer::start(vec![answer_action("m1")]).await,
        ScriptedServer::start(vec![answer_action("m2")]).await,
    );
    let mut settings = settings_with_fallback(&first, &second);
    settings.breaker.health_check_interval = Duration::from_millis(20);
    settings.breaker.initial_pause = Duration::from_secs(600);
    settings.breaker.max_pause = Duration::from_secs(600);
    let address = first.url.clone();
    drop(first);
    let router = router(&settings);
    let mut health_checks = JoinSet::new();
    health_checks.spawn(Arc::clone(&router).run_health_checks());
    let chat = OpenAiChat::new(&router, &settings).expect("valid settings");
    let serve = || async { serve_one_request(&chat).await.expect("served") };
    let served_by = eventually("no request is tried at the stopped server", || async {
        Some(serve().await).filter(|served_by| served_by.failed_attempts.is_empty())
    });
    assert!(served_by.await.fallback, "the health check detected it, not a request");
    let _restarted_server = ScriptedServer::start_at(&address, vec![answer_action("m1")]).await;
    eventually("the restarted server serves again", || async {
        Some(serve().await).filter(|served_by| !served_by.fallback)
    })
    .await;
}

#[tokio::test]
async fn the_cost_is_computed_from_the_routes_price_or_else_taken_from_the_server() {
    let server = ScriptedServer::start(vec![answer_action("m1")]).await;
    let mut settings = server.settings();
    let price = Price { input: MicroCost(150_000), output: MicroCost(600_000) };
    settings.tiers.fast[0].price = price;
    let stream = chat_of(&settings).stream(request()).await.expect("served");
    assert_eq!(stream.served_by.price, price);
    let last = stream.deltas.try_collect::<Vec<_>>().await.expect("a complete answer").pop();
    assert!(
        matches!(last, Some(ChatDelta::Finished { cost: MicroCost(210), tokens_estimated: false, .. })),
        "{last:?}"
    );
}

#[tokio::test]
async fn litellm_requests_contain_the_tenant_and_disable_fallbacks_when_needed() {
    let server = ScriptedServer::start(vec![answer_action("m1")]).await;
    let mut settings = server.settings();
    settings.backends[0].dialect = Dialect::LiteLlm;
    let chat = chat_of(&settings);
    for (classification, disables_fallbacks) in
        [(Classification::Internal, false), (Classification::Confidential, true)]
    {
        drop(chat.stream(request_with_classification(classification)).await.expect("served"));
        let request_text = server.requests.lock().unwrap().pop().expect("a request").to_lowercase();
        assert!(request_text.contains("x-litellm-tags: tenant:00000000-0000-0000-0000-000000000001"), "{request_text}");
        assert_eq!(request_text.contains("\"disable_fallbacks\":true"), disables_fallbacks, "{request_text}");
    }
}

#[tokio::test]
async fn embeddings_use_fallbacks_and_a_backend_with_another_model_is_detected() {
    let vectors_action = |body: &str| Action::Send(http_response("200 OK", "application/json", body.as_bytes()), 4096);
    let two_numbers = r#"{"model":"nomic","data":[{"index":0,"embedding":[3.0,4.0]}],"usage":{"prompt_tokens":7}}"#;
    let three_numbers = r#"{"data":[{"index":0,"embedding":[1.0,0.0,0.0]}]}"#;
    let first =
        ScriptedServer::start(vec![vectors_action(two_numbers), failure_action("500 Internal Server Error")]).await;
    let second = ScriptedServer::start(vec![vectors_action(two_numbers), vectors_action(three_numbers)]).await;
    let embedder = embedder_of(&settings_with_fallback(&first, &second)).await;
    assert_eq!(embedder.model().name, "mistral-2");
    let response = embedder.embed(embed_request(EmbedPurpose::Query, &["seal"])).await.expect("the second serves");
    let served_by = response.usage.served_by;
    assert_eq!((served_by.backend.as_str(), served_by.model.as_str(), served_by.fallback), ("cpu", "nomic", true));
    assert_eq!(response.usage.token_usage.input_tokens, 7);
    let error =
        embedder.embed(embed_request(EmbedPurpose::Query, &["seal"])).await.expect_err("vectors of another model");
    assert_eq!(error.error_type(), "garbled");
}

#[tokio::test]
async fn a_failing_model_does_not_affect_other_models_of_its_backend() {
    let mut actions = vec![failure_action("500 Internal Server Error"); 5];
    actions.push(answer_action("m1"));
    let server = ScriptedServer::start(actions).await;
    let chat = chat_of(&server.settings());
    let heavy_request = || ChatRequest { tier: ModelTier::Heavy, ..request() };
    for _ in 0..3 {
        assert!(chat.stream(heavy_request()).await.is_err());
    }
    assert_eq!(server.request_count(), 5, "its breaker is open");
    assert!(serve_one_request(&chat).await.is_ok(), "the fast model has its own breaker");
}

#[tokio::test]
async fn a_second_model_of_the_same_backend_can_be_a_fallback() {
    let server = ScriptedServer::start(vec![failure_action("500 Internal Server Error"), answer_action("m2")]).await;
    let mut settings = server.settings();
    let second = RouteSettings { priority: 2, ..RouteSettings::new("model-server", "spare-model") };
    settings.tiers.fast.push(second);
    let served_by = serve_one_request(&chat_of(&settings)).await.expect("the second model serves");
    assert_eq!(
        (served_by.requested_model.as_str(), served_by.fallback, served_by.failed_attempts.len()),
        ("spare-model", true, 1)
    );
}

#[tokio::test]
async fn requests_that_wait_for_a_requested_pause_are_all_served() {
    let mut actions = vec![failure_action("429 Too Many Requests\nretry-after: 1"); 8];
    actions.push(answer_action("m1"));
    let server = ScriptedServer::start(actions).await;
    let chat = chat_of(&server.settings());
    let results = futures::future::join_all((0..8).map(|_| serve_one_request(&chat))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test]
async fn calls_tokens_fallbacks_and_failed_attempts_are_counted() {
    let failing = failure_action("500 Internal Server Error");
    let (first, second) =
        (ScriptedServer::start(vec![failing]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
    let (settings, registry) = (settings_with_fallback(&first, &second), Registry::new());
    let metrics = ModelMetrics::register(&registry).expect("new names");
    let router = Router::new(&settings, metrics).expect("valid settings");
    let chat = OpenAiChat::new(&router, &settings).expect("valid settings");
    serve_one_request(&chat).await.expect("the second serves");
    router.update_gauges();
    let text = TextEncoder::new().encode_to_string(&registry.gather()).expect("metrics");
    let call = r#"gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="mistral""#;
    for expected_line in [
        r#"model_requests_served_total{backend="cpu",fallback="true",tier="fast"} 1"#.to_owned(),
        r#"model_attempts_failed_total{backend="gpu",error_type="unavailable"} 1"#.to_owned(),
        r#"model_backend_breaker{backend="gpu"} 0"#.to_owned(),
        r#"model_backend_in_flight{backend="cpu"} 0"#.to_owned(),
        "model_queue_waiting 0".to_owned(),
        format!(r#"gen_ai_client_operation_duration_seconds_count{{error_type="",{call}}} 1"#),
        format!(r#"gen_ai_client_operation_duration_seconds_count{{error_type="unavailable",{call}}} 1"#),
        format!(r#"gen_ai_client_token_usage_sum{{{call},gen_ai_token_type="input"}} 1000"#),
        format!("gen_ai_client_operation_time_to_first_chunk_seconds_count{{{call}}} 1"),
    ] {
        assert!(text.lines().any(|line| line == expected_line), "{expected_line} is not in {text}");
    }
}

#[tokio::test]
async fn an_empty_answer_falls_back_and_is_an_error_if_all_are_empty() {
    let stop_event = |delta: &str| format!(r#"{{"choices":[{{"delta":{delta},"finish_reason":"stop"}}]}}"#);
    let blank_event = r#"{"choices":[{"delta":{"content":" \n"}}]}"#;
    for events in
        [vec![stop_event("{}")], vec![blank_event.to_owned(), stop_event("{}")], vec![stop_event(r#"{"content":""}"#)]]
    {
        let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
        events.push("[DONE]");
        let empty_answer = || Action::Send(event_stream(&events), 4096);
        let (first, second) =
            (ScriptedServer::start(vec![empty_answer()]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
        let served_by =
            serve_one_request(&chat_of(&settings_with_fallback(&first, &second))).await.expect("the second serves");
        assert_eq!((served_by.backend.as_str(), served_by.fallback), ("cpu", true), "{events:?}");
        assert_eq!(
            served_by.failed_attempts,
            [FailedAttempt { backend: "gpu".to_owned(), error: "broken_off".to_owned() }]
        );
        let (first, second) = (
            ScriptedServer::start(vec![empty_answer(); 3]).await,
            ScriptedServer::start(vec![empty_answer(); 3]).await,
        );
        let error = serve_one_request(&chat_of(&settings_with_fallback(&first, &second)))
            .await
            .expect_err("all answers are empty");
        let ModelError::Exhausted { last, .. } = error else { panic!("{error:?}") };
        assert!(matches!(*last, ModelError::Interrupted { .. }), "{last:?}");
    }
    // Reasoning does not count as text, but it has already been passed on, so no other backend is tried.
    let reasoning_event = r#"{"choices":[{"delta":{"reasoning_content":"Hm."}}]}"#;
    let reasoning_only = Action::Send(event_stream(&[reasoning_event, &stop_event("{}"), "[DONE]"]), 4096);
    let (first, second) =
        (ScriptedServer::start(vec![reasoning_only]).await, ScriptedServer::start(vec![answer_action("m2")]).await);
    let error = serve_one_request(&chat_of(&settings_with_fallback(&first, &second)))
        .await
        .expect_err("the answer has no text");
    assert!(matches!(error, ModelError::Interrupted { .. }), "{error:?}");
    // An answer that was truncated by its token limit, or that is a tool call, is valid without text.
    let length_event = r#"{"choices":[{"delta":{},"finish_reason":"length"}]}"#;
    let tool_call_event =
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}"#;
    for events in [vec![length_event, "[DONE]"], vec![tool_call_event, &stop_event("{}"), "[DONE]"]] {
        let (first, second) = (
            ScriptedServer::start(vec![Action::Send(event_stream(&events), 4096)]).await,
            ScriptedServer::start(Vec::new()).await,
        );
        assert_eq!(
            serve_one_request(&chat_of(&settings_with_fallback(&first, &second))).await.expect("served").backend,
            "gpu"
        );
    }
}

#[tokio::test]
async fn tenants_get_different_prefix_cache_salts_where_the_server_supports_them() {
    let salt_of = |tenant: u128, dialect: Dialect| async move {
        let server = ScriptedServer::start(vec![answer_action("m")]).await;
        let mut settings = server.settings();
        settings.cache_salts = Some(CacheSalts::new(b"a key of the platform"));
        settings.backends[0].dialect = dialect;
        let chat_request = ChatRequest { caller: caller_of(tenant), ..request() };
        let stream = chat_of(&settings).stream(chat_request).await.expect("an answer");
        stream.deltas.try_collect::<Vec<_>>().await.expect("a complete answer");
        let sent = server.requests.lock().expect("no panic")[0].clone();
        let body: serde_json::Value = serde_json::from_str(&sent[sent.find("{").expect("a body")..]).expect("JSON");
        body.get("cache_salt").and_then(|salt| salt.as_str().map(str::to_owned))
    };
    let (first_salt, repeated_salt, other_salt) =
        (salt_of(1, Dialect::Vllm).await, salt_of(1, Dialect::Vllm).await, salt_of(2, Dialect::Vllm).await);
    assert_eq!(first_salt, repeated_salt);
    assert_ne!(first_salt, other_salt);
    let salt = first_salt.expect("a salt");
    assert!(salt.len() == 32 && salt.bytes().all(|digit| digit.is_ascii_hexdigit()), "{salt}");
    for dialect in [Dialect::LiteLlm, Dialect::OpenAi, Dialect::Azure, Dialect::Ollama] {
        assert_eq!(salt_of(1, dialect).await, None, "{dialect:?} has no such field");
    }
}
