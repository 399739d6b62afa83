//! Baselines of text.

/// Whether two baselines belong to one line. Text deviates by up to two fifths of the font size, smaller superscripts
/// and subscripts by a little more.
pub(super) fn same_line(base: f32, size: f32, other_base: f32, other_size: f32) -> bool {
    let (large, small) = (size.max(other_size), size.min(other_size));
    let tolerance = if small <= 0.92 * large { 0.55 } else { 0.4 };
    (base - other_base).abs() <= tolerance * large
}
