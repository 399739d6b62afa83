//! Stress test: many clients of two tenants share a few connections. Some requests are cancelled at a random moment,
//! some run into errors, and backends are killed during the test. No client may see rows of the other tenant, and no
//! connection may be left inside a transaction.

use crate::sql_support::connect_as_superuser;
use data::testing::{TestDb, TestError};
use data::{Database, PgStore, PgTenantDirectory, PoolSettings};
use domain::ids::{TenantId, UserId};
use domain::page::PageRequest;
use domain::ports::{NewTenant, Store as _, StoreError, TenantDirectory as _};
use domain::scope::Actor;
use fakes::eventually;
use fakes::store_contract::{identity, scope};
use futures::future::{join_all, select};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

const CLIENTS: u64 = 64;
const REQUESTS: u64 = 20_000;

#[derive(Default)]
struct Counters {
    succeeded: AtomicU64,
    cancelled: AtomicU64,
    failed: AtomicU64,
    leaked: AtomicU64,
}

/// A pseudo-random number that is the same in each run (a hash of client and request).
fn pseudo_random(client: u64, request: u64) -> u64 {
    let mixed = (client << 32 | request).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}

async fn create_tenants(store: &PgStore, directory: &PgTenantDirectory) -> Result<[TenantId; 2], TestError> {
    let mut ids = [TenantId::PLATFORM; 2];
    for (number, tenant) in (1_u128..).zip(&mut ids) {
        *tenant = TenantId::from_uuid(Uuid::from_u128(number));
        let new = NewTenant { id: *tenant, name: format!("Plant {number}"), slug: format!("plant-{number}") };
        directory.create_tenant(new).await?;
        let mut tx = store.begin(&scope(*tenant, Actor::System)).await?;
        tx.users().sign_in(UserId::from_uuid(tenant.as_uuid()), &identity("u", None), Default::default()).await?;
        tx.commit().await?;
    }
    Ok(ids)
}

/// A request of a tenant that lists its users. If `fails` is set, a statement fails first.
async fn list_users(store: &PgStore, tenant: TenantId, fails: bool) -> Result<Vec<Uuid>, StoreError> {
    let mut tx = store.begin(&scope(tenant, Actor::System)).await?;
    if fails {
        // This user does not exist, so the foreign key is violated and the transaction is aborted.
        let missing = UserId::from_uuid(Uuid::from_u128(99));
        tx.users().mark_token_seen(missing, "hash", Default::default()).await?;
    }
    let users = tx.users().list(&PageRequest::default()).await?;
    tx.commit().await?;
    Ok(users.items.iter().map(|user| user.id.as_uuid()).collect())
}

async fn run_client(store: Arc<PgStore>, tenants: [TenantId; 2], client_number: u64, counters: Arc<Counters>) {
    for request_number in 0..REQUESTS / CLIENTS {
        let random_number = pseudo_random(client_number, request_number);
        let tenant = if random_number.is_multiple_of(2) { tenants[0] } else { tenants[1] };
        let request = pin!(list_users(&store, tenant, random_number % 20 == 7));
        let is_cancelled = random_number % 10 == 3;
        let timeout = Duration::from_micros(if is_cancelled { random_number % 3_000 } else { 20_000_000 });
        // After the timeout, the future is dropped at an arbitrary point, as when a caller gives up.
        let outcome = match select(request, pin!(tokio::time::sleep(timeout))).await {
            futures::future::Either::Left((ended, _)) => ended,
            futures::future::Either::Right(_) => {
                counters.cancelled.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        let counter = match outcome {
            Ok(seen) if seen == [tenant.as_uuid()] => &counters.succeeded,
            Ok(_) => &counters.leaked,
            Err(_) => &counters.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_sees_another_tenants_rows_after_cancellations_and_errors() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let settings =
        PoolSettings { max_connections: 4, acquire_timeout: Duration::from_secs(20), ..PoolSettings::default() };
    let database = Database::new(&db.app_url(), &settings)?;
    let (store, directory) = (Arc::new(PgStore::new(database.clone())), PgTenantDirectory::new(database.clone()));
    let tenants = create_tenants(&store, &directory).await?;
    let counters = Arc::new(Counters::default());
    let clients = join_all((0..CLIENTS).map(|n| run_client(Arc::clone(&store), tenants, n, Arc::clone(&counters))));
    let mut superuser = connect_as_superuser(&db).await?;
    let kill_backends = async {
        for _ in 0..30 {
            // Spread the kills over the test, so that connections break at different points.
            tokio::time::sleep(Duration::from_millis(100)).await;
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'platform_app' ORDER BY random() LIMIT 1",
            )
            .execute(&mut superuser)
            .await?;
        }
        Ok::<_, sqlx::Error>(())
    };
    let (_, kill_result) = tokio::join!(clients, kill_backends);
    kill_result?;
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let (succeeded, cancelled, failed) =
        (count(&counters.succeeded), count(&counters.cancelled), count(&counters.failed));
    assert_eq!(
        count(&counters.leaked),
        0,
        "rows of the other tenant; {succeeded} succeeded, {cancelled} cancelled, {failed} failed"
    );
    assert!(
        succeeded > REQUESTS * 7 / 10 && cancelled > 100 && failed > 100,
        "{succeeded} succeeded, {cancelled} cancelled, {failed} failed"
    );
    // Cancelled transactions are rolled back at once or when their connection is used again. Wait for the last ones.
    let superuser = tokio::sync::Mutex::new(superuser);
    eventually("no backend is idle in a transaction", || async {
        let open_transactions: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = 'platform_app' AND state LIKE 'idle in%'",
        )
        .fetch_one(&mut *superuser.lock().await)
        .await
        .ok()?;
        (open_transactions == 0).then_some(())
    })
    .await;
    Ok(())
}
