//! The in-memory repository of idempotency keys.

use super::{InMemoryTx, State, constraint_error};
use async_trait::async_trait;
use domain::idempotency::{IdempotencyRecord, StoredOutcome};
use domain::ids::{TenantId, UserId};
use domain::ports::{IdempotencyRepo, StoreError};
use domain::time::Timestamp;

/// Tenant, user and key hash.
pub(super) type Key = (TenantId, UserId, String);

/// The record of the request that claimed a key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    record: IdempotencyRecord,
    expires_at: Timestamp,
}

impl InMemoryTx {
    fn key(&self, key_hash: &str) -> Result<Key, StoreError> {
        let no_user = || constraint_error("claiming an idempotency key", "there is no user");
        let user = self.scope.user().ok_or_else(no_user)?;
        Ok((self.tenant(), user, key_hash.to_owned()))
    }
}

impl State {
    /// Removes expired keys; returns how many.
    pub(super) fn remove_expired_idempotency_keys(&mut self, now: Timestamp) -> u64 {
        let count_before = self.idempotency.len();
        self.idempotency.retain(|_, entry| entry.expires_at > now);
        (count_before - self.idempotency.len()) as u64
    }
}

#[async_trait]
impl IdempotencyRepo for InMemoryTx {
    async fn claim(
        &mut self,
        key_hash: &str,
        fingerprint: Option<&str>,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, StoreError> {
        let key = self.key(key_hash)?;
        let state = self.write().await?;
        if let Some(entry) = state.idempotency.get(&key).filter(|entry| entry.expires_at > now) {
            return Ok(Some(entry.record.clone()));
        }
        let record = IdempotencyRecord { fingerprint: fingerprint.map(str::to_owned), outcome: None, claimed_at: now };
        state.idempotency.insert(key, Entry { record, expires_at });
        Ok(None)
    }

    async fn complete(&mut self, key_hash: &str, fingerprint: &str, outcome: &StoredOutcome) -> Result<(), StoreError> {
        let key = self.key(key_hash)?;
        if let Some(entry) = self.write().await?.idempotency.get_mut(&key) {
            entry.record.fingerprint = Some(fingerprint.to_owned());
            entry.record.outcome = Some(outcome.clone());
        }
        Ok(())
    }

    async fn release(&mut self, key_hash: &str) -> Result<(), StoreError> {
        let key = self.key(key_hash)?;
        let state = self.write().await?;
        if state.idempotency.get(&key).is_some_and(|entry| entry.record.outcome.is_none()) {
            state.idempotency.remove(&key);
        }
        Ok(())
    }
}
