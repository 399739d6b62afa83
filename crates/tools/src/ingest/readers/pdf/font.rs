//! Fonts: from the bytes that a page shows to text and to how far each glyph moves on.

use lopdf::{Dictionary, Document, Object, Stream};

use super::super::symbols;
use super::cmap::CMap;
use super::composite::Composite;
use super::font_program::{self, BuiltInEncoding};
use super::sfnt::GlyphTexts;
use super::{base14, glyphs};

/// Most bytes that one stream of a font may inflate to.
const MAX_FONT_STREAM: usize = 32 << 20;

/// A font as text extraction needs it.
pub(super) struct Font {
    codes: Codes,
    pub bold: bool,
    /// True when every glyph is as wide as any other.
    pub fixed: bool,
    /// True when text runs downwards.
    pub vertical: bool,
}

enum Codes {
    /// One byte, one glyph: its text and its width in units of the font size.
    Simple(Vec<(String, f32)>),
    Composite(Box<Composite>),
}

/// One shown glyph.
pub(super) struct Glyph<'a> {
    pub text: &'a str,
    /// How far it moves on, in units of the font size.
    pub width: f32,
    /// True for the one-byte code 32, to which word spacing applies.
    pub is_space_code: bool,
}

impl Font {
    /// Loads a font from its dictionary. Whatever is missing or broken falls back to what viewers assume.
    pub fn load(document: &Document, font: &Dictionary) -> Self {
        let name = name_of(document, font, b"BaseFont").unwrap_or_default();
        let descriptor = dictionary(document, font, b"FontDescriptor");
        let bold = is_bold(document, &name, descriptor);
        let fixed = is_fixed(document, &name, descriptor);
        let to_unicode = stream(document, font, b"ToUnicode").and_then(inflate).map(|data| CMap::parse(&data));
        let to_unicode = to_unicode.filter(|cmap| !cmap.has_no_text());
        let kind = font.get_deref(b"Subtype", document).and_then(Object::as_name).unwrap_or_default();
        if kind == b"Type0" {
            let composite = Composite::load(document, font, to_unicode);
            let vertical = composite.is_vertical();
            return Self { codes: Codes::Composite(Box::new(composite)), bold, fixed, vertical };
        }
        let simple = Simple { document, font, name: &name, descriptor, is_type3: kind == b"Type3" };
        Self { codes: Codes::Simple(simple.table(to_unicode.as_ref())), bold, fixed, vertical: false }
    }

    /// What viewers use for a font that the file does not have.
    pub fn substitute() -> Self {
        let name = |name: &[u8]| Object::Name(name.to_vec());
        let entries =
            [("Subtype", name(b"Type1")), ("BaseFont", name(b"Helvetica")), ("Encoding", name(b"WinAnsiEncoding"))];
        Self::load(&Document::new(), &Dictionary::from_iter(entries))
    }

    /// Calls `each` for every glyph that `bytes` show, in order.
    pub fn show(&self, bytes: &[u8], mut each: impl FnMut(Glyph<'_>)) {
        match &self.codes {
            Codes::Simple(table) => {
                for &byte in bytes {
                    let (text, width) = &table[usize::from(byte)];
                    each(Glyph { text, width: *width, is_space_code: byte == 32 });
                }
            }
            Codes::Composite(composite) => composite.show(bytes, each),
        }
    }
}

/// What is needed to build the table of a simple font.
struct Simple<'a> {
    document: &'a Document,
    font: &'a Dictionary,
    name: &'a str,
    descriptor: Option<&'a Dictionary>,
    is_type3: bool,
}

impl Simple<'_> {
    fn table(&self, to_unicode: Option<&CMap>) -> Vec<(String, f32)> {
        let texts = self.texts();
        let widths = self.widths(&texts);
        let text = |code: usize, own: Option<String>| -> String {
            let mapped = to_unicode.and_then(|cmap| cmap.text(code as u32));
            // A map to nothing or to a control character is a producer's mistake; the glyph's name is better.
            mapped.filter(|text| text.chars().any(|c| !c.is_control() && c != '\u{FFFD}')).or(own).unwrap_or_default()
        };
        texts.into_iter().zip(widths).enumerate().map(|(code, (own, width))| (text(code, own), width)).collect()
    }

    /// Text by code: the base encoding, overlaid with the differences that the file declares.
    fn texts(&self) -> BuiltInEncoding {
        let encoding = self.font.get_deref(b"Encoding", self.document).ok();
        let from_table = |table: &glyphs::Table| table.iter().map(|c| c.map(String::from)).collect::<BuiltInEncoding>();
        match encoding {
            Some(Object::Name(name)) => match glyphs::encoding(name) {
                Some(table) => from_table(table),
                None => self.built_in(),
            },
            Some(Object::Dictionary(encoding)) => {
                let base = encoding.get_deref(b"BaseEncoding", self.document).and_then(Object::as_name).ok();
                let mut texts = match base.and_then(glyphs::encoding) {
                    Some(table) => from_table(table),
                    None => self.built_in(),
                };
                self.overlay_differences(encoding, &mut texts);
                texts
            }
            _ => self.built_in(),
        }
    }

    fn overlay_differences(&self, encoding: &Dictionary, texts: &mut BuiltInEncoding) {
        let Ok(differences) = encoding.get_deref(b"Differences", self.document).and_then(Object::as_array) else {
            return;
        };
        let mut code = 0_usize;
        for item in differences {
            match item {
                Object::Integer(number) => code = usize::try_from(*number).unwrap_or(256),
                Object::Name(name) => {
                    if let Some(slot) = texts.get_mut(code) {
                        // A name without meaning leaves what the code would be in the base encoding only in fonts
                        // that number their glyphs; elsewhere it would be a wrong letter.
                        *slot = glyphs::text(name).or_else(|| slot.take().filter(|_| is_numbered(name)));
                    }
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
    }

    /// The encoding inside the embedded font, or what applies to a font without one.
    fn built_in(&self) -> BuiltInEncoding {
        if let Some(descriptor) = self.descriptor {
            if let Some(table) =
                stream(self.document, descriptor, b"FontFile").and_then(inflate).and_then(|p| font_program::type1(&p))
            {
                return table;
            }
            if let Some(table) =
                stream(self.document, descriptor, b"FontFile3").and_then(inflate).and_then(|p| font_program::cff(&p))
            {
                return table;
            }
        }
        if let Some(table) = self.symbols() {
            return table;
        }
        let is_true_type = self.font.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"TrueType");
        let table = glyphs::encoding(b"WinAnsiEncoding").filter(|_| is_true_type).unwrap_or(glyphs::standard());
        let mut texts: BuiltInEncoding = table.iter().map(|c| c.map(String::from)).collect();
        self.overlay_true_type(&mut texts);
        texts
    }

    /// `Symbol` and `ZapfDingbats` have encodings of their own.
    fn symbols(&self) -> Option<BuiltInEncoding> {
        let family = self.name.rsplit('+').next().unwrap_or_default();
        let of_code = match family {
            _ if family.starts_with("Symbol") => symbols::symbol,
            _ if family.starts_with("ZapfDingbats") => symbols::dingbat,
            _ => return None,
        };
        Some((0..=255).map(|code| of_code(code).map(String::from)).collect())
    }

    /// A symbolic TrueType font maps codes to glyphs itself, and may name those.
    fn overlay_true_type(&self, texts: &mut BuiltInEncoding) {
        let program = self.descriptor.and_then(|descriptor| stream(self.document, descriptor, b"FontFile2"));
        let Some(font) = program.and_then(inflate).and_then(|program| GlyphTexts::parse(&program)) else { return };
        for (code, slot) in (0..=255).zip(texts) {
            if let Some(text) = font.text_of_code(code) {
                *slot = Some(text.to_owned());
            }
        }
    }

    fn widths(&self, texts: &BuiltInEncoding) -> Vec<f32> {
        let scale = if self.is_type3 { self.type3_scale() } else { 0.001 };
        let first = number(self.document, self.font, b"FirstChar").unwrap_or(0.0) as i64;
        let declared = self.font.get_deref(b"Widths", self.document).and_then(Object::as_array).ok();
        let missing = self.descriptor.and_then(|d| number(self.document, d, b"MissingWidth")).unwrap_or(0.0);
        (0..256_i64)
            .map(|code| {
                let listed = declared.and_then(|widths| widths.get(usize::try_from(code - first).ok()?));
                let listed = listed.and_then(|width| self.document.dereference(width).ok()?.1.as_float().ok());
                match (listed, &texts[code as usize]) {
                    (Some(width), _) => width * scale,
                    (None, _) if declared.is_some() => missing * scale,
                    (None, Some(text)) => text.chars().map(|c| base14::width(self.name, c)).sum(),
                    (None, None) => 0.5,
                }
            })
            .collect()
    }

    /// Type 3 widths are in glyph space, which the font's own matrix scales.
    fn type3_scale(&self) -> f32 {
        let matrix = self.font.get_deref(b"FontMatrix", self.document).and_then(Object::as_array).ok();
        let scale = matrix.and_then(|matrix| matrix.first()?.as_float().ok()).unwrap_or(0.001);
        if scale == 0.0 { 0.001 } else { scale.abs() }
    }
}

/// `g12`, `cid34`, `C0045`: names that only number a glyph.
fn is_numbered(name: &[u8]) -> bool {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && name.len() - digits <= 5
}

fn is_bold(document: &Document, name: &str, descriptor: Option<&Dictionary>) -> bool {
    let lower = name.to_ascii_lowercase();
    let named = ["bold", "black", "heavy", "demi"].iter().any(|part| lower.contains(part));
    // The bold fonts of TeX: cmbx12, cmssbx10, ecbx, sfbx.
    let tex = lower.rsplit('+').next().is_some_and(|n| n.contains("bx") && n.ends_with(|c: char| c.is_ascii_digit()));
    let weight = descriptor.and_then(|d| number(document, d, b"FontWeight")).unwrap_or(400.0);
    let forced =
        descriptor.and_then(|d| number(document, d, b"Flags")).is_some_and(|flags| flags as u32 & (1 << 18) != 0);
    named || tex || forced || weight >= 600.0
}

fn is_fixed(document: &Document, name: &str, descriptor: Option<&Dictionary>) -> bool {
    let lower = name.to_ascii_lowercase();
    let named =
        ["courier", "mono", "consol", "typewriter", "cmtt", "sftt", "ectt"].iter().any(|part| lower.contains(part));
    named || descriptor.and_then(|d| number(document, d, b"Flags")).is_some_and(|flags| flags as u32 & 1 != 0)
}

pub(super) fn name_of(document: &Document, dictionary: &Dictionary, key: &[u8]) -> Option<String> {
    let name = dictionary.get_deref(key, document).and_then(Object::as_name).ok()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

pub(super) fn dictionary<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
    match parent.get_deref(key, document).ok()? {
        Object::Dictionary(dictionary) => Some(dictionary),
        Object::Stream(stream) => Some(&stream.dict),
        _ => None,
    }
}

pub(super) fn number(document: &Document, dictionary: &Dictionary, key: &[u8]) -> Option<f32> {
    dictionary.get_deref(key, document).and_then(Object::as_float).ok().filter(|number| number.is_finite())
}

pub(super) fn stream<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a Stream> {
    parent.get_deref(key, document).and_then(Object::as_stream).ok()
}

pub(super) fn inflate(stream: &Stream) -> Option<Vec<u8>> {
    stream.get_plain_content_with_limit(MAX_FONT_STREAM).ok()
}
