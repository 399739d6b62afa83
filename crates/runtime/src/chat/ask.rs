//! What is asked of the assistant, whichever way it came: with the history that the platform has, or with one that the
//! client keeps (`docs/adr/0032-an-openai-compatible-surface.md`).

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

/// What is asked.
pub(super) struct Ask {
    /// The conversation that goes on; `None`: a new one.
    pub conversation: Option<ConversationId>,
    pub message: MessageText,
    /// The history that the client keeps; `None`: the one that is stored.
    pub history: Option<Vec<EarlierMessage>>,
    pub instructions: Option<String>,
    pub model: Option<ModelChoice>,
    pub retrieval: RetrievalMode,
    pub filters: SearchFilters,
    pub options: ChatOptions,
    pub max_output_tokens: Option<u32>,
    /// How long the answer goes on when nobody reads it.
    pub grace: Duration,
}

impl Ask {
    /// Within a conversation whose history is stored, by a reader who may come back.
    pub(super) fn of(command: SendMessage, grace: Duration) -> Self {
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

    /// With a history of the client's. Such a client knows no way to come back: once it is gone, nobody will read.
    pub(super) fn of_client(command: AskAssistant) -> Self {
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

    /// The class of what a client says that an assistant said. It may stem from anything that its user may read; within a
    /// conversation of the platform's, from what that has touched.
    pub(super) fn class_of_history(&self, permit: &Permit, conversation: &Conversation) -> Classification {
        match self.conversation {
            Some(_) => conversation.classification,
            None => permit.clearance(),
        }
    }
}

/// A conversation of such a client's user. It has no title: the client makes its own.
pub(super) fn conversation(permit: &Permit, id: ConversationId, now: Timestamp) -> Option<Conversation> {
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

/// What a client says was said before, as messages. A user's words are the user's own.
pub(super) fn messages(
    said: &[EarlierMessage],
    (class, own_words): (Classification, Classification),
    (conversation, now): (ConversationId, Timestamp),
) -> Vec<Message> {
    let message = |(said, seq): (&EarlierMessage, i64)| Message {
        // Nothing of it is stored; nobody looks it up.
        id: MessageId::from_uuid(conversation.as_uuid()),
        conversation_id: conversation,
        seq,
        role: said.role,
        content: said.content.clone(),
        status: MessageStatus::Complete,
        token_count: None,
        citations: Vec::new(),
        model: None,
        classification: if said.role == MessageRole::User { own_words } else { class },
        sources: Sources::default(),
        withheld: false,
        degraded: false,
        created_at: now,
    };
    said.iter().zip(1..).map(message).collect()
}
