//! The glyphs of a decoded string.

/// One glyph of a string shown by a text operator.
pub(super) struct Glyph<'a> {
    /// The text of the glyph, possibly several characters; empty if unknown.
    pub text: &'a str,
    /// Advance width, as a fraction of the font size.
    pub width: f32,
    /// Whether the code is the single byte 32, to which word spacing applies.
    pub is_space_code: bool,
}
