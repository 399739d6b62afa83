//! What an answer has touched stays with it: for who reads it later, and for which model may see it.

use crate::support::model::Step::{Call, Finish, Hang, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Plant, shape};
use domain::command::{GetConversation, ResumeRun, RetrievalMode};
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

/// Everything that a model was given, as one text.
fn given(request: &ChatRequest) -> String {
    let text = |message: &PromptMessage| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => text.clone(),
        PromptMessage::Assistant { content, .. } | PromptMessage::Tool { content, .. } => content.clone(),
    };
    let passages: String = request.passages.iter().map(|passage| passage.passage.content.as_str()).collect();
    request.prompt.content().iter().map(text).collect::<Vec<_>>().join("\n") + &passages
}

/// The conversation as somebody of this role reads it; the other's clearance is `internal`.
async fn read_as(plant: &Plant, role: Role) -> Vec<domain::conversation::Message> {
    let service = ConversationService::new(Arc::new(plant.store.clone()), plant.clock.clone(), plant.ids.clone());
    let command = plant.authorized(&plant.ada, role, GetConversation { id: plant.conversation }).await;
    service.execute(command).await.expect("her own").messages
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_what_it_touched_and_is_withheld_from_a_reader_with_less() {
    let plant = Plant::new().await;
    let (_, hit) = plant.document(Classification::Confidential, SECRET).await;
    let model = plant.model([vec![Text("FV-2003 closes [1]."), Finish], vec![Text("Yes."), Finish]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(vec![hit]));
    plant.ask(&chat, QUESTION, RetrievalMode::Always).await;
    // Rests on the answer before, without a search of its own.
    plant.ask(&chat, "Are you sure of that?", RetrievalMode::Never).await;

    let seen = read_as(&plant, Role::User).await;
    let classes: Vec<_> = seen.iter().map(|message| message.classification).collect();
    let confidential = Classification::Confidential;
    assert_eq!(classes, [Classification::Internal, confidential, Classification::Internal, confidential]);
    assert!(seen.iter().all(|message| !message.withheld) && !seen[1].citations.is_empty(), "control");
    let mut tx = plant.store.begin(&plant.ada).await.expect("in memory");
    let conversation = tx.conversations().get(plant.conversation).await.expect("in memory").expect("there");
    assert_eq!(conversation.classification, confidential);
    drop(tx);

    let demoted = read_as(&plant, Role::Viewer).await;
    for answer in [&demoted[1], &demoted[3]] {
        assert!(answer.withheld && answer.content.is_empty() && answer.citations.is_empty(), "{answer:?}");
    }
    assert_eq!(demoted[0].content, QUESTION, "their own words stay");
}

async fn classify(plant: &Plant, id: DocumentId, class: Classification) {
    let patch = DocumentPatch { classification: Some(class), ..Default::default() };
    let mut tx = plant.store.begin(&plant.ada).await.expect("in memory");
    tx.documents().update(id, &patch, domain::time::Timestamp::UNIX_EPOCH).await.expect("in memory");
    tx.commit().await.expect("in memory");
}

#[tokio::test(start_paused = true)]
async fn a_document_classified_higher_later_hides_the_answers_that_cite_it() {
    let plant = Plant::new().await;
    let (document, hit) = plant.document(Classification::Internal, SECRET).await;
    let model = plant.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    plant.ask(&plant.chat(&model, &ScriptedTools::finding(vec![hit])), QUESTION, RetrievalMode::Always).await;
    assert!(!read_as(&plant, Role::Viewer).await[1].withheld, "control");
    classify(&plant, document.id, Classification::Restricted).await;
    assert!(read_as(&plant, Role::Viewer).await[1].withheld);
    assert!(!read_as(&plant, Role::User).await[1].withheld);
}

/// What an answer was made from counts, whether or not the answer cites it, and for as long as the answer is there.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_not_cited_or_is_deleted_later_hides_the_answer_too() {
    let plant = Plant::new().await;
    let (document, hit) = plant.document(Classification::Internal, SECRET).await;
    let model = plant.model([vec![Text("FV-2003 closes."), Finish], vec![Text("Quite sure."), Finish]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(vec![hit]));
    plant.ask(&chat, QUESTION, RetrievalMode::Always).await;
    // Built on the answer before, which names its sources.
    plant.ask(&chat, "Are you sure of that?", RetrievalMode::Never).await;
    let seen = read_as(&plant, Role::Viewer).await;
    assert!(seen[1].citations.is_empty() && !seen[1].withheld && !seen[3].withheld, "control");
    classify(&plant, document.id, Classification::Restricted).await;
    for deleted in [false, true] {
        if deleted {
            let mut tx = plant.store.begin(&plant.ada).await.expect("in memory");
            tx.documents().delete(document.id).await.expect("in memory").expect("there");
            tx.commit().await.expect("in memory");
        }
        let seen = read_as(&plant, Role::Viewer).await;
        assert!(seen[1].withheld && seen[3].withheld, "deleted: {deleted}");
        assert!(!read_as(&plant, Role::User).await[1].withheld, "deleted: {deleted}");
    }
}

/// Memories are content like any other: above the model's class they stay out, and below it they count.
#[tokio::test(start_paused = true)]
async fn a_memory_above_the_models_class_is_in_no_prompt() {
    let plant = Plant::new().await;
    let mut tx = plant.store.begin(&plant.ada).await.expect("in memory");
    for (n, (content, classification)) in
        [(SECRET, Classification::Confidential), ("works nights", Classification::Internal)].into_iter().enumerate()
    {
        let memory = Memory {
            id: MemoryId::from_uuid(uuid::Uuid::from_u128(n as u128)),
            content: content.to_owned(),
            importance: 0.5,
            tags: Vec::new(),
            classification,
            created_at: domain::time::Timestamp::UNIX_EPOCH,
        };
        tx.memories().insert(&memory).await.expect("in memory");
    }
    tx.commit().await.expect("in memory");
    let model = plant.model([vec![Text("x"), Finish], vec![Text("y"), Finish]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(Vec::new()));
    for (highest, is_told) in [(Classification::Internal, false), (Classification::Restricted, true)] {
        *model.highest.lock().expect("free") = highest;
        plant.ask(&chat, QUESTION, RetrievalMode::Never).await;
        let request = model.requests().pop().expect("a request");
        assert!(given(&request).contains("works nights"), "control");
        assert_eq!(given(&request).contains(SECRET), is_told, "{highest}");
        assert_eq!(request.prompt.class() == Classification::Confidential, is_told, "{highest}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_above_what_the_model_may_see_is_not_asked() {
    let plant = Plant::new().await;
    let model = plant.model([vec![Text("x"), Finish]]);
    *model.highest.lock().expect("free") = Classification::Public;
    let chat = plant.chat(&model, &ScriptedTools::finding(Vec::new()));
    let refused = plant.send(&chat, QUESTION, RetrievalMode::Never).await;
    assert!(matches!(refused, Err(RuntimeError::AboveModel)));
    assert!(model.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_model_of_a_demoted_user_is_not_told_what_the_user_may_no_longer_see() {
    let plant = Plant::new().await;
    let (_, hit) = plant.document(Classification::Confidential, SECRET).await;
    let model = plant.model([vec![Text("FV-2003 closes [1]."), Finish], vec![Text("x"), Finish]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(vec![hit]));
    plant.ask(&chat, QUESTION, RetrievalMode::Always).await;
    assert!(given(&model.requests()[0]).contains(SECRET), "control");
    let command = plant.says("And what did you say before?", RetrievalMode::Never);
    let command = plant.authorized(&plant.ada, Role::Viewer, command).await;
    let _events: Vec<_> = chat.execute(command).await.expect("a run").collect().await;
    plant.drained().await;
    let told = given(&model.requests()[1]);
    assert!(told.contains(QUESTION) && !told.contains("FV-2003"), "{told}");
    assert_eq!(model.requests()[1].prompt.class(), Classification::Internal);
}

#[tokio::test(start_paused = true)]
async fn nothing_above_a_models_class_reaches_it_by_any_path_and_the_answer_says_so() {
    let plant = Plant::new().await;
    let (document, hit) = plant.document(Classification::Confidential, SECRET).await;
    let id = document.id.to_string();
    let (_, open) = plant.document(Classification::Internal, "Wear gloves.").await;
    let seeing = plant.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    plant.ask(&plant.chat(&seeing, &ScriptedTools::finding(vec![hit.clone()])), QUESTION, RetrievalMode::Always).await;

    // From here on history, retrieval and both kinds of tool result hold confidential text.
    let blind = plant.model([
        vec![Call { id: "a", name: "rag_search", arguments: "{\"query\":\"x\"}" }, Finish],
        vec![Call { id: "b", name: "document_read", arguments: "{}" }, Finish],
        vec![Call { id: "c", name: "document_list", arguments: "{}" }, Finish],
        vec![Text("Gloves [1]."), Finish],
    ]);
    *blind.highest.lock().expect("free") = Classification::Internal;
    let passage = hit.passage.clone();
    let tools = ScriptedTools::new(move |call| {
        use domain::tool::ToolResult;
        Ok(match call.name.as_str() {
            "document_read" => ToolResult::Text {
                document: Box::new(document.clone()),
                passages: vec![passage.clone()],
                truncated: false,
            },
            "document_list" => ToolResult::Documents(vec![document.clone()]),
            _ => ToolResult::Retrieval(domain::search::Retrieval {
                hits: vec![hit.clone(), open.clone()],
                answerable: true,
                confidence: 1.0,
                ..Default::default()
            }),
        })
    });
    let events = plant.ask(&plant.chat(&blind, &tools), "And then?", RetrievalMode::Always).await;
    let Some(RunEvent::Finished(end)) = events.last() else { panic!("no end: {:?}", shape(&events)) };
    assert!(end.degraded && end.left_out >= 4, "{end:?}");
    let requests = blind.requests();
    assert_eq!(requests.len(), 4);
    for request in &requests {
        let told = given(request);
        assert!(!told.contains("FV-2003") && !told.contains(&id), "{told}");
        assert!(request.prompt.class() <= Classification::Internal);
        assert!(told.contains("left out because it is classified"), "{told}");
    }
    assert!(given(&requests[0]).contains("Wear gloves."), "control: what it may see is there");
    assert_eq!(plant.answer().await.classification, Classification::Internal);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_shows_its_models_less_than_they_may_see() {
    let plant = Plant::new().await;
    let (_, hit) = plant.document(Classification::Confidential, SECRET).await;
    let settings = TenantSettings { model_classification: Some(Classification::Internal), ..Default::default() };
    plant.store.set_settings(plant.ada.tenant(), settings).await.expect("in memory");
    let model = plant.model([vec![Text("x"), Finish]]);
    plant.ask(&plant.chat(&model, &ScriptedTools::finding(vec![hit])), QUESTION, RetrievalMode::Always).await;
    assert!(!given(&model.requests()[0]).contains("FV-2003"));
    assert_eq!(plant.answer().await.classification, Classification::Internal, "the question's");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_not_read_again_above_the_clearance() {
    let plant = Plant::new().await;
    let (_, hit) = plant.document(Classification::Confidential, SECRET).await;
    let model = plant.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(vec![hit]));
    let events = plant.ask(&chat, QUESTION, RetrievalMode::Always).await;
    let RunEvent::Started { run_id, .. } = events[0] else { panic!("no start") };
    let again =
        async |role| chat.execute(plant.authorized(&plant.ada, role, ResumeRun { run: run_id, after: 0 }).await).await;
    assert!(again(Role::User).await.is_ok(), "control");
    let error = again(Role::Viewer).await.err().expect("refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "above_clearance"));
}

/// The log of a run is older than a document's new class: what counts is how it is classified when it is read.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_read_again_once_what_it_cites_was_classified_higher() {
    let plant = Plant::new().await;
    let (document, hit) = plant.document(Classification::Internal, SECRET).await;
    let model = plant.model([vec![Text("FV-2003 closes [1]."), Finish]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(vec![hit]));
    let events = plant.ask(&chat, QUESTION, RetrievalMode::Always).await;
    let RunEvent::Started { run_id, .. } = events[0] else { panic!("no start") };
    let again = async || {
        chat.execute(plant.authorized(&plant.ada, Role::Viewer, ResumeRun { run: run_id, after: 0 }).await).await
    };
    assert!(again().await.is_ok(), "control");
    classify(&plant, document.id, Classification::Restricted).await;
    let error = again().await.err().expect("refused");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "above_clearance"));
}

/// Starts an answer that hangs after its first words, changes something, and returns the last event and how long it took.
async fn ended_by(change: impl AsyncFnOnce(&Plant)) -> (RunEvent, Duration) {
    let plant = Plant::new().await;
    let (_, hit) = plant.document(Classification::Confidential, SECRET).await;
    let model = plant.model([vec![Text("FV-2003"), Hang]]);
    let chat = plant.chat(&model, &ScriptedTools::finding(vec![hit]));
    let mut events = plant.send(&chat, QUESTION, RetrievalMode::Always).await.expect("a run");
    while !matches!(events.next().await.expect("goes on").event, RunEvent::Delta { .. }) {}
    change(&plant).await;
    let begun = tokio::time::Instant::now();
    let mut last = events.next().await.expect("an end").event;
    while let Some(next) = events.next().await {
        last = next.event;
    }
    plant.drained().await;
    let outcome = plant.outcome().await;
    assert_eq!(outcome.result_status.as_deref(), Some("denied"));
    assert!(outcome.metadata["reason"].is_string(), "{}", outcome.metadata);
    assert_eq!(plant.answer().await.content, "FV-2003", "what was written is kept");
    (last, begun.elapsed())
}

async fn change_ada(plant: &Plant, patch: UserPatch) {
    let mut tx = plant.store.begin(&plant.ada).await.expect("in memory");
    tx.users()
        .update(plant.ada.user().expect("a user"), patch, plant.clock.now())
        .await
        .expect("in memory")
        .expect("there");
    tx.commit().await.expect("in memory");
}

#[tokio::test(start_paused = true)]
async fn a_running_answer_ends_soon_after_its_user_tenant_or_clearance_is_gone() {
    let off = async |plant: &Plant| {
        change_ada(plant, UserPatch { is_active: Some(false), ..UserPatch::default() }).await;
    };
    let demoted = async |plant: &Plant| {
        change_ada(plant, UserPatch { role: Some(Role::Viewer), ..UserPatch::default() }).await;
    };
    let suspended = async |plant: &Plant| {
        use domain::ports::Directory as _;
        let off = domain::ports::TenantPatch { is_active: Some(false), ..Default::default() };
        plant
            .store
            .update_tenant(plant.ada.tenant(), off, &domain::tenant_change::ChangedBy::default())
            .await
            .expect("in memory");
    };
    let ends = [
        (ended_by(off).await, "user_disabled"),
        (ended_by(demoted).await, "above_clearance"),
        (ended_by(suspended).await, "tenant_suspended"),
    ];
    for ((last, took), code) in ends {
        let RunEvent::Failed(problem) = last else { panic!("{code}: {last:?}") };
        assert_eq!(problem.code, code);
        assert!(problem.decision.is_some(), "it can be asked about");
        assert!(took <= Duration::from_secs(6), "{code}: {took:?}");
    }
}
