//! Tests the privacy middleware with a model that records its requests and answers with the last message.

use async_trait::async_trait;
use domain::classified::Classified;
use domain::ids::TenantId;
use domain::model::{
    ChatDelta, ChatOptions, ChatRequest, ChatStream, ExtractiveInput, ModelError, ModelTier, ModelToolCall,
    PromptMessage,
};
use domain::model_call::{ModelCaller, ServedBy};
use domain::ports::{ChatModel, PrivacyScanner as _};
use domain::privacy::{BuiltInPattern, NamedPattern, PrivacyAction, PrivacyRules};
use domain::role::Classification;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use model_client::privacy::PrivacyMiddleware;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const EMAIL: &str = "k.brandt@northwind.example";

/// Answers with the last message, one character at a time, and with a tool call that has it as its argument.
#[derive(Default)]
struct Echo(Mutex<Vec<String>>);

#[async_trait]
impl ChatModel for Echo {
    async fn stream(&self, request: ChatRequest) -> Result<ChatStream, ModelError> {
        self.0.lock().expect("not poisoned").push(format!("{request:?}"));
        let last_message = match request.prompt.content().last() {
            Some(PromptMessage::User(text)) => text.clone(),
            other => panic!("not a question: {other:?}"),
        };
        let arguments = serde_json::json!({ "to": last_message }).to_string();
        let call = ModelToolCall { id: "1".to_owned(), name: "send".to_owned(), arguments };
        let pieces: Vec<_> = last_message.chars().map(|char| Ok(ChatDelta::Text(char.to_string()))).collect();
        let deltas = stream::iter(pieces).chain(stream::iter([Ok(ChatDelta::ToolCall(call))])).boxed();
        Ok(ChatStream { served_by: ServedBy::default(), deltas })
    }

    fn is_language_model(&self) -> bool {
        true
    }
}

fn rules(action: PrivacyAction, pattern: &str) -> Arc<PrivacyRules> {
    let custom = vec![NamedPattern { name: "project".to_owned(), pattern: pattern.to_owned() }];
    Arc::new(PrivacyRules { action, built_in: BuiltInPattern::ALL.to_vec(), custom })
}

fn request(privacy: Option<Arc<PrivacyRules>>, messages: Vec<PromptMessage>) -> ChatRequest {
    let caller = ModelCaller::without_privacy_rules(TenantId::from_uuid(Uuid::from_u128(1)), Classification::Internal);
    ChatRequest {
        caller: ModelCaller { privacy, ..caller },
        tier: ModelTier::Fast,
        prompt: Classified::new(messages, Classification::Internal),
        tools: Vec::new(),
        max_output_tokens: 100,
        extractive_input: ExtractiveInput { question: format!("ask {EMAIL}"), ..ExtractiveInput::default() },
        options: ChatOptions { stop: vec![EMAIL.to_owned()], ..ChatOptions::default() },
    }
}

fn messages() -> Vec<PromptMessage> {
    let call =
        ModelToolCall { id: "0".to_owned(), name: "send".to_owned(), arguments: format!(r#"{{"to":"{EMAIL}"}}"#) };
    vec![
        PromptMessage::System(format!("Your planner is {EMAIL}.")),
        PromptMessage::Assistant { content: format!("I ask {EMAIL}."), tool_calls: vec![call] },
        PromptMessage::Tool { call_id: "0".to_owned(), content: format!(r#"{{"from":"{EMAIL}"}}"#) },
        PromptMessage::User(format!("Send \"PRJ-44\" to {EMAIL}, please.")),
    ]
}

#[tokio::test]
async fn all_parts_of_a_request_are_redacted_and_the_answer_is_restored() {
    let (middleware, model) = (PrivacyMiddleware::new(b"secret").expect("valid patterns"), Arc::new(Echo::default()));
    let chat = middleware.wrap_chat_model(model.clone());
    let chat_request = request(Some(rules(PrivacyAction::Redact, "\"PRJ-[0-9]+\"")), messages());
    let answer = chat.stream(chat_request).await.expect("an answer");
    let counts = serde_json::to_value(&answer.served_by.replacement_counts).expect("counts");
    assert_eq!(counts, serde_json::json!({ "email": 7, "project": 1 }));
    let deltas: Vec<_> = answer.deltas.try_collect().await.expect("deltas");
    let text: String = deltas
        .iter()
        .filter_map(|delta| match delta {
            ChatDelta::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, format!("Send \"PRJ-44\" to {EMAIL}, please."));
    let Some(ChatDelta::ToolCall(call)) = deltas.last() else { panic!("no call: {deltas:?}") };
    let arguments: serde_json::Value = serde_json::from_str(&call.arguments).expect("JSON");
    assert_eq!(arguments["to"], text);
    let sent = model.0.lock().expect("not poisoned").concat();
    assert!(!sent.contains(EMAIL) && !sent.contains("PRJ-44") && sent.contains("[EMAIL_"), "{sent}");
}

#[tokio::test]
async fn a_request_without_rules_or_with_rules_that_only_warn_is_passed_on_unchanged() {
    let (middleware, model) = (PrivacyMiddleware::new(b"secret").expect("valid patterns"), Arc::new(Echo::default()));
    for privacy in [None, Some(rules(PrivacyAction::Warn, "PRJ-[0-9]+"))] {
        let chat_request = request(privacy, messages());
        let expected = format!("{chat_request:?}");
        middleware.wrap_chat_model(model.clone()).stream(chat_request).await.expect("an answer");
        assert_eq!(model.0.lock().expect("not poisoned").last(), Some(&expected));
    }
    let found =
        middleware.count_matches(&rules(PrivacyAction::Warn, "PRJ-[0-9]+"), "PRJ-1 and PRJ-2").expect("valid rules");
    assert_eq!((found.total(), found.patterns().collect::<Vec<_>>()), (2, vec!["project"]));
}

/// Rules that were written by SQL bypass the validation of the settings.
#[tokio::test]
async fn with_rules_that_do_not_compile_no_request_is_sent() {
    let (middleware, model) = (PrivacyMiddleware::new(b"secret").expect("valid patterns"), Arc::new(Echo::default()));
    let chat_request = request(Some(rules(PrivacyAction::Redact, "(x")), messages());
    let error = middleware.wrap_chat_model(model.clone()).stream(chat_request).await.err().expect("invalid rules");
    assert!(matches!(error, ModelError::InvalidPrivacyRules(_)), "{error}");
    assert_eq!((error.backend(), error.error_type()), ("privacy rules", "misconfigured"));
    assert!(model.0.lock().expect("not poisoned").is_empty());
}
