//! CMaps: split strings into character codes, and map codes to text (`ToUnicode`) or to glyphs (CIDs).

use std::collections::HashMap;

use super::lexer::{Lexer, Operand};

/// A parsed CMap. Ranges are not expanded, so that a crafted range takes no more memory than its bytes in the file.
#[derive(Debug, Default)]
pub(super) struct CMap {
    /// Codespace ranges in file order: number of bytes per code, first code, last code.
    codespaces: Vec<(usize, u32, u32)>,
    texts: HashMap<u32, String>,
    /// First code, last code and the UTF-16 text of the first code; sorted by first code after parsing.
    text_ranges: Vec<(u32, u32, Vec<u16>)>,
    cids: HashMap<u32, u32>,
    cid_ranges: Vec<(u32, u32, u32)>,
    /// Whether the writing mode is vertical.
    pub vertical: bool,
}

impl CMap {
    pub fn parse(data: &[u8]) -> Self {
        let mut cmap = Self::default();
        let mut lexer = Lexer::new(data);
        let mut operands = Vec::new();
        while let Some(operator) = lexer.next(&mut operands) {
            match operator {
                b"endcodespacerange" => cmap.add_codespaces(&operands),
                b"endbfchar" => cmap.add_chars(&operands),
                b"endbfrange" => cmap.add_ranges(&operands),
                b"endcidchar" => cmap.add_cids(&operands),
                b"endcidrange" => cmap.add_cid_ranges(&operands),
                b"def" => {
                    if let [Operand::Name(key), Operand::Number(value)] = operands.as_slice() {
                        cmap.vertical |= key == b"WMode" && *value == 1.0;
                    }
                }
                _ => {}
            }
        }
        cmap.text_ranges.sort_by_key(|range| range.0);
        cmap.cid_ranges.sort_by_key(|range| range.0);
        cmap
    }

    /// Whether the CMap maps no code to text.
    pub fn has_no_text(&self) -> bool {
        self.texts.is_empty() && self.text_ranges.is_empty()
    }

    /// The text of a code; `None` if it is not mapped.
    pub fn text(&self, code: u32) -> Option<String> {
        if let Some(text) = self.texts.get(&code) {
            return Some(text.clone());
        }
        let at = self.text_ranges.partition_point(|range| range.0 <= code).checked_sub(1)?;
        let (first, last, utf16_units) = &self.text_ranges[at];
        if code > *last {
            return None;
        }
        let mut utf16_units = utf16_units.clone();
        let end = utf16_units.last_mut()?;
        *end = end.wrapping_add((code - first) as u16);
        Some(decode_utf16(&utf16_units))
    }

    /// The CID of a code; `None` if it is not mapped.
    pub fn cid(&self, code: u32) -> Option<u32> {
        if let Some(cid) = self.cids.get(&code) {
            return Some(*cid);
        }
        let at = self.cid_ranges.partition_point(|range| range.0 <= code).checked_sub(1)?;
        let (first, last, cid) = self.cid_ranges[at];
        (code <= last).then(|| cid.wrapping_add(code - first))
    }

    /// The length in bytes of the code at the start of `bytes`: that of the shortest matching codespace range, or
    /// `default_length` if none matches. At least 1, and at most the length of `bytes`.
    pub fn code_length(&self, bytes: &[u8], default_length: usize) -> usize {
        let is_in_codespace = |length: usize| {
            let code = big_endian(&bytes[..length]);
            self.codespaces.iter().any(|&(size, first, last)| {
                size == length
                    && (0..length).all(|i| {
                        let byte = |value: u32| (value >> (8 * i)) & 0xFF;
                        byte(first) <= byte(code) && byte(code) <= byte(last)
                    })
            })
        };
        (1..=bytes.len().min(4))
            .find(|length| is_in_codespace(*length))
            .unwrap_or(default_length)
            .clamp(1, bytes.len().max(1))
    }

    fn add_codespaces(&mut self, operands: &[Operand]) {
        for pair in operands.chunks_exact(2) {
            if let (Some(first), Some(last)) = (pair[0].string(), pair[1].string())
                && first.len() == last.len()
                && (1..=4).contains(&first.len())
            {
                self.codespaces.push((first.len(), big_endian(first), big_endian(last)));
            }
        }
    }

    fn add_chars(&mut self, operands: &[Operand]) {
        for pair in skip_leading_numbers(operands).chunks_exact(2) {
            if let (Some(code), Some(text)) = (pair[0].string(), pair[1].string()) {
                self.texts.insert(big_endian(code), decode_utf16(&utf16_units(text)));
            }
        }
    }

    fn add_ranges(&mut self, operands: &[Operand]) {
        for triple in skip_leading_numbers(operands).chunks_exact(3) {
            let (Some(first), Some(last)) = (triple[0].string(), triple[1].string()) else { continue };
            let (first, last) = (big_endian(first), big_endian(last));
            match &triple[2] {
                Operand::String(text) if first <= last => self.text_ranges.push((first, last, utf16_units(text))),
                Operand::Array(texts) => {
                    for (code, text) in (first..=last).zip(texts) {
                        self.texts.insert(code, decode_utf16(&utf16_units(text.string().unwrap_or_default())));
                    }
                }
                _ => {}
            }
        }
    }

    fn add_cids(&mut self, operands: &[Operand]) {
        for pair in operands.chunks_exact(2) {
            if let (Some(code), Some(cid)) = (pair[0].string(), pair[1].number()) {
                self.cids.insert(big_endian(code), cid as u32);
            }
        }
    }

    fn add_cid_ranges(&mut self, operands: &[Operand]) {
        for triple in operands.chunks_exact(3) {
            if let (Some(first), Some(last), Some(cid)) = (triple[0].string(), triple[1].string(), triple[2].number()) {
                self.cid_ranges.push((big_endian(first), big_endian(last), cid as u32));
            }
        }
    }
}

/// The operands from the first one that is not a number: some programs leave the count of the preceding operator in
/// place.
fn skip_leading_numbers(operands: &[Operand]) -> &[Operand] {
    let start = operands.iter().position(|operand| operand.number().is_none()).unwrap_or(operands.len());
    &operands[start..]
}

/// Reads a big-endian number from at most the first four bytes.
pub(super) fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |value, byte| (value << 8) | u32::from(*byte))
}

fn utf16_units(bytes: &[u8]) -> Vec<u16> {
    match bytes {
        [byte] => vec![u16::from(*byte)],
        _ => bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect(),
    }
}

/// Decodes UTF-16; invalid code units and NUL are dropped.
fn decode_utf16(utf16_units: &[u16]) -> String {
    char::decode_utf16(utf16_units.iter().copied()).filter_map(Result::ok).filter(|c| *c != '\0').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[u8] = b"/WMode 1 def 1 begincodespacerange <00> <7F> <8140> <FEFE> endcodespacerange
        2 beginbfchar <01> <00660066> <02> <D83DDE00> endbfchar
        2 beginbfrange <10> <12> <0041> <20> <21> [<0078> <0079007A>] endbfrange
        1 begincidrange <8140> <8142> 633 endcidrange";

    #[test]
    fn codes_map_to_text_and_to_glyphs() {
        let cmap = CMap::parse(SAMPLE);
        let text = |code| cmap.text(code);
        assert_eq!(text(1).as_deref(), Some("ff"));
        assert_eq!(text(2).as_deref(), Some("😀"));
        assert_eq!(text(0x12).as_deref(), Some("C"));
        assert_eq!(text(0x21).as_deref(), Some("yz"));
        assert_eq!(text(0x13), None);
        assert_eq!(cmap.cid(0x8141), Some(634));
        assert!(cmap.vertical);
    }

    #[test]
    fn a_code_takes_the_bytes_of_its_codespace() {
        let cmap = CMap::parse(SAMPLE);
        assert_eq!(cmap.code_length(b"\x41\x41", 2), 1);
        assert_eq!(cmap.code_length(b"\x81\x41", 1), 2);
        assert_eq!(cmap.code_length(b"\xFF", 2), 1);
    }

    #[test]
    fn an_enormous_range_is_not_expanded() {
        let cmap = CMap::parse(b"1 beginbfrange <00000000> <FFFFFFFF> <0041> endbfrange");
        assert_eq!(cmap.text(1).as_deref(), Some("B"));
    }
}
