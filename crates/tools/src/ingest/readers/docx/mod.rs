//! Reads DOCX: the visible text of a Word document, with tracked changes accepted and comments omitted.

mod numbering;
mod paragraph;
mod shading;
mod styles;
mod table;
mod walk;

use std::collections::{BTreeMap, HashMap};

use numbering::Lists;
use styles::Styles;
use walk::{Item, Walker, flat_text};

use super::package::{Package, Relationship};
use super::reader::Reader;
use super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, Warning};

/// Reads DOCX files.
pub(super) struct DocxReader;

impl Reader for DocxReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        // Office stores a password-protected document in an OLE container instead of a ZIP archive.
        if bytes.starts_with(b"\xD0\xCF\x11\xE0") {
            return Err(ReadError::Encrypted);
        }
        let mut package = Package::open(bytes, limits)?;
        let package_relationships = package.relationships("")?;
        let package_part_path =
            |kind: &str| package_relationships.values().find(|part| part.kind == kind).map(|part| part.path.clone());
        let main_path = match package_part_path("officeDocument") {
            Some(path) => path,
            None => package.main_by_content_type("word")?.unwrap_or_else(|| "word/document.xml".to_owned()),
        };
        let text = package.part(&main_path)?.ok_or_else(|| ReadError::corrupt("its document part is missing"))?;
        let main_relationships = package.relationships(&main_path)?;
        let metadata_title = package.core_title(&package_relationships)?;
        let mut related =
            RelatedParts { package: &mut package, paths_by_kind: group_paths_by_kind(main_relationships) };

        let styles = related.first_part("styles")?.map(|text| Styles::parse(&text)).transpose()?.unwrap_or_default();
        let lists = related.first_part("numbering")?.map(|text| Lists::parse(&text)).transpose()?.unwrap_or_default();
        let mut walker = Walker::new(&styles, lists);
        if let Some(text) = related.first_part("footnotes")? {
            walker.notes.footnotes = walker.parse_notes(&text, "footnote")?;
        }
        if let Some(text) = related.first_part("endnotes")? {
            walker.notes.endnotes = walker.parse_notes(&text, "endnote")?;
        }
        let mut items = walker.collect_part(&text, "body")?;
        let headers = header_footer_blocks(&mut walker, related.all_parts("header")?, "hdr")?;
        items.splice(0..0, headers);
        items.extend(header_footer_blocks(&mut walker, related.all_parts("footer")?, "ftr")?);
        assemble_document(items, metadata_title.or(walker.title), walker.has_hidden_text, limits)
    }
}

/// The parts that the document's main part refers to.
struct RelatedParts<'a, 'b> {
    package: &'a mut Package<'b>,
    paths_by_kind: HashMap<String, Vec<String>>,
}

impl RelatedParts<'_, '_> {
    fn first_part(&mut self, kind: &str) -> Result<Option<String>, ReadError> {
        let path = self.paths_by_kind.get(kind).and_then(|paths| paths.first());
        path.map_or(Ok(None), |path| self.package.part(path))
    }

    fn all_parts(&mut self, kind: &str) -> Result<Vec<String>, ReadError> {
        let paths = self.paths_by_kind.get(kind).cloned().unwrap_or_default();
        paths.iter().filter_map(|path| self.package.part(path).transpose()).collect()
    }
}

/// Groups the paths of parts by relationship type; the paths of each type are sorted.
fn group_paths_by_kind(related: HashMap<String, Relationship>) -> HashMap<String, Vec<String>> {
    let sorted: BTreeMap<String, String> =
        related.into_values().map(|Relationship { kind, path }| (path, kind)).collect();
    let mut by_kind: HashMap<String, Vec<String>> = HashMap::new();
    for (path, kind) in sorted {
        by_kind.entry(kind).or_default().push(path);
    }
    by_kind
}

/// The text of all headers or all footers, one block each and without duplicates. Those without words, such as bare
/// page numbers, are omitted.
fn header_footer_blocks(walker: &mut Walker<'_>, parts: Vec<String>, root: &str) -> Result<Vec<Item>, ReadError> {
    let mut texts: Vec<String> = Vec::new();
    for part in parts {
        let text = flat_text(&walker.collect_part(&part, root)?);
        let words = text.chars().filter(|c| c.is_alphabetic()).count();
        if words >= 3 && !texts.contains(&text) {
            texts.push(text);
        }
    }
    Ok(texts.into_iter().map(|text| Item::Block(Block::new(BlockKind::Paragraph, text))).collect())
}

/// Splits the items into pages at hard page breaks and assembles the document.
fn assemble_document(
    items: Vec<Item>,
    title: Option<String>,
    has_hidden_text: bool,
    limits: &Limits,
) -> Result<ParsedDocument, ReadError> {
    let mut pages = vec![Page::default()];
    let mut text_bytes = 0;
    for item in items {
        match item {
            Item::PageBreak => pages.push(Page::default()),
            Item::Block(block) => {
                text_bytes += block.text.len();
                if let Some(page) = pages.last_mut() {
                    page.blocks.push(block);
                }
            }
        }
    }
    if text_bytes > limits.max_text_bytes {
        return Err(ReadError::TooLarge { what: "bytes of text", limit: limits.max_text_bytes as u64 });
    }
    pages.retain(|page| !page.blocks.is_empty());
    let first_heading = || {
        let blocks = pages.iter().flat_map(|page| &page.blocks);
        blocks.filter(|block| block.kind == BlockKind::Heading { level: 1 }).map(|block| block.text.clone()).next()
    };
    let title = title.or_else(first_heading);
    let warnings = if has_hidden_text { vec![Warning::HiddenText { pages: Vec::new() }] } else { Vec::new() };
    Ok(ParsedDocument { title, pages, page_count: None, warnings })
}
