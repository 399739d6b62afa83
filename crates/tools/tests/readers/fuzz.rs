//! Fuzzing: mutated files of each format, read in a child process.
//!
//! A child may reject a file, but it must not crash, panic, or run out of memory or time. `PROPTEST_CASES=20000 cargo
//! test -p tools --test readers fuzz` runs more than the default of 256 files per property.

use std::sync::LazyLock;

use domain::document::FailureCode;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tools::ingest::isolate::ParseError;
use tools::ingest::readers::Limits;

use crate::mutate::{Mutation, apply, build_zip, decompressed_pdf, mutations, unzip_fixture};
use crate::office::{SheetSource, text_row, xlsx_parts};
use crate::support::{bytes, read_isolated};

/// PDF fixtures; each has a different feature.
const PDFS: [&str; 14] = [
    "base.pdf",
    "broken_xref.pdf",
    "cjk.pdf",
    "empty_password.pdf",
    "empty_password_rc4.pdf",
    "headers.pdf",
    "hidden.pdf",
    "letter_by_letter.pdf",
    "ligatures.pdf",
    "object_streams.pdf",
    "old_type1.pdf",
    "rotated.pdf",
    "tables.pdf",
    "two_columns.pdf",
];
/// Fixtures that are not encrypted; lopdf would save an encrypted one without its key.
const UNENCRYPTED_PDFS: [&str; 8] = [
    "cjk.pdf",
    "headers.pdf",
    "hidden.pdf",
    "ligatures.pdf",
    "object_streams.pdf",
    "old_type1.pdf",
    "tables.pdf",
    "rotated.pdf",
];
const MARKDOWN: &str = "---\ntitle: Pump\n---\n# Start\n\n1. Open *valve* `V-1`\n   - [ ] slowly[^1]\n\n\
    | Tag | Range |\n|---|--:|\n\
    | PIT-1 | 0-25 |\n\n```text\ncode\n```\n> quote <b>html</b>\n\n[^1]: A note with [a link](x \"t\").\n\n\
    End &amp; out\n===\n";
const STYLES: &str = "<?xml version='1.0'?>\
    <w:styles xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'>\
    <w:style w:type='paragraph' w:default='1' w:styleId='Normal'><w:name w:val='Normal'/></w:style>\
    <w:style w:type='paragraph' w:styleId='Heading1'><w:name w:val='heading 1'/><w:basedOn w:val='Normal'/>\
        <w:pPr>\
    <w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr><w:outlineLvl w:val='0'/></w:pPr></w:style>\
    <w:style w:type='paragraph' w:styleId='ListBullet'><w:name w:val='List Bullet'/>\
        <w:basedOn w:val='Heading1'/><w:pPr>\
    <w:outlineLvl w:val='9'/></w:pPr><w:rPr><w:vanish/></w:rPr></w:style></w:styles>";
const TEXT: &str = "1. SCOPE\n\nThis sheet holds for pump P-101A.\n\nTag     Service     Range\n\
    PIT-1   discharge   0-25 bar\nTIT-2   \
    bearing     0-150 \u{b0}C\n\n2.1 Start\n  - open the valve\n  - wait\n\u{c}Page 2\n\n\tIndented text\n";

const HTML: &str = "<!DOCTYPE html><title>Pump</title><h1>Start</h1><p>Open <b>V-1</b><br>slowly<ul><li>one<li>two</ul>\
    <table><caption>Limits</caption><tr><th>Tag<th colspan=2>Range<tr><td rowspan=2>PIT-1<td>0<td>25</table>\
    <div style='display:none'>no</div><pre>code</pre><script>no</script>&amp; end";
const CSV: &str = "Tag;Service;Range\n\nPIT-1;\"discharge; \"\"hot\"\"\";0-25\nTIT-2;bearing;0-150\n";
const EMAIL: &str = "Received: from a\r\n by b\r\nFrom: Kim <kim@plant.example>\r\nSubject: =?utf-8?Q?Pump?=\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
    Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\n\r\nplain text\r\n--c\r\n\
    Content-Type: text/html\r\n\r\n<p>shown\r\n--c--\r\n--b\r\nContent-Type: text/csv; name=a.csv\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nVGFnLExpbWl0CkEsMQo=\r\n--b\r\n\
    Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner text\r\n--b--\r\n";

/// The parts of a workbook with each kind of cell.
static XLSX_PARTS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let rows = text_row(1, &["Tag", "Limit", "Set"])
        + "<row r='2'><c r='A2' t='s'><v>0</v></c><c r='B2' s='2'><f t='shared' si='0' ref='B2:B3'>1</f><v>0.5</v></c>\
           <c r='C2' s='1'><v>46093</v></c></row>\
            <row r='3'><c r='B3' t='e'><v>#N/A</v></c><c r='C3' t='b'><v>1</v></c></row>";
    let tail = "<mergeCells count='1'><mergeCell ref='A1:B1'/></mergeCells>";
    let sheet = SheetSource { tail, ..SheetSource::new("Alarms", rows) };
    xlsx_parts(&[sheet], "<sst uniqueCount='1'><si><r><t>PIT-1</t></r></si></sst>")
});

static DECOMPRESSED_PDFS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| UNENCRYPTED_PDFS.into_iter().map(decompressed_pdf).collect());
/// Maximum size of a part that is mutated, in bytes. Larger ones are omitted, because a mutation rarely hits anything
/// relevant in them.
const MAX_PART_BYTES: usize = 20_000;

static DOCX_PARTS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let mut parts = unzip_fixture("features.docx");
    parts.retain(|(name, part)| part.len() < MAX_PART_BYTES && name.ends_with(['s', 'l']));
    parts.push(("word/styles.xml".into(), STYLES.into()));
    parts
});

/// Reads a file in a child process, which must neither crash nor hit a time or memory limit.
fn read(bytes: &[u8], name: &str) -> Result<(), TestCaseError> {
    match read_isolated(bytes, name, &Limits::default()) {
        Ok(document) => prop_assert!(!document.is_empty()),
        Err(ParseError::Document(failure)) => {
            prop_assert!(failure.code != FailureCode::Timeout, "the child hit the time limit");
            prop_assert!(!failure.detail.contains("crashed"), "the child panicked or crashed");
            prop_assert!(!failure.detail.contains("memory"), "the child hit the memory limit");
        }
        Err(other) => prop_assert!(false, "{other:?}"),
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_changed_pdf_is_read_or_refused(name in select(PDFS.to_vec()), mutations in mutations()) {
        read(&apply(bytes(name), &mutations), name)?;
    }

    #[test]
    fn a_pdf_changed_inside_its_streams_is_read_or_refused(selection in any::<Index>(), mutations in mutations()) {
        read(&apply(DECOMPRESSED_PDFS[selection.index(DECOMPRESSED_PDFS.len())].clone(), &mutations), "unpacked.pdf")?;
    }

    #[test]
    fn spliced_pdfs_are_read_or_refused(
        one in select(UNENCRYPTED_PDFS.to_vec()),
        other in select(UNENCRYPTED_PDFS.to_vec()),
        cut in any::<Index>(),
        mutations in mutations(),
    ) {
        let (one, other) = (bytes(one), bytes(other));
        let spliced = [&one[..cut.index(one.len())], &other[cut.index(other.len())..]].concat();
        read(&apply(spliced, &mutations), "joined.pdf")?;
    }

    #[test]
    fn a_docx_with_changed_parts_is_read_or_refused(
        changed in prop::collection::vec((any::<Index>(), mutations()), 1..4),
    ) {
        let mut parts = DOCX_PARTS.clone();
        for (selection, mutations) in &changed {
            let index = selection.index(parts.len());
            parts[index].1 = apply(std::mem::take(&mut parts[index].1), mutations);
        }
        read(&build_zip(&parts), "changed.docx")?;
    }

    #[test]
    fn a_changed_docx_archive_is_read_or_refused(mutations in mutations()) {
        read(&apply(bytes("features.docx"), &mutations), "changed.docx")?;
    }

    #[test]
    fn a_workbook_with_changed_parts_is_read_or_refused(
        changed in prop::collection::vec((any::<Index>(), mutations()), 1..4),
    ) {
        let mut parts = XLSX_PARTS.clone();
        for (selection, mutations) in &changed {
            let index = selection.index(parts.len());
            parts[index].1 = apply(std::mem::take(&mut parts[index].1), mutations);
        }
        read(&build_zip(&parts), "changed.xlsx")?;
    }

    #[test]
    fn changed_text_is_read_or_refused(mutations in prop::collection::vec(mutations(), 1..4), utf16 in any::<bool>()) {
        let mutations: Vec<Mutation> = mutations.concat();
        for (text, name) in [
            (MARKDOWN, "changed.md"),
            (TEXT, "changed.txt"),
            (HTML, "changed.html"),
            (CSV, "changed.csv"),
            (EMAIL, "changed.eml"),
        ] {
            let bytes = if utf16 { text.encode_utf16().flat_map(u16::to_le_bytes).collect() } else { text.into() };
            read(&apply(bytes, &mutations), name)?;
        }
    }
}
