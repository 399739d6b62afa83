//! The model's files: which ones they must be, and the tensors in them.

use std::path::Path;

use candle_core::{Device, Result, Tensor, safetensors::SliceSafetensors};
use sha2::{Digest, Sha256};

use super::EmbedError;

/// A file of the model and the SHA-256 that it must have.
pub(super) struct PinnedFile {
    /// Its name in the model directory.
    pub(super) name: &'static str,
    /// Hexadecimal.
    pub(super) sha256: &'static str,
}

/// The weights, as the authors published them (sentence-transformers/all-MiniLM-L6-v2).
pub(super) const WEIGHTS: PinnedFile = PinnedFile {
    name: "model.safetensors",
    sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
};

/// The tokenizer: other tokens would give other vectors without any error.
pub(super) const TOKENIZER: PinnedFile =
    PinnedFile { name: "tokenizer.json", sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037" };

impl PinnedFile {
    /// The file's bytes, once they are known to be the right ones.
    pub(super) fn read(&self, model_dir: &Path) -> std::result::Result<Vec<u8>, EmbedError> {
        let path = model_dir.join(self.name);
        let bytes = std::fs::read(&path).map_err(|source| EmbedError::File { path: path.clone(), source })?;
        let found = hex::encode(Sha256::digest(&bytes));
        if found == self.sha256 { Ok(bytes) } else { Err(EmbedError::Checksum { path, expected: self.sha256, found }) }
    }
}

/// Reads tensors by name.
pub(super) struct Weights<'a>(SliceSafetensors<'a>);

impl<'a> Weights<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        SliceSafetensors::new(bytes).map(Self)
    }

    /// A tensor as it lies in the file; a linear layer's matrix is `[out, in]`.
    pub(super) fn tensor(&self, name: &str) -> Result<Tensor> {
        self.0.load(name, &Device::Cpu)
    }

    /// A vector.
    pub(super) fn vector(&self, name: &str) -> Result<Vec<f32>> {
        self.tensor(name)?.to_vec1()
    }
}
