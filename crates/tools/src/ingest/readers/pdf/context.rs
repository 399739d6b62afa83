//! What all pages of a file share while it is read: fonts, and how much may still be unpacked.

use std::collections::HashMap;
use std::rc::Rc;

use lopdf::{Document, ObjectId};

use super::font::Font;

/// Most bytes one content stream may inflate to.
pub(super) const MAX_STREAM: usize = 64 << 20;
/// What even an empty stream costs: forms that call each other must come to an end.
pub(super) const LEAST_COST: u64 = 512;

/// What is common to all pages of a file.
pub(super) struct Context<'a> {
    pub document: &'a Document,
    pub fonts: &'a mut Fonts,
    pub budget: &'a mut Budget,
    pub hidden_layers: &'a [ObjectId],
}

/// Fonts by the address of their dictionary, which the document keeps in place; shared by all pages.
pub(super) type Fonts = HashMap<usize, Rc<Font>>;

/// Most fonts kept at a time; no real file uses as many on neighbouring pages.
pub(super) const MAX_FONTS: usize = 512;

/// Bytes of content that may still be inflated, over the whole file.
pub(super) struct Budget {
    left: u64,
    /// True once a stream was too large.
    pub exceeded: bool,
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        Self { left: bytes, exceeded: false }
    }

    /// True once the file has used up what it may.
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// What one stream may inflate to.
    pub fn left(&self) -> usize {
        usize::try_from(self.left).unwrap_or(usize::MAX)
    }

    /// A stream would inflate beyond what one may, or, for the `file`, beyond all that is left.
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
