//! Port to the blob store, which holds the documents' files.

use crate::error::{Classify, ErrorKind};
use crate::ids::TenantId;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// A stream of bytes, read or written chunk by chunk.
pub type ByteStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// A stored blob.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredBlob {
    /// Random key within the tenant's folder; never derived from a file name.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// A range of a blob: `len` bytes from offset `start`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// Offset of the first byte, from 0.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

/// Why a blob could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The stream exceeds the size limit; nothing is stored.
    #[error("the file exceeds the limit of {limit} bytes")]
    TooLarge {
        /// Limit in bytes.
        limit: u64,
    },
    /// The input stream failed, for instance because the sender disconnected; nothing is stored.
    #[error("the upload was interrupted: {reason}")]
    Interrupted {
        /// Cause of the failure, without content.
        reason: String,
    },
    /// The tenant has no blob with this key.
    #[error("blob {key} does not exist")]
    Missing {
        /// Key of the blob.
        key: String,
    },
    /// An I/O error of the storage.
    #[error("blob storage failed while {activity}")]
    Storage {
        /// What was being done, to complete the sentence; for example "writing a blob".
        activity: &'static str,
        /// The underlying I/O error.
        source: std::io::Error,
    },
}

impl Classify for BlobError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Interrupted { .. } => ErrorKind::Malformed,
            Self::Missing { .. } => ErrorKind::Internal,
            Self::Storage { .. } => ErrorKind::Unavailable,
        }
    }

    fn public_detail(&self) -> Option<String> {
        match self {
            Self::TooLarge { limit } => Some(format!("The file is larger than the allowed {} MiB.", limit >> 20)),
            Self::Interrupted { .. } => Some("The upload was interrupted before the whole file arrived.".to_owned()),
            Self::Missing { .. } | Self::Storage { .. } => None,
        }
    }
}

/// Stores blobs, separately for each tenant.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Stores the stream completely or not at all. Once this returns, the blob survives a crash.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] beyond `max_bytes`, [`BlobError::Interrupted`] if the stream fails; nothing is stored
    /// then.
    async fn put(&self, tenant: TenantId, bytes: ByteStream, max_bytes: u64) -> Result<StoredBlob, BlobError>;

    /// Opens a blob of the tenant, or a range of it.
    ///
    /// # Errors
    /// [`BlobError::Missing`] if the tenant has no blob with this key.
    async fn open(&self, tenant: TenantId, key: &str, range: Option<ByteRange>) -> Result<ByteStream, BlobError>;

    /// Removes a blob. A missing blob is not an error.
    ///
    /// # Errors
    /// If the storage fails.
    async fn delete(&self, tenant: TenantId, key: &str) -> Result<(), BlobError>;

    /// Checks that the storage is writable, for the readiness probe.
    ///
    /// # Errors
    /// If writing fails.
    async fn check(&self) -> Result<(), BlobError>;
}
