//! Chat turns: events, stored data, searches, and who can replay them.

use crate::support::model::ScriptedModel;
use crate::support::model::Step::{Call, Finish, Hang, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Fixture, event_names};
use domain::command::{CancelRun, ResumeRun, RetrievalMode};
use domain::conversation::{MessageRole, MessageStatus};
use domain::error::{Classify as _, ErrorKind};
use domain::ids::RunId;
use domain::model::PromptMessage;
use domain::role::{Classification, Role};
use domain::run::{EventStream, RunEvent};
use domain::search::{Hit, Retrieval};
use domain::tool::ToolResult;
use futures::StreamExt as _;
use runtime::chat::ChatSettings;
use runtime::prompt::tokens::TokenCounter;
use runtime::use_case::UseCase as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tools::error::ToolError;

const QUESTION: &str = "Which valve closes first?";

async fn internal_hit(fixture: &Fixture) -> Hit {
    fixture.create_document(Classification::Internal, "Close FV-2003 first.").await.1
}

async fn run_id(events: &mut EventStream) -> RunId {
    match events.next().await.expect("a first event").event {
        RunEvent::Started { run_id, .. } => run_id,
        other => panic!("the first event is not `Started`: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_emits_its_events_in_order_and_stores_answer_citations_and_one_outcome() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Close FV-2003 first "), Text("[1]."), Finish]]);
    let tools = ScriptedTools::returning_hits(vec![internal_hit(&fixture).await]);
    let events = fixture.ask(&fixture.chat(&model, &tools), QUESTION, RetrievalMode::Auto).await;

    assert_eq!(
        event_names(&events),
        ["started", "tool started", "tool finished", "delta", "delta", "cited", "finished"]
    );
    let messages = model.messages_at_last_request();
    assert_eq!(messages.len(), 2, "the question and an empty answer are stored before the model is called");
    assert_eq!((messages[0].role, messages[0].content.as_str()), (MessageRole::User, QUESTION));
    assert_eq!(messages[1].status, MessageStatus::Streaming);

    let answer = fixture.answer().await;
    assert_eq!((answer.status, answer.content.as_str()), (MessageStatus::Complete, "Close FV-2003 first [1]."));
    assert_eq!(answer.citations.len(), 1);
    assert_eq!(answer.citations[0].document().expect("a passage").quote, "Close FV-2003 first");
    assert_eq!((answer.model.as_deref(), answer.token_count), (Some("script-1"), Some(7)));

    let outcome = fixture.turn_outcome().await;
    assert_eq!(outcome.result_status.as_deref(), Some("success"));
    assert_eq!(outcome.model.as_deref(), Some("script-1"));
    assert_eq!(outcome.tools_used, ["rag_search"]);
    assert!(!outcome.metadata.to_string().contains("FV-2003"), "no content in the log: {}", outcome.metadata);
}

#[tokio::test(start_paused = true)]
async fn no_transaction_is_open_while_a_model_streams() {
    let fixture = Fixture::new().await;
    let call = Call { id: "c1", name: "rag_search", arguments: r#"{"query":"valve"}"# };
    let model = fixture.model([vec![Text("Let me see. "), call, Finish], vec![Text("It is FV-2003."), Finish]]);
    let tools = ScriptedTools::returning_hits(vec![internal_hit(&fixture).await]);
    fixture.ask(&fixture.chat(&model, &tools), QUESTION, RetrievalMode::Auto).await;
    // Two requests and five deltas.
    assert_eq!(model.open_transactions(), [0; 7]);
}

#[tokio::test(start_paused = true)]
async fn without_retrieval_no_tool_is_called() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("x"), Finish]]);
    let tools = ScriptedTools::returning_hits(vec![internal_hit(&fixture).await]);
    let events = fixture.ask(&fixture.chat(&model, &tools), QUESTION, RetrievalMode::Never).await;
    assert_eq!(event_names(&events), ["started", "delta", "finished"]);
    assert!(tools.calls().is_empty());
    assert!(fixture.turn_outcome().await.tools_used.is_empty());
}

/// Tools whose search finds these passages but does not consider them good enough to answer from.
fn tools_with_weak_hits(hits: Vec<Hit>) -> Arc<ScriptedTools> {
    ScriptedTools::new(move |_| Ok(ToolResult::Retrieval(Retrieval { hits: hits.clone(), ..Retrieval::default() })))
}

/// Returns the message with memories and passages in the first prompt, which is the one before the question.
fn context_message(model: &ScriptedModel) -> String {
    let mut messages = model.requests().remove(0).prompt.into_parts().0;
    messages.pop();
    match messages.pop() {
        Some(PromptMessage::User(text)) => text,
        other => panic!("no data before the question: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_language_model_gets_weak_passages_with_a_warning() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("The documents do not say; near it is [1]."), Finish]]);
    fixture
        .ask(
            &fixture.chat(&model, &tools_with_weak_hits(vec![internal_hit(&fixture).await])),
            QUESTION,
            RetrievalMode::Auto,
        )
        .await;
    let data = context_message(&model);
    assert!(data.contains("FV-2003") && data.contains("none of the passages above matches"), "{data}");
    assert_eq!(fixture.answer().await.citations.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_extractive_answerer_gets_no_weak_passages() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Nothing found."), Finish]]);
    model.is_language_model.store(false, Ordering::Relaxed);
    fixture
        .ask(
            &fixture.chat(&model, &tools_with_weak_hits(vec![internal_hit(&fixture).await])),
            QUESTION,
            RetrievalMode::Auto,
        )
        .await;
    assert!(model.requests()[0].extractive_input.passages.is_empty());
    let data = context_message(&model);
    assert!(!data.contains("FV-2003") && data.contains("hold nothing that answers"), "{data}");
}

#[tokio::test(start_paused = true)]
async fn a_weak_passage_that_the_model_may_not_see_is_left_out() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("The documents do not say."), Finish]]);
    *model.max_input_classification.lock().expect("no panic under the lock") = Classification::Internal;
    let restricted_hit = fixture.create_document(Classification::Restricted, "The bypass code is 7.").await.1;
    fixture
        .ask(
            &fixture.chat(&model, &tools_with_weak_hits(vec![restricted_hit, internal_hit(&fixture).await])),
            QUESTION,
            RetrievalMode::Auto,
        )
        .await;
    let request = model.requests().remove(0);
    assert_eq!(request.prompt.classification(), Classification::Internal);
    let shown: Vec<_> = request.extractive_input.passages.iter().map(|p| p.passage.content.as_str()).collect();
    assert_eq!(shown, ["Close FV-2003 first."]);
}

#[tokio::test(start_paused = true)]
async fn surroundings_of_passages_are_requested_and_shown_but_not_cited() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Close FV-2003 first [1]."), Finish]]);
    let mut hit = internal_hit(&fixture).await;
    hit.surrounding_text.after = Some("Then wait until FI-2003 shows 0.".to_owned());
    let tools = ScriptedTools::returning_hits(vec![hit]);
    fixture.ask(&fixture.chat(&model, &tools), QUESTION, RetrievalMode::Auto).await;
    assert_eq!(tools.calls()[0].arguments["surroundings"], true);
    let data = context_message(&model);
    assert!(data.contains(">\nThen wait until FI-2003 shows 0.\n</after-"), "{data}");
    let answer = fixture.answer().await;
    assert_eq!(answer.citations[0].document().expect("a passage").quote, "Close FV-2003 first");
}

#[tokio::test(start_paused = true)]
async fn passages_take_at_most_half_of_what_the_question_leaves() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("x"), Finish]]);
    let mut hits = Vec::new();
    for n in 0..8 {
        hits.push(
            fixture.create_document(Classification::Internal, &format!("Step {n}. {}", "word ".repeat(200))).await.1,
        );
    }
    let settings = ChatSettings { context_tokens: 3_000, max_output_tokens: 500, ..ChatSettings::default() };
    let chat = fixture.chat_with(&model, &ScriptedTools::returning_hits(hits), settings);
    fixture.ask(&chat, QUESTION, RetrievalMode::Auto).await;
    let request = model.requests().remove(0);
    assert!(
        TokenCounter::default().prompt(request.prompt.content()) <= 2_500,
        "{}",
        TokenCounter::default().prompt(request.prompt.content())
    );
    let shown: Vec<_> = request.extractive_input.passages.iter().map(|p| &p.passage.content[..6]).collect();
    assert_eq!(shown, ["Step 0", "Step 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_turn_whose_retrieval_fails_is_answered_as_degraded() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Without documents: no idea."), Finish]]);
    let tools = ScriptedTools::new(|_| Err(ToolError::TimedOut { tool: "rag_search".into() }));
    let events = fixture.ask(&fixture.chat(&model, &tools), QUESTION, RetrievalMode::Auto).await;
    let Some(RunEvent::Finished(summary)) = events.last() else { panic!("no end: {events:?}") };
    assert!(summary.degraded);
    assert_eq!(fixture.answer().await.status, MessageStatus::Complete);
    assert_eq!(fixture.turn_outcome().await.metadata["degraded"], true);
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_can_resume_or_cancel_a_run() {
    let fixture = Fixture::new().await;
    let (model, tools) = (fixture.model([vec![Text("a"), Hang]]), ScriptedTools::returning_hits(Vec::new()));
    let chat = fixture.chat(&model, &tools);
    let mut events = fixture.send(&chat, "hi", RetrievalMode::Never).await.expect("a run");
    let run = run_id(&mut events).await;

    let resume = ResumeRun { run, after: 0 };
    let by_bob = fixture.authorize(&fixture.bob, Role::Admin, resume.clone()).await;
    assert_eq!(chat.execute(by_bob).await.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    let by_bob = fixture.authorize(&fixture.bob, Role::Admin, CancelRun { run }).await;
    assert_eq!(chat.execute(by_bob).await.err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    assert_eq!(events.next().await.map(|event| event.seq), Some(2), "the run continues");

    let by_ada = fixture.authorize(&fixture.ada, Role::User, CancelRun { run }).await;
    chat.execute(by_ada).await.expect("her own");
    let by_ada = fixture.authorize(&fixture.ada, Role::User, resume).await;
    let replayed: Vec<_> = chat.execute(by_ada).await.expect("her own").map(|event| event.event).collect().await;
    assert_eq!(event_names(&replayed), ["started", "delta", "finished"]);
}

#[tokio::test(start_paused = true)]
async fn runs_above_the_concurrency_limit_are_refused_until_one_ends() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Hang], vec![Text("x"), Finish]]);
    let tools = ScriptedTools::returning_hits(Vec::new());
    let chat = fixture.chat_with(&model, &tools, ChatSettings { concurrent_runs: 1, ..ChatSettings::default() });
    let first = fixture.send(&chat, "hi", RetrievalMode::Never).await.expect("a run");
    let second = fixture.send(&chat, "hi", RetrievalMode::Never).await;
    assert_eq!(second.err().map(|error| error.kind()), Some(ErrorKind::Unavailable));
    chat.cancel_all();
    drop(first);
    fixture.wait_for_runs().await;
    assert!(fixture.send(&chat, "hi", RetrievalMode::Never).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_nul_character_from_the_model_is_dropped_because_the_database_cannot_store_it() {
    let fixture = Fixture::new().await;
    let (model, tools) = (fixture.model([vec![Text("a\0b"), Finish]]), ScriptedTools::returning_hits(Vec::new()));
    fixture.ask(&fixture.chat(&model, &tools), "hi", RetrievalMode::Never).await;
    assert_eq!(fixture.answer().await.content, "ab");
}

#[tokio::test(start_paused = true)]
async fn an_earlier_answer_from_a_restricted_document_keeps_the_next_prompt_restricted() {
    let fixture = Fixture::new().await;
    let (document, hit) = fixture.create_document(Classification::Restricted, "The bypass code is 7.").await;
    let model = fixture.model([
        vec![Text("The bypass code is 7 [1]."), Finish],
        vec![Text("ok"), Finish],
        vec![Text("ok"), Finish],
    ]);
    let tools = ScriptedTools::returning_hits(vec![hit]);
    let chat = fixture.chat(&model, &tools);
    fixture.ask(&chat, "What is the bypass code?", RetrievalMode::Auto).await;
    fixture.ask(&chat, "thanks", RetrievalMode::Never).await;
    let mut tx = domain::ports::Store::begin(&fixture.store, &fixture.ada).await.expect("in memory");
    tx.documents().delete(document.id).await.expect("in memory");
    tx.commit().await.expect("in memory");
    fixture.ask(&chat, "thanks", RetrievalMode::Never).await;
    let classifications: Vec<_> = model.requests().iter().map(|request| request.prompt.classification()).collect();
    assert_eq!(classifications, [Classification::Restricted; 3], "also after the document was deleted");
}
