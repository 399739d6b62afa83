//! The interface of format readers.

use super::document::ReadDocument;
use super::error::ReadError;
use super::limits::Limits;

/// Called with the number of pages read so far.
pub type PageCounter<'a> = &'a mut dyn FnMut(u32);

/// Reads files of one format.
pub trait Reader {
    /// Reads `bytes` into pages of blocks.
    ///
    /// # Errors
    /// [`ReadError`] says why the file cannot be used, in a form that the uploader can act on.
    fn read(&self, bytes: &[u8], limits: &Limits) -> Result<ReadDocument, ReadError>;

    /// Same as [`Reader::read`]; reports each page to `pages`, if the format has pages.
    ///
    /// # Errors
    /// Same as [`Reader::read`].
    fn read_counting(&self, bytes: &[u8], limits: &Limits, pages: PageCounter<'_>) -> Result<ReadDocument, ReadError> {
        let _has_no_pages = pages;
        self.read(bytes, limits)
    }
}
