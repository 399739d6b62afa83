//! Citations: markers of passages that do not exist are removed, and statements that no passage supports are flagged in
//! the event stream, in the JSON response and in the stored message.

use crate::support::api_client::answer_text;
use crate::support::app::{TENANT_A, TestApp};
use crate::support::files;
use crate::support::model::{ModelServer, PromptPassage, Reply, passages};
use serde_json::{Value, json};

const QUESTION: &str = "How often is the strainer of X-9001 cleaned?";

/// The parts of the text that `unsupported` lists as ranges of code points.
fn unsupported_statements(content: &str, unsupported: &Value) -> Vec<String> {
    let chars: Vec<char> = content.chars().collect();
    let offset =
        |range: &Value, name: &str| usize::try_from(range[name].as_u64().expect("an offset")).expect("a small number");
    let ranges = unsupported.as_array().expect("ranges");
    ranges.iter().map(|range| chars[offset(range, "start")..offset(range, "end")].iter().collect()).collect()
}

#[tokio::test]
async fn invented_markers_are_removed_and_unsupported_statements_are_flagged() {
    let pieces = [
        "Für X-9001: the strainer of X-9001 is cleaned every 14 days [1",
        "].",
        " It is made of titanium [",
        "1].",
        " Its mesh is 3 mm [7].",
    ];
    let model = ModelServer::start([Reply::Text(pieces.to_vec()), Reply::Text(pieces.to_vec())]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    user.ingest("x-9001.md", &files::note("X-9001"), &[]).await;
    let conversation = user.create_conversation().await;
    let body = json!({ "message": QUESTION });
    let events = user.start_stream(&conversation, &body).await.read_to_end().await;
    let text = answer_text(&events);
    assert!(text.ends_with("It is made of titanium [1]. Its mesh is 3 mm."), "{text}");
    let finished = &events.last().expect("events").data;
    let expected = ["It is made of titanium [1]", "Its mesh is 3 mm."];
    assert_eq!(unsupported_statements(&text, &finished["unsupported"]), expected);

    let stored = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    let message = &stored["messages"][1];
    assert_eq!(message["content"], text);
    assert_eq!(message["unsupported"], finished["unsupported"]);
    assert_eq!(message["citations"][0]["kind"], "document");
    let answer = user.chat(&conversation, QUESTION).await;
    assert_eq!(unsupported_statements(answer["content"].as_str().expect("a text"), &answer["unsupported"]), expected);
}

#[tokio::test]
async fn no_statement_is_flagged_for_quotations_or_without_a_search() {
    let model = ModelServer::start([Reply::Text(vec!["Pumps move liquids [1]."])]).await;
    let (extractive, generative) =
        (TestApp::start(&[]).await, TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await);
    let user = extractive.as_user(TENANT_A);
    user.ingest("x-9003.md", &files::note("X-9003"), &[]).await;
    let answer = user.chat(&user.create_conversation().await, "How often is the strainer of X-9003 cleaned?").await;
    assert_eq!((answer["unsupported"].clone(), answer["citations"][0]["doc"].clone()), (json!([]), json!("x-9003.md")));

    let user = generative.as_user(TENANT_A);
    let path = format!("/v1/conversations/{}/chat", user.create_conversation().await);
    let body = json!({ "message": "What do pumps do?", "retrieval": "never", "stream": false });
    let answer = user.post(&path, &body).await.expect_json(200);
    assert_eq!((&answer["content"], &answer["unsupported"]), (&json!("Pumps move liquids."), &json!([])));
}

/// A statement of a scripted answer.
struct Statement {
    /// The statement without its markers, as the answer has it.
    text: String,
    /// The statement with placeholders for its markers.
    template: String,
    /// Whether the document says so in the passage that it cites.
    is_right: bool,
}

/// A question and what the model answers.
struct Turn {
    question: String,
    statements: Vec<Statement>,
}

impl Turn {
    fn template(&self) -> String {
        let templates: Vec<&str> = self.statements.iter().map(|statement| statement.template.as_str()).collect();
        templates.join(" ")
    }
}

fn turns() -> Vec<Turn> {
    let bytes = files::read(&files::repository_root().join("tests/citations/answers.json"));
    let script: Value = serde_json::from_slice(&bytes).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let statement = |value: &Value| {
        let template = text(&value["text"]);
        let without_marker = template.split('[').next().expect("a text").trim_end().to_owned();
        Statement { text: without_marker, template, is_right: value["right"] == true }
    };
    let turn = |value: &Value| Turn {
        question: text(&value["question"]),
        statements: value["statements"].as_array().expect("a list").iter().map(statement).collect(),
    };
    script["turns"].as_array().expect("a list").iter().map(turn).collect()
}

/// The numbers of the markers in a text.
fn marker_numbers(text: &str) -> Vec<u32> {
    text.split('[').skip(1).filter_map(|rest| rest.split_once(']')?.0.parse().ok()).collect()
}

/// Checks that each marker of an answer is that of a passage of its turn, and that each citation quotes its passage.
fn assert_citations_resolve(answer: &Value, passages: &[PromptPassage]) {
    let content =
        |n: &Value| passages.iter().find(|passage| json!(passage.number) == *n).map(|passage| &passage.content);
    let citations = answer["citations"].as_array().expect("citations");
    for number in marker_numbers(answer["content"].as_str().expect("a text")) {
        assert!(citations.iter().any(|citation| citation["n"] == number), "[{number}] in {answer}");
    }
    for citation in citations {
        let quote = citation["quote"].as_str().expect("a quote");
        assert!(content(&citation["n"]).is_some_and(|content| content.contains(quote)), "{citation}");
    }
}

#[tokio::test]
async fn citations_that_are_not_flagged_are_right_although_the_model_invents() {
    let turns = turns();
    let model = ModelServer::start(turns.iter().map(|turn| Reply::Citing(turn.template()))).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let user = app.as_user(TENANT_A);
    let document = files::read(&files::repository_root().join("tests/citations/filling-line-4.md"));
    user.ingest("filling-line-4.md", &document, &[]).await;
    let (mut right, mut wrong, mut wrongly_flagged) = (0, Vec::new(), Vec::new());
    for (at, turn) in turns.iter().enumerate() {
        // Each question has its own conversation, so that none is taken for a follow-up.
        let path = format!("/v1/conversations/{}/chat", user.create_conversation().await);
        let body = json!({ "message": turn.question, "retrieval": "always", "stream": false });
        let answer = user.post(&path, &body).await.expect_json(200);
        assert_citations_resolve(&answer, &passages(&model.requests()[at]));
        let content = answer["content"].as_str().expect("a text");
        let unsupported = unsupported_statements(content, &answer["unsupported"]);
        for statement in &turn.statements {
            let after = content.split_once(&statement.text).expect("the statement").1;
            let cited = marker_numbers(after.split_once(". ").map_or(after, |(cited, _)| cited)).len();
            if unsupported.iter().any(|range| range.starts_with(&statement.text)) {
                wrongly_flagged.extend(statement.is_right.then_some(&statement.template));
            } else if statement.is_right {
                right += cited;
            } else if cited > 0 {
                wrong.push(&statement.template);
            }
        }
    }
    let report = format!("{right} right, {} wrong: {wrong:?}; right ones flagged: {wrongly_flagged:?}", wrong.len());
    println!("{report}");
    assert!(turns.len() >= 20 && right >= 20, "{report}");
    assert!(right * 100 >= (right + wrong.len()) * 95, "{report}");
    assert!(wrongly_flagged.len() * 10 <= turns.len(), "{report}");
}
