//! Runs the shared store test suite of the crate `fakes` against PostgreSQL.

use data::testing::TestDb;
use data::{FsBlobStore, PgAuditReader, PgDirectory, PgJobQueue, PgStore};
use fakes::suite::{CaseError, TestContext};
use fakes::{ManualClock, SequentialIds};
use std::sync::Arc;

/// Owns the database and the files of a [`TestContext`]; dropping it removes both.
pub(crate) type TestContextGuard = (TestDb, tempfile::TempDir);

pub(crate) async fn test_context() -> Result<(TestContext, TestContextGuard), CaseError> {
    let db = TestDb::create().await?;
    let files = tempfile::tempdir()?;
    let (app, ids) = (db.app_pool()?, Arc::new(SequentialIds::default()));
    let ctx = TestContext {
        store: Arc::new(PgStore::new(app.clone())),
        directory: Arc::new(PgDirectory::new(app)),
        queue: Arc::new(PgJobQueue::new(db.worker_pool()?)),
        audit: Arc::new(PgAuditReader::new(db.auditor_pool()?)),
        blobs: Arc::new(FsBlobStore::new(files.path(), ids.clone())),
        clock: Arc::new(ManualClock::default()),
        ids,
    };
    Ok((ctx, (db, files)))
}

fakes::store_suite!(test_context);
