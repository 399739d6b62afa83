//! State shared by all pages of a file: loaded fonts and the remaining decompression budget.

use std::collections::HashMap;
use std::rc::Rc;

use lopdf::{Document, ObjectId};

use super::font::Font;

/// Largest decompressed size of one content stream, in bytes.
pub(super) const MAX_STREAM: usize = 64 << 20;
/// Smallest cost of a stream, so that recursive forms exhaust the budget.
pub(super) const MIN_COST: u64 = 512;

/// State that the pages of a file share.
pub(super) struct Context<'a> {
    pub document: &'a Document,
    pub fonts: &'a mut Fonts,
    pub budget: &'a mut Budget,
    pub hidden_layers: &'a [ObjectId],
}

/// Fonts by the address of their dictionary, which is stable while the document is borrowed.
pub(super) type Fonts = HashMap<usize, Rc<Font>>;

/// Largest number of cached fonts; real files use fewer on neighbouring pages.
pub(super) const MAX_FONTS: usize = 512;

/// Bytes of content that may still be decompressed in the whole file.
pub(super) struct Budget {
    left: u64,
    /// Whether a stream exceeded the budget.
    pub exceeded: bool,
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        Self { left: bytes, exceeded: false }
    }

    /// Whether the budget is used up.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// Largest size that the next stream may decompress to.
    pub fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// Records that a stream exceeded its limit or, with `file`, the remaining budget of the file.
    pub fn exceed(&mut self, file: bool) {
        self.exceeded = true;
        if file {
            self.left = 0;
        }
    }

    pub fn spend(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }
}
