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
    /// The tier its turns use unless a turn says otherwise.
    pub model: Option<ModelChoice>,
    /// The client's own data: a JSON object.
    pub metadata: Value,
    /// The highest classification that its answers have touched.
    pub classification: Classification,
    /// When the row was inserted.
    pub created_at: Timestamp,
    /// When it was changed or spoken in last.
    pub updated_at: Timestamp,
}

string_enum! {
    /// Author of the message.
    MessageRole {
        /// The platform's instructions.
        System = "system",
        /// User of that tenant.
        User = "user",
        /// The language model wrote it.
        Assistant = "assistant",
        /// A tool's result.
        Tool = "tool",
    }
}

string_enum! {
    /// How far a message got.
    MessageStatus {
        /// The answer is being written.
        Streaming = "streaming",
        /// The whole answer or message is there.
        Complete = "complete",
        /// Stopped by the user or because nobody was listening; what was generated is kept.
        Cancelled = "cancelled",
        /// The model broke off; what was generated is kept.
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
    /// Place in the conversation, from 1; creation times cannot order messages of one transaction.
    pub seq: i64,
    /// Author of the message.
    pub role: MessageRole,
    /// Text of the message; Markdown in answers.
    pub content: String,
    /// How far the message got.
    pub status: MessageStatus,
    /// Number of tokens, if known.
    pub token_count: Option<i32>,
    /// The passages that an answer rests on.
    pub citations: Vec<Citation>,
    /// The model that wrote an answer.
    pub model: Option<String>,
    /// Of a user's words: `internal` unless said otherwise. Of an answer: the highest classification of the prompts
    /// that it was made from.
    pub classification: Classification,
    /// The documents that an answer was made from, cited or not.
    pub sources: Sources,
    /// Content and citations are left out, because they are above the reader's clearance by now.
    pub withheld: bool,
    /// A fallback wrote the answer, or it lacks something; `degraded` in the metadata of [`FinishedAnswer`].
    pub degraded: bool,
    /// When the row was inserted.
    pub created_at: Timestamp,
}

/// A conversation with its messages, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Transcript {
    /// Conversation that it belongs to.
    pub conversation: Conversation,
    /// The newest messages, in the order in which they were said.
    pub messages: Vec<Message>,
}

/// A message to be appended.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMessage {
    /// UUIDv7, chosen by the application.
    pub id: MessageId,
    /// Author of the message.
    pub role: MessageRole,
    /// The text; empty for an answer yet to come.
    pub content: String,
    /// How far the message got.
    pub status: MessageStatus,
    /// Number of tokens, if known.
    pub token_count: Option<i32>,
    /// How far it may travel; of an answer yet to come, `public`.
    pub classification: Classification,
}

/// How an answer ended.
#[derive(Clone, PartialEq, Debug)]
pub struct FinishedAnswer {
    /// The text, as far as it came.
    pub content: String,
    /// How it ended.
    pub status: MessageStatus,
    /// Output tokens, where known.
    pub token_count: Option<i32>,
    /// Passages that the answer cites.
    pub citations: Vec<Citation>,
    /// The model that wrote it.
    pub model: Option<String>,
    /// The highest classification of what it was made from.
    pub classification: Classification,
    /// The documents that it was made from.
    pub sources: Sources,
    /// More about the run: a JSON object (finish reason, degraded, usage).
    pub metadata: Value,
}

/// The documents that something was made from, each with the class that it had at that time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sources(BTreeMap<DocumentId, Classification>);

impl Sources {
    /// Adds a document; the higher class stays where it is there already.
    pub fn add(&mut self, document: DocumentId, class: Classification) {
        let known = self.0.entry(document).or_insert(class);
        *known = class.max(*known);
    }

    /// Adds the sources of something that is used in turn.
    pub fn extend(&mut self, others: &Self) {
        for (document, class) in &others.0 {
            self.add(*document, *class);
        }
    }

    /// Ids of the documents, each once.
    pub fn documents(&self) -> impl Iterator<Item = DocumentId> {
        self.0.keys().copied()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest class of these documents as `now` has them; one that it does not have counts as it did then.
    #[must_use]
    pub fn class_by(&self, now: &BTreeMap<DocumentId, Classification>) -> Classification {
        let classes = self.0.iter().map(|(document, then)| now.get(document).unwrap_or(then));
        classes.copied().max().unwrap_or(Classification::Public)
    }
}

/// What a client may change of a conversation. A field that is `None` stays as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ConversationPatch {
    /// New title; the inner `None` removes it.
    pub title: Option<String>,
    /// New default tier.
    pub model: Option<ModelChoice>,
    /// New client data, in place of the old.
    pub metadata: Option<Value>,
}

/// A passage that an answer rests on; the answer's text marks it `[n]`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Citation {
    /// The number in the text, from 1.
    pub n: u32,
    /// Document that it belongs to.
    pub document_id: DocumentId,
    /// File name of the document.
    pub doc: String,
    /// Title of the document.
    pub title: String,
    /// Page in the file, from 1; `None` for formats without pages.
    pub page: Option<u32>,
    /// Headings above the passage, outermost first.
    pub section: Option<String>,
    /// Passage with its position.
    pub chunk_id: ChunkId,
    /// The words that support the answer.
    pub quote: String,
    /// How well the passage matched, 0 to 1.
    pub score: f32,
}
