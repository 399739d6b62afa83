//! Downloads of documents, always as an attachment: the whole file, one range, and conditional requests.

use crate::support::*;
use axum::body::Bytes;
use domain::command::{DownloadDocument, GetDocument};
use domain::ports::{ByteRange, ByteStream};
use domain::role::Role;
use domain::upload::Download;
use futures::StreamExt;
use policy::gate::MockGate;

const PATH: &str = "/v1/documents/00000000-0000-0000-0000-00000000f004/content";

fn gate() -> MockGate {
    let mut gate = gate_for(Role::User);
    gate.on::<GetDocument>(|_, _| Ok(document()));
    gate.on::<DownloadDocument>(|_, command| {
        let ByteRange { start, len } = command.range.unwrap_or(ByteRange { start: 0, len: 10 });
        let bytes = b"0123456789"[start as usize..(start + len) as usize].to_vec();
        let stream: ByteStream = futures::stream::iter([Ok(Bytes::from(bytes))]).boxed();
        Ok(Download { document: document(), content: stream })
    });
    gate
}

#[tokio::test]
async fn a_download_is_an_attachment_in_a_sandbox() {
    let reply = send(&router(gate(), settings()), get(PATH)).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (200, "0123456789"));
    for (name, value) in [
        ("content-type", "application/pdf"),
        ("content-length", "10"),
        ("content-disposition", "attachment; filename=\"Pr_fung.pdf\"; filename*=UTF-8''Pr%C3%BCfung.pdf"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("etag", "\"ab12\""),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_range_is_served_and_a_range_beyond_the_end_is_refused() {
    let router = router(gate(), settings());
    for (range, text, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ] {
        let reply = send(&router, with_header(get(PATH), "range", range)).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (206, text));
        assert_eq!(reply.header("content-range"), Some(content_range));
        assert_eq!(reply.header("content-length"), Some(text.len().to_string().as_str()));
    }
    let reply = send(&router, with_header(get(PATH), "range", "bytes=10-")).await;
    assert_eq!((reply.status.as_u16(), reply.header("content-range")), (416, Some("bytes */10")));
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    let outdated = with_header(with_header(get(PATH), "range", "bytes=2-4"), "if-range", "\"old\"");
    assert_eq!(send(&router, outdated).await.status, 200);
}

#[tokio::test]
async fn a_matching_etag_returns_not_modified() {
    let router = router(gate(), settings());
    let reply = send(&router, with_header(get(PATH), "if-none-match", "\"x\", W/\"ab12\"")).await;
    assert_eq!((reply.status.as_u16(), reply.text.as_str()), (304, ""));
    assert_eq!(send(&router, with_header(get(PATH), "if-none-match", "\"x\"")).await.status, 200);
}
