//! How much a reader may take out of one file.

use super::ScanLimits;
use serde::{Deserialize, Serialize};

/// Bounds on one file. The defaults are generous for manuals and tight against decompression bombs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most pages.
    pub max_pages: u32,
    /// Most bytes of text (UTF-8) over all pages.
    pub max_text_bytes: usize,
    /// Most bytes that compressed parts may inflate to, over the whole file.
    pub max_inflated_bytes: u64,
    /// Most entries of a ZIP archive.
    pub max_entries: usize,
    /// Largest ratio of inflated to compressed bytes of one ZIP entry, counted once it exceeds
    /// [`Limits::ratio_free_bytes`].
    pub max_ratio: u64,
    /// Inflated bytes up to which the ratio of a ZIP entry does not matter.
    pub ratio_free_bytes: u64,
    /// Pictures of pages that need text recognition; `None` for none.
    pub scans: Option<ScanLimits>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pages: 20_000,
            max_text_bytes: 50 << 20,
            max_inflated_bytes: 512 << 20,
            max_entries: 2_000,
            max_ratio: 100,
            ratio_free_bytes: 10 << 20,
            scans: None,
        }
    }
}
