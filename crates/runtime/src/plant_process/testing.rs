//! The environment of a plant process, for unit tests: a queue in memory, and one plant system.

use super::states::ConnectorKey;
use super::{NoPlantObserver, PlantProcessPorts};
use async_trait::async_trait;
use domain::ids::{ConnectorId, PlantRequestId, TagId, TenantId};
use domain::plant::{
    ClaimedRequest, Connector, ConnectorCheck, ConnectorDetails, ConnectorError, ConnectorKind, ConnectorSettings,
    ConnectorState, PlantAnswer, RecordedSample, Sample, Tag, TagAddress, TagLimits, TagMapping, TagValue,
};
use domain::ports::{
    BrowsedTag, Clock, LatestSample, PlantConnector, PlantConnectors, PlantQueue, SealError, SecretSealer, StoreError,
};
use domain::role::Classification;
use domain::time::Timestamp;
use fakes::ManualClock;
use secrecy::SecretSlice;
use serde_json::json;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// The only connector.
pub(super) fn key() -> ConnectorKey {
    ConnectorKey {
        tenant: TenantId::from_uuid(Uuid::from_u128(1)),
        connector: ConnectorId::from_uuid(Uuid::from_u128(2)),
    }
}

/// The connector with tags 0 to 4.
pub(super) fn details(kind: ConnectorKind) -> ConnectorDetails {
    let tag = |number: u128| Tag {
        id: tag_id(number),
        name: format!("PIT-{number}"),
        mapping: TagMapping { address: TagAddress(format!("holding:{}", number * 10)), data_type: None, scale: None },
        unit: None,
        description: None,
        equipment: None,
        limits: TagLimits::default(),
    };
    ConnectorDetails {
        connector: Connector {
            id: key().connector,
            name: "plc7".to_owned(),
            kind,
            endpoint: String::new(),
            config: json!({}),
            secret: None,
            classification: Classification::Internal,
            stale_after_s: 60,
            recording: None,
            is_enabled: true,
            trusted_certificate: None,
            revision: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        },
        tags: (0..5).map(tag).collect(),
    }
}

pub(super) fn tag_id(number: u128) -> TagId {
    TagId::from_uuid(Uuid::from_u128(100 + number))
}

/// A queue whose only connector is usable.
pub(super) struct FakeQueue {
    pub(super) details: ConnectorDetails,
    pub(super) recorded: Vec<RecordedSample>,
    answers: Mutex<Vec<PlantAnswer>>,
}

impl FakeQueue {
    pub(super) fn new(kind: ConnectorKind) -> Self {
        Self { details: details(kind), recorded: Vec::new(), answers: Mutex::default() }
    }

    /// The answers so far.
    pub(super) fn answers(&self) -> Vec<PlantAnswer> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl PlantQueue for FakeQueue {
    async fn claim(&self, _: u32) -> Result<Vec<ClaimedRequest>, StoreError> {
        Ok(Vec::new())
    }

    async fn answer(&self, _: TenantId, _: PlantRequestId, answer: &PlantAnswer) -> Result<(), StoreError> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer.clone());
        Ok(())
    }

    async fn wait(&self, max_wait: Duration) {
        sleep(max_wait).await;
    }

    async fn states(&self) -> Result<Vec<ConnectorState>, StoreError> {
        let ConnectorKey { tenant, connector } = key();
        let state = ConnectorState { tenant, connector, revision: 1, is_usable: true, is_off: false, recording: None };
        Ok(vec![state])
    }

    async fn connector(&self, _: TenantId, _: ConnectorId) -> Result<Option<ConnectorDetails>, StoreError> {
        Ok(Some(self.details.clone()))
    }

    async fn latest(&self, _: TenantId, _: &[TagId]) -> Result<Vec<LatestSample>, StoreError> {
        Ok(Vec::new())
    }

    async fn store_latest(&self, _: TenantId, _: &[LatestSample]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn record(&self, _: TenantId, _: &[RecordedSample]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn recorded(
        &self,
        _: TenantId,
        tag: TagId,
        period: Range<Timestamp>,
        _: u32,
    ) -> Result<Vec<RecordedSample>, StoreError> {
        let wanted = |sample: &&RecordedSample| sample.tag == tag && period.contains(&sample.at);
        Ok(self.recorded.iter().filter(wanted).cloned().collect())
    }

    async fn maintain(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// A plant system that takes its time, or fails.
#[derive(Default)]
pub(super) struct FakePlant {
    pub(super) takes: Duration,
    pub(super) fails: AtomicBool,
    pub(super) calls: AtomicUsize,
    /// Each tag takes its own request.
    pub(super) is_scattered: bool,
}

impl FakePlant {
    pub(super) fn call_count(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn call(&self) -> Result<(), ConnectorError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        sleep(self.takes).await;
        match self.fails.load(Ordering::Relaxed) {
            true => Err(refused()),
            false => Ok(()),
        }
    }
}

/// The failure of a plant system that fails.
pub(super) fn refused() -> ConnectorError {
    ConnectorError::Unreachable { detail: "connection refused".to_owned() }
}

#[async_trait]
impl PlantConnector for FakePlant {
    async fn check(&self, _: Option<&TagMapping>) -> ConnectorCheck {
        ConnectorCheck { ok: true, detail: String::new(), untrusted_certificate: None }
    }

    async fn read(&self, tags: &[TagMapping]) -> Result<Vec<Sample>, ConnectorError> {
        self.call().await?;
        let sample = |_: &TagMapping| Sample {
            value: TagValue::number(1.0),
            ..Sample::without_value("", Timestamp::UNIX_EPOCH)
        };
        Ok(tags.iter().map(sample).collect())
    }

    fn request_count(&self, tags: &[TagMapping]) -> usize {
        if self.is_scattered { tags.len() } else { 1 }
    }

    async fn history(
        &self,
        _: &TagMapping,
        _: Range<Timestamp>,
        _: usize,
    ) -> Result<Option<Vec<Sample>>, ConnectorError> {
        self.call().await.map(|()| None)
    }

    async fn browse(&self, _: usize) -> Result<Option<Vec<BrowsedTag>>, ConnectorError> {
        Ok(None)
    }
}

struct OnePlant(Arc<FakePlant>);

#[async_trait]
impl PlantConnectors for OnePlant {
    async fn open(&self, _: &ConnectorSettings) -> Result<Arc<dyn PlantConnector>, ConnectorError> {
        Ok(Arc::clone(&self.0) as Arc<dyn PlantConnector>)
    }
}

struct NoSecrets;

impl SecretSealer for NoSecrets {
    fn seal(&self, _: TenantId, _: &str, _: &[u8]) -> Result<Vec<u8>, SealError> {
        Err(SealError::CannotSeal)
    }

    fn open(&self, _: TenantId, _: &str, _: &[u8]) -> Result<SecretSlice<u8>, SealError> {
        Err(SealError::CannotOpen)
    }
}

pub(super) fn ports(queue: &Arc<FakeQueue>, plant: &Arc<FakePlant>) -> PlantProcessPorts {
    PlantProcessPorts {
        queue: Arc::clone(queue) as Arc<dyn PlantQueue>,
        connectors: Arc::new(OnePlant(Arc::clone(plant))),
        secrets: Arc::new(NoSecrets),
        clock: Arc::new(ManualClock::default()) as Arc<dyn Clock>,
        observer: Arc::new(NoPlantObserver),
    }
}
