//! The classification of an answer follows from its sources. It decides who can read the answer and which models may
//! see it.

use crate::support::model::Step::{Call, Finish, Hang, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Fixture, event_names};
use domain::command::{Branches, GetConversation, ResumeRun, RetrievalMode};
use domain::document::DocumentPatch;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::{DocumentId, MemoryId};
use domain::memory::Memory;
use domain::model::{ChatRequest, PromptMessage};
use domain::ports::{Clock as _, Store as _};
use domain::role::{Classification, Role};
use domain::run::RunEvent;
use domain::tenant::TenantSettings;
use domain::user::UserPatch;
use futures::StreamExt as _;
use runtime::conversations::ConversationService;
use runtime::error::RuntimeError;
use runtime::use_case::UseCase as _;
use std::sync::Arc;
use std::time::Duration;

const QUESTION: &str = "Which valve closes first?";
const SECRET: &str = "Close FV-2003 first.";

/// Returns all text that was sent to the model.
fn sent_text(request: &ChatRequest) -> String {
    let text = |message: &PromptMessage| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => text.clone(),
        PromptMessage::Assistant { content, .. } | PromptMessage::Tool { content, .. } => content.clone(),
    };
    let passages: String =
        request.extractive_input.passages.iter().map(|passage| passage.passage.content.as_str()).collect();
    request.prompt.content().iter().map(text).collect::<Vec<_>>().join("\n") + &passages
}

/// Returns the messages of the conversation as Ada sees them with this role. The clearance of a viewer is `internal`.
async fn read_as(fixture: &Fixture, role: Role) -> Vec<domain::conversation::Message> {
    let service = ConversationService::new(Arc::new(fixture.store.clone()), fixture.clock.clone(), fixture.ids.clone());
    let command = fixture
        .authorize(&fixture.ada, role, GetConversation { id: fixture.conversation, branches: Branches::Active })
        .await;
    service.execute(command).await.expect("her own").messages
}

#[tokio::test(start_paused = true)]
async fn an_answer_has_the_classification_of_its_sources_and_is_withheld_from_readers_with_a_lower_clearance() {
    let fixture = Fixture::new().await;
    let (_, hit) = fixture.create_document(Classification::Confidential, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003 closes [1]."), Finish], vec![Text("Yes."), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    fixture.ask(&chat, QUESTION, RetrievalMode::Always).await;
    // Based on the previous answer, without a new search.
    fixture.ask(&chat, "Are you sure of that?", RetrievalMode::Never).await;

    let messages = read_as(&fixture, Role::User).await;
    let classifications: Vec<_> = messages.iter().map(|message| message.classification).collect();
    let confidential = Classification::Confidential;
    assert_eq!(classifications, [Classification::Internal, confidential, Classification::Internal, confidential]);
    assert!(
        messages.iter().all(|message| !message.withheld) && !messages[1].citations.is_empty(),
        "visible with a sufficient clearance"
    );
    let mut tx = fixture.store.begin(&fixture.ada).await.expect("in memory");
    let conversation = tx.conversations().get(fixture.conversation).await.expect("in memory").expect("there");
    assert_eq!(conversation.classification, confidential);
    drop(tx);

    let viewer_messages = read_as(&fixture, Role::Viewer).await;
    for answer in [&viewer_messages[1], &viewer_messages[3]] {
        assert!(answer.withheld && answer.content.is_empty() && answer.citations.is_empty(), "{answer:?}");
    }
    assert_eq!(viewer_messages[0].content, QUESTION, "the user's own messages stay visible");
}

async fn set_classification(fixture: &Fixture, id: DocumentId, classification: Classification) {
    let patch = DocumentPatch { classification: Some(classification), ..Default::default() };
    let mut tx = fixture.store.begin(&fixture.ada).await.expect("in memory");
    tx.documents().update(id, &patch, domain::time::Timestamp::UNIX_EPOCH).await.expect("in memory");
    tx.commit().await.expect("in memory");
}

#[tokio::test(start_paused = true)]
async fn raising_the_classification_of_a_document_hides_the_answers_that_cite_it() {
    let fixture = Fixture::new().await;
    let (document, hit) = fixture.create_document(Classification::Internal, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    fixture
        .ask(&fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit])), QUESTION, RetrievalMode::Always)
        .await;
    assert!(!read_as(&fixture, Role::Viewer).await[1].withheld, "visible before the change");
    set_classification(&fixture, document.id, Classification::Restricted).await;
    assert!(read_as(&fixture, Role::Viewer).await[1].withheld);
    assert!(!read_as(&fixture, Role::User).await[1].withheld);
}

/// All sources of an answer count, even if they are not cited or are deleted later.
#[tokio::test(start_paused = true)]
async fn raising_the_classification_of_an_uncited_or_deleted_source_also_hides_the_answer() {
    let fixture = Fixture::new().await;
    let (document, hit) = fixture.create_document(Classification::Internal, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003 closes."), Finish], vec![Text("Quite sure."), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    fixture.ask(&chat, QUESTION, RetrievalMode::Always).await;
    // Based on the previous answer, which lists its sources.
    fixture.ask(&chat, "Are you sure of that?", RetrievalMode::Never).await;
    let messages = read_as(&fixture, Role::Viewer).await;
    assert!(
        messages[1].citations.is_empty() && !messages[1].withheld && !messages[3].withheld,
        "visible before the change"
    );
    set_classification(&fixture, document.id, Classification::Restricted).await;
    for deleted in [false, true] {
        if deleted {
            let mut tx = fixture.store.begin(&fixture.ada).await.expect("in memory");
            tx.documents().delete(document.id).await.expect("in memory").expect("there");
            tx.commit().await.expect("in memory");
        }
        let messages = read_as(&fixture, Role::Viewer).await;
        assert!(messages[1].withheld && messages[3].withheld, "deleted: {deleted}");
        assert!(!read_as(&fixture, Role::User).await[1].withheld, "deleted: {deleted}");
    }
}

/// Memories are content like any other: they are omitted if they are above the model's limit, and otherwise raise the
/// classification.
#[tokio::test(start_paused = true)]
async fn a_memory_above_the_models_limit_is_not_in_the_prompt() {
    let fixture = Fixture::new().await;
    let mut tx = fixture.store.begin(&fixture.ada).await.expect("in memory");
    for (n, (content, classification)) in
        [(SECRET, Classification::Confidential), ("works nights", Classification::Internal)].into_iter().enumerate()
    {
        let memory = {
            let id = MemoryId::from_uuid(uuid::Uuid::from_u128(n as u128));
            Memory::explicit(id, content.to_owned(), classification, domain::time::Timestamp::UNIX_EPOCH)
        };
        tx.memories().insert(&memory).await.expect("in memory");
    }
    tx.commit().await.expect("in memory");
    let model = fixture.model([vec![Text("x"), Finish], vec![Text("y"), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(Vec::new()));
    for (highest, is_sent) in [(Classification::Internal, false), (Classification::Restricted, true)] {
        *model.max_input_classification.lock().expect("no panic under the lock") = highest;
        fixture.ask(&chat, QUESTION, RetrievalMode::Never).await;
        let request = model.requests().pop().expect("a request");
        assert!(sent_text(&request).contains("works nights"), "the internal memory is sent");
        assert_eq!(sent_text(&request).contains(SECRET), is_sent, "{highest}");
        assert_eq!(request.prompt.classification() == Classification::Confidential, is_sent, "{highest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_above_what_the_model_may_see_is_not_asked() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("x"), Finish]]);
    *model.max_input_classification.lock().expect("no panic under the lock") = Classification::Public;
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(Vec::new()));
    let refused = fixture.send(&chat, QUESTION, RetrievalMode::Never).await;
    assert!(matches!(refused, Err(RuntimeError::AboveModelClassification)));
    assert!(model.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_model_of_a_demoted_user_does_not_see_what_the_user_may_no_longer_see() {
    let fixture = Fixture::new().await;
    let (_, hit) = fixture.create_document(Classification::Confidential, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003 closes [1]."), Finish], vec![Text("x"), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    fixture.ask(&chat, QUESTION, RetrievalMode::Always).await;
    assert!(sent_text(&model.requests()[0]).contains(SECRET), "visible before the demotion");
    let command = fixture.message_command("And what did you say before?", RetrievalMode::Never);
    let command = fixture.authorize(&fixture.ada, Role::Viewer, command).await;
    let _events: Vec<_> = chat.execute(command).await.expect("a run").collect().await;
    fixture.wait_for_runs().await;
    let sent = sent_text(&model.requests()[1]);
    assert!(sent.contains(QUESTION) && !sent.contains("FV-2003"), "{sent}");
    assert_eq!(model.requests()[1].prompt.classification(), Classification::Internal);
}

#[tokio::test(start_paused = true)]
async fn nothing_above_the_models_limit_reaches_it_by_any_path_and_the_answer_is_degraded() {
    let fixture = Fixture::new().await;
    let (document, hit) = fixture.create_document(Classification::Confidential, SECRET).await;
    let id = document.id.to_string();
    let (_, internal_hit) = fixture.create_document(Classification::Internal, "Wear gloves.").await;
    let cleared_model = fixture.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    fixture
        .ask(
            &fixture.chat(&cleared_model, &ScriptedTools::returning_hits(vec![hit.clone()])),
            QUESTION,
            RetrievalMode::Always,
        )
        .await;

    // From here on, history, retrieval and both kinds of tool results contain confidential text. The first call
    // rewrites the question for the search.
    let limited_model = fixture.model([
        vec![Text("Which valve closes after that?"), Finish],
        vec![Call { id: "a", name: "rag_search", arguments: "{\"query\":\"x\"}" }, Finish],
        vec![Call { id: "b", name: "document_read", arguments: "{}" }, Finish],
        vec![Call { id: "c", name: "document_list", arguments: "{}" }, Finish],
        vec![Text("Gloves [1]."), Finish],
    ]);
    *limited_model.max_input_classification.lock().expect("no panic under the lock") = Classification::Internal;
    let passage = hit.passage.clone();
    let tools = ScriptedTools::new(move |call| {
        use domain::tool::ToolResult;
        Ok(match call.name.as_str() {
            "document_read" => ToolResult::DocumentText {
                document: Box::new(document.clone()),
                passages: vec![passage.clone()],
                truncated: false,
            },
            "document_list" => ToolResult::Documents(vec![document.clone()]),
            _ => ToolResult::Retrieval(domain::search::Retrieval {
                hits: vec![hit.clone(), internal_hit.clone()],
                answerable: true,
                confidence: 1.0,
                ..Default::default()
            }),
        })
    });
    let events = fixture.ask(&fixture.chat(&limited_model, &tools), "And then?", RetrievalMode::Always).await;
    let Some(RunEvent::Finished(summary)) = events.last() else { panic!("no end: {:?}", event_names(&events)) };
    assert!(summary.degraded && summary.omitted_count >= 4, "{summary:?}");
    let requests = limited_model.requests();
    assert_eq!(requests.len(), 5);
    for (at, request) in requests.iter().enumerate() {
        let sent = sent_text(request);
        assert!(!sent.contains("FV-2003") && !sent.contains(&id), "{sent}");
        assert!(request.prompt.classification() <= Classification::Internal);
        assert!(at == 0 || sent.contains("left out because it is classified"), "{sent}");
    }
    assert!(sent_text(&requests[1]).contains("Wear gloves."), "permitted content is sent");
    assert_eq!(fixture.answer().await.classification, Classification::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_can_lower_the_classification_limit_of_its_models() {
    let fixture = Fixture::new().await;
    let (_, hit) = fixture.create_document(Classification::Confidential, SECRET).await;
    let settings = TenantSettings { model_classification: Some(Classification::Internal), ..Default::default() };
    fixture.store.set_settings(fixture.ada.tenant(), settings).await.expect("in memory");
    let model = fixture.model([vec![Text("x"), Finish]]);
    fixture
        .ask(&fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit])), QUESTION, RetrievalMode::Always)
        .await;
    assert!(!sent_text(&model.requests()[0]).contains("FV-2003"));
    assert_eq!(fixture.answer().await.classification, Classification::Internal, "the classification of the question");
}

#[tokio::test(start_paused = true)]
async fn a_run_above_the_clearance_is_not_resumed() {
    let fixture = Fixture::new().await;
    let (_, hit) = fixture.create_document(Classification::Confidential, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    let events = fixture.ask(&chat, QUESTION, RetrievalMode::Always).await;
    let RunEvent::Started { run_id, .. } = events[0] else { panic!("no start") };
    let resume = async |role| {
        chat.execute(fixture.authorize(&fixture.ada, role, ResumeRun { run: run_id, after: 0 }).await).await
    };
    assert!(resume(Role::User).await.is_ok(), "allowed with a sufficient clearance");
    let error = resume(Role::Viewer).await.err().expect("refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "above_clearance"));
}

/// The log of a run contains the old classification of its sources. What counts is the current one.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_resumed_once_its_sources_are_classified_higher() {
    let fixture = Fixture::new().await;
    let (document, hit) = fixture.create_document(Classification::Internal, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    let events = fixture.ask(&chat, QUESTION, RetrievalMode::Always).await;
    let RunEvent::Started { run_id, .. } = events[0] else { panic!("no start") };
    let resume = async || {
        chat.execute(fixture.authorize(&fixture.ada, Role::Viewer, ResumeRun { run: run_id, after: 0 }).await).await
    };
    assert!(resume().await.is_ok(), "allowed before the change");
    set_classification(&fixture, document.id, Classification::Restricted).await;
    let error = resume().await.err().expect("refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "above_clearance"));
}

/// Starts an answer that hangs after its first words, and applies `change`. Returns the last event and the time until
/// it arrived.
async fn last_event_after(change: impl AsyncFnOnce(&Fixture)) -> (RunEvent, Duration) {
    let fixture = Fixture::new().await;
    let (_, hit) = fixture.create_document(Classification::Confidential, SECRET).await;
    let model = fixture.model([vec![Text("FV-2003"), Hang]]);
    let chat = fixture.chat(&model, &ScriptedTools::returning_hits(vec![hit]));
    let mut events = fixture.send(&chat, QUESTION, RetrievalMode::Always).await.expect("a run");
    while !matches!(events.next().await.expect("goes on").event, RunEvent::Delta { .. }) {}
    change(&fixture).await;
    let started = tokio::time::Instant::now();
    let mut last = events.next().await.expect("an end").event;
    while let Some(next) = events.next().await {
        last = next.event;
    }
    fixture.wait_for_runs().await;
    let outcome = fixture.turn_outcome().await;
    assert_eq!(outcome.result_status.as_deref(), Some("denied"));
    assert!(outcome.metadata["reason"].is_string(), "{}", outcome.metadata);
    assert_eq!(fixture.answer().await.content, "FV-2003", "the partial answer is stored");
    (last, started.elapsed())
}

async fn change_ada(fixture: &Fixture, patch: UserPatch) {
    let mut tx = fixture.store.begin(&fixture.ada).await.expect("in memory");
    tx.users()
        .update(fixture.ada.user().expect("a user"), patch, fixture.clock.now())
        .await
        .expect("in memory")
        .expect("there");
    tx.commit().await.expect("in memory");
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_soon_after_its_user_or_tenant_is_disabled_or_the_users_clearance_is_lowered() {
    let disabled = async |fixture: &Fixture| {
        change_ada(fixture, UserPatch { is_active: Some(false), ..UserPatch::default() }).await;
    };
    let demoted = async |fixture: &Fixture| {
        change_ada(fixture, UserPatch { role: Some(Role::Viewer), ..UserPatch::default() }).await;
    };
    let suspended = async |fixture: &Fixture| {
        use domain::ports::TenantDirectory as _;
        let inactive = domain::ports::TenantPatch { is_active: Some(false), ..Default::default() };
        fixture
            .store
            .update_tenant(fixture.ada.tenant(), inactive, &domain::tenant_change::ChangedBy::default())
            .await
            .expect("in memory");
    };
    let results = [
        (last_event_after(disabled).await, "user_disabled"),
        (last_event_after(demoted).await, "above_clearance"),
        (last_event_after(suspended).await, "tenant_suspended"),
    ];
    for ((last, elapsed), code) in results {
        let RunEvent::Failed(problem) = last else { panic!("{code}: {last:?}") };
        assert_eq!(problem.code, code);
        assert!(problem.decision_id.is_some(), "the decision can be looked up");
        assert!(elapsed <= Duration::from_secs(6), "{code}: {elapsed:?}");
    }
}
