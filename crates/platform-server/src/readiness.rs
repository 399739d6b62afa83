//! Readiness of the server: database, storage, and whether it is shutting down.

use crate::config::StorageKind;
use async_trait::async_trait;
use domain::ports::{BlobStore, Store};
use gateway::{Component, Readiness};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Timeout of each check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks the database and the storage, and reports a shutdown.
#[derive(Clone)]
pub struct ServerReadiness {
    store: Arc<dyn Store>,
    blobs: Arc<dyn BlobStore>,
    storage: StorageKind,
    is_draining: Arc<AtomicBool>,
}

impl ServerReadiness {
    /// Readiness that checks the given store and blob store, which is of the kind `storage`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn BlobStore>, storage: StorageKind) -> Self {
        Self { store, blobs, storage, is_draining: Arc::default() }
    }

    /// From now on, reports that the server is shutting down.
    pub fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Readiness for ServerReadiness {
    async fn check(&self) -> Vec<Component> {
        let database_ok =
            tokio::time::timeout(CHECK_TIMEOUT, self.store.ping()).await.is_ok_and(|answer| answer.is_ok());
        let storage_ok =
            tokio::time::timeout(CHECK_TIMEOUT, self.blobs.check()).await.is_ok_and(|answer| answer.is_ok());
        let draining = self.is_draining.load(Ordering::Relaxed);
        let storage_failure = match self.storage {
            StorageKind::Filesystem => "cannot be written to",
            StorageKind::S3 => "the S3 service does not accept uploads",
        };
        vec![
            component("database", database_ok, "does not respond"),
            component("storage", storage_ok, storage_failure),
            component("server", !draining, "is shutting down"),
        ]
    }
}

fn component(name: &str, ok: bool, detail: &str) -> Component {
    Component { name: name.to_owned(), is_up: ok, required: true, detail: (!ok).then(|| detail.to_owned()) }
}

/// Readiness until the database has passed the preflight: always not ready.
pub struct StartingReadiness;

#[async_trait]
impl Readiness for StartingReadiness {
    async fn check(&self) -> Vec<Component> {
        vec![component("database", false, "has not responded yet")]
    }
}
