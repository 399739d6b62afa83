//! The state that the ingestion service shares with its background tasks.

use super::isolate::Parser;
use super::settings::{IngestPorts, IngestSettings};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// State shared by uploads, jobs and background tasks.
pub(super) struct IngestInner {
    pub(super) ports: IngestPorts,
    pub(super) settings: IngestSettings,
    pub(super) parser: Arc<dyn Parser>,
    pub(super) tracker: TaskTracker,
}
