//! The extractive answerer on passages of the demo plant, as the readers give them and a lexical search ranks them.

use domain::{
    ids::{ChunkId, DocumentId},
    model::{ChatDelta, ChatRequest, ModelTier, NumberedPassage},
    ports::ChatModel,
    role::Classification,
    run::FinishReason,
    search::Passage,
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
    question: String,
    answerable: bool,
    answer_contains: Vec<String>,
    passages: Vec<usize>,
}

fn demo() -> Demo {
    serde_json::from_str(include_str!("../testdata/extract/demo.json")).expect("the file is JSON")
}

fn numbered(n: usize, passage: &DemoPassage) -> NumberedPassage {
    NumberedPassage {
        n: u32::try_from(n).expect("few passages"),
        passage: Passage {
            chunk_id: ChunkId::from_uuid(Uuid::from_u128(n as u128)),
            document_id: DocumentId::from_uuid(Uuid::from_u128(1)),
            chunk_index: 0,
            doc: passage.doc.clone(),
            title: passage.title.clone(),
            page: passage.page,
            section: passage.section.clone(),
            content: passage.content.clone(),
            classification: Classification::Internal,
        },
        score: 0.5,
    }
}

fn request(question: &str, passages: Vec<NumberedPassage>) -> ChatRequest {
    ChatRequest {
        tier: ModelTier::Fast,
        messages: Vec::new(),
        tools: Vec::new(),
        max_output_tokens: 512,
        question: question.to_owned(),
        passages,
        classification: Classification::Internal,
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
    let passages = case.passages.iter().enumerate().map(|(at, i)| numbered(at + 1, &demo.passages[*i])).collect();
    answer(request(&case.question, passages)).await
}

#[tokio::test]
async fn answers_the_demo_questions() {
    let demo = demo();
    let mut wrong = Vec::new();
    for case in &demo.cases {
        let text = ask(&demo, case).await;
        let low = text.to_lowercase();
        let right = if case.answerable {
            case.answer_contains.iter().all(|part| low.contains(&part.to_lowercase()))
        } else {
            !text.contains('[')
        };
        if !right {
            println!("==== {} {} {:?}\n{text}\n", case.id, case.question, case.answer_contains);
            wrong.push(case.id.clone());
        }
    }
    println!("{wrong:?} {}", wrong.len());
    assert!(wrong.is_empty());
}
