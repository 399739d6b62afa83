//! Test cases for sessions.

use super::{CaseResult, TestContext, TestTenant, require, user_id};
use chrono::TimeDelta;
use domain::ids::SessionId;
use domain::page::PageRequest;
use domain::scope::TenantScope;
use domain::session::{FirstSeenToken, Session};
use domain::time::Timestamp;

impl TestContext {
    fn session_token(&self, scope: &TenantScope, expires_at: Timestamp) -> Result<FirstSeenToken, super::CaseError> {
        let client = Some("console".to_owned());
        Ok(FirstSeenToken { session_id: self.new_id(), user_id: user_id(scope)?, client, expires_at })
    }

    /// Creates a session of the scope's user that lasts an hour.
    async fn create_session(&self, scope: &TenantScope) -> Result<SessionId, super::CaseError> {
        let token = self.session_token(scope, self.now() + TimeDelta::hours(1))?;
        let mut tx = self.begin(scope).await?;
        tx.sessions().record(&token, self.advance_clock()).await?;
        tx.commit().await?;
        Ok(token.session_id)
    }

    async fn sessions(&self, scope: &TenantScope) -> Result<Vec<Session>, super::CaseError> {
        let mut tx = self.begin(scope).await?;
        Ok(tx.sessions().list(user_id(scope)?, self.now(), &PageRequest::default()).await?.items)
    }

    async fn is_session_revoked(&self, scope: &TenantScope) -> Result<bool, super::CaseError> {
        let mut tx = self.begin(scope).await?;
        Ok(require(tx.users().membership(user_id(scope)?).await?)?.session_revoked)
    }
}

/// A later token may extend a session, but never shortens it. The use of a session is recorded once a minute.
pub async fn a_session_lasts_as_long_as_its_tokens(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let start = context.advance_clock();
    let first = context.session_token(&ada, start + TimeDelta::hours(1))?;
    let mut tx = context.begin(&ada).await?;
    tx.sessions().record(&first, start).await?;
    let shorter = FirstSeenToken { expires_at: start + TimeDelta::minutes(5), client: None, ..first.clone() };
    tx.sessions().record(&shorter, start + TimeDelta::seconds(1)).await?;
    let session = require(tx.sessions().get(first.session_id).await?)?;
    assert_eq!((session.created_at, session.last_seen_at), (start, start + TimeDelta::seconds(1)));
    assert_eq!((session.expires_at, session.client.as_deref()), (first.expires_at, Some("console")));
    let longer = FirstSeenToken { expires_at: start + TimeDelta::hours(2), ..first.clone() };
    tx.sessions().record(&longer, start + TimeDelta::seconds(2)).await?;
    for (used_at, seen_at) in [(30, 2), (62, 2), (63, 63), (100, 63)] {
        tx.sessions().record_use(first.session_id, start + TimeDelta::seconds(used_at)).await?;
        let session = require(tx.sessions().get(first.session_id).await?)?;
        assert_eq!(session.last_seen_at, start + TimeDelta::seconds(seen_at), "used at {used_at}");
    }
    assert_eq!(require(tx.sessions().get(first.session_id).await?)?.expires_at, longer.expires_at);
    let listed_at = |at| ListRequest { user: session.user_id, at };
    for (request, count) in
        [(listed_at(longer.expires_at - TimeDelta::seconds(1)), 1), (listed_at(longer.expires_at), 0)]
    {
        let items = tx.sessions().list(request.user, request.at, &PageRequest::default()).await?.items;
        assert_eq!(items.len(), count, "at {}", request.at);
    }
    Ok(())
}

/// Whose sessions are listed, and at which time.
struct ListRequest {
    user: domain::ids::UserId,
    at: Timestamp,
}

/// Sessions of one user are listed newest first, page by page, without those that were revoked.
pub async fn sessions_are_listed_and_revoked_once(context: &TestContext) -> CaseResult {
    let TestTenant { ada, bob, .. } = context.create_tenant("a").await?;
    let (first, second) = (context.create_session(&ada).await?, context.create_session(&ada).await?);
    let bobs_session = context.create_session(&bob).await?;
    let ids = |sessions: Vec<Session>| sessions.into_iter().map(|session| session.id).collect::<Vec<_>>();
    assert_eq!(ids(context.sessions(&ada).await?), [second, first]);
    let (adas_id, now) = (user_id(&ada)?, context.now());
    let mut tx = context.begin(&ada).await?;
    let page = tx.sessions().list(adas_id, now, &require(PageRequest::new(1, None))?).await?;
    let next = tx.sessions().list(adas_id, now, &require(PageRequest::new(1, page.next))?).await?;
    assert_eq!((ids(page.items), ids(next.items)), (vec![second], vec![first]));
    assert!(!tx.sessions().revoke(bobs_session, adas_id, now).await?, "a colleague's session");
    assert!(!tx.sessions().revoke(first, adas_id, now + TimeDelta::hours(2)).await?, "an ended session");
    assert!(tx.sessions().revoke(first, adas_id, now).await?);
    assert!(!tx.sessions().revoke(first, adas_id, now).await?, "a revoked session");
    assert_eq!(tx.sessions().get(first).await?, None);
    tx.commit().await?;
    assert_eq!(ids(context.sessions(&ada).await?), [second]);
    assert_eq!(ids(context.sessions(&bob).await?), [bobs_session]);
    Ok(())
}

/// A membership shows whether the session or the personal access token of the scope was revoked. A later token of a
/// revoked session does not restore it.
pub async fn a_membership_shows_a_revoked_session(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let session = context.create_session(&ada).await?;
    let token = context.insert_access_token(&ada, "h1").await?;
    let in_session = ada.clone().in_session(Some(session));
    let with_token = ada.clone().in_session(Some(SessionId::from_uuid(token.id.as_uuid())));
    for scope in [&ada, &in_session, &with_token] {
        assert!(!context.is_session_revoked(scope).await?, "nothing is revoked yet");
    }
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.sessions().user_of_revoked_session(session, context.now()).await?, None);
    assert!(tx.sessions().revoke(session, user_id(&ada)?, context.now()).await?);
    let later_token =
        FirstSeenToken { session_id: session, ..context.session_token(&ada, context.now() + TimeDelta::hours(3))? };
    tx.sessions().record(&later_token, context.now()).await?;
    assert_eq!(tx.sessions().user_of_revoked_session(session, context.now()).await?, ada.user());
    tx.access_tokens().revoke(token.id, context.now()).await?;
    tx.commit().await?;
    for (scope, is_revoked) in [(&ada, false), (&in_session, true), (&with_token, true)] {
        assert_eq!(context.is_session_revoked(scope).await?, is_revoked);
    }
    assert!(context.sessions(&ada).await?.is_empty());
    Ok(())
}

/// Expired sessions are deleted. A revoked session is kept as long as its client may renew its tokens.
pub async fn ended_sessions_are_swept(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    // The sweep uses the database's own clock, so the times must be far away.
    let long_ago = Timestamp::from_timestamp(1_000_000_000, 0).ok_or("timestamp out of range")?;
    let future = Timestamp::from_timestamp(32_000_000_000, 0).ok_or("timestamp out of range")?;
    let ended = context.session_token(&ada, long_ago)?;
    let (live, revoked) = (context.session_token(&ada, future)?, context.session_token(&ada, long_ago)?);
    let mut tx = context.begin(&ada).await?;
    for token in [&ended, &live, &revoked] {
        tx.sessions().record(token, long_ago - TimeDelta::hours(1)).await?;
    }
    assert!(tx.sessions().revoke(revoked.session_id, user_id(&ada)?, long_ago - TimeDelta::minutes(1)).await?);
    // A later token of the revoked session is refused, and extends how long the row is kept.
    assert_eq!(tx.sessions().user_of_revoked_session(revoked.session_id, future).await?, ada.user());
    tx.commit().await?;
    assert_eq!(context.queue.sweep_ended_sessions().await?, 1);
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.sessions().get(ended.session_id).await?, None);
    assert!(tx.sessions().get(live.session_id).await?.is_some());
    assert_eq!(
        tx.sessions().user_of_revoked_session(revoked.session_id, future).await?,
        ada.user(),
        "the revoked session is kept"
    );
    drop(tx);
    assert_eq!(context.queue.sweep_ended_sessions().await?, 0);
    Ok(())
}

/// No method returns or changes sessions of another tenant, nor creates one for a user of another tenant.
pub async fn nobody_else_sees_a_tenants_sessions(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let session = context.create_session(&tenant_a.ada).await?;
    let adas_id = user_id(&tenant_a.ada)?;
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.sessions().get(session).await?, None);
    assert!(!tx.sessions().revoke(session, adas_id, context.now()).await?);
    assert!(tx.sessions().list(adas_id, context.now(), &PageRequest::default()).await?.items.is_empty());
    let other_tenants_session = context.session_token(&tenant_a.ada, context.now() + TimeDelta::hours(1))?;
    assert!(tx.sessions().record(&other_tenants_session, context.now()).await.is_err());
    drop(tx);
    assert_eq!(context.sessions(&tenant_a.ada).await?.len(), 1);
    assert!(!context.is_session_revoked(&tenant_a.ada.clone().in_session(Some(session))).await?);
    Ok(())
}
