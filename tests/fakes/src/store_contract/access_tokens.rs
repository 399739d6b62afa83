//! Test cases for personal access tokens.

use super::{CaseResult, TestContext, require, user_id};
use chrono::TimeDelta;
use domain::access_token::NewAccessToken;
use domain::ids::UserId;
use domain::page::PageRequest;
use domain::scope::TenantScope;

impl TestContext {
    pub(super) async fn insert_access_token(
        &self,
        scope: &TenantScope,
        hash: &str,
    ) -> Result<NewAccessToken, super::CaseError> {
        let token = self.new_access_token(user_id(scope)?, hash)?;
        let mut tx = self.begin(scope).await?;
        tx.access_tokens().insert(&token, self.advance_clock()).await?;
        tx.commit().await?;
        Ok(token)
    }

    fn new_access_token(&self, user_id: UserId, hash: &str) -> Result<NewAccessToken, super::CaseError> {
        Ok(NewAccessToken {
            id: self.new_id(),
            user_id,
            name: format!("token {hash}"),
            hash: hash.to_owned(),
            scopes: vec!["documents:read".parse()?, "search:read".parse()?],
            expires_at: self.now() + TimeDelta::hours(1),
        })
    }
}

/// A token is found only by its exact hash, its use is recorded once a minute, and a second revocation keeps the time
/// of the first.
pub async fn access_tokens_are_found_by_hash_and_revoked_once(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let token = context.insert_access_token(&tenant_a.ada, "h1").await?;
    let found = require(context.directory.access_token("h1").await?)?;
    assert_eq!((found.tenant, found.token.id, found.token.user_id), (tenant_a.id, token.id, token.user_id));
    assert_eq!((found.token.scopes, found.token.last_used_at, found.token.revoked_at), (token.scopes, None, None));
    assert_eq!(context.directory.access_token("h2").await?, None);
    let used_at = context.advance_clock();
    for (at, last_used) in [(used_at, used_at), (used_at + TimeDelta::seconds(59), used_at)] {
        let mut tx = context.begin(&tenant_a.ada).await?;
        tx.access_tokens().record_use(token.id, at).await?;
        tx.commit().await?;
        assert_eq!(require(context.directory.access_token("h1").await?)?.token.last_used_at, Some(last_used));
    }
    let before_revocation = context.advance_clock();
    for _ in 0..2 {
        let mut tx = context.begin(&tenant_a.ada).await?;
        assert_eq!(
            require(tx.access_tokens().revoke(token.id, context.advance_clock()).await?)?.revoked_at,
            Some(context.now()).min(Some(before_revocation + TimeDelta::seconds(1)))
        );
        tx.commit().await?;
    }
    assert_eq!(
        require(context.directory.access_token("h1").await?)?.token.revoked_at,
        Some(before_revocation + TimeDelta::seconds(1))
    );
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.access_tokens().revoke(context.new_id(), context.now()).await?, None);
    Ok(())
}

/// The tokens of one user or of all users are listed newest first; the count excludes revoked and expired ones.
pub async fn access_tokens_are_listed_and_counted(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    for (scope, hash) in [(&tenant_a.ada, "1"), (&tenant_a.bob, "2"), (&tenant_a.ada, "3")] {
        context.insert_access_token(scope, hash).await?;
    }
    let ada = user_id(&tenant_a.ada)?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    let names = |page: domain::page::Page<domain::access_token::AccessToken>| {
        page.items.into_iter().map(|token| token.name).collect::<Vec<_>>()
    };
    let page = PageRequest::default();
    assert_eq!(names(tx.access_tokens().list(Some(ada), &page).await?), ["token 3", "token 1"]);
    assert_eq!(names(tx.access_tokens().list(None, &page).await?), ["token 3", "token 2", "token 1"]);
    let first_page = tx.access_tokens().list(None, &require(PageRequest::new(2, None))?).await?;
    let second_page = tx.access_tokens().list(None, &require(PageRequest::new(2, first_page.next))?).await?;
    assert_eq!(names(second_page), ["token 1"]);
    let newest = first_page.items[0].id;
    assert_eq!(tx.access_tokens().count_usable(ada, context.now()).await?, 2);
    assert_eq!(tx.access_tokens().count_usable(ada, context.now() + TimeDelta::hours(2)).await?, 0, "expired");
    tx.access_tokens().revoke(newest, context.now()).await?;
    assert_eq!(tx.access_tokens().count_usable(ada, context.now()).await?, 1);
    Ok(())
}

/// No method returns or changes tokens of another tenant, nor creates a token for a user of another tenant.
pub async fn nobody_else_sees_a_tenants_access_tokens(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let token = context.insert_access_token(&tenant_a.ada, "h1").await?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.access_tokens().get(token.id).await?, None);
    assert_eq!(tx.access_tokens().revoke(token.id, context.now()).await?, None);
    assert!(tx.access_tokens().list(None, &PageRequest::default()).await?.items.is_empty());
    assert!(tx.access_tokens().list(Some(token.user_id), &PageRequest::default()).await?.items.is_empty());
    let other_tenants_token = context.new_access_token(user_id(&tenant_a.ada)?, "h2")?;
    assert!(tx.access_tokens().insert(&other_tenants_token, context.now()).await.is_err());
    drop(tx);
    let mut tx = context.begin(&tenant_a.bob).await?;
    assert_eq!(require(tx.access_tokens().get(token.id).await?)?.revoked_at, None);
    Ok(())
}
