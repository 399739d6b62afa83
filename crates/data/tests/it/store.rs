//! Runs the shared store contract of the crate `fakes` against PostgreSQL.

use data::testing::TestDb;
use data::{FsBlobStore, PgAuditReader, PgGoalQueue, PgJobQueue, PgStore, PgTenantDirectory};
use domain::ports::JobQueue;
use fakes::store_contract::{CaseError, TestContext};
use fakes::{ManualClock, SequentialIds};
use std::sync::Arc;

/// Owns the database and the files of a [`TestContext`]; dropping it removes both.
pub(crate) type TestContextGuard = (TestDb, tempfile::TempDir);

pub(crate) async fn test_context() -> Result<(TestContext, TestContextGuard), CaseError> {
    let db = TestDb::create().await?;
    let files = tempfile::tempdir()?;
    let (app, ids) = (db.app_pool()?, Arc::new(SequentialIds::default()));
    let queue: Arc<dyn JobQueue> = Arc::new(PgJobQueue::new(db.worker_pool()?));
    let ctx = TestContext {
        store: Arc::new(PgStore::new(app.clone())),
        directory: Arc::new(PgTenantDirectory::new(app)),
        goal_queue: Arc::new(PgGoalQueue::new(db.worker_pool()?, Arc::clone(&queue))),
        queue,
        audit: Arc::new(PgAuditReader::new(db.auditor_pool()?)),
        blobs: Arc::new(FsBlobStore::new(files.path(), ids.clone())),
        clock: Arc::new(ManualClock::default()),
        ids,
    };
    Ok((ctx, (db, files)))
}

fakes::store_contract!(test_context);
