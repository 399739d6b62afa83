//! Stores the content of documents as objects of an S3-compatible service: `<prefix>/<tenant>/<random id>`. A user
//! cannot choose any part of an object's key.
//!
//! A small blob is one PUT request, a larger one a multipart upload. Both are atomic: an object exists only once its
//! last byte has arrived, so what can be read is always complete. The signature of each request covers the SHA-256 of
//! its body, which the service compares. A crash can leave the parts of an unfinished upload behind, which no reader
//! sees; a lifecycle rule of the bucket removes them.

use async_trait::async_trait;
use bytes::Bytes;
use domain::ids::TenantId;
use domain::ports::{BlobError, BlobStore, ByteRange, ByteStream, IdGen, StoredBlob};
use futures::{StreamExt, TryStreamExt, future, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    BackoffConfig, Certificate, ClientOptions, GetOptions, GetRange, MultipartUpload, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutPayloadMut, RetryConfig,
};
use sha2::{Digest, Sha256};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Minimum size of a part of a multipart upload, in bytes; S3 refuses parts of less than 5 MiB.
const MIN_PART_SIZE: u64 = 8 << 20;
/// Maximum number of parts of a multipart upload.
const MAX_PARTS: u64 = 10_000;
/// Number of parts that one upload sends at the same time. It bounds the memory of an upload, together with the part
/// that is being filled.
const MAX_PARTS_IN_FLIGHT: usize = 2;
/// Unit in which a part's memory is allocated, in bytes.
const BLOCK_SIZE: usize = 256 * 1024;
/// Timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum time without a response or another byte of it. It includes sending a part.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Number of retries of a failed request.
const MAX_RETRIES: usize = 3;
/// Time after which a failed request is no longer retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(10);

/// Location of the objects, and the credentials. Has no `Debug`, because it holds a secret.
#[derive(Clone)]
pub struct S3Settings {
    /// URL of the service without the bucket, such as `https://s3.plant.example:9000`.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Name of the bucket, which must exist.
    pub bucket: String,
    /// Prefix of all keys, without a slash at its ends; may be empty.
    pub prefix: String,
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Whether `endpoint` may be an `http` URL.
    pub allow_http: bool,
    /// PEM certificates of authorities that are trusted in addition to the system's.
    pub ca_certificates: Option<Vec<u8>>,
}

/// A blob in the bucket.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BlobName {
    /// The tenant that the blob belongs to.
    pub tenant: TenantId,
    /// Key of the blob.
    pub key: String,
}

/// The [`BlobStore`] implementation on an S3-compatible service.
pub struct S3BlobStore {
    objects: AmazonS3,
    prefix: Path,
    ids: Arc<dyn IdGen>,
    tasks: TaskTracker,
}

impl S3BlobStore {
    /// Creates a store without connecting. `tasks` tracks the removal of unfinished uploads.
    ///
    /// # Errors
    /// If the settings or the certificates are not valid.
    pub fn new(settings: S3Settings, ids: Arc<dyn IdGen>, tasks: TaskTracker) -> Result<Self, BlobError> {
        let invalid_certificate = storage_error("reading the certificates of the S3 service's authority");
        let mut client = ClientOptions::new()
            .with_allow_http(settings.allow_http)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(READ_TIMEOUT)
            // A limit on the whole request would cut off a slow reader's download.
            .with_timeout_disabled();
        if let Some(pem) = &settings.ca_certificates {
            for certificate in Certificate::from_pem_bundle(pem).map_err(&invalid_certificate)? {
                client = client.with_root_certificate(certificate);
            }
        }
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(2), ..BackoffConfig::default() };
        let objects = AmazonS3Builder::new()
            .with_endpoint(settings.endpoint)
            .with_region(settings.region)
            .with_bucket_name(settings.bucket)
            .with_access_key_id(settings.access_key_id)
            .with_secret_access_key(settings.secret_access_key)
            .with_client_options(client)
            .with_retry(RetryConfig { backoff, max_retries: MAX_RETRIES, retry_timeout: RETRY_TIMEOUT })
            // Not every compatible service implements the bulk request, and blobs are deleted one by one anyway.
            .with_disable_bulk_delete(true)
            .build()
            .map_err(storage_error("reading the settings of the S3 service"))?;
        let prefix = Path::parse(&settings.prefix)
            .map_err(|error| storage_error("reading the prefix of the S3 objects")(error.into()))?;
        Ok(Self { objects, prefix, ids, tasks })
    }

    /// All blobs in the bucket, in the order of their names. Objects that are not named like blobs are skipped.
    ///
    /// # Errors
    /// If the service fails.
    pub async fn list(&self) -> Result<Vec<BlobName>, BlobError> {
        let objects = self.objects.list(Some(&self.prefix)).map_err(storage_error("listing the blobs"));
        let mut names: Vec<BlobName> =
            objects.try_filter_map(|object| future::ready(Ok(self.blob_name(&object.location)))).try_collect().await?;
        names.sort_unstable();
        Ok(names)
    }

    /// Stores a blob of a backup under its name, completely or not at all.
    ///
    /// # Errors
    /// If the service or the stream fails.
    pub async fn restore(&self, name: &BlobName, content: ByteStream) -> Result<(), BlobError> {
        let id = parse_key(&name.key)?;
        self.write(self.location(name.tenant, id), content, u64::MAX).await.map(drop)
    }

    /// The key of a blob's object. Both parts are UUIDs, so neither can lead to another tenant's objects.
    fn location(&self, tenant: TenantId, id: Uuid) -> Path {
        self.prefix.clone().join(tenant.to_string()).join(id.to_string())
    }

    fn blob_name(&self, location: &Path) -> Option<BlobName> {
        let parts: Vec<_> = location.prefix_match(&self.prefix)?.collect();
        let [tenant, id] = parts.as_slice() else { return None };
        let tenant = TenantId::from_uuid(Uuid::try_parse(tenant.as_ref()).ok()?);
        let key = Uuid::try_parse(id.as_ref()).ok()?.to_string();
        Some(BlobName { tenant, key })
    }

    async fn write(&self, location: Path, mut content: ByteStream, max_bytes: u64) -> Result<Written, BlobError> {
        let part_size = part_size(max_bytes);
        let mut upload = Upload::new(self, location);
        let mut part = empty_part();
        let mut size: u64 = 0;
        let mut hash = Sha256::new();
        while let Some(chunk) = content.next().await {
            let mut chunk: Bytes = chunk?;
            size = size.saturating_add(chunk.len() as u64);
            if size > max_bytes {
                return Err(BlobError::TooLarge { limit: max_bytes });
            }
            hash.update(&chunk);
            while part.content_length() + chunk.len() >= part_size {
                part.extend_from_slice(&chunk.split_to(part_size - part.content_length()));
                upload.put_part(mem::replace(&mut part, empty_part()).freeze()).await?;
            }
            part.extend_from_slice(&chunk);
        }
        upload.complete(part.freeze()).await?;
        Ok(Written { size, sha256: hex::encode(hash.finalize()) })
    }

    /// The part of `range` that exists, as offsets; `None` if no part does.
    async fn clamp(&self, location: &Path, key: &str, range: ByteRange) -> Result<Option<GetRange>, BlobError> {
        let head = GetOptions { head: true, ..GetOptions::default() };
        let object = self.objects.get_opts(location, head).await.map_err(open_error(key))?;
        let end = range.start.saturating_add(range.len).min(object.meta.size);
        Ok((range.start < end).then_some(GetRange::Bounded(range.start..end)))
    }
}

#[async_trait]
impl BlobStore for S3BlobStore {
    async fn put(&self, tenant: TenantId, content: ByteStream, max_bytes: u64) -> Result<StoredBlob, BlobError> {
        let id = self.ids.uuid();
        let written = self.write(self.location(tenant, id), content, max_bytes).await?;
        Ok(StoredBlob { key: id.to_string(), size: written.size, sha256: written.sha256 })
    }

    async fn open(&self, tenant: TenantId, key: &str, range: Option<ByteRange>) -> Result<ByteStream, BlobError> {
        let location = self.location(tenant, parse_key(key)?);
        let mut options = GetOptions::default();
        if let Some(range) = range {
            options.range = self.clamp(&location, key, range).await?;
            if options.range.is_none() {
                return Ok(stream::empty().boxed());
            }
        }
        let object = self.objects.get_opts(&location, options).await.map_err(open_error(key))?;
        Ok(object.into_stream().map_err(storage_error("reading a blob")).boxed())
    }

    async fn delete(&self, tenant: TenantId, key: &str) -> Result<(), BlobError> {
        let Ok(id) = parse_key(key) else { return Ok(()) };
        match delete_object(&self.objects, self.location(tenant, id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(storage_error("deleting a blob")(error)),
        }
    }

    /// Begins a multipart upload and aborts it: that requires the permissions of an upload, but leaves neither an
    /// object nor a version behind.
    async fn check(&self) -> Result<(), BlobError> {
        let location = self.prefix.clone().join("readiness");
        let upload = self.objects.put_multipart_opts(&location, PutMultipartOptions::default()).await;
        let mut upload = upload.map_err(storage_error("beginning an upload"))?;
        upload.abort().await.map_err(storage_error("aborting an upload"))
    }
}

/// Size and SHA-256 (lower-case hex) of a blob that was written.
struct Written {
    size: u64,
    sha256: String,
}

/// An upload in progress. If it is dropped before it is complete, a task removes its parts from the service.
struct Upload {
    objects: AmazonS3,
    location: Path,
    tasks: TaskTracker,
    multipart: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<object_store::Result<()>>,
    /// Whether the service may have something to remove.
    is_unfinished: bool,
}

impl Upload {
    fn new(store: &S3BlobStore, location: Path) -> Self {
        Self {
            objects: store.objects.clone(),
            location,
            tasks: store.tasks.clone(),
            multipart: None,
            parts: JoinSet::new(),
            is_unfinished: false,
        }
    }

    /// Starts to send a part, once fewer than [`MAX_PARTS_IN_FLIGHT`] are being sent.
    async fn put_part(&mut self, part: PutPayload) -> Result<(), BlobError> {
        while self.parts.len() >= MAX_PARTS_IN_FLIGHT {
            self.finish_part().await?;
        }
        if self.multipart.is_none() {
            self.is_unfinished = true;
            let multipart = self.objects.put_multipart_opts(&self.location, PutMultipartOptions::default()).await;
            self.multipart = Some(multipart.map_err(storage_error("beginning an upload"))?);
        }
        if let Some(multipart) = &mut self.multipart {
            self.parts.spawn(multipart.put_part(part));
        }
        Ok(())
    }

    async fn finish_part(&mut self) -> Result<(), BlobError> {
        let activity = "writing a blob";
        match self.parts.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(error))) => Err(storage_error(activity)(error)),
            Some(Err(error)) => Err(BlobError::Storage { activity, source: io::Error::other(error) }),
        }
    }

    /// Makes the object visible. `last` is the rest of the content, which may be empty.
    async fn complete(mut self, last: PutPayload) -> Result<(), BlobError> {
        if self.multipart.is_some() {
            if last.content_length() > 0 {
                self.put_part(last).await?;
            }
            while !self.parts.is_empty() {
                self.finish_part().await?;
            }
            if let Some(multipart) = &mut self.multipart {
                multipart.complete().await.map_err(storage_error("completing a blob"))?;
            }
        } else {
            self.is_unfinished = true;
            let put = self.objects.put_opts(&self.location, last, PutOptions::default()).await;
            put.map_err(storage_error("writing a blob"))?;
        }
        self.is_unfinished = false;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if !self.is_unfinished {
            return;
        }
        self.parts.abort_all();
        let (objects, location) = (self.objects.clone(), mem::take(&mut self.location));
        let multipart = self.multipart.take();
        self.tasks.spawn_on(remove_unfinished(objects, location, multipart), &runtime);
    }
}

/// Removes the parts of an upload, and the object, in case only the response to the last request was lost.
async fn remove_unfinished(objects: AmazonS3, location: Path, multipart: Option<Box<dyn MultipartUpload>>) {
    if let Some(mut multipart) = multipart
        && let Err(error) = multipart.abort().await
    {
        tracing::warn!(%error, "an unfinished upload could not be aborted; a lifecycle rule must remove its parts");
    }
    if let Err(error) = delete_object(&objects, location).await
        && !matches!(error, object_store::Error::NotFound { .. })
    {
        tracing::warn!(%error, "the object of a failed upload could not be deleted; no document refers to it");
    }
}

async fn delete_object(objects: &AmazonS3, location: Path) -> object_store::Result<()> {
    let location = stream::once(future::ready(Ok(location))).boxed();
    objects.delete_stream(location).try_for_each(|_| future::ready(Ok(()))).await
}

fn empty_part() -> PutPayloadMut {
    PutPayloadMut::new().with_block_size(BLOCK_SIZE)
}

/// Size of the parts of an upload of at most `max_bytes`, so that their number stays within the limit.
fn part_size(max_bytes: u64) -> usize {
    // An upload without a limit comes from a backup, whose files are as large as uploads may be.
    let bounded = if max_bytes == u64::MAX { 0 } else { max_bytes.div_ceil(MAX_PARTS) };
    usize::try_from(bounded.max(MIN_PART_SIZE)).unwrap_or(usize::MAX)
}

/// Keys are UUIDs generated here; any other key is reported as a missing blob, which also rules out path traversal.
fn parse_key(key: &str) -> Result<Uuid, BlobError> {
    Uuid::try_parse(key).map_err(|_| BlobError::Missing { key: key.to_owned() })
}

/// A missing object is a missing blob; a missing bucket is a failure of the storage.
fn open_error(key: &str) -> impl Fn(object_store::Error) -> BlobError {
    move |error| match &error {
        object_store::Error::NotFound { source, .. } if !source.to_string().contains("NoSuchBucket") => {
            BlobError::Missing { key: key.to_owned() }
        }
        _ => storage_error("opening a blob")(error),
    }
}

fn storage_error(activity: &'static str) -> impl Fn(object_store::Error) -> BlobError {
    move |source| BlobError::Storage { activity, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoIds;

    impl IdGen for NoIds {
        fn uuid(&self) -> Uuid {
            Uuid::nil()
        }
    }

    fn store(prefix: &str) -> S3BlobStore {
        let settings = S3Settings {
            endpoint: "http://127.0.0.1:1".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "files".to_owned(),
            prefix: prefix.to_owned(),
            access_key_id: "id".to_owned(),
            secret_access_key: "secret".to_owned(),
            allow_http: true,
            ca_certificates: None,
        };
        S3BlobStore::new(settings, Arc::new(NoIds), TaskTracker::new()).expect("valid settings")
    }

    #[test]
    fn a_key_names_the_tenant_and_is_read_back() {
        let (tenant, id) = (TenantId::from_uuid(Uuid::from_u128(7)), Uuid::from_u128(9));
        for prefix in ["documents", "a/b", ""] {
            let store = store(prefix);
            let location = store.location(tenant, id);
            let text = location.to_string();
            assert!(text.starts_with(prefix) && text.ends_with(&format!("{tenant}/{id}")), "{text}");
            assert_eq!(store.blob_name(&location), Some(BlobName { tenant, key: id.to_string() }));
            assert_eq!(store.blob_name(&location.join("more")), None);
        }
        let other = Path::from(format!("documents-old/{tenant}/{id}"));
        assert_eq!(store("documents").blob_name(&other), None, "a prefix ends at a slash");
    }

    #[test]
    fn no_upload_has_more_parts_than_s3_allows() {
        for max_bytes in [1, 100 << 20, 1 << 40, u64::MAX - 1] {
            let parts = max_bytes.div_ceil(part_size(max_bytes) as u64);
            assert!(parts <= MAX_PARTS, "{max_bytes}");
        }
        assert_eq!(part_size(100 << 20), 8 << 20);
    }
}
