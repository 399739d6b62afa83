//! The OpenAI-compatible API: the commands that requests become, and the chunks and responses that clients receive.

use crate::support::*;
use axum::body::Body;
use axum::http::Request;
use domain::command::{AskAssistant, AskModel, CreateEmbeddings, GetModel, ListModels, ListTeams, RetrievalMode};
use domain::conversation::MessageRole;
use domain::error::{ErrorKind, Problem};
use domain::ids::{ConversationId, MessageId, TeamId, TenantId};
use domain::model::{CallUsage, EmbedResponse, ModelToolCall, PromptMessage, TierChoice};
use domain::model_id::ModelId;
use domain::page::Page;
use domain::role::Role;
use domain::run::{AssistantRun, Escalation, FinishReason, RunEvent, RunSummary, TokenUsage, ToolStatus};
use domain::team::{Team, TeamRole, TeamView};
use futures::StreamExt;
use policy::gate::MockGate;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt;

const CHAT: &str = "/openai/v1/chat/completions";

fn post(body: &Value) -> Request<Body> {
    with_header(json_request("POST", CHAT, &body.to_string()), "x-request-id", "req-1")
}

fn post_question(fields: Value) -> Request<Body> {
    let mut body = json!({ "model": "auto", "messages": [{ "role": "user", "content": "How?" }] });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    post(&body)
}

fn assistant_run() -> Vec<RunEvent> {
    let mut started = started_event();
    if let RunEvent::Started { escalation, .. } = &mut started {
        *escalation = Some(Escalation::UserRequest);
    }
    vec![
        started,
        RunEvent::ToolStarted { call_id: "c1".into(), name: "rag_search".into(), query: None },
        RunEvent::ToolFinished { call_id: "c1".into(), name: "rag_search".into(), status: ToolStatus::Success },
        RunEvent::Reasoning { text: "V-1 it is.".into() },
        RunEvent::Delta { text: "Größe: V-1 ".into() },
        RunEvent::Delta { text: "[1].\n".into() },
        RunEvent::Cited(citation()),
        finished_event(),
    ]
}

fn tool_call(id: &str, name: &str) -> RunEvent {
    let arguments = r#"{"tag":"P-101"}"#.to_owned();
    RunEvent::ClientToolRequested(ModelToolCall { id: id.into(), name: name.into(), arguments })
}

fn tool_calling_run() -> Vec<RunEvent> {
    let summary = RunSummary {
        fallback: false,
        finish_reason: FinishReason::ToolCalls,
        usage: TokenUsage { input_tokens: 12, output_tokens: 4 },
        model: "qwen".into(),
        degraded: false,
        omitted_count: 0,
        message_id: MessageId::from_uuid(uuid(6)),
        unsupported_statements: Vec::new(),
    };
    vec![
        started_event(),
        tool_call("call_1", "read_tag"),
        tool_call("call_2", "read_trend"),
        RunEvent::Finished(summary),
    ]
}

fn failed_event() -> RunEvent {
    RunEvent::Failed(Problem {
        decision_id: None,
        kind: ErrorKind::Unavailable,
        code: "model_unavailable",
        detail: Some("The language model stopped responding.".into()),
    })
}

fn to_assistant_run(run: Vec<RunEvent>) -> AssistantRun {
    AssistantRun { conversation: ConversationId::from_uuid(uuid(3)), events: event_stream(run), omitted_tools: 0 }
}

fn gate_with_assistant(run: fn() -> Vec<RunEvent>) -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<AskAssistant>(move |_, _| Ok(to_assistant_run(run())));
    gate
}

fn gate_with_model(run: fn() -> Vec<RunEvent>) -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<AskModel>(move |_, _| Ok(event_stream(run())));
    gate
}

async fn reply(gate: MockGate, request: Request<Body>) -> Reply {
    send(&router(gate, settings()), request).await
}

#[tokio::test]
async fn a_stream_of_the_assistant_has_annotations_and_no_platform_tools() {
    let request = post_question(json!({ "stream": true, "stream_options": { "include_usage": true } }));
    let reply = reply(gate_with_assistant(assistant_run), request).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("x-request-id", "req-1"),
        ("x-conversation-id", "00000000-0000-0000-0000-00000000f003"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert!(reply.text.lines().all(|line| line.is_empty() || line.starts_with("data: ")), "{}", reply.text);
    insta::assert_snapshot!(reply.text);
}

#[tokio::test]
async fn a_document_of_the_assistant_has_annotations_in_its_message() {
    let reply = reply(gate_with_assistant(assistant_run), post_question(json!({}))).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("x-conversation-id"), Some("00000000-0000-0000-0000-00000000f003"));
    insta::assert_snapshot!(serde_json::to_string_pretty(&reply.json()).expect("JSON"));
}

#[tokio::test]
async fn a_direct_model_returns_tool_calls_to_the_client() {
    let tool = json!({ "type": "function", "function": { "name": "read_tag" } });
    let streamed = reply(
        gate_with_model(tool_calling_run),
        post_question(json!({ "model": "fast-direct", "tools": [tool], "stream": true })),
    )
    .await;
    assert_eq!(streamed.header("x-conversation-id"), None);
    insta::assert_snapshot!(streamed.text);
    let response =
        reply(gate_with_model(tool_calling_run), post_question(json!({ "model": "fast-direct", "tools": [tool] })))
            .await
            .json();
    let message = &response["choices"][0]["message"];
    assert_eq!((&message["content"], &response["choices"][0]["finish_reason"]), (&Value::Null, &json!("tool_calls")));
    let function = json!({ "name": "read_tag", "arguments": "{\"tag\":\"P-101\"}" });
    assert_eq!(message["tool_calls"][0], json!({ "id": "call_1", "type": "function", "function": function }));
    assert_eq!(
        (&response["platform"]["message_id"], &response["platform"]["conversation_id"]),
        (&json!(null), &json!(null))
    );
}

#[tokio::test]
async fn a_question_to_the_assistant_is_parsed_into_the_command() {
    let mut gate = gate_for(Role::User);
    gate.on::<AskAssistant>(|_, command| {
        assert!({
            let history: Vec<_> =
                command.history.iter().map(|message| (message.role, message.content.as_str())).collect();
            command.message.as_str() == "And the seal?"
                && history == [(MessageRole::User, "How?"), (MessageRole::Assistant, "So.\nOr so.")]
                && command.instructions.as_deref() == Some("Be brief.\n\nIn German.")
                && command.model == TierChoice::Heavy
                && command.retrieval == RetrievalMode::Always
                && command.filters.tags == ["valve"]
                && command.conversation == Some(ConversationId::from_uuid(uuid(3)))
                && command.options.temperature == Some(0.5)
                && command.options.stop == ["END"]
                && command.max_output_tokens == Some(64)
                && command.tools.is_empty()
                && command.tool_rounds.is_empty()
        });
        Ok(to_assistant_run(assistant_run()))
    });
    let request = post(&json!({
        "model": "heavy", "temperature": 0.5, "stop": "END", "max_tokens": 9, "max_completion_tokens": 64,
        "retrieval": "always", "tags": ["valve"], "user": "somebody else", "logit_bias": {}, "n": 1, "tools": [],
        "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "How?" }] },
            { "role": "assistant", "content": [
                { "type": "text", "text": "So." }, { "type": "text", "text": "Or so." }
            ] },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "1", "type": "function", "function": { "name": "f", "arguments": "{}" } }
            ] },
            { "role": "tool", "tool_call_id": "1", "content": "42" },
            { "role": "developer", "content": "In German." },
            { "role": "user", "content": " And the seal? " },
        ],
    }));
    let request = with_header(request, "x-conversation-id", "00000000-0000-0000-0000-00000000f003");
    assert_eq!(reply(gate, request).await.status, 200);
}

#[tokio::test]
async fn client_tools_and_their_results_are_passed_to_the_assistant() {
    let rounds = json!([
        { "role": "user", "content": "Read P-101." },
        { "role": "assistant", "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "read_tag", "arguments": "{}" } }
        ] },
        { "role": "tool", "tool_call_id": "c", "content": "4 bar" },
    ]);
    let tool = json!({ "type": "function", "function": { "name": "read_tag" } });
    for (choice, tool_count) in [(json!("auto"), 1), (json!("none"), 0)] {
        let mut gate = gate_for(Role::User);
        gate.on::<AskAssistant>(move |_, command| {
            assert!(command.message.as_str() == "Read P-101." && command.history.is_empty());
            let [PromptMessage::Assistant { tool_calls, .. }, PromptMessage::Tool { content, .. }] =
                command.tool_rounds.as_slice()
            else {
                panic!("{:?}", command.tool_rounds)
            };
            assert_eq!((tool_calls.len(), content.as_str()), (1, "4 bar"));
            assert_eq!(command.tools.len(), tool_count);
            Ok(AssistantRun { omitted_tools: 36, ..to_assistant_run(tool_calling_run()) })
        });
        let body = json!({ "model": "auto", "messages": rounds, "tools": [tool], "tool_choice": choice });
        let reply = reply(gate, post(&body)).await.json();
        assert_eq!(reply["platform"]["left_out"], json!({ "content": 0, "tools": 36 }), "{reply}");
        assert_eq!(reply["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "read_tag");
    }
}

#[tokio::test]
async fn an_open_webui_question_with_files_is_not_a_background_task() {
    let text = "### Task:\nRespond to the user query using the provided context, …\n\nHow?";
    let body = json!({ "model": "auto", "messages": [{ "role": "user", "content": text }] });
    assert_eq!(reply(gate_with_assistant(assistant_run), post(&body)).await.status, 200);
}

#[tokio::test]
async fn a_direct_model_gets_all_messages_and_answers_tool_results_and_background_tasks() {
    let direct = json!({ "model": "heavy-direct", "messages": [
        { "role": "system", "content": " You are a poet. " }, { "role": "user", "content": "Rhyme." },
    ] });
    let after_tools = json!({ "model": "fast-direct", "messages": [
        { "role": "user", "content": "Read P-101." },
        { "role": "assistant", "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "read_tag", "arguments": "{}" } }
        ] },
        { "role": "tool", "tool_call_id": "c", "content": "4 bar" },
    ] });
    let task = json!({ "model": "heavy", "messages": [{ "role": "user", "content": "### Task:\nSuggest a title." }] });
    for (body, first, model) in [
        (direct, PromptMessage::System(" You are a poet. ".into()), TierChoice::Heavy),
        (after_tools, PromptMessage::User("Read P-101.".into()), TierChoice::Fast),
        (task, PromptMessage::User("### Task:\nSuggest a title.".into()), TierChoice::Fast),
    ] {
        let mut gate = gate_for(Role::User);
        gate.on::<AskModel>(move |_, command| {
            assert!(command.messages[0] == first && command.model == model);
            Ok(event_stream(tool_calling_run()))
        });
        assert_eq!(reply(gate, post(&body)).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_failure_before_the_first_output_is_an_error_response_and_after_it_the_last_chunk() {
    let immediately_failing_run = || vec![started_event(), failed_event()];
    for stream in [true, false] {
        let failed =
            reply(gate_with_assistant(immediately_failing_run), post_question(json!({ "stream": stream }))).await;
        assert_eq!((failed.status.as_u16(), failed.header("retry-after")), (503, Some("5")));
        assert_eq!(failed.json()["error"]["code"], "model_unavailable");
    }
    let interrupted_run = || vec![started_event(), RunEvent::Delta { text: "Cl".into() }, failed_event()];
    let failed = reply(gate_with_assistant(interrupted_run), post_question(json!({ "stream": true }))).await;
    assert_eq!(failed.status, 200);
    insta::assert_snapshot!(failed.text.trim_end().rsplit("\n\n").next().expect("a last line"));
    let failed = reply(gate_with_assistant(interrupted_run), post_question(json!({}))).await;
    assert_eq!(failed.status, 503);
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_is_kept_open_with_comments() {
    let mut gate = gate_for(Role::User);
    gate.on::<AskModel>(|_, _| {
        let late_events = futures::stream::once(async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            domain::run::NumberedEvent { seq: 2, event: RunEvent::Delta { text: "Late.".into() } }
        });
        Ok(event_stream(vec![started_event()]).chain(late_events).boxed())
    });
    let request = post_question(json!({ "model": "fast-direct", "stream": true }));
    let response = router(gate, settings()).oneshot(request).await.expect("infallible");
    assert_eq!(response.status(), 200);
    let mut body = response.into_body().into_data_stream();
    let mut body_text = String::new();
    while let Some(chunk) = body.next().await {
        body_text.push_str(std::str::from_utf8(&chunk.expect("bytes")).expect("UTF-8"));
    }
    assert_eq!(body_text.matches(": keep-alive").count(), 1, "{body_text}");
    assert!(body_text.contains(r#""role":"assistant""#) && body_text.contains("Late."), "{body_text}");
}

fn team(slug: &str, role: TeamRole) -> TeamView {
    let team = Team {
        id: TeamId::from_uuid(uuid(40)),
        name: slug.to_owned(),
        slug: slug.to_owned(),
        created_at: fixed_time(),
        updated_at: fixed_time(),
        deleted_at: None,
    };
    TeamView { team, host: TenantId::from_uuid(uuid(1)), role }
}

#[tokio::test]
async fn a_teams_model_asks_the_assistant_in_its_space() {
    let mut gate = gate_for(Role::User);
    gate.on::<ListTeams>(|_, _| Ok(Page { items: vec![team("turnaround", TeamRole::Owner)], next: None }));
    gate.on::<AskAssistant>(|_, command| {
        assert_eq!(command.team, Some(TeamId::from_uuid(uuid(40))));
        let events = event_stream(vec![started_event(), finished_event()]);
        Ok(AssistantRun { conversation: ConversationId::from_uuid(uuid(3)), events, omitted_tools: 0 })
    });
    let router = router(gate, settings());
    let body = json!({ "model": "assistant@turnaround", "messages": [{ "role": "user", "content": "Hi" }] });
    let answer = send(&router, json_request("POST", CHAT, &body.to_string())).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["model"]), (200, &json!("assistant@turnaround")));
}

#[tokio::test]
async fn a_slug_of_several_other_tenants_names_no_team_by_itself() {
    let of = |host: u128, id: u128, slug: &str| {
        let mut view = team(slug, TeamRole::Member);
        (view.host, view.team.id) = (TenantId::from_uuid(uuid(host)), TeamId::from_uuid(uuid(id)));
        view
    };
    let own = TenantId::from_uuid(uuid(1));
    let mut gate = gate_for(Role::User);
    gate.on::<ListModels>(|_, _| Ok(Vec::new()));
    gate.on::<ListTeams>(move |_, _| {
        let mut mine = of(71, 41, "shared");
        mine.host = own;
        let others = [of(71, 42, "shared"), of(71, 43, "audit"), of(72, 44, "audit"), of(72, 45, "alone")];
        Ok(Page { items: [mine].into_iter().chain(others).collect(), next: None })
    });
    let router = router(gate, settings());
    let listed = send(&router, get("/openai/v1/models")).await.json();
    let ids: Vec<_> = listed["data"].as_array().expect("models").iter().map(|model| model["id"].clone()).collect();
    let (first, second) = (uuid(71), uuid(72));
    let expected = [
        "assistant@alone".to_owned(),
        format!("assistant@audit.{first}"),
        format!("assistant@audit.{second}"),
        "assistant@shared".to_owned(),
        format!("assistant@shared.{first}"),
    ];
    assert_eq!(ids, expected.map(Value::from));
    for (id, status) in [("audit".to_owned(), 404), (format!("audit.{second}"), 200), ("shared".to_owned(), 200)] {
        assert_eq!(send(&router, get(&format!("/openai/v1/models/assistant@{id}"))).await.status, status, "{id}");
    }
}

#[tokio::test]
async fn models_are_listed_and_read() {
    let mut gate = gate_for(Role::User);
    gate.on::<ListModels>(|_, _| Ok(vec![ModelId::Auto, ModelId::FastDirect, ModelId::Embed]));
    gate.on::<GetModel>(|_, command| {
        assert!(command.id == ModelId::Fast);
        Ok(command.id)
    });
    gate.on::<ListTeams>(|_, _| {
        Ok(Page { items: vec![team("turnaround", TeamRole::Member), team("reading", TeamRole::Viewer)], next: None })
    });
    let router = router(gate, settings());
    insta::assert_snapshot!(send(&router, get("/openai/v1/models")).await.text);
    assert_eq!(send(&router, get("/openai/v1/models/assistant@turnaround")).await.json()["id"], "assistant@turnaround");
    for unknown in ["assistant@reading", "assistant@nothing"] {
        assert_eq!(send(&router, get(&format!("/openai/v1/models/{unknown}"))).await.status, 404, "{unknown}");
    }
    let model = send(&router, get("/openai/v1/models/fast")).await.json();
    assert_eq!(
        (&model["id"], &model["object"], &model["owned_by"]),
        (&json!("fast"), &json!("model"), &json!("platform"))
    );
}

#[tokio::test]
async fn embeddings_are_floats_or_base64() {
    let embed = |body: Value| async move {
        let mut gate = gate_for(Role::User);
        gate.on::<CreateEmbeddings>(|_, command| {
            let vectors = command.texts.iter().map(|_| vec![0.5_f32, -0.25]).collect();
            let token_usage = TokenUsage { input_tokens: 3, output_tokens: 0 };
            Ok(EmbedResponse { vectors, usage: CallUsage { token_usage, ..CallUsage::default() } })
        });
        reply(gate, json_request("POST", "/openai/v1/embeddings", &body.to_string())).await
    };
    let floats = embed(json!({ "model": "embed", "input": ["a", "b"], "user": "x" })).await;
    insta::assert_snapshot!(floats.text);
    let bytes = embed(json!({ "model": "embed", "input": "a", "encoding_format": "base64" })).await.json();
    assert_eq!(bytes["data"][0]["embedding"], "AAAAPwAAgL4=");
}
