//! Encodings that live inside embedded fonts. Old TeX and cairo files declare none in the PDF, and without these their
//! ligatures are lost ("first" becomes "rst").

use super::cff_strings::STANDARD_STRINGS;
use super::glyphs;

/// Text for each code, as the embedded font itself defines it; `None` where it says nothing.
pub(super) type BuiltIn = Vec<Option<String>>;

/// The encoding of a Type 1 font program: `dup 12 /ffi put` lines in its clear-text part.
pub(super) fn type1(program: &[u8]) -> Option<BuiltIn> {
    let end = find(program, b"eexec").unwrap_or(program.len());
    let clear = &program[..end];
    let start = find(clear, b"/Encoding")? + b"/Encoding".len();
    let words: Vec<&[u8]> =
        clear[start..].split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty()).take(20_000).collect();
    if words.first() == Some(&b"StandardEncoding".as_slice()) {
        return Some(glyphs::standard().iter().map(|c| c.map(String::from)).collect());
    }
    let mut table = vec![None; 256];
    let mut at = 0;
    while at + 1 < words.len() {
        match words[at] {
            b"dup" => at += put(&words[at + 1..], &mut table),
            b"readonly" | b"def" => break,
            _ => at += 1,
        }
    }
    Some(table)
}

/// Reads `12 /ffi put` (or `12/ffi put`) after a `dup`; returns how many words were read.
fn put(words: &[&[u8]], table: &mut BuiltIn) -> usize {
    let joined: Vec<u8> = words.iter().take(2).copied().collect::<Vec<_>>().join(&b' ');
    let Some(slash) = joined.iter().position(|byte| *byte == b'/') else { return 1 };
    let name: &[u8] = joined[slash + 1..].split(|byte| *byte == b' ').next().unwrap_or_default();
    if let Some(slot) = code(joined[..slash].trim_ascii()).and_then(|code| table.get_mut(code)) {
        *slot = glyphs::text(name);
    }
    2
}

/// A PostScript integer, possibly with a radix (`8#101`).
fn code(word: &[u8]) -> Option<usize> {
    let word = std::str::from_utf8(word).ok()?;
    match word.split_once('#') {
        Some((radix, digits)) => {
            let radix = radix.parse().ok().filter(|radix| (2..=36).contains(radix))?;
            usize::from_str_radix(digits, radix).ok()
        }
        None => word.parse().ok(),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The encoding of a Compact Font Format program (`FontFile3`), by its encoding, character set and strings.
pub(super) fn cff(program: &[u8]) -> Option<BuiltIn> {
    let header = usize::from(*program.get(2)?);
    let (_, at) = index(program, header)?;
    let (dictionaries, at) = index(program, at)?;
    let (strings, _) = index(program, at)?;
    let top = Top::parse(dictionaries.first()?)?;
    let glyph_count = usize::from(u16_at(program, top.char_strings)?);
    let names = charset(program, top.charset, glyph_count)?;
    let text = |glyph: usize| -> Option<String> {
        let id = usize::from(*names.get(glyph)?);
        match STANDARD_STRINGS.get(id) {
            Some(name) => glyphs::text(name.as_bytes()),
            None => glyphs::text(strings.get(id - STANDARD_STRINGS.len())?),
        }
    };
    if top.encoding <= 1 {
        return Some(glyphs::standard().iter().map(|c| c.map(String::from)).collect());
    }
    let mut table = vec![None; 256];
    for (code, glyph) in encoding(program, top.encoding)? {
        table[usize::from(code)] = text(glyph);
    }
    Some(table)
}

/// The offsets that the top dictionary gives.
#[derive(Default)]
struct Top {
    charset: usize,
    encoding: usize,
    char_strings: usize,
}

impl Top {
    /// `None` for fonts keyed by character id: they have no names.
    fn parse(data: &[u8]) -> Option<Self> {
        let mut top = Self::default();
        let mut operand = 0_i32;
        let mut at = 0;
        while let Some(&byte) = data.get(at) {
            at += 1;
            match byte {
                12 => {
                    if data.get(at) == Some(&30) {
                        return None;
                    }
                    at += 1;
                }
                15 => top.charset = usize::try_from(operand).ok()?,
                16 => top.encoding = usize::try_from(operand).ok()?,
                17 => top.char_strings = usize::try_from(operand).ok()?,
                28 => {
                    operand = i32::from(u16_at(data, at)? as i16);
                    at += 2;
                }
                29 => {
                    operand = i32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?);
                    at += 4;
                }
                30 => {
                    while data.get(at).is_some_and(|byte| byte & 0xF != 0xF && byte >> 4 != 0xF) {
                        at += 1;
                    }
                    at += 1;
                }
                32..=246 => operand = i32::from(byte) - 139,
                247..=250 => {
                    operand = (i32::from(byte) - 247) * 256 + i32::from(*data.get(at)?) + 108;
                    at += 1;
                }
                251..=254 => {
                    operand = -(i32::from(byte) - 251) * 256 - i32::from(*data.get(at)?) - 108;
                    at += 1;
                }
                _ => {}
            }
        }
        Some(top)
    }
}

/// The items of an INDEX structure, and where it ends.
fn index(data: &[u8], at: usize) -> Option<(Vec<&[u8]>, usize)> {
    let count = usize::from(u16_at(data, at)?);
    if count == 0 {
        return Some((Vec::new(), at + 2));
    }
    let size = usize::from(*data.get(at + 2)?);
    let offsets = at + 3;
    let base = offsets + (count + 1) * size - 1;
    let offset = |n: usize| -> Option<usize> {
        let bytes = data.get(offsets + n * size..offsets + (n + 1) * size)?;
        Some(bytes.iter().fold(0, |value, byte| (value << 8) | usize::from(*byte)))
    };
    let items = (0..count)
        .map(|n| data.get(base.checked_add(offset(n)?)?..base.checked_add(offset(n + 1)?)?))
        .collect::<Option<Vec<_>>>()?;
    Some((items, base + offset(count)?))
}

/// The string identifier of each glyph.
fn charset(data: &[u8], at: usize, glyph_count: usize) -> Option<Vec<u16>> {
    if at <= 2 {
        return Some((0..229).collect());
    }
    let format = *data.get(at)?;
    let mut names = vec![0];
    let mut at = at + 1;
    while names.len() < glyph_count {
        let first = u16_at(data, at)?;
        let more = match format {
            0 => 0,
            1 => u16::from(*data.get(at + 2)?),
            _ => u16_at(data, at + 2)?,
        };
        names.extend((0..=more).map(|n| first.wrapping_add(n)).take(glyph_count - names.len()));
        at += [2, 3, 4][usize::from(format.min(2))];
    }
    Some(names)
}

/// Pairs of code and glyph.
fn encoding(data: &[u8], at: usize) -> Option<Vec<(u8, usize)>> {
    let count = usize::from(*data.get(at + 1)?);
    let mut pairs = Vec::new();
    if data.get(at)? & 0x7F == 0 {
        for n in 0..count {
            pairs.push((*data.get(at + 2 + n)?, n + 1));
        }
        return Some(pairs);
    }
    let mut glyph = 1;
    for n in 0..count {
        let first = *data.get(at + 2 + 2 * n)?;
        for step in 0..=*data.get(at + 3 + 2 * n)? {
            pairs.push((first.wrapping_add(step), glyph));
            glyph += 1;
        }
    }
    Some(pairs)
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type1_program_names_its_codes() {
        let program = b"%!PS-AdobeFont /Encoding 256 array 0 1 255 {1 index exch /.notdef put} for
            dup 12 /fi put dup 8#15 /ffl put\ndup 65/A put readonly def currentfile eexec garbage";
        let table = type1(program).unwrap();
        assert_eq!(table[12].as_deref(), Some("\u{FB01}"));
        assert_eq!(table[13].as_deref(), Some("\u{FB04}"));
        assert_eq!(table[65].as_deref(), Some("A"));
        assert_eq!(table[66], None);
    }

    #[test]
    fn garbage_is_no_font() {
        assert_eq!(type1(b"nothing here"), None);
        assert_eq!(cff(b"\x01\0\x04\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), None);
        assert_eq!(cff(b""), None);
    }
}
