//! What kind of file the bytes are. The name decides nothing but whether text is Markdown.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::read::read_zipfile_from_stream;

use super::text;

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Portable Document Format.
    Pdf,
    /// Office Open XML word processing document.
    Docx,
    /// Text with Markdown marks.
    Markdown,
    /// Plain text.
    Text,
}

impl Format {
    /// The media type under which a file of this format is stored and served.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }
}

/// How far into a file a PDF header may stand: what other readers accept too.
const PDF_HEADER_WITHIN: usize = 1024;

/// Beginnings of formats that are text, or look like it, and are not documents that can be read here.
const FOREIGN_TEXT: [&str; 7] = ["<!doctype", "<html", "<?xml", "<svg", "{\\rtf", "%!ps", "%pdf"];

/// Recognizes a file by its content. `head` is its beginning, at least 8 KiB of it where there is as much; a ZIP
/// archive is looked into when `head` is the whole file, and otherwise judged by its first entries.
///
/// `None` means that the file cannot be read: another format, or nothing at all. An OLE container with an encrypted
/// package counts as [`Format::Docx`], so that its reader can say why it stays closed.
pub fn sniff(head: &[u8], file_name: &str) -> Option<Format> {
    if is_pdf(head) {
        return Some(Format::Pdf);
    }
    if head.starts_with(b"PK\x03\x04") {
        return is_docx(head).then_some(Format::Docx);
    }
    if is_encrypted_office(head) {
        return Some(Format::Docx);
    }
    let text = text::decode_text(head)?;
    let start = text.trim_start().get(..9).unwrap_or(text.trim_start()).to_ascii_lowercase();
    if text.trim().is_empty() || FOREIGN_TEXT.iter().any(|foreign| start.starts_with(foreign)) {
        return None;
    }
    let extension = file_name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    Some(match extension.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd") => Format::Markdown,
        _ => Format::Text,
    })
}

/// A PDF begins with its header, or has it on a line of its own near the beginning.
fn is_pdf(head: &[u8]) -> bool {
    const HEADER: &[u8] = b"%PDF-";
    let window = &head[..head.len().min(PDF_HEADER_WITHIN + HEADER.len())];
    let Some(at) = window.windows(HEADER.len()).position(|bytes| bytes == HEADER) else { return false };
    let foreign = [b"PK\x03\x04".as_slice(), b"\x7fELF", b"MZ", b"\x89PNG", b"\xD0\xCF\x11\xE0", b"GIF8", b"\xFF\xD8"];
    let alone = at == 0 || matches!(head[at - 1], b'\n' | b'\r' | 0xBF | 0);
    let version =
        head.get(at + HEADER.len()..at + HEADER.len() + 2).is_none_or(|v| v[0].is_ascii_digit() && v[1] == b'.');
    alone && version && (at == 0 || !foreign.iter().any(|magic| head.starts_with(magic)))
}

/// Where an archive says of which type its parts are.
const CONTENT_TYPES: &str = "[Content_Types].xml";
/// What it says of a word processing document's main part, whatever that is called; templates and macros included.
const WORD_TYPES: [&str; 4] = [
    "wordprocessingml.document.main+xml",
    "wordprocessingml.template.main+xml",
    "ms-word.document.macroenabled.main+xml",
    "ms-word.template.macroenabledtemplate.main+xml",
];
/// Most bytes of it that are looked at.
const MOST_TYPES: u64 = 256 << 10;
/// Most entries that are passed over before it; programs write it first.
const MOST_ENTRIES: usize = 32;

/// A ZIP archive with a word processing document in it: by the type of a part, or by the name that Word gives it.
fn is_docx(bytes: &[u8]) -> bool {
    match ZipArchive::new(Cursor::new(bytes)) {
        Ok(mut archive) => {
            let types = archive.by_name(CONTENT_TYPES).ok().map(names_a_word_document);
            let named =
                || archive.file_names().flatten().any(|name| name.starts_with("word/") && name.ends_with(".xml"));
            types.is_some_and(|names_it| names_it || named())
        }
        Err(_) => {
            let entry = b"word/";
            bytes.windows(entry.len()).any(|window| window == entry) || begins_as_docx(bytes)
        }
    }
}

/// Whether the first entries of an archive whose end is missing are those of a word processing document.
fn begins_as_docx(mut bytes: &[u8]) -> bool {
    for _ in 0..MOST_ENTRIES {
        match read_zipfile_from_stream(&mut bytes) {
            Ok(Some(entry)) if entry.name().is_ok_and(|name| name == CONTENT_TYPES) => {
                return names_a_word_document(entry);
            }
            Ok(Some(_)) => {}
            _ => return false,
        }
    }
    false
}

fn names_a_word_document(types: impl Read) -> bool {
    let mut text = Vec::new();
    // What is cut off may have named it already.
    let _ = types.take(MOST_TYPES).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    WORD_TYPES.iter().any(|kind| text.contains(kind))
}

/// Office writes a password-protected document as an OLE container that holds a stream named `EncryptedPackage`.
fn is_encrypted_office(bytes: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") && bytes.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_the_name_only_tells_markdown_from_text() {
        assert_eq!(sniff(b"%PDF-1.7\n...", "notes.txt"), Some(Format::Pdf));
        assert_eq!(sniff(b"# Pump\n", "pump.MD"), Some(Format::Markdown));
        assert_eq!(sniff(b"# Pump\n", "pump.pdf"), Some(Format::Text));
        assert_eq!(sniff(b"see the %PDF- header", "a.txt"), Some(Format::Text));
    }

    #[test]
    fn foreign_formats_are_refused_whatever_their_name() {
        let executable = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 64]].concat();
        let hiding = [b"MZ\x90\0\x03\0\0\0\n%PDF-1.4\n".as_slice(), &[0; 64]].concat();
        for (bytes, name) in [
            (executable.as_slice(), "manual.pdf"),
            (&hiding, "manual.pdf"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "manual.pdf"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0\0\0", "old.doc"),
            (b"<!DOCTYPE html><html>", "page.txt"),
            (b"{\\rtf1\\ansi", "letter.txt"),
            (b"PK\x03\x04\x14\0\0\0\0\0xl/workbook.xml", "book.docx"),
            (b"", "empty.pdf"),
            (b" \n\n", "blank.txt"),
        ] {
            assert_eq!(sniff(bytes, name), None, "{name}");
        }
    }
}
