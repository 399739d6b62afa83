//! SentencePiece's text normalization: Unicode forms by a table of the vocabulary's file, and white space as `▁`.

/// Stands for a space in the vocabulary.
const SPACE: &[u8] = "▁".as_bytes();

/// The table of a vocabulary: a double array (Darts) of the replaced byte sequences, and their replacements.
pub(super) struct Normalizer {
    units: Vec<u32>,
    /// Replacements, each ended by a zero byte; the double array holds their offsets.
    replacements: Vec<u8>,
}

/// The beginning of a text, normalized.
struct Prefix<'a> {
    normalized: &'a [u8],
    /// Number of bytes of the text that it stands for; at least 1.
    length: usize,
}

impl Normalizer {
    /// Reads a `precompiled_charsmap`: the double array's length in bytes, the double array, the replacements.
    pub(super) fn new(table: &[u8]) -> Result<Self, tokenizers::Error> {
        let damaged = || tokenizers::Error::from("the table of character replacements is damaged");
        let (length, rest) = table.split_first_chunk().ok_or_else(damaged)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (units, replacements) = rest.split_at_checked(length).ok_or_else(damaged)?;
        let (units, _) = units.as_chunks();
        let units = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(Self { units, replacements: replacements.to_vec() })
    }

    /// The normalized text, which begins with a `▁` unless it is empty. White space at both ends is removed, and runs
    /// of it become one `▁`.
    pub(super) fn normalize(&self, text: &str) -> Vec<u8> {
        let mut output = Vec::with_capacity(text.len() + text.len() / 4 + SPACE.len());
        let mut rest = text;
        let mut after_space = true;
        while !rest.is_empty() {
            let Prefix { mut normalized, length } = self.prefix(rest);
            rest = rest.get(length..).unwrap_or_default();
            if after_space {
                normalized = &normalized[normalized.iter().take_while(|byte| **byte == b' ').count()..];
            }
            for byte in normalized {
                match byte {
                    b' ' => output.extend_from_slice(SPACE),
                    byte => output.push(*byte),
                }
            }
            after_space = normalized.last().map_or(after_space, |byte| *byte == b' ');
        }
        while output.ends_with(SPACE) {
            output.truncate(output.len() - SPACE.len());
        }
        if !output.is_empty() {
            output.splice(0..0, SPACE.iter().copied());
        }
        output
    }

    /// The longest beginning of `text` that the table replaces, otherwise its first character unchanged.
    fn prefix<'a>(&'a self, text: &'a str) -> Prefix<'a> {
        let mut longest = None;
        let mut position = 0;
        let mut unit = self.unit(0);
        for (index, byte) in text.bytes().enumerate() {
            position ^= offset(unit) ^ usize::from(byte);
            unit = self.unit(position);
            if label(unit) != u32::from(byte) {
                break;
            }
            if has_leaf(unit) {
                longest = Some((index + 1, self.unit(position ^ offset(unit)) & 0x7fff_ffff));
            }
        }
        match longest {
            Some((length, value)) => Prefix { normalized: self.replacement(value), length },
            None => {
                let length = text.chars().next().map_or(1, char::len_utf8);
                Prefix { normalized: &text.as_bytes()[..length], length }
            }
        }
    }

    /// A unit of the double array; past its end, one that matches no byte.
    fn unit(&self, position: usize) -> u32 {
        self.units.get(position).copied().unwrap_or(u32::MAX)
    }

    fn replacement(&self, start: u32) -> &[u8] {
        let rest = self.replacements.get(start as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// The distance from a node to its children.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 0x200) >> 6)) as usize
}

/// The byte that leads to a node; a leaf has none, so that it is over 255.
fn label(unit: u32) -> u32 {
    unit & 0x8000_00ff
}

fn has_leaf(unit: u32) -> bool {
    unit & 0x100 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that replaces nothing.
    fn identity() -> Normalizer {
        Normalizer::new(&[4, 0, 0, 0, 0, 0, 0, 0]).unwrap()
    }

    fn normalized(text: &str) -> String {
        String::from_utf8(identity().normalize(text)).unwrap()
    }

    #[test]
    fn spaces_are_marked_merged_and_removed_at_both_ends() {
        assert_eq!(normalized("  close  the valve "), "▁close▁the▁valve");
        assert_eq!(normalized("   "), "");
        assert_eq!(normalized(""), "");
        assert_eq!(normalized("▁ é 泵"), "▁▁▁é▁泵");
    }

    #[test]
    fn a_zero_byte_is_kept_as_a_character() {
        assert_eq!(normalized("a\0b"), "▁a\0b");
    }

    #[test]
    fn a_damaged_table_is_an_error() {
        assert!(Normalizer::new(&[1, 0]).is_err());
        assert!(Normalizer::new(&[200, 0, 0, 0, 1, 2]).is_err());
    }
}
