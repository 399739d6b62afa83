//! Connections to the tenants' MCP servers.

use crate::config::Settings;
use crate::mcp_metrics::McpMetrics;
use crate::ports::SharedPorts;
use anyhow::{Context as _, Result};
use data::SealedSecrets;
use domain::ports::SecretSealer;
use runtime::mcp_servers::{McpServerPorts, McpServerService};
use std::sync::Arc;
use tools::mcp::{McpConnector, McpPorts, McpTools};

/// Connections to MCP servers, and what they share.
pub(crate) struct Mcp {
    connector: Arc<McpConnector>,
    sealer: Arc<dyn SecretSealer>,
    pub(crate) metrics: McpMetrics,
}

impl Mcp {
    /// Connects with the settings of the process; nothing is connected to yet.
    ///
    /// # Errors
    /// If the secret key is missing, or a network is not valid.
    pub(crate) fn new(settings: &Settings, ports: &SharedPorts) -> Result<Self> {
        let metrics = McpMetrics::new().context("the metric of MCP servers cannot be created")?;
        let sealer: Arc<dyn SecretSealer> = Arc::new(SealedSecrets::new(settings.secret_key_bytes()?));
        let observer = Arc::new(metrics.clone());
        let mcp_ports = McpPorts { store: Arc::clone(&ports.store), sealer: Arc::clone(&sealer), observer };
        let connector = Arc::new(McpConnector::new(mcp_ports, settings.egress_policy()?));
        Ok(Self { connector, sealer, metrics })
    }

    /// The tools of the tenants' servers.
    pub(crate) fn tools(&self) -> McpTools {
        McpTools::new(Arc::clone(&self.connector))
    }

    /// The use cases of servers.
    pub(crate) fn service(self, ports: &SharedPorts) -> McpServerService {
        let SharedPorts { store, clock, ids, .. } = ports.clone();
        McpServerService::new(McpServerPorts { store, inspector: self.connector, sealer: self.sealer, clock, ids })
    }
}
