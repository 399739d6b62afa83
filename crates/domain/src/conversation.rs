//! Conversations, messages and citations.

use crate::ids::{ChunkId, ConversationId, DocumentId, MessageId, UserId};
use crate::model_tier::ModelChoice;
use crate::role::{Classification, string_enum};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A conversation, owned by one user.
#[derive(Clone, PartialEq, Debug)]
pub struct Conversation {
    /// UUIDv7, chosen by the application.
    pub id: ConversationId,
    /// The only user who may read it.
    pub user_id: UserId,
    /// Title, if it has one.
    pub title: Option<String>,
    /// Model tier of its turns, unless a turn chooses another.
    pub model: Option<ModelChoice>,
    /// Data of the client: a JSON object.
    pub metadata: Value,
    /// The highest class of its answers so far.
    pub classification: Classification,
    /// Archived conversations are left out of lists unless asked for.
    pub archived: bool,
    /// Last message of the active branch, which is shown and continued; `None` while there are no messages.
    pub active_message_id: Option<MessageId>,
    /// An answer is being written, so no other turn can start.
    pub is_busy: bool,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// When it was last changed or received a message.
    pub updated_at: Timestamp,
}

string_enum! {
    /// Author of the message.
    MessageRole {
        /// Instructions of the platform.
        System = "system",
        /// The user who owns the conversation.
        User = "user",
        /// The language model.
        Assistant = "assistant",
        /// Result of a tool call.
        Tool = "tool",
    }
}

string_enum! {
    /// Whether a message is complete.
    MessageStatus {
        /// The answer is still being generated.
        Streaming = "streaming",
        /// The message is complete.
        Complete = "complete",
        /// Generation was stopped by the user or because no client was connected; the partial text is kept.
        Cancelled = "cancelled",
        /// Generation failed; the partial text is kept.
        Error = "error",
    }
}

/// A message of a conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// UUIDv7, chosen by the application.
    pub id: MessageId,
    /// Conversation that the message is part of.
    pub conversation_id: ConversationId,
    /// The message that this one follows; `None` at the start of a branch. Messages with the same parent are
    /// alternatives.
    pub parent_id: Option<MessageId>,
    /// Position in the conversation, from 1. Creation times cannot order the messages of one transaction.
    pub seq: i64,
    /// Author of the message.
    pub role: MessageRole,
    /// Text of the message; Markdown in answers.
    pub content: String,
    /// Whether the message is complete.
    pub status: MessageStatus,
    /// Number of tokens, if known.
    pub token_count: Option<i32>,
    /// Passages that the answer cites.
    pub citations: Vec<Citation>,
    /// Name of the model that wrote an answer.
    pub model: Option<String>,
    /// Class of the message. User messages are `internal` unless specified otherwise; an answer has the highest class
    /// of the prompts that produced it.
    pub classification: Classification,
    /// Documents whose text was in the prompts of the answer, whether cited or not.
    pub sources: Sources,
    /// Statements of the answer that no passage supports; `unsupported` in the metadata of [`FinishedAnswer`].
    pub unsupported: Vec<TextRange>,
    /// Content and citations are omitted, because they are now above the reader's clearance.
    pub withheld: bool,
    /// A fallback backend wrote the answer, or part of the input was unavailable; `degraded` in the metadata of
    /// [`FinishedAnswer`].
    pub degraded: bool,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

/// A conversation with its messages, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Transcript {
    /// The conversation, without its messages.
    pub conversation: Conversation,
    /// The newest messages, oldest of them first.
    pub messages: Vec<Message>,
}

/// A message to append to a conversation.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMessage {
    /// UUIDv7, chosen by the application.
    pub id: MessageId,
    /// Author of the message.
    pub role: MessageRole,
    /// The text; empty for an answer that is about to be generated.
    pub content: String,
    /// Whether the message is complete.
    pub status: MessageStatus,
    /// Number of tokens, if known.
    pub token_count: Option<i32>,
    /// Class of the message; `public` for an answer that is about to be generated.
    pub classification: Classification,
}

/// An answer whose generation has ended, completely or not.
#[derive(Clone, PartialEq, Debug)]
pub struct FinishedAnswer {
    /// The text; partial if the status is not `complete`.
    pub content: String,
    /// Final status of the message.
    pub status: MessageStatus,
    /// Number of output tokens, if known.
    pub token_count: Option<i32>,
    /// Passages that the answer cites.
    pub citations: Vec<Citation>,
    /// Name of the model that wrote it.
    pub model: Option<String>,
    /// The highest class of its prompts.
    pub classification: Classification,
    /// Documents whose text was in its prompts.
    pub sources: Sources,
    /// Further facts about the run: a JSON object (finish reason, degraded, usage).
    pub metadata: Value,
}

/// Documents that a text is derived from, each with the class that it had at that time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sources(BTreeMap<DocumentId, Classification>);

impl Sources {
    /// Adds a document. If it is already present, the higher of the two classes is kept.
    pub fn add(&mut self, document: DocumentId, class: Classification) {
        let recorded = self.0.entry(document).or_insert(class);
        *recorded = class.max(*recorded);
    }

    /// Adds all sources of another text that this one is derived from.
    pub fn merge(&mut self, others: &Self) {
        for (document, class) in &others.0 {
            self.add(*document, *class);
        }
    }

    /// Ids of the documents, each once.
    pub fn documents(&self) -> impl Iterator<Item = DocumentId> {
        self.0.keys().copied()
    }

    /// Whether there are no documents.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest class of these documents according to `current_classes`, their current classes. A document that is
    /// missing there counts with its recorded class; without documents the class is `public`.
    #[must_use]
    pub fn current_class(&self, current_classes: &BTreeMap<DocumentId, Classification>) -> Classification {
        let classes =
            self.0.iter().map(|(document, recorded_class)| current_classes.get(document).unwrap_or(recorded_class));
        classes.copied().max().unwrap_or(Classification::Public)
    }
}

/// Changes to a conversation by its client. A field that is `None` is left unchanged.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ConversationPatch {
    /// New title of the conversation.
    pub title: Option<String>,
    /// New default tier.
    pub model: Option<ModelChoice>,
    /// New client data; replaces the old data.
    pub metadata: Option<Value>,
    /// Archives the conversation or brings it back.
    pub archived: Option<bool>,
    /// New end of the active branch; a message of the conversation.
    pub active_message_id: Option<MessageId>,
}

/// Which of the user's conversations to list.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ConversationFilter {
    /// Only archived conversations, or only those that are not; `None` for all.
    pub archived: Option<bool>,
    /// Text that the title or a message must contain, in upper or lower case.
    pub text: Option<String>,
}

/// A part of a message's text, as offsets in Unicode code points.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TextRange {
    /// Offset of the first code point.
    pub start: u32,
    /// Offset behind the last code point.
    pub end: u32,
}

/// A passage that an answer cites; the answer's text refers to it as `[n]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Citation {
    /// Number used in the text, from 1.
    pub n: u32,
    /// Document that contains the passage.
    pub document_id: DocumentId,
    /// File name of the document.
    pub doc: String,
    /// Title of the document.
    pub title: String,
    /// Page in the file, from 1; `None` for formats without pages.
    pub page: Option<u32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// Id of the passage.
    pub chunk_id: ChunkId,
    /// The part of the passage that supports the answer.
    pub quote: String,
    /// Relevance of the passage to the question, 0 to 1.
    pub score: f32,
}
