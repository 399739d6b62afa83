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

fn store() -> Result<(FsBlobStore, tempfile::TempDir), TestError> {
    let dir = tempfile::tempdir()?;
    Ok((FsBlobStore::new(dir.path().join("blobs"), Arc::new(SequentialIds::default())), dir))
}

fn bytes(parts: &[&'static str]) -> ByteStream {
    stream::iter(parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect::<Vec<_>>()).boxed()
}

fn files(root: &Path) -> Result<Vec<PathBuf>, TestError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

#[tokio::test]
async fn files_and_folders_are_accessible_to_the_owner_only() -> Result<(), TestError> {
    let (store, dir) = store()?;
    let stored = store.put(TENANT, bytes(&["abc"]), 9).await?;
    let mode = |path: &Path| fs::metadata(path).map(|found| found.permissions().mode() & 0o777);
    let folder = dir.path().join("blobs").join(TENANT.to_string());
    assert_eq!(
        (mode(&dir.path().join("blobs"))?, mode(&folder)?, mode(&folder.join(&stored.key))?),
        (0o700, 0o700, 0o600)
    );
    assert_eq!(files(dir.path())?, [folder.join(&stored.key)]);
    Ok(())
}

#[tokio::test]
async fn an_upload_that_fails_leaves_no_file() -> Result<(), TestError> {
    let (store, dir) = store()?;
    assert!(store.put(TENANT, bytes(&["ab", "cd"]), 3).await.is_err());
    let cut = bytes(&["ab"]).chain(stream::iter([Err(BlobError::Interrupted { reason: "cut".to_owned() })]));
    assert!(store.put(TENANT, cut.boxed(), 9).await.is_err());
    assert_eq!(files(dir.path())?, Vec::<PathBuf>::new());
    Ok(())
}

#[tokio::test]
async fn a_cancelled_upload_leaves_no_file_and_is_never_visible_half_written() -> Result<(), TestError> {
    let (store, dir) = store()?;
    // A sender that stalls after two bytes.
    let (stalled, arrived) = (stream::pending(), Arc::new(tokio::sync::Notify::new()));
    let seen = arrived.clone();
    let sender = bytes(&["ab"])
        .chain(stream::once(async move {
            seen.notify_one();
            Ok(Bytes::new())
        }))
        .chain(stalled);
    tokio::select! {
        _ = store.put(TENANT, sender.boxed(), 9) => return Err("the upload cannot end".into()),
        () = arrived.notified() => {
            let half = files(dir.path())?;
            assert!(half.iter().all(|path| path.extension().is_some_and(|part| part == "part")), "{half:?}");
        }
    }
    assert_eq!(files(dir.path())?, Vec::<PathBuf>::new());
    Ok(())
}

/// A `.part` file that a crash during an upload has left behind cannot be read and does not get in the way.
#[tokio::test]
async fn a_partial_file_left_by_a_crash_is_not_a_blob() -> Result<(), TestError> {
    let (store, dir) = store()?;
    let folder = dir.path().join("blobs").join(TENANT.to_string());
    fs::create_dir_all(&folder)?;
    let id = uuid::Uuid::from_u128(9);
    fs::write(folder.join(format!("{id}.part")), "ab")?;
    for key in [id.to_string(), format!("{id}.part")] {
        assert!(matches!(store.open(TENANT, &key, None).await, Err(BlobError::Missing { .. })), "{key}");
    }
    store.put(TENANT, bytes(&["abc"]), 9).await?;
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_to_is_not_ready() -> Result<(), TestError> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("file");
    fs::write(&file, "")?;
    // A file in place of the folder, because permissions would not stop the root user.
    let store = FsBlobStore::new(file.join("blobs"), Arc::new(SequentialIds::default()));
    assert!(matches!(store.check().await, Err(BlobError::Storage { .. })));
    assert!(matches!(store.put(TENANT, bytes(&["a"]), 9).await, Err(BlobError::Storage { .. })));
    Ok(())
}
