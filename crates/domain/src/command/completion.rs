//! Commands of the OpenAI-compatible API: the assistant with a history kept by the client, and direct completions.

use super::{Command, Recorder, RetrievalMode, Target, TransactionUse, command};
use crate::audit::EventType;
use crate::backend_health::BackendHealth;
use crate::conversation::MessageRole;
use crate::ids::{ConversationId, DocumentId, TeamId};
use crate::model::{ChatOptions, EmbedPurpose, EmbedResponse, OfferedTool, PromptMessage, TierChoice};
use crate::model_id::ModelId;
use crate::role::{Operation, Resource};
use crate::run::{AssistantRun, EventStream};
use crate::search::SearchFilters;
use crate::text::MessageText;
use serde::Serialize;
use serde_json::{Value, json};

/// A message of a history that the client keeps, which is used instead of the platform's stored history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EarlierMessage {
    /// User or assistant; system and tool messages are not history.
    pub role: MessageRole,
    /// Text of the message, as the client has it.
    pub content: String,
}

/// Ask the assistant in a conversation whose history the client keeps.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AskAssistant {
    /// The conversation to continue; `None` starts a new one.
    pub conversation: Option<ConversationId>,
    /// The question that is answered.
    pub message: MessageText,
    /// Earlier messages, oldest first.
    pub history: Vec<EarlierMessage>,
    /// Calls of client tools that the model requested for this question, and their results: pairs of assistant and
    /// tool messages that follow the question.
    pub tool_rounds: Vec<PromptMessage>,
    /// Instructions of the client application: treated as data, subordinate to the platform's rules.
    pub instructions: Option<String>,
    /// Tools of the client, which calls them itself. They are offered beside the platform's own tools, if the model can
    /// call tools.
    pub tools: Vec<OfferedTool>,
    /// Model tier that answers.
    pub model: TierChoice,
    /// Whether the turn searches the documents.
    pub retrieval: RetrievalMode,
    /// Which documents the search considers.
    pub filters: SearchFilters,
    /// Sampling options, passed on to the model server.
    pub options: ChatOptions,
    /// Maximum number of output tokens; the platform's own limit applies too.
    pub max_output_tokens: Option<u32>,
    /// The team whose documents are searched, and which shares the conversation; `None` for the home space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}

impl Command for AskAssistant {
    const RESOURCE: Resource = Resource::Conversations;
    const OPERATION: Operation = Operation::Create;
    const EVENT: EventType = EventType::new("chat.request");
    const OUTCOME_EVENT: EventType = EventType::CHAT_RESPONSE;
    const TRANSACTION: TransactionUse = TransactionUse::Shared;
    const SUCCESS_RECORDED_BY: Recorder = Recorder::UseCase;

    type Output = AssistantRun;

    fn target(&self) -> Option<Target> {
        self.conversation.map(Target::Conversation)
    }

    fn team(&self) -> Option<TeamId> {
        self.team
    }

    fn referenced_documents(&self) -> &[DocumentId] {
        &self.filters.document_ids
    }

    fn intent_metadata(&self) -> Option<Value> {
        // Only the number of tools is recorded, because their names are the client's content.
        Some(json!({ "mode": "assistant", "history": "client", "client_tools": self.tools.len() }))
    }
}

/// Ask a language model directly: no documents are searched and nothing is stored.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct AskModel {
    /// The prompt, passed on unchanged.
    pub messages: Vec<PromptMessage>,
    /// Model tier that answers.
    pub model: TierChoice,
    /// Tools of the client, which calls them itself.
    pub tools: Vec<OfferedTool>,
    /// Sampling options, passed on to the model server.
    pub options: ChatOptions,
    /// Maximum number of output tokens; the platform's own limit applies too.
    pub max_output_tokens: Option<u32>,
}

command! {
    AskModel: Create Models as "chat.request" -> EventStream,
    transaction Shared,
    outcome_recorded_by_use_case "chat.response",
    metadata(command => json!({ "mode": "direct", "client_tools": command.tools.len() }))
}

/// List the models that the caller may use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ListModels;
command!(ListModels: List Models as "model.list" -> Vec<ModelId>, transaction Shared);

/// List the backends that serve models, with their health.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ListBackends;
command!(ListBackends: Read TenantSettings as "admin.models_read" -> Vec<BackendHealth>, transaction Shared);

/// Look up one model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GetModel {
    /// The requested model.
    pub id: ModelId,
}
command!(GetModel: Read Models as "model.read" -> ModelId, transaction Shared);

/// Embed texts with the platform's current embedding model.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CreateEmbeddings {
    /// Texts to embed, in the order of the vectors.
    pub texts: Vec<String>,
    /// Query or document: some models embed them differently.
    #[serde(skip)]
    pub purpose: EmbedPurpose,
    /// Requested dimension; the request is rejected unless the model has this dimension.
    pub dimensions: Option<usize>,
}

command! {
    CreateEmbeddings: Create Models as "model.embed" -> EmbedResponse,
    transaction Shared,
    metadata(command => json!({ "texts": command.texts.len() })),
    outcome(embedded => embedding_metadata(embedded))
}

fn embedding_metadata(response: &EmbedResponse) -> Value {
    let usage = &response.usage;
    let mut metadata = json!({
        "texts": response.vectors.len(), "backend": usage.served_by.backend, "model": usage.served_by.model,
        "fallback": usage.served_by.fallback, "input_tokens": usage.token_usage.input_tokens,
    });
    if !usage.served_by.replacement_counts.is_empty() {
        metadata["privacy"] = json!({ "replaced": usage.served_by.replacement_counts });
    }
    metadata
}
