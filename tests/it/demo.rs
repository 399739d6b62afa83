//! The demo plant, seeded and ingested as `cargo xtask up` does, and its questions: retrieval and citation.

use crate::support::app::App;
use crate::support::caller::{Caller, text};
use crate::support::files;
use domain::role::Role;
use platform_server::dev::{self, DEMO_ADMIN, DEMO_TENANT, DEMO_USER, DevCommand};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// Answerable questions, of 37, whose expected page is among the first five passages. Measured: 35.
const HIT_AT_5: usize = 34;
/// … is the first. Measured: 31.
const HIT_AT_1: usize = 30;
/// Answerable questions whose answer cites an expected page. Measured: 31.
const CITED: usize = 30;
/// Questions on the pump manual, of 15, whose answer cites the right page. Measured: 14.
const MANUAL_CITED: usize = 13;
/// Questions without an answer, of 9, that get none. Measured: 6; the others quote a near miss.
const REFUSED: usize = 6;

const MANUAL: &str = "MAN-P101-feedwater-pump-manual.pdf";
const NO_ANSWER: &str = "The documents hold no answer";

#[derive(Deserialize)]
struct Question {
    id: String,
    question: String,
    answerable: bool,
    expected: Vec<Place>,
}

/// A page, or the section of a file that has no pages.
#[derive(Deserialize)]
struct Place {
    file: String,
    page: Option<u64>,
    section: Option<String>,
}

impl Place {
    /// Whether a passage or citation is from here.
    fn holds(&self, found: &Value) -> bool {
        let section = found["section"].as_str().unwrap_or_default();
        found["doc"] == self.file.as_str()
            && found["page"].as_u64() == self.page
            && self.section.as_deref().is_none_or(|wanted| section.contains(wanted))
    }
}

fn questions() -> Vec<Question> {
    serde_json::from_slice(&files::read(&files::demo_dir().join("questions.json"))).expect("valid questions")
}

fn is_expected(question: &Question, found: &Value) -> bool {
    question.expected.iter().any(|place| place.holds(found))
}

static SEEDED: OnceCell<()> = OnceCell::const_new();

/// The demo plant, all of it ingested.
async fn plant() -> &'static App {
    let app = App::shared().await;
    SEEDED
        .get_or_init(|| async {
            let seed = DevCommand::Seed { plant: files::demo_dir(), tenant: None };
            dev::run(seed, app.settings.clone()).await.expect("seeded");
            until_ingested(&admin(app)).await;
        })
        .await;
    app
}

fn admin(app: &App) -> Caller<'_> {
    app.caller(DEMO_TENANT, DEMO_ADMIN, Role::Admin)
}

fn user(app: &App) -> Caller<'_> {
    app.caller(DEMO_TENANT, DEMO_USER, Role::User)
}

async fn until_ingested(admin: &Caller<'_>) {
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let listed = admin.get("/v1/documents?limit=200").await.expect(200);
        let documents = listed["data"].as_array().expect("a list");
        if documents.iter().all(|document| document["status"] == "ready" || document["status"] == "failed") {
            return;
        }
        assert!(Instant::now() < end, "not ingested in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn every_document_of_the_plant_is_ingested() {
    let app = plant().await;
    let listed = admin(app).get("/v1/documents?limit=200").await.expect(200);
    let documents = listed["data"].as_array().expect("a list");
    assert_eq!(documents.len(), 17);
    for document in documents {
        assert_eq!(document["status"], "ready", "{document}");
        assert!(document["chunk_count"].as_i64() > Some(0), "{document}");
    }
    let manual = documents.iter().find(|document| document["filename"] == MANUAL).expect("the manual");
    assert!(manual["page_count"].as_i64() >= Some(20), "{manual}");
}

#[tokio::test]
async fn searches_find_the_expected_page() {
    let app = plant().await;
    let asker = admin(app);
    let (mut first, mut among_five, mut missed) = (0, 0, Vec::new());
    let answerable: Vec<_> = questions().into_iter().filter(|question| question.answerable).collect();
    for question in &answerable {
        let body = json!({ "query": question.question, "top_k": 5 });
        let found = asker.post("/v1/search", &body).await.expect(200);
        let hits = found["results"].as_array().expect("results");
        first += usize::from(hits.first().is_some_and(|hit| is_expected(question, hit)));
        if hits.iter().any(|hit| is_expected(question, hit)) {
            among_five += 1;
        } else {
            missed.push(question.id.as_str());
        }
    }
    println!("hit@1 {first}, hit@5 {among_five} of {}; missed {missed:?}", answerable.len());
    assert!(first >= HIT_AT_1, "hit@1 is {first} of {}", answerable.len());
    assert!(among_five >= HIT_AT_5, "hit@5 is {among_five} of {}; missed {missed:?}", answerable.len());
}

#[tokio::test]
async fn answers_cite_the_expected_page() {
    let app = plant().await;
    let asker = admin(app);
    let (mut cited, mut of_manual, mut missed) = (0, 0, Vec::new());
    for question in questions().iter().filter(|question| question.answerable) {
        let answer = asker.chat(&asker.conversation().await, &question.question).await;
        let citations = answer["citations"].as_array().expect("citations");
        if citations.iter().any(|citation| is_expected(question, citation)) {
            cited += 1;
            of_manual += usize::from(question.expected[0].file == MANUAL);
        } else {
            missed.push(question.id.clone());
        }
        for citation in citations {
            let marker = format!("[{}]", citation["n"]);
            assert!(answer["content"].as_str().is_some_and(|text| text.contains(&marker)), "{answer}");
        }
    }
    println!("cited {cited}, of the manual {of_manual}; missed {missed:?}");
    assert!(cited >= CITED, "{cited} cited; missed {missed:?}");
    assert!(of_manual >= MANUAL_CITED, "{of_manual} of the manual; missed {missed:?}");
}

#[tokio::test]
async fn a_question_without_an_answer_gets_none() {
    let app = plant().await;
    let asker = user(app);
    let (mut refused, mut answered) = (0, Vec::new());
    for question in questions().iter().filter(|question| !question.answerable) {
        let answer = asker.chat(&asker.conversation().await, &question.question).await;
        let nothing_cited = answer["citations"].as_array().is_some_and(Vec::is_empty);
        if nothing_cited && answer["content"].as_str().is_some_and(|text| text.contains(NO_ANSWER)) {
            refused += 1;
        } else {
            answered.push(question.id.clone());
        }
    }
    println!("refused {refused}; answered {answered:?}");
    assert!(refused >= REFUSED, "{refused} refused; answered {answered:?}");
}

/// By default a viewer sees up to `internal`, users and admins everything.
#[tokio::test]
async fn a_restricted_document_answers_those_who_may_see_it_and_no_viewer() {
    let app = plant().await;
    let question = questions().into_iter().find(|question| question.id == "q36").expect("the restricted question");
    let search = json!({ "query": question.question, "top_k": 50 });
    for cleared in [admin(app), user(app)] {
        let answer = cleared.chat(&cleared.conversation().await, &question.question).await;
        assert_eq!(answer["citations"][0]["doc"], question.expected[0].file.as_str(), "{answer}");
        assert!(answer["content"].as_str().is_some_and(|text| text.contains("KS-4")), "{answer}");
        assert!(cleared.post("/v1/search", &search).await.expect(200).to_string().contains("CYB-SIS"));
    }
    let viewer = app.caller(DEMO_TENANT, "kim", Role::Viewer);
    let answer = viewer.chat(&viewer.conversation().await, &question.question).await;
    assert!(!answer.to_string().contains("CYB-SIS"), "{answer}");
    assert!(!answer["content"].as_str().is_some_and(|text| text.contains("KS-4")), "{answer}");
    let found = viewer.post("/v1/search", &search).await.expect(200);
    assert!(found["results"].as_array().is_some_and(|results| !results.is_empty()), "{found}");
    assert!(!found.to_string().contains("CYB-SIS"), "{found}");
}

#[tokio::test]
async fn the_streamed_answer_on_the_manual_cites_page_25() {
    let app = plant().await;
    let asker = user(app);
    let question = questions().into_iter().find(|question| question.id == "q01").expect("the demo's question");
    let events = asker.stream(&asker.conversation().await, &question.question).await;
    let cited: Vec<_> = events.iter().filter(|event| event.name == "citation").map(|event| &event.data).collect();
    assert_eq!((&cited[0]["doc"], &cited[0]["page"]), (&json!(MANUAL), &json!(25)), "{cited:?}");
    assert!(text(&events).contains("480") && text(&events).contains("[1]"), "{}", text(&events));
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("run.finished"));
}
