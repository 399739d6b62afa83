//! Tests the extractive answerer on passages of the demo plant. `testdata/extract/demo.json` holds them with their
//! lexical search scores, so the test does not depend on parsing or search.

#![expect(clippy::expect_used, reason = "a test fails by panicking; clippy's own exception covers test functions only")]

use domain::classified::Classified;
use domain::{
    ids::{ChunkId, DocumentId, TenantId},
    model::{ChatDelta, ChatOptions, ChatRequest, ExtractiveInput, ModelTier, NumberedPassage},
    model_call::ModelCaller,
    ports::ChatModel,
    role::Classification,
    run::FinishReason,
    search::{Passage, SurroundingText},
};
use futures::TryStreamExt;
use model_client::local::extract::ExtractiveAnswerer;
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Demo {
    passages: Vec<DemoPassage>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct DemoPassage {
    doc: String,
    title: String,
    page: Option<u32>,
    section: Option<String>,
    content: String,
}

#[derive(Deserialize)]
struct Case {
    id: String,
    kind: String,
    question: String,
    answerable: bool,
    answer_contains: Vec<String>,
    /// Indices into [`Demo::passages`], best first.
    #[serde(rename = "passages")]
    passage_indices: Vec<usize>,
    /// Scores of these passages.
    scores: Vec<f32>,
}

fn demo() -> Demo {
    serde_json::from_str(include_str!("../testdata/extract/demo.json")).expect("the file is JSON")
}

fn numbered_passage(n: usize, passage: &DemoPassage, score: f32) -> NumberedPassage {
    NumberedPassage {
        n: u32::try_from(n).expect("few passages"),
        passage: Passage {
            chunk_id: ChunkId::from_uuid(Uuid::from_u128(n as u128)),
            document_id: DocumentId::from_uuid(Uuid::from_u128(1)),
            chunk_index: 0,
            file_name: passage.doc.clone(),
            title: passage.title.clone(),
            page: passage.page,
            section: passage.section.clone(),
            content: passage.content.clone(),
            classification: Classification::Internal,
        },
        score,
        surrounding_text: SurroundingText::default(),
    }
}

fn caller() -> ModelCaller {
    ModelCaller::without_privacy_rules(TenantId::from_uuid(Uuid::nil()), Classification::Internal)
}

fn request(question: &str, passages: Vec<NumberedPassage>) -> ChatRequest {
    ChatRequest {
        caller: caller(),
        options: ChatOptions::default(),
        tier: ModelTier::Fast,
        prompt: Classified::new(Vec::new(), Classification::Internal),
        tools: Vec::new(),
        max_output_tokens: 512,
        extractive_input: ExtractiveInput {
            question: question.to_owned(),
            passages,
            is_weak_match: false,
            ..ExtractiveInput::default()
        },
    }
}

async fn deltas(request: ChatRequest) -> Vec<ChatDelta> {
    let stream = ExtractiveAnswerer.stream(request).await.expect("it never fails");
    assert_eq!((stream.served_by.backend.as_str(), stream.served_by.model.as_str()), ("embedded", "extractive"));
    stream.deltas.try_collect().await.expect("it never fails")
}

async fn answer(request: ChatRequest) -> String {
    let text = |delta| match delta {
        ChatDelta::Text(text) => text,
        _ => String::new(),
    };
    deltas(request).await.into_iter().map(text).collect()
}

async fn ask(demo: &Demo, case: &Case) -> String {
    let scored_passages = case.passage_indices.iter().zip(&case.scores).enumerate();
    let passages =
        scored_passages.map(|(index, (i, score))| numbered_passage(index + 1, &demo.passages[*i], *score)).collect();
    answer(request(&case.question, passages)).await
}

/// Parses the quoted lines of an answer, each with its citation number.
fn parse_quotes(answer: &str) -> Vec<(usize, String)> {
    let mut quotes = Vec::new();
    for quote in answer.split("\n\n").filter(|part| part.starts_with("> ")) {
        let (lines, marker) = quote.rsplit_once("\" [").expect("a citation marker after the quote");
        let n = marker.strip_suffix(']').expect("a marker").parse().expect("a number");
        let lines = lines.strip_prefix("> \"").expect("a quotation mark").split("\n> ");
        quotes.extend(lines.map(|line| (n, line.to_owned())));
    }
    quotes
}

fn collapse_white_space(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn most_questions_are_answered_by_a_quote_that_contains_the_answer() {
    let demo = demo();
    let (mut answered_count, mut question_count) = (0, 0);
    for case in demo.cases.iter().filter(|case| case.answerable) {
        let answer = ask(&demo, case).await.to_lowercase();
        question_count += 1;
        if case.answer_contains.iter().all(|part| answer.contains(&part.to_lowercase())) {
            answered_count += 1;
        } else {
            println!("not answered: {} {}\n{answer}\n", case.id, case.question);
        }
    }
    assert_eq!(question_count, 35);
    // 30 is the measured value. The other questions use synonyms (stones for gravel), which word matching cannot find.
    assert!(answered_count >= 30, "{answered_count} of {question_count}");
}

#[tokio::test]
async fn quotes_occur_word_for_word_in_the_cited_passage() {
    let demo = demo();
    for case in &demo.cases {
        let quotes = parse_quotes(&ask(&demo, case).await);
        assert!(quotes.len() <= 9, "{}", case.id);
        for (n, line) in quotes {
            let passage = &demo.passages[case.passage_indices[n - 1]];
            assert!(collapse_white_space(&passage.content).contains(&line), "{}: {line}", case.id);
        }
    }
}

#[tokio::test]
async fn a_question_about_missing_equipment_is_not_answered_with_other_equipment() {
    let demo = demo();
    let cases: Vec<&Case> = demo.cases.iter().filter(|case| case.kind == "unknown tag").collect();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let answer = ask(&demo, case).await;
        assert!(answer.starts_with("The documents hold no answer"), "{}: {answer}", case.id);
        assert!(!answer.contains('['), "nothing is cited: {answer}");
    }
}

#[tokio::test]
async fn without_relevant_passages_the_answer_says_so_and_names_the_missing_model() {
    let irrelevant_passage = DemoPassage {
        doc: "canteen.txt".to_owned(),
        title: "Canteen".to_owned(),
        page: None,
        section: None,
        content: "Soup is served at noon.".to_owned(),
    };
    for passages in [Vec::new(), vec![numbered_passage(1, &irrelevant_passage, 1.0)]] {
        let answer = answer(request("What torque do the tie bolts of P-101A get?", passages)).await;
        assert!(answer.contains("hold no answer") && answer.contains("No language model"), "{answer}");
        assert!(!answer.contains('['), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_streams_in_small_chunks_and_ends_with_its_usage() {
    let demo = demo();
    let passage = numbered_passage(7, &demo.passages[demo.cases[0].passage_indices[1]], 1.0);
    let deltas = deltas(request(&demo.cases[0].question, vec![passage])).await;
    let (last, pieces) = deltas.split_last().expect("deltas");
    assert!(pieces.len() > 5);
    for piece in pieces {
        let ChatDelta::Text(text) = piece else { panic!("only text before the end: {piece:?}") };
        assert!(text.split_whitespace().count() <= 8, "{text:?}");
    }
    let ChatDelta::Finished { reason: FinishReason::Stop, usage, .. } = last else { panic!("{last:?}") };
    assert!(usage.input_tokens > 0 && usage.output_tokens > 0);
}

#[tokio::test]
async fn an_answer_consists_of_quotes_between_fixed_sentences() {
    let table = DemoPassage {
        doc: "manual.pdf".to_owned(),
        title: "Pumps P-101A/B".to_owned(),
        page: Some(25),
        section: Some("21 Tightening torques".to_owned()),
        content: "Joint | Torque, N·m\nTie bolts of the casing | 480\nPump feet | 280".to_owned(),
    };
    let answer =
        answer(request("What torque do the casing tie bolts of P-101A get?", vec![numbered_passage(3, &table, 0.9)]))
            .await;
    assert_eq!(
        answer,
        "From the documents:\n\n> \"Joint | Torque, N·m\n> Tie bolts of the casing | 480\" [3]\n\nNo language model is \
         configured; these are the passages that match best, quoted word for word."
    );
}
