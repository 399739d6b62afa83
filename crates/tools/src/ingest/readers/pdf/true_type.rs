//! The character map inside an embedded TrueType or OpenType font, read backwards: from glyph to text. Files whose
//! fonts have no `ToUnicode` say nothing else about what they show.

use std::collections::HashMap;

use encoding_rs::MACINTOSH;

use super::glyphs;

/// Most entries taken from one map; no font has more glyphs than 65,535.
const MOST: usize = 1 << 17;

/// What an embedded font says about its glyphs.
#[derive(Debug, Default)]
pub(super) struct GlyphTexts {
    texts: HashMap<u32, String>,
    /// Glyphs by the one-byte codes of a symbolic font.
    codes: HashMap<u8, u32>,
}

impl GlyphTexts {
    /// `None` for bytes that are no font, and for fonts that say nothing.
    pub fn parse(font: &[u8]) -> Option<Self> {
        let mut all = Self::default();
        if let Some(names) = table(font, b"post") {
            all.names(names);
        }
        if let Some(map) = table(font, b"cmap") {
            all.maps(map);
        }
        (!all.texts.is_empty()).then_some(all)
    }

    /// The text of a glyph.
    pub fn text(&self, glyph: u32) -> Option<&str> {
        self.texts.get(&glyph).map(String::as_str)
    }

    /// The text of a code in a symbolic font without an encoding (ISO 32000-1, 9.6.6.4).
    pub fn text_of_code(&self, code: u8) -> Option<&str> {
        self.text(*self.codes.get(&code)?)
    }

    fn maps(&mut self, map: &[u8]) {
        let count = u16_at(map, 2).unwrap_or(0);
        for n in 0..usize::from(count.min(32)) {
            let record = 4 + 8 * n;
            let (Some(platform), Some(encoding), Some(offset)) =
                (u16_at(map, record), u16_at(map, record + 2), u32_at(map, record + 4))
            else {
                return;
            };
            let Some(pairs) = map.get(offset as usize..).and_then(pairs) else { continue };
            match (platform, encoding) {
                (0, _) | (3, 1 | 10) => self.unicode(&pairs),
                (3, 0) => self.symbolic(&pairs),
                (1, 0) => pairs.iter().for_each(|(code, glyph)| {
                    if let Ok(code) = u8::try_from(*code) {
                        self.codes.entry(code).or_insert(*glyph);
                    }
                }),
                _ => {}
            }
        }
    }

    /// The lowest code point of a glyph is its text: a space rather than a no-break space.
    fn unicode(&mut self, pairs: &[(u32, u32)]) {
        for (code, glyph) in pairs.iter().rev() {
            if let Some(c) = char::from_u32(*code).filter(|c| *glyph != 0 && !c.is_control()) {
                self.texts.insert(*glyph, c.into());
            }
        }
    }

    fn symbolic(&mut self, pairs: &[(u32, u32)]) {
        for (code, glyph) in pairs {
            if matches!(code, 0..=0xFF | 0xF000..=0xF0FF) {
                self.codes.insert((code & 0xFF) as u8, *glyph);
            }
        }
    }

    /// Glyph names (`post` format 2): an index into the names that all fonts share, or one of the font's own.
    fn names(&mut self, post: &[u8]) {
        if u32_at(post, 0) != Some(0x0002_0000) {
            return;
        }
        let count = usize::from(u16_at(post, 32).unwrap_or(0));
        let mut own = Vec::new();
        let mut rest = post.get(34 + 2 * count..).unwrap_or_default();
        while let Some((&length, tail)) = rest.split_first() {
            let Some((name, tail)) = tail.split_at_checked(usize::from(length)) else { break };
            own.push(name);
            rest = tail;
        }
        for glyph in 0..count {
            let text = match usize::from(u16_at(post, 34 + 2 * glyph).unwrap_or(0)) {
                // The shared names follow ASCII and then Mac Roman.
                shared @ 3..=97 => Some(char::from(shared as u8 + 29).to_string()),
                shared @ 98..=225 => Some(MACINTOSH.decode(&[(shared + 30) as u8]).0.into_owned()),
                shared => shared.checked_sub(258).and_then(|at| own.get(at)).and_then(|name| glyphs::text(name)),
            };
            if let Some(text) = text {
                self.texts.insert(glyph as u32, text);
            }
        }
    }
}

/// A table of a font file.
fn table<'a>(font: &'a [u8], tag: &[u8; 4]) -> Option<&'a [u8]> {
    let count = usize::from(u16_at(font, 4)?);
    let record = (0..count.min(64)).map(|n| 12 + 16 * n).find(|at| font.get(*at..at + 4) == Some(tag.as_slice()))?;
    let start = u32_at(font, record + 8)? as usize;
    font.get(start..)
}

/// The pairs of code and glyph in a character map of format 0, 4, 6 or 12.
fn pairs(map: &[u8]) -> Option<Vec<(u32, u32)>> {
    match u16_at(map, 0)? {
        0 => Some(map.get(6..262)?.iter().enumerate().map(|(code, glyph)| (code as u32, u32::from(*glyph))).collect()),
        4 => segments(map),
        6 => {
            let (first, count) = (u32::from(u16_at(map, 6)?), usize::from(u16_at(map, 8)?));
            Some((0..count).map_while(|n| Some((first + n as u32, u32::from(u16_at(map, 10 + 2 * n)?)))).collect())
        }
        12 => Some(groups(map)?),
        _ => None,
    }
}

fn segments(map: &[u8]) -> Option<Vec<(u32, u32)>> {
    let size = usize::from(u16_at(map, 6)?) & !1;
    let mut pairs = Vec::new();
    for at in (0..size).step_by(2) {
        let (last, first) = (u16_at(map, 14 + at)?, u16_at(map, 16 + size + at)?);
        let delta = u16_at(map, 16 + 2 * size + at)?;
        let place = 16 + 3 * size + at;
        let range = u16_at(map, place)?;
        for code in first..=last {
            let glyph = if range == 0 {
                code.wrapping_add(delta)
            } else {
                let listed = u16_at(map, place + usize::from(range) + 2 * usize::from(code - first)).unwrap_or(0);
                if listed == 0 { 0 } else { listed.wrapping_add(delta) }
            };
            if glyph != 0 && pairs.len() < MOST {
                pairs.push((u32::from(code), u32::from(glyph)));
            }
        }
    }
    Some(pairs)
}

fn groups(map: &[u8]) -> Option<Vec<(u32, u32)>> {
    let count = u32_at(map, 12)? as usize;
    let mut pairs = Vec::new();
    for n in 0..count.min(MOST) {
        let at = 16 + 12 * n;
        let (Some(first), Some(last), Some(glyph)) = (u32_at(map, at), u32_at(map, at + 4), u32_at(map, at + 8)) else {
            break;
        };
        let room = MOST - pairs.len();
        pairs.extend((first..=last).zip(glyph..).take(room));
    }
    Some(pairs)
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A font of one `cmap` table with one map.
    fn font(platform: u16, encoding: u16, map: &[u16]) -> Vec<u8> {
        let header = [0_u16, 1, platform, encoding, 0, 12];
        let mut out = b"\0\x01\0\0\0\x01\0\0\0\0\0\0cmap\0\0\0\0\0\0\0\x1C\0\0\0\x40".to_vec();
        header.iter().chain(map).for_each(|unit| out.extend(unit.to_be_bytes()));
        out
    }

    #[test]
    fn a_map_is_read_from_glyph_to_text() {
        let map = [4, 0, 0, 4, 0, 0, 0, 0x42, 0xFFFF, 0, 0x41, 0xFFFF, (7_u16).wrapping_sub(0x41), 1, 0, 0];
        let texts = GlyphTexts::parse(&font(3, 1, &map)).unwrap();
        assert_eq!((texts.text(7), texts.text(8), texts.text(9)), (Some("A"), Some("B"), None));
    }

    #[test]
    fn garbage_is_no_font() {
        assert!(GlyphTexts::parse(b"").is_none());
        assert!(GlyphTexts::parse(&[0xFF; 400]).is_none());
        assert!(GlyphTexts::parse(&font(3, 1, &[4, 0, 0, 0xFFFF])).is_none());
    }
}
