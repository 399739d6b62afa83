//! Generated documents of several formats, all with the same text. Each page has a heading and three passages.

use super::text_generator::TextGenerator;
use anyhow::Result;
use std::fmt::Write as _;
use std::io::{Cursor, Write as _};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Number of passages per page: about 350 words, as on a printed page.
const PASSAGES_PER_PAGE: usize = 3;
/// Approximate maximum number of characters in a line of a PDF.
const MAX_LINE_LENGTH: usize = 90;

/// A format that the platform reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Pdf,
    Docx,
    Xlsx,
    Csv,
    Html,
    Markdown,
    Text,
}

impl Format {
    /// The name of the format in the report, and its file extension.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::Docx => "docx",
            Self::Xlsx => "xlsx",
            Self::Csv => "csv",
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Text => "txt",
        }
    }
}

/// A generated document as a file.
pub struct SampleDocument {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// A page of a document.
struct Page {
    heading: String,
    passages: Vec<String>,
}

impl SampleDocument {
    /// Generates a document with `pages` pages. Each `number` yields a different text.
    pub fn generate(format: Format, pages: usize, number: usize) -> Result<Self> {
        let generator = TextGenerator::new();
        let document_number = 1_000 + number as u64;
        let page = |index: usize| Page {
            heading: format!("Section {}", index + 1),
            passages: (0..PASSAGES_PER_PAGE)
                .map(|passage| generator.passage(document_number, (index * PASSAGES_PER_PAGE + passage) as u64))
                .collect(),
        };
        let pages: Vec<Page> = (0..pages).map(page).collect();
        let bytes = match format {
            Format::Pdf => render_pdf(&pages)?,
            Format::Docx => render_docx(&pages)?,
            Format::Xlsx => render_xlsx(&pages)?,
            Format::Csv => render_csv(&pages)?.into_bytes(),
            Format::Html => render_html(&pages)?.into_bytes(),
            Format::Markdown => render_text(&pages, "## ").into_bytes(),
            Format::Text => render_text(&pages, "").into_bytes(),
        };
        Ok(Self { name: format!("manual-{number}.{}", format.name()), bytes })
    }
}

fn render_text(pages: &[Page], heading_prefix: &str) -> String {
    let page = |page: &Page| format!("{heading_prefix}{}\n\n{}\n", page.heading, page.passages.join("\n\n"));
    pages.iter().map(page).collect::<Vec<_>>().join("\n")
}

fn render_docx(pages: &[Page]) -> Result<Vec<u8>> {
    let mut body = String::new();
    for page in pages {
        write!(body, "<w:p><w:pPr><w:pStyle w:val='Heading1'/></w:pPr><w:r><w:t>{}</w:t></w:r></w:p>", page.heading)?;
        for passage in &page.passages {
            write!(body, "<w:p><w:r><w:t xml:space='preserve'>{passage}</w:t></w:r></w:p>")?;
        }
    }
    let namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
    let document = format!("<w:document xmlns:w='{namespace}'><w:body>{body}</w:body></w:document>");
    zip_archive(&[("[Content_Types].xml", "<Types/>"), ("word/document.xml", &document)])
}

fn zip_archive(parts: &[(&str, &str)]) -> Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        archive.start_file(*name, SimpleFileOptions::default())?;
        archive.write_all(text.as_bytes())?;
    }
    Ok(archive.finish()?.into_inner())
}

/// A workbook with one sheet: a row for each passage, with the heading of its page.
fn render_xlsx(pages: &[Page]) -> Result<Vec<u8>> {
    let mut rows = String::new();
    let mut number = 0;
    let mut push_row = |heading: &str, passage: &str| -> Result<()> {
        number += 1;
        write!(rows, "<row r='{number}'><c r='A{number}' t='inlineStr'><is><t>{heading}</t></is></c>")?;
        Ok(write!(rows, "<c r='B{number}' t='inlineStr'><is><t>{passage}</t></is></c></row>")?)
    };
    push_row("Section", "Text")?;
    for page in pages {
        page.passages.iter().try_for_each(|passage| push_row(&page.heading, passage))?;
    }
    let (main, office) = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    );
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let related = |id: &str, kind: &str, target: &str| {
        let link = format!("<Relationship Id='{id}' Type='{office}/{kind}' Target='{target}'/>");
        format!("<Relationships xmlns='{package}'>{link}</Relationships>")
    };
    let sheet = format!("<worksheet xmlns='{main}'><sheetData>{rows}</sheetData></worksheet>");
    let list = "<sheets><sheet name='Manual' sheetId='1' r:id='r1'/></sheets>";
    zip_archive(&[
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", &related("r0", "officeDocument", "xl/workbook.xml")),
        ("xl/workbook.xml", &format!("<workbook xmlns='{main}' xmlns:r='{office}'>{list}</workbook>")),
        ("xl/_rels/workbook.xml.rels", &related("r1", "worksheet", "worksheets/sheet1.xml")),
        ("xl/worksheets/sheet1.xml", &sheet),
    ])
}

/// A table with a row for each passage.
fn render_csv(pages: &[Page]) -> Result<String> {
    let mut text = String::from("Section;Text\n");
    for page in pages {
        for passage in &page.passages {
            writeln!(text, "{};\"{passage}\"", page.heading)?;
        }
    }
    Ok(text)
}

fn render_html(pages: &[Page]) -> Result<String> {
    let mut text = String::from("<!DOCTYPE html><html><body>");
    for page in pages {
        write!(text, "<h2>{}</h2>", page.heading)?;
        for passage in &page.passages {
            write!(text, "<p>{passage}</p>")?;
        }
    }
    Ok(text)
}

/// A minimal PDF: one font, one content stream per page, lines of text.
fn render_pdf(pages: &[Page]) -> Result<Vec<u8>> {
    let (mut out, mut offsets) = (String::from("%PDF-1.4\n"), Vec::new());
    let mut object = |out: &mut String, content: &str| -> Result<()> {
        offsets.push(out.len());
        Ok(write!(out, "{} 0 obj\n{content}\nendobj\n", offsets.len())?)
    };
    let kids: Vec<String> = (0..pages.len()).map(|index| format!("{} 0 R", 4 + 2 * index)).collect();
    object(&mut out, "<</Type/Catalog/Pages 2 0 R>>")?;
    object(&mut out, &format!("<</Type/Pages/Count {}/Kids[{}]>>", pages.len(), kids.join(" ")))?;
    object(&mut out, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")?;
    for (index, page) in pages.iter().enumerate() {
        let contents_number = 5 + 2 * index;
        let resources = "/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>";
        object(&mut out, &format!("<</Type/Page/Parent 2 0 R{resources}/Contents {contents_number} 0 R>>"))?;
        let stream = content_stream(page)?;
        object(&mut out, &format!("<</Length {}>>\nstream\n{stream}\nendstream", stream.len()))?;
    }
    let xref_offset = out.len();
    write!(out, "xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1)?;
    for offset in &offsets {
        writeln!(out, "{offset:010} 00000 n ")?;
    }
    let size = offsets.len() + 1;
    write!(out, "trailer\n<</Size {size}/Root 1 0 R>>\nstartxref\n{xref_offset}\n%%EOF\n")?;
    Ok(out.into_bytes())
}

/// The content stream of a page.
fn content_stream(page: &Page) -> Result<String> {
    let mut stream = format!("BT /F1 16 Tf 50 790 Td ({}) Tj /F1 10 Tf 13 TL", page.heading);
    for passage in &page.passages {
        stream.push_str(" T* T*");
        let mut line = String::new();
        for word in passage.split(' ') {
            if line.len() + word.len() > MAX_LINE_LENGTH {
                write!(stream, " ({line}) Tj T*")?;
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        write!(stream, " ({line}) Tj")?;
    }
    stream.push_str(" ET");
    Ok(stream)
}
