//! Reads the PDF fixtures.

use tools::ingest::readers::{ReadError, Warning};

use crate::support::{bytes, document, lines, read_bytes, text};

#[test]
fn columns_are_read_one_after_the_other() {
    let text = text(&document("two_columns.pdf"));
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is missing in {text}"));
    assert!(
        at("is started from the local panel. First open the suction valve") < at("The last line of the left column")
    );
    assert!(at("The last line of the left column") < at("The right column tells"));
    assert!(text.starts_with("h1: Starting and stopping the feedwater pump P-101A"));
}

#[test]
fn rotated_pages_and_upward_text_are_read_row_by_row() {
    let document = document("rotated.pdf");
    let pages: Vec<String> = document.pages.iter().map(|page| page.blocks[0].text.clone()).collect();
    assert!(pages[0].starts_with("Row 0 of the landscape page shown turned by the viewer Row 1 of"), "{}", pages[0]);
    assert!(pages[1].starts_with("Row 0 of text that runs upwards on an upright page Row 1 of"), "{}", pages[1]);
}

#[test]
fn tables_keep_rows_together_with_and_without_ruling_lines() {
    let document = document("tables.pdf");
    let lines = lines(&document);
    let rows: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with('t')).collect();
    assert_eq!(
        rows,
        [
            "th: Tag | Service | Range",
            "tr: PIT-1001 | Discharge pressure of the feedwater pump, measured behind the check valve | 0-25 bar",
            "tr: TIT-1021 | Bearing temperature | 0-150 °C",
            "th: Grade | Interval | Quantity",
            "tr: VG 46 | 4,000 h | 1.2 L",
            "tr: VG 68 | 8,000 h | 0.8 L",
            "tr: EP 2 | 2,000 h | 30 g",
        ]
    );
    assert_eq!(document.title.as_deref(), Some("Instruments and oils"), "not the metadata's 'Microsoft Word - …'");
}

#[test]
fn running_headers_are_kept_once_and_page_labels_are_read() {
    let document = document("headers.pdf");
    let text = text(&document);
    assert_eq!(text.matches("TM-0345").count(), 1);
    assert!(!text.contains("of 5"), "{text}");
    let pages: Vec<_> = document.pages.iter().map(|page| (page.number, page.label.as_deref())).collect();
    let labels = [Some("i"), Some("ii"), Some("A-1"), Some("A-2"), Some("A-3")];
    assert_eq!(pages, (1..).map(Some).zip(labels).collect::<Vec<_>>());
    assert!(document.pages[3].blocks[0].text.contains("alpha4x0"));
    assert_eq!(document.page_count, Some(5));
}

#[test]
fn ligatures_become_letters_even_if_a_font_has_only_glyph_names() {
    assert_eq!(lines(&document("ligatures.pdf")), ["p: The first efficient office has a staff floor."]);
    assert_eq!(lines(&document("old_type1.pdf")), ["p: first file flet"]);
}

#[test]
fn words_are_built_from_glyph_positions() {
    assert_eq!(lines(&document("letter_by_letter.pdf")), ["p: Each letter is placed by itself"]);
}

#[test]
fn predefined_asian_encodings_are_read() {
    let text = text(&document("cjk.pdf"));
    assert!(text.contains("压力变送器 PIT-1001") && text.contains("ポンプの運転"), "{text}");
}

#[test]
fn hidden_text_is_omitted_and_reported() {
    let document = document("hidden.pdf");
    assert_eq!(lines(&document), ["p: Visible words stay in the text.", "p: headerwords stand white on blue"]);
    assert_eq!(document.warnings, [Warning::HiddenText { pages: vec![1] }]);
}

#[test]
fn scans_are_distinguished_from_text() {
    assert_eq!(read_bytes(&bytes("scanned.pdf"), "s.pdf"), Err(ReadError::NoText));
    let layered = document("scanned_with_layer.pdf");
    assert_eq!(lines(&layered), ["p: Recognized words of the scanned log sheet"]);
    assert_eq!(layered.warnings, [Warning::OcrLayer { pages: vec![1] }]);
    assert_eq!(document("scanned_and_text.pdf").warnings, [Warning::NeedsOcr { pages: vec![2] }]);
}

#[test]
fn files_with_an_empty_password_are_read_and_others_are_refused_as_encrypted() {
    let plain = lines(&document("base.pdf"));
    assert_eq!(plain, ["p: The pump P-101A stands in Building 12. Its seal is of the type BX-50."]);
    for name in ["empty_password.pdf", "empty_password_rc4.pdf", "object_streams.pdf", "broken_xref.pdf"] {
        assert_eq!(lines(&document(name)), plain, "{name}");
    }
    for name in ["password.pdf", "password_rc4.pdf"] {
        assert_eq!(read_bytes(&bytes(name), name), Err(ReadError::Encrypted), "{name}");
    }
    assert_eq!(document("broken_xref.pdf").warnings, [Warning::Repaired]);
}
