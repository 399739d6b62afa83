//! The in-memory repository of personal access tokens.

use super::{InMemoryTx, Row, page_of};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::access_token::{AccessToken, NewAccessToken};
use domain::ids::{AccessTokenId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AccessTokenRepo, StoreError};
use domain::time::Timestamp;

#[async_trait]
impl AccessTokenRepo for InMemoryTx {
    async fn insert(&mut self, token: &NewAccessToken, now: Timestamp) -> Result<AccessToken, StoreError> {
        let (in_tenant, tenant) = (self.tenant_filter(), self.tenant());
        let state = self.write().await?;
        if !state.users.iter().any(|r| in_tenant(r) && r.value.id == token.user_id) {
            return Err(StoreError::Conflict { reason: "A referenced object does not exist." });
        }
        let value = AccessToken {
            id: token.id,
            user_id: token.user_id,
            name: token.name.clone(),
            scopes: token.scopes.clone(),
            created_at: now,
            expires_at: token.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let row = Row { tenant, user: Some(token.user_id), value: value.clone() };
        state.access_tokens.insert(token.hash.clone(), row);
        Ok(value)
    }

    async fn get(&mut self, id: AccessTokenId) -> Result<Option<AccessToken>, StoreError> {
        let in_tenant = self.tenant_filter();
        Ok(self.read(|s| s.access_tokens.values().find(|r| in_tenant(r) && r.value.id == id).map(|r| r.value.clone())))
    }

    async fn list(&mut self, user: Option<UserId>, page: &PageRequest) -> Result<Page<AccessToken>, StoreError> {
        let in_tenant = self.tenant_filter();
        let of_user = |row: &Row<AccessToken>| user.is_none_or(|user| row.value.user_id == user);
        let rows = self.read(|s| {
            s.access_tokens.values().filter(|r| in_tenant(r) && of_user(r)).map(|r| r.value.clone()).collect()
        });
        Ok(page_of(rows, page, |row: &AccessToken| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn count_usable(&mut self, user: UserId, now: Timestamp) -> Result<u64, StoreError> {
        let in_tenant = self.tenant_filter();
        let is_usable = |row: &Row<AccessToken>| {
            row.value.user_id == user && row.value.revoked_at.is_none() && row.value.expires_at > now
        };
        Ok(self.read(|s| s.access_tokens.values().filter(|r| in_tenant(r) && is_usable(r)).count()) as u64)
    }

    async fn revoke(&mut self, id: AccessTokenId, now: Timestamp) -> Result<Option<AccessToken>, StoreError> {
        let in_tenant = self.tenant_filter();
        let state = self.write().await?;
        let row = state.access_tokens.values_mut().find(|r| in_tenant(r) && r.value.id == id);
        Ok(row.map(|row| {
            row.value.revoked_at.get_or_insert(now);
            row.value.clone()
        }))
    }

    async fn record_use(&mut self, id: AccessTokenId, now: Timestamp) -> Result<(), StoreError> {
        let in_tenant = self.tenant_filter();
        let state = self.write().await?;
        if let Some(row) = state.access_tokens.values_mut().find(|r| in_tenant(r) && r.value.id == id) {
            let is_recent = row.value.last_used_at.is_some_and(|at| at >= now - TimeDelta::minutes(1));
            row.value.last_used_at = if is_recent { row.value.last_used_at } else { Some(now) };
        }
        Ok(())
    }
}
