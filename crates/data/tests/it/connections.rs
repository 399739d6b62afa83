//! A connection never returns to the pool inside a transaction or with a tenant set, even if the caller was cancelled.

use crate::sql_support::connect_as_superuser;
use data::testing::{TestDb, TestError};
use data::{Database, PgStore, PgTenantDirectory, PoolSettings};
use domain::ids::TenantId;
use domain::page::PageRequest;
use domain::ports::{NewTenant, Store, TenantDirectory};
use domain::scope::Actor;
use fakes::store_contract::scope;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use uuid::Uuid;

/// Creates a pool with a single connection, so that each caller gets the connection that the previous caller used.
fn single_connection_pool(db: &TestDb) -> Result<Database, TestError> {
    let settings =
        PoolSettings { max_connections: 1, acquire_timeout: Duration::from_secs(20), ..PoolSettings::default() };
    Ok(Database::new(&db.app_url(), &settings)?)
}

fn new_tenant(number: u128) -> NewTenant {
    let id = TenantId::from_uuid(Uuid::from_u128(number));
    NewTenant { id, name: format!("Plant {number}"), slug: format!("plant-{number}") }
}

/// Polls a future up to `polls` times and then drops it. Returns whether it completed.
async fn poll_and_drop<F: Future>(polls: usize, future: F) -> bool {
    let (mut future, mut remaining_polls) = (pin!(future), polls);
    poll_fn(|context| {
        if remaining_polls == 0 {
            return Poll::Ready(false);
        }
        remaining_polls -= 1;
        match future.as_mut().poll(context) {
            Poll::Pending if remaining_polls == 0 => Poll::Ready(false),
            other => other.map(|_| true),
        }
    })
    .await
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_no_open_transaction_and_no_tenant() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let database = single_connection_pool(&db)?;
    let (store, directory) = (PgStore::new(database.clone()), PgTenantDirectory::new(database.clone()));
    let tenant = directory.create_tenant(new_tenant(1)).await?.id;
    let (mut dropped_count, mut completed_count) = (0, 0);
    for round in 0..60 {
        let scope = scope(tenant, Actor::System);
        let work = async {
            let mut tx = store.begin(&scope).await?;
            tx.users().list(&PageRequest::default()).await?;
            tx.commit().await
        };
        if poll_and_drop(round % 10, work).await {
            completed_count += 1
        } else {
            dropped_count += 1
        }
        // The next caller runs a statement outside a transaction, which must take effect without a commit.
        let number = 100 + round as u128;
        directory.create_tenant(new_tenant(number)).await?;
        let mut superuser = connect_as_superuser(&db).await?;
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM tenants WHERE id = $1)")
            .bind(Uuid::from_u128(number))
            .fetch_one(&mut superuser)
            .await?;
        assert!(exists, "round {round}: the statement ran inside a transaction that was left open");
        // No transaction may be open.
        let open_transactions: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'",
        )
        .fetch_one(&mut superuser)
        .await?;
        assert_eq!(open_transactions, 0, "round {round}");
    }
    assert!(dropped_count >= 10 && completed_count >= 1, "{dropped_count} dropped, {completed_count} completed");
    Ok(())
}

#[tokio::test]
async fn the_usage_of_a_pool_counts_connections_and_who_waits_for_one() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let database = single_connection_pool(&db)?;
    let unused = database.usage();
    assert_eq!((unused.max, unused.in_use, unused.waiting), (1, 0, 0));
    let store = PgStore::new(database.clone());
    let scope = scope(TenantId::from_uuid(Uuid::from_u128(1)), Actor::System);
    let transaction = store.begin(&scope).await?;
    assert_eq!((database.usage().in_use, database.usage().waiting), (1, 0));
    let mut second_caller = pin!(store.begin(&scope));
    assert!(futures::poll!(second_caller.as_mut()).is_pending());
    assert_eq!(database.usage().waiting, 1);
    drop(transaction);
    let transaction = second_caller.await?;
    assert_eq!((database.usage().in_use, database.usage().waiting), (1, 0));
    transaction.commit().await?;
    let mut third_caller = Box::pin(store.begin(&scope));
    let _polled = futures::poll!(third_caller.as_mut());
    drop(third_caller);
    assert_eq!(database.usage().waiting, 0, "a caller that gave up does not wait");
    Ok(())
}

#[tokio::test]
async fn the_next_transaction_never_sees_the_previous_tenant() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let database = single_connection_pool(&db)?;
    let (store, directory) = (Arc::new(PgStore::new(database.clone())), PgTenantDirectory::new(database));
    let (first_tenant, second_tenant) =
        (directory.create_tenant(new_tenant(1)).await?.id, directory.create_tenant(new_tenant(2)).await?.id);
    for tenant in [first_tenant, second_tenant] {
        let mut tx = store.begin(&scope(tenant, Actor::System)).await?;
        let identity = fakes::store_contract::identity(&tenant.to_string(), None);
        tx.users().sign_in(tenant.as_uuid().into(), &identity, Default::default()).await?;
        tx.commit().await?;
    }
    for round in 0..40 {
        let (previous_tenant, next_tenant) =
            if round % 2 == 0 { (first_tenant, second_tenant) } else { (second_tenant, first_tenant) };
        let (previous_scope, next_scope) = (scope(previous_tenant, Actor::System), scope(next_tenant, Actor::System));
        let work = async {
            let mut tx = store.begin(&previous_scope).await?;
            tx.users().list(&PageRequest::default()).await
        };
        poll_and_drop(round % 8, work).await;
        let mut tx = store.begin(&next_scope).await?;
        let user_ids: Vec<_> =
            tx.users().list(&PageRequest::default()).await?.items.iter().map(|u| u.id.as_uuid()).collect();
        assert_eq!(user_ids, [next_tenant.as_uuid()], "round {round}");
        // The transaction is dropped without a commit; the next round must get a clean connection.
    }
    Ok(())
}

#[tokio::test]
async fn an_unreachable_database_is_reported_as_unavailable_without_delay() -> Result<(), TestError> {
    use domain::error::{Classify, ErrorKind};
    let settings = PoolSettings { acquire_timeout: Duration::from_millis(300), ..PoolSettings::default() };
    // Nothing listens on port 1 of this machine.
    let store = PgStore::new(Database::new("postgres://platform_app@127.0.0.1:1/none", &settings)?);
    let error_kind = store.ping().await.map_err(|error| error.kind());
    assert_eq!(error_kind, Err(ErrorKind::Unavailable));
    let error_kind =
        store.begin(&scope(TenantId::PLATFORM, Actor::System)).await.map(drop).map_err(|error| error.kind());
    assert_eq!(error_kind, Err(ErrorKind::Unavailable));
    Ok(())
}
