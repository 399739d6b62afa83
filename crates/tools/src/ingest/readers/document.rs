//! The output of all readers: a document as pages of blocks in reading order.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::{Scan, SheetRow};

/// The text of a document, as pages in file order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParsedDocument {
    /// Title from the metadata or from the first level-1 heading. `None` if the file has no meaningful title; callers
    /// then fall back to the file name.
    pub title: Option<String>,
    /// Pages that have text or images, in file order. Formats without pages yield pages without a number: one for the
    /// whole file, or for DOCX one per section between hard page breaks.
    pub pages: Vec<Page>,
    /// Number of pages in the file, including those without text; `None` for formats without pages.
    pub page_count: Option<u32>,
    /// Problems to show to the user; none of them rejects the file.
    pub warnings: Vec<Warning>,
}

impl ParsedDocument {
    /// Removes bounds with infinite or NaN coordinates, which a crafted file can produce.
    pub(super) fn remove_invalid_bounds(&mut self) {
        for block in self.pages.iter_mut().flat_map(|page| &mut page.blocks) {
            block.bounds.take_if(|bounds| {
                ![bounds.left, bounds.top, bounds.right, bounds.bottom].into_iter().all(f32::is_finite)
            });
        }
    }

    /// Whether any page has images for OCR.
    pub fn has_scans(&self) -> bool {
        self.pages.iter().any(|page| !page.scans.is_empty())
    }

    /// Whether no block contains a letter or digit.
    pub fn is_empty(&self) -> bool {
        !self.pages.iter().flat_map(|page| &page.blocks).any(|block| block.text.chars().any(char::is_alphanumeric))
    }
}

/// One page, with its blocks in reading order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Page {
    /// Position of the page, sheet or slide in the file, from 1; `None` for formats without pages. A long sheet is
    /// returned as several pages with the same number.
    pub number: Option<u32>,
    /// Page label (`iv`, `A-3`), if the file declares one that differs from the number, or the name of the sheet.
    pub label: Option<String>,
    /// The page's text, in reading order.
    pub blocks: Vec<Block>,
    /// Images for OCR; always empty unless [`super::Limits::scans`] is set.
    pub scans: Vec<Scan>,
}

/// The role of a block in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockKind {
    /// A heading; level 1 is the outermost, 6 the innermost.
    Heading {
        /// Heading level, from 1 to 6.
        level: u8,
    },
    /// A paragraph of running text.
    Paragraph,
    /// A list item; its text includes the bullet or number.
    ListItem,
    /// A table row; the text is its cells joined with ` | `.
    TableRow {
        /// Whether this is the header row.
        header: bool,
    },
    /// Preformatted text, in which line breaks and spaces are significant.
    Code,
}

/// A piece of text with one role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// The role of the text.
    pub kind: BlockKind,
    /// The text: no control characters except `\n` and `\t`; ligatures are expanded to letters.
    pub text: String,
    /// Position on the page; `None` for formats without positions.
    pub bounds: Option<Bounds>,
    /// The cells that the text comes from; `None` if it does not come from a sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sheet_row: Option<SheetRow>,
}

impl Block {
    /// Creates a block without a position.
    pub fn new(kind: BlockKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), bounds: None, sheet_row: None }
    }
}

/// A rectangle on the page as displayed, in points (1/72 inch) from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Left edge, in points.
    pub left: f32,
    /// Upper edge, in points.
    pub top: f32,
    /// Right edge, in points.
    pub right: f32,
    /// Lower edge, in points.
    pub bottom: f32,
}

/// A problem with a document that is shown to the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Warning {
    /// These pages consist of images and have little or no text: they need OCR.
    NeedsOcr {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// The text of these pages comes from the invisible text layer that scanner software adds after OCR.
    OcrLayer {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// The text of these pages was produced by OCR and may contain errors.
    Recognized {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// Invisible text on these pages (transparent, in the background color, or off the page) was omitted.
    HiddenText {
        /// 1-based page numbers; empty for formats without pages.
        pages: Vec<u32>,
    },
    /// These pages could only be read in part.
    DamagedPages {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// Control characters were removed, or unusual line separators were replaced.
    Cleaned,
    /// The file was damaged and repaired; pages may be missing.
    Repaired,
    /// Text recognition was unsure about the words of these pages.
    LowConfidence {
        /// 1-based page numbers.
        pages: Vec<u32>,
        /// The lowest mean confidence of the words of a page, in percent.
        lowest: u8,
    },
    /// These sheets or slides are hidden in the file and were left out.
    HiddenSheets {
        /// 1-based numbers of sheets or slides.
        pages: Vec<u32>,
    },
    /// Formulas without a stored result; they are not calculated.
    FormulasWithoutValue {
        /// Number of cells.
        cells: u32,
    },
    /// The file contains macros, which were neither run nor read.
    Macros,
    /// Attachments that were left out, because their type is not supported, they cannot be read, or there are too many.
    UnreadAttachments {
        /// Number of attachments.
        count: u32,
    },
}

impl Warning {
    /// The page numbers of the warning; `None` for warnings about the whole file.
    pub(crate) fn pages_mut(&mut self) -> Option<&mut Vec<u32>> {
        match self {
            Self::NeedsOcr { pages }
            | Self::OcrLayer { pages }
            | Self::Recognized { pages }
            | Self::HiddenText { pages }
            | Self::LowConfidence { pages, .. }
            | Self::HiddenSheets { pages }
            | Self::DamagedPages { pages } => Some(pages),
            Self::Cleaned
            | Self::Repaired
            | Self::FormulasWithoutValue { .. }
            | Self::Macros
            | Self::UnreadAttachments { .. } => None,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeedsOcr { pages } => {
                write!(f, "{}: an image that needs text recognition", Pages(pages))
            }
            Self::OcrLayer { pages } => write!(f, "{} read from the text layer of a scan", Pages(pages)),
            Self::Recognized { pages } => {
                write!(f, "{} read from an image by text recognition; the text may contain errors", Pages(pages))
            }
            Self::HiddenText { pages } if pages.is_empty() => write!(f, "hidden text was left out"),
            Self::HiddenText { pages } => write!(f, "hidden text was left out on {}", Pages(pages)),
            Self::DamagedPages { pages } => write!(f, "{} could not be read in full", Pages(pages)),
            Self::Cleaned => write!(f, "control characters were left out"),
            Self::Repaired => write!(f, "the file was damaged and was repaired; pages may be missing"),
            Self::LowConfidence { pages, lowest } => write!(
                f,
                "{}: text recognition was unsure (mean confidence of a page's words down to {lowest} %); compare with \
                 the image, and check that the language is among those set for text recognition",
                Pages(pages)
            ),
            Self::HiddenSheets { pages } => write!(f, "hidden sheets or slides were left out: {}", Pages(pages)),
            Self::FormulasWithoutValue { cells } => write!(
                f,
                "{cells} formulas have no stored result and were left out; open and save the file in a spreadsheet \
                 program"
            ),
            Self::Macros => write!(f, "the file contains macros, which were left out"),
            Self::UnreadAttachments { count } => write!(f, "{count} attachments could not be read and were left out"),
        }
    }
}

/// Maximum number of page ranges listed in a message.
const MAX_RANGES: usize = 40;

/// Formats page numbers as `page 3` or `pages 1-4, 9`.
struct Pages<'a>(&'a [u32]);

impl fmt::Display for Pages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "page" } else { "pages" })?;
        let mut rest = self.0;
        let mut separator = " ";
        for _ in 0..MAX_RANGES {
            let [first, ..] = *rest else { return Ok(()) };
            let length = rest.iter().zip(first..).take_while(|(number, expected)| *number == expected).count();
            write!(f, "{separator}{first}")?;
            if length > 1 {
                write!(f, "-{}", rest[length - 1])?;
            }
            separator = ", ";
            rest = &rest[length..];
        }
        if rest.is_empty() { Ok(()) } else { write!(f, " and more") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_about_many_pages_stays_a_sentence() {
        let pages = (0..20_000).map(|page| 2 * page + 1).collect();
        let sentence = Warning::NeedsOcr { pages }.to_string();
        assert!(sentence.len() < 500, "{} bytes", sentence.len());
        assert!(sentence.starts_with("pages 1, 3, 5,") && sentence.contains("and more"), "{sentence}");
    }

    #[test]
    fn only_finite_bounds_are_kept() {
        let bounds = |left, right| Some(Bounds { left, top: 0.0, right, bottom: 9.0 });
        let blocks = [(0.0, 1.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)]
            .map(|(left, right)| Block { bounds: bounds(left, right), ..Block::new(BlockKind::Paragraph, "text") });
        let page = Page { blocks: blocks.to_vec(), ..Page::default() };
        let mut document = ParsedDocument { pages: vec![page], ..ParsedDocument::default() };
        document.remove_invalid_bounds();
        let remaining: Vec<_> = document.pages[0].blocks.iter().map(|block| block.bounds).collect();
        assert_eq!(remaining, [bounds(0.0, 1.0), None, None]);
    }

    #[test]
    fn a_warning_names_pages_as_ranges() {
        let warning = Warning::NeedsOcr { pages: vec![1, 2, 3, 7] };
        assert_eq!(warning.to_string(), "pages 1-3, 7: an image that needs text recognition");
        assert_eq!(Warning::DamagedPages { pages: vec![4] }.to_string(), "page 4 could not be read in full");
    }
}
