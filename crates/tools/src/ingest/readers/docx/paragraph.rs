//! One paragraph: its runs as a person sees them, and the properties that make it a heading or a list item.

use super::super::ReadError;
use super::super::clean::push_char;
use super::super::symbols;
use super::styles::Numbering;
use super::walk::{Item, Walker};
use super::xml::{Element, Token, Xml};

/// A paragraph as it grows.
#[derive(Default)]
pub(super) struct Paragraph {
    pub style: Option<String>,
    pub numbering: Option<Numbering>,
    /// A direct outline level, 0 for the outermost.
    pub outline: Option<u8>,
    pub text: String,
    /// Text boxes anchored in it; they come after it.
    pub boxes: Vec<Item>,
    shaded: bool,
    hidden_run: bool,
    in_text: bool,
}

/// What a run's properties say about whether its text can be seen.
#[derive(Default)]
struct RunLook {
    vanish: Option<bool>,
    /// True where a character style hides the run.
    hidden_style: bool,
    white: bool,
    tiny: bool,
    shaded: bool,
}

/// Where finished blocks go, and how deep in tables and boxes that is.
struct Place<'a> {
    out: &'a mut Vec<Item>,
    depth: usize,
}

impl Walker<'_> {
    /// Reads the paragraph that was just opened, and adds what it holds to `out`.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn paragraph(&mut self, xml: &mut Xml<'_>, out: &mut Vec<Item>, depth: usize) -> Result<(), ReadError> {
        let mut paragraph = Paragraph::default();
        let mut place = Place { out, depth };
        loop {
            match xml.next()? {
                Token::Open(element) => self.inline(xml, &element, &mut paragraph, &mut place)?,
                Token::Text(text) if paragraph.in_text && self.fields.contains(&true) => drop(text),
                Token::Text(text) if paragraph.in_text && !paragraph.hidden_run => {
                    text.chars().for_each(|c| push_char(&mut paragraph.text, if c == '\n' { ' ' } else { c }));
                }
                Token::Text(text) => self.hid_text |= paragraph.in_text && !text.trim().is_empty(),
                Token::Close(name) => match name.as_str() {
                    "t" => paragraph.in_text = false,
                    // A fraction.
                    "num" => paragraph.text.push('/'),
                    "p" => break,
                    _ => {}
                },
                Token::End => break,
            }
        }
        // A field's code ends with its paragraph: a file that lacks the mark for it must not lose its text.
        self.fields.fill(false);
        self.emit(paragraph, place.out);
        Ok(())
    }

    /// The marks around a complex field: what stands between the first two, its code, is not shown.
    fn field(&mut self, mark: &Element<'_>) {
        const DEEPEST: usize = 32;
        match mark.attribute("fldCharType").as_deref() {
            Some("begin") if self.fields.len() < DEEPEST => self.fields.push(true),
            Some("separate") => {
                if let Some(in_code) = self.fields.last_mut() {
                    *in_code = false;
                }
            }
            Some("end") => drop(self.fields.pop()),
            _ => {}
        }
    }

    fn inline(
        &mut self,
        xml: &mut Xml<'_>,
        element: &Element<'_>,
        paragraph: &mut Paragraph,
        place: &mut Place<'_>,
    ) -> Result<(), ReadError> {
        match element.name() {
            "pPr" => {
                self.paragraph_properties(xml, paragraph)?;
                if std::mem::take(&mut self.breaks_before) {
                    self.page_break(place.out, place.depth);
                }
            }
            "r" => paragraph.hidden_run = self.styles.is_hidden(paragraph.style.as_deref()),
            "rPr" => self.run_properties(xml, paragraph)?,
            "t" => paragraph.in_text = true,
            "tab" | "ptab" => paragraph.text.push('\t'),
            "cr" => paragraph.text.push('\n'),
            "br" if element.attribute("type").is_some_and(|kind| kind == "page") => {
                let before = Paragraph { style: paragraph.style.clone(), ..Paragraph::default() };
                let before = std::mem::replace(paragraph, before);
                self.emit(before, place.out);
                self.page_break(place.out, place.depth);
            }
            "br" => paragraph.text.push('\n'),
            "noBreakHyphen" => paragraph.text.push('-'),
            "sym" if !paragraph.hidden_run => symbol(element, &mut paragraph.text),
            "fldChar" => self.field(element),
            "footnoteReference" | "endnoteReference" => {
                let mark = self.note_mark(element.name(), element.attribute("id"));
                paragraph.text.push_str(&mark);
            }
            "txbxContent" => {
                // A box may have a ground of any colour, which is not followed.
                let ground = std::mem::replace(&mut self.on_ground, true);
                self.blocks(xml, "txbxContent", &mut paragraph.boxes, place.depth + 1)?;
                self.on_ground = ground;
            }
            // Deleted and moved-away text, field codes, the second copy of a text box, phonetic guides.
            "del" | "moveFrom" | "Fallback" | "instrText" | "delText" | "delInstrText" | "sdtPr" | "rt" => {
                xml.skip()?
            }
            _ => {}
        }
        Ok(())
    }

    fn paragraph_properties(&mut self, xml: &mut Xml<'_>, paragraph: &mut Paragraph) -> Result<(), ReadError> {
        let mut section_breaks = false;
        let mut breaks_before = false;
        xml.inside(|element| match element.name() {
            "pStyle" => paragraph.style = element.value(),
            "outlineLvl" => paragraph.outline = element.value().and_then(|level| level.parse().ok()),
            "numId" => {
                paragraph.numbering.get_or_insert_default().list = element.value().and_then(|id| id.parse().ok());
            }
            "ilvl" => {
                paragraph.numbering.get_or_insert_default().level =
                    element.value().and_then(|level| level.parse().ok());
            }
            "shd" => paragraph.shaded |= is_ground(element),
            "pageBreakBefore" => breaks_before = element.is_on(),
            "sectPr" => section_breaks = true,
            "type" if section_breaks => section_breaks = element.value().is_none_or(|kind| kind != "continuous"),
            _ => {}
        })?;
        self.breaks_before = breaks_before;
        // A section's properties stand in its last paragraph: the break comes after it.
        self.breaks_after = section_breaks;
        Ok(())
    }

    fn run_properties(&mut self, xml: &mut Xml<'_>, paragraph: &mut Paragraph) -> Result<(), ReadError> {
        let mut look = RunLook::default();
        xml.inside(|element| match element.name() {
            "vanish" | "webHidden" => look.vanish = Some(element.is_on()),
            "rStyle" => look.hidden_style |= self.styles.is_hidden_run(element.value().as_deref()),
            "color" => look.white = element.value().is_some_and(|color| is_white(&color)),
            // In half points: smaller than a point is not meant to be read.
            "sz" => {
                look.tiny = element.value().and_then(|size| size.parse::<f32>().ok()).is_some_and(|size| size < 2.0)
            }
            "shd" => look.shaded |= is_ground(element),
            "highlight" => look.shaded = true,
            _ => {}
        })?;
        let shaded = look.shaded || paragraph.shaded || self.styles.is_shaded(paragraph.style.as_deref());
        let unseen = look.tiny || (look.white && !shaded && !self.on_ground);
        paragraph.hidden_run = look.vanish.unwrap_or(paragraph.hidden_run || look.hidden_style) || unseen;
        Ok(())
    }
}

/// Whether shading gives text a coloured ground.
pub(super) fn is_ground(shading: &Element<'_>) -> bool {
    shading.attribute("fill").is_some_and(|fill| !matches!(fill.to_ascii_lowercase().as_str(), "auto" | "ffffff"))
        || shading.attribute("themeFill").is_some()
}

/// White, or so near to it that nobody sees it on paper.
fn is_white(color: &str) -> bool {
    let channel = |at: usize| color.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    color.len() == 6 && [0, 2, 4].into_iter().all(|at| channel(at).is_some_and(|level| level >= 0xF7))
}

/// A character of a symbol font, by its code.
fn symbol(element: &Element<'_>, text: &mut String) {
    let code = element.attribute("char").and_then(|code| u32::from_str_radix(&code, 16).ok());
    let Some(code) = code else { return };
    let font = element.attribute("font").unwrap_or_default();
    let byte = (code & 0xFF) as u8;
    let character = match font.as_str() {
        "Symbol" => symbols::symbol(byte),
        _ if font.starts_with("Wingdings") => Some(symbols::wingding(byte)),
        _ => char::from_u32(code),
    };
    if let Some(c) = character {
        push_char(text, c);
    }
}
