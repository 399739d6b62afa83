//! Direct calls of models and of the assistant: authorization and audit rows.

use crate::support::Fixture;
use domain::access_token::TokenScope;
use domain::command::{AskAssistant, AskModel, RetrievalMode};
use domain::credential::{Credential, CredentialKind};
use domain::error::{Classify as _, ErrorKind};
use domain::model::{ChatOptions, OfferedTool, PromptMessage, TierChoice};
use domain::role::Role;
use domain::run::AssistantRun;
use domain::search::SearchFilters;
use domain::text::MessageText;
use futures::StreamExt as _;
use policy::caller::Caller;
use policy::gate::{Execute as _, UseCases};
use runtime::use_case::MockUseCases;
use serde_json::json;
use std::sync::Arc;

fn with_scopes(caller: &Caller, scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(|scope| scope.parse::<TokenScope>().expect("a scope")).collect();
    let kind = CredentialKind::PersonalAccessToken { id: uuid::Uuid::nil().into(), scopes };
    caller.clone().with_credential(Arc::new(Credential { kind, ..Credential::interactive() }))
}

fn use_cases_for_ask_model() -> UseCases {
    let mut use_cases = MockUseCases::new();
    use_cases.on::<AskModel>(|_| Ok(futures::stream::empty().boxed()));
    UseCases::new(use_cases)
}

fn ask_model() -> AskModel {
    let tool = OfferedTool { name: "secret_tool".to_owned(), description: String::new(), parameters: json!({}) };
    AskModel {
        messages: vec![PromptMessage::User("secret words".to_owned())],
        model: TierChoice::Fast,
        tools: vec![tool],
        options: ChatOptions::default(),
        max_output_tokens: None,
    }
}

#[tokio::test]
async fn a_token_can_only_execute_operations_within_its_scopes() {
    let fixture = Fixture::new().await;
    let vera = fixture.user("vera", Role::Viewer).await;
    let chat_client = with_scopes(&vera, &["models:list", "models:read", "conversations:create"]);
    let error = fixture
        .gate(use_cases_for_ask_model())
        .execute(&chat_client, ask_model())
        .await
        .map(drop)
        .expect_err("no scope for the operation");
    assert_eq!((error.kind(), error.code()), (ErrorKind::Forbidden, "policy_denied"));
}

#[tokio::test]
async fn the_gate_records_only_the_intent_of_a_direct_model_call_with_the_number_of_tools() {
    let fixture = Fixture::new().await;
    let ada = fixture.user("ada", Role::User).await;
    assert!(fixture.gate(use_cases_for_ask_model()).execute(&ada, ask_model()).await.is_ok());
    let rows = fixture.audit_rows();
    assert_eq!(rows.len(), 1, "the use case records the outcome: {rows:?}");
    assert_eq!((rows[0].event_type.as_str(), rows[0].resource_type.as_deref()), ("chat.request", Some("models")));
    assert_eq!(rows[0].metadata, json!({ "mode": "direct", "client_tools": 1 }));
    assert!(rows[0].request_hash.is_some() && !format!("{rows:?}").contains("secret"));
}

#[tokio::test]
async fn the_assistant_continues_only_conversations_of_the_caller() {
    let fixture = Fixture::new().await;
    let (ada, bob) = (fixture.user("ada", Role::User).await, fixture.user("bob", Role::User).await);
    let bobs_conversation = fixture.conversation(&bob).await;
    let mut use_cases = MockUseCases::new();
    use_cases.on::<AskAssistant>(move |_| {
        let events = futures::stream::empty().boxed();
        Ok(AssistantRun { conversation: bobs_conversation, events, omitted_tools: 0 })
    });
    let gate = fixture.gate(UseCases::new(use_cases));
    let ask = |conversation| AskAssistant {
        conversation,
        message: MessageText::parse("Hi").expect("a message"),
        history: Vec::new(),
        tool_rounds: Vec::new(),
        instructions: None,
        tools: Vec::new(),
        model: TierChoice::Auto,
        retrieval: RetrievalMode::Auto,
        filters: SearchFilters::default(),
        options: ChatOptions::default(),
        max_output_tokens: None,
        team: None,
    };
    let error = gate.execute(&ada, ask(Some(bobs_conversation))).await.map(drop).expect_err("bob's");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        gate.execute(&bob, ask(Some(bobs_conversation))).await.is_ok() && gate.execute(&ada, ask(None)).await.is_ok()
    );
    let events: Vec<_> = fixture.audit_rows().into_iter().map(|row| row.event_type).collect();
    assert_eq!(events, ["policy.denied", "chat.request", "chat.request"]);
}
