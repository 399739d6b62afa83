//! Documents of every format, from upload to deletion.

use crate::support::api_client::{ApiClient, ApiResponse};
use crate::support::app::{TENANT_A, TestApp};
use crate::support::db::SuperuserDb;
use crate::support::files;
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Media type of a workbook, whose pages are its sheets.
const WORKBOOK: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

fn id_of(resource: &Value) -> &str {
    resource["id"].as_str().expect("an id")
}

async fn list_filenames(caller: &ApiClient<'_>, query: &str) -> Vec<String> {
    let listed = caller.get(&format!("/v1/documents?limit=200&{query}")).await.expect_json(200);
    let documents = listed["data"].as_array().expect("a list").iter();
    let mut names: Vec<_> = documents.map(|document| document["filename"].as_str().unwrap_or("").to_owned()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn every_format_is_detected_by_content_and_ingested() {
    let app = TestApp::shared().await;
    app.create_tenant("formats").await;
    let user = app.as_user("formats");
    let formats = [
        ("ELE-MCC2-load-list.pdf", "application/pdf"),
        ("PTW-F01-work-permit.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("ALM-500-alarm-list.xlsx", WORKBOOK),
        ("chemical-handling-notes.txt", "text/plain"),
        ("neighbour-information.md", "text/markdown"),
    ];
    for (name, mime) in formats {
        let bytes = files::demo_document(name);
        let document = user.ingest(name, &bytes, &[("tags", "[\"format\"]"), ("doc_type", "sample")]).await;
        assert_eq!((&document["status"], &document["mime_type"]), (&json!("ready"), &json!(mime)), "{document}");
        assert_eq!(document["file_size_bytes"], json!(bytes.len()));
        assert!(document["chunk_count"].as_i64() > Some(0) && document["error"].is_null(), "{document}");
        assert_eq!(document["page_count"].is_number(), mime == "application/pdf" || mime == WORKBOOK, "{document}");
        let count_chunks =
            "SELECT count(*) FROM document_chunks WHERE document_id = $1::uuid AND embedding IS NOT NULL";
        assert_eq!(
            json!(SuperuserDb::connect(app).await.count(count_chunks, &[id_of(&document)]).await),
            document["chunk_count"]
        );
    }
    assert_eq!(list_filenames(&user, "tag=format&doc_type=sample&status=ready").await.len(), 5);
}

#[tokio::test]
async fn tables_pages_and_messages_are_ingested_and_rows_are_cited_by_their_cells() {
    let app = TestApp::shared().await;
    app.create_tenant("tables").await;
    let user = app.as_user("tables");
    let table = "Tag;Description;Range\nZIT-9001;Discharge pressure;0..16 bar\nZIT-9002;Suction pressure;0..4 bar\n";
    let page = "<!DOCTYPE html><h1>Zeolite dryer</h1><p>Change the zeolite of dryer ZD-9100 every 4 years.</p>";
    let message = "From: kim@plant.example\r\nSubject: Zinc dosing ZP-9200\r\nMIME-Version: 1.0\r\n\r\n\
        The stroke of ZP-9200 is 35 %.\r\n";
    for (name, content, mime) in
        [("index.csv", table, "text/csv"), ("dryer.html", page, "text/html"), ("dosing.eml", message, "message/rfc822")]
    {
        let document = user.ingest(name, content.as_bytes(), &[]).await;
        assert_eq!((&document["status"], &document["mime_type"]), (&json!("ready"), &json!(mime)), "{document}");
    }
    let found = user.post("/v1/search", &json!({ "query": "ZIT-9001" })).await.expect_json(200);
    let first = &found["results"][0];
    assert_eq!(
        (&first["doc"], &first["page"], &first["section"]),
        (&json!("index.csv"), &Value::Null, &json!("A2:C3"))
    );
    let content = first["content"].as_str().expect("content");
    assert!(content.starts_with("Tag | Description | Range\nZIT-9001 | Discharge pressure | 0..16 bar"), "{content}");
    let found = user.post("/v1/search", &json!({ "query": "zeolite dryer ZD-9100" })).await.expect_json(200);
    assert_eq!(
        (&found["results"][0]["doc"], &found["results"][0]["section"]),
        (&json!("dryer.html"), &json!("Zeolite dryer"))
    );
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let app = TestApp::shared().await;
    app.create_tenant("lists").await;
    let user = app.as_user("lists");
    user.ingest("one.md", &files::note("L-1"), &[("tags", "pump, area-1"), ("doc_type", "log")]).await;
    user.ingest("two.md", &files::note("L-2"), &[("tags", "[\"pump\"]"), ("doc_type", "manual")]).await;
    user.ingest("bad.pdf", &files::parser_fixture("password.pdf"), &[("tags", "pump")]).await;
    assert_eq!(list_filenames(&user, "tag=pump").await, ["bad.pdf", "one.md", "two.md"]);
    assert_eq!(list_filenames(&user, "tag=area-1").await, ["one.md"]);
    assert_eq!(list_filenames(&user, "doc_type=manual").await, ["two.md"]);
    assert_eq!(list_filenames(&user, "status=failed").await, ["bad.pdf"]);
    assert_eq!(list_filenames(&user, "tag=pump&status=ready&doc_type=log").await, ["one.md"]);
    assert!(list_filenames(&user, "tag=nothing").await.is_empty());

    let mut listed_ids = Vec::new();
    let mut path = "/v1/documents?limit=2".to_owned();
    for has_more in [true, false] {
        let page = user.get(&path).await.expect_json(200);
        listed_ids.extend(page["data"].as_array().expect("a list").iter().map(|document| id_of(document).to_owned()));
        assert_eq!((&page["has_more"], page["next_cursor"].is_string()), (&json!(has_more), has_more), "{page}");
        path = format!("/v1/documents?limit=2&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    listed_ids.dedup();
    assert_eq!(listed_ids.len(), 3);
}

#[tokio::test]
async fn the_uploaded_bytes_are_downloaded_whole_or_by_range() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let bytes = files::demo_document("SOP-MNT-014-control-valve-maintenance.pdf");
    let answer = user.upload("Wartung – Größe.pdf", &bytes, &[]).await;
    let location = answer.header("location").expect("a location").to_owned();
    assert_eq!(location, format!("/v1/documents/{}", answer.expect_json(202)["document_id"].as_str().expect("an id")));
    let content_path = format!("{location}/content");
    let full_response = user.get(&content_path).await;
    assert_eq!((full_response.status, full_response.header("content-type")), (200, Some("application/pdf")));
    assert!(full_response.body == bytes, "the downloaded bytes must equal the uploaded ones");
    assert_eq!(full_response.header("x-content-type-options"), Some("nosniff"));

    let partial_response =
        ApiResponse::send(user.request(Method::GET, &content_path).header("range", "bytes=100-199")).await;
    assert_eq!((partial_response.status, &partial_response.body[..]), (206, &bytes[100..200]));
    assert_eq!(partial_response.header("content-range"), Some(format!("bytes 100-199/{}", bytes.len()).as_str()));
    let suffix_response = ApiResponse::send(user.request(Method::GET, &content_path).header("range", "bytes=-7")).await;
    assert_eq!((suffix_response.status, &suffix_response.body[..]), (206, &bytes[bytes.len() - 7..]));
    let out_of_range =
        ApiResponse::send(user.request(Method::GET, &content_path).header("range", "bytes=99999999-")).await;
    assert_eq!(out_of_range.status, 416);
}

#[tokio::test]
async fn uploading_the_same_bytes_again_yields_the_same_document() {
    let app = TestApp::shared().await;
    let (user, colleague) = (app.as_user(TENANT_A), app.caller(TENANT_A, "dora", Role::User));
    let note = files::note("the same twice");
    let first = user.upload("first.md", &note, &[]).await.expect_json(202);
    let second = colleague.upload("second.md", &note, &[]).await.expect_json(200);
    assert_eq!(first["document_id"], second["document_id"]);
    let other_tenants =
        app.as_user(crate::support::app::TENANT_B).upload("first.md", &note, &[]).await.expect_json(202);
    assert_ne!(first["document_id"], other_tenants["document_id"], "each tenant has its own document");
}

#[tokio::test]
async fn a_deleted_document_leaves_no_rows_and_no_file() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let document = user.ingest("gone.md", &files::note("G-4711"), &[]).await;
    let mut db = SuperuserDb::connect(app).await;
    let file_query = "SELECT tenant_id || '/' || storage_path AS file FROM documents WHERE id = $1::uuid";
    let file =
        db.rows(file_query, &[id_of(&document)]).await[0]["file"].as_str().map(|file| app.storage_dir.join(file));
    let file = file.expect("a file");
    let search = json!({ "query": "strainer of G-4711", "top_k": 50 });
    assert!(file.exists() && user.post("/v1/search", &search).await.expect_json(200).to_string().contains("gone.md"));

    let path = format!("/v1/documents/{}", id_of(&document));
    assert_eq!(user.delete(&path).await.status, 204);
    for deleted_path in [path.clone(), format!("{path}/content")] {
        user.get(&deleted_path).await.expect_problem(404, "not_found");
    }
    user.delete(&path).await.expect_problem(404, "not_found");
    assert!(!user.post("/v1/search", &search).await.expect_json(200).to_string().contains("gone.md"));
    for table in ["document_chunks", "document_terms"] {
        let count_rows = format!("SELECT count(*) FROM {table} WHERE document_id = $1::uuid");
        assert_eq!(db.count(&count_rows, &[id_of(&document)]).await, 0, "{table}");
    }
    assert!(!file.exists(), "the file must be deleted");
    assert_eq!(user.ingest("back.md", &files::note("G-4711"), &[]).await["status"], "ready");
}

/// The file names of the documents that a search finds, as JSON strings with quotes.
async fn search_filenames(caller: &ApiClient<'_>, query: &str, filters: Value) -> Vec<String> {
    let search = json!({ "query": query, "top_k": 50, "filters": filters });
    let answer = caller.post("/v1/search", &search).await.expect_json(200);
    let mut names: Vec<_> =
        answer["results"].as_array().expect("results").iter().map(|hit| hit["doc"].to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[tokio::test]
async fn a_revision_replaces_its_predecessor_until_it_is_deleted() {
    let app = TestApp::shared().await;
    app.create_tenant("revisions").await;
    let user = app.as_user("revisions");
    let first = user.ingest("sop-b.md", &files::note("R-300"), &[("revision", "B")]).await;
    let fields = [("revision", "C"), ("effective_from", "2026-01-31"), ("supersedes", id_of(&first))];
    let second = user.ingest("sop-c.md", &files::note("R-300, after the overhaul"), &fields).await;
    assert_eq!((&second["revision"], &second["effective_from"]), (&json!("C"), &json!("2026-01-31")), "{second}");
    let document_path = |id: &str| format!("/v1/documents/{id}");
    assert_eq!(user.get(&document_path(id_of(&first))).await.expect_json(200)["superseded_by"], second["id"]);
    let query = "strainer of R-300";
    assert_eq!(search_filenames(&user, query, json!({})).await, ["\"sop-c.md\""]);
    let with_superseded = json!({ "include_superseded": true });
    assert_eq!(search_filenames(&user, query, with_superseded.clone()).await, ["\"sop-b.md\"", "\"sop-c.md\""]);

    // A revision that is not in force yet changes nothing.
    let fields = [("effective_from", "2999-01-01T00:00:00Z"), ("supersedes", id_of(&second))];
    user.ingest("sop-d.md", &files::note("R-300, some day"), &fields).await;
    assert_eq!(search_filenames(&user, query, json!({})).await, ["\"sop-c.md\""]);
    assert_eq!(search_filenames(&user, query, with_superseded).await.len(), 3);

    let second_successor = user.upload("sop-e.md", &files::note("R-300 e"), &[("supersedes", id_of(&first))]).await;
    assert_eq!(second_successor.expect_problem(422, "validation")["errors"][0]["pointer"], "/supersedes");
    let missing_id = "00000000-0000-7000-8000-00000000dead";
    let successor_of_missing = user.upload("sop-e.md", &files::note("R-300 e"), &[("supersedes", missing_id)]).await;
    assert_eq!(successor_of_missing.expect_problem(422, "validation")["errors"][0]["pointer"], "/supersedes");

    user.delete(&document_path(id_of(&second))).await;
    assert_eq!(search_filenames(&user, query, json!({})).await, ["\"sop-b.md\""]);
}

#[tokio::test]
async fn a_document_is_ingested_again_with_new_passages() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let document = user.ingest("again.md", &files::note("N-812"), &[]).await;
    let reprocess_path = format!("/v1/documents/{}/reprocess", id_of(&document));
    let mut db = SuperuserDb::connect(app).await;
    let chunk_ids_query = "SELECT array_agg(id::text) AS ids FROM document_chunks WHERE document_id = $1::uuid";
    let old_chunk_ids = db.rows(chunk_ids_query, &[id_of(&document)]).await;
    let answer = user.post(&reprocess_path, &json!({})).await;
    assert_eq!(answer.header("location"), Some(format!("/v1/documents/{}", id_of(&document)).as_str()));
    assert_eq!(answer.expect_json(202)["status"], "processing");
    let ready = user.wait_until_ingested(id_of(&document)).await;
    assert_eq!((&ready["status"], &ready["chunk_count"]), (&json!("ready"), &document["chunk_count"]), "{ready}");
    assert!(ready["progress"].is_null(), "{ready}");
    assert_ne!(db.rows(chunk_ids_query, &[id_of(&document)]).await, old_chunk_ids, "the passages must be new");

    let failed = user.ingest("locked.pdf", &files::parser_fixture("password.pdf"), &[]).await;
    user.post(&format!("/v1/documents/{}/reprocess", id_of(&failed)), &json!({})).await.expect_json(202);
    assert_eq!(user.wait_until_ingested(id_of(&failed)).await["error"]["code"], "encrypted");
}

#[tokio::test]
async fn a_viewer_sees_nothing_above_internal() {
    let app = TestApp::shared().await;
    app.create_tenant("classifications").await;
    let (user, viewer) = (app.as_user("classifications"), app.as_viewer("classifications"));
    let mut ids = Vec::new();
    for classification in ["public", "internal", "confidential", "restricted"] {
        let note = files::note(&format!("C-100 {classification}"));
        let document = user.ingest(&format!("{classification}.md"), &note, &[("classification", classification)]).await;
        assert_eq!(document["classification"], classification);
        ids.push(id_of(&document).to_owned());
    }
    assert_eq!(list_filenames(&user, "").await, ["confidential.md", "internal.md", "public.md", "restricted.md"]);
    assert_eq!(list_filenames(&viewer, "").await, ["internal.md", "public.md"]);
    for (index, id) in ids.iter().enumerate() {
        for path in [format!("/v1/documents/{id}"), format!("/v1/documents/{id}/content")] {
            let (user_response, viewer_response) = (user.get(&path).await, viewer.get(&path).await);
            assert_eq!(user_response.status, 200);
            if index < 2 {
                assert_eq!(viewer_response.status, 200)
            } else {
                drop(viewer_response.expect_problem(404, "not_found"))
            }
        }
    }
    let search = json!({ "query": "How often is the strainer of C-100 cleaned?", "top_k": 50 });
    let (user_results, viewer_results) = (
        user.post("/v1/search", &search).await.expect_json(200),
        viewer.post("/v1/search", &search).await.expect_json(200),
    );
    assert_eq!(
        (user_results["results"].as_array().map(Vec::len), viewer_results["results"].as_array().map(Vec::len)),
        (Some(4), Some(2))
    );
    assert!(
        !viewer_results.to_string().contains("restricted") && !viewer_results.to_string().contains("confidential"),
        "{viewer_results}"
    );
    let answer = viewer
        .chat(&viewer.create_conversation().await, "How often is the strainer of C-100 restricted cleaned?")
        .await;
    assert!(!answer["citations"].to_string().contains("restricted.md"), "{answer}");
    let message = json!({ "message": "How often?", "document_ids": [ids[3]], "stream": false });
    let chat_path = format!("/v1/conversations/{}/chat", viewer.create_conversation().await);
    viewer.post(&chat_path, &message).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_demoted_user_no_longer_sees_citations_above_their_clearance() {
    let app = TestApp::shared().await;
    app.create_tenant("demoted").await;
    let (admin, user) = (app.as_admin("demoted"), app.as_user("demoted"));
    user.ingest("sealed.md", &files::note("S-55"), &[("classification", "restricted")]).await;
    let conversation = user.create_conversation().await;
    let answer = user.chat(&conversation, "How often is the strainer of S-55 cleaned?").await;
    assert_eq!(answer["citations"][0]["doc"], "sealed.md", "{answer}");
    let me = user.get("/v1/me").await.expect_json(200);
    admin.patch(&format!("/v1/admin/users/{}", id_of(&me)), &json!({ "role": "viewer" })).await.expect_json(200);
    let stored_conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    assert!(
        !stored_conversation["messages"][1]["citations"].to_string().contains("sealed.md"),
        "{stored_conversation}"
    );
}

#[tokio::test]
async fn a_document_can_be_deleted_at_any_stage_of_its_ingestion() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let upload_and_delete = async |number: u32| {
        let name = format!("x-95{number:02}.md");
        let answer = user.upload(&name, &files::note(&format!("X-95{number:02}")), &[]).await.expect_json(202);
        let id = answer["document_id"].as_str().expect("an id").to_owned();
        // The delay makes each deletion hit a different stage of ingestion; no signal announces the stages.
        tokio::time::sleep(Duration::from_millis(u64::from(number) * 4)).await;
        let response = user.delete(&format!("/v1/documents/{id}")).await;
        assert_eq!(response.status, 204, "{response:?}");
        user.get(&format!("/v1/documents/{id}")).await.expect_problem(404, "not_found");
    };
    futures::future::join_all((0..40).map(upload_and_delete)).await;
}
