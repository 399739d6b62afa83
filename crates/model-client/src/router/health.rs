//! Looks at the backends now and then, so that no request has to find out that one is gone, nor to wait for long once it
//! is back.

use super::{Backend, Router};
use crate::openai::http::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// How long a look may take.
const LOOK: Duration = Duration::from_secs(5);

impl Router {
    /// Looks at every backend again and again. Ends with its future.
    pub async fn keep_watch(self: Arc<Self>) {
        while !self.backends.is_empty() {
            futures::future::join_all(self.backends.iter().map(|backend| self.look(backend))).await;
            self.show();
            tokio::time::sleep(self.probe_every).await;
        }
    }

    /// A server that answers at all is there, whatever it says: some want a key for this that we may not have.
    async fn look(&self, backend: &Backend) {
        let found = backend.server.get(Path::Health, Instant::now() + LOOK).await;
        let there = backend.counts_as_there(found.as_ref().map(|_| ()));
        let name = backend.server.name();
        let changed = backend.there.swap(there, Ordering::Relaxed) != there;
        match &found {
            Err(failure) if changed && !there => {
                tracing::warn!(backend = name, error = %failure.error, "a model backend does not answer");
            }
            _ if changed => tracing::info!(backend = name, "the model backend answers again"),
            _ => {}
        }
        for breaker in backend.breakers().values() {
            if there {
                breaker.seen_there(Instant::now());
            } else {
                breaker.seen_gone(Instant::now());
            }
        }
        self.metrics.seen(name, there);
    }
}
