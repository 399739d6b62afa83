//! The demo plant, seeded and ingested as `cargo xtask up` does it. The quality of its answers is tested in `eval.rs`.

use crate::support::api_client::{ApiClient, answer_text};
use crate::support::app::TestApp;
use crate::support::files;
use domain::role::Role;
use fakes::eventually_within;
use platform_server::dev::{self, DEMO_ADMIN, DEMO_TENANT, DEMO_USER, DevCommand};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

const MANUAL: &str = "MAN-P101-feedwater-pump-manual.pdf";

/// The text of the question with this id in the plant's `questions.json`.
fn question(id: &str) -> String {
    let questions: Vec<Value> =
        serde_json::from_slice(&files::read(&files::demo_dir().join("questions.json"))).expect("valid questions");
    let found = questions.iter().find(|question| question["id"] == id).expect("the question");
    found["question"].as_str().expect("a text").to_owned()
}

static SEEDED: OnceCell<()> = OnceCell::const_new();

/// The shared app with the demo plant seeded and ingested.
async fn demo_app() -> &'static TestApp {
    let app = TestApp::shared().await;
    SEEDED
        .get_or_init(|| async {
            let seed = DevCommand::Seed { plant: files::demo_dir(), tenant: None };
            dev::run(seed, app.settings.clone()).await.expect("seeded");
            wait_until_ingested(&admin(app)).await;
        })
        .await;
    app
}

fn admin(app: &TestApp) -> ApiClient<'_> {
    app.caller(DEMO_TENANT, DEMO_ADMIN, Role::Admin)
}

fn user(app: &TestApp) -> ApiClient<'_> {
    app.caller(DEMO_TENANT, DEMO_USER, Role::User)
}

async fn wait_until_ingested(admin: &ApiClient<'_>) {
    eventually_within(Duration::from_secs(120), "all documents are ingested", || async {
        let listed = admin.get("/v1/documents?limit=200").await.expect_json(200);
        let documents = listed["data"].as_array().expect("a list");
        let is_finished = |document: &Value| document["status"] == "ready" || document["status"] == "failed";
        documents.iter().all(is_finished).then_some(())
    })
    .await;
}

#[tokio::test]
async fn every_document_of_the_plant_is_ingested() {
    let app = demo_app().await;
    let listed = admin(app).get("/v1/documents?limit=200").await.expect_json(200);
    let documents = listed["data"].as_array().expect("a list");
    assert_eq!(documents.len(), 17);
    for document in documents {
        assert_eq!(document["status"], "ready", "{document}");
        assert!(document["chunk_count"].as_i64() > Some(0), "{document}");
    }
    let manual = documents.iter().find(|document| document["filename"] == MANUAL).expect("the manual");
    assert!(manual["page_count"].as_i64() >= Some(20), "{manual}");
}

/// By default a viewer's clearance is `internal`; users and admins see everything.
#[tokio::test]
async fn a_restricted_document_is_cited_to_users_with_clearance_and_not_to_viewers() {
    let app = demo_app().await;
    let question = question("q36");
    let search = json!({ "query": question, "top_k": 50 });
    for caller in [admin(app), user(app)] {
        let answer = caller.chat(&caller.create_conversation().await, &question).await;
        assert_eq!(answer["citations"][0]["doc"], "CYB-SIS-003-bypass-register.pdf", "{answer}");
        assert!(answer["content"].as_str().is_some_and(|text| text.contains("KS-4")), "{answer}");
        assert!(caller.post("/v1/search", &search).await.expect_json(200).to_string().contains("CYB-SIS"));
    }
    let viewer = app.caller(DEMO_TENANT, "kim", Role::Viewer);
    let answer = viewer.chat(&viewer.create_conversation().await, &question).await;
    assert!(!answer.to_string().contains("CYB-SIS"), "{answer}");
    assert!(!answer["content"].as_str().is_some_and(|text| text.contains("KS-4")), "{answer}");
    let search_response = viewer.post("/v1/search", &search).await.expect_json(200);
    assert!(search_response["results"].as_array().is_some_and(|results| !results.is_empty()), "{search_response}");
    assert!(!search_response.to_string().contains("CYB-SIS"), "{search_response}");
}

#[tokio::test]
async fn a_streamed_answer_about_the_manual_cites_its_page() {
    let app = demo_app().await;
    let caller = user(app);
    let events = caller.chat_events(&caller.create_conversation().await, &question("q01")).await;
    let citations: Vec<_> = events.iter().filter(|event| event.name == "citation").map(|event| &event.data).collect();
    assert_eq!((&citations[0]["doc"], &citations[0]["page"]), (&json!(MANUAL), &json!(25)), "{citations:?}");
    assert!(answer_text(&events).contains("480") && answer_text(&events).contains("[1]"), "{}", answer_text(&events));
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("run.finished"));
}
