//! Memories: facts about a user that later prompts contain. A memory is active only if its user created it, or accepted
//! one that a chat turn suggested.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{CreateMemory, DeleteMemory, ListMemories, UpdateMemory};
use domain::ids::MemoryId;
use domain::memory::Memory;
use domain::page::Page;
use domain::ports::{Clock, IdGen, Store};
use domain::text::ShortText;
use std::sync::Arc;

/// Use cases for memories.
pub struct MemoryService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl MemoryService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGen>) -> Self {
        Self { store, clock, ids }
    }
}

#[async_trait]
impl UseCase<ListMemories> for MemoryService {
    async fn execute(&self, command: Authorized<ListMemories>) -> Result<Page<Memory>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let ListMemories { status, page } = command.command();
        let page = tx.memories().list(*status, command.permit().clearance(), page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<CreateMemory> for MemoryService {
    async fn execute(&self, command: Authorized<CreateMemory>) -> Result<Memory, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let (permit, command) = command.into_parts();
        let id = MemoryId::from_uuid(self.ids.uuid());
        let classification = permit.rights().own_message_classification();
        let memory = Memory {
            importance: command.importance,
            tags: command.tags.into_iter().map(ShortText::into_string).collect(),
            expires_at: command.expires_at,
            ..Memory::explicit(id, command.content.into_string(), classification, self.clock.now())
        };
        tx.memories().insert(&memory).await?;
        tx.defer_commit();
        Ok(memory)
    }
}

#[async_trait]
impl UseCase<UpdateMemory> for MemoryService {
    async fn execute(&self, command: Authorized<UpdateMemory>) -> Result<Change<Memory>, RuntimeError> {
        const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the memory" };
        let mut tx = command.begin(&*self.store).await?;
        let (clearance, UpdateMemory { id, patch }) = (command.permit().clearance(), command.command());
        let before = tx.memories().get(*id).await?.filter(|memory| memory.classification <= clearance);
        let before = before.ok_or(NOT_FOUND)?;
        let after = tx.memories().update(*id, patch, self.clock.now()).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<DeleteMemory> for MemoryService {
    async fn execute(&self, command: Authorized<DeleteMemory>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        if !tx.memories().delete(command.command().id).await? {
            return Err(RuntimeError::NotFound { target: "the memory" });
        }
        tx.defer_commit();
        Ok(())
    }
}
