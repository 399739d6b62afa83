//! Follow-up questions with the real search, about a small invented plant, in English and German (`tests/dialogues`).
//!
//! The tests measure whether the passage that answers a follow-up is among the five best, with and without the context
//! that is carried over from the conversation; whether the extractive answerer cites it; and how often context is
//! carried over by mistake. The rules were tuned on `tuned.json` only.

#![expect(clippy::print_stdout, reason = "the results of each dialogue are shown when a threshold is missed")]

use crate::support::api_client::{ApiClient, SseEvent, answer_text};
use crate::support::app::{TENANT_A, TestApp};
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::OnceCell;

const TENANT: &str = "dialogues";
/// Number of results among which the passage must be.
const TOP_K: usize = 5;
/// Number of dialogues that run at the same time.
const CONCURRENT_DIALOGUES: usize = 4;

#[derive(Deserialize)]
struct DialogueSet {
    dialogues: Vec<Dialogue>,
}

#[derive(Deserialize)]
struct Dialogue {
    id: String,
    kind: String,
    turns: Vec<Turn>,
}

#[derive(Deserialize)]
struct Turn {
    question: String,
    /// The sections that contain the answer; empty if no document contains it.
    passages: Vec<ExpectedSection>,
    /// Whether the question depends on the turns before it.
    depends: bool,
    /// Identifiers from earlier turns that this question is not about.
    #[serde(default)]
    not_about: Vec<String>,
}

#[derive(Deserialize)]
struct ExpectedSection {
    doc: String,
    section: String,
}

impl ExpectedSection {
    /// The text of the section, on one line.
    fn text(&self) -> String {
        let path = files::repository_root().join("tests/dialogues/documents").join(&self.doc);
        let document = String::from_utf8(files::read(&path)).expect("UTF-8");
        let sections = document.split("\n## ").find(|part| part.lines().next() == Some(&self.section));
        single_line(sections.expect("the section").split_once('\n').expect("a text").1)
    }

    /// Whether the text of a result contains the section, or is a quote from it. A passage may contain several short
    /// sections.
    fn matches(&self, found: &Value, text: &str) -> bool {
        let (section, text) = (self.text(), single_line(text));
        found["doc"] == self.doc.as_str() && (text.contains(&section) || (text.len() > 10 && section.contains(&text)))
    }
}

fn single_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a search finds the passage, with and without the context that is carried over.
#[derive(Clone, Copy, Default)]
struct FollowUpResult {
    found: bool,
    found_without_context: bool,
}

/// Counts of turns by result.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Follow-ups that a passage answers.
    follow_ups: usize,
    /// Follow-ups whose passage the search finds with the context that is carried over.
    found: usize,
    /// Follow-ups whose passage the search finds without it.
    found_without_context: usize,
    /// Follow-ups whose passage the first citation of the answer is from.
    cited: usize,
    /// Turns after the first one.
    later_turns: usize,
    /// Later turns whose query names a subject that they are not about, or was changed although the turn stands alone.
    wrongly_carried: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.follow_ups += other.follow_ups;
        self.found += other.found;
        self.found_without_context += other.found_without_context;
        self.cited += other.cited;
        self.later_turns += other.later_turns;
        self.wrongly_carried += other.wrongly_carried;
    }

    /// `count` as a percentage of the follow-ups.
    fn percent(&self, count: usize) -> usize {
        100 * count / self.follow_ups.max(1)
    }
}

/// Maximum length of a passage in tokens. It is so low that these short documents are split into passages of about one
/// section each, as long documents are.
const PASSAGE_TOKENS: (&str, &str) = ("PLATFORM__INGEST__CHUNK_TOKENS", "72");

static APP: OnceCell<TestApp> = OnceCell::const_new();

/// A user of a tenant in which all documents are ingested.
async fn asker() -> ApiClient<'static> {
    let app = APP
        .get_or_init(|| async {
            let app = TestApp::start(&[PASSAGE_TOKENS]).await;
            app.create_tenant(TENANT).await;
            let admin = app.caller(TENANT, "author", Role::Admin);
            for file in
                std::fs::read_dir(files::repository_root().join("tests/dialogues/documents")).expect("the documents")
            {
                let path = file.expect("a file").path();
                let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
                assert_eq!(admin.ingest(&name, &files::read(&path), &[]).await["status"], "ready", "{name}");
            }
            app
        })
        .await;
    app.caller(TENANT, "asker", Role::User)
}

/// Whether one of the expected sections is among the results of a search for `query`.
async fn finds(asker: &ApiClient<'_>, query: &str, sections: &[ExpectedSection]) -> bool {
    let found = asker.post("/v1/search", &json!({ "query": query, "top_k": TOP_K })).await.expect_json(200);
    let results = found["results"].as_array().expect("results");
    let text = |result: &Value| result["content"].as_str().unwrap_or_default().to_owned();
    results.iter().any(|result| sections.iter().any(|section| section.matches(result, &text(result))))
}

/// The query of the turn's search; `None` if it did not search.
fn search_query(events: &[SseEvent]) -> Option<&str> {
    let started = events.iter().find(|event| event.name == "tool.started")?;
    started.data["query"].as_str()
}

async fn measure(asker: &ApiClient<'_>, dialogue: &Dialogue) -> Counts {
    let conversation = asker.create_conversation().await;
    let mut counts = Counts::default();
    for (index, turn) in dialogue.turns.iter().enumerate() {
        let events = asker.chat_events(&conversation, &turn.question).await;
        assert_eq!(events.last().map(|event| event.name.as_str()), Some("run.finished"), "{events:?}");
        if index == 0 {
            continue;
        }
        let query = search_query(&events).unwrap_or(&turn.question);
        let names_earlier_subject = turn.not_about.iter().any(|name| query.contains(name.as_str()));
        let is_wrong = names_earlier_subject || (!turn.depends && query != turn.question);
        let first = events.iter().find(|event| event.name == "citation").map(|event| &event.data);
        let cited = first.is_some_and(|citation| {
            let quote = citation["quote"].as_str().unwrap_or_default();
            turn.passages.iter().any(|section| section.matches(citation, quote))
        });
        counts.later_turns += 1;
        counts.wrongly_carried += usize::from(is_wrong);
        let mut result = FollowUpResult::default();
        if turn.depends && !turn.passages.is_empty() {
            result = FollowUpResult {
                found: finds(asker, query, &turn.passages).await,
                found_without_context: finds(asker, &turn.question, &turn.passages).await,
            };
            counts.follow_ups += 1;
            counts.found += usize::from(result.found);
            counts.found_without_context += usize::from(result.found_without_context);
            counts.cited += usize::from(cited);
        }
        let FollowUpResult { found, found_without_context: found_without } = result;
        let (id, asked) = (&dialogue.id, &turn.question);
        println!("{id}: found {found}, without {found_without}, cited {cited}, wrong {is_wrong}: {asked} -> {query}");
    }
    counts
}

/// Runs all dialogues of a set and returns the sums of their counts.
async fn measure_set(name: &str) -> Counts {
    let asker = asker().await;
    let path = files::repository_root().join("tests/dialogues").join(name);
    let set: DialogueSet = serde_json::from_slice(&files::read(&path)).expect("dialogues");
    let counts = futures::stream::iter(&set.dialogues).map(|dialogue| measure(&asker, dialogue));
    let counts: Vec<Counts> = counts.buffered(CONCURRENT_DIALOGUES).collect().await;
    let (mut all, mut kinds) = (Counts::default(), BTreeMap::<&str, Counts>::new());
    for (dialogue, counts) in set.dialogues.iter().zip(counts) {
        all.add(counts);
        kinds.entry(&dialogue.kind).or_default().add(counts);
    }
    for (kind, counts) in kinds.into_iter().chain([(name, all)]) {
        let percent = |count| counts.percent(count);
        println!(
            "{kind}: {} follow-ups, in the top {TOP_K} {} % (without {} %), cited {} %; wrongly carried {} of {}",
            counts.follow_ups,
            percent(counts.found),
            percent(counts.found_without_context),
            percent(counts.cited),
            counts.wrongly_carried,
            counts.later_turns,
        );
    }
    all
}

#[tokio::test]
async fn follow_ups_of_the_tuned_dialogues_find_their_passage() {
    let counts = measure_set("tuned.json").await;
    assert!(counts.percent(counts.found) >= 95, "{counts:?}");
    assert!(counts.percent(counts.found_without_context) + 10 <= counts.percent(counts.found), "{counts:?}");
    assert!(counts.percent(counts.cited) >= 78, "{counts:?}");
    assert_eq!(counts.wrongly_carried, 0, "{counts:?}");
}

#[tokio::test]
async fn follow_ups_of_the_held_out_dialogues_find_their_passage() {
    let counts = measure_set("held_out.json").await;
    assert!(counts.percent(counts.found) >= 90, "{counts:?}");
    assert!(counts.percent(counts.found_without_context) + 20 <= counts.percent(counts.found), "{counts:?}");
    assert!(counts.percent(counts.cited) >= 69, "{counts:?}");
    assert!(counts.wrongly_carried <= 2, "{counts:?}");
}

#[tokio::test]
async fn a_follow_up_is_answered_from_the_passage_that_the_previous_answer_cites() {
    let asker = asker().await;
    let conversation = asker.create_conversation().await;
    asker.chat_events(&conversation, "How often is the oil of C-410 changed?").await;
    let events = asker.chat_events(&conversation, "And which grade?").await;
    assert!(answer_text(&events).contains("Corena S3, ISO VG 46"), "{}", answer_text(&events));
    assert_eq!(search_query(&events), Some("which grade? oil C-410"));
}

/// For a follow-up the model server gets one more request, without tools. A question that stands alone needs none.
#[tokio::test]
async fn a_model_server_rewrites_a_follow_up_before_the_search() {
    let replies = ["Every 14 days [1].", "Who cleans the strainer of X-11?", "The morning shift [1]."];
    let model = ModelServer::start(replies.map(|reply| Reply::Text(vec![reply]))).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    user.ingest("x-11.md", &files::note("X-11"), &[]).await;
    let conversation = user.create_conversation().await;
    let first = user.chat_events(&conversation, "How often is the strainer of X-11 cleaned?").await;
    assert_eq!(search_query(&first), Some("How often is the strainer of X-11 cleaned?"));
    let second = user.chat_events(&conversation, "And who does that?").await;
    assert_eq!(search_query(&second), Some("Who cleans the strainer of X-11?"));
    assert!(second.iter().any(|event| event.name == "citation"), "{second:?}");
    let requests = model.requests();
    assert_eq!(requests.len(), 3, "one request rewrites the follow-up");
    assert!(requests[1]["tools"].is_null() && requests[0]["tools"].is_array(), "{:#}", requests[1]);
    let task = requests[1]["messages"][0]["content"].as_str().expect("a system message");
    assert!(task.starts_with("Task: rewrite a follow-up question."), "{task}");
}
