//! The query that is searched for a follow-up: with a language model, without one, and if the model fails or returns
//! nothing usable.

use crate::support::model::ScriptedModel;
use crate::support::model::Step::{self, Call, Finish, Hang, NoBackend, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Fixture, event_names};
use domain::command::RetrievalMode::Auto;
use domain::model::{ModelTier, PromptMessage};
use domain::model_call::CallStatus;
use domain::role::Classification;
use domain::run::RunEvent;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const OIL: &str = "Compare: how often is the oil of C-410 changed?";
const GRADE: &str = "And which grade?";
const QUERY_BY_RULES: &str = "which grade? oil C-410";

/// Asks about the oil and then about its grade, and returns the events of the second turn.
async fn ask(fixture: &Fixture, model: &Arc<ScriptedModel>, tools: &Arc<ScriptedTools>) -> Vec<RunEvent> {
    let chat = fixture.chat(model, tools);
    fixture.ask(&chat, OIL, Auto).await;
    fixture.ask(&chat, GRADE, Auto).await
}

async fn tools(fixture: &Fixture, classification: Classification) -> Arc<ScriptedTools> {
    ScriptedTools::returning_hits(vec![fixture.create_document(classification, "The oil of C-410 is VG 46.").await.1])
}

/// Returns the query of the search. Panics unless the event and the last tool call have the same one.
fn searched_query(events: &[RunEvent], tools: &ScriptedTools) -> String {
    let event_query = events.iter().find_map(|event| match event {
        RunEvent::ToolStarted { query, .. } => query.clone(),
        _ => None,
    });
    let event_query = event_query.expect("the search names its query");
    let call = tools.calls().pop().expect("a search");
    assert_eq!(call.arguments["query"], event_query.as_str());
    assert_eq!(call.arguments["surroundings"], true);
    event_query
}

fn text(message: &PromptMessage) -> &str {
    match message {
        PromptMessage::System(text) | PromptMessage::User(text) => text,
        other => panic!("neither system nor user: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_fast_model_rewrites_a_follow_up_in_one_call_without_tools() {
    let fixture = Fixture::new().await;
    let rewritten = vec![Text("\"Which grade of oil does C-410 take?\"\n"), Finish];
    let model = fixture.model([vec![Text("Yearly [1]."), Finish], rewritten, vec![Text("VG 46 [1]."), Finish]]);
    let tools = tools(&fixture, Classification::Internal).await;
    let events = ask(&fixture, &model, &tools).await;
    assert_eq!(searched_query(&events, &tools), "Which grade of oil does C-410 take?");
    assert_eq!(event_names(&events), ["started", "tool started", "tool finished", "delta", "cited", "finished"]);

    let requests = model.requests();
    let tiers: Vec<_> = requests.iter().map(|request| request.tier).collect();
    assert_eq!(tiers, [ModelTier::Heavy, ModelTier::Fast, ModelTier::Fast]);
    let rewrite = &requests[1];
    assert!(rewrite.tools.is_empty() && rewrite.max_output_tokens < 200, "{rewrite:?}");
    let [task, conversation] = rewrite.prompt.content().as_slice() else { panic!("two messages: {rewrite:?}") };
    assert!(text(task).starts_with("Task: rewrite a follow-up question."), "{task:?}");
    for part in [OIL, "Yearly [1].", GRADE] {
        assert!(text(conversation).contains(part), "{conversation:?} lacks {part}");
    }
    let calls = fixture.ledger();
    let tiers: Vec<_> = calls.iter().map(|entry| entry.tier).collect();
    assert_eq!(tiers, [Some(ModelTier::Heavy), Some(ModelTier::Fast), Some(ModelTier::Fast)]);
    assert!(calls.iter().all(|entry| entry.call.status == CallStatus::Ok), "{calls:?}");
    assert!(model.open_transactions().iter().all(|open| *open == 0), "{:?}", model.open_transactions());
    assert_eq!(fixture.answer().await.content, "VG 46 [1].");
}

#[tokio::test(start_paused = true)]
async fn the_rules_complete_a_follow_up_if_the_model_fails_hangs_or_returns_nothing_usable() {
    let scripts: [Vec<Step>; 6] = [
        vec![NoBackend],
        vec![Hang],
        vec![Text("Which grade"), Step::Interrupt],
        vec![Text("Which oil does C-999 take?"), Finish],
        vec![Call { id: "c", name: "rag_search", arguments: "{}" }, Finish],
        vec![Text("\n"), Finish],
    ];
    for script in scripts {
        let fixture = Fixture::new().await;
        let call_fails = !matches!(script.last(), Some(Finish));
        let model =
            fixture.model([vec![Text("Yearly [1]."), Finish], script.clone(), vec![Text("VG 46 [1]."), Finish]]);
        let tools = tools(&fixture, Classification::Internal).await;
        let events = ask(&fixture, &model, &tools).await;
        assert_eq!(searched_query(&events, &tools), QUERY_BY_RULES, "{script:?}");
        let answer = fixture.answer().await;
        assert_eq!((answer.content.as_str(), answer.degraded), ("VG 46 [1].", false), "{script:?}");
        let rewrite = fixture.ledger().remove(1);
        assert_eq!(rewrite.call.status == CallStatus::Error, call_fails, "{script:?}: {rewrite:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_standalone_question_is_searched_unchanged_and_without_another_call() {
    let fixture = Fixture::new().await;
    let answers = ["a [1].", "b [1].", "c [1]."].map(|answer| vec![Text(answer), Finish]);
    let (model, tools) = (fixture.model(answers), tools(&fixture, Classification::Internal).await);
    let chat = fixture.chat(&model, &tools);
    fixture.ask(&chat, OIL, Auto).await;
    for question in ["Who signs the hot work permit?", "Which seal does P-610B have?"] {
        let events = fixture.ask(&chat, question, Auto).await;
        assert_eq!(searched_query(&events, &tools), question);
    }
    assert_eq!(model.requests().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn no_answer_above_the_classification_of_the_question_reaches_the_rewriting_model() {
    let fixture = Fixture::new().await;
    let rewritten = vec![Text("Which grade of oil does C-410 take?"), Finish];
    let model = fixture.model([vec![Text("The code is 7 [1]."), Finish], rewritten, vec![Text("ok [1]."), Finish]]);
    let tools = tools(&fixture, Classification::Restricted).await;
    ask(&fixture, &model, &tools).await;
    let rewrite = model.requests().remove(1);
    assert_eq!(rewrite.prompt.classification(), Classification::Internal);
    let shown = text(&rewrite.prompt.content()[1]).to_owned();
    assert!(shown.contains(OIL) && !shown.contains("code"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_extractive_answerer_gets_the_completed_question() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Yearly [1]."), Finish], vec![Text("VG 46 [1]."), Finish]]);
    model.is_language_model.store(false, Ordering::Relaxed);
    let tools = tools(&fixture, Classification::Internal).await;
    let events = ask(&fixture, &model, &tools).await;
    assert_eq!(searched_query(&events, &tools), QUERY_BY_RULES);
    let questions: Vec<_> = model.requests().into_iter().map(|request| request.extractive_input.question).collect();
    assert_eq!(questions, [OIL, QUERY_BY_RULES]);
}

#[tokio::test(start_paused = true)]
async fn a_search_that_the_model_requests_also_reports_its_query() {
    let fixture = Fixture::new().await;
    let call = Call { id: "c1", name: "rag_search", arguments: r#"{"query":"oil grade C-410","surroundings":true}"# };
    let model = fixture.model([vec![call, Finish], vec![Text("VG 46 [1]."), Finish]]);
    let tools = tools(&fixture, Classification::Internal).await;
    let events = fixture.ask(&fixture.chat(&model, &tools), "Hello", Auto).await;
    assert_eq!(searched_query(&events, &tools), "oil grade C-410");
}
