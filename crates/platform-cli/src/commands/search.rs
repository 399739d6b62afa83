//! `search`: shows the passages that match a query, best first.

use super::sources::describe_source;
use crate::api::Client;
use crate::args::SearchArgs;
use crate::error::CliError;
use crate::terminal::{Console, to_single_line};
use serde_json::{Value, json};

/// Number of characters of a passage that are shown; JSON output contains the whole passage.
const MAX_SHOWN_CHARS: usize = 400;

/// Searches the documents.
///
/// # Errors
/// If the platform cannot be reached, or refuses the request.
pub async fn run(client: &Client, args: &SearchArgs, console: &mut Console) -> Result<(), CliError> {
    let filters = json!({
        "document_ids": args.documents, "tags": args.tags, "doc_type": args.doc_type,
        "include_superseded": args.include_superseded, "team_ids": args.teams,
    });
    let body = json!({ "query": args.query, "top_k": args.top_k, "filters": filters });
    let answer = client.post("v1/search", &body).await?;
    if console.is_json() {
        return console.json(&answer);
    }
    show(&answer, console)
}

fn show(answer: &Value, console: &mut Console) -> Result<(), CliError> {
    let results = answer["results"].as_array().map_or(&[][..], Vec::as_slice);
    for (index, result) in results.iter().enumerate() {
        let score = result["score"].as_f64().unwrap_or_default();
        console.heading(&format!("{}. {}  {score:.2}", index + 1, to_single_line(&describe_source(result))))?;
        console.line(&format!("   {}", shorten(result["content"].as_str().unwrap_or_default())))?;
    }
    if results.is_empty() {
        console.note("nothing was found");
    } else if answer["answerable"] == false {
        console.note("the documents probably contain no answer to this");
    }
    if answer["degraded"] == true {
        console.note("a part of the search is unavailable; there may be more results");
    }
    Ok(())
}

/// Puts the text on one line, and truncates a long one between two words.
fn shorten(text: &str) -> String {
    let text = to_single_line(text);
    let Some(end) = text.char_indices().nth(MAX_SHOWN_CHARS).map(|character| character.0) else { return text };
    let end = text[..end].rfind(' ').unwrap_or(end);
    format!("{} …", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_passage_is_truncated_between_words_and_characters() {
        assert_eq!(shorten("two\nlines"), "two lines");
        let long = shorten(&"größer ".repeat(100));
        assert!(long.chars().count() <= MAX_SHOWN_CHARS + 2 && long.ends_with("größer …"), "{long}");
        assert!(shorten(&"ö".repeat(500)).ends_with(" …"));
    }
}
