//! Reads DOCX fixtures and small generated DOCX files.

use std::io::{Cursor, Write};

use tools::ingest::readers::{Format, ReadError, Warning, sniff};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::{bytes, document, lines, read_bytes};

#[test]
fn a_document_is_read_as_word_displays_it() {
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
    assert_eq!(document.warnings, [Warning::HiddenText { pages: vec![] }], "hidden and white text is omitted");
}

#[test]
fn a_page_break_starts_a_page_without_a_number() {
    let pages = document("features.docx").pages;
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[1].number, None);
    assert_eq!(pages[1].blocks[0].text, "After the break");
}

#[test]
fn decompression_bombs_and_xml_entities_are_refused() {
    assert!(matches!(read_bytes(&bytes("bomb.docx"), "b.docx"), Err(ReadError::TooLarge { .. })));
    assert!(matches!(read_bytes(&bytes("entities.docx"), "e.docx"), Err(ReadError::Corrupt { .. })));
}

/// The lines of a document with this body and these style definitions.
fn lines_of(body: &str, styles: &str) -> Vec<String> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut part = |name: &str, text: &str| {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    };
    let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles";
    part("[Content_Types].xml", "<Types/>");
    part(
        "word/_rels/document.xml.rels",
        &format!("<Relationships><Relationship Id='a' Type='{kind}' Target='styles.xml'/></Relationships>"),
    );
    part("word/styles.xml", &format!("<w:styles xmlns:w='w'>{styles}</w:styles>"));
    part("word/document.xml", &format!("<w:document xmlns:w='w' xmlns:m='m'><w:body>{body}</w:body></w:document>"));
    lines(&read_bytes(&archive.finish().unwrap().into_inner(), "x.docx").unwrap())
}

fn run(text: &str, properties: &str) -> String {
    format!("<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>")
}

#[test]
fn only_the_result_of_a_field_in_a_field_is_shown() {
    let mark = |kind: &str| format!("<w:r><w:fldChar w:fldCharType='{kind}'/></w:r>");
    let (begin, separate, end) = (mark("begin"), mark("separate"), mark("end"));
    let field = |code: &str, result: &str| format!("{begin}{code}{separate}{}{end}", run(result, ""));
    let nested_field = field(&field("", "condition"), "result");
    let unterminated_field = format!("{begin}{}", run("code", ""));
    let body = format!("<w:p>{nested_field}</w:p><w:p>{unterminated_field}</w:p><w:p>{}</w:p>", run("after it", ""));
    assert_eq!(lines_of(&body, ""), ["p: result", "p: after it"]);
}

#[test]
fn hidden_text_is_omitted_and_white_text_on_a_colored_background_is_kept() {
    let styles = "<w:style w:styleId='Off'><w:name w:val='off'/><w:rPr><w:vanish/></w:rPr></w:style>\
        <w:style w:styleId='Bar'><w:name w:val='bar'/><w:pPr><w:shd w:fill='000080'/></w:pPr></w:style>";
    let white = "<w:color w:val='FFFFFF'/>";
    let runs = [
        run("seen", ""),
        run(" styled", "<w:rStyle w:val='Off'/>"),
        run(" tiny", "<w:sz w:val='1'/>"),
        run(" nearly", "<w:color w:val='FEFEFE'/>"),
    ];
    let boxed = format!("<w:r><w:txbxContent><w:p>{}</w:p></w:txbxContent></w:r>", run("in a box", white));
    let bar = format!("<w:pPr><w:pStyle w:val='Bar'/></w:pPr>{}", run("on a bar", white));
    let body = format!("<w:p>{}</w:p><w:p>{bar}</w:p><w:p>{boxed}</w:p>", runs.concat());
    assert_eq!(lines_of(&body, styles), ["p: seen", "p: on a bar", "p: in a box"]);
}

#[test]
fn symbols_and_fractions_are_converted_to_characters() {
    let symbol = |font: &str, code: &str| format!("<w:r><w:sym w:font='{font}' w:char='{code}'/></w:r>");
    let fraction =
        "<m:oMath><m:f><m:num><m:r><m:t>V</m:t></m:r></m:num><m:den><m:r><m:t>t</m:t></m:r></m:den></m:f></m:oMath>";
    let body = format!(
        "<w:p>{}{}{}{}{fraction}</w:p>",
        run("5 ", ""),
        symbol("Symbol", "F0B0"),
        symbol("Symbol", "F057"),
        symbol("Wingdings", "F0FE")
    );
    assert_eq!(lines_of(&body, ""), ["p: 5 °Ω☑V/t"]);
}

/// Programs other than Word may name the main part differently; it must be found by its relationship or content type.
#[test]
fn the_main_part_is_found_under_any_name() {
    const MAIN: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml";
    let kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument";
    let types = format!(
        "<Types><Default Extension='xml' ContentType='application/xml'/>\
         <Override PartName='/text/main.xml' ContentType='{MAIN}'/></Types>"
    );
    let related = format!("<Relationships><Relationship Id='a' Type='{kind}' Target='text/main.xml'/></Relationships>");
    let text = "<w:document xmlns:w='w'><w:body><w:p><w:r><w:t>Close V-12.</w:t></w:r></w:p></w:body></w:document>";
    let sheet = types.replace("wordprocessingml.document", "spreadsheetml.sheet");
    for (types, related, is_docx) in
        [(types.as_str(), Some(related.as_str()), true), (&types, None, true), (&sheet, Some(&related), false)]
    {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut part = |name: &str, text: &str| {
            archive.start_file(name, SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        };
        part("[Content_Types].xml", types);
        if let Some(related) = related {
            part("_rels/.rels", related);
        }
        part("text/main.xml", text);
        // Makes the file larger than the prefix from which the format of an upload is detected.
        let noise: String =
            (0..60_000_u32).map(|n| char::from(b'a' + (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 26)).collect();
        part("other/noise.txt", &noise.repeat(3));
        let file = archive.finish().unwrap().into_inner();
        let format = Some(if is_docx { Format::Docx } else { Format::Xlsx });
        assert_eq!(sniff(&file, "x.docx"), format, "{types}");
        assert_eq!(sniff(&file[..file.len().min(8 << 10)], "x.docx"), format, "by its beginning: {types}");
        if is_docx {
            assert!(lines(&read_bytes(&file, "x.docx").unwrap()).contains(&"p: Close V-12.".to_owned()));
        }
    }
}
