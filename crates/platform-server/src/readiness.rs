//! Whether the parts that the server rests on are up.

use async_trait::async_trait;
use domain::ports::{BlobStore, Store};
use gateway::{Component, Readiness};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Longest wait for one part.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks database and storage.
#[derive(Clone)]
pub struct PartsReadiness {
    store: Arc<dyn Store>,
    blobs: Arc<dyn BlobStore>,
    draining: Arc<AtomicBool>,
}

impl PartsReadiness {
    /// Over these parts.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn BlobStore>) -> Self {
        Self { store, blobs, draining: Arc::default() }
    }

    /// From now on the server takes no new work.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Readiness for PartsReadiness {
    async fn check(&self) -> Vec<Component> {
        let database = tokio::time::timeout(PATIENCE, self.store.ping()).await.is_ok_and(|answer| answer.is_ok());
        let storage = tokio::time::timeout(PATIENCE, self.blobs.check()).await.is_ok_and(|answer| answer.is_ok());
        let draining = self.draining.load(Ordering::Relaxed);
        vec![
            part("database", database, "does not answer"),
            part("storage", storage, "cannot be written to"),
            part("server", !draining, "is shutting down"),
        ]
    }
}

fn part(name: &str, ok: bool, trouble: &str) -> Component {
    Component { name: name.to_owned(), ok, required: true, detail: (!ok).then(|| trouble.to_owned()) }
}

/// Before the database has been found fit for use.
pub struct Starting;

#[async_trait]
impl Readiness for Starting {
    async fn check(&self) -> Vec<Component> {
        vec![part("database", false, "has not answered yet")]
    }
}
