//! The in-memory repository of channels and of the messages to them.

use super::{InMemoryTx, Row, State, page_of};
use async_trait::async_trait;
use domain::channel::{Channel, ChannelKind, Delivery, DeliveryAttempt, DeliveryStatus};
use domain::ids::{ChannelId, TenantId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ChannelRepo, StoreError};
use domain::time::Timestamp;

impl State {
    /// Whether a worker has messages of the tenant to send.
    pub(super) fn has_due_deliveries(&self, tenant: TenantId, now: Timestamp) -> bool {
        self.deliveries.iter().any(|row| row.tenant == tenant && is_due(&row.value, now))
    }

    fn name_is_taken(&self, tenant: TenantId, channel: &Channel) -> bool {
        let is_taken =
            |row: &Row<Channel>| row.tenant == tenant && row.value.name == channel.name && row.value.id != channel.id;
        self.channels.iter().any(is_taken)
    }
}

pub(super) fn is_due(delivery: &Delivery, now: Timestamp) -> bool {
    delivery.next_attempt_at.is_some_and(|due| due <= now)
}

const NAME_TAKEN: StoreError = StoreError::Conflict { reason: "A channel with this name already exists." };

#[async_trait]
impl ChannelRepo for InMemoryTx {
    async fn insert(&mut self, channel: &Channel, _by: Option<UserId>) -> Result<(), StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        if state.name_is_taken(tenant, channel) {
            return Err(NAME_TAKEN);
        }
        state.channels.push(Row { tenant, user: None, value: channel.clone() });
        Ok(())
    }

    async fn get(&mut self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        let in_tenant = self.tenant_filter();
        let find = |s: &State| s.channels.iter().find(|r| in_tenant(r) && r.value.id == id).map(|r| r.value.clone());
        Ok(self.read(find))
    }

    async fn lock(&mut self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        self.write().await?;
        ChannelRepo::get(self, id).await
    }

    async fn hold(&mut self, id: ChannelId) -> Result<bool, StoreError> {
        Ok(ChannelRepo::get(self, id).await?.is_some())
    }

    async fn list(&mut self, page: &PageRequest) -> Result<Page<Channel>, StoreError> {
        let in_tenant = self.tenant_filter();
        let rows = self.read(|s| s.channels.iter().filter(|r| in_tenant(r)).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &Channel| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn oldest_of_kind(&mut self, kind: ChannelKind) -> Result<Option<Channel>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<Channel>| in_tenant(row) && row.value.kind() == kind;
        let age = |row: &&Row<Channel>| (row.value.created_at, row.value.id.as_uuid());
        Ok(self.read(|s| s.channels.iter().filter(is_wanted).min_by_key(age).map(|row| row.value.clone())))
    }

    async fn count(&mut self) -> Result<u64, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|s| s.channels.iter().filter(|row| in_tenant(row)).count() as u64))
    }

    async fn update(&mut self, channel: &Channel) -> Result<bool, StoreError> {
        let (tenant, in_tenant) = (self.tenant(), self.tenant_filter());
        let state = self.write().await?;
        if state.name_is_taken(tenant, channel) {
            return Err(NAME_TAKEN);
        }
        let row = state.channels.iter_mut().find(|row| in_tenant(row) && row.value.id == channel.id);
        Ok(row.map(|row| row.value = channel.clone()).is_some())
    }

    async fn delete(&mut self, id: ChannelId) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        let count_before = state.channels.len();
        state.channels.retain(|row| !(row.tenant == tenant && row.value.id == id));
        state.deliveries.retain(|row| !(row.tenant == tenant && row.value.channel == id));
        for policy in state.approval_policies.iter_mut().filter(|row| row.tenant == tenant) {
            policy.value.terms.channels.retain(|channel| *channel != id);
        }
        Ok(state.channels.len() < count_before)
    }

    async fn insert_delivery(&mut self, delivery: &Delivery) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let state = self.write().await?;
        let exists = state.channels.iter().any(|row| row.tenant == tenant && row.value.id == delivery.channel);
        if exists {
            state.deliveries.push(Row { tenant, user: None, value: delivery.clone() });
        }
        Ok(exists)
    }

    async fn deliveries(&mut self, channel: ChannelId, page: &PageRequest) -> Result<Page<Delivery>, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_wanted = |row: &&Row<Delivery>| in_tenant(row) && row.value.channel == channel;
        let rows = self.read(|s| s.deliveries.iter().filter(is_wanted).map(|r| r.value.clone()).collect());
        Ok(page_of(rows, page, |row: &Delivery| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn claim_deliveries(
        &mut self,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        let tenant = self.tenant();
        let rows = self.write().await?.deliveries.iter_mut();
        let mut due: Vec<_> = rows.filter(|row| row.tenant == tenant && is_due(&row.value, now)).collect();
        due.sort_by_key(|row| (row.value.next_attempt_at, row.value.id));
        due.truncate(limit as usize);
        let claim = |row: &mut Row<Delivery>| {
            row.value.attempts += 1;
            row.value.next_attempt_at = Some(lease_until);
            row.value.clone()
        };
        Ok(due.into_iter().map(claim).collect())
    }

    async fn has_due_deliveries(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        Ok(self.read(|s| s.has_due_deliveries(tenant, now)))
    }

    async fn record_attempt(&mut self, attempt: &DeliveryAttempt, now: Timestamp) -> Result<bool, StoreError> {
        let tenant = self.tenant();
        let rows = &mut self.write().await?.deliveries;
        let is_current = |row: &&mut Row<Delivery>| {
            let delivery = &row.value;
            row.tenant == tenant
                && delivery.id == attempt.delivery
                && delivery.attempts == attempt.number
                && delivery.status == DeliveryStatus::Pending
        };
        let Some(row) = rows.iter_mut().find(is_current) else { return Ok(false) };
        row.value.status = attempt.status;
        row.value.last_error.clone_from(&attempt.error);
        row.value.next_attempt_at = attempt.next_attempt_at;
        row.value.finished_at = (attempt.status != DeliveryStatus::Pending).then_some(now);
        Ok(true)
    }

    async fn prune_deliveries(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let tenant = self.tenant();
        let rows = &mut self.write().await?.deliveries;
        let count_before = rows.len();
        rows.retain(|row| row.tenant != tenant || row.value.finished_at.is_none_or(|finished| finished >= before));
        Ok((count_before - rows.len()) as u64)
    }
}
