//! Limits of what readers extract from a file.

use super::ScanLimits;
use serde::{Deserialize, Serialize};

/// Limits per file. The defaults are generous for manuals and strict against decompression bombs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Number of pages.
    pub max_pages: u32,
    /// Bytes of text (UTF-8) in the whole file.
    pub max_text_bytes: usize,
    /// Bytes that the compressed parts may decompress to, in the whole file.
    pub max_inflated_bytes: u64,
    /// Number of entries in a ZIP archive.
    pub max_entries: usize,
    /// Ratio of decompressed to compressed bytes of a ZIP entry, checked above [`Limits::ratio_free_bytes`].
    pub max_ratio: u64,
    /// Decompressed bytes of a ZIP entry up to which its ratio is not checked.
    pub ratio_free_bytes: u64,
    /// Limits of pictures for text recognition; `None` to return no pictures.
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
