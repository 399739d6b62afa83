//! Uploads: fields in any order, streaming, size limits, and field errors.

use crate::support::*;
use axum::body::{Body, Bytes};
use axum::http::Request;
use domain::command::UploadDocument;
use domain::decision::RefusalCode;
use domain::document::DocumentStatus;
use domain::ports::BlobError;
use domain::role::Role;
use domain::upload::UploadOutcome;
use futures::{StreamExt, TryStreamExt};
use gateway::GatewaySettings;
use policy::error::GateError;
use policy::gate::MockGate;
use runtime::error::RuntimeError;
use std::sync::{Arc, Mutex};
use tools::error::IngestError;

const PATH: &str = "/v1/documents/upload";
const FILE: (&str, Option<&str>, &str) = ("file", Some("dir/SOP 12.pdf"), "%PDF");

/// Name, file name and content of a form field. Fields that are not files have no file name.
type Part<'a> = (&'a str, Option<&'a str>, &'a str);

fn form(parts: &[Part<'_>]) -> String {
    let mut body = String::new();
    for (name, file, content) in parts {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body += &format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n");
    }
    body + "--B--\r\n"
}

fn post(body: impl Into<Body>) -> Request<Body> {
    with_header(request("POST", PATH, body.into()), "content-type", "multipart/form-data; boundary=B")
}

/// Runs a future to completion on another thread, because the mock's handlers are synchronous.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        scope.spawn(move || runtime.block_on(future)).join().expect("no panic")
    })
}

/// A gate that reads the whole upload, as the real use case does, and stores a description of it in `description`.
fn reading_gate(description: &Arc<Mutex<String>>) -> MockGate {
    let description = Arc::clone(description);
    let mut gate = gate_for(Role::User);
    gate.on::<UploadDocument>(move |_, UploadDocument { upload, .. }| {
        let read_upload = async {
            let bytes: Vec<Bytes> = upload.bytes.try_collect().await.map_err(IngestError::from)?;
            let form = upload.form.await.map_err(IngestError::from)?;
            Ok::<_, IngestError>(format!("{:?} {form:?}", String::from_utf8_lossy(&bytes.concat())))
        };
        match block_on(read_upload) {
            Ok(text) => {
                *description.lock().expect("a lock") = text;
                let mut document = document();
                document.status = DocumentStatus::Pending;
                Ok(UploadOutcome::Created(document))
            }
            Err(error) => Err(GateError::Runtime(RuntimeError::Ingest(error))),
        }
    });
    gate
}

#[tokio::test]
async fn fields_may_come_before_or_after_the_file() {
    let fields = [
        ("tags", None, r#"["valve", "pump"]"#),
        ("doc_type", None, "procedure"),
        ("classification", None, "restricted"),
        ("revision", None, "C"),
        ("effective_from", None, "2026-03-01"),
        ("supersedes", None, "00000000-0000-0000-0000-00000000f005"),
        ("metadata", None, r#"{"unit":"U100"}"#),
    ];
    let (mut before, mut after) = (fields.to_vec(), vec![FILE]);
    before.push(FILE);
    after.extend(fields);
    for parts in [before, after] {
        let description = Arc::default();
        let reply = send(&router(reading_gate(&description), settings()), post(form(&parts))).await;
        assert_eq!(reply.status, 202, "{}", reply.text);
        assert_eq!(reply.text, r#"{"document_id":"00000000-0000-0000-0000-00000000f004","status":"processing"}"#);
        let location = "/v1/documents/00000000-0000-0000-0000-00000000f004";
        assert_eq!(reply.header("location"), Some(location));
        insta::allow_duplicates! {
            insta::assert_snapshot!("form", *description.lock().expect("a lock"));
        }
    }
}

#[tokio::test]
async fn a_duplicate_returns_a_200_with_the_status_of_the_document() {
    let mut gate = gate_for(Role::User);
    gate.on::<UploadDocument>(|_, _| Ok(UploadOutcome::Duplicate(document())));
    let reply = send(&router(gate, settings()), post(form(&[FILE]))).await;
    assert_eq!((reply.status.as_u16(), reply.json()["status"].as_str()), (200, Some("ready")));
}

#[tokio::test]
async fn tags_are_a_json_array_or_separated_by_commas() {
    for (input, expected) in [("a, b ,,a", r#"[BoundedText("a"), BoundedText("b")]"#), ("", "[]"), ("[]", "[]")] {
        let description = Arc::default();
        let body = form(&[("tags", None, input), FILE]);
        assert_eq!(send(&router(reading_gate(&description), settings()), post(body)).await.status, 202);
        let description = description.lock().expect("a lock");
        assert!(description.contains(&format!("tags: {expected}")), "{description}");
    }
}

#[tokio::test]
async fn a_validation_error_names_the_invalid_form_field() {
    let router = router(reading_gate(&Arc::default()), settings());
    let long = "x".repeat(65 << 10);
    let name = "n".repeat(256);
    for (parts, pointer) in [
        (vec![("tags", None, "a")], "/file"),
        (vec![FILE, FILE], "/file"),
        (vec![("file", None, "x")], "/file"),
        (vec![("file", Some("/"), "x")], "/file"),
        (vec![("file", Some(&*name), "x")], "/file"),
        (vec![FILE, ("classification", None, "secret")], "/classification"),
        (vec![("classification", None, "secret"), FILE], "/classification"),
        (vec![FILE, ("metadata", None, "[1]")], "/metadata"),
        (vec![FILE, ("metadata", None, "{")], "/metadata"),
        (vec![FILE, ("metadata", None, r#"{"a":"\u0000"}"#)], "/metadata/a"),
        (vec![FILE, ("metadata", None, &*long)], "/metadata"),
        (vec![FILE, ("tags", None, "[1]")], "/tags"),
        (vec![FILE, ("doc_type", None, " ")], "/doc_type"),
        (vec![FILE, ("doc_type", None, "a"), ("doc_type", None, "b")], "/doc_type"),
        (vec![FILE, ("revision", None, &*name)], "/revision"),
        (vec![FILE, ("effective_from", None, "next week")], "/effective_from"),
        (vec![FILE, ("effective_from", None, "2026-02-30")], "/effective_from"),
        (vec![FILE, ("effective_from", None, "-200000-01-01")], "/effective_from"),
        (vec![FILE, ("supersedes", None, "sop-12.pdf")], "/supersedes"),
        (vec![FILE, ("colour", None, "red")], "/colour"),
    ] {
        let reply = send(&router, post(form(&parts))).await;
        assert_eq!(reply.problem(), (422, "validation".into(), Some(pointer.into())), "{parts:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_complete_form_is_refused() {
    let router = router(reading_gate(&Arc::default()), settings());
    let json = with_header(post("{}"), "content-type", "application/json");
    assert_eq!(send(&router, json).await.problem().0, 415);
    let truncated = form(&[FILE]).replace("--B--", "");
    assert_eq!(send(&router, post(truncated)).await.problem().0, 400);
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_with_or_without_content_length() {
    let settings = GatewaySettings { max_upload_bytes: 8, ..settings() };
    let router = router(reading_gate(&Arc::default()), settings);
    let reply_at_limit = send(&router, post(form(&[("file", Some("a"), "12345678")]))).await;
    assert_eq!(reply_at_limit.status, 202);
    let reply_above_limit = send(&router, post(form(&[("file", Some("a"), "123456789")]))).await;
    assert_eq!(reply_above_limit.problem(), (413, "payload_too_large".into(), None));
    let announced = with_header(post(Body::empty()), "content-length", "2000000");
    assert_eq!(send(&router, announced).await.problem().0, 413);
}

#[tokio::test]
async fn an_endless_part_header_is_refused() {
    let router = router(reading_gate(&Arc::default()), settings());
    let endless = futures::stream::repeat(Bytes::from(vec![b'x'; 64 << 10])).map(Ok::<_, std::io::Error>);
    let start = futures::stream::iter([Ok(Bytes::from_static(b"--B\r\nX: "))]);
    let body = Body::from_stream(start.chain(endless).take(10_000));
    assert_eq!(send(&router, post(body)).await.problem().0, 400);
}

#[tokio::test]
async fn the_body_is_read_after_authorization_and_discarded_after_a_refusal() {
    let chunks_read = Arc::new(Mutex::new(0_usize));
    let (chunks_read_at_decision, counter) = (Arc::clone(&chunks_read), Arc::clone(&chunks_read));
    let mut gate = gate_for(Role::Viewer);
    gate.on::<UploadDocument>(move |_, _| {
        assert_eq!(*chunks_read_at_decision.lock().expect("a lock"), 0);
        Err(GateError::OperationDenied { reason: RefusalCode::InsufficientRights, decision_id: None })
    });
    let chunks = futures::stream::iter(vec![Bytes::from_static(b"--B\r\n"); 3]).map(move |chunk| {
        *counter.lock().expect("a lock") += 1;
        Ok::<_, BlobError>(chunk)
    });
    let reply = send(&router(gate, settings()), post(Body::from_stream(chunks))).await;
    assert_eq!(reply.problem(), (403, "policy_denied".into(), None));
    // If the server did not read the rest of the body, the client would not receive the refusal.
    assert_eq!(*chunks_read.lock().expect("a lock"), 3);
}
