//! Invalid requests: each is refused with the right status and a helpful message, and leaves no partial data behind.

use crate::support::api_client::{ApiClient, ApiResponse, BOUNDARY, multipart_content_type, multipart_head};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MIB: usize = 1 << 20;

/// Asserts that every stored file has a document row and every row has a file, and that every job has a document.
async fn assert_no_partial_data(app: &TestApp) {
    let rows = SuperuserDb::connect(app)
        .await
        .rows("SELECT tenant_id || '/' || storage_path AS file FROM documents", &[])
        .await;
    let recorded_files: BTreeSet<String> =
        rows.iter().filter_map(|row| row["file"].as_str()).map(str::to_owned).collect();
    let mut stored_files = BTreeSet::new();
    for tenant in std::fs::read_dir(&app.storage_dir).expect("the storage directory").flatten() {
        for file in std::fs::read_dir(tenant.path()).expect("a tenant's directory").flatten() {
            stored_files.insert(format!("{}/{}", tenant.file_name().display(), file.file_name().display()));
        }
    }
    assert_eq!(stored_files, recorded_files);
    let count_orphaned_jobs =
        "SELECT count(*) FROM jobs j WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = j.document_id)";
    assert_eq!(SuperuserDb::connect(app).await.count(count_orphaned_jobs, &[]).await, 0, "jobs without a document");
}

async fn assert_ingestion_fails(user: &ApiClient<'_>, name: &str, bytes: &[u8], code: &str) {
    let document = user.ingest(name, bytes, &[]).await;
    assert_eq!((&document["status"], &document["error"]["code"]), (&json!("failed"), &json!(code)), "{document}");
    assert!(document["error"]["detail"].as_str().is_some_and(|text| text.len() > 15), "{document}");
    assert_eq!(document["chunk_count"], 0, "{document}");
}

/// Uses a separate platform, because other tests upload files to the shared one at the same time.
#[tokio::test]
async fn invalid_files_are_refused_or_fail_and_leave_nothing_behind() {
    let app = TestApp::start(&[]).await;
    let user = app.as_user(TENANT_A);
    let empty = user.upload("empty.pdf", b"", &[]).await;
    assert_eq!(empty.expect_problem(422, "validation")["errors"][0]["pointer"], "/file");
    let elf_program = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 4_000]].concat();
    user.upload("manual.pdf", &elf_program, &[]).await.expect_problem(415, "unsupported_media");
    let windows_program =
        [b"MZ\x90\0\x03\0\0\0".as_slice(), &[0; 4_000], b"This program cannot be run in DOS mode."].concat();
    user.upload("manual.pdf", &windows_program, &[]).await.expect_problem(415, "unsupported_media");
    let wrong_field = user.upload("note.md", &files::note("N-1"), &[("color", "red")]).await;
    assert_eq!(wrong_field.expect_problem(422, "validation")["errors"][0]["pointer"], "/color");
    let wrong_value = user.upload("note.md", &files::note("N-1"), &[("classification", "secret")]).await;
    assert_eq!(wrong_value.expect_problem(422, "validation")["errors"][0]["pointer"], "/classification");
    let no_file = user.request(Method::POST, "/v1/documents/upload").header("content-type", multipart_content_type());
    let no_file = ApiResponse::send(no_file.body(format!("--{BOUNDARY}--\r\n"))).await;
    assert_eq!(no_file.expect_problem(422, "validation")["errors"][0]["pointer"], "/file");
    let truncated = user.request(Method::POST, "/v1/documents/upload").header("content-type", multipart_content_type());
    let truncated = ApiResponse::send(truncated.body(multipart_head("cut.md", &[]) + "# Cut o")).await;
    assert!((400..500).contains(&truncated.status), "{truncated:?}");
    assert_eq!(user.get("/v1/documents").await.expect_json(200)["data"], json!([]), "nothing was accepted");
    assert_no_partial_data(&app).await;

    let pdf = files::demo_document("ELE-MCC2-load-list.pdf");
    assert_ingestion_fails(&user, "broken.pdf", &pdf[..pdf.len() / 3], "corrupt").await;
    assert_ingestion_fails(&user, "encrypted.pdf", &files::parser_fixture("password.pdf"), "encrypted").await;
    assert_ingestion_fails(&user, "scanned.pdf", &files::parser_fixture("scanned.pdf"), "no_text").await;
    assert_no_partial_data(&app).await;

    let note = files::note("N-1");
    assert_eq!(user.ingest("note.md", &note, &[("tags", "a, b")]).await["status"], "ready");
    assert_eq!(user.ingest("whole.pdf", &pdf, &[]).await["status"], "ready");
    assert_no_partial_data(&app).await;
}

/// An upload form with a file of `mib` MiB, generated while it is sent; returns the form and its length in bytes.
fn large_form(mib: usize) -> (Body, usize) {
    let chunk = Bytes::from(vec![b'x'; MIB]);
    let (head, tail) = (multipart_head("large.txt", &[]), format!("\r\n--{BOUNDARY}--\r\n"));
    let size = head.len() + mib * MIB + tail.len();
    let pieces = futures::stream::iter(std::iter::repeat_n(chunk, mib));
    let body = futures::stream::iter([Bytes::from(head)]).chain(pieces).chain(futures::stream::iter([tail.into()]));
    (Body::wrap_stream(body.map(Ok::<_, std::io::Error>)), size)
}

#[tokio::test]
async fn a_file_of_300_mb_is_refused_with_and_without_content_length() {
    let app = TestApp::start(&[]).await;
    let user = app.as_user(TENANT_A);
    for with_content_length in [true, false] {
        let (body, size) = large_form(300);
        let request =
            user.request(Method::POST, "/v1/documents/upload").header("content-type", multipart_content_type());
        let request = if with_content_length { request.header("content-length", size) } else { request };
        let problem = ApiResponse::send(request.body(body)).await.expect_problem(413, "payload_too_large");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("100 MiB")), "{problem}");
    }
    assert_eq!(user.get("/v1/documents").await.expect_json(200)["data"], json!([]));
    assert_eq!(user.upload("small.md", &files::note("N-2"), &[]).await.status, 202);
    assert_no_partial_data(&app).await;
}

#[tokio::test]
async fn malformed_json_is_400_and_an_invalid_value_is_422_with_its_pointer() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let chat_path = format!("/v1/conversations/{conversation}/chat");
    for malformed in [b"{\"message\": \"caf\xe9\"}".as_slice(), b"{\"message\": ", b"", b"{} {}"] {
        user.post_raw(&chat_path, malformed.to_vec()).await.expect_problem(400, "malformed");
    }
    let invalid_requests = [
        (chat_path.as_str(), json!({ "message": "" }), "/message"),
        (&chat_path, json!({ "message": "a\u{0}b" }), "/message"),
        (&chat_path, json!({ "message": "x".repeat(32_001) }), "/message"),
        (&chat_path, json!({ "message": "x", "mesage": "y" }), "/mesage"),
        (&chat_path, json!({ "message": "x", "model": "huge" }), "/model"),
        (&chat_path, json!({ "message": 7 }), "/message"),
        (&chat_path, json!({ "message": "x", "document_ids": ["seven"] }), "/document_ids/0"),
        ("/v1/search", json!({ "query": "x", "top_k": 51 }), "/top_k"),
        ("/v1/search", json!({ "query": "x", "filters": { "color": "red" } }), "/filters/color"),
        ("/v1/conversations", json!({ "title": "x".repeat(513) }), "/title"),
        ("/v1/memories", json!({ "content": "x", "importance": 2 }), "/importance"),
    ];
    for (path, body, pointer) in invalid_requests {
        let problem = user.post(path, &body).await.expect_problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        assert!(problem["errors"][0]["detail"].as_str().is_some_and(|text| text.len() > 5), "{problem}");
    }
    let text_request = user.request(Method::POST, &chat_path).header("content-type", "text/plain").body("{}");
    ApiResponse::send(text_request).await.expect_problem(415, "unsupported_media");
    for query in ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "color=red"] {
        user.get(&format!("/v1/documents?{query}")).await.expect_problem(422, "validation");
    }
    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert_eq!(stored_conversation["messages"], json!([]), "a refused message must not be stored");
    assert_eq!(user.chat(&conversation, "Well formed.").await["finish_reason"], "stop");
}

#[tokio::test]
async fn an_invalid_token_is_401_and_an_unknown_or_other_tenants_id_is_404() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let valid_token = app.token(TENANT_A, "uma", domain::role::Role::User);
    let other_signature = format!("{}.{}", valid_token.rsplit_once('.').expect("a JWT").0, "A".repeat(86));
    for token in ["", "x", "a.b.c", other_signature.as_str(), &valid_token[..valid_token.len() - 9]] {
        let response = app.with_token(token).get("/v1/me").await;
        response.expect_problem(401, "invalid_token");
        assert!(response.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
    }
    let other_tenants_conversation = app.as_user(TENANT_B).create_conversation().await;
    for id in ["0197b2c0-7c1e-7000-8000-000000000001", "not-an-id", other_tenants_conversation.as_str()] {
        user.get(&format!("/v1/conversations/{id}")).await.expect_problem(404, "not_found");
        user.get(&format!("/v1/documents/{id}")).await.expect_problem(404, "not_found");
    }
    user.get("/v1/nothing/here").await.expect_problem(404, "not_found");
    ApiResponse::send(user.request(Method::PUT, "/v1/conversations")).await.expect_problem(405, "method_not_allowed");
    assert_eq!(
        user.get(&format!("/v1/conversations/{}", user.create_conversation().await)).await.expect_json(200)["messages"],
        Value::Array(vec![])
    );
}
