//! Recognizes entries of a table of contents.

/// Whether text is an entry of a table of contents: a title, a dot leader (already shortened to `…`) and a page number.
pub(super) fn is_contents_entry(text: &str) -> bool {
    text.rsplit_once(" … ").is_some_and(|(_, page)| page.len() <= 8 && !page.contains(' '))
}
