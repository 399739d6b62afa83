//! The trait that each format's reader implements.

use super::document::ParsedDocument;
use super::error::ReadError;
use super::limits::Limits;

/// A callback that receives the number of pages read so far.
pub type PageCallback<'a> = &'a mut dyn FnMut(u32);

/// Reads files of one format.
pub trait Reader {
    /// Reads `bytes` into pages of blocks.
    ///
    /// # Errors
    /// A [`ReadError`] whose message tells the uploader what to do.
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ParsedDocument, ReadError>;

    /// Same as [`Reader::read`], but calls `on_page` after each page. The default implementation is for formats without
    /// pages and never calls it.
    ///
    /// # Errors
    /// Same as [`Reader::read`].
    fn read_with_progress(
        &self,
        bytes: &[u8],
        limits: &Limits,
        on_page: PageCallback<'_>,
    ) -> Result<ParsedDocument, ReadError> {
        let _ = on_page;
        self.read(bytes, limits)
    }
}
