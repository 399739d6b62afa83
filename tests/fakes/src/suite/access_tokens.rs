//! Cases on personal access tokens.

use super::{CaseResult, World, owner, some};
use chrono::TimeDelta;
use domain::access_token::NewAccessToken;
use domain::ids::UserId;
use domain::page::PageRequest;
use domain::scope::TenantScope;

impl World {
    async fn access_token(&self, scope: &TenantScope, hash: &str) -> Result<NewAccessToken, super::CaseError> {
        let token = self.new_access_token(owner(scope)?, hash)?;
        let mut tx = self.begin(scope).await?;
        tx.access_tokens().insert(&token, self.later()).await?;
        tx.commit().await?;
        Ok(token)
    }

    fn new_access_token(&self, user_id: UserId, hash: &str) -> Result<NewAccessToken, super::CaseError> {
        Ok(NewAccessToken {
            id: self.id(),
            user_id,
            name: format!("token {hash}"),
            hash: hash.to_owned(),
            scopes: vec!["documents:read".parse()?, "search:read".parse()?],
            expires_at: self.now() + TimeDelta::hours(1),
        })
    }
}

/// Lookup works only by the exact hash; a second revocation keeps the time of the first.
pub async fn access_tokens_are_found_by_hash_and_revoked_once(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let token = world.access_token(&plant.ada, "h1").await?;
    let known = some(world.directory.access_token("h1").await?)?;
    assert_eq!((known.tenant, known.token.id, known.token.user_id), (plant.tenant, token.id, token.user_id));
    assert_eq!((known.token.scopes, known.token.last_used_at, known.token.revoked_at), (token.scopes, None, None));
    assert_eq!(world.directory.access_token("h2").await?, None);
    let used = world.later();
    for (at, last_used) in [(used, used), (used + TimeDelta::seconds(59), used)] {
        let mut tx = world.begin(&plant.ada).await?;
        tx.access_tokens().record_use(token.id, at).await?;
        tx.commit().await?;
        assert_eq!(some(world.directory.access_token("h1").await?)?.token.last_used_at, Some(last_used));
    }
    let first = world.later();
    for _ in 0..2 {
        let mut tx = world.begin(&plant.ada).await?;
        assert_eq!(
            some(tx.access_tokens().revoke(token.id, world.later()).await?)?.revoked_at,
            Some(world.now()).min(Some(first + TimeDelta::seconds(1)))
        );
        tx.commit().await?;
    }
    assert_eq!(some(world.directory.access_token("h1").await?)?.token.revoked_at, Some(first + TimeDelta::seconds(1)));
    let mut tx = world.begin(&plant.ada).await?;
    assert_eq!(tx.access_tokens().revoke(world.id(), world.now()).await?, None);
    Ok(())
}

/// The tokens of one user or of all users are listed newest first; the count excludes revoked and expired ones.
pub async fn access_tokens_are_listed_and_counted(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    for (scope, hash) in [(&plant.ada, "1"), (&plant.bob, "2"), (&plant.ada, "3")] {
        world.access_token(scope, hash).await?;
    }
    let ada = owner(&plant.ada)?;
    let mut tx = world.begin(&plant.ada).await?;
    let names = |page: domain::page::Page<domain::access_token::AccessToken>| {
        page.items.into_iter().map(|token| token.name).collect::<Vec<_>>()
    };
    let page = PageRequest::default();
    assert_eq!(names(tx.access_tokens().list(Some(ada), &page).await?), ["token 3", "token 1"]);
    assert_eq!(names(tx.access_tokens().list(None, &page).await?), ["token 3", "token 2", "token 1"]);
    let first = tx.access_tokens().list(None, &some(PageRequest::new(2, None))?).await?;
    let rest = tx.access_tokens().list(None, &some(PageRequest::new(2, first.next))?).await?;
    assert_eq!(names(rest), ["token 1"]);
    let newest = first.items[0].id;
    assert_eq!(tx.access_tokens().count_usable(ada, world.now()).await?, 2);
    assert_eq!(tx.access_tokens().count_usable(ada, world.now() + TimeDelta::hours(2)).await?, 0, "expired");
    tx.access_tokens().revoke(newest, world.now()).await?;
    assert_eq!(tx.access_tokens().count_usable(ada, world.now()).await?, 1);
    Ok(())
}

/// No method returns or changes tokens of another tenant, nor creates a token for a user of another tenant.
pub async fn nobody_else_sees_a_tenants_access_tokens(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let token = world.access_token(&here.ada, "h1").await?;
    let mut tx = world.begin(&there.ada).await?;
    assert_eq!(tx.access_tokens().get(token.id).await?, None);
    assert_eq!(tx.access_tokens().revoke(token.id, world.now()).await?, None);
    assert!(tx.access_tokens().list(None, &PageRequest::default()).await?.items.is_empty());
    assert!(tx.access_tokens().list(Some(token.user_id), &PageRequest::default()).await?.items.is_empty());
    let foreign = world.new_access_token(owner(&here.ada)?, "h2")?;
    assert!(tx.access_tokens().insert(&foreign, world.now()).await.is_err());
    drop(tx);
    let mut tx = world.begin(&here.bob).await?;
    assert_eq!(some(tx.access_tokens().get(token.id).await?)?.revoked_at, None);
    Ok(())
}
