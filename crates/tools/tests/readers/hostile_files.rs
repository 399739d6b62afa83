//! Hostile spreadsheets, presentations, pages and messages: a child process must read or refuse each, with a reason.

use std::io::{Cursor, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::document::FailureCode;
use tools::ingest::isolate::ParseError;
use tools::ingest::readers::Limits;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::mutate::build_zip;
use crate::office::{SheetSource, ods, pptx, shape, text_row, xlsx, xlsx_parts};
use crate::support::read_isolated;

/// How a file must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is read.
    Read,
    /// It fails with this code.
    Failed(FailureCode),
    /// Either; only a crash of this test's process would be wrong.
    Either,
}

/// A hostile file.
struct Attack {
    what: &'static str,
    name: &'static str,
    bytes: Vec<u8>,
    end: End,
}

fn attack(what: &'static str, name: &'static str, bytes: impl Into<Vec<u8>>, end: End) -> Attack {
    Attack { what, name, bytes: bytes.into(), end }
}

const TOO_LARGE: End = End::Failed(FailureCode::TooLarge);
const CORRUPT: End = End::Failed(FailureCode::Corrupt);
const UNSUPPORTED: End = End::Failed(FailureCode::Unsupported);

/// A workbook whose part with this name is replaced.
fn xlsx_with(name: &str, part: String) -> Vec<u8> {
    let mut parts = xlsx_parts(&[SheetSource::new("A", text_row(1, &["kept", "text"]))], "");
    parts.retain(|(other, _)| other != name);
    parts.push((name.to_owned(), part.into_bytes()));
    build_zip(&parts)
}

/// An archive with one part of this many zero bytes, written piece by piece.
fn zip_bomb(name: &str, mebibytes: usize) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in xlsx_parts(&[SheetSource::new("A", "")], "") {
        archive.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(&part).unwrap();
    }
    archive.start_file(name, SimpleFileOptions::default()).unwrap();
    let piece = vec![b' '; 1 << 20];
    for _ in 0..mebibytes {
        archive.write_all(&piece).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn workbooks() -> Vec<Attack> {
    let sheet = |rows: String| xlsx(&[SheetSource::new("A", rows)]);
    let string_table = |declared: &str| format!("<sst uniqueCount='{declared}' count='1'><si><t>one</t></si></sst>");
    let expansion = "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;'>]><worksheet><sheetData>\
        <row r='1'><c r='A1' t='inlineStr'><is><t>&b;</t></is></c></row></sheetData></worksheet>";
    let long_text = "x".repeat(32_000);
    let strings = format!("<sst uniqueCount='1'><si><t>{long_text}</t></si></sst>");
    let references: String =
        (1..10_000).map(|row| format!("<row r='{row}'><c r='A{row}' t='s'><v>0</v></c></row>")).collect();
    let repeated = xlsx_parts(&[SheetSource::new("A", references)], &strings);
    let diagonal: String = (2..16_000)
        .map(|n| format!("<row r='{n}'><c r='A{n}'><v>1</v></c><c r='{}{n}'><v>1</v></c></row>", column(n - 1)))
        .collect();
    vec![
        attack("a ZIP bomb", "bomb.xlsx", zip_bomb("xl/worksheets/sheet9.xml", 600), TOO_LARGE),
        attack("many bombs that each stay below the ratio", "bombs.xlsx", many_parts(), TOO_LARGE),
        attack("entity expansion", "entities.xlsx", xlsx_with("xl/worksheets/sheet1.xml", expansion.into()), CORRUPT),
        attack(
            "texts declared by the billion",
            "sst.xlsx",
            xlsx_with("xl/sharedStrings.xml", string_table("99999999999")),
            CORRUPT,
        ),
        attack("a text repeated ten thousand times", "repeated.xlsx", build_zip(&repeated), TOO_LARGE),
        attack(
            "a cell in row four billion",
            "row.xlsx",
            sheet("<row r='4294967295'><c r='A4294967295'><v>1</v></c></row>".into()),
            CORRUPT,
        ),
        attack(
            "a cell in a column of many letters",
            "column.xlsx",
            sheet("<row r='1'><c r='ZZZZZZZZ1'><v>1</v></c></row>".into()),
            CORRUPT,
        ),
        attack("a dimension of seventeen billion cells", "dimension.xlsx", dimension("A1:XFD1048576"), End::Read),
        attack("a dimension backwards", "backwards.xlsx", dimension("XFD1048576:A1"), CORRUPT),
        attack("cells on a diagonal", "diagonal.xlsx", sheet(diagonal), TOO_LARGE),
        attack(
            "cells in the corners",
            "corners.xlsx",
            sheet(text_row(1, &["one"]) + "<row r='1048576'><c r='XFD1048576'><v>2</v></c></row>"),
            End::Read,
        ),
    ]
}

fn damaged_workbooks() -> Vec<Attack> {
    let sheet = |rows: String| xlsx(&[SheetSource::new("A", rows)]);
    let truncated = {
        let bytes = sheet(text_row(1, &["kept", "text"]));
        bytes[..bytes.len() / 2].to_vec()
    };
    vec![
        attack(
            "rows in descending order",
            "descending.xlsx",
            sheet((1..20_000).rev().map(|n| text_row(n, &["a", "b"])).collect()),
            End::Read,
        ),
        attack("merged cells without end", "merged.xlsx", merged(), End::Read),
        attack("XML nested deeply", "nested.xlsx", sheet("<row>".repeat(100_000)), CORRUPT),
        attack(
            "a sheet that never ends",
            "endless.xlsx",
            xlsx_with("xl/worksheets/sheet1.xml", "<worksheet><sheetData><row r='1'>".into()),
            CORRUPT,
        ),
        attack("a truncated workbook", "cut.xlsx", truncated, End::Either),
        attack("a workbook without sheets", "empty.xlsx", xlsx(&[]), End::Failed(FailureCode::NoText)),
        attack("more entries than an office file has", "entries.xlsx", many_entries(), TOO_LARGE),
        attack("a workbook named like a picture", "picture.png", sheet(text_row(1, &["kept", "text"])), End::Read),
    ]
}

/// The letters of a column, from 0.
fn column(index: usize) -> String {
    let mut letters = String::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.insert(0, char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters
}

fn dimension(reference: &str) -> Vec<u8> {
    let rows = text_row(1, &["kept", "text"]);
    let sheet = format!("<worksheet><dimension ref='{reference}'/><sheetData>{rows}</sheetData></worksheet>");
    xlsx_with("xl/worksheets/sheet1.xml", sheet)
}

fn merged() -> Vec<u8> {
    let merged: String = (1..40_000).map(|n| format!("<mergeCell ref='A{n}:XFD{}'/>", n + 1)).collect();
    let tail = format!("<mergeCells>{merged}</mergeCells>");
    let rows: String =
        (0..5_000).map(|n| text_row(3 * n + 1, &["a", "b"]) + &text_row(3 * n + 2, &["c", "d"])).collect();
    xlsx(&[SheetSource { tail: &tail, ..SheetSource::new("A", rows) }])
}

/// Parts that inflate to 630 MiB in total, each below the size from which the ratio is checked.
fn many_parts() -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, part) in xlsx_parts(&[SheetSource::new("A", text_row(1, &["kept", "text"]))], "") {
        archive.start_file(name.as_str(), SimpleFileOptions::default()).unwrap();
        archive.write_all(&part).unwrap();
    }
    let text = format!("<a>{}</a>", " ".repeat(9 << 20));
    for number in 0..70 {
        archive.start_file(format!("xl/x{number}.xml"), SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn many_entries() -> Vec<u8> {
    let mut parts = xlsx_parts(&[SheetSource::new("A", text_row(1, &["kept", "text"]))], "");
    parts.extend((0..3_000).map(|n| (format!("xl/x{n}.xml"), b"<a/>".to_vec())));
    build_zip(&parts)
}

fn open_documents_and_slides() -> Vec<Attack> {
    let table = |rows: &str| format!("<table:table table:name='A'>{rows}</table:table>");
    let cell =
        |attributes: &str| format!("<table:table-cell {attributes}><text:p>kept text</text:p></table:table-cell>");
    let repeated = cell("table:number-columns-repeated='16384'");
    let million = cell("table:number-columns-repeated='1000000'");
    vec![
        attack(
            "cells repeated in rows repeated",
            "repeated.ods",
            ods(
                "",
                &table(&format!("<table:table-row table:number-rows-repeated='1048576'>{repeated}</table:table-row>")),
            ),
            TOO_LARGE,
        ),
        attack(
            "a million columns",
            "columns.ods",
            ods("", &table(&format!("<table:table-row>{million}{million}{million}</table:table-row>"))),
            TOO_LARGE,
        ),
        attack(
            "counts beyond any number",
            "counts.ods",
            ods(
                "",
                &table(&format!(
                    "<table:table-row table:number-rows-repeated='99999999999999999999'>{}</table:table-row>",
                    cell("table:number-columns-spanned='4294967295' table:number-rows-spanned='4294967295'")
                )),
            ),
            End::Read,
        ),
        attack(
            "a table that never ends",
            "endless.ods",
            ods("", "<table:table table:name='A'><table:table-row>"),
            CORRUPT,
        ),
        attack("tables within tables", "tables.ods", ods("", &"<table:table table:name='A'>".repeat(10_000)), CORRUPT),
        attack("slides without text", "empty.pptx", pptx(&["", ""], None), End::Failed(FailureCode::NoText)),
        attack("a slide nested deeply", "nested.pptx", pptx(&[&"<p:grpSp>".repeat(100_000)], None), CORRUPT),
        attack(
            "a slide with entities",
            "entities.pptx",
            pptx(&[&shape("title", &["kept &amp; &own; text"])], None),
            End::Read,
        ),
        attack("a document with the name of slides", "wrong.pptx", b"%PDF-1.7\nnothing".to_vec(), CORRUPT),
    ]
}

fn text_formats() -> Vec<Attack> {
    let utf16 = |text: &str| -> Vec<u8> {
        [b"\xFF\xFE".to_vec(), text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
    };
    vec![
        attack("one line of a megabyte", "line.csv", "a".repeat(1 << 20), End::Read),
        attack("a million columns", "columns.csv", "a,".repeat(1_000_000), TOO_LARGE),
        attack("a quote that is never closed", "quote.csv", format!("a,b\n\"{}", "c,d\n".repeat(100_000)), End::Read),
        attack("only delimiters", "delimiters.csv", ",;\t|\n".repeat(10_000), End::Failed(FailureCode::NoText)),
        attack(
            "UTF-16 with a single byte too many",
            "utf16.csv",
            [utf16(&"Tag;Limit\nPIT-1;16\n".repeat(9)), vec![0x41]].concat(),
            End::Read,
        ),
        attack("NULs in text", "nul.csv", "Tag,Limit\n\0PIT-1\0,16\n".repeat(30), End::Either),
        attack("nothing but NULs", "zero.csv", vec![0_u8; 4096], UNSUPPORTED),
        attack(
            "an executable named like a table",
            "table.csv",
            [b"\x7fELF\x02\x01\x01\0".as_slice(), &[7; 4096]].concat(),
            UNSUPPORTED,
        ),
    ]
}

fn pages() -> Vec<Attack> {
    let depth = 100_000;
    vec![
        attack("elements nested deeply", "deep.html", format!("<html>{}kept", "<div><b>".repeat(depth)), End::Read),
        attack(
            "tables nested deeply",
            "tables.html",
            format!("<html>{}kept", "<table><tr><td>".repeat(depth)),
            End::Read,
        ),
        attack("lists nested deeply", "lists.html", format!("<html>{}kept", "<ul><li>".repeat(depth)), End::Read),
        attack(
            "end tags without start",
            "ends.html",
            format!("<html>{}kept", "</p></td></b>".repeat(depth)),
            End::Read,
        ),
        attack(
            "an element with many attributes",
            "attributes.html",
            format!("<html><p {}>kept", (0..20_000).map(|n| format!("a{n}=1 ")).collect::<String>()),
            End::Read,
        ),
        attack("cells that span everything", "spans.html", spans(), TOO_LARGE),
        attack(
            "character references by the thousand",
            "references.html",
            format!("<html><p>kept{}", "&ngE;&#x110000;&amp".repeat(depth)),
            End::Read,
        ),
        attack(
            "a comment that never ends",
            "comment.html",
            format!("<html><p>kept<!-- {}", "-".repeat(1 << 20)),
            End::Read,
        ),
        attack(
            "nothing but a script",
            "script.html",
            "<html><script>alert('<p>text</p>')",
            End::Failed(FailureCode::NoText),
        ),
    ]
}

fn spans() -> String {
    let cell = format!("<td rowspan=500 colspan=100>{}</td>", "x".repeat(190));
    format!("<html><table>{}</table>", format!("<tr>{}</tr>", cell.repeat(40)).repeat(400))
}

fn messages() -> Vec<Attack> {
    let header = "From: a@plant.example\r\nSubject: kept\r\nMIME-Version: 1.0\r\n";
    let nested = |depth: usize| {
        format!("{header}{}\r\nkept", "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n".repeat(depth))
    };
    let mixed = |parts: String| {
        format!("{header}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nkept\r\n{parts}--b--\r\n")
    };
    let attached = |name: &str, bytes: &[u8]| {
        format!(
            "--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{}\r\n",
            STANDARD.encode(bytes)
        )
    };
    let boundaries: String =
        (0..5_000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n")).collect();
    vec![
        attack("messages within messages", "nested.eml", nested(900), End::Read),
        attack("messages within messages without end", "endless.eml", nested(50_000), TOO_LARGE),
        attack("multiparts within multiparts", "multiparts.eml", format!("{header}{boundaries}\r\nkept"), End::Either),
        attack("ten thousand attachments", "attachments.eml", mixed(attached("a.txt", b"a").repeat(10_000)), End::Read),
        attack(
            "an attached ZIP bomb",
            "bomb.eml",
            mixed(attached("bomb.xlsx", &zip_bomb("xl/worksheets/sheet9.xml", 100))),
            End::Read,
        ),
        attack("an attached program", "program.eml", mixed(attached("a.pdf", b"MZ\x90\0\x03\0\0\0\x04\0")), End::Read),
        attack(
            "a boundary that never comes",
            "boundary.eml",
            format!("{header}Content-Type: multipart/mixed; boundary=zz\r\n\r\nkept\r\n"),
            End::Either,
        ),
        attack(
            "a header of a megabyte",
            "header.eml",
            format!("{header}X-Long: {}\r\n\r\nkept", "a\r\n ".repeat(1 << 18)),
            End::Read,
        ),
        attack(
            "an unknown character set",
            "charset.eml",
            format!("{header}Content-Type: text/plain; charset=nonsense\r\n\r\nkept \u{e4}"),
            End::Read,
        ),
        attack(
            "HTML that hides everything",
            "hidden.eml",
            format!("{header}Content-Type: text/html\r\n\r\n<div hidden>no"),
            End::Read,
        ),
    ]
}

#[test]
fn each_hostile_file_is_read_or_refused_with_a_reason() {
    let groups = [workbooks(), damaged_workbooks(), open_documents_and_slides(), text_formats(), pages(), messages()];
    let attacks: Vec<Attack> = groups.into_iter().flatten().collect();
    assert!(attacks.len() >= 25);
    let mut wrong = Vec::new();
    for Attack { what, name, bytes, end } in attacks {
        let problem = match (read_isolated(&bytes, name, &Limits::default()), end) {
            (Ok(document), End::Read | End::Either) if !document.is_empty() => continue,
            (Err(ParseError::Document(failure)), _) if failure.detail.contains("crashed") => format!("{failure:?}"),
            (Err(ParseError::Document(failure)), End::Failed(code)) if failure.code == code => continue,
            (Err(ParseError::Document(failure)), End::Either) if failure.code != FailureCode::Timeout => continue,
            (Ok(document), _) => format!("read, with {:?}", document.warnings),
            (Err(error), _) => format!("{error:?}"),
        };
        wrong.push(format!("{name} ({what}) must end as {end:?}: {problem}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
