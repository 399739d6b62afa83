//! The platform behind PgBouncer in transaction mode. Without PgBouncer these tests say so and do nothing; `cargo xtask
//! test` installs it where it may.

use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::pgbouncer::PgBouncer;
use data::audit::LivenessLock;
use data::testing::TestDb;
use data::{Database, FsBlobStore, PgAuditReader, PgGoalQueue, PgJobQueue, PgStore, PgTenantDirectory, PoolSettings};
use fakes::store_contract::{self, TestContext};
use fakes::{ManualClock, SequentialIds};
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use std::sync::Arc;
use uuid::Uuid;

const NOT_INSTALLED: &str = "skipped: PgBouncer is not installed; install it, or run the tests as root on Debian";
const TOO_OLD: &str = "skipped: this PgBouncer is older than 1.21 and has no prepared statements in transaction mode";

/// One client and one server connection per role, so that a PgBouncer without prepared statements can do it too.
#[tokio::test]
async fn a_session_through_the_pooler_has_its_settings_in_each_transaction() {
    let db = TestDb::create().await.unwrap_or_else(|error| panic!("{error}"));
    let Some(pooler) = PgBouncer::start(&db, 1) else {
        println!("{NOT_INSTALLED}");
        return;
    };
    let instance = Uuid::from_u128(0x1234_5678);
    let settings = PoolSettings { max_connections: 1, instance_id: Some(instance), ..PoolSettings::default() };
    let open = |url: String| Database::behind_pooler(&pooler.url(&url), Some(&url), &settings).expect("URLs");
    let dir = tempfile::tempdir().expect("a directory");
    let (app, ids) = (open(db.app_url()), Arc::new(SequentialIds::default()));
    let queue = Arc::new(PgJobQueue::new(open(db.worker_url())));
    let context = TestContext {
        store: Arc::new(PgStore::new(app.clone())),
        directory: Arc::new(PgTenantDirectory::new(app.clone())),
        goal_queue: Arc::new(PgGoalQueue::new(open(db.worker_url()), queue.clone())),
        queue,
        audit: Arc::new(PgAuditReader::new(open(db.auditor_url()))),
        blobs: Arc::new(FsBlobStore::new(dir.path(), ids.clone())),
        clock: Arc::new(ManualClock::default()),
        ids,
    };
    store_contract::nobody_else_sees_a_users_conversation(&context).await.expect("the case runs");

    let mut superuser = PgConnection::connect(&db.superuser_url()).await.expect("the test database");
    let written: i64 = sqlx::query_scalar("SELECT count(*) FROM messages WHERE instance = $1")
        .bind(instance)
        .fetch_one(&mut superuser)
        .await
        .expect("a count");
    assert_eq!(written, 1, "each transaction knows the process that it belongs to");

    let mut lock = LivenessLock::new(instance);
    lock.ensure_held(&app).await.expect("the lock is taken past the pooler");
    let is_alive = "SELECT instance_is_alive($1)";
    let is_alive: bool = sqlx::query_scalar(is_alive).bind(instance).fetch_one(&mut superuser).await.expect("a bool");
    assert!(is_alive, "a process behind a pooler counts as alive");
}

#[tokio::test]
async fn two_tenants_share_two_server_connections_through_the_pooler() {
    let mut direct = TestApp::start(&[]).await;
    let Some(pooler) = PgBouncer::start(&direct.db, 2) else {
        println!("{NOT_INSTALLED}");
        return;
    };
    if !pooler.has_prepared_statements {
        println!("{TOO_OLD}");
        return;
    }
    direct.stop();
    let (app_url, worker_url, audit_url) = (direct.db.app_url(), direct.db.worker_url(), direct.db.auditor_url());
    let app = direct
        .start_replica(&[
            ("DATABASE_URL", &pooler.url(&app_url)),
            ("DATABASE_WORKER_URL", &pooler.url(&worker_url)),
            ("DATABASE_AUDIT_URL", &pooler.url(&audit_url)),
            ("DATABASE_DIRECT_URL", &app_url),
            ("DATABASE_WORKER_DIRECT_URL", &worker_url),
        ])
        .await;
    let work = |tenant: &'static str| {
        let app = &app;
        async move {
            let user = app.as_user(tenant);
            for number in 0..6 {
                let name = format!("{tenant}-{number}.md");
                let document = user.ingest(&name, &files::note(&format!("{tenant} {number}")), &[]).await;
                assert_eq!(document["status"], "ready", "{document}");
                let search = json!({ "query": "strainer", "top_k": 50 });
                let found = user.post("/v1/search", &search).await.expect_json(200);
                let results = found["results"].as_array().expect("results");
                let is_own = |doc: &str| doc.starts_with(tenant);
                assert!(results.iter().all(|hit| hit["doc"].as_str().is_some_and(is_own)), "{found}");
                assert!(!results.is_empty(), "{found}");
                user.chat(&user.create_conversation().await, "How often is the strainer cleaned?").await;
            }
        }
    };
    futures::future::join(work(TENANT_A), work(TENANT_B)).await;

    let mut db = SuperuserDb::connect(&app).await;
    let connections = "SELECT count(*) FROM pg_stat_activity
                       WHERE usename = 'platform_app' AND datname = current_database()";
    let connections = db.count(connections, &[]).await;
    assert!((1..=5).contains(&connections), "two of the pooler, and up to three past it: {connections}");
    let unattributed = "SELECT count(*) FROM messages WHERE role = 'assistant' AND instance IS NULL";
    assert_eq!(db.count(unattributed, &[]).await, 0);
    let alive =
        "SELECT count(DISTINCT instance) FROM messages WHERE role = 'assistant' AND instance_is_alive(instance)";
    assert_eq!(db.count(alive, &[]).await, 1, "the process holds its lock past the pooler");
}
