//! The in-memory blob store.

use async_trait::async_trait;
use bytes::Bytes;
use domain::ids::TenantId;
use domain::ports::{BlobError, BlobStore, ByteRange, ByteStream, IdGen, StoredBlob};
use futures::{StreamExt, stream};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An in-memory blob store. A key finds a blob only together with its tenant.
pub struct InMemoryBlobStore {
    blobs: Mutex<HashMap<(TenantId, String), Bytes>>,
    ids: Arc<dyn IdGen>,
}

impl InMemoryBlobStore {
    /// An empty store that takes its keys from `ids`.
    #[must_use]
    pub fn new(ids: Arc<dyn IdGen>) -> Self {
        Self { blobs: Mutex::default(), ids }
    }

    /// Number of stored blobs of all tenants.
    #[must_use]
    pub fn count(&self) -> usize {
        self.blobs().len()
    }

    fn blobs(&self) -> MutexGuard<'_, HashMap<(TenantId, String), Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl BlobStore for InMemoryBlobStore {
    async fn put(&self, tenant: TenantId, mut bytes: ByteStream, max_bytes: u64) -> Result<StoredBlob, BlobError> {
        let mut content = Vec::new();
        while let Some(chunk) = bytes.next().await {
            content.extend_from_slice(&chunk?);
            if content.len() as u64 > max_bytes {
                return Err(BlobError::TooLarge { limit: max_bytes });
            }
        }
        let key = self.ids.uuid().to_string();
        let sha256 = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        let stored_blob = StoredBlob { key: key.clone(), size: content.len() as u64, sha256 };
        self.blobs().insert((tenant, key), content.into());
        Ok(stored_blob)
    }

    async fn open(&self, tenant: TenantId, key: &str, range: Option<ByteRange>) -> Result<ByteStream, BlobError> {
        let found = self.blobs().get(&(tenant, key.to_owned())).cloned();
        let content = found.ok_or_else(|| BlobError::Missing { key: key.to_owned() })?;
        let selected = match range {
            None => content,
            Some(ByteRange { start, len }) => {
                let clamp = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
                content.slice(clamp(start)..clamp(start.saturating_add(len)))
            }
        };
        Ok(stream::iter([Ok(selected)]).boxed())
    }

    async fn delete(&self, tenant: TenantId, key: &str) -> Result<(), BlobError> {
        self.blobs().remove(&(tenant, key.to_owned()));
        Ok(())
    }

    async fn check(&self) -> Result<(), BlobError> {
        Ok(())
    }
}
