//! Composite (Type 0) fonts, in which a character code has one or more bytes.

use std::collections::HashMap;

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, SHIFT_JIS};
use lopdf::{Dictionary, Document, Object};

use super::cmap::{CMap, big_endian};
use super::dictionary::{dictionary, inflate_font_stream, name_of, number, stream};
use super::glyph::Glyph;
use super::sfnt::GlyphTexts;

/// A composite font: its encoding, texts and advance widths.
pub(super) struct CompositeFont {
    code_map: CodeMap,
    to_unicode: Option<CMap>,
    /// Text of each glyph from the embedded font program; only loaded if there is no `ToUnicode` CMap.
    embedded: Option<(GlyphTexts, CidToGid)>,
    /// Advance widths by CID, as a fraction of the font size.
    widths: HashMap<u32, f32>,
    default_width: f32,
    /// Whether the writing mode is vertical.
    vertical: bool,
}

/// The font's encoding: splits strings into codes, and gives the text of a code that `ToUnicode` does not map.
enum CodeMap {
    /// Each code has two bytes and is a CID.
    Identity,
    /// A CMap embedded in the file.
    Embedded(CMap),
    /// The codes are UTF-8.
    Utf8,
    /// The codes are big-endian UTF-16.
    Utf16,
    /// The codes are big-endian UTF-32.
    Utf32,
    /// JIS X 0208 in two bytes: EUC-JP without the high bits.
    Jis,
    /// A predefined CMap with a legacy East Asian encoding.
    Legacy(&'static Encoding),
}

impl CompositeFont {
    pub fn load(document: &Document, font: &Dictionary, to_unicode: Option<CMap>) -> Self {
        let descendant = font.get_deref(b"DescendantFonts", document).and_then(Object::as_array).ok();
        let descendant = descendant.and_then(|fonts| document.dereference(fonts.first()?).ok()?.1.as_dict().ok());
        let name = name_of(document, font, b"Encoding").unwrap_or_default();
        let map = match font.get_deref(b"Encoding", document) {
            Ok(Object::Stream(stream)) => {
                CodeMap::Embedded(CMap::parse(&inflate_font_stream(stream).unwrap_or_default()))
            }
            Ok(Object::Name(name)) => predefined_encoding(&String::from_utf8_lossy(name)),
            _ => CodeMap::Identity,
        };
        let (widths, default_width) = descendant.map_or((HashMap::new(), 1.0), |descendant| {
            let default = number(document, descendant, b"DW").unwrap_or(1000.0) / 1000.0;
            (cid_widths(document, descendant), default)
        });
        let embedded = descendant.filter(|_| to_unicode.is_none()).and_then(|font| load_embedded_texts(document, font));
        let vertical = match &map {
            CodeMap::Embedded(cmap) => cmap.vertical,
            _ => name == "V" || name.ends_with("-V"),
        };
        Self { code_map: map, to_unicode, embedded, widths, default_width, vertical }
    }

    /// Whether the writing mode is vertical.
    pub fn is_vertical(&self) -> bool {
        self.vertical
    }

    /// Calls `each` for every glyph of a string, in order.
    pub fn for_each_glyph(&self, bytes: &[u8], mut each: impl FnMut(Glyph<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = self.code_length(rest).clamp(1, rest.len());
            let (code_bytes, tail) = rest.split_at(length);
            rest = tail;
            let code = big_endian(code_bytes);
            let cid = match &self.code_map {
                CodeMap::Embedded(cmap) => cmap.cid(code).unwrap_or(code),
                _ => code,
            };
            let text = self.to_unicode.as_ref().and_then(|cmap| cmap.text(code));
            let text = text.or_else(|| self.code_map.text(code_bytes)).or_else(|| self.embedded_text(cid));
            let width = self.widths.get(&cid).copied().unwrap_or(match &self.code_map {
                CodeMap::Legacy(_) if length == 1 => 0.5,
                _ => self.default_width,
            });
            let is_space_code = length == 1 && code == 32;
            each(Glyph { text: text.as_deref().unwrap_or_default(), width, is_space_code });
        }
    }

    /// The text of a glyph, from the embedded font program.
    fn embedded_text(&self, cid: u32) -> Option<String> {
        let (texts, glyphs) = self.embedded.as_ref()?;
        texts.text(glyphs.glyph(cid)).map(str::to_owned)
    }

    fn code_length(&self, bytes: &[u8]) -> usize {
        match &self.code_map {
            CodeMap::Identity | CodeMap::Jis => 2,
            CodeMap::Utf8 => match bytes[0] {
                0..=0xBF => 1,
                0xC0..=0xDF => 2,
                0xE0..=0xEF => 3,
                _ => 4,
            },
            CodeMap::Utf32 => 4,
            CodeMap::Embedded(cmap) => cmap.code_length(bytes, 2),
            CodeMap::Utf16 => {
                if matches!(bytes[0], 0xD8..=0xDB) {
                    4
                } else {
                    2
                }
            }
            CodeMap::Legacy(_) => {
                if bytes[0] < 0x81 || (0xA0..=0xDF).contains(&bytes[0]) && self.is_shift_jis() {
                    1
                } else {
                    2
                }
            }
        }
    }

    fn is_shift_jis(&self) -> bool {
        matches!(self.code_map, CodeMap::Legacy(encoding) if encoding == SHIFT_JIS)
    }
}

impl CodeMap {
    fn text(&self, code: &[u8]) -> Option<String> {
        match self {
            Self::Identity | Self::Embedded(_) => None,
            Self::Utf8 => std::str::from_utf8(code).ok().map(str::to_owned),
            Self::Utf32 => char::from_u32(big_endian(code)).map(String::from),
            Self::Jis => {
                let high: Vec<u8> = code.iter().map(|byte| byte | 0x80).collect();
                Some(EUC_JP.decode_without_bom_handling(&high).0.into_owned())
            }
            Self::Utf16 => Some(encoding_rs::UTF_16BE.decode_without_bom_handling(code).0.into_owned()),
            Self::Legacy(encoding) => Some(encoding.decode_without_bom_handling(code).0.into_owned()),
        }
    }
}

/// The encoding of a predefined CMap, recognized by parts of its name.
fn predefined_encoding(name: &str) -> CodeMap {
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    if has(&["UTF8"]) {
        CodeMap::Utf8
    } else if has(&["UTF32"]) {
        CodeMap::Utf32
    } else if matches!(name, "H" | "V") {
        CodeMap::Jis
    } else if has(&["UCS2", "UTF16"]) {
        CodeMap::Utf16
    } else if has(&["RKSJ"]) {
        CodeMap::Legacy(SHIFT_JIS)
    } else if has(&["GB-EUC", "GBK", "GBpc"]) {
        CodeMap::Legacy(GB18030)
    } else if has(&["B5", "HKscs"]) {
        CodeMap::Legacy(BIG5)
    } else if has(&["KSC"]) {
        CodeMap::Legacy(EUC_KR)
    } else if name == "EUC-H" || name == "EUC-V" {
        CodeMap::Legacy(EUC_JP)
    } else {
        CodeMap::Identity
    }
}

/// The font's `CIDToGIDMap` entry, which maps CIDs to glyph indices.
enum CidToGid {
    Identity,
    /// Big-endian glyph indices, two bytes per CID.
    Table(Vec<u8>),
}

impl CidToGid {
    fn glyph(&self, cid: u32) -> u32 {
        match self {
            Self::Identity => cid,
            Self::Table(ids) => ids.get(2 * cid as usize..).and_then(|rest| rest.get(..2)).map_or(0, big_endian),
        }
    }
}

/// Loads the texts of the embedded font program, with the map from CIDs to its glyphs; `None` without such texts.
fn load_embedded_texts(document: &Document, font: &Dictionary) -> Option<(GlyphTexts, CidToGid)> {
    let descriptor = dictionary(document, font, b"FontDescriptor")?;
    let program = [b"FontFile2".as_slice(), b"FontFile3"].into_iter().find_map(|key| stream(document, descriptor, key));
    let texts = GlyphTexts::parse(&inflate_font_stream(program?)?)?;
    let ids = stream(document, font, b"CIDToGIDMap").and_then(inflate_font_stream);
    Some((texts, ids.map_or(CidToGid::Identity, CidToGid::Table)))
}

/// Reads the widths in the `W` array, whose entries have the form `first [w w w]` or `first last w`.
fn cid_widths(document: &Document, font: &Dictionary) -> HashMap<u32, f32> {
    const MAX_WIDTHS: usize = 1 << 17;
    let mut widths = HashMap::new();
    let Ok(array) = font.get_deref(b"W", document).and_then(Object::as_array) else { return widths };
    let item = |at: usize| array.get(at).and_then(|item| document.dereference(item).ok()).map(|(_, item)| item);
    let mut at = 0;
    while let (Some(Ok(first)), Some(second)) = (item(at).map(Object::as_float), item(at + 1)) {
        let first = (first as u32).min(1 << 20);
        if let Ok(list) = second.as_array() {
            for (cid, width) in (first..).zip(list).take(MAX_WIDTHS) {
                widths.insert(cid, width.as_float().unwrap_or(1000.0) / 1000.0);
            }
            at += 2;
        } else {
            let last = second.as_float().unwrap_or(0.0) as u32;
            let width = item(at + 2).and_then(|width| width.as_float().ok()).unwrap_or(1000.0) / 1000.0;
            for cid in (first..=last).take(MAX_WIDTHS.saturating_sub(widths.len())) {
                widths.insert(cid, width);
            }
            at += 3;
        }
    }
    widths
}
