//! The forward pass of the Universal Sentence Encoder multilingual v3 (Yang et al., 2019): n-grams of two, three and
//! five tokens by convolution, their average over the text, and a small network on the average.
//!
//! Hidden states have the shape `[features, tokens]`, like those of [`bert`](super::super::bert). The tokens of several
//! texts lie behind one another; only the convolution must know where a text ends.

use candle_core::{Device, Result, Tensor};

use super::{
    super::{
        kernels::LayerNorm,
        ops::{AddBiasReluAdd, Norm, Windows},
    },
    archive::Archive,
};

/// Dimension of the vectors, and of the token embeddings.
pub(super) const DIMENSION: usize = 512;
/// The embedding table is stored in this many parts: the token `id` is row `id / PARTS` of part `id % PARTS`.
const PARTS: usize = 17;
const ROWS_PER_PART: usize = 7530;
/// Features of the convolution of one n-gram length.
const BRANCH: usize = 256;
/// The n-gram lengths.
const NGRAMS: [NGram; 3] = [NGram { length: 2, left: 0 }, NGram { length: 3, left: 1 }, NGram { length: 5, left: 2 }];
/// Features of a token: its embedding and what the convolutions make of its neighbours.
const FEATURES: usize = DIMENSION + NGRAMS.len() * BRANCH;
/// Features between the layers of the network on the average.
const HIDDEN: usize = 320;

/// A convolution over `length` tokens, of which `left` are before the token that it belongs to.
#[derive(Clone, Copy)]
struct NGram {
    length: usize,
    left: usize,
}

/// The loaded model; every matrix is `[out, in]`.
pub(super) struct Network {
    embeddings: Embeddings,
    /// Projects the embeddings to the inputs of all branches.
    projection: Tensor,
    projection_norm: Norm,
    branches: Vec<Branch>,
    feature_norm: Norm,
    /// Projects the average; the last column is the bias.
    average: Tensor,
    head: Head,
}

/// The token embeddings, quantized to bytes.
struct Embeddings {
    parts: Vec<Part>,
}

/// A part of the table: a component is `byte * scale + low`.
struct Part {
    bytes: Vec<u8>,
    scale: f32,
    low: f32,
}

/// Two convolutions of one n-gram length, each with a residual connection.
struct Branch {
    ngram: NGram,
    first: Tensor,
    first_bias: AddBiasReluAdd,
    second: Tensor,
    second_bias: AddBiasReluAdd,
}

/// The network on the average, without biases.
struct Head {
    first: Tensor,
    second: Tensor,
    second_shortcut: Tensor,
    third: Tensor,
    output: Tensor,
    output_shortcut: Tensor,
}

impl Network {
    /// Prepares the weights of a NumPy archive for the forward pass.
    pub(super) fn from_archive(bytes: &[u8]) -> Result<Self> {
        let mut archive = Archive::new(bytes)?;
        let mut projections = Vec::new();
        let mut projection_norm = LayerNorm { bias: Vec::new(), scale: Vec::new(), shift: Vec::new() };
        for NGram { length, .. } in NGRAMS {
            projections.push(archive.matrix(&format!("proj{length}"), DIMENSION, BRANCH)?);
            projection_norm.bias.extend(archive.vector(&format!("proj_b{length}"), BRANCH)?);
            projection_norm.scale.extend(archive.vector(&format!("ln_g{length}"), BRANCH)?);
            projection_norm.shift.extend(archive.vector(&format!("ln_b{length}"), BRANCH)?);
        }
        let feature_norm = LayerNorm {
            bias: vec![0.0; FEATURES],
            scale: archive.vector("ln_g", FEATURES)?,
            shift: archive.vector("ln_b", FEATURES)?,
        };
        let average_bias = Tensor::from_vec(archive.vector("cnn_b", DIMENSION)?, (DIMENSION, 1), &Device::Cpu)?;
        Ok(Self {
            embeddings: Embeddings::load(&mut archive)?,
            projection: Tensor::cat(&projections, 0)?,
            projection_norm: Norm(projection_norm),
            branches: NGRAMS.into_iter().map(|ngram| Branch::load(&mut archive, ngram)).collect::<Result<_>>()?,
            feature_norm: Norm(feature_norm),
            average: Tensor::cat(&[archive.matrix("cnn_W", FEATURES, DIMENSION)?, average_bias], 1)?,
            head: Head::load(&mut archive)?,
        })
    }

    /// The vectors of several texts, each of length 1. Every text must have at least one token.
    pub(super) fn embed(&self, texts: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<_> = texts.iter().map(Vec::len).collect();
        let embedded = self.embeddings.matrix(&texts.concat())?;
        let projected = self.projection.matmul(&embedded)?;
        projected.inplace_op1(&self.projection_norm)?;
        let mut features = vec![embedded];
        for (index, branch) in self.branches.iter().enumerate() {
            features.push(branch.forward(&projected.narrow(0, index * BRANCH, BRANCH)?, &lengths)?);
        }
        let features = Tensor::cat(&features, 0)?;
        features.inplace_op1(&self.feature_norm)?;
        let averages = self.average.matmul(&average_inputs(&features, &lengths)?)?;
        let mut vectors = self.head.forward(&averages)?.t()?.to_vec2::<f32>()?;
        for vector in &mut vectors {
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
            vector.iter_mut().for_each(|x| *x /= length);
        }
        Ok(vectors)
    }
}

impl Embeddings {
    fn load(archive: &mut Archive<'_>) -> Result<Self> {
        let (scales, lows) = (archive.vector("scale", PARTS)?, archive.vector("lo", PARTS)?);
        let part = |(index, (scale, low))| {
            let bytes = archive.bytes(&format!("q{}", index + 1), ROWS_PER_PART, DIMENSION)?;
            Ok(Part { bytes, scale, low })
        };
        Ok(Self { parts: scales.into_iter().zip(lows).enumerate().map(part).collect::<Result<_>>()? })
    }

    /// The embeddings of the tokens as `[DIMENSION, tokens]`. The ids are those of the vocabulary, which is smaller
    /// than the table.
    fn matrix(&self, ids: &[u32]) -> Result<Tensor> {
        let mut values = vec![0.0; DIMENSION * ids.len()];
        for (token, id) in ids.iter().enumerate() {
            let id = *id as usize;
            let part = &self.parts[id % PARTS];
            let row = &part.bytes[id / PARTS * DIMENSION..][..DIMENSION];
            for (value, byte) in values[token..].iter_mut().step_by(ids.len()).zip(row) {
                *value = f32::from(*byte) * part.scale + part.low;
            }
        }
        Tensor::from_vec(values, (DIMENSION, ids.len()), &Device::Cpu)
    }
}

impl Branch {
    fn load(archive: &mut Archive<'_>, ngram: NGram) -> Result<Self> {
        let length = ngram.length;
        let inputs = length * BRANCH;
        Ok(Self {
            ngram,
            first: archive.matrix(&format!("w1_{length}"), inputs, BRANCH)?,
            first_bias: AddBiasReluAdd(archive.vector(&format!("b1_{length}"), BRANCH)?),
            second: archive.matrix(&format!("w2_{length}"), inputs, BRANCH)?,
            second_bias: AddBiasReluAdd(archive.vector(&format!("b2_{length}"), BRANCH)?),
        })
    }

    /// Input and output have the shape `[BRANCH, tokens]`.
    fn forward(&self, input: &Tensor, lengths: &[usize]) -> Result<Tensor> {
        let windows = Windows { lengths, width: self.ngram.length, left: self.ngram.left };
        let hidden = self.first.matmul(&input.apply_op1_no_bwd(&windows)?)?;
        hidden.inplace_op2(input, &self.first_bias)?;
        let output = self.second.matmul(&hidden.apply_op1_no_bwd(&windows)?)?;
        output.inplace_op2(&hidden, &self.second_bias)?;
        Ok(output)
    }
}

impl Head {
    fn load(archive: &mut Archive<'_>) -> Result<Self> {
        Ok(Self {
            first: archive.matrix("d0", DIMENSION, HIDDEN)?,
            second: archive.matrix("d1", HIDDEN, HIDDEN)?,
            second_shortcut: archive.matrix("p1", DIMENSION, HIDDEN)?,
            third: archive.matrix("d2", HIDDEN, DIMENSION)?,
            output: archive.matrix("d3", DIMENSION, DIMENSION)?,
            output_shortcut: archive.matrix("p3", HIDDEN, DIMENSION)?,
        })
    }

    /// Input and output have the shape `[DIMENSION, texts]`.
    fn forward(&self, averages: &Tensor) -> Result<Tensor> {
        let first = self.first.matmul(averages)?.relu()?;
        let second = (self.second_shortcut.matmul(averages)? + self.second.matmul(&first)?)?.relu()?;
        let third = self.third.matmul(&second)?.relu()?;
        (self.output_shortcut.matmul(&second)? + self.output.matmul(&third)?)?.tanh()
    }
}

/// For each text a column with the sum of its tokens' features, and the number of tokens for the bias, all divided by
/// the square root of that number.
fn average_inputs(features: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let tokens = features.dim(1)?;
    let features = features.flatten_all()?.to_vec1::<f32>()?;
    let mut columns = Vec::with_capacity((FEATURES + 1) * lengths.len());
    for row in features.chunks_exact(tokens) {
        let mut rest = row;
        for length in lengths {
            let (text, after) = rest.split_at(*length);
            columns.push(text.iter().sum::<f32>() / (*length as f32).sqrt());
            rest = after;
        }
    }
    columns.extend(lengths.iter().map(|length| (*length as f32).sqrt()));
    Tensor::from_vec(columns, (FEATURES + 1, lengths.len()), &Device::Cpu)
}
