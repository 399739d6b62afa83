//! Test cases for the blob store.

use super::{CaseError, CaseResult, TestContext};
use bytes::Bytes;
use domain::ids::TenantId;
use domain::ports::{BlobError, ByteRange, ByteStream};
use futures::{StreamExt, TryStreamExt, stream};

const SHA256_OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn byte_stream(parts: &[&'static str]) -> ByteStream {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
    stream::iter(parts).boxed()
}

async fn read(
    context: &TestContext,
    tenant: TenantId,
    key: &str,
    range: Option<ByteRange>,
) -> Result<Vec<u8>, CaseError> {
    let parts: Vec<Bytes> = context.blobs.open(tenant, key, range).await?.try_collect().await?;
    Ok(parts.concat())
}

/// The stored blob has the right size and digest.
pub async fn a_blob_is_read_completely_or_by_range(context: &TestContext) -> CaseResult {
    let tenant = context.new_id();
    let blob = context.blobs.put(tenant, byte_stream(&["a", "", "bc"]), 3).await?;
    assert_eq!((blob.size, blob.sha256.as_str()), (3, SHA256_OF_ABC));
    assert_eq!(read(context, tenant, &blob.key, None).await?, b"abc");
    assert_eq!(read(context, tenant, &blob.key, Some(ByteRange { start: 1, len: 1 })).await?, b"b");
    assert_eq!(read(context, tenant, &blob.key, Some(ByteRange { start: 2, len: 99 })).await?, b"c");
    assert_eq!(read(context, tenant, &blob.key, Some(ByteRange { start: 9, len: 1 })).await?, b"");
    let empty = context.blobs.put(tenant, byte_stream(&[]), 3).await?;
    assert_eq!((empty.size, read(context, tenant, &empty.key, None).await?), (0, vec![]));
    context.blobs.check().await?;
    context.blobs.delete(tenant, &blob.key).await?;
    context.blobs.delete(tenant, &blob.key).await?;
    assert!(matches!(context.blobs.open(tenant, &blob.key, None).await, Err(BlobError::Missing { .. })));
    Ok(())
}

/// An oversized upload and an interrupted one fail with different errors.
pub async fn an_oversized_or_interrupted_upload_fails(context: &TestContext) -> CaseResult {
    let tenant = context.new_id();
    let oversized = context.blobs.put(tenant, byte_stream(&["abc", "d"]), 3).await;
    assert!(matches!(oversized, Err(BlobError::TooLarge { limit: 3 })));
    let interruption = stream::iter([Err(BlobError::Interrupted { reason: "gone".to_owned() })]);
    let interrupted = context.blobs.put(tenant, byte_stream(&["ab"]).chain(interruption).boxed(), 3).await;
    assert!(matches!(interrupted, Err(BlobError::Interrupted { .. })));
    Ok(())
}

/// A key of another tenant is unknown, and a key is not interpreted as a path.
pub async fn nobody_else_opens_a_tenants_blob(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.new_id::<TenantId>(), context.new_id::<TenantId>());
    let blob = context.blobs.put(tenant_a, byte_stream(&["abc"]), 3).await?;
    for key in [
        blob.key.clone(),
        format!("../{tenant_a}/{}", blob.key),
        "..".to_owned(),
        String::new(),
        "/etc/passwd".to_owned(),
    ] {
        let opened = context.blobs.open(tenant_b, &key, None).await;
        assert!(matches!(opened, Err(BlobError::Missing { .. })), "{key}");
        context.blobs.delete(tenant_b, &key).await?;
    }
    assert_eq!(read(context, tenant_a, &blob.key, None).await?, b"abc");
    Ok(())
}
