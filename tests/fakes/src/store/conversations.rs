//! In-memory repositories of conversations, messages and memories.

use super::{MemoryTx, Row, constraint_error, page_of};
use async_trait::async_trait;
use domain::conversation::{
    Conversation, ConversationPatch, FinishedAnswer, Message, MessageStatus, NewMessage, Sources,
};
use domain::ids::{ConversationId, MemoryId, MessageId};
use domain::memory::Memory;
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ConversationRepo, MemoryRepo, MessageRepo, StoreError};
use domain::role::Classification;
use domain::time::Timestamp;
use std::cmp::Reverse;

#[async_trait]
impl ConversationRepo for MemoryTx {
    async fn insert(&mut self, conversation: &Conversation) -> Result<(), StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        if user != Some(conversation.user_id) {
            return Err(constraint_error("storing a conversation", "it is not the acting user's"));
        }
        self.write().await?.conversations.push(Row { tenant, user, value: conversation.clone() });
        Ok(())
    }

    async fn get(&mut self, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
        let is_owned = self.owner_filter();
        let found =
            self.read(|s| s.conversations.iter().find(|r| is_owned(r) && r.value.id == id).map(|r| r.value.clone()));
        Ok(found)
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Conversation>, StoreError> {
        let is_owned = self.owner_filter();
        let rows = self.read(|s| s.conversations.iter().filter(|r| is_owned(r)).map(|r| r.value.clone()).collect());
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
        let Some(row) = state.conversations.iter_mut().find(|r| is_owned(r) && r.value.id == id) else {
            return Ok(None);
        };
        let conversation = &mut row.value;
        conversation.title = patch.title.clone().or(conversation.title.take());
        conversation.model = patch.model.or(conversation.model);
        conversation.metadata = patch.metadata.clone().unwrap_or_else(|| conversation.metadata.take());
        conversation.updated_at = now;
        Ok(Some(conversation.clone()))
    }

    async fn delete(&mut self, id: ConversationId) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let state = self.write().await?;
        let count_before = state.conversations.len();
        state.conversations.retain(|r| !(is_owned(r) && r.value.id == id));
        let is_deleted = state.conversations.len() < count_before;
        if is_deleted {
            state.messages.retain(|r| r.value.conversation_id != id);
        }
        Ok(is_deleted)
    }
}

#[async_trait]
impl MessageRepo for MemoryTx {
    async fn append(
        &mut self,
        conversation: ConversationId,
        messages: &[NewMessage],
        now: Timestamp,
    ) -> Result<Option<Vec<Message>>, StoreError> {
        let (is_owned, tenant, user) = (self.owner_filter(), self.tenant(), self.scope.user());
        let state = self.write().await?;
        let parent = state.conversations.iter_mut().find(|r| is_owned(r) && r.value.id == conversation);
        let Some(parent) = parent else { return Ok(None) };
        parent.value.updated_at = parent.value.updated_at.max(now);
        let existing = state.messages.iter().filter(|r| r.value.conversation_id == conversation);
        let next_seq = existing.map(|r| r.value.seq).max().unwrap_or(0) + 1;
        let appended: Vec<Message> =
            (next_seq..).zip(messages).map(|(seq, new)| to_message(conversation, seq, new, now)).collect();
        state.messages.extend(appended.iter().map(|m| Row { tenant, user, value: m.clone() }));
        Ok(Some(appended))
    }

    async fn finish(&mut self, id: MessageId, answer: &FinishedAnswer) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let state = self.write().await?;
        let mut messages = state.messages.iter_mut();
        let open_answer =
            messages.find(|r| is_owned(r) && r.value.id == id && r.value.status == MessageStatus::Streaming);
        let Some(row) = open_answer else { return Ok(false) };
        let FinishedAnswer { content, status, token_count, citations, model, classification, sources, metadata } =
            answer.clone();
        let degraded = metadata["degraded"] == true;
        row.value = Message {
            content,
            status,
            token_count,
            citations,
            model,
            classification,
            sources,
            degraded,
            ..row.value.clone()
        };
        let conversation_id = row.value.conversation_id;
        for conversation in state.conversations.iter_mut().filter(|r| r.value.id == conversation_id) {
            conversation.value.classification = conversation.value.classification.max(classification);
        }
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

    async fn fail_stale_answers(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let is_owned = self.owner_filter();
        let mut failed_count = 0;
        for row in self.write().await?.messages.iter_mut().filter(|r| is_owned(r)) {
            if row.value.status == MessageStatus::Streaming && row.value.created_at < before {
                row.value.status = MessageStatus::Error;
                failed_count += 1;
            }
        }
        Ok(failed_count)
    }
}

fn to_message(conversation_id: ConversationId, seq: i64, new: &NewMessage, now: Timestamp) -> Message {
    Message {
        id: new.id,
        conversation_id,
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
        created_at: now,
    }
}

#[async_trait]
impl MemoryRepo for MemoryTx {
    async fn insert(&mut self, memory: &Memory) -> Result<(), StoreError> {
        let (tenant, user) = (self.tenant(), self.scope.user());
        if user.is_none() {
            return Err(constraint_error("storing a memory", "it has no user"));
        }
        self.write().await?.memories.push(Row { tenant, user, value: memory.clone() });
        Ok(())
    }

    async fn get(&mut self, id: MemoryId) -> Result<Option<Memory>, StoreError> {
        let is_owned = self.owner_filter();
        Ok(self.read(|s| s.memories.iter().find(|r| is_owned(r) && r.value.id == id).map(|r| r.value.clone())))
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Memory>, StoreError> {
        let is_owned = self.owner_filter();
        let rows = self.read(|s| s.memories.iter().filter(|r| is_owned(r)).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &Memory| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn most_important(
        &mut self,
        _now: Timestamp,
        clearance: Classification,
        limit: u32,
    ) -> Result<Vec<Memory>, StoreError> {
        let is_owned = self.owner_filter();
        let is_visible = |r: &&Row<Memory>| is_owned(r) && r.value.classification <= clearance;
        let mut found: Vec<Memory> =
            self.read(|s| s.memories.iter().filter(is_visible).map(|r| r.value.clone()).collect());
        found.sort_by_key(|memory| Reverse((memory.created_at, memory.id)));
        found.sort_by(|a, b| b.importance.total_cmp(&a.importance));
        found.truncate(limit as usize);
        Ok(found)
    }

    async fn delete(&mut self, id: MemoryId) -> Result<bool, StoreError> {
        let is_owned = self.owner_filter();
        let memories = &mut self.write().await?.memories;
        let count_before = memories.len();
        memories.retain(|r| !(is_owned(r) && r.value.id == id));
        Ok(memories.len() < count_before)
    }
}
