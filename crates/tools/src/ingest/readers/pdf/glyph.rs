//! Glyphs of a font.

/// A glyph that a string shows.
pub(super) struct Glyph<'a> {
    pub text: &'a str,
    /// Advance width relative to the font size.
    pub width: f32,
    /// Whether it is the one-byte code 32, to which word spacing applies.
    pub is_space_code: bool,
}
