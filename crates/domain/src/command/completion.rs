//! Commands of the OpenAI-compatible surface: the assistant with a history of the client's, and models alone.

use super::{Command, Recorder, RetrievalMode, Target, command};
use crate::audit::EventType;
use crate::conversation::MessageRole;
use crate::ids::{ConversationId, DocumentId};
use crate::model::{ChatOptions, EmbedPurpose, EmbedResponse, ModelChoice, OfferedTool, PromptMessage};
use crate::model_id::ModelId;
use crate::role::{Operation, Resource};
use crate::run::{AssistantRun, EventStream};
use crate::search::SearchFilters;
use crate::text::MessageText;
use serde::Serialize;
use serde_json::{Value, json};

/// What a client says was said before. What the platform has stored counts for nothing beside it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EarlierMessage {
    /// Who spoke: the user, or an assistant.
    pub role: MessageRole,
    /// The words.
    pub content: String,
}

/// Ask the plant's assistant, in a conversation whose history the client keeps.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AskAssistant {
    /// The conversation that goes on; `None`: a new one.
    pub conversation: Option<ConversationId>,
    /// The question.
    pub message: MessageText,
    /// What was said before, oldest first.
    pub history: Vec<EarlierMessage>,
    /// The wishes of the client's program and its user: data, beneath the platform's rules.
    pub instructions: Option<String>,
    /// The tier.
    pub model: ModelChoice,
    /// Whether to look into the documents.
    pub retrieval: RetrievalMode,
    /// Where to look.
    pub filters: SearchFilters,
    /// How to write.
    pub options: ChatOptions,
    /// Most tokens of the answer, within the platform's own limit.
    pub max_output_tokens: Option<u32>,
}

impl Command for AskAssistant {
    const RESOURCE: Resource = Resource::Conversations;
    const OPERATION: Operation = Operation::Create;
    const EVENT: EventType = EventType::new("chat.request");
    const OUTCOME_EVENT: EventType = EventType::CHAT_RESPONSE;
    const SUCCESS_RECORDED_BY: Recorder = Recorder::UseCase;

    type Output = AssistantRun;

    fn target(&self) -> Option<Target> {
        self.conversation.map(Target::Conversation)
    }

    fn documents(&self) -> &[DocumentId] {
        &self.filters.document_ids
    }

    fn facts(&self) -> Option<Value> {
        Some(json!({ "mode": "assistant", "history": "client" }))
    }
}

/// Ask a language model alone: no documents, nothing stored. Tools are the client's, which calls them itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AskModel {
    /// What is said, word for word.
    pub messages: Vec<PromptMessage>,
    /// The tier.
    pub model: ModelChoice,
    /// The client's tools.
    pub tools: Vec<OfferedTool>,
    /// How to write.
    pub options: ChatOptions,
    /// Most tokens of the answer, within the platform's own limit.
    pub max_output_tokens: Option<u32>,
}

// How many tools, not which: their names are the client's text.
command! {
    AskModel: Create Models as "chat.request" -> EventStream,
    closed_by_use_case "chat.response",
    facts(command => json!({ "mode": "direct", "client_tools": command.tools.len() }))
}

/// List the models that can be asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ListModels;
command!(ListModels: List Models as "model.list" -> Vec<ModelId>);

/// Ask whether there is a model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GetModel {
    /// Which.
    pub id: ModelId,
}
command!(GetModel: Read Models as "model.read" -> ModelId);

/// Turn texts into vectors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CreateEmbeddings {
    /// The texts.
    pub texts: Vec<String>,
    /// What for.
    #[serde(skip)]
    pub purpose: EmbedPurpose,
    /// How many numbers the client wants of each vector; only what the model has is possible.
    pub dimensions: Option<usize>,
}

command! {
    CreateEmbeddings: Create Models as "model.embed" -> EmbedResponse,
    facts(command => json!({ "texts": command.texts.len() })),
    outcome(embedded => embedding_facts(embedded))
}

fn embedding_facts(embedded: &EmbedResponse) -> Value {
    let spent = &embedded.spent;
    json!({
        "texts": embedded.vectors.len(), "backend": spent.served_by.backend, "model": spent.served_by.model,
        "fallback": spent.served_by.fallback, "input_tokens": spent.usage.input_tokens,
    })
}
