//! Chat turns: the documented events, the requests to the model, and each way in which an answer can end.

use crate::support::api_client::{ApiResponse, SseEvent, answer_text};
use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{MODEL_NAME, ModelServer, Reply};
use reqwest::Method;
use serde_json::{Value, json};

const QUESTION: &str = "How often is the strainer of X-9001 cleaned?";

fn event_names(events: &[SseEvent]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn event_data<'e>(events: &'e [SseEvent], name: &str) -> &'e Value {
    &events.iter().find(|event| event.name == name).unwrap_or_else(|| panic!("no {name}: {events:?}")).data
}

/// An app that uses this model server for chat and the embedded model for embeddings.
async fn start_app(model: &ModelServer) -> TestApp {
    TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await
}

fn field_names(data: &Value) -> Vec<&str> {
    data.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_streamed_answer_has_the_documented_events_in_order() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    user.upload("x-9001.md", &files::note("X-9001"), &[]).await;
    user.ingest("x-9002.md", &files::note("X-9002"), &[]).await;
    let conversation = user.create_conversation().await;
    let stream =
        user.start_stream(&conversation, &json!({ "message": "How often is the strainer of X-9002 cleaned?" })).await;
    assert_eq!(stream.status, 200);
    assert!(stream.headers["content-type"].to_str().is_ok_and(|value| value.starts_with("text/event-stream")));
    let events = stream.read_to_end().await;

    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(event_names(&events)[..3], ["run.started", "tool.started", "tool.finished"]);
    assert_eq!(
        event_names(&events)[3..].iter().filter(|name| !["message.delta", "citation"].contains(name)).count(),
        1
    );
    assert_eq!(field_names(event_data(&events, "run.started")), ["message_id", "model", "run_id"]);
    assert_eq!(event_data(&events, "tool.finished")["status"], "success");
    assert_eq!(event_data(&events, "tool.finished")["name"], "rag_search");
    let citation = event_data(&events, "citation");
    let citation_fields = ["chunk_id", "doc", "document_id", "kind", "n", "page", "quote", "score", "section", "title"];
    assert_eq!(field_names(citation), citation_fields);
    assert_eq!((&citation["doc"], &citation["page"]), (&json!("x-9002.md"), &Value::Null));
    assert!(answer_text(&events).contains(&format!("[{}]", citation["n"])), "{}", answer_text(&events));
    let finished = &events.last().expect("events").data;
    assert_eq!(event_names(&events).last(), Some(&"run.finished"));
    assert_eq!(
        field_names(finished),
        ["degraded", "fallback", "finish_reason", "left_out", "message_id", "model", "unsupported", "usage"]
    );
    assert_eq!((&finished["finish_reason"], &finished["degraded"]), (&json!("stop"), &json!(false)));
    assert_eq!(finished["message_id"], event_data(&events, "run.started")["message_id"]);

    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    let messages = stored_conversation["messages"].as_array().expect("messages");
    let values_of = |field: &str| messages.iter().map(|message| message[field].clone()).collect::<Vec<_>>();
    assert_eq!(
        (values_of("role"), values_of("seq")),
        (vec![json!("user"), json!("assistant")], vec![json!(1), json!(2)])
    );
    assert_eq!((&messages[1]["status"], &messages[1]["content"]), (&json!("complete"), &json!(answer_text(&events))));
    assert_eq!(messages[1]["citations"][0], *citation);
    assert_eq!(messages[1]["id"], finished["message_id"]);
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_one_json_object() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let by_field = user
        .post(&path, &json!({ "message": "Which way does the wind blow?", "stream": false }))
        .await
        .expect_json(200);
    let answer_fields = [
        "citations",
        "content",
        "degraded",
        "fallback",
        "finish_reason",
        "left_out",
        "message_id",
        "model",
        "run_id",
        "unsupported",
        "usage",
    ];
    assert_eq!(field_names(&by_field), answer_fields);
    assert_eq!(field_names(&by_field["usage"]), ["input_tokens", "output_tokens"]);
    let request = user.request(Method::POST, &path).header("accept", "application/json");
    let by_header = ApiResponse::send(request.json(&json!({ "message": "And why is that?" }))).await.expect_json(200);
    assert_eq!(field_names(&by_header), answer_fields);
}

#[tokio::test]
async fn an_answer_without_retrieval_reads_no_document() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    user.upload("x-9003.md", &files::note("X-9003"), &[]).await;
    let message = json!({ "message": "How often is the strainer of X-9003 cleaned?", "retrieval": "never" });
    let events = user.start_stream(&user.create_conversation().await, &message).await.read_to_end().await;
    assert!(
        !event_names(&events).contains(&"tool.started") && !event_names(&events).contains(&"citation"),
        "{events:?}"
    );
}

#[tokio::test]
async fn an_empty_message_is_refused_and_stores_nothing() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    for empty in ["", "  \n\t "] {
        let refusal = user.post(&format!("/v1/conversations/{conversation}/chat"), &json!({ "message": empty })).await;
        assert_eq!(refusal.expect_problem(422, "validation")["errors"][0]["pointer"], "/message");
    }
    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(stored_conversation["messages"], json!([]));
}

#[tokio::test]
async fn a_models_text_citations_and_name_are_forwarded_and_stored() {
    let model =
        ModelServer::start([Reply::Text(vec!["Every 14", " days ", "[", "1].", " It says [99] elsewhere."])]).await;
    let app = start_app(&model).await;
    let user = app.as_user(TENANT_A);
    user.ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    let conversation = user.create_conversation().await;
    let events = user.chat_events(&conversation, QUESTION).await;
    assert_eq!(answer_text(&events), "Every 14 days [1]. It says elsewhere.");
    let citations: Vec<_> = events.iter().filter(|event| event.name == "citation").map(|event| &event.data).collect();
    assert_eq!(citations.len(), 1, "{citations:?}");
    assert_eq!((&citations[0]["n"], &citations[0]["doc"]), (&json!(1), &json!("x-9001.md")));
    let finished = event_data(&events, "run.finished");
    assert_eq!(finished["model"], MODEL_NAME);
    assert_eq!(finished["usage"], json!({ "input_tokens": 21, "output_tokens": 7 }));

    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(
        (&stored_conversation["messages"][1]["model"], &stored_conversation["messages"][1]["token_count"]),
        (&json!(MODEL_NAME), &json!(7))
    );
    let outcome_query =
        "SELECT model, tools_used FROM audit_logs WHERE event_type = 'chat.response' AND conversation_id = $1::uuid";
    let rows = SuperuserDb::connect(&app).await.rows(outcome_query, &[&conversation]).await;
    assert_eq!(rows, [json!({ "model": MODEL_NAME, "tools_used": ["rag_search"] })]);
    let requests = model.requests();
    assert!(
        requests[0]["messages"].to_string().contains("every 14 days by the morning shift"),
        "the prompt must contain the passage"
    );
}

#[tokio::test]
async fn a_cancelled_answer_keeps_its_text_and_ends_as_cancelled() {
    let model = ModelServer::start([Reply::PauseUntilResumed("First open ", "never said")]).await;
    let app = start_app(&model).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": QUESTION })).await;
    let first_events = stream.read_until("message.delta").await;
    let run_id = event_data(&first_events, "run.started")["run_id"].as_str().expect("an id").to_owned();

    let colleague = app.caller(TENANT_A, "colin", domain::role::Role::User);
    colleague.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})).await.expect_problem(404, "not_found");
    assert_eq!(user.post(&format!("/v1/runs/{run_id}/cancel"), &json!({})).await.status, 202);
    let remaining_events =
        tokio::time::timeout(std::time::Duration::from_secs(2), stream.read_to_end()).await.expect("ends within 2 s");
    assert_eq!(event_data(&remaining_events, "run.finished")["finish_reason"], "cancelled");
    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(stored_conversation["messages"][1]["status"], "cancelled");
    assert_eq!(stored_conversation["messages"][1]["content"], "First open ");
}

#[tokio::test]
async fn an_answer_that_the_model_refuses_or_interrupts_ends_with_an_error_and_is_stored() {
    let replies = [Reply::Interrupt("Half an "), Reply::Status(400), Reply::Text(vec!["All well."])];
    let model = ModelServer::start(replies).await;
    let app = start_app(&model).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let interrupted = user.chat_events(&conversation, QUESTION).await;
    let refused_by_model = user.chat_events(&conversation, QUESTION).await;
    for events in [&interrupted, &refused_by_model] {
        assert_eq!(event_names(events).last(), Some(&"error"), "{events:?}");
        let problem = &event_data(events, "error")["problem"];
        assert!(problem["status"].as_u64() >= Some(500) && problem["detail"].is_string(), "{problem}");
        assert!(!problem.to_string().contains("secret-upstream-words"), "{problem}");
    }
    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(
        (&stored_conversation["messages"][1]["status"], &stored_conversation["messages"][1]["content"]),
        (&json!("error"), &json!("Half an "))
    );
    assert_eq!(stored_conversation["messages"][3]["status"], "error");
    assert_eq!(answer_text(&user.chat_events(&conversation, QUESTION).await), "All well.");
}

#[tokio::test]
async fn only_its_owner_resumes_a_run_after_a_lost_connection() {
    let model = ModelServer::start([Reply::PauseUntilResumed("Before the line broke, ", "and after it.")]).await;
    let app = start_app(&model).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": QUESTION })).await;
    let first_events = stream.read_until("message.delta").await;
    let run_id = event_data(&first_events, "run.started")["run_id"].as_str().expect("an id").to_owned();
    let last_event_id = first_events.last().expect("events").id;
    drop(stream);

    let path = format!("/v1/runs/{run_id}/events");
    app.caller(TENANT_A, "colin", domain::role::Role::User).get(&path).await.expect_problem(404, "not_found");
    app.as_admin(TENANT_A).get(&path).await.expect_problem(404, "not_found");
    let resumed = user.stream_run_events(&run_id, last_event_id).await;
    model.resume_one_reply();
    let remaining_events = resumed.read_to_end().await;
    assert_eq!((remaining_events[0].id, answer_text(&remaining_events).as_str()), (last_event_id + 1, "and after it."));
    assert_eq!(event_data(&remaining_events, "run.finished")["finish_reason"], "stop");
    let all_events = user.stream_run_events(&run_id, 0).await.read_to_end().await;
    assert_eq!(all_events, [first_events, remaining_events].concat());
}

#[tokio::test]
async fn the_newest_history_and_the_users_unchanged_text_reach_the_model() {
    let replies = ["One.", "Two.", "Three."].map(|text| Reply::Text(vec![text]));
    let model = ModelServer::start(replies).await;
    let context = ("PLATFORM__CHAT__CONTEXT_TOKENS", "4000");
    let output = ("PLATFORM__CHAT__MAX_OUTPUT_TOKENS", "500");
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url), context, output]).await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let long = format!("Long ago: {}", "the shift wrote this down. ".repeat(400));
    let second = "Second:  two  spaces,\n a line break, <tags> & \"quotes\" – Größe 5 µm";
    for message in [long.as_str(), second, "Third."] {
        let body = json!({ "message": message, "retrieval": "never", "stream": false });
        user.post(&format!("/v1/conversations/{conversation}/chat"), &body).await;
    }
    let requests = model.requests();
    let messages_of = |request: &Value| {
        let messages = request["messages"].as_array().expect("messages").iter();
        let without_system = messages.filter(|message| message["role"] != "system");
        without_system
            .map(|m| (m["role"].as_str().unwrap_or("").to_owned(), m["content"].as_str().unwrap_or("").to_owned()))
            .collect::<Vec<_>>()
    };
    let last_messages = messages_of(requests.last().expect("asked"));
    let expected = [("user", second), ("assistant", "Two."), ("user", "Third.")];
    let expected: Vec<_> = expected.iter().map(|(role, content)| ((*role).to_owned(), (*content).to_owned())).collect();
    assert!(last_messages.ends_with(&expected), "{last_messages:?}");
    assert!(
        !last_messages.iter().any(|(_, content)| content.starts_with("Long ago")),
        "the oldest message should not fit"
    );
}
