//! The start of a turn, in one transaction: what was said is stored before the model is called.

use super::ChatService;
use crate::conversations::ABANDONED_AFTER;
use crate::error::RuntimeError;
use domain::authorized::{Authorized, Permit};
use domain::command::{RetrievalMode, SendMessage};
use domain::conversation::{Message, MessageRole, MessageStatus, NewMessage};
use domain::ids::{ConversationId, MessageId, RunId};
use domain::memory::Memory;
use domain::model::ModelTier;
use domain::ports::{StoreError, TenantTx};
use domain::role::Classification;
use domain::search::SearchFilters;
use std::collections::BTreeSet;

/// Most earlier messages that are looked at; the token budget decides which go into the prompt.
const HISTORY: u32 = 100;
/// Most memories that go into a prompt.
const MEMORIES: u32 = 10;

/// A turn that is ready to be answered.
pub(super) struct Turn {
    pub permit: Permit,
    pub run_id: RunId,
    pub conversation: ConversationId,
    pub answer_id: MessageId,
    pub tenant_name: String,
    pub tier: ModelTier,
    pub question: String,
    pub retrieval: RetrievalMode,
    pub filters: SearchFilters,
    pub history: Vec<Message>,
    pub memories: Vec<Memory>,
    /// The highest classification of what the earlier answers rest on.
    pub classification: Classification,
}

impl ChatService {
    /// Loads history and memories, stores the user's message and the place of the answer.
    pub(super) async fn prepare(&self, command: Authorized<SendMessage>) -> Result<Turn, RuntimeError> {
        let (permit, command) = command.into_parts();
        let gone = || RuntimeError::NotFound { what: "the conversation" };
        let tenant = self.parts.directory.tenant(&permit.scope().tenant().to_string()).await?;
        let now = self.parts.clock.now();
        let answer_id = MessageId::from_uuid(self.parts.ids.uuid());
        let question = command.message.into_string();

        let mut tx = self.parts.store.begin(permit.scope()).await?;
        let conversation = tx.conversations().get(command.conversation).await?.ok_or_else(gone)?;
        tx.messages().close_abandoned(now - ABANDONED_AFTER).await?;
        let history = tx.messages().newest(conversation.id, HISTORY).await?;
        let memories = tx.memories().most_important(now, MEMORIES).await?;
        let classification = classification_of(&mut *tx, &history).await?;
        let said = [
            NewMessage {
                id: MessageId::from_uuid(self.parts.ids.uuid()),
                role: MessageRole::User,
                content: question.clone(),
                status: MessageStatus::Complete,
                token_count: None,
            },
            NewMessage {
                id: answer_id,
                role: MessageRole::Assistant,
                content: String::new(),
                status: MessageStatus::Streaming,
                token_count: None,
            },
        ];
        tx.messages().append(conversation.id, &said, now).await?.ok_or_else(gone)?;
        tx.commit().await?;

        Ok(Turn {
            permit,
            run_id: RunId::from_uuid(self.parts.ids.uuid()),
            conversation: conversation.id,
            answer_id,
            tenant_name: tenant.map(|tenant| tenant.name).unwrap_or_default(),
            tier: command.model.or(conversation.model).unwrap_or(ModelTier::Fast),
            question,
            retrieval: command.retrieval,
            filters: command.filters,
            history,
            memories,
            classification,
        })
    }
}

/// Earlier answers go to the model again, so what they were taken from counts. A document that is gone may have been
/// anything.
async fn classification_of(tx: &mut dyn TenantTx, history: &[Message]) -> Result<Classification, StoreError> {
    let cited: BTreeSet<_> = history.iter().flat_map(|message| &message.citations).map(|c| c.document_id).collect();
    let mut highest = Classification::Internal;
    for id in cited {
        let document = tx.documents().get(id, Classification::Restricted).await?;
        highest = highest.max(document.map_or(Classification::Restricted, |document| document.classification));
    }
    Ok(highest)
}
