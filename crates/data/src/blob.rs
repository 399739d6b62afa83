//! Stores the content of documents as files: `<root>/<tenant>/<random id>`. A user cannot choose any part of the path.
//!
//! A blob is written to `<id>.part`, synced and then renamed, so a file under its final name is always complete. A
//! crash can leave a `.part` file behind; no row refers to it.

use async_trait::async_trait;
use bytes::Bytes;
use domain::ids::TenantId;
use domain::ports::{BlobError, BlobStore, ByteRange, ByteStream, IdGen, StoredBlob};
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::fs::{DirBuilder, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, SeekFrom};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

/// Buffer size for reading a blob, in bytes.
const READ_SIZE: usize = 64 * 1024;

/// The [`BlobStore`] implementation on a local directory.
pub struct FsBlobStore {
    root: PathBuf,
    ids: Arc<dyn IdGen>,
}

impl FsBlobStore {
    /// Creates a store that keeps blobs under `root`. The directory is created on the first write or check.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, ids: Arc<dyn IdGen>) -> Self {
        Self { root: root.into(), ids }
    }

    fn tenant_dir(&self, tenant: TenantId) -> PathBuf {
        self.root.join(tenant.to_string())
    }

    /// The path of a blob. Keys are UUIDs generated here; any other key is reported as a missing blob, which also rules
    /// out path traversal.
    fn blob_path(&self, tenant: TenantId, key: &str) -> Result<PathBuf, BlobError> {
        let id = Uuid::try_parse(key).map_err(|_| BlobError::Missing { key: key.to_owned() })?;
        Ok(self.tenant_dir(tenant).join(id.to_string()))
    }
}

#[async_trait]
impl BlobStore for FsBlobStore {
    async fn put(&self, tenant: TenantId, content: ByteStream, max_bytes: u64) -> Result<StoredBlob, BlobError> {
        let tenant_dir = self.tenant_dir(tenant);
        create_dir(&self.root).await?;
        create_dir(&tenant_dir).await?;
        let key = self.ids.uuid().to_string();
        let partial_file = PartialFile(tenant_dir.join(format!("{key}.part")));
        let mut file = create_file(&partial_file.0).await?;
        let (size, sha256) = write_stream(&mut file, content, max_bytes).await?;
        file.sync_all().await.map_err(storage_error("syncing a blob"))?;
        tokio::fs::rename(&partial_file.0, tenant_dir.join(&key)).await.map_err(storage_error("renaming a blob"))?;
        sync_dir(&tenant_dir).await?;
        Ok(StoredBlob { key, size, sha256 })
    }

    async fn open(&self, tenant: TenantId, key: &str, range: Option<ByteRange>) -> Result<ByteStream, BlobError> {
        let path = self.blob_path(tenant, key)?;
        let mut file = File::open(path).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { key: key.to_owned() },
            _ => storage_error("opening a blob")(error),
        })?;
        let mut len = u64::MAX;
        if let Some(range) = range {
            file.seek(SeekFrom::Start(range.start)).await.map_err(storage_error("seeking in a blob"))?;
            len = range.len;
        }
        let chunks = ReaderStream::with_capacity(file.take(len), READ_SIZE);
        Ok(chunks.map_err(storage_error("reading a blob")).boxed())
    }

    async fn delete(&self, tenant: TenantId, key: &str) -> Result<(), BlobError> {
        let Ok(path) = self.blob_path(tenant, key) else { return Ok(()) };
        match tokio::fs::remove_file(path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(storage_error("deleting a blob")(error)),
            _ => Ok(()),
        }
    }

    async fn check(&self) -> Result<(), BlobError> {
        create_dir(&self.root).await?;
        let probe = PartialFile(self.root.join(format!("{}.part", self.ids.uuid())));
        create_file(&probe.0).await.map(drop)
    }
}

/// The path of an incomplete file. Dropping it removes the file, unless it has been renamed.
struct PartialFile(PathBuf);

impl Drop for PartialFile {
    fn drop(&mut self) {
        // Fails if the blob is complete, because the file has been renamed. That is expected.
        let _removed = std::fs::remove_file(&self.0);
    }
}

async fn write_stream(file: &mut File, mut content: ByteStream, max_bytes: u64) -> Result<(u64, String), BlobError> {
    let mut size: u64 = 0;
    let mut hash = Sha256::new();
    while let Some(chunk) = content.next().await {
        let chunk: Bytes = chunk?;
        size = size.saturating_add(chunk.len() as u64);
        if size > max_bytes {
            return Err(BlobError::TooLarge { limit: max_bytes });
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(storage_error("writing a blob"))?;
    }
    file.flush().await.map_err(storage_error("writing a blob"))?;
    Ok((size, hex::encode(hash.finalize())))
}

async fn create_file(path: &Path) -> Result<File, BlobError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).await.map_err(storage_error("creating a blob"))
}

/// Creates a directory with mode 0700 unless it exists, and syncs its parent so that the new entry survives a crash.
async fn create_dir(dir: &Path) -> Result<(), BlobError> {
    if tokio::fs::try_exists(dir).await.map_err(storage_error("looking for a directory"))? {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).await.map_err(storage_error("creating a directory"))?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_dir(parent).await,
        None => Ok(()),
    }
}

async fn sync_dir(dir: &Path) -> Result<(), BlobError> {
    let handle = File::open(dir).await.map_err(storage_error("opening a directory"))?;
    handle.sync_all().await.map_err(storage_error("syncing a directory"))
}

fn storage_error(activity: &'static str) -> impl Fn(io::Error) -> BlobError {
    move |source| BlobError::Storage { activity, source }
}
