//! Commands on conversations, chat turns and runs.

use super::command;
use crate::conversation::{Conversation, ConversationFilter, ConversationPatch, Transcript};
use crate::ids::{ConversationId, MessageId, RunId, TeamId};
use crate::model::TierChoice;
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
    /// Title, if the client gives one.
    pub title: Option<Title>,
    /// Model tier for turns that do not choose one.
    pub model: Option<TierChoice>,
    /// Client data: a JSON object, at most 16 KiB.
    pub metadata: Value,
    /// The team that shares it; `None` for one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}
command! {
    CreateConversation: Create Conversations as "conversation.create" -> Conversation,
    space team,
    transaction Shared,
    id(conversation => conversation.id)
}

/// List the caller's own conversations, or those of a team.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ListConversations {
    /// Which conversations are listed.
    pub filter: ConversationFilter,
    /// Page to return; newest items come first.
    #[serde(skip)]
    pub page: PageRequest,
    /// The team whose conversations are listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}
command! {
    ListConversations: List Conversations as "conversation.list" -> Page<Conversation>,
    space team,
    transaction Shared
}

string_enum! {
    /// Which messages of a conversation are read.
    Branches {
        /// Those of the active branch.
        Active = "active",
        /// Those of all branches.
        All = "all",
    }
}

/// Read a conversation with its messages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GetConversation {
    /// The conversation; must be the caller's own.
    pub id: ConversationId,
    /// Which of its messages are returned.
    pub branches: Branches,
}
command! {
    GetConversation: Read Conversations as "conversation.read" -> Transcript,
    target Conversation(id),
    transaction Shared
}

/// Read a conversation with its messages, to store them outside the platform.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ExportConversation {
    /// The conversation; must be the caller's own.
    pub id: ConversationId,
    /// Which of its messages are exported.
    pub branches: Branches,
}
command! {
    ExportConversation: Read Conversations as "conversation.export" -> Transcript,
    target Conversation(id),
    transaction Shared
}

/// Change a conversation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UpdateConversation {
    /// The conversation; must be the caller's own.
    pub id: ConversationId,
    /// Fields to change; the others stay.
    pub patch: ConversationPatch,
}
command! {
    UpdateConversation: Update Conversations as "conversation.update" -> Conversation,
    target Conversation(id),
    transaction Shared
}

/// Delete a conversation with its messages.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DeleteConversation {
    /// The conversation; must be the caller's own.
    pub id: ConversationId,
}
command! {
    DeleteConversation: Delete Conversations as "conversation.delete" -> (),
    target Conversation(id),
    transaction Shared
}

string_enum! {
    /// Whether a turn searches the documents.
    RetrievalMode {
        /// Searches if the message looks like a question that documents can answer.
        Auto = "auto",
        /// Searches in every turn.
        Always = "always",
        /// Never searches; no embedding call is made.
        Never = "never",
    }
}

/// Where a message is added to a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub enum BranchPoint {
    /// After the last message of the active branch.
    #[default]
    ActiveBranch,
    /// At the start of the conversation, as an alternative to its first message.
    Root,
    /// After this message of the conversation.
    After(MessageId),
}

/// What a turn answers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub enum TurnQuestion {
    /// A new message of the user.
    New {
        /// The user's message.
        message: MessageText,
        /// Where the message is added.
        at: BranchPoint,
    },
    /// An earlier message of the user, which gets a further answer.
    Earlier(MessageId),
}

/// Ask in a conversation and start the run that answers.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SendMessage {
    /// The conversation; must be the caller's own.
    pub conversation: ConversationId,
    /// The message to answer.
    pub question: TurnQuestion,
    /// Model tier of this turn; `None` uses the conversation's.
    pub model: Option<TierChoice>,
    /// Whether the turn searches the documents.
    pub retrieval: RetrievalMode,
    /// Which documents the search considers.
    pub filters: SearchFilters,
    /// The teams whose documents are searched instead of the conversation's own space.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<TeamId>,
    /// Who answers; `None` for the assistant alone.
    pub agent: Option<AgentChoice>,
}

/// Who answers a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum AgentChoice {
    /// The assistant, which may hand parts of the question to specialists.
    Auto,
    /// The agent of this name, which may not exist.
    Named(String),
}
command! {
    SendMessage: Create Conversations as "chat.request" -> EventStream,
    target Conversation(conversation),
    documents filters.document_ids,
    teams teams,
    transaction Shared,
    outcome_recorded_by_use_case "chat.response"
}

/// Read the events of a run, from the beginning or after a given one.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ResumeRun {
    /// The run; must be the caller's own.
    pub run: RunId,
    /// Sequence number of the last event that the client has; 0 returns all events.
    pub after: u64,
}
command!(ResumeRun: Read Conversations as "chat.resume" -> EventStream, target Run(run));

/// Stop a run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CancelRun {
    /// The run; must be the caller's own, except for the owners of a team.
    pub run: RunId,
}
command!(CancelRun: Update Conversations as "chat.cancel" -> (), target Run(run));
