//! Opens a PDF: decrypts it with the empty password, repairs it, finds its pages, and reads the document catalog.

use std::collections::HashSet;

use lopdf::{Dictionary, Document, Error, LoadOptions, Object, ObjectId, decode_text_string};

use super::super::clean::clean_line;
use super::super::numerals::{letters, roman};
use super::super::{Limits, ReadError, is_meaningful_title};
use super::context::MAX_STREAM_BYTES;
use super::dictionary::dictionary;

/// Maximum number of ancestors followed in a page tree; a crafted file may contain a cycle.
const MAX_ANCESTORS: usize = 64;
/// Maximum number of entries read from the outline or from a number tree.
const MAX_ENTRIES: usize = 50_000;

/// An open PDF and its page objects, in page order.
pub(super) struct PdfFile {
    pub document: Document,
    pub pages: Vec<ObjectId>,
    /// Whether the cross-reference table was rebuilt.
    pub repaired: bool,
}

impl PdfFile {
    /// Opens a PDF and collects its pages, repairing it if necessary.
    ///
    /// # Errors
    /// `Encrypted` if the empty password does not open the file, `TooLarge` if it has too many pages or a stream that
    /// is too large, `Corrupt` if it cannot be parsed or has no pages.
    pub fn open(bytes: &[u8], limits: &Limits) -> Result<Self, ReadError> {
        let options = LoadOptions {
            password: Some(String::new()),
            max_decompressed_size: Some(MAX_STREAM_BYTES),
            ..LoadOptions::default()
        };
        let document = Document::load_mem_with_options(bytes, options).map_err(|error| match error {
            Error::InvalidPassword | Error::Decryption(_) | Error::UnsupportedSecurityHandler(_) => {
                ReadError::Encrypted
            }
            Error::Decompress(lopdf::DecompressError::MemoryLimitExceeded { limit }) => {
                ReadError::TooLarge { what: "bytes in one stream", limit: limit as u64 }
            }
            _ => ReadError::corrupt("it is not a readable PDF"),
        })?;
        // With a wrong password, lopdf returns a document without objects instead of an error.
        if document.trailer.has(b"Encrypt") && !document.was_encrypted() {
            return Err(ReadError::Encrypted);
        }
        let mut repaired = document.xref_recovery.is_some();
        let mut pages: Vec<ObjectId> = document.page_iter().take(limits.max_pages as usize + 1).collect();
        if pages.is_empty() {
            repaired = true;
            pages = orphan_pages(&document);
        }
        if pages.len() > limits.max_pages as usize {
            return Err(ReadError::TooLarge { what: "pages", limit: u64::from(limits.max_pages) });
        }
        if pages.is_empty() {
            return Err(ReadError::corrupt("it has no pages"));
        }
        Ok(Self { document, pages, repaired })
    }

    /// An entry of a page object, inherited from its ancestors if the page lacks it.
    pub fn inherited(&self, page: ObjectId, key: &[u8]) -> Option<&Object> {
        let mut node = self.document.get_dictionary(page).ok()?;
        for _ in 0..MAX_ANCESTORS {
            if let Ok(value) = node.get_deref(key, &self.document) {
                return Some(value);
            }
            node = dictionary(&self.document, node, b"Parent")?;
        }
        None
    }

    /// The title in the metadata, unless it is meaningless.
    pub fn title(&self) -> Option<String> {
        let info = dictionary(&self.document, &self.document.trailer, b"Info")?;
        let title = decode_text_string(info.get_deref(b"Title", &self.document).ok()?).ok()?;
        let title = clean_line(&title);
        is_meaningful_title(&title).then_some(title)
    }

    /// Titles and levels of the outline (bookmarks), in order; level 1 is the outermost.
    pub fn outline(&self) -> Vec<(String, u8)> {
        let mut entries = Vec::new();
        let root = self.document.catalog().ok().and_then(|catalog| dictionary(&self.document, catalog, b"Outlines"));
        let first = root.and_then(|root| root.get(b"First").and_then(Object::as_reference).ok());
        let mut pending: Vec<(ObjectId, u8)> = first.into_iter().map(|id| (id, 1)).collect();
        let mut visited = HashSet::new();
        while let Some((id, level)) = pending.pop() {
            if !visited.insert(id) || entries.len() >= MAX_ENTRIES {
                continue;
            }
            let Ok(item) = self.document.get_dictionary(id) else { continue };
            if let Ok(title) = item.get_deref(b"Title", &self.document).and_then(decode_text_string) {
                entries.push((clean_line(&title), level));
            }
            let next = |key: &[u8]| item.get(key).and_then(Object::as_reference).ok();
            pending.extend(next(b"Next").map(|id| (id, level)));
            pending.extend(next(b"First").map(|id| (id, (level + 1).min(6))));
        }
        entries
    }

    /// Optional content groups (layers) that are off by default.
    pub fn hidden_layers(&self) -> Vec<ObjectId> {
        let document = &self.document;
        let properties = document.catalog().ok().and_then(|catalog| dictionary(document, catalog, b"OCProperties"));
        let Some(properties) = properties else { return Vec::new() };
        let list = |dictionary: &Dictionary, key: &[u8]| -> Vec<ObjectId> {
            let array = dictionary.get_deref(key, document).and_then(Object::as_array).ok();
            array.into_iter().flatten().filter_map(|item| item.as_reference().ok()).collect()
        };
        let Some(default) = dictionary(document, properties, b"D") else { return Vec::new() };
        let mut hidden = list(default, b"OFF");
        if default.get_deref(b"BaseState", document).and_then(Object::as_name).is_ok_and(|state| state == b"OFF") {
            let visible: HashSet<ObjectId> = list(default, b"ON").into_iter().collect();
            hidden.extend(list(properties, b"OCGs").into_iter().filter(|group| !visible.contains(group)));
        }
        hidden
    }

    /// The label of each page; `None` if the file declares none or it equals the page number.
    pub fn labels(&self) -> Vec<Option<String>> {
        let mut labels = vec![None; self.pages.len()];
        let tree = self.document.catalog().ok().and_then(|catalog| dictionary(&self.document, catalog, b"PageLabels"));
        let Some(tree) = tree else { return labels };
        let mut ranges = self.page_label_ranges(tree);
        ranges.sort_by_key(|(start, _)| *start);
        for (at, (start, style)) in ranges.iter().enumerate() {
            let end = ranges.get(at + 1).map_or(labels.len(), |(next, _)| (*next).min(labels.len()));
            for (offset, label) in labels[(*start).min(end)..end].iter_mut().enumerate() {
                *label = Some(self.label(style, offset)).filter(|label| !label.is_empty());
            }
        }
        for (index, label) in labels.iter_mut().enumerate() {
            label.take_if(|label| *label == (index + 1).to_string());
        }
        labels
    }

    fn page_label_ranges<'a>(&'a self, root: &'a Dictionary) -> Vec<(usize, &'a Dictionary)> {
        let mut pending = vec![root];
        let mut found = Vec::new();
        let mut budget = MAX_ENTRIES;
        while let Some(node) = pending.pop() {
            let array = |key: &[u8]| node.get_deref(key, &self.document).and_then(Object::as_array).ok();
            for pair in array(b"Nums").into_iter().flat_map(|nums| nums.chunks_exact(2)) {
                if let (Ok(start), Ok((_, Object::Dictionary(style)))) =
                    (pair[0].as_i64(), self.document.dereference(&pair[1]))
                {
                    found.push((usize::try_from(start).unwrap_or(usize::MAX), style));
                }
            }
            for kid in array(b"Kids").into_iter().flatten() {
                let Some(remaining) = budget.checked_sub(1) else { return found };
                budget = remaining;
                pending.extend(self.document.dereference(kid).ok().and_then(|(_, kid)| kid.as_dict().ok()));
            }
        }
        found
    }

    fn label(&self, style: &Dictionary, offset: usize) -> String {
        let prefix = style.get_deref(b"P", &self.document).and_then(decode_text_string).unwrap_or_default();
        let start =
            style.get_deref(b"St", &self.document).and_then(Object::as_i64).unwrap_or(1).clamp(1, 1 << 30) as usize;
        let number = start + offset;
        let number = match style.get_deref(b"S", &self.document).and_then(Object::as_name) {
            Ok(b"D") => number.to_string(),
            Ok(b"R") => roman(number).to_uppercase(),
            Ok(b"r") => roman(number),
            Ok(b"A") => letters(number).to_uppercase(),
            Ok(b"a") => letters(number),
            _ => String::new(),
        };
        clean_line(&format!("{prefix}{number}"))
    }
}

/// All page objects of the file, for files whose page tree is damaged; in the order of their object numbers.
fn orphan_pages(document: &Document) -> Vec<ObjectId> {
    let pages = document
        .objects
        .iter()
        .filter(|(_, object)| object.as_dict().is_ok_and(|dictionary| dictionary.has_type(b"Page")));
    pages.map(|(id, _)| *id).collect()
}
