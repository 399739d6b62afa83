//! Finds where in the tree of a conversation's messages the question and answer of a turn are added
//! (`docs/adr/0053-branches-and-one-answer-at-a-time.md`).

use super::request::TurnRequest;
use crate::conversations::ABANDONED_AFTER;
use crate::error::RuntimeError;
use domain::authorized::Permit;
use domain::command::{BranchPoint, TurnQuestion};
use domain::conversation::{Conversation, Message, MessageRole, MessageStatus, NewMessage};
use domain::ids::MessageId;
use domain::ports::{IdGen, StoreError, TenantTx};
use domain::role::Classification;
use domain::time::Timestamp;
use domain::upload::FieldError;

/// The question of a turn, and its place in the conversation.
pub(super) struct PlacedQuestion {
    pub text: String,
    pub classification: Classification,
    /// The message that the new ones follow; `None` at the start of the conversation.
    parent: Option<MessageId>,
    /// The last message of the history; `None` if the question starts the conversation.
    pub history_end: Option<MessageId>,
    /// Whether the question is an earlier message that is answered again.
    is_stored: bool,
}

impl PlacedQuestion {
    /// Finds the place of the question. The history of the turn is the branch that leads to it.
    ///
    /// # Errors
    /// If a message that the request references is not in the conversation or cannot be answered, or the store fails.
    pub(super) async fn find(
        tx: &mut dyn TenantTx,
        permit: &Permit,
        request: &TurnRequest,
        conversation: &Conversation,
    ) -> Result<Self, RuntimeError> {
        match &request.question {
            TurnQuestion::New { message, at } => {
                let parent = match *at {
                    BranchPoint::ActiveBranch => conversation.active_message_id,
                    BranchPoint::Root => None,
                    BranchPoint::After(id) => Some(find_message(tx, conversation, id).await?.id),
                };
                let (text, classification) =
                    (message.as_str().to_owned(), permit.rights().own_message_classification());
                Ok(Self { text, classification, parent, history_end: parent, is_stored: false })
            }
            TurnQuestion::Earlier(id) => {
                let message = find_message(tx, conversation, *id).await?;
                if message.role != MessageRole::User {
                    let detail = "must be the id of a message from the user".to_owned();
                    return Err(FieldError { pointer: "/parent_id".to_owned(), detail }.into());
                }
                Ok(Self {
                    text: message.content,
                    classification: message.classification,
                    parent: Some(message.id),
                    history_end: message.parent_id,
                    is_stored: true,
                })
            }
        }
    }

    /// Whether the question is a new message, not an earlier one that is answered again.
    pub(super) fn is_new(&self) -> bool {
        !self.is_stored
    }

    /// Stores the question, unless it is stored already, and an empty answer in state `streaming`.
    ///
    /// # Errors
    /// `ConversationBusy` if another turn has started to write an answer; `NotFound` if the conversation does not
    /// exist; or if the store fails.
    pub(super) async fn append(
        &self,
        tx: &mut dyn TenantTx,
        conversation: &Conversation,
        ids: TurnIds,
        now: Timestamp,
    ) -> Result<(), RuntimeError> {
        let mut messages = Vec::with_capacity(2);
        if !self.is_stored {
            messages.push(user_message(ids.question, &self.text, self.classification));
        }
        messages.push(empty_answer(ids.answer));
        match tx.messages().append(conversation.id, self.parent, &messages, now).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(RuntimeError::NotFound { target: "the conversation" }),
            Err(StoreError::Conflict { .. }) => Err(RuntimeError::ConversationBusy),
            Err(error) => Err(error.into()),
        }
    }
}

/// Ids of the messages of a turn.
#[derive(Clone, Copy)]
pub(super) struct TurnIds {
    pub question: MessageId,
    pub answer: MessageId,
}

impl TurnIds {
    /// New UUIDv7s for both messages.
    pub fn generate(ids: &dyn IdGen) -> Self {
        let new_id = || MessageId::from_uuid(ids.uuid());
        Self { answer: new_id(), question: new_id() }
    }
}

/// Refuses a turn while an answer is being written in the conversation. Before that, marks answers as failed whose
/// process has died, or that were started more than [`ABANDONED_AFTER`] ago.
///
/// # Errors
/// `ConversationBusy`, or if the store fails.
pub(super) async fn refuse_if_busy(
    tx: &mut dyn TenantTx,
    conversation: &Conversation,
    now: Timestamp,
) -> Result<(), RuntimeError> {
    if !conversation.is_busy {
        return Ok(());
    }
    tx.messages().fail_abandoned_answers(now - ABANDONED_AFTER).await?;
    match tx.conversations().get(conversation.id).await? {
        Some(conversation) if conversation.is_busy => Err(RuntimeError::ConversationBusy),
        _ => Ok(()),
    }
}

async fn find_message(
    tx: &mut dyn TenantTx,
    conversation: &Conversation,
    id: MessageId,
) -> Result<Message, RuntimeError> {
    let message = tx.messages().get(id).await?.filter(|message| message.conversation_id == conversation.id);
    message.ok_or(RuntimeError::NotFound { target: "the message" })
}

fn user_message(id: MessageId, question: &str, classification: Classification) -> NewMessage {
    NewMessage {
        id,
        role: MessageRole::User,
        content: question.to_owned(),
        status: MessageStatus::Complete,
        token_count: None,
        classification,
    }
}

/// The empty message in which the answer will be stored.
fn empty_answer(id: MessageId) -> NewMessage {
    NewMessage {
        id,
        role: MessageRole::Assistant,
        content: String::new(),
        status: MessageStatus::Streaming,
        token_count: None,
        classification: Classification::Public,
    }
}
