//! Element-wise operations between the matrix products, written so that the compiler can vectorize them.
//!
//! [`pulp`] selects the instruction set at run time (AVX2 with FMA on x86-64, NEON on Arm), so no `unsafe` is needed
//! here. Matrices are row-major `[features, tokens]`; empty matrices are left unchanged. Reductions along a row use
//! [`LANES`] independent partial results, because the compiler may not reorder floating-point additions.

use pulp::Arch;

/// Number of partial results of a reduction: two AVX2 registers of `f32`.
const LANES: usize = 16;

/// The epsilon of the layer normalization, which happens to be the same in both models (BERT's `layer_norm_eps`).
const NORM_EPSILON: f32 = 1e-12;

/// Parameters of a layer normalization, and the bias added before it; each has one value per feature.
pub(super) struct LayerNorm {
    pub(super) bias: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// Adds `bias[i]` to row `i` of `matrix`.
pub(super) fn add_bias(matrix: &mut [f32], bias: &[f32]) {
    let tokens = matrix.len() / bias.len();
    Arch::new().dispatch(|| {
        for (row, b) in matrix.chunks_exact_mut(tokens.max(1)).zip(bias) {
            for x in row {
                *x += b;
            }
        }
    });
}

/// Adds `bias[i]` to row `i` of `matrix`, then applies GELU in its exact form, `x Φ(x)`.
pub(super) fn add_bias_gelu(matrix: &mut [f32], bias: &[f32]) {
    let tokens = matrix.len() / bias.len();
    Arch::new().dispatch(|| {
        for (row, b) in matrix.chunks_exact_mut(tokens.max(1)).zip(bias) {
            for x in row {
                *x = gelu(*x + b);
            }
        }
    });
}

/// Applies softmax to each row of `width` values, so that it sums to 1.
pub(super) fn softmax(rows: &mut [f32], width: usize) {
    Arch::new().dispatch(|| {
        for row in rows.chunks_exact_mut(width) {
            let max = reduce(row, f32::NEG_INFINITY, |a, b| if a > b { a } else { b });
            for x in row.iter_mut() {
                *x = exp_of_non_positive(*x - max);
            }
            let scale = reduce(row, 0.0, |a, b| a + b).recip();
            for x in row.iter_mut() {
                *x *= scale;
            }
        }
    });
}

/// Adds `bias[i]` to row `i` of `matrix`, applies ReLU, then adds `residual`.
pub(super) fn add_bias_relu_add(matrix: &mut [f32], residual: &[f32], bias: &[f32]) {
    let tokens = (matrix.len() / bias.len()).max(1);
    Arch::new().dispatch(|| {
        for ((row, residual_row), b) in matrix.chunks_exact_mut(tokens).zip(residual.chunks_exact(tokens)).zip(bias) {
            for (x, a) in row.iter_mut().zip(residual_row) {
                *x = (*x + b).max(0.0) + a;
            }
        }
    });
}

/// Adds `residual` and the norm's bias to `matrix`, then normalizes each column (the features of one token) to mean 0
/// and variance 1, and applies scale and shift.
pub(super) fn add_norm(matrix: &mut [f32], residual: &[f32], norm: &LayerNorm) {
    let tokens = (matrix.len() / norm.bias.len()).max(1);
    let mut sums = vec![0.0_f32; tokens];
    Arch::new().dispatch(|| {
        for ((row, residual_row), b) in
            matrix.chunks_exact_mut(tokens).zip(residual.chunks_exact(tokens)).zip(&norm.bias)
        {
            for ((x, a), sum) in row.iter_mut().zip(residual_row).zip(&mut sums) {
                *x += a + b;
                *sum += *x;
            }
        }
    });
    normalize(matrix, sums, norm);
}

/// [`add_norm`] without a residual.
pub(super) fn norm(matrix: &mut [f32], norm: &LayerNorm) {
    let tokens = (matrix.len() / norm.bias.len()).max(1);
    let mut sums = vec![0.0_f32; tokens];
    Arch::new().dispatch(|| {
        for (row, b) in matrix.chunks_exact_mut(tokens).zip(&norm.bias) {
            for (x, sum) in row.iter_mut().zip(&mut sums) {
                *x += b;
                *sum += *x;
            }
        }
    });
    normalize(matrix, sums, norm);
}

/// Normalizes each column, whose sum is in `sums`, to mean 0 and variance 1, and applies scale and shift.
fn normalize(matrix: &mut [f32], sums: Vec<f32>, norm: &LayerNorm) {
    let features = norm.bias.len();
    let tokens = sums.len();
    let mut means = sums;
    let mut factors = vec![0.0_f32; tokens];
    Arch::new().dispatch(|| {
        for mean in &mut means {
            *mean /= features as f32;
        }
        for row in matrix.chunks_exact(tokens) {
            for ((x, mean), squares) in row.iter().zip(&means).zip(&mut factors) {
                *squares += (x - mean) * (x - mean);
            }
        }
        for factor in &mut factors {
            *factor = (*factor / features as f32 + NORM_EPSILON).sqrt().recip();
        }
        for ((row, scale), shift) in matrix.chunks_exact_mut(tokens).zip(&norm.scale).zip(&norm.shift) {
            for ((x, mean), factor) in row.iter_mut().zip(&means).zip(&factors) {
                *x = (*x - mean) * factor * scale + shift;
            }
        }
    });
}

/// The input of a convolution over `width` tokens: `width` copies of `matrix` below one another, of which copy `i` has
/// in each column the column `i - left` further on. Texts lie behind one another, with `lengths` tokens each; beyond
/// the ends of a text are zeros.
pub(super) fn windows(matrix: &[f32], lengths: &[usize], width: usize, left: usize) -> Vec<f32> {
    let tokens = lengths.iter().sum::<usize>();
    let mut output = vec![0.0; matrix.len() * width];
    for (copy, shift) in output.chunks_exact_mut(matrix.len().max(1)).zip(0..) {
        // Either the source or the destination begins later in its text.
        let (skipped, delayed) = (usize::saturating_sub(shift, left), left.saturating_sub(shift));
        for (to, from) in copy.chunks_exact_mut(tokens.max(1)).zip(matrix.chunks_exact(tokens.max(1))) {
            let mut start = 0;
            for length in lengths {
                let count = length.saturating_sub(skipped + delayed);
                if count > 0 {
                    to[start + delayed..][..count].copy_from_slice(&from[start + skipped..][..count]);
                }
                start += length;
            }
        }
    }
    output
}

/// Reduces the values with `combine`, which must be associative and commutative, in [`LANES`] partial results. `start`
/// must be its neutral element.
#[inline(always)]
fn reduce(values: &[f32], start: f32, combine: impl Fn(f32, f32) -> f32) -> f32 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut partial = [start; LANES];
    for block in blocks {
        for (partial_result, x) in partial.iter_mut().zip(block) {
            *partial_result = combine(*partial_result, *x);
        }
    }
    partial.iter().chain(rest).fold(start, |a, b| combine(a, *b))
}

/// GELU, `x Φ(x)`, with an absolute error below 2e-7 times `|x|`.
///
/// Computes `erfc(a)` for `a = |x| / √2` with formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7). Then
/// `x Φ(x) = max(x, 0) - |x| erfc(a) / 2` holds for either sign, without a branch and without cancellation.
#[inline(always)]
fn gelu(x: f32) -> f32 {
    let magnitude = x.abs();
    let a = magnitude * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * a);
    let polynomial = t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    x.max(0.0) - 0.5 * magnitude * polynomial * exp_of_non_positive(-a * a)
}

/// `e^x` for `x <= 0`, with a relative error below 3e-7; below -87, where the result would be subnormal, it is clamped
/// to about 1e-38.
///
/// Decomposes `x = n ln 2 + r` with `|r| <= ln 2 / 2`. `2^n` is constructed from the exponent bits; `e^r` is a Taylor
/// polynomial of degree 6. Adding 1.5 * 2^23 rounds to the nearest integer and leaves that integer in the low bits.
#[inline(always)]
fn exp_of_non_positive(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > -87.0 { x } else { -87.0 };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    let r_squared = r * r;
    let polynomial =
        1.0 + r + r_squared * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0)))));
    polynomial * power
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error function by its Taylor series in double precision: slow, but accurate to 1e-12 for |x| < 4.
    fn erf(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            let n = f64::from(n);
            term *= -x * x / n;
            sum += term / (2.0 * n + 1.0);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn gelu_is_within_a_millionth_of_the_exact_function() {
        for step in -4500..=4500 {
            let x = f64::from(step) / 1000.0;
            let exact = 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2));
            assert!((f64::from(gelu(x as f32)) - exact).abs() < 1e-6, "at {x}");
        }
        assert_eq!(gelu(0.0), 0.0);
        assert_eq!(gelu(60.0), 60.0);
        assert!(gelu(-60.0).abs() < 1e-30);
    }

    #[test]
    fn the_exponential_has_a_relative_error_below_3e_7_and_approaches_zero() {
        for step in 0..=86_000 {
            let x = -f64::from(step) / 1000.0;
            let exact = f64::from(x as f32).exp();
            assert!((f64::from(exp_of_non_positive(x as f32)) / exact - 1.0).abs() < 3e-7, "at {x}");
        }
        assert_eq!(exp_of_non_positive(0.0), 1.0);
        assert!(exp_of_non_positive(f32::NEG_INFINITY) < 1e-37);
    }

    #[test]
    fn softmax_is_accurate_if_the_width_is_not_a_multiple_of_the_vector_width() {
        let mut rows: Vec<f32> = (0..3 * 21).map(|i| (i as f32 * 0.7).sin() * 30.0).collect();
        let exact: Vec<f64> = rows
            .chunks_exact(21)
            .flat_map(|row| {
                let total: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
                row.iter().map(move |x| f64::from(*x).exp() / total)
            })
            .collect();
        softmax(&mut rows, 21);
        for (x, exact) in rows.iter().zip(exact) {
            assert!((f64::from(*x) - exact).abs() < 1e-6);
        }
    }

    #[test]
    fn add_bias_adds_each_bias_to_its_row() {
        let mut matrix = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        add_bias(&mut matrix, &[10.0, 20.0]);
        assert_eq!(matrix, [11.0, 12.0, 13.0, 24.0, 25.0, 26.0]);
    }

    #[test]
    fn the_residual_is_added_after_relu() {
        let mut matrix = vec![1.0, -2.0, 3.0, -4.0];
        add_bias_relu_add(&mut matrix, &[0.5, 0.25, 0.5, 0.25], &[1.0, -10.0]);
        assert_eq!(matrix, [2.5, 0.25, 0.5, 0.25]);
    }

    #[test]
    fn windows_end_where_a_text_ends() {
        // Two features; the texts have three tokens and one.
        let matrix = [1.0, 2.0, 3.0, 9.0, 10.0, 20.0, 30.0, 90.0];
        assert_eq!(
            windows(&matrix, &[3, 1], 3, 1),
            [[0.0, 1.0, 2.0, 0.0, 0.0, 10.0, 20.0, 0.0], matrix, [2.0, 3.0, 0.0, 0.0, 20.0, 30.0, 0.0, 0.0]].concat()
        );
        assert_eq!(windows(&matrix, &[3, 1], 2, 0)[..8], matrix);
        assert_eq!(windows(&[7.0], &[1], 5, 2), [0.0, 0.0, 7.0, 0.0, 0.0]);
    }

    #[test]
    fn normalization_without_a_residual_is_that_with_a_residual_of_zero() {
        let norm_parameters = LayerNorm { bias: vec![0.5, -1.0], scale: vec![2.0, 3.0], shift: vec![0.0, 1.0] };
        let mut matrix = vec![1.0, 2.0, 3.0, 4.0, 5.0, -6.0];
        let mut expected = matrix.clone();
        norm(&mut matrix, &norm_parameters);
        add_norm(&mut expected, &[0.0; 6], &norm_parameters);
        assert_eq!(matrix, expected);
    }

    #[test]
    fn normalization_gives_each_column_mean_zero_and_variance_one_before_scale_and_shift() {
        let (features, tokens) = (37, 3);
        let norm = LayerNorm { bias: vec![0.25; features], scale: vec![2.0; features], shift: vec![-1.0; features] };
        let mut matrix: Vec<f32> =
            (0..features * tokens).map(|i| ((i / tokens) * (i % tokens + 1) + 1000) as f32).collect();
        add_norm(&mut matrix, &vec![5.0; features * tokens], &norm);
        for token in 0..tokens {
            let normalized = matrix.iter().skip(token).step_by(tokens).map(|x| (f64::from(*x) + 1.0) / 2.0);
            let mean = normalized.clone().sum::<f64>() / features as f64;
            let variance = normalized.map(|x| (x - mean).powi(2)).sum::<f64>() / features as f64;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-4, "mean {mean}, variance {variance}");
        }
    }
}
