//! Repository of channels and of the messages to them.

use crate::channel::{Channel, ChannelKind, Delivery, DeliveryAttempt};
use crate::ids::{ChannelId, UserId};
use crate::page::{Page, PageRequest};
use crate::store_error::StoreError;
use crate::time::Timestamp;
use async_trait::async_trait;

/// Channels of the tenant, and the outbox of messages to them.
#[async_trait]
pub trait ChannelRepo: Send {
    /// Inserts a channel.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken; or if the database is not available.
    async fn insert(&mut self, channel: &Channel, by: Option<UserId>) -> Result<(), StoreError>;
    /// Reads one row; `None` if it does not exist.
    async fn get(&mut self, id: ChannelId) -> Result<Option<Channel>, StoreError>;
    /// Like [`Self::get`], and locks the row until this transaction ends.
    async fn lock(&mut self, id: ChannelId) -> Result<Option<Channel>, StoreError>;
    /// Whether the channel exists. It cannot be deleted until this transaction ends.
    async fn hold(&mut self, id: ChannelId) -> Result<bool, StoreError>;
    /// Lists the channels, newest first.
    async fn list(&mut self, page: &PageRequest) -> Result<Page<Channel>, StoreError>;
    /// The oldest channel of this kind; `None` if there is none.
    async fn oldest_of_kind(&mut self, kind: ChannelKind) -> Result<Option<Channel>, StoreError>;
    /// Number of channels.
    async fn count(&mut self) -> Result<u64, StoreError>;
    /// Stores name, configuration, secrets and time of change; `false` if the channel does not exist.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if the name is taken; or if the database is not available.
    async fn update(&mut self, channel: &Channel) -> Result<bool, StoreError>;
    /// Deletes a channel with its messages, and takes it out of the approval policies, whose versions stay as they are;
    /// `false` if it does not exist.
    async fn delete(&mut self, id: ChannelId) -> Result<bool, StoreError>;
    /// Puts a message into the outbox; `false` if its channel does not exist.
    async fn insert_delivery(&mut self, delivery: &Delivery) -> Result<bool, StoreError>;
    /// Lists the messages to a channel that can be read, newest first.
    async fn deliveries(&mut self, channel: ChannelId, page: &PageRequest) -> Result<Page<Delivery>, StoreError>;
    /// Begins an attempt at up to `limit` due messages, the longest-waiting ones, and returns them. Others do not get
    /// them before `lease_until`. Skips those that another transaction is claiming. Leaves out those that this version
    /// of the platform cannot read, and ends them after three attempts.
    async fn claim_deliveries(
        &mut self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;
    /// Whether a message is due.
    async fn has_due_deliveries(&mut self, now: Timestamp) -> Result<bool, StoreError>;
    /// Records the result of an attempt; `false` if another attempt has begun since, or the channel was deleted.
    async fn record_attempt(&mut self, attempt: &DeliveryAttempt, now: Timestamp) -> Result<bool, StoreError>;
    /// Deletes messages that reached their final state before this moment; returns how many.
    async fn prune_deliveries(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}
