//! The in-memory repositories of conversations and messages.

use super::{InMemoryTx, Row, State, constraint_error, page_of};
use async_trait::async_trait;
use domain::conversation::{
    BranchSummary, Conversation, ConversationFilter, ConversationPatch, FinishedAnswer, Message, MessageAuthor,
    MessageRole, MessageStatus, NewMessage, Sources,
};
use domain::ids::{ConversationId, DocumentId, MessageId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ConversationRepo, MessageRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::iter;

#[async_trait]
impl ConversationRepo for InMemoryTx {
    async fn insert(&mut self, conversation: &Conversation) -> Result<(), StoreError> {
        let (tenant, user) = (self.space(), self.owner());
        if self.scope.user() != Some(conversation.user_id) {
            return Err(constraint_error("storing a conversation", "it does not belong to the acting user"));
        }
        self.write().await?.conversations.push(Row { tenant, user, value: conversation.clone() });
        Ok(())
    }

    async fn get(&mut self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let is_owned = self.owner_filter();
        Ok(self.read(|s| {
            let mut conversations = s.conversations.iter();
            conversations.find(|r| is_owned(r) && r.value.id == id).map(|r| with_busy_flag(s, &r.value))
        }))
    }

    async fn list(
        &mut self,
        filter: &ConversationFilter,
        clearance: Classification,
        page: &PageRequest,
    ) -> Result<Page<Conversation>, StoreError> {
        let is_owned = self.owner_filter();
        let reader = Reader { user: self.scope.user(), clearance };
        let rows = self.read(|s| {
            let matching = s.conversations.iter().filter(|r| is_owned(r) && matches_filter(s, r, filter, reader));
            matching.map(|r| with_busy_flag(s, &r.value)).collect()
        });
        Ok(page_of(rows, page, |row: &Conversation| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn update(
        &mut self,
        id: ConversationId,
        patch: &ConversationPatch,
        now: Timestamp,
    ) -> Result<Option<Conversation>, StoreError> {
        let is_owned = self.owner_filter();
        let state = self.write().await?;
        let is_message_here =
            |message: MessageId| state.messages.iter().any(|r| r.value.id == message && r.value.conversation_id == id);
        if patch.active_message_id.is_some_and(|message| !is_message_here(message)) {
            return Err(MISSING_REFERENCE);
        }
        let Some(row) = state.conversations.iter_mut().find(|r| is_owned(r) && r.value.id == id) else {
            return Ok(None);
        };
        let conversation = &mut row.value;
        conversation.title = patch.title.clone().or(conversation.title.take());
        conversation.model = patch.model.or(conversation.model);
        conversation.metadata = patch.metadata.clone().unwrap_or_else(|| conversation.metadata.take());
        conversation.archived = patch.archived.unwrap_or(conversation.archived);
        conversation.active_message_id = patch.active_message_id.or(conversation.active_message_id);
        conversation.updated_at = now;
        let updated = conversation.clone();
        Ok(Some(with_busy_flag(state, &updated)))
    }

    async fn set_first_title(&mut self, id: ConversationId, title: &str) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let mut conversations = self.write().await?.conversations.iter_mut();
        let untitled = conversations.find(|r| is_owned(r) && r.value.id == id && r.value.title.is_none());
        Ok(untitled.map(|row| row.value.title = Some(title.to_owned())).is_some())
    }

    async fn delete(&mut self, id: ConversationId) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let state = self.write().await?;
        let count_before = state.conversations.len();
        state.conversations.retain(|r| !(is_owned(r) && r.value.id == id));
        let is_deleted = state.conversations.len() < count_before;
        if is_deleted {
            state.messages.retain(|r| r.value.conversation_id != id);
            let State { messages, feedback, .. } = state;
            feedback.retain(|r| messages.iter().any(|message| message.value.id == r.value.message_id));
        }
        Ok(is_deleted)
    }
}

#[async_trait]
impl MessageRepo for InMemoryTx {
    async fn append(
        &mut self,
        conversation: ConversationId,
        parent: Option<MessageId>,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        let (is_owned, tenant, user) = (self.owner_filter(), self.space(), self.owner());
        let author = self.scope.team().and(self.scope.user());
        let state = self.write().await?;
        let author = author.map(|id| MessageAuthor { id, name: state.display_name(id) });
        let row = state.conversations.iter_mut().find(|r| is_owned(r) && r.value.id == conversation);
        let (Some(row), Some(last)) = (row, messages.last()) else { return Ok(None) };
        let existing = || state.messages.iter().filter(|r| r.value.conversation_id == conversation);
        if parent.is_some_and(|parent| !existing().any(|r| r.value.id == parent)) {
            return Err(MISSING_REFERENCE);
        }
        let is_streaming = messages.iter().any(|message| message.status == MessageStatus::Streaming);
        if is_streaming && existing().any(|r| r.value.status == MessageStatus::Streaming) {
            return Err(StoreError::Conflict { reason: "An answer is already being written in this conversation." });
        }
        row.value.updated_at = row.value.updated_at.max(now);
        row.value.active_message_id = Some(last.id);
        let next_seq = existing().map(|r| r.value.seq).max().unwrap_or(0) + 1;
        let parents = iter::once(parent).chain(messages.iter().map(|message| Some(message.id)));
        let appended: Vec<Message> = (next_seq..)
            .zip(messages)
            .zip(parents)
            .map(|((seq, new), parent_id)| {
                let author = author.clone().filter(|_| new.role == MessageRole::User);
                Message { parent_id, author, ..to_message(conversation, seq, new, now) }
            })
            .collect();
        state.messages.extend(appended.iter().map(|m| Row { tenant, user, value: m.clone() }));
        Ok(Some(appended))
    }

    async fn finish(&mut self, id: MessageId, answer: &FinishedAnswer) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let state = self.write().await?;
        // An answer that was taken for abandoned may still be finished by its process.
        let is_abandoned = state.abandoned_answers.remove(&id);
        let is_open = |r: &Row<Message>| is_abandoned || r.value.status == MessageStatus::Streaming;
        let mut messages = state.messages.iter_mut();
        let open_answer = messages.find(|r| is_owned(r) && r.value.id == id && is_open(r));
        let Some(row) = open_answer else { return Ok(false) };
        let FinishedAnswer { content, status, token_count, citations, model, classification, sources, metadata } =
            answer.clone();
        let degraded = metadata["degraded"] == true;
        let unsupported_statements = serde_json::from_value(metadata["unsupported"].clone()).unwrap_or_default();
        let source_teams = serde_json::from_value(metadata["teams"].clone()).unwrap_or_default();
        row.value = Message {
            content,
            status,
            token_count,
            citations,
            model,
            classification,
            sources,
            degraded,
            unsupported_statements,
            source_teams,
            ..row.value.clone()
        };
        let conversation_id = row.value.conversation_id;
        for conversation in state.conversations.iter_mut().filter(|r| r.value.id == conversation_id) {
            conversation.value.classification = conversation.value.classification.max(classification);
        }
        Ok(true)
    }

    async fn get(&mut self, id: MessageId) -> Result<Option<Message>, StoreError> {
        let is_owned = self.owner_filter();
        Ok(self.read(|s| s.messages.iter().find(|r| is_owned(r) && r.value.id == id).map(|r| r.value.clone())))
    }

    async fn branch(
        &mut self,
        conversation: ConversationId,
        last: MessageId,
        limit: u32,
    ) -> Result<Vec<Message>, StoreError> {
        let is_owned = self.owner_filter();
        let mut branch: Vec<Message> = self.read(|s| {
            let find = |id| {
                let mut messages = s.messages.iter().filter(|r| is_owned(r)).map(|r| &r.value);
                messages.find(|message| message.id == id && message.conversation_id == conversation)
            };
            let earlier = iter::successors(find(last), |message| message.parent_id.and_then(find));
            earlier.take(limit as usize).cloned().collect()
        });
        branch.reverse();
        Ok(branch)
    }

    async fn summarize(&mut self, last: MessageId, summary: &BranchSummary) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let state = self.write().await?;
        let Some(row) = state.messages.iter_mut().find(|r| is_owned(r) && r.value.id == last) else {
            return Ok(false);
        };
        row.value.summary = Some(summary.clone());
        Ok(true)
    }

    async fn newest(&mut self, conversation: ConversationId, limit: u32) -> Result<Vec<Message>, StoreError> {
        let is_owned = self.owner_filter();
        let mut found: Vec<Message> = self.read(|s| {
            let messages = s.messages.iter().filter(|r| is_owned(r) && r.value.conversation_id == conversation);
            messages.map(|r| r.value.clone()).collect()
        });
        found.sort_by_key(|message| message.seq);
        found.drain(..found.len().saturating_sub(limit as usize));
        Ok(found)
    }

    async fn fail_abandoned_answers(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let is_owned = self.owner_filter();
        let mut failed_count = 0;
        let State { messages, abandoned_answers, .. } = self.write().await?;
        for row in messages.iter_mut().filter(|r| is_owned(r)) {
            if row.value.status == MessageStatus::Streaming && row.value.created_at < before {
                row.value.status = MessageStatus::Error;
                abandoned_answers.insert(row.value.id);
                failed_count += 1;
            }
        }
        Ok(failed_count)
    }
}

const MISSING_REFERENCE: StoreError = StoreError::Conflict { reason: "A referenced object does not exist." };

/// The conversation with `is_busy`, which the database computes when it reads the row.
fn with_busy_flag(state: &State, conversation: &Conversation) -> Conversation {
    let mut messages = state.messages.iter().map(|row| &row.value);
    let is_busy = messages.any(|m| m.conversation_id == conversation.id && m.status == MessageStatus::Streaming);
    Conversation { is_busy, ..conversation.clone() }
}

/// Who lists conversations.
#[derive(Clone, Copy)]
struct Reader {
    user: Option<UserId>,
    clearance: Classification,
}

fn matches_filter(state: &State, row: &Row<Conversation>, filter: &ConversationFilter, reader: Reader) -> bool {
    let ConversationFilter { archived, text } = filter;
    if archived.is_some_and(|archived| row.value.archived != archived) {
        return false;
    }
    let Some(text) = text.as_ref().map(|text| text.to_lowercase()) else { return true };
    let contains = |content: &str| content.to_lowercase().contains(&text);
    let title_classification = row.value.classification.max(Classification::Internal);
    let shows_title = row.value.team_id.is_none()
        || reader.user == Some(row.value.user_id)
        || title_classification <= reader.clearance;
    shows_title && row.value.title.as_deref().is_some_and(contains)
        || state.messages.iter().map(|r| &r.value).any(|message| {
            message.conversation_id == row.value.id
                && contains(&message.content)
                && is_visible(state, row, message, reader)
        })
}

/// Whether a message is the reader's own, or within the reader's clearance.
fn is_visible(state: &State, row: &Row<Conversation>, message: &Message, reader: Reader) -> bool {
    let documents = state.documents.iter().filter(|d| d.tenant == row.tenant);
    let mut classifications: BTreeMap<DocumentId, Classification> =
        documents.map(|d| (d.value.id, d.value.classification)).collect();
    classifications.extend(state.deleted_documents.iter().filter(|d| d.0 == row.tenant).map(|d| (d.1, d.2)));
    let is_own = row.value.team_id.is_none() || message.author.as_ref().map(|author| author.id) == reader.user;
    message.role == MessageRole::User && is_own
        || message.source_teams.is_empty()
            && message.classification.max(message.sources.current_classification(&classifications)) <= reader.clearance
}

fn to_message(conversation_id: ConversationId, seq: i64, new: &NewMessage, now: Timestamp) -> Message {
    Message {
        id: new.id,
        conversation_id,
        parent_id: None,
        seq,
        role: new.role,
        content: new.content.clone(),
        status: new.status,
        token_count: new.token_count,
        citations: Vec::new(),
        model: None,
        classification: new.classification,
        sources: Sources::default(),
        withheld: false,
        degraded: false,
        summary: None,
        author: None,
        source_teams: Vec::new(),
        unsupported_statements: Vec::new(),
        created_at: now,
    }
}
