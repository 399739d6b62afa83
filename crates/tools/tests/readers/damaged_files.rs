//! Damaged and crafted files: each must be read or rejected with a reason, without panics or endless loops. Each is
//! read both in this process and in a child process, which must give the same result.

use std::io::{Cursor, Write};

use lopdf::{Dictionary, Document, Object, Stream};
use proptest::prelude::*;
use tools::ingest::readers::{Limits, ParsedDocument, ReadError};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::{bytes, read_in_both_processes};

/// Reads with the default limits, in this process and in a child process.
fn read_bytes(bytes: &[u8], name: &str) -> Result<ParsedDocument, ReadError> {
    read_in_both_processes(bytes, name, &Limits::default())
}

/// Builds a one-page PDF from this content stream and these resources; `objects` are numbered from 5.
fn pdf(content: &[u8], resources: &str, objects: &[String]) -> Vec<u8> {
    let mut parts = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<{resources}>>>>")
            .into_bytes(),
        [format!("<</Length {}>>stream\n", content.len()).as_bytes(), content, b"\nendstream"].concat(),
    ];
    parts.extend(objects.iter().map(|object| object.clone().into_bytes()));
    let mut out = b"%PDF-1.4\n".to_vec();
    for (number, part) in (1..).zip(parts) {
        out.extend([format!("{number} 0 obj\n").as_bytes(), &part, b"\nendobj\n"].concat());
    }
    out.extend(b"trailer<</Root 1 0 R>>\n%%EOF\n");
    out
}

fn form(calls: &str, resources: &str) -> String {
    format!(
        "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<<{resources}>>/Length {}>>stream\n{calls}\nendstream",
        calls.len()
    )
}

#[test]
fn other_formats_are_refused_by_their_content() {
    let elf = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 200]].concat();
    assert_eq!(read_bytes(&elf, "manual.pdf"), Err(ReadError::Unsupported));
    assert_eq!(read_bytes(b"", "empty.pdf"), Err(ReadError::Unsupported));
    assert!(matches!(read_bytes(b"%PDF-1.7\n", "stub.pdf"), Err(ReadError::Corrupt { .. })));
}

#[test]
fn a_truncated_file_gives_text_or_a_reason() {
    for name in ["base.pdf", "tables.pdf", "features.docx"] {
        let whole = bytes(name);
        for length in (0..whole.len()).step_by(whole.len() / 23) {
            if let Ok(document) = read_bytes(&whole[..length], name) {
                assert!(!document.is_empty(), "{name} cut at {length}");
            }
        }
    }
}

#[test]
fn a_damaged_file_without_text_is_not_reported_as_a_scan() {
    let whole = bytes("base.pdf");
    let streams: Vec<usize> =
        whole.windows(7).enumerate().filter(|(_, w)| *w == b"stream\n").map(|(at, _)| at).collect();
    let first = read_bytes(&whole[..streams[0]], "base.pdf");
    assert!(matches!(first, Err(ReadError::Corrupt { .. })), "{first:?}");
    assert_eq!(read_bytes(&bytes("scanned.pdf"), "scanned.pdf"), Err(ReadError::NoText));
}

#[test]
fn recursive_forms_terminate() {
    let objects: Vec<String> = (5..13)
        .map(|n| form(&"/X Do ".repeat(40), &format!("/XObject<</X {} 0 R>>", if n == 12 { 5 } else { n + 1 })))
        .collect();
    let bytes = pdf(b"/X Do", "/XObject<</X 5 0 R>>", &objects);
    let limits = Limits { max_inflated_bytes: 4 << 20, ..Limits::default() };
    let result = read_in_both_processes(&bytes, "x.pdf", &limits);
    assert!(matches!(result, Err(ReadError::TooLarge { .. })), "{result:?}");
}

#[test]
fn a_page_that_decompresses_without_end_is_too_large() {
    let mut page = Stream::new(Dictionary::new(), vec![b' '; 65 << 20]);
    page.compress().unwrap();
    let mut file = Document::load_mem(&bytes("base.pdf")).unwrap();
    let pages = file.get_pages();
    let content = file.get_page_contents(pages[&1])[0];
    file.objects.insert(content, Object::Stream(page));
    let mut out = Vec::new();
    file.save_to(&mut out).unwrap();
    assert!(out.len() < 200_000);
    assert!(matches!(read_bytes(&out, "bomb.pdf"), Err(ReadError::TooLarge { .. })));
}

#[test]
fn content_over_the_limit_is_too_large() {
    let limits = Limits { max_inflated_bytes: 100, ..Limits::default() };
    let result = read_in_both_processes(&bytes("tables.pdf"), "x.pdf", &limits);
    assert!(matches!(result, Err(ReadError::TooLarge { .. })), "{result:?}");
    let limits = Limits { max_text_bytes: 20, ..Limits::default() };
    for name in ["tables.pdf", "features.docx", "README.md"] {
        let result = read_in_both_processes(&bytes(name), name, &limits);
        assert!(matches!(result, Err(ReadError::TooLarge { .. })), "{name}: {result:?}");
    }
    let limits = Limits { max_pages: 4, ..Limits::default() };
    assert!(matches!(read_in_both_processes(&bytes("headers.pdf"), "x.pdf", &limits), Err(ReadError::TooLarge { .. })));
}

#[test]
fn excessive_numbers_in_content_are_harmless() {
    let content = b"q 1e9 0 0 99999999999999999999 0 0 cm BT /F1 99999999 Tf 1 0 0 1 -99999999999 0 Tm (x) Tj ET Q \
        BT /F1 12 Tf 50 700 Td (kept) Tj 0 Tz (zero) Tj -100 Tz (back) Tj ET Q Q Q";
    let bytes = pdf(content, "/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>", &[]);
    let document = read_in_both_processes(&bytes, "x.pdf", &Limits::default()).unwrap();
    assert!(document.pages[0].blocks.iter().any(|block| block.text.contains("kept")));
}

/// Builds a DOCX with this body.
fn docx(body: &str) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut part = |name: &str, text: &str| {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    };
    part("[Content_Types].xml", "<Types/>");
    part("word/document.xml", &format!("<w:document xmlns:w='w'><w:body>{body}</w:body></w:document>"));
    archive.finish().unwrap().into_inner()
}

#[test]
fn deeply_nested_tables_are_cut_off() {
    let nested = |depth: usize| {
        let (open, close) = ("<w:tbl><w:tr><w:tc>", "</w:tc></w:tr></w:tbl>");
        docx(&format!("<w:p><w:r><w:t>kept</w:t></w:r></w:p>{}{}", open.repeat(depth), close.repeat(depth)))
    };
    let document = read_bytes(&nested(100), "x.docx").unwrap();
    assert_eq!(document.pages[0].blocks[0].text, "kept");
    assert!(matches!(read_bytes(&nested(1_000), "x.docx"), Err(ReadError::Corrupt { .. })));
}

/// Damages a file: each change overwrites a byte, or removes or repeats a range of bytes.
fn damage(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (position, kind, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = position.index(bytes.len());
        let end = (at + usize::from(*value)).min(bytes.len());
        match kind % 4 {
            0 | 1 => bytes[at] = *value,
            2 => drop(bytes.drain(at..end)),
            _ => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damaged_files_never_panic(
        name in prop::sample::select(vec![
            "tables.pdf", "headers.pdf", "object_streams.pdf", "old_type1.pdf", "empty_password_rc4.pdf", "cjk.pdf",
            "features.docx",
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..12),
    ) {
        if let Ok(document) = read_bytes(&damage(bytes(name), &changes), name) {
            let clean = |text: &str| !text.contains('\0');
            prop_assert!(document.pages.iter().flat_map(|page| &page.blocks).all(|block| clean(&block.text)));
        }
    }

    #[test]
    fn arbitrary_markup_never_panics(
        tags in prop::collection::vec((prop::sample::select(vec![
            "p", "r", "t", "tbl", "tr", "tc", "pPr", "rPr", "tcPr", "trPr", "tblPr", "numPr", "sdt", "sdtContent",
            "ins", "del",
            "txbxContent", "AlternateContent", "Fallback", "hyperlink", "vanish", "sectPr", "br", "tab", "sym",
        ]), any::<bool>()), 0..80),
    ) {
        let mut body = String::new();
        let mut open = Vec::new();
        for (tag, deeper) in tags {
            body.push_str(&format!("<w:{tag} w:val='1' w:type='page' w:char='F0B7'>words of {tag}"));
            open.push(tag);
            while !deeper && let Some(tag) = open.pop() {
                body.push_str(&format!("</w:{tag}>"));
                if open.len() % 3 == 0 {
                    break;
                }
            }
        }
        while let Some(tag) = open.pop() {
            body.push_str(&format!("</w:{tag}>"));
        }
        let result = read_bytes(&docx(&body), "x.docx");
        prop_assert!(matches!(result, Ok(_) | Err(ReadError::NoText)), "{result:?}");
    }

    #[test]
    fn arbitrary_text_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,200}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            for name in ["a.txt", "a.md"] {
                let _ = read_bytes(bytes, name);
            }
        }
    }

    #[test]
    fn arbitrary_content_streams_never_panic(content in prop::collection::vec(any::<u8>(), 0..400)) {
        let bytes = pdf(&content, "/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>", &[]);
        let _ = read_in_both_processes(&bytes, "x.pdf", &Limits::default());
    }

    #[test]
    fn arbitrary_operators_never_panic(
        operations in prop::collection::vec(
            (prop::collection::vec(-1000_i32..1000, 0..7), prop::sample::select(vec![
                "q", "Q", "cm", "BT", "ET", "Td", "Tm", "Tj", "TJ", "T*", "'", "\"", "Tf", "re", "m", "l", "c", "h",
                "S", "f",
                "W", "n", "g", "rg", "k", "Tr", "Ts", "Tz", "Tc", "Tw", "BI", "ID", "EI", "Do", "sh", "BDC", "EMC",
            ])),
            0..60,
        ),
    ) {
        let mut content = String::from("BT /F1 10 Tf 50 700 Td (start) Tj ");
        for (numbers, operator) in operations {
            numbers.iter().for_each(|number| content.push_str(&format!("{number} ")));
            content.push_str(&format!("(text words) {operator} (more) Tj\n"));
        }
        let bytes = pdf(content.as_bytes(), "/Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>", &[]);
        let _ = read_in_both_processes(&bytes, "x.pdf", &Limits::default());
    }
}
