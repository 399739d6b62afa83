//! The traits through which layers call each other without naming each other. `data` and `model-client` implement most
//! of them, `policy` those of access, `platform-server` clock and ids; `platform-server` wires them up.

mod access;
mod blob;
mod model;
mod plant;
mod plant_queue;
mod privacy;
mod run_events;
mod secrets;
mod store;
mod system;

pub use access::{AccessRules, RandomSourceError, StandingWork, TokenSecret, TokenSecrets};
pub use blob::{BlobError, BlobStore, ByteRange, ByteStream, StoredBlob};
pub use model::{ChatModel, Embedder, Embedders, Reranker, Tokenizer};
pub use plant::{BrowsedTag, PlantConnector, PlantConnectors, PlantReadError, PlantReader, PlantReaderScope};
pub use plant_queue::{LatestSample, PlantAnswerListener, PlantQueue};
pub use privacy::PrivacyScanner;
pub use run_events::{RunEventBatch, RunEventStore, RunSignal, StoredRun};
pub use secrets::{SealError, SecretSealer};
pub use store::*;
pub use system::{Clock, IdGen};

pub use crate::store_error::StoreError;

#[cfg(feature = "mocks")]
pub use {
    blob::MockBlobStore,
    model::{MockChatModel, MockEmbedder, MockReranker},
    privacy::MockPrivacyScanner,
    system::{MockClock, MockIdGen},
};
