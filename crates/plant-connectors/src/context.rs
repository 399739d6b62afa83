//! Resources shared by all connectors.

use crate::opcua::identity::Identity;
use domain::ports::Clock;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The clock, the tasks and the certificate of all connectors.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) clock: Arc<dyn Clock>,
    /// Runs tasks that outlive a call: connections, and their shutdown.
    pub(crate) tasks: TaskTracker,
    /// The certificate that identifies the platform to OPC UA servers.
    pub(crate) identity: Arc<Identity>,
}
