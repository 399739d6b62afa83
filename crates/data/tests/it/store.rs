//! Runs the shared store test suite of the crate `fakes` against PostgreSQL.

use data::testing::TestDb;
use data::{FsBlobStore, PgAuditReader, PgDirectory, PgJobQueue, PgStore};
use fakes::suite::{CaseError, World};
use fakes::{ManualClock, SequentialIds};
use std::sync::Arc;

/// Owns the database and the files of a [`TestContext`]; dropping it removes both.
pub(crate) type WorldGuard = (TestDb, tempfile::TempDir);

pub(crate) async fn world() -> Result<(World, WorldGuard), CaseError> {
    let db = TestDb::create().await?;
    let files = tempfile::tempdir()?;
    let (app, ids) = (db.app()?, Arc::new(SequentialIds::default()));
    let world = World {
        store: Arc::new(PgStore::new(app.clone())),
        directory: Arc::new(PgDirectory::new(app)),
        queue: Arc::new(PgJobQueue::new(db.worker()?)),
        audit: Arc::new(PgAuditReader::new(db.auditor()?)),
        blobs: Arc::new(FsBlobStore::new(files.path(), ids.clone())),
        clock: Arc::new(ManualClock::default()),
        ids,
    };
    Ok((world, (db, files)))
}

fakes::store_suite!(world);
