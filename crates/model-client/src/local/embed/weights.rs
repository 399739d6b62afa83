//! The model's files with their checksums, and access to the tensors in them.

use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use candle_core::{Device, Result, Tensor, safetensors::SliceSafetensors};

use super::EmbedError;

/// A file of the model with its expected SHA-256.
pub(super) struct PinnedFile {
    /// File name in the model directory.
    pub(super) name: &'static str,
    /// SHA-256, lower-case hexadecimal.
    pub(super) sha256: &'static str,
}

/// The weights, as the authors published them (sentence-transformers/all-MiniLM-L6-v2).
pub(super) const WEIGHTS: PinnedFile = PinnedFile {
    name: "model.safetensors",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
};

/// The tokenizer's definition. It is pinned because a different one would silently produce wrong vectors.
pub(super) const TOKENIZER: PinnedFile =
    PinnedFile { name: "tokenizer.json", sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037" };

impl PinnedFile {
    /// Reads the file and verifies its checksum.
    pub(super) fn read(&self, model_dir: &Path) -> std::result::Result<Vec<u8>, EmbedError> {
        let path = model_dir.join(self.name);
        let bytes = std::fs::read(&path).map_err(|source| EmbedError::File { path: path.clone(), source })?;
        let actual = hex::encode(digest(&SHA256, &bytes));
        if actual == self.sha256 {
            Ok(bytes)
        } else {
            Err(EmbedError::Checksum { path, expected: self.sha256, found: actual })
        }
    }
}

/// Loads tensors by name.
pub(super) struct Weights<'a>(SliceSafetensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        SliceSafetensors::new(bytes).map(Self)
    }

    /// The tensor as stored in the file; the matrix of a linear layer is `[out, in]`.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        self.0.load(name, &Device::Cpu)
    }

    /// A one-dimensional tensor as a vector.
    pub(super) fn vector(&self, name: &str) -> Result<Vec<f32>> {
        self.tensor(name)?.to_vec1()
    }
}
