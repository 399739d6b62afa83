//! Reads PPTX: the visible slides in their order, each with its title, text, tables and notes.

mod slide;

use super::package::{Package, Relationship};
use super::reader::{PageCallback, Reader};
use super::xml::{Token, XmlReader};
use super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, Warning};

/// Reads PPTX files, also templates, shows, and files with macros.
pub(super) struct PptxReader;

impl Reader for PptxReader {
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError> {
        self.read_with_progress(bytes, limits, &mut |_| {})
    }

    fn read_with_progress(
        &self,
        bytes: &[u8],
        limits: &Limits,
        on_page: PageCallback<'_>,
    ) -> Result<ParsedDocument, ReadError> {
        let mut package = Package::open(bytes, limits)?;
        let relationships = package.relationships("")?;
        let declared = relationships.values().find(|part| part.kind == "officeDocument").map(|part| part.path.clone());
        let main = match declared {
            Some(path) => path,
            None => package.main_by_content_type("presentation")?.unwrap_or_else(|| "ppt/presentation.xml".to_owned()),
        };
        let slides = slide_paths(&mut package, &main)?;
        if slides.len() > limits.max_pages as usize {
            return Err(ReadError::TooLarge { what: "slides", limit: limits.max_pages.into() });
        }
        let mut show = Show::default();
        for (number, path) in (1..).zip(&slides) {
            on_page(number);
            show.add_slide(&mut package, path, number)?;
            if show.text_bytes > limits.max_text_bytes {
                let limit = limits.max_text_bytes as u64;
                return Err(ReadError::TooLarge { what: "bytes of text", limit });
            }
        }
        let has_macros = package.names().iter().any(|name| name.to_ascii_lowercase().ends_with("vbaproject.bin"));
        let title = package.core_title(&relationships)?;
        Ok(show.finish(title, slides.len() as u32, has_macros))
    }
}

/// The paths of the slides' parts, in the order of the presentation.
fn slide_paths(package: &mut Package<'_>, main: &str) -> Result<Vec<String>, ReadError> {
    let text = package.part(main)?.ok_or_else(|| ReadError::corrupt("its presentation part is missing"))?;
    let related = package.relationships(main)?;
    let mut xml = XmlReader::new(&text);
    let mut paths = Vec::new();
    loop {
        match xml.next()? {
            Token::StartTag(element) if element.name() == "sldId" => {
                // The element also has an attribute `id` without a prefix, which is a number.
                let part = element.prefixed_attribute("id").and_then(|id| related.get(&id));
                paths.extend(part.map(|part| part.path.clone()));
            }
            Token::EndOfDocument => return Ok(paths),
            _ => {}
        }
    }
}

/// The slides read so far.
#[derive(Default)]
struct Show {
    pages: Vec<Page>,
    hidden: Vec<u32>,
    has_hidden_text: bool,
    text_bytes: usize,
}

impl Show {
    /// Adds a slide and its notes, unless it is hidden or its part is missing.
    fn add_slide(&mut self, package: &mut Package<'_>, path: &str, number: u32) -> Result<(), ReadError> {
        let Some(text) = package.part(path)? else { return Ok(()) };
        let slide = slide::parse(&text)?;
        self.has_hidden_text |= slide.has_hidden_text;
        if slide.is_hidden {
            self.hidden.push(number);
            return Ok(());
        }
        let mut blocks = slide.blocks;
        let related = package.relationships(path)?;
        let notes = |part: &&Relationship| part.kind == "notesSlide";
        if let Some(notes) = related.values().find(notes)
            && let Some(text) = package.part(&notes.path)?
        {
            let notes = slide::parse_notes(&text)?;
            if !notes.is_empty() {
                blocks.push(Block::new(BlockKind::Heading { level: 2 }, "Notes"));
                blocks.extend(notes);
            }
        }
        self.text_bytes += blocks.iter().map(|block| block.text.len()).sum::<usize>();
        if !blocks.is_empty() {
            self.pages.push(Page { number: Some(number), blocks, ..Page::default() });
        }
        Ok(())
    }

    fn finish(self, title: Option<String>, slides: u32, has_macros: bool) -> ParsedDocument {
        let first = self.pages.first().and_then(|page| page.blocks.first());
        let first_title = || first.filter(|block| block.kind == BlockKind::Heading { level: 1 });
        let title = title.or_else(|| first_title().map(|block| block.text.clone()));
        let mut warnings = Vec::new();
        if !self.hidden.is_empty() {
            warnings.push(Warning::HiddenSheets { pages: self.hidden });
        }
        if self.has_hidden_text {
            warnings.push(Warning::HiddenText { pages: Vec::new() });
        }
        if has_macros {
            warnings.push(Warning::Macros);
        }
        ParsedDocument { title, pages: self.pages, page_count: Some(slides), warnings }
    }
}
