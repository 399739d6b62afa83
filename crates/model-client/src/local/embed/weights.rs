//! Access to the tensors of all-MiniLM-L6-v2.

use candle_core::{Device, Result, Tensor, safetensors::SliceSafetensors};

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
