//! The gate's part for OpenAI's clients: who sees and asks which model, and what the rows say of it.

use crate::support::World;
use domain::access_token::TokenScope;
use domain::command::{AskAssistant, AskModel, RetrievalMode};
use domain::credential::{Credential, CredentialKind};
use domain::error::{Classify as _, ErrorKind};
use domain::model::{ChatOptions, ModelChoice, OfferedTool, PromptMessage};
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

fn within(caller: &Caller, scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(|scope| scope.parse::<TokenScope>().expect("a scope")).collect();
    let kind = CredentialKind::AccessToken { id: uuid::Uuid::nil().into(), scopes };
    caller.clone().with(Arc::new(Credential { kind, ..Credential::interactive() }))
}

fn serving() -> UseCases {
    let mut use_cases = MockUseCases::new();
    use_cases.on::<AskModel>(|_| Ok(futures::stream::empty().boxed()));
    UseCases::of(use_cases)
}

fn hello() -> AskModel {
    let tool = OfferedTool { name: "secret_tool".to_owned(), description: String::new(), parameters: json!({}) };
    AskModel {
        messages: vec![PromptMessage::User("secret words".to_owned())],
        model: ModelChoice::Fast,
        tools: vec![tool],
        options: ChatOptions::default(),
        max_output_tokens: None,
    }
}

#[tokio::test]
async fn a_token_asks_what_its_scopes_name() {
    let world = World::new().await;
    let vera = world.user("vera", Role::Viewer).await;
    let chats = within(&vera, &["models:list", "models:read", "conversations:create"]);
    let refused = world.gate(serving()).execute(&chats, hello()).await.map(drop).expect_err("not for it");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Forbidden, "policy_denied"));
}

#[tokio::test]
async fn a_model_asked_alone_closes_itself_and_its_row_counts_tools_without_naming_them() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    assert!(world.gate(serving()).execute(&ada, hello()).await.is_ok());
    let rows = world.audit();
    assert_eq!(rows.len(), 1, "the outcome is the use case's: {rows:?}");
    assert_eq!((rows[0].event_type.as_str(), rows[0].resource_type.as_deref()), ("chat.request", Some("models")));
    assert_eq!(rows[0].metadata, json!({ "mode": "direct", "client_tools": 1 }));
    assert!(rows[0].request_hash.is_some() && !format!("{rows:?}").contains("secret"));
}

#[tokio::test]
async fn the_assistant_goes_on_in_the_callers_own_conversations_only() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada", Role::User).await, world.user("bob", Role::User).await);
    let theirs = world.conversation(&bob).await;
    let mut use_cases = MockUseCases::new();
    use_cases.on::<AskAssistant>(move |_| {
        Ok(AssistantRun { conversation: theirs, events: futures::stream::empty().boxed() })
    });
    let gate = world.gate(UseCases::of(use_cases));
    let asks = |conversation| AskAssistant {
        conversation,
        message: MessageText::parse("Hi").expect("a message"),
        history: Vec::new(),
        instructions: None,
        model: ModelChoice::Auto,
        retrieval: RetrievalMode::Auto,
        filters: SearchFilters::default(),
        options: ChatOptions::default(),
        max_output_tokens: None,
    };
    let refused = gate.execute(&ada, asks(Some(theirs))).await.map(drop).expect_err("bob's");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(gate.execute(&bob, asks(Some(theirs))).await.is_ok() && gate.execute(&ada, asks(None)).await.is_ok());
    let events: Vec<_> = world.audit().into_iter().map(|row| row.event_type).collect();
    assert_eq!(events, ["policy.denied", "chat.request", "chat.request"]);
}
