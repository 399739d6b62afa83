//! Lines of a table of contents.

/// Whether text is an entry of a table of contents: title, leader, page.
pub(super) fn is_contents_entry(text: &str) -> bool {
    text.rsplit_once(" … ").is_some_and(|(_, page)| page.len() <= 8 && !page.contains(' '))
}
