//! Checks that no single-line `///` comment has only one or two words, because it then only repeats the name of its
//! item. The check reads lines rather than syntax trees, so that it covers items inside macros. Comments that consist
//! of one code span (a protocol value) are exempt, and so are the gateway's wire types, whose comments are OpenAPI
//! descriptions.

use super::workspace::TextFile;

/// Minimum number of words of a doc comment.
const MIN_WORDS: usize = 3;

/// A message for each doc comment that is too short.
pub fn violations(sources: &[TextFile]) -> Vec<String> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &TextFile) -> Vec<String> {
    if defines_wire_types(source) {
        return Vec::new();
    }
    let lines: Vec<_> = source.content.lines().map(doc_comment).collect();
    let is_doc = |index: Option<usize>| index.and_then(|index| lines.get(index)).is_some_and(Option::is_some);
    let is_single_line = |index: usize| !is_doc(index.checked_sub(1)) && !is_doc(Some(index + 1));
    let violation = |(index, doc): (usize, &Option<&str>)| {
        let is_short = |doc: &&str| doc.split_whitespace().count() < MIN_WORDS && !is_code_span(doc);
        let doc = (*doc).filter(|doc| is_single_line(index) && is_short(doc))?;
        Some(format!("{}:{}: the comment {doc:?} only repeats the name", source.path, index + 1))
    };
    lines.iter().enumerate().filter_map(violation).collect()
}

/// Whether the file defines types or handlers that the OpenAPI document describes.
fn defines_wire_types(source: &TextFile) -> bool {
    source.path.starts_with("crates/gateway/src/")
        && ["ToSchema", "utoipa::path"].iter().any(|name| source.content.contains(name))
}

fn is_code_span(doc: &str) -> bool {
    doc.len() > 2 && doc.starts_with('`') && doc.ends_with('`')
}

/// The text of a line that is an outer doc comment.
fn doc_comment(line: &str) -> Option<&str> {
    let doc = line.trim_start().strip_prefix("///")?;
    (!doc.starts_with('/')).then(|| doc.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str) -> Vec<String> {
        violations(&[TextFile { path: "x.rs".into(), content: content.into() }])
    }

    #[test]
    fn one_or_two_words_alone_on_an_item_are_found() {
        let content = "/// Id.\nid: Uuid,\n/// Which page.\npage: u32,\n";
        assert_eq!(
            found(content),
            [
                "x.rs:1: the comment \"Id.\" only repeats the name",
                "x.rs:3: the comment \"Which page.\" only repeats the name"
            ]
        );
    }

    #[test]
    fn items_inside_of_macros_and_before_attributes_are_found() {
        assert_eq!(found("words! {\n    /// Role.\n    #[derive(Debug)]\n    Role {}\n}\n").len(), 1);
    }

    #[test]
    fn code_spans_and_openapi_descriptions_are_allowed() {
        assert!(found("/// `chat.completion`\nobject: &'static str,\n").is_empty());
        let content = "use utoipa::ToSchema;\n/// Which page.\npage: u32,\n".to_owned();
        let gateway = TextFile { path: "crates/gateway/src/routes/x.rs".into(), content: content.clone() };
        assert!(violations(&[gateway]).is_empty());
        assert_eq!(violations(&[TextFile { path: "crates/policy/src/x.rs".into(), content }]).len(), 1);
    }

    #[test]
    fn longer_comments_and_their_short_lines_are_allowed() {
        assert!(found("/// UUIDv7 of the row.\nid: Uuid,\n").is_empty());
        assert!(found("/// Reads a page of the list and the cursor of the\n/// next page.\nfn f() {}\n").is_empty());
        assert!(found("/// Reads it.\n///\n/// # Errors\n/// If the file is missing.\nfn f() {}\n").is_empty());
        assert!(found("//// A rule.\n// Not doc.\n//! Crate.\n").is_empty());
    }
}
