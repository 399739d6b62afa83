//! Personal access tokens: made by their users, seen and revoked by them and by their admins.

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

/// Most tokens of one user that can be used at a time.
const MOST_PER_USER: u64 = 50;
/// Days of a token that does not say how many, where the platform allows as many.
const USUAL_DAYS: u32 = 90;

/// The access tokens use case over the store.
pub struct AccessTokenService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    secrets: Arc<dyn TokenSecrets>,
    max_days: u32,
}

impl AccessTokenService {
    /// Over these parts; no token lasts longer than `max_days`.
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

    /// How many days a token lasts, where the tenant allows no more than `of_tenant`.
    fn days(&self, asked: Option<u32>, of_tenant: Option<u32>) -> Result<u32, FieldError> {
        let most = of_tenant.map_or(self.max_days, |days| days.min(self.max_days));
        let days = asked.unwrap_or(USUAL_DAYS.min(most));
        if (1..=most).contains(&days) {
            return Ok(days);
        }
        Err(FieldError { pointer: "/expires_in_days".to_owned(), detail: format!("must be from 1 to {most}") })
    }
}

#[async_trait]
impl UseCase<IssueAccessToken> for AccessTokenService {
    async fn execute(&self, command: Authorized<IssueAccessToken>) -> Result<IssuedAccessToken, RuntimeError> {
        let (permit, IssueAccessToken { name, scopes, days }) = command.into_parts();
        let user_id = permit.scope().user().ok_or(RuntimeError::NotFound { what: "the user" })?;
        let now = self.clock.now();
        let id = AccessTokenId::from_uuid(self.ids.uuid());
        let mut tx = self.store.begin(permit.scope()).await?;
        let member = tx.users().membership(user_id).await?.ok_or(RuntimeError::NotFound { what: "the user" })?;
        let days = self.days(days, member.settings.access_token_max_days)?;
        let expires_at = now + TimeDelta::days(i64::from(days));
        if tx.access_tokens().count_usable(user_id, now).await? >= MOST_PER_USER {
            return Err(RuntimeError::Conflict { detail: "There are 50 access tokens already; revoke one first." });
        }
        let TokenSecret { secret, hash } = self.secrets.generate()?;
        let token = NewAccessToken { id, user_id, name: name.into_string(), hash, scopes, expires_at };
        let token = tx.access_tokens().insert(&token, now).await?;
        tx.commit().await?;
        Ok(IssuedAccessToken { token, secret })
    }
}

#[async_trait]
impl UseCase<ListAccessTokens> for AccessTokenService {
    async fn execute(&self, command: Authorized<ListAccessTokens>) -> Result<Page<AccessToken>, RuntimeError> {
        let (permit, ListAccessTokens { mut user, page }) = command.into_parts();
        if !permit.reaches_tenant() {
            let own = permit.scope().user();
            if user.is_some() && user != own {
                return Ok(Page { items: Vec::new(), next: None });
            }
            user = own;
        }
        let mut tx = self.store.begin(permit.scope()).await?;
        Ok(tx.access_tokens().list(user, &page).await?)
    }
}

#[async_trait]
impl UseCase<RevokeAccessToken> for AccessTokenService {
    async fn execute(&self, command: Authorized<RevokeAccessToken>) -> Result<(), RuntimeError> {
        let mut tx = self.store.begin(command.scope()).await?;
        let revoked = tx.access_tokens().revoke(command.command().id, self.clock.now()).await?;
        revoked.ok_or(RuntimeError::NotFound { what: "the access token" })?;
        tx.commit().await?;
        Ok(())
    }
}
