//! The gate's part for OpenAI's clients: who sees and asks which model, and what the rows say of it.

use crate::support::{World, forbidden};
use domain::access_token::TokenScope;
use domain::command::{AskAssistant, AskModel, GetModel, ListModels, RetrievalMode};
use domain::credential::{Credential, CredentialKind};
use domain::error::{Classify as _, ErrorKind};
use domain::model::{ChatOptions, ModelChoice, OfferedTool, PromptMessage};
use domain::model_id::ModelId;
use domain::role::Role;
use domain::search::SearchFilters;
use domain::text::MessageText;
use futures::StreamExt as _;
use policy::caller::Caller;
use policy::gate::{ModelGate as _, UseCases};
use runtime::services::{MockChat, MockModels};
use serde_json::json;
use std::sync::Arc;

fn within(caller: &Caller, scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(|scope| scope.parse::<TokenScope>().expect("a scope")).collect();
    let kind = CredentialKind::AccessToken { id: uuid::Uuid::nil().into(), scopes };
    caller.clone().with(Arc::new(Credential { kind, ..Credential::interactive() }))
}

fn serving() -> UseCases {
    let mut models = MockModels::new();
    models.expect_list().returning(|_| Ok(ModelId::ALL.to_vec()));
    models.expect_get().returning(|granted| Ok(granted.command().id));
    models.expect_ask().returning(|_| Ok(futures::stream::empty().boxed()));
    UseCases { models: Arc::new(models), ..forbidden() }
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
async fn the_list_has_what_the_token_may_be_used_for() {
    let world = World::new().await;
    let vera = world.user("vera", Role::Viewer).await;
    let gate = world.gate(serving());
    assert_eq!(gate.list_models(&vera, ListModels).await.expect("a list"), ModelId::ALL);
    let chats = within(&vera, &["models:list", "models:read", "conversations:create"]);
    assert_eq!(
        gate.list_models(&chats, ListModels).await.expect("a list"),
        [ModelId::Auto, ModelId::Fast, ModelId::Heavy]
    );
    assert!(gate.get_model(&chats, GetModel { id: ModelId::Fast }).await.is_ok());
    let hidden = gate.get_model(&chats, GetModel { id: ModelId::Embed }).await.expect_err("not for it");
    assert_eq!((hidden.kind(), hidden.code()), (ErrorKind::NotFound, "model_not_found"));
    let lists = within(&vera, &["models:list"]);
    assert_eq!(gate.list_models(&lists, ListModels).await.expect("a list"), []);
    let refused = gate.ask_model(&chats, hello()).await.map(drop).expect_err("not for it");
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Forbidden, "policy_denied"));
}

#[tokio::test]
async fn a_model_asked_alone_closes_itself_and_its_row_counts_tools_without_naming_them() {
    let world = World::new().await;
    let ada = world.user("ada", Role::User).await;
    assert!(world.gate(serving()).ask_model(&ada, hello()).await.is_ok());
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
    let mut chat = MockChat::new();
    chat.expect_ask().returning(move |_| Ok((theirs, futures::stream::empty().boxed())));
    let gate = world.gate(UseCases { chat: Arc::new(chat), ..forbidden() });
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
    let refused = gate.ask_assistant(&ada, asks(Some(theirs))).await.map(drop).expect_err("bob's");
    assert_eq!(refused.kind(), ErrorKind::NotFound);
    assert!(
        gate.ask_assistant(&bob, asks(Some(theirs))).await.is_ok()
            && gate.ask_assistant(&ada, asks(None)).await.is_ok()
    );
    let events: Vec<_> = world.audit().into_iter().map(|row| row.event_type).collect();
    assert_eq!(events, ["policy.denied", "chat.request", "chat.request"]);
}
