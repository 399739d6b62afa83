//! What every reader hands back: a document as pages of blocks in reading order, whatever the file format was.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::Scan;

/// A document as it was read: text by page, in the order in which a person reads it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReadDocument {
    /// The title that the file itself gives (metadata, or its first top heading); `None` when it gives none worth
    /// showing, so that the caller can fall back to the file's name.
    pub title: Option<String>,
    /// The pages that hold text, in file order. Formats without pages give one page without a number (DOCX: one for
    /// each part between hard page breaks).
    pub pages: Vec<Page>,
    /// How many pages the file has, those without text included; `None` for formats without pages.
    pub page_count: Option<u32>,
    /// What a person should know about the result; never a reason to refuse it.
    pub warnings: Vec<Warning>,
}

impl ReadDocument {
    /// Takes away bounds that are no numbers, as a crafted file can give them.
    pub(super) fn forget_absurd_bounds(&mut self) {
        for block in self.pages.iter_mut().flat_map(|page| &mut page.blocks) {
            block.bounds.take_if(|bounds| {
                ![bounds.left, bounds.top, bounds.right, bounds.bottom].into_iter().all(f32::is_finite)
            });
        }
    }

    /// True when a page brings a picture of itself, to be recognized.
    pub fn has_scans(&self) -> bool {
        self.pages.iter().any(|page| !page.scans.is_empty())
    }

    /// True when no block holds a letter or a digit.
    pub fn is_empty(&self) -> bool {
        !self.pages.iter().flat_map(|page| &page.blocks).any(|block| block.text.chars().any(char::is_alphanumeric))
    }
}

/// One page and its blocks in reading order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Page {
    /// 1-based index of the page in the file: what a viewer opens. `None` for formats without pages.
    pub number: Option<u32>,
    /// The label printed on the page (`iv`, `A-3`), when the file declares one that differs from the number.
    pub label: Option<String>,
    /// The text, block by block.
    pub blocks: Vec<Block>,
    /// Pictures of a page that needs text recognition, where the limits ask for them.
    pub scans: Vec<Scan>,
}

/// What a block is to its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlockKind {
    /// A heading; level 1 is the outermost, 6 the innermost.
    Heading {
        /// 1 to 6.
        level: u8,
    },
    /// Running text.
    Paragraph,
    /// One item of a list, its bullet or number included.
    ListItem,
    /// One row of a table, its cells joined with ` | `.
    TableRow {
        /// True for a row that names the columns.
        header: bool,
    },
    /// Text whose line breaks and spaces matter.
    Code,
}

/// A piece of text of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// What the text is.
    pub kind: BlockKind,
    /// The text: no NUL, no control characters but `\n` and `\t`, ligatures as letters.
    pub text: String,
    /// Where the block stands on its page; `None` for formats without positions.
    pub bounds: Option<Bounds>,
}

impl Block {
    /// A block without a position.
    pub fn new(kind: BlockKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), bounds: None }
    }
}

/// A rectangle on a page as it is displayed, in points (1/72 inch) from the page's left and top edge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Left edge.
    pub left: f32,
    /// Upper edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Lower edge.
    pub bottom: f32,
}

/// Something a person should know about a document that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Warning {
    /// These pages show an image and hold no text, or next to none: they need optical character recognition.
    NeedsOcr {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// The text of these pages is the invisible layer that a scanner's recognition put under the image.
    OcrLayer {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// The text of these pages was recognized from their pictures; it may hold errors.
    Recognized {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// These pages hold text that nobody sees (invisible, in the background's colour, off the page); it was left out.
    HiddenText {
        /// 1-based page numbers; empty for formats without pages.
        pages: Vec<u32>,
    },
    /// These pages could not be read in full.
    DamagedPages {
        /// 1-based page numbers.
        pages: Vec<u32>,
    },
    /// Control characters, or separators of lines that few programs know, were replaced.
    Cleaned,
    /// The file was damaged and had to be repaired before it could be read; pages may be missing.
    Repaired,
}

impl Warning {
    /// The pages that it is about.
    pub(crate) fn pages_mut(&mut self) -> Option<&mut Vec<u32>> {
        match self {
            Self::NeedsOcr { pages }
            | Self::OcrLayer { pages }
            | Self::Recognized { pages }
            | Self::HiddenText { pages }
            | Self::DamagedPages { pages } => Some(pages),
            Self::Cleaned | Self::Repaired => None,
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
                write!(f, "{} read from an image by text recognition, which makes mistakes", Pages(pages))
            }
            Self::HiddenText { pages } if pages.is_empty() => write!(f, "hidden text was left out"),
            Self::HiddenText { pages } => write!(f, "hidden text was left out on {}", Pages(pages)),
            Self::DamagedPages { pages } => write!(f, "{} could not be read in full", Pages(pages)),
            Self::Cleaned => write!(f, "control characters were left out"),
            Self::Repaired => write!(f, "the file was damaged and was repaired; pages may be missing"),
        }
    }
}

/// Most runs of pages that a sentence names.
const MOST_RANGES: usize = 40;

/// Page numbers as a person writes them: `page 3`, `pages 1-4, 9`.
struct Pages<'a>(&'a [u32]);

impl fmt::Display for Pages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.len() == 1 { "page" } else { "pages" })?;
        let mut rest = self.0;
        let mut separator = " ";
        for _ in 0..MOST_RANGES {
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
    fn only_bounds_of_numbers_are_kept() {
        let within = |left, right| Some(Bounds { left, top: 0.0, right, bottom: 9.0 });
        let blocks = [(0.0, 1.0), (f32::NAN, 1.0), (0.0, f32::INFINITY)]
            .map(|(left, right)| Block { bounds: within(left, right), ..Block::new(BlockKind::Paragraph, "text") });
        let page = Page { blocks: blocks.to_vec(), ..Page::default() };
        let mut document = ReadDocument { pages: vec![page], ..ReadDocument::default() };
        document.forget_absurd_bounds();
        let kept: Vec<_> = document.pages[0].blocks.iter().map(|block| block.bounds).collect();
        assert_eq!(kept, [within(0.0, 1.0), None, None]);
    }

    #[test]
    fn a_warning_names_pages_as_ranges() {
        let warning = Warning::NeedsOcr { pages: vec![1, 2, 3, 7] };
        assert_eq!(warning.to_string(), "pages 1-3, 7: an image that needs text recognition");
        assert_eq!(Warning::DamagedPages { pages: vec![4] }.to_string(), "page 4 could not be read in full");
    }
}
