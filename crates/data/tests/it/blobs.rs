//! The file store: file permissions, and cleanup after incomplete uploads.

use bytes::Bytes;
use data::FsBlobStore;
use data::testing::TestError;
use domain::ids::TenantId;
use domain::ports::{BlobError, BlobStore, ByteStream};
use fakes::SequentialIds;
use futures::{StreamExt, stream};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TENANT: TenantId = TenantId::from_uuid(uuid::Uuid::from_u128(7));

fn blob_store() -> Result<(FsBlobStore, tempfile::TempDir), TestError> {
    let dir = tempfile::tempdir()?;
    Ok((FsBlobStore::new(dir.path().join("blobs"), Arc::new(SequentialIds::default())), dir))
}

fn byte_stream(parts: &[&'static str]) -> ByteStream {
    stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>()).boxed()
}

fn list_files(root: &Path) -> Result<Vec<PathBuf>, TestError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() { paths.extend(list_files(&path)?) } else { paths.push(path) }
    }
    Ok(paths)
}

#[tokio::test]
async fn files_and_directories_are_accessible_to_the_owner_only() -> Result<(), TestError> {
    let (store, dir) = blob_store()?;
    let blob = store.put(TENANT, byte_stream(&["abc"]), 9).await?;
    let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
    let tenant_dir = dir.path().join("blobs").join(TENANT.to_string());
    assert_eq!(
        (mode(&dir.path().join("blobs"))?, mode(&tenant_dir)?, mode(&tenant_dir.join(&blob.key))?),
        (0o700, 0o700, 0o600)
    );
    assert_eq!(list_files(dir.path())?, [tenant_dir.join(&blob.key)]);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_fails_leaves_no_file() -> Result<(), TestError> {
    let (store, dir) = blob_store()?;
    assert!(store.put(TENANT, byte_stream(&["ab", "cd"]), 3).await.is_err());
    let interrupted_stream =
        byte_stream(&["ab"]).chain(stream::iter([Err(BlobError::Interrupted { reason: "cut".to_owned() })]));
    assert!(store.put(TENANT, interrupted_stream.boxed(), 9).await.is_err());
    assert_eq!(list_files(dir.path())?, Vec::<PathBuf>::new());
    Ok(())
}

#[tokio::test]
async fn a_cancelled_upload_leaves_no_file_and_is_never_visible_half_written() -> Result<(), TestError> {
    let (store, dir) = blob_store()?;
    // A sender that stalls after two bytes.
    let (pending_stream, first_chunk_sent) = (stream::pending(), Arc::new(tokio::sync::Notify::new()));
    let notify = first_chunk_sent.clone();
    let stalled_stream = byte_stream(&["ab"])
        .chain(stream::once(async move {
            notify.notify_one();
            Ok(Bytes::new())
        }))
        .chain(pending_stream);
    tokio::select! {
        _ = store.put(TENANT, stalled_stream.boxed(), 9) => return Err("the upload cannot end".into()),
        () = first_chunk_sent.notified() => {
            let files_during_upload = list_files(dir.path())?;
            let is_partial = |path: &PathBuf| path.extension().is_some_and(|part| part == "part");
            assert!(files_during_upload.iter().all(is_partial), "{files_during_upload:?}");
        }
    }
    assert_eq!(list_files(dir.path())?, Vec::<PathBuf>::new());
    Ok(())
}

/// A `.part` file that a crash during an upload has left behind cannot be read and does not get in the way.
#[tokio::test]
async fn a_partial_file_left_by_a_crash_is_not_a_blob() -> Result<(), TestError> {
    let (store, dir) = blob_store()?;
    let tenant_dir = dir.path().join("blobs").join(TENANT.to_string());
    fs::create_dir_all(&tenant_dir)?;
    let id = uuid::Uuid::from_u128(9);
    fs::write(tenant_dir.join(format!("{id}.part")), "ab")?;
    for key in [id.to_string(), format!("{id}.part")] {
        assert!(matches!(store.open(TENANT, &key, None).await, Err(BlobError::Missing { .. })), "{key}");
    }
    store.put(TENANT, byte_stream(&["abc"]), 9).await?;
    Ok(())
}

#[tokio::test]
async fn the_check_fails_if_the_directory_is_not_writable() -> Result<(), TestError> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, "")?;
    // A file in place of the directory, because permissions would not stop the root user.
    let store = FsBlobStore::new(file.join("blobs"), Arc::new(SequentialIds::default()));
    assert!(matches!(store.check().await, Err(BlobError::Storage { .. })));
    assert!(matches!(store.put(TENANT, byte_stream(&["a"]), 9).await, Err(BlobError::Storage { .. })));
    Ok(())
}
