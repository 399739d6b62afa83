//! What the platform connects to besides models: maintenance systems, MCP servers, plant systems, and the channels by
//! which people are told.

use crate::channels::channel_ports;
use crate::config::Settings;
use crate::databases::Databases;
use crate::mcp::Mcp;
use crate::ports::SharedPorts;
use anyhow::{Context as _, Result};
use data::{PgPlantAnswerListener, SealedSecrets};
use domain::ports::{PlantAnswerListener, PlantReader};
use policy::rules::MatrixRules;
use runtime::channels::ChannelPorts;
use runtime::plant_reader::{DatabasePlantReader, PlantReaderPorts};
use std::sync::Arc;
use std::time::Duration;
use tools::gateway::{AuditedToolGateway, ToolGateway, ToolGatewayPorts};
use tools::registry::Registry;
use tools::retrieval::HybridSearch;
use tools::write::{MaintenanceSystems, RemoteAccess};

/// Connections to other systems, which are made when they are first used.
pub struct RemoteSystems {
    /// MCP servers, and the endpoint for MCP clients.
    pub mcp: Mcp,
    /// Egress rules and secrets of maintenance systems.
    pub maintenance: RemoteAccess,
    /// Channels that people are told of approvals by.
    pub channels: ChannelPorts,
    /// Reads plant systems through the plant process.
    pub plant_reader: Arc<DatabasePlantReader>,
    /// Waits for notification of its answers.
    pub plant_answers: Arc<PgPlantAnswerListener>,
}

impl RemoteSystems {
    /// Prepares the connections; connects to nothing.
    ///
    /// # Errors
    /// If a setting is not valid.
    pub fn new(settings: &Settings, ports: &SharedPorts, databases: &Databases) -> Result<Self> {
        let plant_answers = Arc::new(PgPlantAnswerListener::new(databases.app.clone()));
        Ok(Self {
            mcp: Mcp::new(settings, ports)?,
            maintenance: remote_access(settings)?,
            channels: channel_ports(settings, ports)?,
            plant_reader: plant_reader(settings, ports, Arc::clone(&plant_answers) as Arc<dyn PlantAnswerListener>),
            plant_answers,
        })
    }

    /// The gateway of all tools.
    ///
    /// # Errors
    /// If a tool violates a rule of the registry, which is a bug.
    pub fn tools(&self, ports: &SharedPorts, search: HybridSearch) -> Result<Arc<dyn ToolGateway>> {
        let reader = Arc::clone(&self.plant_reader) as Arc<dyn PlantReader>;
        let systems = MaintenanceSystems::configured(Arc::clone(&ports.store), self.maintenance.clone());
        let registry = Registry::with_maintenance(&ports.store, search, systems);
        let mut registry = registry.context("the tool registry cannot be built")?.with_mcp_tools(self.mcp.tools());
        registry.register_plant_reads(&reader).context("the tool registry cannot be built")?;
        let parts = ToolGatewayPorts {
            store: Arc::clone(&ports.store),
            rules: Arc::new(MatrixRules),
            clock: Arc::clone(&ports.clock),
            ids: Arc::clone(&ports.ids),
            tracker: ports.tasks.clone(),
        };
        Ok(Arc::new(AuditedToolGateway::new(registry, parts)))
    }
}

/// What maintenance systems that are reached over HTTP need.
fn remote_access(settings: &Settings) -> Result<RemoteAccess> {
    let secrets = Arc::new(SealedSecrets::new(settings.secret_key_bytes()?));
    Ok(RemoteAccess { egress: Arc::new(settings.egress_policy()?), secrets })
}

fn plant_reader(
    settings: &Settings,
    ports: &SharedPorts,
    answer_listener: Arc<dyn PlantAnswerListener>,
) -> Arc<DatabasePlantReader> {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    let timeout = Duration::from_secs(settings.plant.answer_timeout_s);
    Arc::new(DatabasePlantReader::new(PlantReaderPorts { store, answer_listener, clock, ids }, timeout))
}
