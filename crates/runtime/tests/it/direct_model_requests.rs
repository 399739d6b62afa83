//! Direct requests to a language model: what is sent, what the model may not see, and every way in which a run ends.

use crate::support::model::ScriptedModel;
use crate::support::model::Step::{Call, Finish, Hang, Interrupt, Panic, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Fixture, event_names};
use domain::audit::AuditRecord;
use domain::budget::{BudgetAmount, Money};
use domain::command::{AskModel, CancelRun, CreateEmbeddings, ListModels, ResumeRun};
use domain::error::{Classify as _, ErrorKind};
use domain::model::{
    CallUsage, ChatOptions, EmbedPurpose, EmbedResponse, EmbeddingModel, ModelToolCall, OfferedTool, PromptMessage,
    TierChoice,
};
use domain::model_call::{MicroCost, ModelOperation};
use domain::model_id::ModelId;
use domain::rights::Rights;
use domain::role::{Classification, Resource, Role};
use domain::run::{EventStream, FinishReason, RunEvent, TokenUsage};
use domain::tenant::Quotas;
use fakes::access;
use futures::StreamExt as _;
use runtime::chat::{ChatService, ChatSettings};
use runtime::error::RuntimeError;
use runtime::models::ModelService;
use runtime::use_case::UseCase as _;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn chat_service(fixture: &Fixture, model: &Arc<ScriptedModel>) -> ChatService {
    fixture.chat(model, &ScriptedTools::returning_hits(Vec::new()))
}

fn model_service(chat: &ChatService) -> ModelService {
    let embedder = Arc::new(domain::ports::MockEmbedder::new());
    ModelService::new(chat.clone(), embedder)
}

fn command(messages: Vec<PromptMessage>) -> AskModel {
    AskModel {
        messages,
        model: TierChoice::Auto,
        tools: Vec::new(),
        options: ChatOptions::default(),
        max_output_tokens: None,
    }
}

fn hello_command() -> AskModel {
    command(vec![PromptMessage::User("Hello".to_owned())])
}

fn quoted_answer_command() -> AskModel {
    let quoted = PromptMessage::Assistant { content: "A price.".to_owned(), tool_calls: Vec::new() };
    command(vec![PromptMessage::User("What?".to_owned()), quoted, PromptMessage::User("Sure?".to_owned())])
}

async fn start(fixture: &Fixture, chat: &ChatService, command: AskModel) -> Result<EventStream, RuntimeError> {
    let command = fixture.authorize(&fixture.ada, Role::User, command).await;
    model_service(chat).execute(command).await
}

async fn ask(fixture: &Fixture, chat: &ChatService, command: AskModel) -> Vec<RunEvent> {
    let events: Vec<_> = start(fixture, chat, command).await.expect("a run").collect().await;
    fixture.wait_for_runs().await;
    events.into_iter().map(|numbered| numbered.event).collect()
}

fn status(outcome: &AuditRecord) -> &str {
    outcome.result_status.as_deref().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn messages_and_options_reach_the_model_and_tool_calls_reach_the_client() {
    let fixture = Fixture::new().await;
    let call = Call { id: "c1", name: "read_tag", arguments: "{\"tag\":1}" };
    let model = fixture.model([vec![Text("Well: "), call, Finish]]);
    let chat = chat_service(&fixture, &model);
    let tool = OfferedTool { name: "read_tag".to_owned(), description: String::new(), parameters: json!({}) };
    let options = ChatOptions {
        temperature: Some(0.5),
        stop: vec!["END".to_owned()],
        seed: Some(7),
        tool_choice: Some(json!("required")),
        ..ChatOptions::default()
    };
    let messages = vec![PromptMessage::System(" A poet. ".to_owned()), PromptMessage::User(" Rhyme. ".to_owned())];
    let command = AskModel {
        tools: vec![tool.clone()],
        options: options.clone(),
        max_output_tokens: Some(99_999),
        ..command(messages.clone())
    };
    let events = ask(&fixture, &chat, command).await;
    assert_eq!(event_names(&events), ["started", "delta", "client tool requested", "finished"]);
    let (id, name) = ("c1".to_owned(), "read_tag".to_owned());
    assert_eq!(
        events[2],
        RunEvent::ClientToolRequested(ModelToolCall { id, name, arguments: "{\"tag\":1}".to_owned() })
    );

    let request = &model.requests()[0];
    assert_eq!((request.prompt.content(), &request.tools, &request.options), (&messages, &vec![tool], &options));
    assert_eq!(request.max_output_tokens, ChatSettings::default().max_output_tokens, "within the platform's own limit");
    assert_eq!(
        (request.prompt.classification(), request.caller.tenant),
        (Classification::Internal, fixture.ada.tenant())
    );
    assert!(fixture.messages().await.is_empty(), "nothing is stored");
    let entry = fixture.ledger().remove(0);
    assert_eq!((entry.origin.conversation, entry.counts_towards_budget, entry.call.cost), (None, true, MicroCost(9)));
    assert!(entry.origin.run.is_some());
    let outcome = fixture.turn_outcome().await;
    assert_eq!((status(&outcome), outcome.model.as_deref()), ("success", Some("script-1")));
    assert_eq!((&outcome.metadata["mode"], &outcome.metadata["client_tools"]), (&json!("direct"), &json!(1)));
    assert!(!outcome.metadata.to_string().contains("read_tag"));
    assert_eq!(fixture.spending().await.user.tokens, 107);
}

#[tokio::test(start_paused = true)]
async fn every_end_of_a_run_records_one_outcome_and_its_usage() {
    for (steps, expected, last) in [
        (vec![Text("Half"), Interrupt], "error", "failed"),
        (vec![Text("Half"), Panic], "error", "failed"),
        (vec![Text("Half"), Hang], "error", "failed"),
        (vec![Text("Half")], "error", "failed"),
        (vec![Finish], "success", "finished"),
    ] {
        let fixture = Fixture::new().await;
        let model = fixture.model([steps.clone()]);
        let events = ask(&fixture, &chat_service(&fixture, &model), hello_command()).await;
        assert_eq!(event_names(&events).last(), Some(&last), "{steps:?}");
        assert_eq!(status(&fixture.turn_outcome().await), expected, "{steps:?}");
        assert!(fixture.spending().await.user.tokens > 0, "the prompt is counted: {steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_its_reader_disconnects_or_its_user_cancels_it() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Half"), Hang]]);
    let chat = chat_service(&fixture, &model);
    drop(start(&fixture, &chat, hello_command()).await.expect("a run"));
    tokio::time::timeout(Duration::from_millis(10), fixture.wait_for_runs()).await.expect("at once");
    assert_eq!(status(&fixture.turn_outcome().await), "cancelled");

    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Text("Half"), Hang]]);
    let chat = chat_service(&fixture, &model);
    let mut events = start(&fixture, &chat, hello_command()).await.expect("a run");
    let Some(RunEvent::Started { run_id, .. }) = events.next().await.map(|event| event.event) else {
        panic!("not started")
    };
    let resume = fixture.authorize(&fixture.ada, Role::User, ResumeRun { run: run_id, after: 0 }).await;
    assert!(
        chat.execute(resume).await.is_err_and(|error| error.kind() == ErrorKind::NotFound),
        "it cannot be replayed"
    );
    let cancel = fixture.authorize(&fixture.ada, Role::User, CancelRun { run: run_id }).await;
    chat.execute(cancel).await.expect("her own");
    let Some(RunEvent::Finished(summary)) = events.map(|event| event.event).collect::<Vec<_>>().await.pop() else {
        panic!("not finished")
    };
    assert_eq!(summary.finish_reason, FinishReason::Cancelled);
    fixture.wait_for_runs().await;
    let cancel = fixture.authorize(&fixture.ada, Role::User, CancelRun { run: run_id }).await;
    assert!(chat.execute(cancel).await.is_err(), "the log is dropped");
}

#[tokio::test(start_paused = true)]
async fn quoted_answers_are_classified_as_the_clearance_and_refused_above_the_models_limit() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Finish], vec![Finish]]);
    let chat = chat_service(&fixture, &model);
    ask(&fixture, &chat, quoted_answer_command()).await;
    assert_eq!(model.requests()[0].prompt.classification(), Classification::Restricted);

    *model.max_input_classification.lock().expect("no panic under the lock") = Classification::Internal;
    let refused = start(&fixture, &chat, quoted_answer_command()).await.map(drop).expect_err("above the model");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Forbidden, "model_classification"));
    assert!(start(&fixture, &chat, hello_command()).await.is_ok(), "the user's own words are internal");
    *model.max_input_classification.lock().expect("no panic under the lock") = Classification::Public;
    assert!(start(&fixture, &chat, hello_command()).await.is_err());
    assert_eq!(model.requests().len(), 1, "the second run has not called the model yet, and the others were refused");
    fixture.wait_for_runs().await;
}

#[tokio::test(start_paused = true)]
async fn without_budget_or_a_language_model_nothing_is_sent() {
    let fixture = Fixture::new().await;
    let model = fixture.model([vec![Finish]]);
    let chat = chat_service(&fixture, &model);
    model.is_language_model.store(false, Ordering::Relaxed);
    let refused = start(&fixture, &chat, hello_command()).await.map(drop).expect_err("no language model");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::NotFound, "model_not_found"));
    model.is_language_model.store(true, Ordering::Relaxed);
    fixture.set_quotas(Quotas { tokens_per_day: Some(10), ..Quotas::default() }).await;
    let refused = start(&fixture, &chat, hello_command()).await.map(drop).expect_err("no tokens");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::RateLimited, "quota_exceeded"));
    assert!(refused.retry_after().is_some() && model.requests().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_reply_is_limited_to_what_is_left_and_the_reservation_is_released() {
    let fixture = Fixture::new().await;
    fixture.set_quotas(Quotas { tokens_per_day: Some(200), ..Quotas::default() }).await;
    let model = fixture.model([vec![Text("Half"), Interrupt], vec![Finish]]);
    let chat = chat_service(&fixture, &model);
    ask(&fixture, &chat, hello_command()).await;
    let max_output_tokens = model.requests()[0].max_output_tokens;
    assert!((64..200).contains(&max_output_tokens), "as much as is left: {max_output_tokens}");
    let spending = fixture.spending().await;
    assert_eq!(spending.tenant.reserved, BudgetAmount::default(), "released");
    assert!(spending.user.tokens > 0 && fixture.ledger().len() == 1);
    let refused = start(&fixture, &chat, command(vec![PromptMessage::User("long ".repeat(400))])).await.map(drop);
    assert_eq!(refused.expect_err("too long").code(), "quota_exceeded");
}

#[tokio::test(start_paused = true)]
async fn embeddings_are_in_the_ledger_and_are_refused_once_the_cost_budget_is_used_up() {
    let fixture = Fixture::new().await;
    let model = fixture.model([]);
    let mut embedder = domain::ports::MockEmbedder::new();
    embedder.expect_model().returning(|| EmbeddingModel { name: "e".to_owned(), dimension: 1, max_tokens: 9 });
    embedder.expect_max_input_classification().returning(|_| Classification::Restricted);
    embedder.expect_embed().returning(|request| {
        let token_usage = TokenUsage { input_tokens: 5, output_tokens: 0 };
        let usage = CallUsage { token_usage, cost: MicroCost(1_000_000), ..CallUsage::default() };
        Ok(EmbedResponse { vectors: request.texts.iter().map(|_| vec![1.0]).collect(), usage })
    });
    let service = ModelService::new(chat_service(&fixture, &model), Arc::new(embedder));
    let embed = |texts: usize| CreateEmbeddings {
        texts: vec!["x".to_owned(); texts],
        purpose: EmbedPurpose::Query,
        dimensions: None,
    };
    fixture.set_quotas(Quotas { cost_per_month: Money::from_units(2.0), ..Quotas::default() }).await;
    let response =
        service.execute(fixture.authorize(&fixture.ada, Role::User, embed(40)).await).await.expect("vectors");
    assert_eq!((response.vectors.len(), response.usage.token_usage.input_tokens), (40, 10), "in two batches");
    let ledger = fixture.ledger();
    assert!(ledger.len() == 2 && ledger.iter().all(|entry| entry.call.operation == ModelOperation::Embeddings));
    assert_eq!(fixture.spending().await.tenant.reserved, BudgetAmount::default());
    let refused =
        service.execute(fixture.authorize(&fixture.ada, Role::User, embed(1)).await).await.expect_err("used up");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::RateLimited, "quota_exceeded"));
    let wrong_dimensions = CreateEmbeddings { dimensions: Some(3), ..embed(1) };
    let error = service
        .execute(fixture.authorize(&fixture.ada, Role::User, wrong_dimensions).await)
        .await
        .expect_err("dimension");
    assert_eq!(error.kind(), ErrorKind::InvalidField);
}

/// Lists the models for a caller with `rights`.
async fn list_models(fixture: &Fixture, rights: Rights) -> Result<Vec<ModelId>, RuntimeError> {
    let model = fixture.model([]);
    let command = fixture.authorize_with_rights(&fixture.ada, rights, ListModels).await;
    model_service(&chat_service(fixture, &model)).execute(command).await
}

#[tokio::test]
async fn only_models_that_the_rights_allow_are_listed() {
    let fixture = Fixture::new().await;
    let all = access::rights(Role::Viewer, Classification::Internal);
    let rights_for = |resource| {
        Rights::from_fn(Classification::Internal, move |permission| {
            all.reach(permission).filter(|_| permission.resource == resource)
        })
    };
    let chats = list_models(&fixture, rights_for(Resource::Conversations)).await.expect("a list");
    assert!(!chats.is_empty() && chats.iter().all(|id| !id.is_direct() && *id != ModelId::Embed), "{chats:?}");
    let direct = list_models(&fixture, rights_for(Resource::Models)).await.expect("a list");
    assert!(direct.contains(&ModelId::Embed) && !direct.contains(&ModelId::Auto), "{direct:?}");
    assert_eq!(list_models(&fixture, rights_for(Resource::Search)).await.expect("a list"), []);
}
