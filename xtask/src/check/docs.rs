//! No doc comment of one or two words: it says no more than the name of its item. The rule reads lines and not syntax,
//! so that it also sees the items inside of macros.

use super::workspace::Text;

/// Minimum number of words of a doc comment.
const MIN_WORDS: usize = 3;

/// One sentence for each doc comment that is too short.
pub fn violations(sources: &[Text]) -> Vec<String> {
    sources.iter().flat_map(of_source).collect()
}

fn of_source(source: &Text) -> Vec<String> {
    let lines: Vec<_> = source.content.lines().map(doc).collect();
    let is_doc = |index: Option<usize>| index.and_then(|index| lines.get(index)).is_some_and(Option::is_some);
    let alone = |index: usize| !is_doc(index.checked_sub(1)) && !is_doc(Some(index + 1));
    let short = |(index, doc): (usize, &Option<&str>)| {
        let doc = (*doc).filter(|doc| alone(index) && doc.split_whitespace().count() < MIN_WORDS)?;
        Some(format!("{}:{} says only {doc:?}: say what the name does not", source.path, index + 1))
    };
    lines.iter().enumerate().filter_map(short).collect()
}

/// The text of a line that is an outer doc comment.
fn doc(line: &str) -> Option<&str> {
    let doc = line.trim_start().strip_prefix("///")?;
    (!doc.starts_with('/')).then(|| doc.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str) -> Vec<String> {
        violations(&[Text { path: "x.rs".into(), content: content.into() }])
    }

    #[test]
    fn one_or_two_words_alone_on_an_item_are_found() {
        let content = "/// Id.\nid: Uuid,\n/// Which page.\npage: u32,\n";
        assert_eq!(
            found(content),
            [
                "x.rs:1 says only \"Id.\": say what the name does not",
                "x.rs:3 says only \"Which page.\": say what the name does not"
            ]
        );
    }

    #[test]
    fn items_inside_of_macros_and_before_attributes_are_found() {
        assert_eq!(found("words! {\n    /// Role.\n    #[derive(Debug)]\n    Role {}\n}\n").len(), 1);
    }

    #[test]
    fn a_clause_and_a_short_line_of_a_longer_comment_are_not() {
        assert!(found("/// UUIDv7 of the row.\nid: Uuid,\n").is_empty());
        assert!(found("/// Reads a page of the list and the cursor of the\n/// next page.\nfn f() {}\n").is_empty());
        assert!(found("/// Reads it.\n///\n/// # Errors\n/// If the file is missing.\nfn f() {}\n").is_empty());
        assert!(found("//// A rule.\n// Not doc.\n//! Crate.\n").is_empty());
    }
}
