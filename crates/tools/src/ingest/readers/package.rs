//! The ZIP package of an Office or OpenDocument file: access to its parts and relationships, with limits against
//! decompression bombs.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use encoding_rs::{Encoding, UTF_8};
use zip::ZipArchive;

use super::clean::clean_line;
use super::is_meaningful_title;
use super::xml::{Token, XmlReader};
use super::{Limits, ReadError};

/// A reference from one part of the package to another.
pub(super) struct Relationship {
    /// Last segment of the relationship type's URI, such as `styles`.
    pub(super) kind: String,
    /// Path of the target part within the package.
    pub(super) path: String,
}

/// An open package.
pub(super) struct Package<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    limits: &'a Limits,
    /// Number of bytes that may still be decompressed from this file.
    remaining_bytes: u64,
}

impl<'a> Package<'a> {
    /// Opens a ZIP package and checks its number of entries.
    ///
    /// # Errors
    /// `Corrupt` for a damaged archive, `TooLarge` for one with too many entries.
    pub fn open(bytes: &'a [u8], limits: &'a Limits) -> Result<Self, ReadError> {
        let archive =
            ZipArchive::new(Cursor::new(bytes)).map_err(|_| ReadError::corrupt("it is not a complete ZIP archive"))?;
        if archive.len() > limits.max_entries {
            return Err(ReadError::TooLarge { what: "archive entries", limit: limits.max_entries as u64 });
        }
        Ok(Self { archive, limits, remaining_bytes: limits.max_inflated_bytes })
    }

    /// Decompresses a part and decodes it as text; `None` if it does not exist.
    ///
    /// # Errors
    /// `TooLarge` if the decompressed size exceeds a limit, `Corrupt` if the part cannot be decompressed, `Encrypted`
    /// if it is encrypted.
    pub fn part(&mut self, name: &str) -> Result<Option<String>, ReadError> {
        let name = name.trim_start_matches('/');
        let Some(index) = self.archive.index_for_name(name) else { return Ok(None) };
        let entry = self.archive.by_index(index).map_err(|error| match error {
            zip::result::ZipError::UnsupportedArchive(_) => ReadError::Encrypted,
            _ => ReadError::corrupt("a part of the archive cannot be opened"),
        })?;
        let ratio_limit = entry
            .compressed_size()
            .saturating_mul(self.limits.max_compression_ratio)
            .max(self.limits.ratio_check_min_bytes);
        let max_bytes = self.remaining_bytes.min(ratio_limit);
        let mut bytes = Vec::new();
        entry
            .take(max_bytes + 1)
            .read_to_end(&mut bytes)
            .map_err(|_| ReadError::corrupt("a part of the archive cannot be unpacked"))?;
        if bytes.len() as u64 > max_bytes {
            return Err(ReadError::TooLarge { what: "bytes after unpacking", limit: max_bytes });
        }
        self.remaining_bytes -= bytes.len() as u64;
        let (encoding, bom_length) = Encoding::for_bom(&bytes).unwrap_or((UTF_8, 0));
        if encoding == UTF_8 && bom_length == 0 {
            // Large sheets are almost always valid UTF-8, and are then not copied.
            return Ok(Some(
                String::from_utf8(bytes)
                    .unwrap_or_else(|error| UTF_8.decode_without_bom_handling(error.as_bytes()).0.into_owned()),
            ));
        }
        Ok(Some(encoding.decode_without_bom_handling(&bytes[bom_length..]).0.into_owned()))
    }

    /// The names of all entries that are valid text, in the order of the central directory.
    pub fn names(&self) -> Vec<String> {
        self.archive.file_names().flatten().map(|name| name.to_string()).collect()
    }

    /// Returns the title in the core properties; `None` if it is missing or meaningless.
    ///
    /// # Errors
    /// Same as [`Package::relationships`].
    pub fn core_title(&mut self, relationships: &HashMap<String, Relationship>) -> Result<Option<String>, ReadError> {
        let declared = relationships.values().find(|part| part.kind == "core-properties");
        let path = declared.map_or_else(|| "docProps/core.xml".to_owned(), |part| part.path.clone());
        self.part(&path)?.map_or(Ok(None), |text| title_element(&text))
    }

    /// Returns the relationships of a part, by id; relationships with external targets are omitted.
    ///
    /// # Errors
    /// Same as [`Package::part`]; also `Corrupt` for malformed XML.
    pub fn relationships(&mut self, part: &str) -> Result<HashMap<String, Relationship>, ReadError> {
        let (folder, file) = part.rsplit_once('/').unwrap_or(("", part));
        let path = if folder.is_empty() { format!("_rels/{file}.rels") } else { format!("{folder}/_rels/{file}.rels") };
        let mut found = HashMap::new();
        let Some(text) = self.part(&path)? else { return Ok(found) };
        let mut xml = XmlReader::new(&text);
        loop {
            match xml.next()? {
                Token::StartTag(element) if element.name() == "Relationship" => {
                    let external = element.attribute("TargetMode").is_some_and(|mode| mode == "External");
                    let (id, kind, target) =
                        (element.attribute("Id"), element.attribute("Type"), element.attribute("Target"));
                    if let (Some(id), Some(kind), Some(target), false) = (id, kind, target, external) {
                        let kind = kind.rsplit('/').next().unwrap_or_default().to_owned();
                        found.insert(id, Relationship { kind, path: resolve_target(folder, &target) });
                    }
                }
                Token::EndOfDocument => return Ok(found),
                _ => {}
            }
        }
    }

    /// Finds the path of the main part by its content type, for packages that lack the relationship to it. `family` is
    /// a word of that content type, such as `word` or `presentation`.
    ///
    /// # Errors
    /// Same as [`Package::relationships`].
    pub fn main_by_content_type(&mut self, family: &str) -> Result<Option<String>, ReadError> {
        let Some(text) = self.part("[Content_Types].xml")? else { return Ok(None) };
        let mut xml = XmlReader::new(&text);
        loop {
            match xml.next()? {
                Token::StartTag(element) if element.name() == "Override" => {
                    let kind = element.attribute("ContentType").unwrap_or_default().to_ascii_lowercase();
                    let is_main = kind.contains(family) && kind.ends_with("main+xml");
                    if let (true, Some(path)) = (is_main, element.attribute("PartName")) {
                        return Ok(Some(resolve_target("", &path)));
                    }
                }
                Token::EndOfDocument => return Ok(None),
                _ => {}
            }
        }
    }
}

/// The text of the first `title` element; `None` if it is missing or meaningless.
///
/// # Errors
/// `Corrupt` for malformed XML.
pub(super) fn title_element(text: &str) -> Result<Option<String>, ReadError> {
    let mut xml = XmlReader::new(text);
    let mut title: Option<String> = None;
    let mut in_title = false;
    loop {
        match xml.next()? {
            Token::StartTag(element) => in_title = element.name() == "title",
            Token::Text(text) if in_title => title.get_or_insert_default().push_str(&text),
            Token::EndTag(_) => in_title = false,
            Token::Text(_) => {}
            Token::EndOfDocument => {
                return Ok(title.map(|title| clean_line(&title)).filter(|title| is_meaningful_title(title)));
            }
        }
    }
}

/// Resolves a relationship's target against the folder of the part that declares it.
fn resolve_target(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_resolve_against_their_folder() {
        assert_eq!(resolve_target("word", "styles.xml"), "word/styles.xml");
        assert_eq!(resolve_target("word", "/docProps/core.xml"), "docProps/core.xml");
        assert_eq!(resolve_target("word", "../docProps/./core.xml"), "docProps/core.xml");
    }
}
