//! State shared by all pages of a file: loaded fonts and the remaining decompression budget.

use std::collections::HashMap;
use std::rc::Rc;

use lopdf::{Document, ObjectId};

use super::font::Font;

/// Maximum decompressed size of one content stream, in bytes.
pub(super) const MAX_STREAM_BYTES: usize = 64 << 20;
/// Minimum number of bytes charged for a stream, so that even tiny forms that invoke each other exhaust the budget.
pub(super) const MIN_STREAM_COST: u64 = 512;

/// The state that all pages of a file share.
pub(super) struct Context<'a> {
    pub document: &'a Document,
    pub fonts: &'a mut Fonts,
    pub budget: &'a mut Budget,
    pub hidden_layers: &'a [ObjectId],
}

/// Loaded fonts by the address of their dictionary, which does not change while the document is borrowed.
pub(super) type Fonts = HashMap<usize, Rc<Font>>;

/// Maximum number of cached fonts; neighboring pages of a real file use fewer.
pub(super) const MAX_FONTS: usize = 512;

/// The number of bytes that may still be decompressed from the whole file.
pub(super) struct Budget {
    remaining: u64,
    /// Whether any stream exceeded its limit or the budget.
    pub exceeded: bool,
}

impl Budget {
    pub fn new(bytes: u64) -> Self {
        Self { remaining: bytes, exceeded: false }
    }

    /// Whether the budget is used up.
    pub fn is_exhausted(&self) -> bool {
        self.remaining == 0
    }

    /// Maximum decompressed size of the next stream, in bytes.
    pub fn remaining(&self) -> usize {
        usize::try_from(self.remaining).unwrap_or(usize::MAX)
    }

    /// Records that a stream exceeded its own limit or, if `is_file_limit` is true, the remaining budget of the file,
    /// which is then used up.
    pub fn record_exceeded(&mut self, is_file_limit: bool) {
        self.exceeded = true;
        if is_file_limit {
            self.remaining = 0;
        }
    }

    /// Subtracts decompressed bytes from the budget.
    pub fn charge(&mut self, bytes: u64) {
        self.remaining = self.remaining.saturating_sub(bytes);
    }
}
