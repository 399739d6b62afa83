//! The models' files, which are pinned by checksum: another file would silently produce wrong vectors.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};

use super::EmbedError;

/// Where a model's files come from, for error messages.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Name and version in the Python package index.
    pub(super) name: &'static str,
    /// Directory in the wheel.
    pub(super) directory: &'static str,
    /// The platform's setting that names the unpacked directory.
    pub(super) setting: &'static str,
}

/// A file of a model with its expected SHA-256.
pub(super) struct PinnedFile {
    /// File name in the model directory.
    pub(super) name: &'static str,
    /// SHA-256, lower-case hexadecimal.
    pub(super) sha256: &'static str,
    /// The wheel with the file.
    pub(super) wheel: &'static Wheel,
}

impl PinnedFile {
    /// Reads the file and verifies its checksum.
    pub(super) fn read(&self, model_dir: &Path) -> Result<Vec<u8>, EmbedError> {
        let path = model_dir.join(self.name);
        let Wheel { name: wheel, directory, setting } = self.wheel;
        let file_error = |source| EmbedError::File { path: path.clone(), wheel, directory, setting, source };
        let bytes = std::fs::read(&path).map_err(file_error)?;
        let actual = hex::encode(digest(&SHA256, &bytes));
        if actual == self.sha256 {
            Ok(bytes)
        } else {
            Err(EmbedError::Checksum { path, expected: self.sha256, found: actual })
        }
    }
}
