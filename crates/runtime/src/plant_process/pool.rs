//! The open connectors, one for each connector of a tenant and its revision.

use super::budget::EndpointBudget;
use super::source::{Source, SourceParts};
use super::states::{ConnectorKey, States};
use super::{PlantProcessPorts, PlantProcessSettings};
use domain::plant::{
    Connector, ConnectorCredential, ConnectorDetails, ConnectorError, ConnectorKind, ConnectorSettings, ConnectorState,
    PlantFailure,
};
use domain::ports::SecretSealer;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;
use url::Url;

/// The key of the trusted certificate in a connector's configuration.
const TRUSTED_THUMBPRINT: &str = "trusted_thumbprint";

/// Opens connectors and caches them.
pub(super) struct SourcePool {
    ports: PlantProcessPorts,
    settings: PlantProcessSettings,
    sources: Mutex<HashMap<ConnectorKey, Entry>>,
    /// Budgets by endpoint. They outlive their sources, so that reopening a source does not give it a new budget.
    budgets: Mutex<HashMap<String, Arc<EndpointBudget>>>,
}

/// A connector at one revision; opened at its first use.
#[derive(Clone)]
struct Entry {
    revision: i64,
    source: Arc<OnceCell<Arc<Source>>>,
}

impl SourcePool {
    pub(super) fn new(ports: PlantProcessPorts, settings: PlantProcessSettings) -> Self {
        Self { ports, settings, sources: Mutex::default(), budgets: Mutex::default() }
    }

    /// The open connector at the revision of `state`, opened if necessary. A connector of another revision is closed
    /// once its last reader is done.
    ///
    /// # Errors
    /// If the connector is gone, or cannot be opened.
    pub(super) async fn source(&self, state: &ConnectorState) -> Result<Arc<Source>, PlantFailure> {
        let key = ConnectorKey { tenant: state.tenant, connector: state.connector };
        let entry = {
            let mut sources = self.sources();
            let entry = sources.entry(key).or_insert_with(|| Entry::new(state.revision));
            // A queued request may refer to an older one.
            if entry.revision < state.revision {
                *entry = Entry::new(state.revision);
            }
            entry.clone()
        };
        entry.source.get_or_try_init(|| self.open(key)).await.cloned()
    }

    /// Closes the connectors that may no longer be used.
    pub(super) fn close_unusable(&self, states: &States) {
        self.sources().retain(|key, _| states.get(key).is_some_and(|state| state.is_usable));
        self.budgets().retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_full());
    }

    async fn open(&self, key: ConnectorKey) -> Result<Arc<Source>, PlantFailure> {
        let details = self.ports.queue.connector(key.tenant, key.connector).await.map_err(|error| {
            tracing::warn!(%error, "a connector cannot be read");
            failed(ConnectorError::Unreachable { detail: "the platform's database does not answer".to_owned() })
        })?;
        let details = details.ok_or(PlantFailure::Unknown)?;
        let settings = self.connector_settings(key, &details).map_err(failed)?;
        let budget = self.budget(&details.connector);
        let connector = self.ports.connectors.open(&settings).await.map_err(failed)?;
        let parts = SourceParts { key, details, connector, budget };
        Ok(Arc::new(Source::new(parts, self.ports.clone(), self.settings)))
    }

    fn connector_settings(
        &self,
        key: ConnectorKey,
        details: &ConnectorDetails,
    ) -> Result<ConnectorSettings, ConnectorError> {
        let connector = &details.connector;
        Ok(ConnectorSettings {
            kind: connector.kind,
            endpoint: connector.endpoint.clone(),
            config: config_with_certificate(connector),
            credential: credential(&*self.ports.secrets, key, connector)?,
            tags: details.tags.iter().map(|tag| tag.mapping.clone()).collect(),
            development: self.settings.development,
        })
    }

    /// The budget that all connectors to the same endpoint share. Simulated plants share no budget.
    fn budget(&self, connector: &Connector) -> Arc<EndpointBudget> {
        let endpoint = endpoint_key(connector.kind, &connector.endpoint).unwrap_or_else(|| connector.id.to_string());
        let mut budgets = self.budgets();
        let budget =
            budgets.entry(endpoint).or_insert_with(|| Arc::new(EndpointBudget::new(self.settings.calls_per_s)));
        Arc::clone(budget)
    }

    fn sources(&self) -> MutexGuard<'_, HashMap<ConnectorKey, Entry>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budgets(&self) -> MutexGuard<'_, HashMap<String, Arc<EndpointBudget>>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Protocol, host and port of an endpoint, however it is written; `None` if it is no URL with a host.
fn endpoint_key(kind: ConnectorKind, endpoint: &str) -> Option<String> {
    let default_scheme = match kind {
        ConnectorKind::OpcUa => "opc.tcp",
        ConnectorKind::Mqtt | ConnectorKind::Sparkplug => "mqtts",
        ConnectorKind::Modbus => "modbus",
        ConnectorKind::PiWebApi => "https",
        ConnectorKind::Simulator => return None,
    };
    let endpoint = endpoint.trim();
    let url = match endpoint.contains("://") {
        true => Url::parse(endpoint),
        false => Url::parse(&format!("{default_scheme}://{endpoint}")),
    };
    let url = url.ok()?;
    let (protocol, default_port) = match (kind, url.scheme()) {
        (ConnectorKind::OpcUa, _) => ("opcua", 4840),
        (ConnectorKind::Mqtt | ConnectorKind::Sparkplug, "mqtts" | "ssl") => ("mqtt", 8883),
        (ConnectorKind::Mqtt | ConnectorKind::Sparkplug, _) => ("mqtt", 1883),
        (ConnectorKind::Modbus, _) => ("modbus", 502),
        (_, "http") => ("http", 80),
        _ => ("http", 443),
    };
    let host = url.host_str()?.trim_end_matches('.').to_lowercase();
    Some(format!("{protocol}://{host}:{}", url.port().unwrap_or(default_port)))
}

impl Entry {
    fn new(revision: i64) -> Self {
        Self { revision, source: Arc::default() }
    }
}

fn failed(error: ConnectorError) -> PlantFailure {
    PlantFailure::Connector { error }
}

/// The connector's configuration and, in it, the certificate that an administrator trusts.
fn config_with_certificate(connector: &Connector) -> Value {
    let mut config = connector.config.clone();
    if let (Value::Object(fields), Some(thumbprint)) = (&mut config, &connector.trusted_certificate) {
        fields.insert(TRUSTED_THUMBPRINT.to_owned(), json!(thumbprint));
    }
    config
}

fn credential(
    secrets: &dyn SecretSealer,
    key: ConnectorKey,
    connector: &Connector,
) -> Result<Option<ConnectorCredential>, ConnectorError> {
    let Some(sealed) = &connector.secret else { return Ok(None) };
    let unusable = || ConnectorError::Configuration {
        detail: "its secret cannot be decrypted, because it was stored with another PLANT_SECRET_KEY; set it again"
            .to_owned(),
    };
    let purpose = connector.secret_purpose();
    let opened = secrets.open(key.tenant, &purpose, &sealed.0).map_err(|_| unusable())?;
    serde_json::from_slice(opened.expose_secret()).map(Some).map_err(|_| unusable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_endpoint_has_one_key_however_it_is_written() {
        use ConnectorKind::{Modbus, Mqtt, OpcUa, PiWebApi, Simulator, Sparkplug};
        for (kind, endpoint, expected) in [
            (OpcUa, "opc.tcp://PLC7/ua/server", "opcua://plc7:4840"),
            (OpcUa, "plc7:4840", "opcua://plc7:4840"),
            (Mqtt, "mqtts://broker", "mqtt://broker:8883"),
            (Sparkplug, "ssl://broker.:8883/", "mqtt://broker:8883"),
            (Mqtt, "tcp://broker", "mqtt://broker:1883"),
            (Modbus, "modbus://10.0.0.7", "modbus://10.0.0.7:502"),
            (Modbus, "tcp://10.0.0.7:502", "modbus://10.0.0.7:502"),
            (PiWebApi, "https://pi.example/piwebapi", "http://pi.example:443"),
            (PiWebApi, "https://PI.example:443/other", "http://pi.example:443"),
        ] {
            assert_eq!(endpoint_key(kind, endpoint).as_deref(), Some(expected), "{endpoint}");
        }
        assert_eq!(endpoint_key(Simulator, ""), None);
        assert_eq!(endpoint_key(Modbus, ""), None);
    }
}
