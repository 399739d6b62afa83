//! The ports that most services share.

use crate::databases::Databases;
use crate::system::{SystemClock, TimeOrderedIds};
use data::{PgStore, PgTenantDirectory};
use domain::ports::{Clock, IdGen, Store, TenantDirectory};
use policy::gate::GateDependencies;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Implementations of the store, directory, clock and ids, and the background tasks of the process.
#[derive(Clone)]
pub(crate) struct SharedPorts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<dyn TenantDirectory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGen>,
    /// Tracks background tasks that shutdown waits for.
    pub(crate) tasks: TaskTracker,
}

impl SharedPorts {
    pub(crate) fn new(databases: &Databases) -> Self {
        Self {
            store: Arc::new(PgStore::new(databases.app.clone())),
            directory: Arc::new(PgTenantDirectory::new(databases.app.clone())),
            clock: Arc::new(SystemClock),
            ids: Arc::new(TimeOrderedIds),
            tasks: TaskTracker::new(),
        }
    }

    pub(crate) fn gate_dependencies(&self) -> GateDependencies {
        let Self { store, clock, ids, tasks, .. } = self.clone();
        GateDependencies { store, clock, ids, tasks }
    }
}
