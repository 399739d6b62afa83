//! Chat turns: the documented events, the requests to the model, and every way in which an answer can end.

use crate::support::app::{A, App};
use crate::support::caller::{Answer, Event, text};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::model::{ModelServer, Reply, SERVED};
use reqwest::Method;
use serde_json::{Value, json};

const QUESTION: &str = "How often is the strainer of X-9001 cleaned?";

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn named<'e>(events: &'e [Event], name: &str) -> &'e Value {
    &events.iter().find(|event| event.name == name).unwrap_or_else(|| panic!("no {name}: {events:?}")).data
}

/// An app that uses this model server for chat and the embedded model for embeddings.
async fn app_with(model: &ModelServer) -> App {
    App::start(&[("LITELLM_BASE_URL", &model.url)]).await
}

fn fields(data: &Value) -> Vec<&str> {
    data.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_streamed_answer_has_the_events_of_the_contract_in_order() {
    let app = App::shared().await;
    let user = app.as_user(A);
    user.upload("x-9001.md", &files::note("X-9001"), &[]).await;
    user.ingest("x-9002.md", &files::note("X-9002"), &[]).await;
    let conversation = user.conversation().await;
    let stream =
        user.begin_stream(&conversation, &json!({ "message": "How often is the strainer of X-9002 cleaned?" })).await;
    assert_eq!(stream.status, 200);
    assert!(stream.headers["content-type"].to_str().is_ok_and(|kind| kind.starts_with("text/event-stream")));
    let events = stream.rest().await;

    assert_eq!(events.iter().map(|event| event.id).collect::<Vec<_>>(), (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(names(&events)[..3], ["run.started", "tool.started", "tool.finished"]);
    assert_eq!(names(&events)[3..].iter().filter(|name| !["message.delta", "citation"].contains(name)).count(), 1);
    assert_eq!(fields(named(&events, "run.started")), ["message_id", "model", "run_id"]);
    assert_eq!(named(&events, "tool.finished")["status"], "success");
    assert_eq!(named(&events, "tool.finished")["name"], "rag_search");
    let citation = named(&events, "citation");
    let of_contract = ["chunk_id", "doc", "document_id", "n", "page", "quote", "score", "section", "title"];
    assert_eq!(fields(citation), of_contract);
    assert_eq!((&citation["doc"], &citation["page"]), (&json!("x-9002.md"), &Value::Null));
    assert!(text(&events).contains(&format!("[{}]", citation["n"])), "{}", text(&events));
    let finished = &events.last().expect("events").data;
    assert_eq!(names(&events).last(), Some(&"run.finished"));
    assert_eq!(fields(finished), ["degraded", "fallback", "finish_reason", "left_out", "message_id", "model", "usage"]);
    assert_eq!((&finished["finish_reason"], &finished["degraded"]), (&json!("stop"), &json!(false)));
    assert_eq!(finished["message_id"], named(&events, "run.started")["message_id"]);

    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    let messages = stored["messages"].as_array().expect("messages");
    let of = |field: &str| messages.iter().map(|message| message[field].clone()).collect::<Vec<_>>();
    assert_eq!((of("role"), of("seq")), (vec![json!("user"), json!("assistant")], vec![json!(1), json!(2)]));
    assert_eq!((&messages[1]["status"], &messages[1]["content"]), (&json!("complete"), &json!(text(&events))));
    assert_eq!(messages[1]["citations"][0], *citation);
    assert_eq!(messages[1]["id"], finished["message_id"]);
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_is_one_document() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let path = format!("/v1/conversations/{conversation}/chat");
    let by_field =
        user.post(&path, &json!({ "message": "Which way does the wind blow?", "stream": false })).await.expect(200);
    let of_contract = [
        "citations",
        "content",
        "degraded",
        "fallback",
        "finish_reason",
        "left_out",
        "message_id",
        "model",
        "run_id",
        "usage",
    ];
    assert_eq!(fields(&by_field), of_contract);
    assert_eq!(fields(&by_field["usage"]), ["input_tokens", "output_tokens"]);
    let request = user.request(Method::POST, &path).header("accept", "application/json");
    let by_header = Answer::of(request.json(&json!({ "message": "And why is that?" }))).await.expect(200);
    assert_eq!(fields(&by_header), of_contract);
}

#[tokio::test]
async fn an_answer_without_retrieval_looks_at_no_document() {
    let app = App::shared().await;
    let user = app.as_user(A);
    user.upload("x-9003.md", &files::note("X-9003"), &[]).await;
    let message = json!({ "message": "How often is the strainer of X-9003 cleaned?", "retrieval": "never" });
    let events = user.begin_stream(&user.conversation().await, &message).await.rest().await;
    assert!(!names(&events).contains(&"tool.started") && !names(&events).contains(&"citation"), "{events:?}");
}

#[tokio::test]
async fn an_empty_message_is_refused_and_stores_nothing() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    for empty in ["", "  \n\t "] {
        let answer = user.post(&format!("/v1/conversations/{conversation}/chat"), &json!({ "message": empty })).await;
        assert_eq!(answer.problem(422, "validation")["errors"][0]["pointer"], "/message");
    }
    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!(stored["messages"], json!([]));
}

#[tokio::test]
async fn a_models_words_markers_and_name_are_passed_on_and_recorded() {
    let model =
        ModelServer::start([Reply::Text(vec!["Every 14", " days ", "[", "1].", " It says [99] elsewhere."])]).await;
    let app = app_with(&model).await;
    let user = app.as_user(A);
    user.ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    let conversation = user.conversation().await;
    let events = user.stream(&conversation, QUESTION).await;
    assert_eq!(text(&events), "Every 14 days [1]. It says [99] elsewhere.");
    let cited: Vec<_> = events.iter().filter(|event| event.name == "citation").map(|event| &event.data).collect();
    assert_eq!(cited.len(), 1, "{cited:?}");
    assert_eq!((&cited[0]["n"], &cited[0]["doc"]), (&json!(1), &json!("x-9001.md")));
    let finished = named(&events, "run.finished");
    assert_eq!(finished["model"], SERVED);
    assert_eq!(finished["usage"], json!({ "input_tokens": 21, "output_tokens": 7 }));

    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!((&stored["messages"][1]["model"], &stored["messages"][1]["token_count"]), (&json!(SERVED), &json!(7)));
    let outcome =
        "SELECT model, tools_used FROM audit_logs WHERE event_type = 'chat.response' AND session_id = $1::uuid";
    let rows = SuperuserDb::of(&app).await.rows(outcome, &[&conversation]).await;
    assert_eq!(rows, [json!({ "model": SERVED, "tools_used": ["rag_search"] })]);
    let asked = model.asked();
    assert!(
        asked[0]["messages"].to_string().contains("every 14 days by the morning shift"),
        "the passage was not sent"
    );
}

#[tokio::test]
async fn a_cancelled_answer_ends_as_cancelled_and_keeps_its_words() {
    let model = ModelServer::start([Reply::Pause("First open ", "never said")]).await;
    let app = app_with(&model).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let mut stream = user.begin_stream(&conversation, &json!({ "message": QUESTION })).await;
    let begun = stream.until("message.delta").await;
    let run = named(&begun, "run.started")["run_id"].as_str().expect("an id").to_owned();

    let colleague = app.caller(A, "colin", domain::role::Role::User);
    colleague.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.problem(404, "not_found");
    assert_eq!(user.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.status, 202);
    let rest = tokio::time::timeout(std::time::Duration::from_secs(2), stream.rest()).await.expect("ends within 2 s");
    assert_eq!(named(&rest, "run.finished")["finish_reason"], "cancelled");
    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!(stored["messages"][1]["status"], "cancelled");
    assert_eq!(stored["messages"][1]["content"], "First open ");
}

#[tokio::test]
async fn a_model_that_refuses_or_breaks_off_ends_with_an_error_and_is_stored() {
    let replies = [Reply::Interrupt("Half an "), Reply::Fail(400), Reply::Text(vec!["All well."])];
    let model = ModelServer::start(replies).await;
    let app = app_with(&model).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let broken = user.stream(&conversation, QUESTION).await;
    let refused = user.stream(&conversation, QUESTION).await;
    for events in [&broken, &refused] {
        assert_eq!(names(events).last(), Some(&"error"), "{events:?}");
        let problem = &named(events, "error")["problem"];
        assert!(problem["status"].as_u64() >= Some(500) && problem["detail"].is_string(), "{problem}");
        assert!(!problem.to_string().contains("secret-upstream-words"), "{problem}");
    }
    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!(
        (&stored["messages"][1]["status"], &stored["messages"][1]["content"]),
        (&json!("error"), &json!("Half an "))
    );
    assert_eq!(stored["messages"][3]["status"], "error");
    assert_eq!(text(&user.stream(&conversation, QUESTION).await), "All well.");
}

#[tokio::test]
async fn a_reader_who_comes_back_gets_the_rest_and_nobody_else_does() {
    let model = ModelServer::start([Reply::Pause("Before the line broke, ", "and after it.")]).await;
    let app = app_with(&model).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let mut stream = user.begin_stream(&conversation, &json!({ "message": QUESTION })).await;
    let seen = stream.until("message.delta").await;
    let run = named(&seen, "run.started")["run_id"].as_str().expect("an id").to_owned();
    let last = seen.last().expect("events").id;
    drop(stream);

    let path = format!("/v1/runs/{run}/events");
    app.caller(A, "colin", domain::role::Role::User).get(&path).await.problem(404, "not_found");
    app.as_admin(A).get(&path).await.problem(404, "not_found");
    let again = user.resume(&run, last).await;
    model.resume_replies();
    let rest = again.rest().await;
    assert_eq!((rest[0].id, text(&rest).as_str()), (last + 1, "and after it."));
    assert_eq!(named(&rest, "run.finished")["finish_reason"], "stop");
    let whole = user.resume(&run, 0).await.rest().await;
    assert_eq!(whole, [seen, rest].concat());
}

#[tokio::test]
async fn the_newest_history_reaches_the_model_and_the_users_words_unchanged() {
    let replies = ["One.", "Two.", "Three."].map(|said| Reply::Text(vec![said]));
    let model = ModelServer::start(replies).await;
    let context = ("PLATFORM__CHAT__CONTEXT_TOKENS", "4000");
    let output = ("PLATFORM__CHAT__MAX_OUTPUT_TOKENS", "500");
    let app = App::start(&[("LITELLM_BASE_URL", &model.url), context, output]).await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let long = format!("Long ago: {}", "the shift wrote this down. ".repeat(400));
    let second = "Second:  two  spaces,\n a line break, <tags> & \"quotes\" – Größe 5 µm";
    for message in [long.as_str(), second, "Third."] {
        let body = json!({ "message": message, "retrieval": "never", "stream": false });
        user.post(&format!("/v1/conversations/{conversation}/chat"), &body).await;
    }
    let asked = model.asked();
    let said = |request: &Value| {
        let messages = request["messages"].as_array().expect("messages").iter();
        let spoken = messages.filter(|message| message["role"] != "system");
        spoken
            .map(|m| (m["role"].as_str().unwrap_or("").to_owned(), m["content"].as_str().unwrap_or("").to_owned()))
            .collect::<Vec<_>>()
    };
    let last = said(asked.last().expect("asked"));
    let expected = [("user", second), ("assistant", "Two."), ("user", "Third.")];
    let expected: Vec<_> = expected.iter().map(|(role, words)| ((*role).to_owned(), (*words).to_owned())).collect();
    assert!(last.ends_with(&expected), "{last:?}");
    assert!(!last.iter().any(|(_, words)| words.starts_with("Long ago")), "the oldest message should not fit");
}
