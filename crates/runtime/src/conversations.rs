//! The caller's own conversations, with their messages.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use crate::withheld::{withhold, withhold_team_answers, withhold_title};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::authorized::{Authorized, Permit};
use domain::command::{
    Branches, CreateConversation, DeleteConversation, ExportConversation, GetConversation, ListConversations,
    UpdateConversation,
};
use domain::conversation::{Citation, Conversation, Message, Transcript};
use domain::ids::{ChunkId, ConversationId};
use domain::page::Page;
use domain::ports::{Clock, IdGen, Store, TenantTx};
use domain::role::Classification;
use domain::text::Title;
use std::collections::HashSet;
use std::sync::Arc;

/// Age after which an unfinished answer counts as abandoned, because the process that wrote it has died.
pub const ABANDONED_AFTER: TimeDelta = TimeDelta::minutes(15);
/// Maximum number of messages that are returned with a conversation. The newest ones are kept.
const MAX_MESSAGES: u32 = 2_000;

/// Use cases for conversations.
pub struct ConversationService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl ConversationService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGen>) -> Self {
        Self { store, clock, ids }
    }
}

const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the conversation" };

#[async_trait]
impl UseCase<CreateConversation> for ConversationService {
    async fn execute(&self, command: Authorized<CreateConversation>) -> Result<Conversation, RuntimeError> {
        let user_id = command.scope().user().ok_or(NOT_FOUND)?;
        let team_id = command.scope().team();
        let mut tx = command.begin(&*self.store).await?;
        let (_, command) = command.into_parts();
        let now = self.clock.now();
        let conversation = Conversation {
            id: ConversationId::from_uuid(self.ids.uuid()),
            user_id,
            title: command.title.map(Title::into_string),
            model: command.model,
            metadata: command.metadata,
            classification: Classification::Public,
            archived: false,
            active_message_id: None,
            is_busy: false,
            team_id,
            created_at: now,
            updated_at: now,
        };
        tx.conversations().insert(&conversation).await?;
        tx.defer_commit();
        Ok(conversation)
    }
}

#[async_trait]
impl UseCase<ListConversations> for ConversationService {
    async fn execute(&self, command: Authorized<ListConversations>) -> Result<Page<Conversation>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let ListConversations { filter, page, .. } = command.command();
        let page = tx.conversations().list(filter, command.permit().clearance(), page).await?;
        tx.defer_commit();
        let items = page.items.into_iter().map(|found| withhold_title(command.permit(), found)).collect();
        Ok(Page { items, ..page })
    }
}

#[async_trait]
impl UseCase<GetConversation> for ConversationService {
    async fn execute(&self, command: Authorized<GetConversation>) -> Result<Transcript, RuntimeError> {
        let GetConversation { id, branches } = *command.command();
        let mut tx = command.begin(&*self.store).await?;
        let transcript = self.read_transcript(&mut *tx, command.permit(), id, branches).await?;
        tx.defer_commit();
        Ok(transcript)
    }
}

#[async_trait]
impl UseCase<ExportConversation> for ConversationService {
    async fn execute(&self, command: Authorized<ExportConversation>) -> Result<Transcript, RuntimeError> {
        let ExportConversation { id, branches } = *command.command();
        let mut tx = command.begin(&*self.store).await?;
        let transcript = self.read_transcript(&mut *tx, command.permit(), id, branches).await?;
        tx.defer_commit();
        Ok(transcript)
    }
}

impl ConversationService {
    /// Reads a conversation without the answers and citations that its reader may no longer see.
    async fn read_transcript(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        id: ConversationId,
        branches: Branches,
    ) -> Result<Transcript, RuntimeError> {
        let conversation = tx.conversations().get(id).await?.ok_or(NOT_FOUND)?;
        tx.messages().fail_abandoned_answers(self.clock.now() - ABANDONED_AFTER).await?;
        let mut messages = match (branches, conversation.active_message_id) {
            (Branches::All, _) => tx.messages().newest(id, MAX_MESSAGES).await?,
            (Branches::Active, Some(last)) => tx.messages().branch(id, last, MAX_MESSAGES).await?,
            (Branches::Active, None) => Vec::new(),
        };
        withhold(tx, &mut messages, permit).await?;
        let in_teams = withhold_team_answers(&*self.store, tx, permit, &mut messages).await?;
        retain_visible_citations(tx, &mut messages, permit.clearance(), in_teams).await?;
        Ok(Transcript { conversation: withhold_title(permit, conversation), messages })
    }
}

#[async_trait]
impl UseCase<UpdateConversation> for ConversationService {
    async fn execute(&self, command: Authorized<UpdateConversation>) -> Result<Conversation, RuntimeError> {
        let UpdateConversation { id, patch } = command.command();
        let mut tx = command.begin(&*self.store).await?;
        if let Some(last) = patch.active_message_id {
            let message = tx.messages().get(last).await?.filter(|message| message.conversation_id == *id);
            message.ok_or(RuntimeError::NotFound { target: "the message" })?;
        }
        let updated = tx.conversations().update(*id, patch, self.clock.now()).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(withhold_title(command.permit(), updated))
    }
}

#[async_trait]
impl UseCase<DeleteConversation> for ConversationService {
    async fn execute(&self, command: Authorized<DeleteConversation>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        if !tx.conversations().delete(command.command().id).await? {
            return Err(NOT_FOUND);
        }
        tx.defer_commit();
        Ok(())
    }
}

/// Removes citations whose passage no longer exists or is not within the reader's clearance, and readings above it:
/// since the answer was written, a role may have been lowered, or a document reclassified or deleted. Passages in
/// `visible` are in teams that the reader belongs to.
async fn retain_visible_citations(
    tx: &mut dyn TenantTx,
    messages: &mut [Message],
    clearance: Classification,
    mut visible: HashSet<ChunkId>,
) -> Result<(), RuntimeError> {
    let documents = messages.iter().flat_map(|message| message.citations.iter().filter_map(Citation::document));
    let cited: Vec<ChunkId> = documents.map(|citation| citation.chunk_id).collect();
    if !cited.is_empty() {
        let passages = tx.chunks().get_by_ids(&cited, clearance).await?;
        visible.extend(passages.into_iter().map(|passage| passage.chunk_id));
    }
    for message in messages {
        message.citations.retain(|citation| match citation {
            Citation::Document(citation) => visible.contains(&citation.chunk_id),
            Citation::Reading(citation) => citation.classification <= clearance,
        });
    }
    Ok(())
}
