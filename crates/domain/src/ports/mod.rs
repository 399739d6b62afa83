//! The traits that several layers call. `data` and `model-client` implement them; `platform-server` wires them up.

mod access;
mod blob;
mod model;
mod store;
mod system;

pub use access::{AccessRules, NoRandomness, TokenSecret, TokenSecrets};
pub use blob::{BlobError, BlobStore, ByteRange, ByteStream, StoredBlob};
pub use model::{ChatModel, Embedder, Embedders, Reranker};
pub use store::{
    AccessTokenRepo, AuditReader, AuditRepo, ChunkRepo, Claim, ConversationRepo, Directory, DocumentRepo,
    IdempotencyRepo, InsertedDocument, JobCounts, JobKind, JobQueue, JobRepo, Lease, LeasedJob, MemoryRepo,
    MessageRepo, NewTenant, QueueDepth, Requeue, Store, StoreError, TenantPatch, TenantTx, UsageRepo, UserRepo, Work,
};
pub use system::{Clock, IdGen};

#[cfg(feature = "mocks")]
pub use {
    blob::MockBlobStore,
    model::{MockChatModel, MockEmbedder, MockReranker},
    store::{MockAuditReader, MockDirectory, MockJobQueue, MockStore},
    system::{MockClock, MockIdGen},
};
