//! Fonts: convert the bytes of a string to text and advance widths.

use lopdf::{Dictionary, Document, Object};

use super::super::symbols;
use super::cmap::CMap;
use super::composite::CompositeFont;
use super::dictionary::{dictionary, inflate_font_stream, name_of, number, stream};
use super::font_program::{self, TextByCode};
use super::glyph::Glyph;
use super::sfnt::GlyphTexts;
use super::{base14, glyphs};

/// A font, reduced to what text extraction needs.
pub(super) struct Font {
    code_table: CodeTable,
    pub bold: bool,
    /// Whether all glyphs have the same width.
    pub fixed_pitch: bool,
    /// Whether the writing mode is vertical.
    pub vertical: bool,
}

enum CodeTable {
    /// One byte per code. For each of the 256 codes: its text, and its advance width as a fraction of the font size.
    Simple(Vec<(String, f32)>),
    Composite(Box<CompositeFont>),
}

impl Font {
    /// Loads a font from its dictionary. Missing or invalid entries get the defaults that viewers use.
    pub fn load(document: &Document, font: &Dictionary) -> Self {
        let name = name_of(document, font, b"BaseFont").unwrap_or_default();
        let descriptor = dictionary(document, font, b"FontDescriptor");
        let bold = is_bold(document, &name, descriptor);
        let fixed_pitch = is_fixed_pitch(document, &name, descriptor);
        let to_unicode =
            stream(document, font, b"ToUnicode").and_then(inflate_font_stream).map(|data| CMap::parse(&data));
        let to_unicode = to_unicode.filter(|cmap| !cmap.has_no_text());
        let kind = font.get_deref(b"Subtype", document).and_then(Object::as_name).unwrap_or_default();
        if kind == b"Type0" {
            let composite = CompositeFont::load(document, font, to_unicode);
            let vertical = composite.is_vertical();
            return Self { code_table: CodeTable::Composite(Box::new(composite)), bold, fixed_pitch, vertical };
        }
        let simple = SimpleFont { document, font, name: &name, descriptor, is_type3: kind == b"Type3" };
        Self {
            code_table: CodeTable::Simple(simple.code_table(to_unicode.as_ref())),
            bold,
            fixed_pitch,
            vertical: false,
        }
    }

    /// The font that viewers use in place of a missing one.
    pub fn substitute() -> Self {
        let name = |name: &[u8]| Object::Name(name.to_vec());
        let entries =
            [("Subtype", name(b"Type1")), ("BaseFont", name(b"Helvetica")), ("Encoding", name(b"WinAnsiEncoding"))];
        Self::load(&Document::new(), &Dictionary::from_iter(entries))
    }

    /// Calls `each` for every glyph of a string, in order.
    pub fn for_each_glyph(&self, bytes: &[u8], mut each: impl FnMut(Glyph<'_>)) {
        match &self.code_table {
            CodeTable::Simple(table) => {
                for &byte in bytes {
                    let (text, width) = &table[usize::from(byte)];
                    each(Glyph { text, width: *width, is_space_code: byte == 32 });
                }
            }
            CodeTable::Composite(composite) => composite.for_each_glyph(bytes, each),
        }
    }
}

/// Builds the table of a simple font from its dictionary.
struct SimpleFont<'a> {
    document: &'a Document,
    font: &'a Dictionary,
    name: &'a str,
    descriptor: Option<&'a Dictionary>,
    is_type3: bool,
}

impl SimpleFont<'_> {
    fn code_table(&self, to_unicode: Option<&CMap>) -> Vec<(String, f32)> {
        let texts = self.texts();
        let widths = self.widths(&texts);
        let text = |code: usize, encoded: Option<String>| -> String {
            let mapped = to_unicode.and_then(|cmap| cmap.text(code as u32));
            // Ignore mappings to nothing or to control characters; the text by encoding or glyph name is more reliable.
            mapped
                .filter(|text| text.chars().any(|c| !c.is_control() && c != '\u{FFFD}'))
                .or(encoded)
                .unwrap_or_default()
        };
        texts.into_iter().zip(widths).enumerate().map(|(code, (own, width))| (text(code, own), width)).collect()
    }

    /// Text of each code: the base encoding, changed by the `Differences` array.
    fn texts(&self) -> TextByCode {
        let encoding = self.font.get_deref(b"Encoding", self.document).ok();
        let from_table =
            |table: &glyphs::EncodingTable| table.iter().map(|c| c.map(String::from)).collect::<TextByCode>();
        match encoding {
            Some(Object::Name(name)) => match glyphs::encoding(name) {
                Some(table) => from_table(table),
                None => self.built_in_encoding(),
            },
            Some(Object::Dictionary(encoding)) => {
                let base = encoding.get_deref(b"BaseEncoding", self.document).and_then(Object::as_name).ok();
                let mut texts = match base.and_then(glyphs::encoding) {
                    Some(table) => from_table(table),
                    None => self.built_in_encoding(),
                };
                self.overlay_differences(encoding, &mut texts);
                texts
            }
            _ => self.built_in_encoding(),
        }
    }

    fn overlay_differences(&self, encoding: &Dictionary, texts: &mut TextByCode) {
        let Ok(differences) = encoding.get_deref(b"Differences", self.document).and_then(Object::as_array) else {
            return;
        };
        let mut code = 0_usize;
        for item in differences {
            match item {
                Object::Integer(number) => code = usize::try_from(*number).unwrap_or(256),
                Object::Name(name) => {
                    if let Some(slot) = texts.get_mut(code) {
                        // If the name is only a number, keep the character of the base encoding. For any other unknown
                        // name, that character would be wrong.
                        *slot = glyphs::text_of_name(name).or_else(|| slot.take().filter(|_| is_numbered_name(name)));
                    }
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
    }

    /// The encoding of the embedded font program, or the default encoding of a font without one.
    fn built_in_encoding(&self) -> TextByCode {
        if let Some(descriptor) = self.descriptor {
            if let Some(table) = stream(self.document, descriptor, b"FontFile")
                .and_then(inflate_font_stream)
                .and_then(|p| font_program::type1_encoding(&p))
            {
                return table;
            }
            if let Some(table) = stream(self.document, descriptor, b"FontFile3")
                .and_then(inflate_font_stream)
                .and_then(|p| font_program::cff_encoding(&p))
            {
                return table;
            }
        }
        if let Some(table) = self.symbol_encoding() {
            return table;
        }
        let is_true_type = self.font.get(b"Subtype").and_then(Object::as_name).is_ok_and(|kind| kind == b"TrueType");
        let table =
            glyphs::encoding(b"WinAnsiEncoding").filter(|_| is_true_type).unwrap_or(glyphs::standard_encoding());
        let mut texts: TextByCode = table.iter().map(|c| c.map(String::from)).collect();
        self.overlay_true_type(&mut texts);
        texts
    }

    /// The built-in encoding of `Symbol` or `ZapfDingbats`; `None` for other fonts.
    fn symbol_encoding(&self) -> Option<TextByCode> {
        let family = self.name.rsplit('+').next().unwrap_or_default();
        let decode_char = match family {
            _ if family.starts_with("Symbol") => symbols::symbol,
            _ if family.starts_with("ZapfDingbats") => symbols::dingbat,
            _ => return None,
        };
        Some((0..=255).map(|code| decode_char(code).map(String::from)).collect())
    }

    /// Adds the texts that a symbolic TrueType font defines in its own `cmap` and `post` tables.
    fn overlay_true_type(&self, texts: &mut TextByCode) {
        let program = self.descriptor.and_then(|descriptor| stream(self.document, descriptor, b"FontFile2"));
        let Some(font) = program.and_then(inflate_font_stream).and_then(|program| GlyphTexts::parse(&program)) else {
            return;
        };
        for (code, slot) in (0..=255).zip(texts) {
            if let Some(text) = font.text_of_code(code) {
                *slot = Some(text.to_owned());
            }
        }
    }

    fn widths(&self, texts: &TextByCode) -> Vec<f32> {
        let scale = if self.is_type3 { self.type3_scale() } else { 0.001 };
        let first = number(self.document, self.font, b"FirstChar").unwrap_or(0.0) as i64;
        let declared_widths = self.font.get_deref(b"Widths", self.document).and_then(Object::as_array).ok();
        let missing_width = self.descriptor.and_then(|d| number(self.document, d, b"MissingWidth")).unwrap_or(0.0);
        (0..256_i64)
            .map(|code| {
                let declared_width = declared_widths.and_then(|widths| widths.get(usize::try_from(code - first).ok()?));
                let declared_width =
                    declared_width.and_then(|width| self.document.dereference(width).ok()?.1.as_float().ok());
                match (declared_width, &texts[code as usize]) {
                    (Some(width), _) => width * scale,
                    (None, _) if declared_widths.is_some() => missing_width * scale,
                    (None, Some(text)) => text.chars().map(|c| base14::width(self.name, c)).sum(),
                    (None, None) => 0.5,
                }
            })
            .collect()
    }

    /// Scale factor from the widths of a Type 3 font, which are in glyph space, to text space; from the font matrix.
    fn type3_scale(&self) -> f32 {
        let matrix = self.font.get_deref(b"FontMatrix", self.document).and_then(Object::as_array).ok();
        let scale = matrix.and_then(|matrix| matrix.first()?.as_float().ok()).unwrap_or(0.001);
        if scale == 0.0 { 0.001 } else { scale.abs() }
    }
}

/// Whether a glyph name is only a number with a short prefix: `g12`, `cid34`, `C0045`.
fn is_numbered_name(name: &[u8]) -> bool {
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && name.len() - digits <= 5
}

fn is_bold(document: &Document, name: &str, descriptor: Option<&Dictionary>) -> bool {
    let lower = name.to_ascii_lowercase();
    let has_bold_name = ["bold", "black", "heavy", "demi"].iter().any(|part| lower.contains(part));
    // Bold TeX fonts: cmbx12, cmssbx10, ecbx, sfbx.
    let is_bold_tex_font =
        lower.rsplit('+').next().is_some_and(|n| n.contains("bx") && n.ends_with(|c: char| c.is_ascii_digit()));
    let weight = descriptor.and_then(|d| number(document, d, b"FontWeight")).unwrap_or(400.0);
    let has_force_bold_flag =
        descriptor.and_then(|d| number(document, d, b"Flags")).is_some_and(|flags| flags as u32 & (1 << 18) != 0);
    has_bold_name || is_bold_tex_font || has_force_bold_flag || weight >= 600.0
}

fn is_fixed_pitch(document: &Document, name: &str, descriptor: Option<&Dictionary>) -> bool {
    let lower = name.to_ascii_lowercase();
    let named =
        ["courier", "mono", "consol", "typewriter", "cmtt", "sftt", "ectt"].iter().any(|part| lower.contains(part));
    named || descriptor.and_then(|d| number(document, d, b"Flags")).is_some_and(|flags| flags as u32 & 1 != 0)
}
