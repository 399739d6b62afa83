//! Commands on conversations, chat turns and runs.

use super::command;
use crate::conversation::{Conversation, ConversationPatch, Transcript};
use crate::ids::{ConversationId, RunId};
use crate::model::ModelChoice;
use crate::page::{Page, PageRequest};
use crate::role::string_enum;
use crate::run::EventStream;
use crate::search::SearchFilters;
use crate::text::{MessageText, Title};
use serde::Serialize;
use serde_json::Value;

/// Start a conversation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CreateConversation {
    /// Title, if it has one.
    pub title: Option<Title>,
    /// The tier its turns use unless a turn says otherwise.
    pub model: Option<ModelChoice>,
    /// The client's own data: a JSON object.
    pub metadata: Value,
}
command! {
    CreateConversation: Create Conversations as "conversation.create" -> Conversation,
    id(conversation => conversation.id)
}

/// List the caller's conversations.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListConversations {
    /// Which page.
    #[serde(skip)]
    pub page: PageRequest,
}
command!(ListConversations: List Conversations as "conversation.list" -> Page<Conversation>);

/// Read a conversation with its messages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetConversation {
    /// Which one.
    pub id: ConversationId,
}
command!(GetConversation: Read Conversations as "conversation.read" -> Transcript, target Conversation(id));

/// Change a conversation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateConversation {
    /// Which one.
    pub id: ConversationId,
    /// What to change.
    pub patch: ConversationPatch,
}
command!(UpdateConversation: Update Conversations as "conversation.update" -> Conversation, target Conversation(id));

/// Delete a conversation with its messages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteConversation {
    /// Which one.
    pub id: ConversationId,
}
command!(DeleteConversation: Delete Conversations as "conversation.delete" -> (), target Conversation(id));

string_enum! {
    /// Whether a turn looks into the documents.
    RetrievalMode {
        /// When the message looks like a question that documents can answer.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never: no embedding call is made.
        Never = "never",
    }
}

/// Say something in a conversation and get an answer.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SendMessage {
    /// In which conversation.
    pub conversation: ConversationId,
    /// What is said.
    pub message: MessageText,
    /// The tier, if not the conversation's.
    pub model: Option<ModelChoice>,
    /// Whether to look into the documents.
    pub retrieval: RetrievalMode,
    /// Where to look.
    pub filters: SearchFilters,
}
command! {
    SendMessage: Create Conversations as "chat.request" -> EventStream,
    target Conversation(conversation),
    documents filters.document_ids,
    closed_by_use_case "chat.response"
}

/// Read a run's events again.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ResumeRun {
    /// Which run.
    pub run: RunId,
    /// Only events after this one; 0 means all.
    pub after: u64,
}
command!(ResumeRun: Read Conversations as "chat.resume" -> EventStream, target Run(run));

/// Stop a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CancelRun {
    /// Which run.
    pub run: RunId,
}
command!(CancelRun: Update Conversations as "chat.cancel" -> (), target Run(run));
