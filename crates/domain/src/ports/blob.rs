//! Where the bytes of documents lie.

use crate::error::{Classify, ErrorKind};
use crate::ids::TenantId;
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Bytes arriving or leaving piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes, BlobError>>;

/// A blob as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredBlob {
    /// Its key: random, below the tenant's own folder; never made from a file name.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

/// A part of a blob: `len` bytes from `start`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ByteRange {
    /// First byte, from 0.
    pub start: u64,
    /// Number of bytes.
    pub len: u64,
}

/// Why bytes could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// More bytes than allowed; nothing is stored.
    #[error("more than the allowed {limit} bytes")]
    TooLarge {
        /// Limit in bytes.
        limit: u64,
    },
    /// The sender disconnected; nothing is stored.
    #[error("the upload broke off: {reason}")]
    Interrupted {
        /// Type of the event.
        reason: String,
    },
    /// No such blob.
    #[error("blob {key} does not exist")]
    Missing {
        /// Key of the blob.
        key: String,
    },
    /// The storage failed.
    #[error("blob storage failed while {doing}")]
    Storage {
        /// What was being done, as a participle clause.
        doing: &'static str,
        /// What went wrong; never content.
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
            Self::Interrupted { .. } => Some("The upload broke off before the whole file arrived.".to_owned()),
            Self::Missing { .. } | Self::Storage { .. } => None,
        }
    }
}

/// Stores blobs, separately for each tenant.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Stores the stream whole or not at all: once this returns, the bytes survive a crash.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] past `max_bytes`, [`BlobError::Interrupted`] where the stream fails; nothing is kept
    /// then.
    async fn put(&self, tenant: TenantId, bytes: ByteStream, max_bytes: u64) -> Result<StoredBlob, BlobError>;

    /// Opens a blob of the tenant, or a part of it.
    ///
    /// # Errors
    /// [`BlobError::Missing`] where there is none of that key in the tenant's folder.
    async fn open(&self, tenant: TenantId, key: &str, range: Option<ByteRange>) -> Result<ByteStream, BlobError>;

    /// Removes a blob. A missing blob is not an error.
    ///
    /// # Errors
    /// If the storage fails.
    async fn delete(&self, tenant: TenantId, key: &str) -> Result<(), BlobError>;

    /// Checks that the storage can be written to, for readiness.
    ///
    /// # Errors
    /// If it cannot.
    async fn check(&self) -> Result<(), BlobError>;
}
