//! Memories: facts that a user asked the platform to remember. They are created only by an explicit request of the
//! user.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{CreateMemory, DeleteMemory, ListMemories};
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
        let page = tx.memories().list(&command.command().page).await?;
        tx.finish();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<CreateMemory> for MemoryService {
    async fn execute(&self, command: Authorized<CreateMemory>) -> Result<Memory, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let (permit, command) = command.into_parts();
        let memory = Memory {
            id: MemoryId::from_uuid(self.ids.uuid()),
            content: command.content.into_string(),
            importance: command.importance,
            tags: command.tags.into_iter().map(ShortText::into_string).collect(),
            classification: permit.rights().own_message_class(),
            created_at: self.clock.now(),
        };
        tx.memories().insert(&memory).await?;
        tx.finish();
        Ok(memory)
    }
}

#[async_trait]
impl UseCase<DeleteMemory> for MemoryService {
    async fn execute(&self, command: Authorized<DeleteMemory>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        if !tx.memories().delete(command.command().id).await? {
            return Err(RuntimeError::NotFound { target: "the memory" });
        }
        tx.finish();
        Ok(())
    }
}
