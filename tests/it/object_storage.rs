//! Documents' files in S3-compatible storage: the contract of the blob store, and the platform from upload to deletion,
//! also while the service is down.

use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use crate::support::python;
use crate::support::s3::S3Server;
use bytes::Bytes;
use data::testing::TestDb;
use data::{BlobName, PgAuditReader, PgGoalQueue, PgJobQueue, PgStore, PgTenantDirectory, S3BlobStore, S3Settings};
use domain::ids::TenantId;
use domain::ports::{BlobError, BlobStore, ByteRange, ByteStream};
use fakes::store_contract::{self, TestContext};
use fakes::{ManualClock, SequentialIds, eventually};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const TENANT: TenantId = TenantId::from_uuid(Uuid::from_u128(7));
const MIB: usize = 1 << 20;

fn blob_store(server: &S3Server) -> S3BlobStore {
    platform_server::install_crypto_provider();
    let settings = S3Settings {
        endpoint: server.endpoint(),
        region: "us-east-1".to_owned(),
        bucket: "files".to_owned(),
        prefix: "documents".to_owned(),
        access_key_id: "platform".to_owned(),
        secret_access_key: "not a secret".to_owned(),
        allow_http: true,
        ca_certificates: None,
    };
    S3BlobStore::new(settings, Arc::new(SequentialIds::default()), TaskTracker::new()).expect("valid settings")
}

/// A stream of `count` pieces of 1 MiB, each filled with its number.
fn mebibytes(count: u8) -> ByteStream {
    stream::iter((0..count).map(|number| Ok(Bytes::from(vec![number; MIB])))).boxed()
}

async fn read(store: &S3BlobStore, key: &str, range: Option<ByteRange>) -> Vec<u8> {
    let parts: Vec<Bytes> = store.open(TENANT, key, range).await.expect("a blob").try_collect().await.expect("bytes");
    parts.concat()
}

/// The cases that the file system and the in-memory store pass too.
#[tokio::test]
async fn the_store_fulfils_the_contract() {
    let server = S3Server::start().await;
    let db = TestDb::create().await.unwrap_or_else(|error| panic!("{error}"));
    let app = db.app_pool().expect("a pool");
    let queue = Arc::new(PgJobQueue::new(db.worker_pool().expect("a pool")));
    let context = TestContext {
        store: Arc::new(PgStore::new(app.clone())),
        directory: Arc::new(PgTenantDirectory::new(app)),
        goal_queue: Arc::new(PgGoalQueue::new(db.worker_pool().expect("a pool"), queue.clone())),
        queue,
        audit: Arc::new(PgAuditReader::new(db.auditor_pool().expect("a pool"))),
        blobs: Arc::new(blob_store(&server)),
        clock: Arc::new(ManualClock::default()),
        ids: Arc::new(SequentialIds::default()),
    };
    store_contract::a_blob_is_read_completely_or_by_range(&context).await.expect("the case runs");
    store_contract::an_oversized_or_interrupted_upload_fails(&context).await.expect("the case runs");
    store_contract::nobody_else_opens_a_tenants_blob(&context).await.expect("the case runs");
}

#[tokio::test]
async fn a_large_file_is_sent_in_parts_and_read_back_whole() {
    let server = S3Server::start().await;
    let store = blob_store(&server);
    // Two full parts of 8 MiB and a rest; then exactly two parts.
    for count in [17, 16] {
        let blob = store.put(TENANT, mebibytes(count), 20 << 20).await.expect("stored");
        assert_eq!(blob.size, u64::from(count) << 20);
        let expected: Vec<u8> = (0..count).flat_map(|number| vec![number; MIB]).collect();
        assert!(read(&store, &blob.key, None).await == expected, "{count} MiB");
        let across_parts = ByteRange { start: (8 << 20) - 1, len: 2 };
        assert_eq!(read(&store, &blob.key, Some(across_parts)).await, [7, 8]);
    }
    assert_eq!(server.keys().await.len(), 2);
    assert!(server.keys().await.iter().all(|key| key.starts_with(&format!("documents/{TENANT}/"))));
    assert_eq!(server.unfinished_uploads().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_that_fails_or_is_cancelled_leaves_nothing_and_is_never_seen_half_written() {
    let server = S3Server::start().await;
    let store = blob_store(&server);
    let too_large = store.put(TENANT, mebibytes(20), 17 << 20).await;
    assert!(matches!(too_large, Err(BlobError::TooLarge { .. })), "{too_large:?}");
    let cut = stream::iter([Err(BlobError::Interrupted { reason: "cut".to_owned() })]);
    let interrupted = store.put(TENANT, mebibytes(17).chain(cut).boxed(), 20 << 20).await;
    assert!(matches!(interrupted, Err(BlobError::Interrupted { .. })), "{interrupted:?}");

    // A sender that stalls when two parts have been read from it.
    let stalled = Arc::new(tokio::sync::Notify::new());
    let signal = Arc::clone(&stalled);
    let rest = stream::once(async move {
        signal.notify_one();
        Ok(Bytes::new())
    });
    let stalling = mebibytes(17).chain(rest).chain(stream::pending()).boxed();
    tokio::select! {
        _ = store.put(TENANT, stalling, 20 << 20) => panic!("the upload cannot end"),
        () = async {
            stalled.notified().await;
            assert_eq!(server.keys().await, Vec::<String>::new());
        } => {}
    }
    eventually("no upload is left", || async { server.unfinished_uploads().await.is_empty().then_some(()) }).await;
    assert_eq!(server.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_lists_and_restores_blobs_by_name() {
    let server = S3Server::start().await;
    let store = blob_store(&server);
    let blob = store.put(TENANT, mebibytes(1), 20 << 20).await.expect("stored");
    let restored = BlobName { tenant: TenantId::from_uuid(Uuid::from_u128(8)), key: Uuid::from_u128(9).to_string() };
    store.restore(&restored, mebibytes(2)).await.expect("restored");
    assert_eq!(store.list().await.expect("a list"), [BlobName { tenant: TENANT, key: blob.key }, restored]);
}

#[tokio::test]
async fn the_check_fails_without_the_bucket_and_a_missing_bucket_is_not_a_missing_file() {
    let mut server = S3Server::start().await;
    let store = blob_store(&server);
    store.check().await.expect("the bucket accepts uploads");
    assert_eq!(server.unfinished_uploads().await, Vec::<String>::new());
    server.kill();
    let key = Uuid::from_u128(9).to_string();
    assert!(matches!(store.check().await, Err(BlobError::Storage { .. })));
    assert!(matches!(store.open(TENANT, &key, None).await, Err(BlobError::Storage { .. })));
    server.restart().await;
    assert!(matches!(store.open(TENANT, &key, None).await, Err(BlobError::Missing { .. })));
    store.check().await.expect("the bucket accepts uploads again");
}

#[tokio::test]
async fn a_document_is_uploaded_asked_downloaded_and_deleted() {
    let server = S3Server::start().await;
    let app = start_app(&server).await;
    let user = app.as_user(TENANT_A);
    let bytes = files::note("S-299");
    let document = user.ingest("strainer.md", &bytes, &[]).await;
    assert_eq!(document["status"], "ready", "{document}");
    let keys = server.keys().await;
    assert_eq!(keys.len(), 1, "{keys:?}");
    let mut db = SuperuserDb::connect(&app).await;
    let location = "SELECT 'documents/' || tenant_id || '/' || storage_path AS key FROM documents";
    assert_eq!(db.rows(location, &[]).await[0]["key"], json!(keys[0]));
    assert!(!app.storage_dir.exists(), "no file is kept in the directory");

    let answer = user.chat(&user.create_conversation().await, "How often is the strainer of S-299 cleaned?").await;
    assert_eq!(answer["citations"][0]["doc"], "strainer.md", "{answer}");
    let path = format!("/v1/documents/{}", document["id"].as_str().expect("an id"));
    let content = user.get(&format!("{path}/content")).await;
    assert!(content.status == 200 && content.body == bytes, "the downloaded bytes must equal the uploaded ones");
    app.as_user(TENANT_B).get(&format!("{path}/content")).await.expect_problem(404, "not_found");

    assert_eq!(user.delete(&path).await.status, 204);
    assert_eq!(server.keys().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_backup_has_the_objects_and_restores_them_into_another_bucket() {
    let (server, other_server) = (S3Server::start().await, S3Server::start().await);
    let app = start_app(&server).await;
    let document = app.as_user(TENANT_A).ingest("kept.md", &files::note("S-302"), &[]).await;
    assert_eq!(document["status"], "ready", "{document}");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("backup");
    let file = file.to_str().expect("UTF-8");
    let pg_bin = python::required_var("PLATFORM_TEST_PG_BIN", "cargo xtask test");

    let mut backup = app.command(&["backup", "--to", file]);
    backup.env("DATABASE_MIGRATION_URL", app.db.superuser_url()).env("PLATFORM__BACKUP__PG_BIN", &pg_bin);
    let output = backup.output().expect("the server's program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let db = TestDb::create_empty().await.unwrap_or_else(|error| panic!("{error}"));
    let mut restore = app.command(&["restore", "--from", file]);
    restore
        .env("DATABASE_URL", db.app_url())
        .env("DATABASE_WORKER_URL", db.worker_url())
        .env("DATABASE_AUDIT_URL", db.auditor_url())
        .env("DATABASE_MIGRATION_URL", db.superuser_url())
        .env("PLATFORM__BACKUP__PG_BIN", &pg_bin)
        .env("PLATFORM__STORAGE__DIR", dir.path().join("restored/blobs"))
        .env("PLATFORM__AUTH__DEV_ISSUER_DIR", dir.path().join("restored/dev-issuer"))
        .env("S3_ENDPOINT", other_server.endpoint());
    let output = restore.output().expect("the server's program");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 documents have their files"), "{output:?}");
    assert_eq!(other_server.keys().await, server.keys().await);

    let output = restore.output().expect("the server's program");
    assert!(!output.status.success(), "what is not empty is not overwritten");
}

#[tokio::test]
async fn nothing_is_lost_while_the_service_is_down() {
    let mut server = S3Server::start().await;
    let app = start_app(&server).await;
    let user = app.as_user(TENANT_A);
    assert_eq!(user.ingest("before.md", &files::note("S-300"), &[]).await["status"], "ready");

    server.kill();
    let note = files::note("S-301");
    user.upload("during.md", &note, &[]).await.expect_problem(503, "unavailable");
    let list = user.get("/v1/documents").await.expect_json(200);
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "no row without its file: {list}");
    let search = json!({ "query": "strainer of S-300" });
    let found = user.post("/v1/search", &search).await.expect_json(200);
    assert!(found.to_string().contains("before.md"), "searching does not need the files: {found}");
    let ready = app.without_token().get("/ready").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.json().to_string().contains("the S3 service does not accept uploads"), "{ready:?}");

    server.restart().await;
    eventually("the server is ready again", || async {
        (app.without_token().get("/ready").await.status == 200).then_some(())
    })
    .await;
    assert_eq!(user.ingest("after.md", &note, &[]).await["status"], "ready", "the same file is not a duplicate");
}

async fn start_app(server: &S3Server) -> TestApp {
    let settings = server.settings();
    let settings: Vec<_> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    TestApp::start(&settings).await
}
