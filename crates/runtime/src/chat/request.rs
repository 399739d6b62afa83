//! A turn as it was asked for: with the history that the platform stores, or with one that the client keeps
//! (`docs/adr/0032-an-openai-compatible-surface.md`).

use domain::authorized::Permit;
use domain::command::{AskAssistant, EarlierMessage, RetrievalMode, SendMessage};
use domain::conversation::{Conversation, Message, MessageRole, MessageStatus, Sources};
use domain::ids::{ConversationId, MessageId};
use domain::model::{ChatOptions, ModelChoice};
use domain::role::Classification;
use domain::search::SearchFilters;
use domain::text::MessageText;
use domain::time::Timestamp;
use serde_json::json;
use std::time::Duration;

/// A turn as it was asked for.
pub(super) struct TurnRequest {
    /// The conversation to continue; `None` starts a new one.
    pub conversation: Option<ConversationId>,
    pub message: MessageText,
    /// The history that the client keeps; `None` if it is the stored one.
    pub history: Option<Vec<EarlierMessage>>,
    /// How the client's program wants answers to be.
    pub instructions: Option<String>,
    pub model: Option<ModelChoice>,
    pub retrieval: RetrievalMode,
    pub filters: SearchFilters,
    pub options: ChatOptions,
    /// Maximum tokens of a reply, within the platform's own limit.
    pub max_output_tokens: Option<u32>,
    /// How long the run goes on without a reader.
    pub grace: Duration,
}

impl TurnRequest {
    /// A turn of a stored conversation. Its reader may reconnect within `grace`.
    pub(super) fn from_message(command: SendMessage, grace: Duration) -> Self {
        Self {
            conversation: Some(command.conversation),
            message: command.message,
            history: None,
            instructions: None,
            model: command.model,
            retrieval: command.retrieval,
            filters: command.filters,
            options: ChatOptions::default(),
            max_output_tokens: None,
            grace,
        }
    }

    /// A turn with the client's history. Such a client cannot reconnect, so the run ends as soon as its reader is gone.
    pub(super) fn from_client(command: AskAssistant) -> Self {
        Self {
            conversation: command.conversation,
            message: command.message,
            history: Some(command.history),
            instructions: command.instructions,
            model: Some(command.model),
            retrieval: command.retrieval,
            filters: command.filters,
            options: command.options,
            max_output_tokens: command.max_output_tokens,
            grace: Duration::ZERO,
        }
    }

    /// The class of what a client claims that an assistant said. In a conversation of the platform's it is the
    /// conversation's class; otherwise it may come from anything that the user may read.
    fn class_of_client_answers(&self, permit: &Permit, conversation: &Conversation) -> Classification {
        match self.conversation {
            Some(_) => conversation.classification,
            None => permit.clearance(),
        }
    }

    /// The history that the client keeps, as messages. The user's messages have the class of the user's own words.
    pub(super) fn client_history(
        &self,
        history: &[EarlierMessage],
        permit: &Permit,
        conversation: &Conversation,
        now: Timestamp,
    ) -> Vec<Message> {
        let answers = self.class_of_client_answers(permit, conversation);
        let own_words = permit.rights().class_of_own_words();
        let message = |(earlier, seq): (&EarlierMessage, i64)| Message {
            // These messages are not stored, so nobody looks up their ids.
            id: MessageId::from_uuid(conversation.id.as_uuid()),
            conversation_id: conversation.id,
            seq,
            role: earlier.role,
            content: earlier.content.clone(),
            status: MessageStatus::Complete,
            token_count: None,
            citations: Vec::new(),
            model: None,
            classification: if earlier.role == MessageRole::User { own_words } else { answers },
            sources: Sources::default(),
            withheld: false,
            degraded: false,
            created_at: now,
        };
        history.iter().zip(1..).map(message).collect()
    }
}

/// A new conversation of a client that keeps the history. It has no title: the client makes its own. `None` if no user
/// acts.
pub(super) fn new_conversation(permit: &Permit, id: ConversationId, now: Timestamp) -> Option<Conversation> {
    Some(Conversation {
        id,
        user_id: permit.scope().user()?,
        title: None,
        model: None,
        metadata: json!({ "source": "openai" }),
        classification: Classification::Public,
        created_at: now,
        updated_at: now,
    })
}
