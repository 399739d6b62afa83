//! Test cases for idempotent requests.

use super::{CaseError, CaseResult, TestContext};
use chrono::TimeDelta;
use domain::idempotency::{IdempotencyRecord, StoredOutcome, StoredResponse};
use domain::scope::TenantScope;
use domain::time::Timestamp;

fn response_outcome() -> StoredOutcome {
    let headers = vec![("location".to_owned(), "/v1/things/1".to_owned())];
    StoredOutcome::Response(StoredResponse { status: 201, headers, body: b"{\"id\":\"\xc3\xa4\"}".to_vec() })
}

/// Claims `key` for one hour; returns the record of an earlier claim, if there is one.
async fn claim(
    context: &TestContext,
    scope: &TenantScope,
    key: &str,
    now: Timestamp,
) -> Result<Option<IdempotencyRecord>, CaseError> {
    let mut tx = context.begin(scope).await?;
    let found = tx.idempotency().claim(key, Some("fingerprint"), now, now + TimeDelta::hours(1)).await?;
    tx.commit().await?;
    Ok(found)
}

/// Of several concurrent claims exactly one succeeds. The others find its record.
pub async fn an_idempotency_key_is_claimed_once(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let now = context.now();
    let claims = futures::future::join_all((0..8).map(|_| claim(context, &tenant_a.ada, "k", now))).await;
    let claims: Vec<_> = claims.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(claims.iter().filter(|found| found.is_none()).count(), 1);
    let running = IdempotencyRecord { fingerprint: Some("fingerprint".to_owned()), outcome: None, claimed_at: now };
    assert!(claims.iter().flatten().all(|found| *found == running), "{claims:?}");
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.idempotency().complete("k", "full fingerprint", &response_outcome()).await?;
    tx.commit().await?;
    let completed = IdempotencyRecord {
        fingerprint: Some("full fingerprint".to_owned()),
        outcome: Some(response_outcome()),
        claimed_at: now,
    };
    assert_eq!(claim(context, &tenant_a.ada, "k", context.advance_clock()).await?, Some(completed.clone()));
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.idempotency().release("k").await?;
    tx.commit().await?;
    assert_eq!(
        claim(context, &tenant_a.ada, "k", now).await?,
        Some(completed),
        "a completed request cannot be released"
    );
    Ok(())
}

/// A released key can be claimed again. For a response that must not be stored, only its completion is recorded.
pub async fn an_idempotency_key_is_released_or_kept(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    let now = context.now();
    assert_eq!(claim(context, &tenant_a.ada, "k", now).await?, None);
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.idempotency().release("k").await?;
    tx.commit().await?;
    assert_eq!(claim(context, &tenant_a.ada, "k", now).await?, None);
    let mut tx = context.begin(&tenant_a.ada).await?;
    tx.idempotency().complete("k", "fingerprint", &StoredOutcome::ResponseNotStored).await?;
    tx.commit().await?;
    let record_without_response = IdempotencyRecord {
        fingerprint: Some("fingerprint".to_owned()),
        outcome: Some(StoredOutcome::ResponseNotStored),
        claimed_at: now,
    };
    assert_eq!(claim(context, &tenant_a.ada, "k", now).await?, Some(record_without_response));
    Ok(())
}

/// The same key of another user, or in another tenant, is independent.
pub async fn idempotency_keys_are_separate_per_user(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let now = context.now();
    for scope in [&tenant_a.ada, &tenant_a.bob, &tenant_b.ada] {
        assert_eq!(claim(context, scope, "k", now).await?, None);
    }
    let mut tx = context.begin(&tenant_a.bob).await?;
    tx.idempotency().complete("k", "fingerprint", &response_outcome()).await?;
    tx.idempotency().release("k").await?;
    tx.commit().await?;
    let adas_record = claim(context, &tenant_a.ada, "k", now).await?;
    assert!(adas_record.is_some_and(|record| record.outcome.is_none()));
    Ok(())
}

/// An expired key can be claimed again, and is deleted by the sweep otherwise.
pub async fn expired_idempotency_keys_are_swept(context: &TestContext) -> CaseResult {
    let tenant_a = context.create_tenant("a").await?;
    // The sweep uses the database's own clock, so the expiry must be far in the past.
    let past = Timestamp::from_timestamp(1_000_000_000, 0).ok_or("timestamp out of range")?;
    for key in ["k", "l"] {
        assert_eq!(claim(context, &tenant_a.ada, key, past).await?, None);
    }
    let future = Timestamp::from_timestamp(32_000_000_000, 0).ok_or("timestamp out of range")?;
    assert_eq!(claim(context, &tenant_a.ada, "k", future).await?, None, "an expired key is free");
    assert_eq!(context.queue.sweep_expired_idempotency_keys().await?, 1);
    assert!(claim(context, &tenant_a.ada, "k", future).await?.is_some());
    assert_eq!(claim(context, &tenant_a.ada, "l", future).await?, None);
    assert_eq!(context.queue.sweep_expired_idempotency_keys().await?, 0);
    Ok(())
}
