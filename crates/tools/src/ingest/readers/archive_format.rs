//! Detects the format of a ZIP archive: Office Open XML by its content types, OpenDocument by its media type.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::read::read_zipfile_from_stream;

use super::Format;

/// ZIP entry that lists the content types of the parts.
const CONTENT_TYPES: &str = "[Content_Types].xml";
/// ZIP entry with the media type of an OpenDocument file.
const MEDIA_TYPE: &str = "mimetype";
/// Media type of OpenDocument spreadsheets; that of templates begins with it.
const SPREADSHEET: &str = "application/vnd.oasis.opendocument.spreadsheet";
/// Suffixes of the content types of main parts, including templates and macro-enabled files.
const MAIN_TYPES: [(&str, Format); 14] = [
    ("wordprocessingml.document.main+xml", Format::Docx),
    ("wordprocessingml.template.main+xml", Format::Docx),
    ("ms-word.document.macroenabled.main+xml", Format::Docx),
    ("ms-word.template.macroenabledtemplate.main+xml", Format::Docx),
    ("spreadsheetml.sheet.main+xml", Format::Xlsx),
    ("spreadsheetml.template.main+xml", Format::Xlsx),
    ("ms-excel.sheet.macroenabled.main+xml", Format::Xlsx),
    ("ms-excel.template.macroenabled.main+xml", Format::Xlsx),
    ("presentationml.presentation.main+xml", Format::Pptx),
    ("presentationml.template.main+xml", Format::Pptx),
    ("presentationml.slideshow.main+xml", Format::Pptx),
    ("ms-powerpoint.presentation.macroenabled.main+xml", Format::Pptx),
    ("ms-powerpoint.template.macroenabled.main+xml", Format::Pptx),
    ("ms-powerpoint.slideshow.macroenabled.main+xml", Format::Pptx),
];
/// Parts by which an archive is recognized that does not say its content types.
const PARTS: [(&str, Format); 4] = [
    ("word/", Format::Docx),
    ("xl/workbook.xml", Format::Xlsx),
    ("xl/worksheets/", Format::Xlsx),
    ("ppt/", Format::Pptx),
];
/// Maximum number of decompressed bytes of the content type list that are searched.
const MAX_TYPES_BYTES: u64 = 256 << 10;
/// Maximum number of ZIP entries searched for the content type list; most programs write it first.
const MAX_ENTRIES: usize = 32;

/// Detects the format of an archive, which may be cut off at the end; `None` if it is not supported.
pub(super) fn detect(bytes: &[u8]) -> Option<Format> {
    match ZipArchive::new(Cursor::new(bytes)) {
        Ok(mut archive) => {
            if archive.by_name(MEDIA_TYPE).is_ok_and(|entry| text_of(entry).starts_with(SPREADSHEET)) {
                return Some(Format::Ods);
            }
            let types = archive.by_name(CONTENT_TYPES).ok().map(text_of)?;
            format_of_types(&types).or_else(|| format_of_parts(&archive))
        }
        Err(_) => format_of_beginning(bytes),
    }
}

fn format_of_parts(archive: &ZipArchive<Cursor<&[u8]>>) -> Option<Format> {
    let mut names = archive.file_names().flatten().filter(|name| name.ends_with(".xml"));
    names.find_map(|name| PARTS.iter().find(|(part, _)| name.starts_with(part)).map(|(_, format)| *format))
}

/// The format of an archive that is cut off: by its content types if they are whole, else by the part whose name stands
/// first, because entries of archives within the archive may follow.
fn format_of_beginning(bytes: &[u8]) -> Option<Format> {
    let position = |wanted: &str| bytes.windows(wanted.len()).position(|window| window == wanted.as_bytes());
    if position(&format!("{MEDIA_TYPE}{SPREADSHEET}")).is_some() {
        return Some(Format::Ods);
    }
    let first_part = || {
        let places = PARTS.iter().filter_map(|(part, format)| Some((position(part)?, *format)));
        places.min_by_key(|(at, _)| *at).map(|(_, format)| format)
    };
    format_of_first_entries(bytes).or_else(first_part)
}

fn format_of_first_entries(mut bytes: &[u8]) -> Option<Format> {
    for _ in 0..MAX_ENTRIES {
        match read_zipfile_from_stream(&mut bytes) {
            Ok(Some(entry)) if entry.name().is_ok_and(|name| name == CONTENT_TYPES) => {
                return format_of_types(&text_of(entry));
            }
            Ok(Some(_)) => {}
            _ => return None,
        }
    }
    None
}

/// The format of the main part in a content type list.
fn format_of_types(types: &str) -> Option<Format> {
    MAIN_TYPES.iter().find(|(kind, _)| types.contains(kind)).map(|(_, format)| *format)
}

/// The beginning of an entry in lower case.
fn text_of(entry: impl Read) -> String {
    let mut text = Vec::new();
    // Ignore the error of a truncated entry: the part that was read may already contain the content type.
    let _ = entry.take(MAX_TYPES_BYTES).read_to_end(&mut text);
    String::from_utf8_lossy(&text).to_ascii_lowercase()
}
