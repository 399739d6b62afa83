//! Connectors that read plant systems: OPC UA, MQTT, Sparkplug B, Modbus TCP and PI Web API, behind
//! [`domain::ports::PlantConnectors`].
//!
//! Nothing in this crate writes to a plant system: it sends no service, function or message that could change one
//! (`tests/it/read_only.rs`). A connector connects to its endpoint and to nothing else.

mod backoff;
mod check;
mod config;
mod context;
mod endpoint;
mod failure;
mod link;
mod modbus;
mod mqtt;
mod opcua;
mod pem;
mod pi;
mod sample;
pub mod simulator;
mod sparkplug;
mod tls;

use async_trait::async_trait;
use context::Context;
use domain::plant::{ConnectorError, ConnectorKind, ConnectorSettings};
use domain::ports::{Clock, PlantConnector, PlantConnectors};
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// Opens connectors of every kind.
pub struct Connectors {
    context: Context,
}

impl Connectors {
    /// `identity_dir` holds the platform's own OPC UA certificate and private key (mode 0600), which are created when a
    /// connector first needs them; it must survive restarts, because servers are configured to trust that certificate.
    /// `tasks` must be awaited at shutdown, after the connectors have been dropped, because their sessions are closed
    /// in it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, tasks: TaskTracker, identity_dir: PathBuf) -> Self {
        Self { context: Context { clock, tasks, identity: Arc::new(opcua::Identity::new(identity_dir)) } }
    }
}

#[async_trait]
impl PlantConnectors for Connectors {
    async fn open(&self, settings: &ConnectorSettings) -> Result<Arc<dyn PlantConnector>, ConnectorError> {
        let context = self.context.clone();
        Ok(match settings.kind {
            ConnectorKind::OpcUa => Arc::new(opcua::OpcUaConnector::open(context, settings)?),
            ConnectorKind::Mqtt => Arc::new(mqtt::MqttConnector::open(context, settings)?),
            ConnectorKind::Sparkplug => Arc::new(sparkplug::SparkplugConnector::open(context, settings)?),
            ConnectorKind::Modbus => Arc::new(modbus::ModbusConnector::open(context, settings)?),
            ConnectorKind::PiWebApi => Arc::new(pi::PiConnector::open(context, settings)?),
            ConnectorKind::Simulator => {
                return Err(failure::configuration("the simulated plant is opened by `simulator::WithSimulator`"));
            }
        })
    }
}
