//! Detects the format of a file from its content. The file name only distinguishes formats of text from each other.

use super::{archive_format, text};

/// A supported document format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A PDF file.
    Pdf,
    /// A Word document (Office Open XML, `.docx`).
    Docx,
    /// A workbook (Office Open XML, `.xlsx`).
    Xlsx,
    /// A presentation (Office Open XML, `.pptx`).
    Pptx,
    /// A spreadsheet in the OpenDocument format (`.ods`).
    Ods,
    /// A table as text, with any usual delimiter.
    Csv,
    /// A web page.
    Html,
    /// An e-mail message (`.eml`).
    Email,
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
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Pptx => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
            Self::Ods => "application/vnd.oasis.opendocument.spreadsheet",
            Self::Csv => "text/csv",
            Self::Html => "text/html",
            Self::Email => "message/rfc822",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }
}

/// Maximum offset of the PDF header, in bytes. Viewers accept junk before the header up to this offset.
const MAX_PDF_HEADER_OFFSET: usize = 1024;

/// Lower-case prefixes of text-based formats that are not supported.
const UNSUPPORTED_TEXT_PREFIXES: [&str; 6] = ["<!doctype", "<?xml", "<svg", "{\\rtf", "%!ps", "%pdf"];

/// Number of characters at the beginning in which the root element of a web page stands.
const HTML_WINDOW: usize = 4_096;
/// Maximum number of lines of a message's header that are looked at.
const MAX_HEADER_LINES: usize = 200;

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
        return archive_format::detect(head);
    }
    if is_encrypted_office(head) {
        return Some(Format::Docx);
    }
    let text = text::decode_text(head)?;
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{FEFF}');
    if text.is_empty() {
        return None;
    }
    let extension = file_name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let extension = extension.as_deref().unwrap_or_default();
    if is_html(text, matches!(extension, "html" | "htm" | "xhtml")) {
        return Some(Format::Html);
    }
    let start: String = text.chars().take(9).collect::<String>().to_ascii_lowercase();
    if UNSUPPORTED_TEXT_PREFIXES.iter().any(|prefix| start.starts_with(prefix)) {
        return None;
    }
    if is_email(text, extension == "eml") {
        return Some(Format::Email);
    }
    Some(match extension {
        "md" | "markdown" | "mdown" | "mkd" => Format::Markdown,
        "csv" | "tsv" | "tab" => Format::Csv,
        _ => Format::Text,
    })
}

/// Whether text is a web page: it declares HTML, or its root element is `html`. A file that is named like a page may
/// also begin with any other element.
fn is_html(text: &str, is_named_html: bool) -> bool {
    let window: String = text.chars().take(HTML_WINDOW).collect::<String>().to_ascii_lowercase();
    let mut rest = window.as_str();
    // Skip what may stand before the root element: an XML declaration and comments.
    while rest.starts_with("<?xml") || rest.starts_with("<!--") {
        let end = if rest.starts_with("<!--") { "-->" } else { "?>" };
        let Some((_, after)) = rest.split_once(end) else { return is_named_html };
        rest = after.trim_start();
    }
    let declares = rest.strip_prefix("<!doctype").is_some_and(|kind| kind.trim_start().starts_with("html"));
    let root = rest.strip_prefix("<html").is_some_and(|rest| rest.starts_with([' ', '>', '\n', '\r', '\t']));
    declares || root || (is_named_html && rest.starts_with('<') && !rest.starts_with("<svg"))
}

/// Whether text is an e-mail message. Any file may begin with lines such as `From: …`; so a file that is not named like
/// a message needs a field that only programs write.
fn is_email(text: &str, is_named_email: bool) -> bool {
    let mut fields = Vec::new();
    for (at, line) in text.lines().take(MAX_HEADER_LINES).enumerate() {
        if line.trim().is_empty() {
            break;
        }
        let is_continuation = line.starts_with([' ', '\t']) || (at == 0 && line.starts_with("From "));
        if is_continuation {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { return false };
        let is_field =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_field {
            return false;
        }
        fields.push(name.to_ascii_lowercase());
    }
    let has = |wanted: &[&str]| fields.iter().any(|field| wanted.contains(&field.as_str()));
    let has_sender = has(&["from", "sender", "return-path"]);
    let is_by_program = has(&["message-id", "received", "mime-version", "x-mailer", "dkim-signature"]);
    if is_named_email { has_sender || has(&["subject", "to", "date"]) } else { has_sender && is_by_program }
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

/// Whether the file is a password-protected Office document: an OLE container with a stream named `EncryptedPackage`.
fn is_encrypted_office(bytes: &[u8]) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    bytes.starts_with(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1") && bytes.windows(name.len()).any(|window| window == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_and_the_name_only_distinguishes_formats_of_text() {
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
            (b"<?xml version='1.0'?><plant/>", "plant.html.xml"),
            (b"<!DOCTYPE svg><svg>", "drawing.txt"),
            (b"{\\rtf1\\ansi", "letter.txt"),
            (b"PK\x03\x04\x14\0\0\0\0\0xl/workbook.bin", "book.xlsx"),
            (b"", "empty.pdf"),
            (b" \n\n", "blank.txt"),
        ] {
            assert_eq!(sniff(bytes, name), None, "{name}");
        }
    }

    #[test]
    fn pages_messages_and_tables_are_told_from_plain_text() {
        let message = b"Received: from a\r\n by b\r\nFrom: kim@plant.example\r\nSubject: x\r\n\r\nText";
        for (bytes, name, format) in [
            (b"<!DOCTYPE html><html>".as_slice(), "page.txt", Format::Html),
            (b"\xEF\xBB\xBF<!-- saved -->\n<HTML lang=en>", "page", Format::Html),
            (b"<?xml version='1.0'?>\n<!DOCTYPE html>", "page.xhtml", Format::Html),
            (b"<p>fragment", "page.html", Format::Html),
            (b"<p>fragment", "page.txt", Format::Text),
            (b"<html-is-not-it", "a.txt", Format::Text),
            (message, "mail.txt", Format::Email),
            (b"From: kim\nTo: ana\nDate: today\n\nA memo", "memo.txt", Format::Text),
            (b"From: kim\nTo: ana\nDate: today\n\nA memo", "memo.eml", Format::Email),
            (b"no header at all", "memo.eml", Format::Text),
            (b"Tag;Limit\nPIT-1;16\n", "alarms.CSV", Format::Csv),
            (b"Tag\tLimit\nPIT-1\t16\n", "alarms.tsv", Format::Csv),
            (b"Tag;Limit\nPIT-1;16\n", "alarms.txt", Format::Text),
        ] {
            assert_eq!(sniff(bytes, name), Some(format), "{name}");
        }
    }

    #[test]
    fn beginnings_of_archives_are_recognized_by_their_entries() {
        for (entry, format) in [
            ("word/document.xml", Format::Docx),
            ("xl/workbook.xml", Format::Xlsx),
            ("ppt/presentation.xml", Format::Pptx),
            ("mimetypeapplication/vnd.oasis.opendocument.spreadsheet", Format::Ods),
        ] {
            let head = [b"PK\x03\x04\x14\0\0\0\0\0".as_slice(), entry.as_bytes()].concat();
            assert_eq!(sniff(&head, "wrong.pdf"), Some(format), "{entry}");
        }
    }
}
