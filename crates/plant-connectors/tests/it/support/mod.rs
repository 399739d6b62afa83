//! Servers for one test each, and connectors to them.

pub mod broker;
pub mod pi_server;
pub mod process;
pub mod programs;

use chrono::{DateTime, Utc};
use domain::plant::{
    ConnectorCheck, ConnectorCredential, ConnectorError, ConnectorKind, ConnectorSettings, DataType, Sample,
    TagAddress, TagMapping,
};
use domain::ports::{PlantConnector, PlantConnectors as _};
use domain::time::Timestamp;
use fakes::ManualClock;
use plant_connectors::Connectors;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

/// The platform's side: connectors with a clock that stands still.
pub struct Platform {
    /// The connectors, whose clock shows [`now`].
    pub connectors: Connectors,
    tasks: TaskTracker,
    _identity: TempDir,
}

impl Platform {
    pub fn new() -> Self {
        let identity = tempfile::tempdir().expect("a directory");
        let tasks = TaskTracker::new();
        let clock = Arc::new(ManualClock::at(now()));
        let connectors = Connectors::new(clock, tasks.clone(), identity.path().join("opcua"));
        Self { connectors, tasks, _identity: identity }
    }

    pub async fn open(&self, settings: &ConnectorSettings) -> Arc<dyn PlantConnector> {
        self.connectors.open(settings).await.expect("usable settings")
    }

    /// Waits until everything that runs behind the connectors has ended; they must have been dropped.
    pub async fn shut_down(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// When the platform's clock stands still.
pub fn now() -> Timestamp {
    time("2026-11-22T12:00:00Z")
}

pub fn time(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).expect("RFC 3339").with_timezone(&Utc)
}

pub fn settings(kind: ConnectorKind, endpoint: String, config: Value) -> ConnectorSettings {
    ConnectorSettings { kind, endpoint, config, credential: None, tags: Vec::new(), development: true }
}

pub fn password(username: &str, password: &str) -> Option<ConnectorCredential> {
    Some(ConnectorCredential::Password { username: username.to_owned(), password: password.to_owned() })
}

pub fn mapping(address: &str) -> TagMapping {
    TagMapping { address: TagAddress(address.to_owned()), data_type: None, scale: None }
}

pub fn typed(address: &str, data_type: DataType) -> TagMapping {
    TagMapping { data_type: Some(data_type), ..mapping(address) }
}

/// Value, unit, quality, code and time of a sample, as JSON.
pub fn shown(sample: &Sample) -> Value {
    json!([sample.value, sample.unit, sample.quality, sample.quality_code, sample.source_timestamp])
}

/// The one sample of a tag.
pub async fn read_one(connector: &dyn PlantConnector, mapping: &TagMapping) -> Result<Sample, ConnectorError> {
    let mut samples = connector.read(std::slice::from_ref(mapping)).await?;
    assert_eq!(samples.len(), 1);
    Ok(samples.remove(0))
}

/// A check that failed, whose words contain `words`.
pub fn assert_fails(check: &ConnectorCheck, words: &str) {
    assert!(!check.ok && check.detail.contains(words), "{check:?}");
}

pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free port").port()
}
