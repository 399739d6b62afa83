//! Port to the stored events of runs, which all processes share.

use crate::conversation::Sources;
use crate::ids::{ConversationId, MessageId, RunId, UserId};
use crate::role::Classification;
use crate::run::NumberedEvent;
use crate::scope::TenantScope;
use crate::store_error::StoreError;
use async_trait::async_trait;

/// Consecutive events of a run, written at once.
#[derive(Clone, PartialEq, Debug)]
pub struct RunEventBatch {
    /// Id of the run that the events belong to.
    pub run: RunId,
    /// Conversation of the run.
    pub conversation: ConversationId,
    /// Message of the answer.
    pub message: MessageId,
    /// The events; at least one.
    pub events: Vec<NumberedEvent>,
    /// Classification of the answer up to the last of these events.
    pub classification: Classification,
    /// Documents that the answer is based on up to the last of these events.
    pub sources: Sources,
}

/// The stored state of a run.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredRun {
    /// Classification of the answer up to the newest stored event.
    pub classification: Classification,
    /// Documents that the answer is based on up to the newest stored event.
    pub sources: Sources,
    /// The user who started the run.
    pub started_by: UserId,
    /// Number of the newest stored event.
    pub last_seq: u64,
    /// Whether the run has ended.
    pub has_ended: bool,
}

/// A notification between processes about a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunSignal {
    /// Events were stored, or the conversation was deleted.
    EventsStored(RunId),
    /// A client is reading the run through another process.
    ReaderActive(RunId),
    /// The user cancels the run.
    Cancel(RunId),
}

/// The events of runs, shared by all processes. Rows belong to the user in the scope.
#[async_trait]
pub trait RunEventStore: Send + Sync {
    /// Stores events. They may be lost if the database crashes right afterwards.
    ///
    /// # Errors
    /// `Conflict` if the conversation no longer exists or the events are already stored; or if the database fails.
    async fn append(&self, scope: &TenantScope, batch: &RunEventBatch) -> Result<(), StoreError>;

    /// Finds a run of the scope's user; `None` if none of its events are stored.
    ///
    /// # Errors
    /// If the database fails.
    async fn find(&self, scope: &TenantScope, run: RunId) -> Result<Option<StoredRun>, StoreError>;

    /// Reads the stored events after number `after`, in order.
    ///
    /// # Errors
    /// If the database fails.
    async fn read(&self, scope: &TenantScope, run: RunId, after: u64) -> Result<Vec<NumberedEvent>, StoreError>;

    /// Sends a signal to all processes, this one included. It may be lost.
    ///
    /// # Errors
    /// If the database fails.
    async fn send(&self, signal: RunSignal) -> Result<(), StoreError>;

    /// Waits for the next signal; `None` if some may have been lost, for instance with the connection.
    ///
    /// # Errors
    /// If the database fails.
    async fn next_signal(&self) -> Result<Option<RunSignal>, StoreError>;

    /// Closes the connection that [`Self::next_signal`] keeps open between calls. The next call opens a new one.
    fn stop_listening(&self);
}
