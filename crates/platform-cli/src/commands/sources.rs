//! Describes the source of a passage: document, page and section.

use serde_json::Value;

/// Document, page and section of a citation or a search result.
pub fn describe_source(passage: &Value) -> String {
    let text = |name: &str| passage[name].as_str().filter(|text| !text.is_empty());
    let mut place = text("doc").or(text("title")).unwrap_or("a document").to_owned();
    if let Some(page) = passage["page"].as_u64() {
        place += &format!(", page {page}");
    }
    if let Some(section) = text("section") {
        place += &format!(" ({section})");
    }
    place
}

/// The line for a citation below an answer.
pub fn citation_line(citation: &Value) -> String {
    format!("[{}] {}", citation["n"], describe_source(citation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_citation_names_document_page_and_section() {
        let full = json!({ "n": 1, "doc": "manual.pdf", "title": "Manual", "page": 25, "section": "21 Torques" });
        assert_eq!(citation_line(&full), "[1] manual.pdf, page 25 (21 Torques)");
        let bare = json!({ "n": 2, "doc": "note.md", "title": "Note", "page": null, "section": null });
        assert_eq!(citation_line(&bare), "[2] note.md");
    }
}
