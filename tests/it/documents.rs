//! Documents of every format, from upload to deletion.

use crate::support::app::{A, App};
use crate::support::caller::{Answer, Caller};
use crate::support::db::SuperuserDb;
use crate::support::files;
use domain::role::Role;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

fn id(document: &Value) -> &str {
    document["id"].as_str().expect("an id")
}

async fn names(caller: &Caller<'_>, query: &str) -> Vec<String> {
    let listed = caller.get(&format!("/v1/documents?limit=200&{query}")).await.expect(200);
    let documents = listed["data"].as_array().expect("a list").iter();
    let mut names: Vec<_> = documents.map(|document| document["filename"].as_str().unwrap_or("").to_owned()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn every_format_is_read_and_known_by_its_content() {
    let app = App::shared().await;
    app.make_tenant("formats").await;
    let user = app.as_user("formats");
    let formats = [
        ("ELE-MCC2-load-list.pdf", "application/pdf"),
        ("PTW-F01-work-permit.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("chemical-handling-notes.txt", "text/plain"),
        ("neighbour-information.md", "text/markdown"),
    ];
    for (name, mime) in formats {
        let bytes = files::demo(name);
        let document = user.ingest(name, &bytes, &[("tags", "[\"format\"]"), ("doc_type", "sample")]).await;
        assert_eq!((&document["status"], &document["mime_type"]), (&json!("ready"), &json!(mime)), "{document}");
        assert_eq!(document["file_size_bytes"], json!(bytes.len()));
        assert!(document["chunk_count"].as_i64() > Some(0) && document["error"].is_null(), "{document}");
        assert_eq!(document["page_count"].is_number(), mime == "application/pdf", "{document}");
        let chunks = "SELECT count(*) FROM document_chunks WHERE document_id = $1::uuid AND embedding IS NOT NULL";
        assert_eq!(json!(SuperuserDb::of(app).await.count(chunks, &[id(&document)]).await), document["chunk_count"]);
    }
    assert_eq!(names(&user, "tag=format&doc_type=sample&status=ready").await.len(), 4);
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let app = App::shared().await;
    app.make_tenant("lists").await;
    let user = app.as_user("lists");
    user.ingest("one.md", &files::note("L-1"), &[("tags", "pump, area-1"), ("doc_type", "log")]).await;
    user.ingest("two.md", &files::note("L-2"), &[("tags", "[\"pump\"]"), ("doc_type", "manual")]).await;
    user.ingest("bad.pdf", &files::fixture("password.pdf"), &[("tags", "pump")]).await;
    assert_eq!(names(&user, "tag=pump").await, ["bad.pdf", "one.md", "two.md"]);
    assert_eq!(names(&user, "tag=area-1").await, ["one.md"]);
    assert_eq!(names(&user, "doc_type=manual").await, ["two.md"]);
    assert_eq!(names(&user, "status=failed").await, ["bad.pdf"]);
    assert_eq!(names(&user, "tag=pump&status=ready&doc_type=log").await, ["one.md"]);
    assert!(names(&user, "tag=nothing").await.is_empty());

    let mut seen = Vec::new();
    let mut path = "/v1/documents?limit=2".to_owned();
    for has_more in [true, false] {
        let page = user.get(&path).await.expect(200);
        seen.extend(page["data"].as_array().expect("a list").iter().map(|document| id(document).to_owned()));
        assert_eq!((&page["has_more"], page["next_cursor"].is_string()), (&json!(has_more), has_more), "{page}");
        path = format!("/v1/documents?limit=2&cursor={}", page["next_cursor"].as_str().unwrap_or_default());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn the_bytes_come_back_as_they_went_whole_or_in_part() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let bytes = files::demo("SOP-MNT-014-control-valve-maintenance.pdf");
    let answer = user.upload("Wartung – Größe.pdf", &bytes, &[]).await;
    let location = answer.header("location").expect("where it is").to_owned();
    assert_eq!(location, format!("/v1/documents/{}", answer.expect(202)["document_id"].as_str().expect("an id")));
    let content = format!("{location}/content");
    let whole = user.get(&content).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/pdf")));
    assert!(whole.body == bytes, "the bytes differ");
    assert_eq!(whole.header("x-content-type-options"), Some("nosniff"));

    let part = Answer::of(user.request(Method::GET, &content).header("range", "bytes=100-199")).await;
    assert_eq!((part.status, &part.body[..]), (206, &bytes[100..200]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-199/{}", bytes.len()).as_str()));
    let end = Answer::of(user.request(Method::GET, &content).header("range", "bytes=-7")).await;
    assert_eq!((end.status, &end.body[..]), (206, &bytes[bytes.len() - 7..]));
    let beyond = Answer::of(user.request(Method::GET, &content).header("range", "bytes=99999999-")).await;
    assert_eq!(beyond.status, 416);
}

#[tokio::test]
async fn the_same_bytes_again_are_the_same_document() {
    let app = App::shared().await;
    let (user, colleague) = (app.as_user(A), app.caller(A, "dora", Role::User));
    let note = files::note("the same twice");
    let first = user.upload("first.md", &note, &[]).await.expect(202);
    let again = colleague.upload("second.md", &note, &[]).await.expect(200);
    assert_eq!(first["document_id"], again["document_id"]);
    let elsewhere = app.as_user(crate::support::app::B).upload("first.md", &note, &[]).await.expect(202);
    assert_ne!(first["document_id"], elsewhere["document_id"], "the other tenant gets its own document");
}

#[tokio::test]
async fn a_deleted_document_leaves_no_rows_passages_or_file() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let document = user.ingest("gone.md", &files::note("G-4711"), &[]).await;
    let mut db = SuperuserDb::of(app).await;
    let file = "SELECT tenant_id || '/' || storage_path AS file FROM documents WHERE id = $1::uuid";
    let file = db.rows(file, &[id(&document)]).await[0]["file"].as_str().map(|file| app.storage.join(file));
    let file = file.expect("a file");
    let search = json!({ "query": "strainer of G-4711", "top_k": 50 });
    assert!(file.exists() && user.post("/v1/search", &search).await.expect(200).to_string().contains("gone.md"));

    let path = format!("/v1/documents/{}", id(&document));
    assert_eq!(user.delete(&path).await.status, 204);
    for gone in [path.clone(), format!("{path}/content")] {
        user.get(&gone).await.problem(404, "not_found");
    }
    user.delete(&path).await.problem(404, "not_found");
    assert!(!user.post("/v1/search", &search).await.expect(200).to_string().contains("gone.md"));
    for table in ["document_chunks", "document_terms"] {
        let left = format!("SELECT count(*) FROM {table} WHERE document_id = $1::uuid");
        assert_eq!(db.count(&left, &[id(&document)]).await, 0, "{table}");
    }
    assert!(!file.exists(), "the file is still there");
    assert_eq!(user.ingest("back.md", &files::note("G-4711"), &[]).await["status"], "ready");
}

/// The file names of the documents that a search finds, as JSON strings.
async fn found(caller: &Caller<'_>, query: &str, filters: Value) -> Vec<String> {
    let search = json!({ "query": query, "top_k": 50, "filters": filters });
    let answer = caller.post("/v1/search", &search).await.expect(200);
    let mut names: Vec<_> =
        answer["results"].as_array().expect("results").iter().map(|hit| hit["doc"].to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[tokio::test]
async fn a_revision_takes_the_place_of_the_one_before_and_gives_it_back() {
    let app = App::shared().await;
    app.make_tenant("revisions").await;
    let user = app.as_user("revisions");
    let first = user.ingest("sop-b.md", &files::note("R-300"), &[("revision", "B")]).await;
    let fields = [("revision", "C"), ("effective_from", "2026-01-31"), ("supersedes", id(&first))];
    let second = user.ingest("sop-c.md", &files::note("R-300, after the overhaul"), &fields).await;
    assert_eq!((&second["revision"], &second["effective_from"]), (&json!("C"), &json!("2026-01-31")), "{second}");
    let stands = |id: &str| format!("/v1/documents/{id}");
    assert_eq!(user.get(&stands(id(&first))).await.expect(200)["superseded_by"], second["id"]);
    let query = "strainer of R-300";
    assert_eq!(found(&user, query, json!({})).await, ["\"sop-c.md\""]);
    let all = json!({ "include_superseded": true });
    assert_eq!(found(&user, query, all.clone()).await, ["\"sop-b.md\"", "\"sop-c.md\""]);

    // A revision that is not in force yet changes nothing.
    let fields = [("effective_from", "2999-01-01T00:00:00Z"), ("supersedes", id(&second))];
    user.ingest("sop-d.md", &files::note("R-300, some day"), &fields).await;
    assert_eq!(found(&user, query, json!({})).await, ["\"sop-c.md\""]);
    assert_eq!(found(&user, query, all).await.len(), 3);

    let twice = user.upload("sop-e.md", &files::note("R-300 e"), &[("supersedes", id(&first))]).await;
    assert_eq!(twice.problem(422, "validation")["errors"][0]["pointer"], "/supersedes");
    let absent = "00000000-0000-7000-8000-00000000dead";
    let nothing = user.upload("sop-e.md", &files::note("R-300 e"), &[("supersedes", absent)]).await;
    assert_eq!(nothing.problem(422, "validation")["errors"][0]["pointer"], "/supersedes");

    user.delete(&stands(id(&second))).await;
    assert_eq!(found(&user, query, json!({})).await, ["\"sop-b.md\""]);
}

#[tokio::test]
async fn a_document_can_be_ingested_again_and_is_found_meanwhile() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let document = user.ingest("again.md", &files::note("N-812"), &[]).await;
    let again = format!("/v1/documents/{}/reprocess", id(&document));
    let mut db = SuperuserDb::of(app).await;
    let chunks = "SELECT array_agg(id::text) AS ids FROM document_chunks WHERE document_id = $1::uuid";
    let before = db.rows(chunks, &[id(&document)]).await;
    let answer = user.post(&again, &json!({})).await;
    assert_eq!(answer.header("location"), Some(format!("/v1/documents/{}", id(&document)).as_str()));
    assert_eq!(answer.expect(202)["status"], "processing");
    let ready = user.until_ingested(id(&document)).await;
    assert_eq!((&ready["status"], &ready["chunk_count"]), (&json!("ready"), &document["chunk_count"]), "{ready}");
    assert!(ready["progress"].is_null(), "{ready}");
    assert_ne!(db.rows(chunks, &[id(&document)]).await, before, "the passages are the old ones");

    let failed = user.ingest("locked.pdf", &files::fixture("password.pdf"), &[]).await;
    user.post(&format!("/v1/documents/{}/reprocess", id(&failed)), &json!({})).await.expect(202);
    assert_eq!(user.until_ingested(id(&failed)).await["error"]["code"], "encrypted");
}

#[tokio::test]
async fn a_viewer_sees_nothing_above_internal() {
    let app = App::shared().await;
    app.make_tenant("classes").await;
    let (user, viewer) = (app.as_user("classes"), app.as_viewer("classes"));
    let mut ids = Vec::new();
    for class in ["public", "internal", "confidential", "restricted"] {
        let note = files::note(&format!("C-100 {class}"));
        let document = user.ingest(&format!("{class}.md"), &note, &[("classification", class)]).await;
        assert_eq!(document["classification"], class);
        ids.push(id(&document).to_owned());
    }
    assert_eq!(names(&user, "").await, ["confidential.md", "internal.md", "public.md", "restricted.md"]);
    assert_eq!(names(&viewer, "").await, ["internal.md", "public.md"]);
    for (at, id) in ids.iter().enumerate() {
        for path in [format!("/v1/documents/{id}"), format!("/v1/documents/{id}/content")] {
            let (seen, hidden) = (user.get(&path).await, viewer.get(&path).await);
            assert_eq!(seen.status, 200);
            if at < 2 { assert_eq!(hidden.status, 200) } else { drop(hidden.problem(404, "not_found")) }
        }
    }
    let search = json!({ "query": "How often is the strainer of C-100 cleaned?", "top_k": 50 });
    let (all, some) =
        (user.post("/v1/search", &search).await.expect(200), viewer.post("/v1/search", &search).await.expect(200));
    assert_eq!((all["results"].as_array().map(Vec::len), some["results"].as_array().map(Vec::len)), (Some(4), Some(2)));
    assert!(!some.to_string().contains("restricted") && !some.to_string().contains("confidential"), "{some}");
    let answer =
        viewer.chat(&viewer.conversation().await, "How often is the strainer of C-100 restricted cleaned?").await;
    assert!(!answer["citations"].to_string().contains("restricted.md"), "{answer}");
    let narrowed = json!({ "message": "How often?", "document_ids": [ids[3]], "stream": false });
    let chat = format!("/v1/conversations/{}/chat", viewer.conversation().await);
    viewer.post(&chat, &narrowed).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_citation_made_before_a_demotion_is_not_shown_after_it() {
    let app = App::shared().await;
    app.make_tenant("demoted").await;
    let (admin, user) = (app.as_admin("demoted"), app.as_user("demoted"));
    user.ingest("sealed.md", &files::note("S-55"), &[("classification", "restricted")]).await;
    let conversation = user.conversation().await;
    let answer = user.chat(&conversation, "How often is the strainer of S-55 cleaned?").await;
    assert_eq!(answer["citations"][0]["doc"], "sealed.md", "{answer}");
    let me = user.get("/v1/me").await.expect(200);
    admin.patch(&format!("/v1/admin/users/{}", id(&me)), &json!({ "role": "viewer" })).await.expect(200);
    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect(200);
    assert!(!stored["messages"][1]["citations"].to_string().contains("sealed.md"), "{stored}");
}

#[tokio::test]
async fn a_document_that_is_deleted_while_it_is_ingested_is_deleted_and_nothing_fails() {
    let app = App::shared().await;
    let user = app.as_user(A);
    let round = async |at: u32| {
        let name = format!("x-95{at:02}.md");
        let answer = user.upload(&name, &files::note(&format!("X-95{at:02}")), &[]).await.expect(202);
        let id = answer["document_id"].as_str().expect("an id").to_owned();
        // Deletes at a different stage of ingestion each time; the stages have no signal to wait for.
        tokio::time::sleep(Duration::from_millis(u64::from(at) * 4)).await;
        let deleted = user.delete(&format!("/v1/documents/{id}")).await;
        assert_eq!(deleted.status, 204, "{deleted:?}");
        user.get(&format!("/v1/documents/{id}")).await.problem(404, "not_found");
    };
    futures::future::join_all((0..40).map(round)).await;
}
