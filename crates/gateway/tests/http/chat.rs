//! Chat turns: the exact events of a stream, the answer as a single JSON document, and failures.

use crate::support::*;
use axum::body::Body;
use axum::http::Request;
use domain::command::{BranchPoint, ResumeRun, RetrievalMode, SendMessage, TurnQuestion};
use domain::error::{ErrorKind, Problem};
use domain::ids::MessageId;
use domain::role::Role;
use domain::run::{EventStream, RunEvent, ToolStatus};
use domain::text::MessageText;
use futures::StreamExt;
use policy::gate::MockGate;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::ServiceExt;

const CHAT: &str = "/v1/conversations/00000000-0000-0000-0000-00000000f003/chat";

fn gate_with_run(run: fn() -> Vec<RunEvent>) -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<SendMessage>(move |_, _| Ok(event_stream(run())));
    gate
}

fn complete_run() -> Vec<RunEvent> {
    vec![
        started_event(),
        RunEvent::ToolStarted {
            call_id: "c1".into(),
            name: "rag_search".into(),
            query: Some("lockout of X-11".into()),
        },
        RunEvent::ToolFinished { call_id: "c1".into(), name: "rag_search".into(), status: ToolStatus::Success },
        RunEvent::Delta { text: "Close V-1 ".into() },
        RunEvent::Delta { text: "[1].\n\n\"Ü\"".into() },
        RunEvent::Cited(citation()),
        finished_event(),
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

fn post_chat(body: &str) -> Request<Body> {
    with_header(json_request("POST", CHAT, body), "x-request-id", "req-1")
}

#[tokio::test]
async fn a_stream_has_the_documented_events() {
    let reply = send(&router(gate_with_run(complete_run), settings()), post_chat(r#"{"message":"How?"}"#)).await;
    assert_eq!(reply.status, 200);
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("x-request-id", "req-1"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    insta::assert_snapshot!(reply.text);
}

#[tokio::test]
async fn without_streaming_the_answer_is_one_document() {
    let router = router(gate_with_run(complete_run), settings());
    let reply = send(&router, post_chat(r#"{"message":"How?","stream":false}"#)).await;
    assert_eq!(reply.header("content-type"), Some("application/json"));
    insta::assert_snapshot!(reply.text);
    let accepts_json = with_header(post_chat(r#"{"message":"How?"}"#), "accept", "application/json;q=1");
    assert_eq!(send(&router, accepts_json).await.text, reply.text);
    let accepts_both = with_header(post_chat(r#"{"message":"How?"}"#), "accept", "application/json, text/event-stream");
    assert_eq!(send(&router, accepts_both).await.header("content-type"), Some("text/event-stream"));
}

#[tokio::test]
async fn a_failure_before_the_first_event_is_an_error_response() {
    for body in [r#"{"message":"How?"}"#, r#"{"message":"How?","stream":false}"#] {
        let reply = send(&router(gate_with_run(|| vec![failed_event()]), settings()), post_chat(body)).await;
        assert_eq!(reply.problem(), (503, "model_unavailable".into(), None));
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
}

#[tokio::test]
async fn a_failure_after_the_first_event_is_the_last_event() {
    let interrupted_run = || vec![started_event(), RunEvent::Delta { text: "Cl".into() }, failed_event()];
    let reply = send(&router(gate_with_run(interrupted_run), settings()), post_chat(r#"{"message":"How?"}"#)).await;
    assert_eq!(reply.status, 200);
    let last = reply.text.split("\n\n").nth(2).expect("a third event").to_owned();
    insta::assert_snapshot!(last);
    let json_reply =
        send(&router(gate_with_run(interrupted_run), settings()), post_chat(r#"{"message":"How?","stream":false}"#))
            .await;
    assert_eq!(json_reply.problem().0, 503);
}

#[tokio::test]
async fn the_request_body_is_parsed_into_the_command() {
    let mut gate = gate_for(Role::User);
    gate.on::<SendMessage>(|_, command| {
        assert!({
            matches!(&command.question, TurnQuestion::New { message, at: BranchPoint::ActiveBranch }
                if message.as_str() == "How?")
                && command.retrieval == RetrievalMode::Always
                && command.filters.tags == ["valve"]
                && command.filters.document_ids.len() == 1
        });
        Ok(event_stream(complete_run()))
    });
    let body = r#"{"message":" How? ","retrieval":"always","model":"heavy","tags":["valve","valve"],
        "document_ids":["00000000-0000-0000-0000-00000000f004"]}"#;
    assert_eq!(send(&router(gate, settings()), post_chat(body)).await.status, 200);
}

/// Without `parent_id`, the message continues the active branch. With null, it starts a new branch at the beginning of
/// the conversation.
#[tokio::test]
async fn parent_id_and_regenerate_select_the_branch() {
    let id = MessageId::from_uuid(uuid(4));
    let text = || MessageText::parse("How?").expect("a message");
    for (body, expected) in [
        (r#"{"message":"How?"}"#, TurnQuestion::New { message: text(), at: BranchPoint::ActiveBranch }),
        (r#"{"message":"How?","parent_id":null}"#, TurnQuestion::New { message: text(), at: BranchPoint::Root }),
        (
            r#"{"message":"How?","parent_id":"00000000-0000-0000-0000-00000000f004","regenerate":false}"#,
            TurnQuestion::New { message: text(), at: BranchPoint::After(id) },
        ),
        (r#"{"regenerate":true,"parent_id":"00000000-0000-0000-0000-00000000f004"}"#, TurnQuestion::Earlier(id)),
    ] {
        let mut gate = gate_for(Role::User);
        gate.on::<SendMessage>(move |_, command| {
            assert_eq!(command.question, expected);
            Ok(event_stream(complete_run()))
        });
        assert_eq!(send(&router(gate, settings()), post_chat(body)).await.status, 200, "{body}");
    }
}

#[tokio::test]
async fn a_validation_error_names_the_invalid_field() {
    let router = router(gate_for(Role::User), settings());
    for (body, pointer) in [
        (r#"{"message":"  "}"#, "/message"),
        (r#"{"message":"a","model":"huge"}"#, "/model"),
        (r#"{"message":"a","retrieval":"maybe"}"#, "/retrieval"),
        (r#"{"message":"a","document_ids":["x"]}"#, "/document_ids/0"),
        (r#"{"message":"a","tags":["ok",""]}"#, "/tags/1"),
        (r#"{"message":"a\u0000"}"#, "/message"),
        (r#"{"message":"a","colour":1}"#, "/colour"),
        (r#"{}"#, "/message"),
        (r#"{"message":"a","parent_id":"x"}"#, "/parent_id"),
        (r#"{"regenerate":true}"#, "/parent_id"),
        (r#"{"message":7}"#, "/message"),
    ] {
        let reply = send(&router, post_chat(body)).await;
        assert_eq!(reply.problem(), (422, "validation".into(), Some(pointer.into())), "{body}");
    }
}

#[tokio::test]
async fn a_client_that_disconnects_drops_the_stream() {
    struct DropFlag(Arc<AtomicBool>);
    impl Drop for DropFlag {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let mut gate = gate_for(Role::User);
    gate.on::<SendMessage>(move |_, _| {
        let flag = DropFlag(Arc::clone(&flag));
        let endless_run: EventStream = event_stream(vec![started_event()])
            .chain(futures::stream::pending())
            .inspect(move |_| assert!(!flag.0.load(Ordering::SeqCst)))
            .boxed();
        Ok(endless_run)
    });
    let response = router(gate, settings()).oneshot(post_chat(r#"{"message":"How?"}"#)).await.expect("infallible");
    let mut body = response.into_body().into_data_stream();
    assert!(body.next().await.is_some());
    assert!(!dropped.load(Ordering::SeqCst));
    drop(body);
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_run_is_replayed_from_the_last_event_id() {
    const RUN: &str = "/v1/runs/00000000-0000-0000-0000-00000000f006/events";
    for (path, header, after) in
        [(RUN.to_owned(), None, 0), (format!("{RUN}?after=3"), None, 3), (format!("{RUN}?after=3"), Some("7"), 7)]
    {
        let mut gate = gate_for(Role::User);
        gate.on::<ResumeRun>(move |_, command| {
            assert_eq!(command.after, after);
            Ok(event_stream(vec![failed_event()]))
        });
        let mut request = get(&path);
        if let Some(id) = header {
            request = with_header(request, "last-event-id", id);
        }
        let reply = send(&router(gate, settings()), request).await;
        // The run has started, so its failure is an event and not an error response.
        assert_eq!(reply.status, 200);
        assert!(reply.text.starts_with("id: 1\nevent: error\n"), "{}", reply.text);
    }
    let router = router(gate_for(Role::User), settings());
    for invalid in ["-1", "x", "1.5", "99999999999999999999"] {
        let reply = send(&router, with_header(get(RUN), "last-event-id", invalid)).await;
        assert_eq!(reply.problem().2.as_deref(), Some("/Last-Event-ID"), "{invalid}");
        let reply = send(&router, get(&format!("{RUN}?after={invalid}"))).await;
        assert_eq!(reply.problem(), (422, "validation".into(), Some("/after".into())), "{invalid}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_sends_keep_alive_comments() {
    let mut gate = gate_for(Role::User);
    gate.on::<SendMessage>(|_, _| Ok(event_stream(vec![started_event()]).chain(futures::stream::pending()).boxed()));
    let response = router(gate, settings()).oneshot(post_chat(r#"{"message":"How?"}"#)).await.expect("infallible");
    let mut body = response.into_body().into_data_stream();
    body.next().await;
    let started_at = tokio::time::Instant::now();
    let comment = body.next().await.expect("a comment").expect("bytes");
    assert_eq!(&comment[..], b": keep-alive\n\n");
    assert_eq!(started_at.elapsed().as_secs(), 15);
}
