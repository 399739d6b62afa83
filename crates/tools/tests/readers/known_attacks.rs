//! Attacks known from other parsers: a child process must either read or reject each file quickly.

use std::fmt::Write as _;

use domain::document::FailureCode;
use tools::ingest::isolate::ParseError;
use tools::ingest::readers::Limits;

use crate::mutate::build_zip;
use crate::support::read_isolated;

/// Nesting depth that overflows the stack of a parser with unbounded recursion.
const NESTING_DEPTH: usize = 100_000;

/// Builds a PDF with these objects, numbered from 1, and these trailer entries.
fn pdf(objects: &[String], trailer: &str) -> Vec<u8> {
    let mut out = String::from("%PDF-1.7\n");
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        let _ = writeln!(table, "{:010} 00000 n ", out.len());
        let _ = write!(out, "{number} 0 obj\n{object}\nendobj\n");
    }
    let start = out.len();
    let _ = write!(out, "{table}trailer\n<</Size {} {trailer}>>\nstartxref\n{start}\n%%EOF\n", objects.len() + 1);
    out.into_bytes()
}

/// Builds a one-page PDF from this content and these page entries; `extra_objects` are numbered from 5.
fn single_page_pdf(content: &str, entries: &str, extra_objects: &[String]) -> Vec<u8> {
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        format!("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R{entries}>>"),
        format!("<</Length {}>>stream\n{content}\nendstream", content.len()),
    ];
    objects.extend_from_slice(extra_objects);
    pdf(&objects, "/Root 1 0 R")
}

fn nested(open: &str, close: &str) -> String {
    format!("{}{}", open.repeat(NESTING_DEPTH), close.repeat(NESTING_DEPTH))
}

/// PDFs with deeply nested, unterminated or self-referencing structures.
fn pdf_structures() -> Vec<(&'static str, Vec<u8>)> {
    let text = "BT /F1 12 Tf 50 700 Td (kept) Tj ET";
    let font = "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>";
    let catalog = "<</Type/Catalog/Pages 2 0 R/Outlines 5 0 R/PageLabels 6 0 R>>".to_owned();
    let chain = |count: usize| -> Vec<String> {
        let node =
            |number: usize| format!("<</Type/Pages/Kids[{} 0 R]/Count 1/Parent {} 0 R>>", number + 1, number - 1);
        [catalog.clone()].into_iter().chain((2..count).map(node)).collect()
    };
    vec![
        ("nested arrays", single_page_pdf(text, font, &[nested("[", "]")])),
        ("nested dictionaries", single_page_pdf(text, font, &[nested("<</A ", ">>")])),
        ("unclosed arrays", single_page_pdf(text, font, &["[".repeat(NESTING_DEPTH)])),
        ("unclosed strings", single_page_pdf(text, font, &["(".repeat(NESTING_DEPTH)])),
        ("nested arrays in content", single_page_pdf(&format!("{} TJ {text}", nested("[", "]")), font, &[])),
        (
            "nested dictionaries in content",
            single_page_pdf(&format!("/A {} BDC {text}", nested("<</B ", ">>")), font, &[]),
        ),
        (
            "saved graphics states without a restore",
            single_page_pdf(&format!("{} {text}", "q ".repeat(NESTING_DEPTH)), font, &[]),
        ),
        ("unclosed marked content", single_page_pdf(&format!("{} {text}", "/A BMC ".repeat(NESTING_DEPTH)), font, &[])),
        ("a page tree that is one long chain", pdf(&chain(NESTING_DEPTH / 5), "/Root 1 0 R")),
        ("a page tree that is its own child", {
            let kids = "<</Type/Pages/Kids[2 0 R 2 0 R 2 0 R]/Count 9/Parent 2 0 R>>";
            pdf(&[catalog.clone(), kids.into()], "/Root 1 0 R")
        }),
        ("an outline and page labels that contain themselves", {
            let mut objects = vec![
                catalog.clone(),
                "<</Type/Pages/Kids[3 0 R]/Count 1>>".into(),
                format!("<</Type/Page/Parent 2 0 R/Contents 4 0 R{font}>>"),
                format!("<</Length {}>>stream\n{text}\nendstream", text.len()),
            ];
            objects.push("<</First 5 0 R/Next 5 0 R/Title(x)>>".into());
            objects.push("<</Kids[6 0 R 6 0 R 6 0 R]>>".into());
            pdf(&objects, "/Root 1 0 R")
        }),
        ("circular references", {
            let objects = ["5 0 R", "6 0 R", "5 0 R"].map(String::from);
            single_page_pdf(text, "/Resources 5 0 R/Rotate 6 0 R/CropBox 7 0 R", &objects)
        }),
        ("a previous cross-reference table at a wrong offset", pdf(&chain(4), "/Root 1 0 R/Prev 9")),
    ]
}

/// PDFs with numbers far outside any reasonable range.
fn pdf_numbers() -> Vec<(&'static str, Vec<u8>)> {
    let text = "BT /F1 12 Tf 50 700 Td (kept) Tj ET";
    let font = "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>";
    let stream = |entries: &str, data: &str| format!("<<{entries}/Length {}>>stream\n{data}\nendstream", data.len());
    let with_cmap = |map: &str| {
        let font = "/Resources<</Font<</F1<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/ToUnicode 5 0 R\
            /DescendantFonts[<</Type/Font/Subtype/CIDFontType2/W[0 999999999 500]/DW 1e30>>]>>>>>>";
        single_page_pdf("BT /F1 12 Tf 50 700 Td <00410042> Tj ET", font, &[stream("", map)])
    };
    vec![
        ("a cross-reference table with more objects than the file has bytes", pdf(&[], "/Root 1 0 R/Size 99999999999")),
        (
            "a stream longer than the file",
            single_page_pdf(text, font, &["<</Length 999999999999>>stream\nx\nendstream".into()]),
        ),
        ("an object stream with more objects than it has bytes", {
            single_page_pdf(text, font, &[stream("/Type/ObjStm/N 999999999/First 99999999", "1 0 2 0 3 0")])
        }),
        ("a cross-reference stream with wide fields", {
            let table = stream("/Type/XRef/W[8 8 8]/Index[0 99999999999]/Size 99999999999/Root 1 0 R", "abc");
            format!("%PDF-1.7\n1 0 obj\n{table}\nendobj\nstartxref\n9\n%%EOF\n").into_bytes()
        }),
        ("a predictor with huge rows", {
            let filters = "/Filter[/ASCIIHexDecode/FlateDecode]";
            let rows = "/DecodeParms[null <</Predictor 15/Columns 2147483647/Colors 2147483647>>]";
            let data = stream(&format!("{filters}{rows}"), "789ccb48cdc9c90700062c0215>");
            single_page_pdf("", &format!("{font}/Contents 5 0 R"), &[data])
        }),
        ("a long chain of filters", {
            let filters = "/ASCIIHexDecode".repeat(NESTING_DEPTH);
            single_page_pdf("", &format!("{font}/Contents 5 0 R"), &[stream(&format!("/Filter[{filters}]"), "41>")])
        }),
        (
            "a character range of four billion codes",
            with_cmap("1 beginbfrange <00000000> <ffffffff> <0041> endbfrange"),
        ),
        (
            "thousands of overlapping CID ranges",
            with_cmap(&"1 begincidrange <0000> <ffff> 0 endcidrange\n".repeat(2_000)),
        ),
        (
            "a number with many thousands of digits",
            single_page_pdf(&format!("{} 0 Td {text}", "9".repeat(NESTING_DEPTH)), font, &[]),
        ),
        ("a page of extreme size", {
            single_page_pdf(text, &format!("{font}/CropBox[-1e38 -1e38 1e38 1e38]/UserUnit 1e38/Rotate 1e30"), &[])
        }),
        (
            "text with extreme coordinates",
            single_page_pdf(&text.replace("/F1 12", "1e38 0 0 1e38 1e38 1e38 Tm /F1 1e38"), font, &[]),
        ),
    ]
}

/// Builds a DOCX with this body.
fn docx(body: &str) -> Vec<u8> {
    let document = format!("<w:document xmlns:w='w'><w:body>{body}</w:body></w:document>");
    let parts = [("[Content_Types].xml", "<Types/>".to_owned()), ("word/document.xml", document)];
    build_zip(&parts.map(|(name, part)| (name.to_owned(), part.into_bytes())))
}

fn other_formats() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let paragraph = "<w:p><w:r><w:t>kept</w:t></w:r></w:p>";
    let text = |text: String| text.into_bytes();
    vec![
        ("nested elements", docx(&format!("{paragraph}{}", nested("<w:x>", "</w:x>"))), "a.docx"),
        ("nested insertions", docx(&format!("{paragraph}{}", nested("<w:ins>", "</w:ins>"))), "a.docx"),
        ("nested content controls", docx(&nested("<w:sdt><w:sdtContent>", "</w:sdtContent></w:sdt>")), "a.docx"),
        (
            "one element with many attributes",
            {
                let attributes: String = (0..NESTING_DEPTH).map(|number| format!(" a{number}='1'")).collect();
                docx(&format!("<w:p{attributes}/>{paragraph}"))
            },
            "a.docx",
        ),
        (
            "cells that span huge numbers of columns",
            {
                let cell = "<w:tc><w:tcPr><w:gridSpan w:val='2147483647'/></w:tcPr><w:p/></w:tc>";
                docx(&format!("{paragraph}<w:tbl><w:tr>{}</w:tr></w:tbl>", cell.repeat(100)))
            },
            "a.docx",
        ),
        ("a document type declaration", docx("<!DOCTYPE x [<!ENTITY a 'b'>]>"), "a.docx"),
        ("nested block quotes", text(">".repeat(NESTING_DEPTH)), "a.md"),
        ("nested brackets", text("[".repeat(NESTING_DEPTH)), "a.md"),
        ("unmatched brackets", text("[a](".repeat(NESTING_DEPTH / 4)), "a.md"),
        ("unclosed emphasis", text("*a **a _a ".repeat(NESTING_DEPTH / 4)), "a.md"),
        ("nested lists", text((0..2_000).map(|depth| format!("{}- a\n", " ".repeat(depth))).collect()), "a.md"),
        ("backticks of all lengths", text((1..2_000).map(|count| format!("{} ", "`".repeat(count))).collect()), "a.md"),
        (
            "tables with many columns",
            text(format!("{}\n{}\n", "|a".repeat(NESTING_DEPTH), "|-".repeat(NESTING_DEPTH)).repeat(2)),
            "a.md",
        ),
        (
            "many link references and definitions",
            text("[a]: b\n".repeat(NESTING_DEPTH / 4) + &"[a]".repeat(NESTING_DEPTH / 4)),
            "a.md",
        ),
        ("unclosed front matter", text(format!("---\n{}", "a: b\n".repeat(NESTING_DEPTH))), "a.md"),
        ("one line without a space", text("a".repeat(1 << 20)), "a.txt"),
        ("almost only blank lines", text("a\n".to_owned() + &"\n \t\n".repeat(1 << 18)), "a.txt"),
        ("a letter with many combining marks", text("a".to_owned() + &"\u{301}".repeat(1 << 18)), "a.txt"),
    ]
}

#[test]
fn each_known_attack_is_read_or_refused() {
    let pdfs = pdf_structures().into_iter().chain(pdf_numbers()).map(|(attack, bytes)| (attack, bytes, "a.pdf"));
    for (attack, bytes, name) in pdfs.chain(other_formats()) {
        match read_isolated(&bytes, name, &Limits::default()) {
            Ok(document) => assert!(!document.is_empty(), "{attack}"),
            Err(ParseError::Document(failure)) => {
                assert!(
                    failure.code != FailureCode::Timeout && !failure.detail.contains("crashed"),
                    "{attack}: {failure:?}"
                );
            }
            Err(other) => panic!("{attack}: {other:?}"),
        }
    }
}
