//! Citations: markers of passages that do not exist are removed, and statements that no passage supports are listed in
//! the event stream, in the JSON response and in the stored message.

use crate::support::app::{TENANT_A, TestApp};
use crate::support::caller::answer_text;
use crate::support::files;
use crate::support::model::{ModelServer, Reply};
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
async fn invented_markers_are_removed_and_unsupported_statements_are_listed() {
    let pieces = [
        "Größe egal: the strainer of X-9001 is cleaned every 14 days [1",
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
async fn no_statement_is_listed_for_quotations_or_without_a_search() {
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
