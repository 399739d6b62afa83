//! Reads the text of glyphs from an embedded TrueType or OpenType font: from its `cmap` table, inverted, and from the
//! glyph names in its `post` table. This is the only source of text for a font without `ToUnicode`.

use std::collections::HashMap;

use read_fonts::tables::cmap::{Cmap, CmapIterLimits, CmapSubtable, PlatformId};
use read_fonts::tables::post::Post;
use read_fonts::types::{GlyphId, Tag};
use read_fonts::{FontData, FontRead as _, FontRef};

use super::glyphs;

/// Maximum number of entries read from one `cmap` subtable; a font has at most 65,535 glyphs.
const MAX_ENTRIES: usize = 1 << 17;
/// Maximum number of `cmap` subtables that are read.
const MAX_SUBTABLES: usize = 32;

/// The text of the glyphs of an embedded font.
#[derive(Debug, Default)]
pub(super) struct GlyphTexts {
    texts: HashMap<u32, String>,
    /// Glyph of each one-byte code of a symbolic font.
    codes: HashMap<u8, u32>,
}

impl GlyphTexts {
    /// Parses a font program. `None` if the bytes are not a font, or if the font defines no text for any glyph.
    pub fn parse(program: &[u8]) -> Option<Self> {
        let font = FontRef::new(program).ok()?;
        let mut glyph_texts = Self::default();
        if let Some(post) = table(&font, program, b"post").and_then(|data| Post::read(data).ok()) {
            glyph_texts.add_names(&post);
        }
        if let Some(cmap) = table(&font, program, b"cmap").and_then(|data| Cmap::read(data).ok()) {
            glyph_texts.add_characters(&cmap);
        }
        (!glyph_texts.texts.is_empty()).then_some(glyph_texts)
    }

    /// The text of a glyph; `None` if the font defines none.
    pub fn text(&self, glyph: u32) -> Option<&str> {
        self.texts.get(&glyph).map(String::as_str)
    }

    /// The text of a code in a symbolic font without an encoding (ISO 32000-1, 9.6.6.4).
    pub fn text_of_code(&self, code: u8) -> Option<&str> {
        self.text(*self.codes.get(&code)?)
    }

    fn add_names(&mut self, post: &Post<'_>) {
        for (glyph, name) in post.glyph_names() {
            if let Some(text) = glyphs::text_of_name(name.as_bytes()) {
                self.texts.insert(glyph.to_u32(), text);
            }
        }
    }

    fn add_characters(&mut self, cmap: &Cmap<'_>) {
        for record in cmap.encoding_records().iter().take(MAX_SUBTABLES) {
            let Ok(subtable) = record.subtable(cmap.offset_data()) else { continue };
            let entries = entries(&subtable);
            match (record.platform_id(), record.encoding_id()) {
                (PlatformId::Unicode, _) | (PlatformId::Windows, 1 | 10) => self.add_unicode(&entries),
                (PlatformId::Windows, 0) => self.add_symbolic(&entries),
                (PlatformId::Macintosh, 0) => {
                    for (code, glyph) in entries {
                        if let Ok(code) = u8::try_from(code) {
                            self.codes.entry(code).or_insert(glyph.to_u32());
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// If several characters share a glyph, the lowest code point is kept: a space rather than a no-break space.
    fn add_unicode(&mut self, entries: &[(u32, GlyphId)]) {
        for (code, glyph) in entries.iter().rev() {
            if let Some(c) = char::from_u32(*code).filter(|c| !c.is_control()) {
                self.texts.insert(glyph.to_u32(), c.into());
            }
        }
    }

    /// Symbolic fonts map codes directly or shifted to 0xF000 (ISO 32000-1, 9.6.6.4).
    fn add_symbolic(&mut self, entries: &[(u32, GlyphId)]) {
        for (code, glyph) in entries {
            if matches!(code, 0..=0xFF | 0xF000..=0xF0FF) {
                self.codes.insert((code & 0xFF) as u8, glyph.to_u32());
            }
        }
    }
}

/// A table of the font, from its offset to the end of the file. The lengths in the table directory of a subset font are
/// often wrong.
fn table<'a>(font: &FontRef<'a>, program: &'a [u8], tag: &[u8; 4]) -> Option<FontData<'a>> {
    let records = font.table_directory().table_records();
    let record = records.iter().find(|record| record.tag() == Tag::new(tag))?;
    program.get(record.offset() as usize..).map(FontData::new)
}

/// The entries of a `cmap` subtable of format 0, 4, 6 or 12, without those that map to `.notdef`.
fn entries(subtable: &CmapSubtable<'_>) -> Vec<(u32, GlyphId)> {
    match subtable {
        CmapSubtable::Format0(_) | CmapSubtable::Format4(_) | CmapSubtable::Format6(_) | CmapSubtable::Format12(_) => {
            let limits = CmapIterLimits { max_char: u32::from(char::MAX), glyph_count: u32::MAX };
            let all = subtable.iter_with_limits(limits).take(MAX_ENTRIES);
            all.filter(|(_, glyph)| *glyph != GlyphId::NOTDEF).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A font with a single `cmap` subtable.
    fn font(platform: u16, encoding: u16, subtable: &[u16]) -> Vec<u8> {
        let header = [0_u16, 1, platform, encoding, 0, 12];
        let mut out = b"\0\x01\0\0\0\x01\0\0\0\0\0\0cmap\0\0\0\0\0\0\0\x1C\0\0\0\x40".to_vec();
        header.iter().chain(subtable).for_each(|unit| out.extend(unit.to_be_bytes()));
        out
    }

    /// Format 4 that maps `A` and `B` to the glyphs 7 and 8.
    const FORMAT_4: [u16; 16] =
        [4, 32, 0, 4, 0, 0, 0, 0x42, 0xFFFF, 0, 0x41, 0xFFFF, 7_u16.wrapping_sub(0x41), 1, 0, 0];

    #[test]
    fn a_unicode_cmap_gives_the_text_of_glyphs() {
        let texts = GlyphTexts::parse(&font(3, 1, &FORMAT_4)).unwrap();
        assert_eq!((texts.text(7), texts.text(8), texts.text(9)), (Some("A"), Some("B"), None));
    }

    #[test]
    fn a_subtable_that_maps_all_32_bit_codes_ends_at_the_limit() {
        let subtable = [12, 0, 0, 28, 0, 0, 0, 1, 0, 0, 0xFFFF, 0xFFFF, 0, 1];
        let texts = GlyphTexts::parse(&font(3, 10, &subtable)).unwrap();
        assert_eq!(texts.text(0x42), Some("A"));
        assert!(texts.texts.len() <= MAX_ENTRIES);
    }

    #[test]
    fn other_bytes_are_not_a_font() {
        assert!(GlyphTexts::parse(b"").is_none());
        assert!(GlyphTexts::parse(&[0xFF; 400]).is_none());
        assert!(GlyphTexts::parse(&font(3, 1, &[4, 0, 0, 0xFFFF])).is_none());
    }

    proptest! {
        #[test]
        fn damaged_fonts_do_not_panic(
            platform in 0_u16..4,
            encoding in 0_u16..11,
            format in prop::sample::select(vec![0_u16, 2, 4, 6, 8, 10, 12, 13, 14]),
            rest in prop::collection::vec(any::<u16>(), 0..80),
        ) {
            let subtable: Vec<u16> = std::iter::once(format).chain(rest).collect();
            let _ = GlyphTexts::parse(&font(platform, encoding, &subtable));
        }
    }
}
