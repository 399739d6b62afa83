//! Detects the format of a file from its content. The file name only distinguishes Markdown from plain text.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::read::read_zipfile_from_stream;

use super::text;

/// A supported document format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A PDF file.
    Pdf,
    /// A Word document (Office Open XML, `.docx`).
    Docx,
    /// Text with Markdown markup.
    Markdown,
    /// Plain text in any supported encoding.
    Text,
}

impl Format {
    /// The media type with which files of this format are stored and served.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Docx => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }
}

/// Maximum offset of the PDF header, in bytes. Viewers accept junk before the header up to this offset.
const MAX_PDF_HEADER_OFFSET: usize = 1024;

/// Lower-case prefixes of text-based formats that are not supported.
const UNSUPPORTED_TEXT_PREFIXES: [&str; 7] = ["<!doctype", "<html", "<?xml", "<svg", "{\\rtf", "%!ps", "%pdf"];

/// Detects the format of a file from its content. `head` is the beginning of the file: at least 8 KiB, or the whole
/// file if it is shorter. If `head` is a complete ZIP archive, its central directory is checked, otherwise its first
/// entries.
///
/// Returns `None` for empty files and for unsupported formats. An OLE container with an encrypted package is detected
/// as [`Format::Docx`], so that the DOCX reader can report [`super::ReadError::Encrypted`].
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
    if text.trim().is_empty() || UNSUPPORTED_TEXT_PREFIXES.iter().any(|prefix| start.starts_with(prefix)) {
        return None;
    }
    let extension = file_name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    Some(match extension.as_deref() {
        Some("md" | "markdown" | "mdown" | "mkd") => Format::Markdown,
        _ => Format::Text,
    })
}

/// Whether the content is a PDF: the header is at the start, or at the start of a line near the beginning of a file
/// that is not of another known format.
fn is_pdf(head: &[u8]) -> bool {
    const HEADER: &[u8] = b"%PDF-";
    let window = &head[..head.len().min(MAX_PDF_HEADER_OFFSET + HEADER.len())];
    let Some(at) = window.windows(HEADER.len()).position(|bytes| bytes == HEADER) else { return false };
    let other_magic_numbers =
        [b"PK\x03\x04".as_slice(), b"\x7fELF", b"MZ", b"\x89PNG", b"\xD0\xCF\x11\xE0", b"GIF8", b"\xFF\xD8"];
    let at_line_start = at == 0 || matches!(head[at - 1], b'\n' | b'\r' | 0xBF | 0);
    let has_version =
        head.get(at + HEADER.len()..at + HEADER.len() + 2).is_none_or(|v| v[0].is_ascii_digit() && v[1] == b'.');
    at_line_start && has_version && (at == 0 || !other_magic_numbers.iter().any(|magic| head.starts_with(magic)))
}

/// ZIP entry that lists the content types of the parts.
const CONTENT_TYPES: &str = "[Content_Types].xml";
/// Suffixes of the content types of a Word document's main part, including templates and macro-enabled files.
const WORD_TYPES: [&str; 4] = [
    "wordprocessingml.document.main+xml",
    "wordprocessingml.template.main+xml",
    "ms-word.document.macroenabled.main+xml",
    "ms-word.template.macroenabledtemplate.main+xml",
];
/// Maximum number of decompressed bytes of the content type list that are searched.
const MAX_TYPES_BYTES: u64 = 256 << 10;
/// Maximum number of ZIP entries searched for the content type list; most programs write it first.
const MAX_ENTRIES: usize = 32;

/// Whether a ZIP archive is a Word document, judged by the content type of a part or by the part names that Word uses.
fn is_docx(bytes: &[u8]) -> bool {
    match ZipArchive::new(Cursor::new(bytes)) {
        Ok(mut archive) => {
            let types = archive.by_name(CONTENT_TYPES).ok().map(has_word_type);
            let has_word_part =
                || archive.file_names().flatten().any(|name| name.starts_with("word/") && name.ends_with(".xml"));
            types.is_some_and(|is_word| is_word || has_word_part())
        }
        Err(_) => {
            let entry = b"word/";
            bytes.windows(entry.len()).any(|window| window == entry) || begins_like_docx(bytes)
        }
    }
}

/// Whether a truncated archive begins with the entries of a Word document.
fn begins_like_docx(mut bytes: &[u8]) -> bool {
    for _ in 0..MAX_ENTRIES {
        match read_zipfile_from_stream(&mut bytes) {
            Ok(Some(entry)) if entry.name().is_ok_and(|name| name == CONTENT_TYPES) => {
                return has_word_type(entry);
            }
            Ok(Some(_)) => {}
            _ => return false,
        }
    }
    false
}

fn has_word_type(types: impl Read) -> bool {
    let mut text = Vec::new();
    // Ignore the error of a truncated entry: the part that was read may already contain the content type.
    let _ = types.take(MAX_TYPES_BYTES).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text).to_ascii_lowercase();
    WORD_TYPES.iter().any(|kind| text.contains(kind))
}

/// Whether the file is a password-protected Office document: an OLE container with a stream named `EncryptedPackage`.
fn is_encrypted_office(bytes: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") && bytes.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_the_name_only_distinguishes_markdown_from_text() {
        assert_eq!(sniff(b"%PDF-1.7\n...", "notes.txt"), Some(Format::Pdf));
        assert_eq!(sniff(b"# Pump\n", "pump.MD"), Some(Format::Markdown));
        assert_eq!(sniff(b"# Pump\n", "pump.pdf"), Some(Format::Text));
        assert_eq!(sniff(b"see the %PDF- header", "a.txt"), Some(Format::Text));
    }

    #[test]
    fn unsupported_formats_are_refused_whatever_the_file_name() {
        let executable = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0; 64]].concat();
        let executable_with_pdf_header = [b"MZ\x90\0\x03\0\0\0\n%PDF-1.4\n".as_slice(), &[0; 64]].concat();
        for (bytes, name) in [
            (executable.as_slice(), "manual.pdf"),
            (&executable_with_pdf_header, "manual.pdf"),
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
