//! DOCX fixtures.

use tools::ingest::readers::{ReadError, Warning};

use crate::support::{bytes, document, lines, read_bytes};

#[test]
fn a_document_reads_as_word_shows_it() {
    let document = document("features.docx");
    assert_eq!(
        lines(&document),
        [
            "p: Northfield header text",
            "h1: Seal replacement",
            "h1: Preparation",
            "h2: Werkzeuge",
            "li: 1. Close the valve",
            "li: 2. Lock the breaker",
            "li: • Gloves",
            "li: • Face shield",
            "h2: Checklist",
            "th: Part | Number",
            "tr: Seal BX-50 | 4711",
            "tr: O-ring | 4712; innerleft, innerright",
            "p: Text with a insertedword and an end.",
            "p: See linkedwordresultword",
            "p: A paragraph with a text box.",
            "p: boxword",
            "p: A statement with a note[1]",
            "p: [1] footnoteword explains it.",
            "h1: After the break",
            "p: Text of the second part.",
            "p: Controlled footer text",
        ]
    );
    assert_eq!(document.title.as_deref(), Some("Seal replacement"));
    assert_eq!(document.warnings, [Warning::HiddenText { pages: vec![] }], "hidden and white text was left out");
}

#[test]
fn a_page_break_begins_a_page_without_a_number() {
    let pages = document("features.docx").pages;
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[1].number, None);
    assert_eq!(pages[1].blocks[0].text, "After the break");
}

#[test]
fn bombs_and_entities_are_refused() {
    assert!(matches!(read_bytes(&bytes("bomb.docx"), "b.docx"), Err(ReadError::TooLarge { .. })));
    assert!(matches!(read_bytes(&bytes("entities.docx"), "e.docx"), Err(ReadError::Corrupt { .. })));
}
