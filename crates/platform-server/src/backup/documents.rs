//! The documents' files in a backup: linked where they are in a directory, copied where they are in a bucket.

use super::archive::ArchiveWriter;
use super::linked_files::LinkedFiles;
use super::{BLOBS, create_private};
use crate::blobs;
use crate::config::{Settings, StorageKind};
use crate::system::TimeOrderedIds;
use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::digest::{Context as Digest, SHA256};
use data::{BlobName, S3BlobStore};
use domain::ids::TenantId;
use domain::ports::{BlobError, BlobStore, ByteStream, IdGen};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::io::ReaderStream;
use tokio_util::task::TaskTracker;

/// The documents' files while a backup is made.
pub(super) enum DocumentFiles {
    /// Files of a directory. They are linked, which takes no room, and added at the end.
    Linked(LinkedFiles),
    /// Objects of a bucket. They cannot be linked, so they are added as they are found.
    Objects(CopiedObjects),
}

impl DocumentFiles {
    /// The files of the settings' storage. `scratch` is a directory for one file at a time.
    pub(super) fn open(settings: &Settings, scratch: &Path) -> Result<Self> {
        match settings.storage.kind {
            StorageKind::Filesystem => LinkedFiles::create(&settings.storage.dir).map(Self::Linked),
            StorageKind::S3 => Ok(Self::Objects(CopiedObjects {
                store: s3_store(settings)?,
                copied: BTreeSet::new(),
                buffer: scratch.join("object"),
            })),
        }
    }

    /// Keeps the files that are not kept yet, so that the backup has them even if they are deleted afterwards.
    pub(super) async fn keep_new(&mut self, archive: &mut ArchiveWriter) -> Result<()> {
        match self {
            Self::Linked(files) => files.link_new(),
            Self::Objects(objects) => objects.copy_new(archive).await,
        }
    }

    /// Adds the files that are not in the archive yet.
    pub(super) fn finish(self, archive: &mut ArchiveWriter) -> Result<()> {
        if let Self::Linked(files) = self {
            for file in files.iter() {
                archive.add_file(&format!("{BLOBS}{}", file.name), file.path)?;
            }
        }
        Ok(())
    }
}

/// The objects of a bucket, and which of them the archive has.
pub(super) struct CopiedObjects {
    store: S3BlobStore,
    copied: BTreeSet<BlobName>,
    /// The object that is being copied, because the archive needs its size first.
    buffer: PathBuf,
}

impl CopiedObjects {
    async fn copy_new(&mut self, archive: &mut ArchiveWriter) -> Result<()> {
        for name in self.store.list().await.context("the documents' files cannot be listed")? {
            if self.copied.contains(&name) {
                continue;
            }
            let content = match self.store.open(name.tenant, &name.key, None).await {
                Ok(content) => content,
                // The file was deleted after the bucket was listed.
                Err(BlobError::Missing { .. }) => continue,
                Err(error) => return Err(error).context("a document's file cannot be read"),
            };
            write_to(&self.buffer, content).await?;
            archive.add_file(&format!("{BLOBS}{}/{}", name.tenant, name.key), &self.buffer)?;
            fs::remove_file(&self.buffer)?;
            self.copied.insert(name);
        }
        Ok(())
    }
}

async fn write_to(path: &Path, mut content: ByteStream) -> Result<()> {
    let mut file = create_private(path)?;
    while let Some(bytes) = content.try_next().await.context("a document's file cannot be read")? {
        file.write_all(&bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The directory to which a backup's files are extracted: the storage directory, or for a bucket one below `scratch`,
/// from which [`upload`] takes them once the backup has proved to be intact.
pub(super) fn extraction_dir(settings: &Settings, scratch: &Path) -> PathBuf {
    match settings.storage.kind {
        StorageKind::Filesystem => settings.storage.dir.clone(),
        StorageKind::S3 => scratch.join("blobs"),
    }
}

/// Fails if the storage has files already.
pub(super) async fn ensure_empty(settings: &Settings) -> Result<()> {
    match settings.storage.kind {
        StorageKind::Filesystem => {
            let dir = &settings.storage.dir;
            let is_empty = fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
            ensure!(is_empty, "{} is not empty: restore into a new directory", dir.display());
        }
        StorageKind::S3 => {
            let names = s3_store(settings)?.list().await.context("the bucket cannot be listed")?;
            ensure!(
                names.is_empty(),
                "the bucket has documents' files: restore into a new bucket or storage.s3.prefix"
            );
        }
    }
    Ok(())
}

/// Uploads the extracted files if the storage is a bucket.
pub(super) async fn upload(settings: &Settings, extracted: &Path) -> Result<()> {
    if settings.storage.kind == StorageKind::Filesystem || !extracted.is_dir() {
        return Ok(());
    }
    let store = s3_store(settings)?;
    for tenant in fs::read_dir(extracted)? {
        let tenant = tenant?;
        let id: TenantId =
            tenant.file_name().to_string_lossy().parse().context("the backup has an entry with an invalid name")?;
        for file in fs::read_dir(tenant.path())? {
            let file = file?;
            let name = BlobName { tenant: id, key: file.file_name().to_string_lossy().into_owned() };
            let content = tokio::fs::File::open(file.path()).await?;
            let content = ReaderStream::new(content)
                .map_err(|source| BlobError::Storage { activity: "reading an extracted file", source });
            store.restore(&name, content.boxed()).await.context("a document's file cannot be uploaded")?;
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// The SHA-256 of a blob, in lower-case hex.
pub(super) async fn sha256(blobs: &dyn BlobStore, tenant: TenantId, key: &str) -> Result<String, BlobError> {
    let mut content = blobs.open(tenant, key, None).await?;
    let mut digest = Digest::new(&SHA256);
    while let Some(bytes) = content.try_next().await? {
        digest.update(&bytes);
    }
    Ok(super::archive::to_hex(digest.finish().as_ref()))
}

/// The store of the settings' storage.
pub(super) fn blob_store(settings: &Settings) -> Result<Arc<dyn BlobStore>> {
    blobs::blob_store(settings, &ids(), &TaskTracker::new())
}

fn s3_store(settings: &Settings) -> Result<S3BlobStore> {
    blobs::s3_store(settings, &ids(), &TaskTracker::new())
}

fn ids() -> Arc<dyn IdGen> {
    Arc::new(TimeOrderedIds)
}
