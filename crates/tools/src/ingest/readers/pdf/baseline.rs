//! Compares the baselines of text.

/// Whether text on two baselines belongs to the same line. Baselines may differ by 0.4 times the larger font size, or
/// by 0.55 times if one text is smaller, as superscripts and subscripts are.
pub(super) fn same_line(baseline: f32, size: f32, other_baseline: f32, other_size: f32) -> bool {
    let (large, small) = (size.max(other_size), size.min(other_size));
    let tolerance = if small <= 0.92 * large { 0.55 } else { 0.4 };
    (baseline - other_baseline).abs() <= tolerance * large
}
