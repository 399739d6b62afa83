//! The forward pass of BERT (Devlin et al., 2018) in the configuration of all-MiniLM-L6-v2, for one sequence.
//!
//! candle computes the matrix products. The steps between them are [`ops`](super::ops), because candle's GELU and
//! softmax are not vectorized and take longer than the products. Processing one sequence at a time needs neither
//! padding nor an attention mask.
//!
//! Hidden states have the shape `[features, tokens]`, the transpose of the usual layout. This way the weights are used
//! as stored in the file, no step copies data to reorder it, and products with the few tokens of a question are 25%
//! faster. The architecture is hard-coded, because the weights are pinned by checksum.

use std::path::Path;

use candle_core::{Device, IndexOp, Result, Tensor};

use super::{
    EmbedError,
    kernels::LayerNorm,
    minilm::WEIGHTS,
    ops::{AddBias, AddBiasGelu, AddNorm, Softmax},
    weights::Weights,
};

/// Dimension of the vectors.
pub(super) const DIMENSION: usize = 384;
const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD_DIMENSION: usize = DIMENSION / HEADS;

/// The loaded model.
pub(super) struct Bert {
    /// Shape `[vocabulary, DIMENSION]`.
    word_embeddings: Tensor,
    /// Shape `[512, DIMENSION]`.
    position_embeddings: Tensor,
    embedding_norm: AddNorm,
    layers: Vec<Layer>,
}

/// One encoder layer; every matrix is `[out, in]`.
struct Layer {
    /// Query, key and value matrices stacked, so that one product computes all three.
    attention: Tensor,
    attention_bias: AddBias,
    attention_output: Tensor,
    attention_norm: AddNorm,
    intermediate: Tensor,
    intermediate_gelu: AddBiasGelu,
    output: Tensor,
    output_norm: AddNorm,
}

impl Bert {
    /// Reads and verifies the weights, and prepares them for the forward pass.
    pub(super) fn load(model_dir: &Path) -> std::result::Result<Self, EmbedError> {
        let file = WEIGHTS.read(model_dir)?;
        Weights::new(&file).and_then(|weights| Self::from_weights(&weights)).map_err(EmbedError::Weights)
    }

    fn from_weights(weights: &Weights<'_>) -> Result<Self> {
        // All tokens are in segment 0, so its embedding acts as a bias.
        let segment = weights.tensor("embeddings.token_type_embeddings.weight")?.i(0)?.to_vec1()?;
        Ok(Self {
            word_embeddings: weights.tensor("embeddings.word_embeddings.weight")?,
            position_embeddings: weights.tensor("embeddings.position_embeddings.weight")?,
            embedding_norm: AddNorm(norm(weights, segment, "embeddings.LayerNorm")?),
            layers: (0..LAYERS).map(|index| Layer::load(weights, index)).collect::<Result<_>>()?,
        })
    }

    /// Returns the mean of the last hidden states, scaled to length 1. `ids` must contain 1 to 512 token ids.
    pub(super) fn embed(&self, ids: &[u32]) -> Result<Vec<f32>> {
        let positions = self.position_embeddings.narrow(0, 0, ids.len())?.t()?.contiguous()?;
        let ids = Tensor::from_slice(ids, ids.len(), &Device::Cpu)?;
        let mut hidden = self.word_embeddings.index_select(&ids, 0)?.t()?.contiguous()?;
        hidden.inplace_op2(&positions, &self.embedding_norm)?;
        for layer in &self.layers {
            hidden = layer.forward(&hidden)?;
        }
        let mut vector = hidden.mean(1)?.to_vec1::<f32>()?;
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        vector.iter_mut().for_each(|x| *x /= length);
        Ok(vector)
    }
}

impl Layer {
    fn load(weights: &Weights<'_>, index: usize) -> Result<Self> {
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let part_bias = |part: &str| weights.vector(&name(&format!("{part}.bias")));
        // Attention divides the scores by the square root of the head's dimension; scaling the queries once is
        // equivalent.
        let scale = (HEAD_DIMENSION as f32).sqrt().recip();
        let [query, key, value] = ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}.weight")));
        let query = (weights.tensor(&query)? * f64::from(scale))?;
        let attention = Tensor::cat(&[&query, &weights.tensor(&key)?, &weights.tensor(&value)?], 0)?;
        let mut attention_bias = part_bias("attention.self.query")?;
        attention_bias.iter_mut().for_each(|x| *x *= scale);
        attention_bias.extend(part_bias("attention.self.key")?);
        attention_bias.extend(part_bias("attention.self.value")?);
        let attention_norm = norm(weights, part_bias("attention.output.dense")?, &name("attention.output.LayerNorm"))?;
        Ok(Self {
            attention,
            attention_bias: AddBias(attention_bias),
            attention_output: weights.tensor(&name("attention.output.dense.weight"))?,
            attention_norm: AddNorm(attention_norm),
            intermediate: weights.tensor(&name("intermediate.dense.weight"))?,
            intermediate_gelu: AddBiasGelu(part_bias("intermediate.dense")?),
            output: weights.tensor(&name("output.dense.weight"))?,
            output_norm: AddNorm(norm(weights, part_bias("output.dense")?, &name("output.LayerNorm"))?),
        })
    }

    /// Computes the layer; input and output have the shape `[DIMENSION, tokens]`.
    fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        let attention_output = self.attention_output.matmul(&self.attend(hidden)?)?;
        attention_output.inplace_op2(hidden, &self.attention_norm)?;
        let intermediate = self.intermediate.matmul(&attention_output)?;
        intermediate.inplace_op1(&self.intermediate_gelu)?;
        let output = self.output.matmul(&intermediate)?;
        output.inplace_op2(&attention_output, &self.output_norm)?;
        Ok(output)
    }

    /// Multi-head self-attention without the output projection; input and output have the shape `[DIMENSION, tokens]`.
    fn attend(&self, hidden: &Tensor) -> Result<Tensor> {
        let tokens = hidden.dim(1)?;
        let projections = self.attention.matmul(hidden)?;
        projections.inplace_op1(&self.attention_bias)?;
        let projections = projections.reshape((3, HEADS, HEAD_DIMENSION, tokens))?;
        let (queries, keys, values) = (projections.i(0)?, projections.i(1)?, projections.i(2)?);
        // For each head, one row per query: the attention weights over all tokens.
        let scores = queries.t()?.matmul(&keys)?;
        scores.inplace_op1(&Softmax)?;
        values.matmul(&scores.t()?)?.reshape((DIMENSION, tokens))
    }
}

/// Loads the layer normalization `name`, which adds `bias` before it normalizes.
fn norm(weights: &Weights<'_>, bias: Vec<f32>, name: &str) -> Result<LayerNorm> {
    Ok(LayerNorm {
        bias,
        scale: weights.vector(&format!("{name}.weight"))?,
        shift: weights.vector(&format!("{name}.bias"))?,
    })
}
