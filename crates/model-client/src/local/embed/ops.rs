//! The [`kernels`] as in-place operations on candle tensors.
//!
//! They return an error for tensors other than contiguous `f32` on the CPU, which the forward pass never produces.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Error, InplaceOp1, InplaceOp2, Layout, Result, Shape};

use super::kernels::{self, LayerNorm};

/// Adds a bias to each row of a matrix.
pub(super) struct AddBias(pub(super) Vec<f32>);

/// Adds a bias to each row of a matrix, then applies GELU.
pub(super) struct AddBiasGelu(pub(super) Vec<f32>);

/// Softmax over the last dimension.
pub(super) struct Softmax;

/// Adds the second tensor and a bias, then applies layer normalization to each column.
pub(super) struct AddNorm(pub(super) LayerNorm);

/// Adds a bias to each row of a matrix, applies ReLU, then adds the second tensor.
pub(super) struct AddBiasReluAdd(pub(super) Vec<f32>);

/// Adds a bias, then applies layer normalization to each column.
pub(super) struct Norm(pub(super) LayerNorm);

/// Places the columns that a convolution reads for a token below one another; see [`kernels::windows`].
pub(super) struct Windows<'a> {
    /// Number of tokens of each text.
    pub(super) lengths: &'a [usize],
    /// Number of tokens that the convolution reads.
    pub(super) width: usize,
    /// How many of them are before the token.
    pub(super) left: usize,
}

impl InplaceOp1 for AddBias {
    fn name(&self) -> &'static str {
        "add-bias"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        kernels::add_bias(values_mut(storage, layout)?, &self.0);
        Ok(())
    }
}

impl InplaceOp1 for AddBiasGelu {
    fn name(&self) -> &'static str {
        "add-bias-gelu"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        kernels::add_bias_gelu(values_mut(storage, layout)?, &self.0);
        Ok(())
    }
}

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let width = layout.dims().last().copied().unwrap_or(1);
        kernels::softmax(values_mut(storage, layout)?, width);
        Ok(())
    }
}

impl InplaceOp2 for AddNorm {
    fn name(&self) -> &'static str {
        "add-norm"
    }

    fn cpu_fwd(
        &self,
        rows: &mut CpuStorage,
        rows_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        kernels::add_norm(values_mut(rows, rows_layout)?, values(residual, residual_layout)?, &self.0);
        Ok(())
    }
}

impl InplaceOp2 for AddBiasReluAdd {
    fn name(&self) -> &'static str {
        "add-bias-relu-add"
    }

    fn cpu_fwd(
        &self,
        rows: &mut CpuStorage,
        rows_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        kernels::add_bias_relu_add(values_mut(rows, rows_layout)?, values(residual, residual_layout)?, &self.0);
        Ok(())
    }
}

impl InplaceOp1 for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        kernels::norm(values_mut(storage, layout)?, &self.0);
        Ok(())
    }
}

impl CustomOp1 for Windows<'_> {
    fn name(&self) -> &'static str {
        "windows"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, tokens) = layout.shape().dims2()?;
        if self.lengths.iter().sum::<usize>() != tokens {
            return Err(Error::Msg(format!("texts of {:?} tokens in a matrix of {tokens}", self.lengths)));
        }
        let output = kernels::windows(values(storage, layout)?, self.lengths, self.width, self.left);
        Ok((CpuStorage::F32(output), Shape::from((rows * self.width, tokens))))
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        return Err(unsupported_tensor_error());
    };
    Ok(&values[contiguous_range(layout)?])
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let CpuStorage::F32(values) = storage else {
        return Err(unsupported_tensor_error());
    };
    Ok(&mut values[contiguous_range(layout)?])
}

fn contiguous_range(layout: &Layout) -> Result<Range<usize>> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(unsupported_tensor_error)?;
    Ok(start..end)
}

fn unsupported_tensor_error() -> Error {
    Error::Msg("expected a contiguous f32 tensor on the CPU".to_owned())
}
