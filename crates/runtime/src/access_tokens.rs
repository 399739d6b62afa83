//! Personal access tokens. Users issue, list and revoke their own; admins can list and revoke those of their tenant.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::access_token::{AccessToken, IssuedAccessToken, NewAccessToken};
use domain::authorized::Authorized;
use domain::command::{IssueAccessToken, ListAccessTokens, RevokeAccessToken};
use domain::ids::AccessTokenId;
use domain::page::Page;
use domain::ports::{Clock, IdGen, Store, TokenSecret, TokenSecrets};
use domain::upload::FieldError;
use std::sync::Arc;

/// Maximum number of tokens of one user that are neither expired nor revoked.
const MAX_TOKENS_PER_USER: u64 = 50;
/// Default lifetime of a token, in days. Capped by the maximum of the platform and of the tenant.
const DEFAULT_LIFETIME_DAYS: u32 = 90;

/// Use cases for personal access tokens.
pub struct AccessTokenService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    secrets: Arc<dyn TokenSecrets>,
    max_days: u32,
}

impl AccessTokenService {
    /// Creates the service. `max_days` is the platform's maximum lifetime of a token, in days.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGen>,
        secrets: Arc<dyn TokenSecrets>,
        max_days: u32,
    ) -> Self {
        Self { store, clock, ids, secrets, max_days }
    }

    /// Lifetime of a token in days; `tenant_max` is the maximum of the tenant, if it has one.
    fn lifetime_days(&self, requested: Option<u32>, tenant_max: Option<u32>) -> Result<u32, FieldError> {
        let max = tenant_max.map_or(self.max_days, |days| days.min(self.max_days));
        let days = requested.unwrap_or(DEFAULT_LIFETIME_DAYS.min(max));
        if (1..=max).contains(&days) {
            return Ok(days);
        }
        Err(FieldError { pointer: "/expires_in_days".to_owned(), detail: format!("must be from 1 to {max}") })
    }
}

#[async_trait]
impl UseCase<IssueAccessToken> for AccessTokenService {
    async fn execute(&self, command: Authorized<IssueAccessToken>) -> Result<IssuedAccessToken, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let (permit, IssueAccessToken { name, scopes, days }) = command.into_parts();
        let user_id = permit.scope().user().ok_or(RuntimeError::NotFound { target: "the user" })?;
        let now = self.clock.now();
        let id = AccessTokenId::from_uuid(self.ids.uuid());
        let member = tx.users().membership(user_id).await?.ok_or(RuntimeError::NotFound { target: "the user" })?;
        let days = self.lifetime_days(days, member.settings.access_token_max_days)?;
        let expires_at = now + TimeDelta::days(i64::from(days));
        if tx.access_tokens().count_usable(user_id, now).await? >= MAX_TOKENS_PER_USER {
            return Err(RuntimeError::Conflict { detail: "You already have 50 access tokens; revoke one first." });
        }
        let TokenSecret { secret, hash } = self.secrets.generate()?;
        let token = NewAccessToken { id, user_id, name: name.into_string(), hash, scopes, expires_at };
        let token = tx.access_tokens().insert(&token, now).await?;
        tx.defer_commit();
        Ok(IssuedAccessToken { token, secret })
    }
}

#[async_trait]
impl UseCase<ListAccessTokens> for AccessTokenService {
    async fn execute(&self, command: Authorized<ListAccessTokens>) -> Result<Page<AccessToken>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let (permit, ListAccessTokens { mut user, page }) = command.into_parts();
        if !permit.covers_tenant() {
            let caller = permit.scope().user();
            if user.is_some() && user != caller {
                tx.defer_commit();
                return Ok(Page { items: Vec::new(), next: None });
            }
            user = caller;
        }
        let page = tx.access_tokens().list(user, &page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<RevokeAccessToken> for AccessTokenService {
    async fn execute(&self, command: Authorized<RevokeAccessToken>) -> Result<(), RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let revoked = tx.access_tokens().revoke(command.command().id, self.clock.now()).await?;
        revoked.ok_or(RuntimeError::NotFound { target: "the access token" })?;
        tx.defer_commit();
        Ok(())
    }
}
