//! Invalid requests: each is refused with its status and a helpful message, and leaves no partial data behind.

use crate::support::app::{A, App, B};
use crate::support::caller::{Answer, BOUNDARY, Caller, form_head, form_type};
use crate::support::db::SuperuserDb;
use crate::support::files;
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const MIB: usize = 1 << 20;

/// Asserts that every stored file has a document row and every row has a file, and that every job has a document.
async fn assert_nothing_half_written(app: &App) {
    let rows =
        SuperuserDb::of(app).await.rows("SELECT tenant_id || '/' || storage_path AS file FROM documents", &[]).await;
    let known: BTreeSet<String> = rows.iter().filter_map(|row| row["file"].as_str()).map(str::to_owned).collect();
    let mut stored = BTreeSet::new();
    for tenant in std::fs::read_dir(&app.storage).expect("the storage directory").flatten() {
        for file in std::fs::read_dir(tenant.path()).expect("a tenant's directory").flatten() {
            stored.insert(format!("{}/{}", tenant.file_name().display(), file.file_name().display()));
        }
    }
    assert_eq!(stored, known);
    let strays = "SELECT count(*) FROM jobs j WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = j.document_id)";
    assert_eq!(SuperuserDb::of(app).await.count(strays, &[]).await, 0, "jobs without a document");
}

async fn failed(user: &Caller<'_>, name: &str, bytes: &[u8], code: &str) {
    let document = user.ingest(name, bytes, &[]).await;
    assert_eq!((&document["status"], &document["error"]["code"]), (&json!("failed"), &json!(code)), "{document}");
    assert!(document["error"]["detail"].as_str().is_some_and(|text| text.len() > 15), "{document}");
    assert_eq!(document["chunk_count"], 0, "{document}");
}

/// Uses its own platform, because tests on the shared one upload files at the same time.
#[tokio::test]
async fn files_that_are_none_are_refused_or_fail_and_leave_nothing_behind() {
    let app = App::start(&[]).await;
    let user = app.as_user(A);
    let empty = user.upload("empty.pdf", b"", &[]).await;
    assert_eq!(empty.problem(422, "validation")["errors"][0]["pointer"], "/file");
    let program = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 4_000]].concat();
    user.upload("manual.pdf", &program, &[]).await.problem(415, "unsupported_media");
    let windows = [b"MZ\x90\0\x03\0\0\0".as_slice(), &[0; 4_000], b"This program cannot be run in DOS mode."].concat();
    user.upload("manual.pdf", &windows, &[]).await.problem(415, "unsupported_media");
    let wrong_field = user.upload("note.md", &files::note("N-1"), &[("colour", "red")]).await;
    assert_eq!(wrong_field.problem(422, "validation")["errors"][0]["pointer"], "/colour");
    let wrong_value = user.upload("note.md", &files::note("N-1"), &[("classification", "secret")]).await;
    assert_eq!(wrong_value.problem(422, "validation")["errors"][0]["pointer"], "/classification");
    let no_file = user.request(Method::POST, "/v1/documents/upload").header("content-type", form_type());
    let no_file = Answer::of(no_file.body(format!("--{BOUNDARY}--\r\n"))).await;
    assert_eq!(no_file.problem(422, "validation")["errors"][0]["pointer"], "/file");
    let cut = user.request(Method::POST, "/v1/documents/upload").header("content-type", form_type());
    let cut = Answer::of(cut.body(form_head("cut.md", &[]) + "# Cut o")).await;
    assert!((400..500).contains(&cut.status), "{cut:?}");
    assert_eq!(user.get("/v1/documents").await.expect(200)["data"], json!([]), "nothing was accepted");
    assert_nothing_half_written(&app).await;

    let whole = files::demo("ELE-MCC2-load-list.pdf");
    failed(&user, "broken.pdf", &whole[..whole.len() / 3], "corrupt").await;
    failed(&user, "encrypted.pdf", &files::fixture("password.pdf"), "encrypted").await;
    failed(&user, "scanned.pdf", &files::fixture("scanned.pdf"), "no_text").await;
    assert_nothing_half_written(&app).await;

    let note = files::note("N-1");
    assert_eq!(user.ingest("note.md", &note, &[("tags", "a, b")]).await["status"], "ready");
    assert_eq!(user.ingest("whole.pdf", &whole, &[]).await["status"], "ready");
    assert_nothing_half_written(&app).await;
}

/// A form with a file of this size, generated while it is sent; returns the form and its length.
fn large_form(mib: usize) -> (Body, usize) {
    let piece = Bytes::from(vec![b'x'; MIB]);
    let (head, tail) = (form_head("large.txt", &[]), format!("\r\n--{BOUNDARY}--\r\n"));
    let size = head.len() + mib * MIB + tail.len();
    let pieces = futures::stream::iter(std::iter::repeat_n(piece, mib));
    let whole = futures::stream::iter([Bytes::from(head)]).chain(pieces).chain(futures::stream::iter([tail.into()]));
    (Body::wrap_stream(whole.map(Ok::<_, std::io::Error>)), size)
}

#[tokio::test]
async fn a_file_of_300_mb_is_too_large_whether_or_not_its_size_is_announced() {
    let app = App::start(&[]).await;
    let user = app.as_user(A);
    for announced in [true, false] {
        let (body, size) = large_form(300);
        let request = user.request(Method::POST, "/v1/documents/upload").header("content-type", form_type());
        let request = if announced { request.header("content-length", size) } else { request };
        let problem = Answer::of(request.body(body)).await.problem(413, "payload_too_large");
        assert!(problem["detail"].as_str().is_some_and(|text| text.contains("100 MiB")), "{problem}");
    }
    assert_eq!(user.get("/v1/documents").await.expect(200)["data"], json!([]));
    assert_eq!(user.upload("small.md", &files::note("N-2"), &[]).await.status, 202);
    assert_nothing_half_written(&app).await;
}

#[tokio::test]
async fn what_is_no_json_is_400_and_what_is_not_allowed_is_422_with_its_place() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let conversation = user.conversation().await;
    let chat = format!("/v1/conversations/{conversation}/chat");
    for malformed in [b"{\"message\": \"caf\xe9\"}".as_slice(), b"{\"message\": ", b"", b"{} {}"] {
        user.post_raw(&chat, malformed.to_vec()).await.problem(400, "malformed");
    }
    let wrong = [
        (chat.as_str(), json!({ "message": "" }), "/message"),
        (&chat, json!({ "message": "a\u{0}b" }), "/message"),
        (&chat, json!({ "message": "x".repeat(32_001) }), "/message"),
        (&chat, json!({ "message": "x", "mesage": "y" }), "/mesage"),
        (&chat, json!({ "message": "x", "model": "huge" }), "/model"),
        (&chat, json!({ "message": 7 }), "/message"),
        (&chat, json!({ "message": "x", "document_ids": ["seven"] }), "/document_ids/0"),
        ("/v1/search", json!({ "query": "x", "top_k": 51 }), "/top_k"),
        ("/v1/search", json!({ "query": "x", "filters": { "color": "red" } }), "/filters/color"),
        ("/v1/conversations", json!({ "title": "x".repeat(513) }), "/title"),
        ("/v1/memories", json!({ "content": "x", "importance": 2 }), "/importance"),
    ];
    for (path, body, pointer) in wrong {
        let problem = user.post(path, &body).await.problem(422, "validation");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}: {problem}");
        assert!(problem["errors"][0]["detail"].as_str().is_some_and(|text| text.len() > 5), "{problem}");
    }
    let text = user.request(Method::POST, &chat).header("content-type", "text/plain").body("{}");
    Answer::of(text).await.problem(415, "unsupported_media");
    for query in ["limit=0", "limit=201", "limit=x", "cursor=nonsense", "colour=red"] {
        user.get(&format!("/v1/documents?{query}")).await.problem(422, "validation");
    }
    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert_eq!(stored["messages"], json!([]), "a refused message is not stored");
    assert_eq!(user.chat(&conversation, "Well formed.").await["finish_reason"], "stop");
}

#[tokio::test]
async fn a_wrong_token_is_401_and_an_unknown_or_foreign_id_404() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let good = app.token(A, "uma", domain::role::Role::User);
    let other_signature = format!("{}.{}", good.rsplit_once('.').expect("a JWT").0, "A".repeat(86));
    for token in ["", "x", "a.b.c", other_signature.as_str(), &good[..good.len() - 9]] {
        let answer = app.with_token(token).get("/v1/me").await;
        answer.problem(401, "invalid_token");
        assert!(answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Bearer")));
    }
    let theirs = app.as_user(B).conversation().await;
    for id in ["0197b2c0-7c1e-7000-8000-000000000001", "not-an-id", theirs.as_str()] {
        user.get(&format!("/v1/conversations/{id}")).await.problem(404, "not_found");
        user.get(&format!("/v1/documents/{id}")).await.problem(404, "not_found");
    }
    user.get("/v1/nothing/here").await.problem(404, "not_found");
    Answer::of(user.request(Method::PUT, "/v1/conversations")).await.problem(405, "method_not_allowed");
    assert_eq!(
        user.get(&format!("/v1/conversations/{}", user.conversation().await)).await.expect(200)["messages"],
        Value::Array(vec![])
    );
}
