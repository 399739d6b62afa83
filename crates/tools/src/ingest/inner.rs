//! State of the ingestion service that its background tasks share.

use super::isolate::Parser;
use super::settings::{IngestPorts, IngestSettings};
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Shared by uploads, jobs and their background tasks.
pub(super) struct IngestInner {
    pub(super) ports: IngestPorts,
    pub(super) settings: IngestSettings,
    pub(super) parser: Arc<dyn Parser>,
    pub(super) tracker: TaskTracker,
}
