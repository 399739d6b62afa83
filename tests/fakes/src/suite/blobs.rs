//! Cases on the blob store.

use super::{CaseError, CaseResult, World};
use bytes::Bytes;
use domain::ids::TenantId;
use domain::ports::{BlobError, ByteRange, ByteStream};
use futures::{StreamExt, TryStreamExt, stream};

const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn pieces(parts: &[&'static str]) -> ByteStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
    stream::iter(parts).boxed()
}

async fn read(world: &World, tenant: TenantId, key: &str, range: Option<ByteRange>) -> Result<Vec<u8>, CaseError> {
    let parts: Vec<Bytes> = world.blobs.open(tenant, key, range).await?.try_collect().await?;
    Ok(parts.concat())
}

/// The stored blob has the right size and digest.
pub async fn a_blob_is_read_completely_or_by_range(world: &World) -> CaseResult {
    let tenant = world.id();
    let stored = world.blobs.put(tenant, pieces(&["a", "", "bc"]), 3).await?;
    assert_eq!((stored.size, stored.sha256.as_str()), (3, SHA256_OF_ABC));
    assert_eq!(read(world, tenant, &stored.key, None).await?, b"abc");
    assert_eq!(read(world, tenant, &stored.key, Some(ByteRange { start: 1, len: 1 })).await?, b"b");
    assert_eq!(read(world, tenant, &stored.key, Some(ByteRange { start: 2, len: 99 })).await?, b"c");
    assert_eq!(read(world, tenant, &stored.key, Some(ByteRange { start: 9, len: 1 })).await?, b"");
    let empty = world.blobs.put(tenant, pieces(&[]), 3).await?;
    assert_eq!((empty.size, read(world, tenant, &empty.key, None).await?), (0, vec![]));
    world.blobs.check().await?;
    world.blobs.delete(tenant, &stored.key).await?;
    world.blobs.delete(tenant, &stored.key).await?;
    assert!(matches!(world.blobs.open(tenant, &stored.key, None).await, Err(BlobError::Missing { .. })));
    Ok(())
}

/// The error distinguishes an oversized upload from an interrupted one.
pub async fn a_failed_upload_stores_no_blob(world: &World) -> CaseResult {
    let tenant = world.id();
    let large = world.blobs.put(tenant, pieces(&["abc", "d"]), 3).await;
    assert!(matches!(large, Err(BlobError::TooLarge { limit: 3 })));
    let end = stream::iter([Err(BlobError::Interrupted { reason: "gone".to_owned() })]);
    let broken = world.blobs.put(tenant, pieces(&["ab"]).chain(end).boxed(), 3).await;
    assert!(matches!(broken, Err(BlobError::Interrupted { .. })));
    Ok(())
}

/// A key of another tenant is unknown, and a key is not interpreted as a path.
pub async fn nobody_else_opens_a_tenants_blob(world: &World) -> CaseResult {
    let (here, there) = (world.id::<TenantId>(), world.id::<TenantId>());
    let stored = world.blobs.put(here, pieces(&["abc"]), 3).await?;
    for key in [
        stored.key.clone(),
        format!("../{here}/{}", stored.key),
        "..".to_owned(),
        String::new(),
        "/etc/passwd".to_owned(),
    ] {
        let opened = world.blobs.open(there, &key, None).await;
        assert!(matches!(opened, Err(BlobError::Missing { .. })), "{key}");
        world.blobs.delete(there, &key).await?;
    }
    assert_eq!(read(world, here, &stored.key, None).await?, b"abc");
    Ok(())
}
