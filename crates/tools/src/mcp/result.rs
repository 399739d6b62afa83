//! Bounds the result of a tool, and removes invisible characters.

use super::text;
use domain::role::Classification;
use domain::tool::McpToolResult;
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::{Value, json};

/// Maximum number of characters of all texts of a result together.
const MAX_TEXT_CHARS: usize = 32 * 1024;
/// Maximum size of a structured result as JSON, in bytes.
const MAX_STRUCTURED_BYTES: usize = 64 * 1024;

/// The part of a result that the platform passes on.
pub(super) fn bounded(result: &CallToolResult, classification: Classification) -> McpToolResult {
    let mut bounded = McpToolResult {
        texts: Vec::new(),
        structured: None,
        omitted_parts: 0,
        is_truncated: false,
        is_error: result.is_error == Some(true),
        classification,
    };
    let mut remaining = MAX_TEXT_CHARS;
    for part in &result.content {
        let ContentBlock::Text(part) = part else {
            bounded.omitted_parts += 1;
            continue;
        };
        let visible = text::visible(&part.text, remaining.saturating_add(1));
        let count = visible.chars().count();
        if count <= remaining {
            remaining -= count;
            bounded.texts.push(visible);
        } else {
            bounded.is_truncated = true;
            if remaining > 0 {
                bounded.texts.push(visible.chars().take(remaining).collect());
            }
            remaining = 0;
        }
    }
    if let Some(structured) = &result.structured_content {
        let structured = text::visible_json(structured);
        let is_small = serde_json::to_vec(&structured).is_ok_and(|json| json.len() <= MAX_STRUCTURED_BYTES);
        bounded.is_truncated |= !is_small;
        bounded.structured = Some(structured).filter(|_| is_small);
    }
    bounded
}

/// A result as JSON, for models and for programs that call tools.
#[must_use]
pub fn to_json(result: &McpToolResult) -> Value {
    let content: Vec<_> = result.texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
    let mut object = json!({"content": content, "is_error": result.is_error, "truncated": result.is_truncated});
    if let Some(structured) = &result.structured {
        object["structured_content"] = structured.clone();
    }
    if result.omitted_parts > 0 {
        object["omitted_parts"] = json!(result.omitted_parts);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded_texts(texts: &[&str]) -> McpToolResult {
        let parts = texts.iter().map(|text| ContentBlock::text(*text)).collect();
        bounded(&CallToolResult::success(parts), Classification::Internal)
    }

    #[test]
    fn a_huge_result_is_cut_and_says_so() {
        let long = "é".repeat(MAX_TEXT_CHARS - 1);
        let result = bounded_texts(&[&long, "abc", "def"]);
        assert_eq!((result.texts.len(), result.texts[1].as_str(), result.is_truncated), (2, "a", true));
        let fits = bounded_texts(&[&long, "a"]);
        assert_eq!((fits.texts.len(), fits.is_truncated), (2, false));
    }

    #[test]
    fn pictures_are_left_out_and_large_structures_too() {
        let mut result = CallToolResult::success(vec![
            ContentBlock::image("aGk=", "image/png"),
            ContentBlock::text("hidden\u{200b}"),
        ]);
        result.structured_content = Some(json!({"text": "x".repeat(MAX_STRUCTURED_BYTES)}));
        let bounded = bounded(&result, Classification::Restricted);
        let expected = json!({
            "content": [{"type": "text", "text": "hidden"}], "is_error": false, "truncated": true, "omitted_parts": 1,
        });
        assert_eq!(to_json(&bounded), expected);
    }
}
