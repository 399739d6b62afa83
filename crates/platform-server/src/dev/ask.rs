//! `dev ask`: asks one question over HTTP, as a client does, and prints the answer while it streams in.

use super::DevelopmentPlatform;
use crate::dev::issuer::TokenSubject;
use crate::http;
use anyhow::{Context as _, Result, bail};
use domain::role::Role;
use http_body_util::BodyExt as _;
use hyper::Method;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::Duration;

/// Asks the question and prints the answer with its sources; fails if the answer cites nothing.
pub(super) async fn run(development: &DevelopmentPlatform, tenant: &str, user: &str, question: &str) -> Result<()> {
    let token = development.token(tenant, &TokenSubject::new(user, Role::User), Duration::from_secs(600)).await?;
    let base = http::base_url(&development.settings);
    let conversation_body = json!({ "title": "First question" });
    let created_response =
        http::send(Method::POST, &format!("{base}/v1/conversations"), Some(&token), Some(&conversation_body)).await?;
    let created_conversation =
        http::json_body(created_response).await.context("the conversation could not be created")?;
    let id = created_conversation.get("id").and_then(Value::as_str).context("the conversation has no id")?;
    let message = json!({ "message": question });
    let url = format!("{base}/v1/conversations/{id}/chat");
    let answer = http::send(Method::POST, &url, Some(&token), Some(&message)).await?;
    if !answer.status().is_success() {
        http::json_body(answer).await.context("the question was not answered")?;
        bail!("the question was not answered");
    }
    let citations = print_stream(answer.into_body()).await?;
    if citations.is_empty() {
        bail!("the answer cites nothing");
    }
    crate::print("\n\nSources:")?;
    for citation in &citations {
        crate::print(&source_line(citation))?;
    }
    Ok(())
}

/// Prints the answer's text from the event stream as it arrives, and returns the citations.
async fn print_stream(mut body: Incoming) -> Result<Vec<Value>> {
    let mut buffer = Vec::new();
    let mut citations = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.context("the answer was interrupted")?.into_data() else { continue };
        buffer.extend_from_slice(&data);
        while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = buffer.drain(..end + 2).collect();
            let (event, data) = parse_event(&String::from_utf8_lossy(&block));
            match event.as_str() {
                "message.delta" => print_text(data.get("text").and_then(Value::as_str).unwrap_or(""))?,
                "citation" => citations.push(data),
                "error" => bail!("the answer was interrupted: {}", data.get("detail").unwrap_or(&Value::Null)),
                _ => {}
            }
        }
    }
    Ok(citations)
}

fn parse_event(block: &str) -> (String, Value) {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let data = field("data:").and_then(|data| serde_json::from_str(data).ok()).unwrap_or(Value::Null);
    (field("event:").unwrap_or("").to_owned(), data)
}

fn print_text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn source_line(citation: &Value) -> String {
    let text = |name: &str| citation.get(name).and_then(Value::as_str).unwrap_or("");
    let page = citation.get("page").and_then(Value::as_u64).map(|page| format!(", page {page}")).unwrap_or_default();
    let section = match text("section") {
        "" => String::new(),
        section => format!(" ({section})"),
    };
    let n = citation.get("n").and_then(Value::as_u64).unwrap_or_default();
    if text("kind") == "reading" {
        let value = citation.get("value").filter(|value| !value.is_null());
        let value = value.map_or_else(|| "no value".to_owned(), |value| format!("{value} {}", text("unit")));
        return format!("[{n}] {}: {}, {} ({})", text("tag"), value.trim_end(), text("quality"), text("source"));
    }
    format!("[{n}] {}{page}{section}", text("doc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_file_and_page() {
        let citation = json!({"n": 2, "doc": "m.pdf", "page": 25, "section": "Torques"});
        assert_eq!(source_line(&citation), "[2] m.pdf, page 25 (Torques)");
        assert_eq!(source_line(&json!({"n": 1, "doc": "a.md", "page": null})), "[1] a.md");
        let reading = json!({"n": 3, "kind": "reading", "tag": "PIT-1001", "value": 4.6, "unit": "bar",
            "quality": "good", "source": "simulator:demo"});
        assert_eq!(source_line(&reading), "[3] PIT-1001: 4.6 bar, good (simulator:demo)");
    }

    #[test]
    fn an_event_block_is_parsed() {
        let (event, data) = parse_event("id: 3\nevent: message.delta\ndata: {\"text\":\"hi\"}\n\n");
        assert_eq!((event.as_str(), data["text"].as_str()), ("message.delta", Some("hi")));
    }
}
