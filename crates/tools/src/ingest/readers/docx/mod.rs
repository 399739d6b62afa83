//! DOCX
use super::{Limits, ReadDocument, ReadError, Reader};
/// Reads DOCX files.
pub(super) struct DocxReader;
impl Reader for DocxReader {
    fn read(&self, _bytes: &[u8], _limits: &Limits) -> Result<ReadDocument, ReadError> {
        Err(ReadError::Unsupported)
    }
}
