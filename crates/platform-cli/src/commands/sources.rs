//! Describes a source: document, page and section of a passage, or a reading of a plant system.

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

/// Tag, value, quality, time and connector of a reading, and the address of its chart if it is a history.
fn describe_reading(reading: &Value) -> String {
    let text = |name: &str| reading[name].as_str().filter(|text| !text.is_empty());
    let value = match &reading["value"] {
        Value::Null => "no value".to_owned(),
        Value::String(value) => value.clone(),
        value => format!("{value} {}", text("unit").unwrap_or_default()).trim_end().to_owned(),
    };
    let mut line = format!("{}: {value}", text("tag").unwrap_or("a tag"));
    line += &format!(", {}", text("quality").unwrap_or("uncertain"));
    if reading["stale"] == true {
        line += ", stale";
    }
    if let Some(at) = text("at") {
        line += &format!(", {at}");
    }
    if let Some(source) = text("source") {
        line += &format!(" ({source})");
    }
    if let Some(chart) = text("chart") {
        line += &format!(", chart: {chart}");
    }
    line
}

/// The line for a citation below an answer.
pub fn citation_line(citation: &Value) -> String {
    let source = if citation["kind"] == "reading" { describe_reading(citation) } else { describe_source(citation) };
    format!("[{}] {source}", citation["n"])
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

    #[test]
    fn a_citation_of_a_reading_names_value_quality_and_time() {
        let mut reading = json!({
            "n": 2, "kind": "reading", "tag": "PIT-1001", "value": 4.6, "unit": "bar", "quality": "good",
            "at": "2026-11-30T10:00:00Z", "source": "simulator:demo", "stale": false, "chart": null,
        });
        assert_eq!(citation_line(&reading), "[2] PIT-1001: 4.6 bar, good, 2026-11-30T10:00:00Z (simulator:demo)");
        reading["stale"] = json!(true);
        reading["value"] = json!(null);
        reading["chart"] = json!("/v1/readings/chart?tag=PIT-1001");
        assert_eq!(
            citation_line(&reading),
            "[2] PIT-1001: no value, good, stale, 2026-11-30T10:00:00Z (simulator:demo), \
             chart: /v1/readings/chart?tag=PIT-1001"
        );
    }
}
