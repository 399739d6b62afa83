//! Limits on what readers extract from a file.

use super::ScanLimits;
use serde::{Deserialize, Serialize};

/// Limits for reading one file. The defaults are generous for manuals and strict against decompression bombs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Maximum number of pages.
    pub max_pages: u32,
    /// Maximum size of the text of the whole file, in bytes of UTF-8.
    pub max_text_bytes: usize,
    /// Maximum total size of the decompressed parts of the whole file, in bytes.
    pub max_inflated_bytes: u64,
    /// Maximum number of entries in a ZIP archive.
    pub max_entries: usize,
    /// Maximum ratio of decompressed to compressed bytes of a ZIP entry; only checked above
    /// [`Limits::ratio_check_min_bytes`].
    pub max_compression_ratio: u64,
    /// Decompressed size of a ZIP entry, in bytes, up to which the ratio is not checked.
    pub ratio_check_min_bytes: u64,
    /// Limits on images for OCR; `None` to extract no images.
    pub scans: Option<ScanLimits>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_pages: 20_000,
            max_text_bytes: 50 << 20,
            max_inflated_bytes: 512 << 20,
            max_entries: 2_000,
            max_compression_ratio: 100,
            ratio_check_min_bytes: 10 << 20,
            scans: None,
        }
    }
}
