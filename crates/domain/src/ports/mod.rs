//! The traits that several layers call. `data` and `model-client` implement them; `platform-server` wires them up.

mod blob;
mod decisions;
mod model;
mod store;
mod system;

pub use blob::{BlobError, BlobStore, ByteRange, ByteStream, StoredBlob};
pub use decisions::{Asked, Decisions};
pub use model::{ChatModel, Embedder, Embedders, Reranker};
pub use store::{
    AccessTokenRepo, AuditReader, AuditRepo, ChunkRepo, Claim, ConversationRepo, Directory, DocumentRepo,
    IdempotencyRepo, InsertedDocument, JobKind, JobQueue, JobRepo, JobsLeft, Lease, LeasedJob, MemoryRepo, MessageRepo,
    NewTenant, PutBack, QueueDepth, Store, StoreError, TenantPatch, TenantTx, UsageRepo, UserRepo, Work,
};
pub use system::{Clock, IdGen};

#[cfg(feature = "mocks")]
pub use {
    blob::MockBlobStore,
    model::{MockChatModel, MockEmbedder, MockReranker},
    store::{MockAuditReader, MockDirectory, MockJobQueue, MockStore},
    system::{MockClock, MockIdGen},
};
