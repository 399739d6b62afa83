//! The blob store that the settings choose.

use crate::config::{Settings, StorageKind};
use anyhow::{Context as _, Result};
use data::{FsBlobStore, S3BlobStore};
use domain::ports::{BlobStore, IdGen};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The store of the documents' files. `tasks` tracks what it does in the background.
///
/// # Errors
/// If a setting is missing or not valid.
pub(crate) fn blob_store(settings: &Settings, ids: &Arc<dyn IdGen>, tasks: &TaskTracker) -> Result<Arc<dyn BlobStore>> {
    match settings.storage.kind {
        StorageKind::Filesystem => Ok(Arc::new(FsBlobStore::new(&settings.storage.dir, Arc::clone(ids)))),
        StorageKind::S3 => Ok(Arc::new(s3_store(settings, ids, tasks)?)),
    }
}

/// The store in the bucket of the settings, for `backup` and `restore`, which list it.
///
/// # Errors
/// If a setting is missing or not valid.
pub(crate) fn s3_store(settings: &Settings, ids: &Arc<dyn IdGen>, tasks: &TaskTracker) -> Result<S3BlobStore> {
    let s3 = settings.storage.s3.settings()?;
    S3BlobStore::new(s3, Arc::clone(ids), tasks.clone()).context("storage.s3 cannot be used")
}
