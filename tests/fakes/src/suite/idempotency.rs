//! Cases on idempotent requests.

use super::{CaseError, CaseResult, World};
use chrono::TimeDelta;
use domain::idempotency::{IdempotencyRecord, StoredOutcome, StoredResponse};
use domain::scope::TenantScope;
use domain::time::Timestamp;

fn answer() -> StoredOutcome {
    let headers = vec![("location".to_owned(), "/v1/things/1".to_owned())];
    StoredOutcome::Response(StoredResponse { status: 201, headers, body: b"{\"id\":\"\xc3\xa4\"}".to_vec() })
}

/// Claims `key` with a validity of one hour.
async fn claim(
    world: &World,
    scope: &TenantScope,
    key: &str,
    now: Timestamp,
) -> Result<Option<IdempotencyRecord>, CaseError> {
    let mut tx = world.begin(scope).await?;
    let found = tx.idempotency().claim(key, Some("print"), now, now + TimeDelta::hours(1)).await?;
    tx.commit().await?;
    Ok(found)
}

/// Of many concurrent claims exactly one succeeds; the others find its outcome.
pub async fn an_idempotency_key_is_claimed_once(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let now = world.now();
    let claims = futures::future::join_all((0..8).map(|_| claim(world, &plant.ada, "k", now))).await;
    let claims: Vec<_> = claims.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(claims.iter().filter(|found| found.is_none()).count(), 1);
    let running = IdempotencyRecord { fingerprint: Some("print".to_owned()), kept: None, since: now };
    assert!(claims.iter().flatten().all(|found| *found == running), "{claims:?}");
    let mut tx = world.begin(&plant.ada).await?;
    tx.idempotency().settle("k", "whole print", &answer()).await?;
    tx.commit().await?;
    let done = IdempotencyRecord { fingerprint: Some("whole print".to_owned()), kept: Some(answer()), since: now };
    assert_eq!(claim(world, &plant.ada, "k", world.later()).await?, Some(done.clone()));
    let mut tx = world.begin(&plant.ada).await?;
    tx.idempotency().release("k").await?;
    tx.commit().await?;
    assert_eq!(claim(world, &plant.ada, "k", now).await?, Some(done), "a completed request cannot be released");
    Ok(())
}

/// A released key can be claimed again; if the response contained a secret, only that fact is stored.
pub async fn an_idempotency_key_is_released_or_kept(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    let now = world.now();
    assert_eq!(claim(world, &plant.ada, "k", now).await?, None);
    let mut tx = world.begin(&plant.ada).await?;
    tx.idempotency().release("k").await?;
    tx.commit().await?;
    assert_eq!(claim(world, &plant.ada, "k", now).await?, None);
    let mut tx = world.begin(&plant.ada).await?;
    tx.idempotency().settle("k", "print", &StoredOutcome::SecretShown).await?;
    tx.commit().await?;
    let spent =
        IdempotencyRecord { fingerprint: Some("print".to_owned()), kept: Some(StoredOutcome::SecretShown), since: now };
    assert_eq!(claim(world, &plant.ada, "k", now).await?, Some(spent));
    Ok(())
}

/// The same key of another user, or in another tenant, is independent.
pub async fn idempotency_keys_are_separate_per_user(world: &World) -> CaseResult {
    let (here, there) = (world.plant("a").await?, world.plant("b").await?);
    let now = world.now();
    for scope in [&here.ada, &here.bob, &there.ada] {
        assert_eq!(claim(world, scope, "k", now).await?, None);
    }
    let mut tx = world.begin(&here.bob).await?;
    tx.idempotency().settle("k", "print", &answer()).await?;
    tx.idempotency().release("k").await?;
    tx.commit().await?;
    let adas = claim(world, &here.ada, "k", now).await?;
    assert!(adas.is_some_and(|earlier| earlier.kept.is_none()));
    Ok(())
}

/// An expired key can be claimed again, and is deleted by the sweep otherwise.
pub async fn expired_idempotency_keys_are_swept(world: &World) -> CaseResult {
    let plant = world.plant("a").await?;
    // The sweep uses the database's own clock, so the expiry must be far in the past.
    let past = Timestamp::from_timestamp(1_000_000_000, 0).ok_or("a moment")?;
    for key in ["k", "l"] {
        assert_eq!(claim(world, &plant.ada, key, past).await?, None);
    }
    let lasting = Timestamp::from_timestamp(32_000_000_000, 0).ok_or("a moment")?;
    assert_eq!(claim(world, &plant.ada, "k", lasting).await?, None, "an expired key is free");
    assert_eq!(world.queue.sweep_expired().await?, 1);
    assert!(claim(world, &plant.ada, "k", lasting).await?.is_some());
    assert_eq!(claim(world, &plant.ada, "l", lasting).await?, None);
    assert_eq!(world.queue.sweep_expired().await?, 0);
    Ok(())
}
