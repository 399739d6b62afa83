//! Reads paragraphs: their visible runs, and the properties that make them headings or list items.

use super::super::ReadError;
use super::super::clean::push_normalized_char;
use super::super::symbols;
use super::super::xml::{Element, Token, XmlReader};
use super::shading::is_background;
use super::styles::Numbering;
use super::walk::{Item, Walker};

/// The paragraph that is being read.
#[derive(Default)]
pub(super) struct Paragraph {
    /// Id of the paragraph style; `None` for the default style.
    pub style: Option<String>,
    pub numbering: Option<Numbering>,
    /// Outline level set on the paragraph itself, 0 for the outermost.
    pub outline: Option<u8>,
    pub text: String,
    /// Content of the text boxes anchored in this paragraph; it is emitted after the paragraph.
    pub text_boxes: Vec<Item>,
    shaded: bool,
    /// Whether the current run is hidden.
    hidden_run: bool,
    /// Whether the parser is inside a `w:t` element.
    in_text: bool,
}

/// The run properties that determine whether the text is visible.
#[derive(Default)]
struct RunVisibility {
    /// Whether the run is explicitly hidden or shown; overrides the style.
    vanish: Option<bool>,
    /// Whether the run's character style hides it.
    hidden_style: bool,
    white: bool,
    tiny: bool,
    shaded: bool,
}

/// Where finished blocks go, and how deeply the paragraph is nested in tables and text boxes.
struct Output<'a> {
    items: &'a mut Vec<Item>,
    depth: usize,
}

impl Walker<'_> {
    /// Reads the paragraph whose start tag was just read, and adds its blocks to `out`.
    ///
    /// # Errors
    /// `Corrupt` for malformed XML.
    pub fn paragraph(&mut self, xml: &mut XmlReader<'_>, out: &mut Vec<Item>, depth: usize) -> Result<(), ReadError> {
        let mut paragraph = Paragraph::default();
        let mut output = Output { items: out, depth };
        loop {
            match xml.next()? {
                Token::StartTag(element) => self.handle_start_tag(xml, &element, &mut paragraph, &mut output)?,
                Token::Text(text) if paragraph.in_text && self.in_field_code.contains(&true) => drop(text),
                Token::Text(text) if paragraph.in_text && !paragraph.hidden_run => {
                    text.chars()
                        .for_each(|c| push_normalized_char(&mut paragraph.text, if c == '\n' { ' ' } else { c }));
                }
                Token::Text(text) => self.has_hidden_text |= paragraph.in_text && !text.trim().is_empty(),
                Token::EndTag(name) => match name.as_str() {
                    "t" => paragraph.in_text = false,
                    // The end of a fraction's numerator.
                    "num" => paragraph.text.push('/'),
                    "p" => break,
                    _ => {}
                },
                Token::EndOfDocument => break,
            }
        }
        // Treat field codes as ended at the end of the paragraph, so that a missing end mark does not hide the text
        // that follows.
        self.in_field_code.fill(false);
        self.push_paragraph(paragraph, output.items);
        Ok(())
    }

    /// Tracks the marks of a complex field; the field code between `begin` and `separate` is not shown.
    fn track_field_mark(&mut self, mark: &Element<'_>) {
        const MAX_NESTING: usize = 32;
        match mark.attribute("fldCharType").as_deref() {
            Some("begin") if self.in_field_code.len() < MAX_NESTING => self.in_field_code.push(true),
            Some("separate") => {
                if let Some(in_code) = self.in_field_code.last_mut() {
                    *in_code = false;
                }
            }
            Some("end") => drop(self.in_field_code.pop()),
            _ => {}
        }
    }

    /// Handles a start tag inside a paragraph.
    fn handle_start_tag(
        &mut self,
        xml: &mut XmlReader<'_>,
        element: &Element<'_>,
        paragraph: &mut Paragraph,
        output: &mut Output<'_>,
    ) -> Result<(), ReadError> {
        match element.name() {
            "pPr" => {
                self.paragraph_properties(xml, paragraph)?;
                if std::mem::take(&mut self.page_break_before) {
                    self.push_page_break(output.items, output.depth);
                }
            }
            "r" => paragraph.hidden_run = self.styles.is_hidden(paragraph.style.as_deref()),
            "rPr" => self.run_properties(xml, paragraph)?,
            "t" => paragraph.in_text = true,
            "tab" | "ptab" => paragraph.text.push('\t'),
            "cr" => paragraph.text.push('\n'),
            "br" if element.attribute("type").is_some_and(|kind| kind == "page") => {
                let next = Paragraph { style: paragraph.style.clone(), ..Paragraph::default() };
                let finished = std::mem::replace(paragraph, next);
                self.push_paragraph(finished, output.items);
                self.push_page_break(output.items, output.depth);
            }
            "br" => paragraph.text.push('\n'),
            "noBreakHyphen" => paragraph.text.push('-'),
            "sym" if !paragraph.hidden_run => push_symbol(element, &mut paragraph.text),
            "fldChar" => self.track_field_mark(element),
            "footnoteReference" | "endnoteReference" => {
                let mark = self.reference_note(element.name(), element.attribute("id"));
                paragraph.text.push_str(&mark);
            }
            "txbxContent" => {
                // A text box may have a background of any color; its fill is not read.
                let has_background = std::mem::replace(&mut self.has_background, true);
                self.collect_blocks(xml, "txbxContent", &mut paragraph.text_boxes, output.depth + 1)?;
                self.has_background = has_background;
            }
            // Deleted and moved-away text, field codes, the fallback copy of a text box, phonetic guides.
            "del" | "moveFrom" | "Fallback" | "instrText" | "delText" | "delInstrText" | "sdtPr" | "rt" => {
                xml.skip()?
            }
            _ => {}
        }
        Ok(())
    }

    fn paragraph_properties(&mut self, xml: &mut XmlReader<'_>, paragraph: &mut Paragraph) -> Result<(), ReadError> {
        let mut ends_section = false;
        let mut breaks_before = false;
        xml.for_each_inside(|element| match element.name() {
            "pStyle" => paragraph.style = element.value(),
            "outlineLvl" => paragraph.outline = element.value().and_then(|level| level.parse().ok()),
            "numId" => {
                paragraph.numbering.get_or_insert_default().list = element.value().and_then(|id| id.parse().ok());
            }
            "ilvl" => {
                paragraph.numbering.get_or_insert_default().level =
                    element.value().and_then(|level| level.parse().ok());
            }
            "shd" => paragraph.shaded |= is_background(element),
            "pageBreakBefore" => breaks_before = element.is_on(),
            "sectPr" => ends_section = true,
            "type" if ends_section => ends_section = element.value().is_none_or(|kind| kind != "continuous"),
            _ => {}
        })?;
        self.page_break_before = breaks_before;
        // A section's properties are stored in its last paragraph; the page break comes after it.
        self.page_break_after = ends_section;
        Ok(())
    }

    fn run_properties(&mut self, xml: &mut XmlReader<'_>, paragraph: &mut Paragraph) -> Result<(), ReadError> {
        let mut run = RunVisibility::default();
        xml.for_each_inside(|element| match element.name() {
            "vanish" | "webHidden" => run.vanish = Some(element.is_on()),
            "rStyle" => run.hidden_style |= self.styles.is_hidden_run(element.value().as_deref()),
            "color" => run.white = element.value().is_some_and(|color| is_white(&color)),
            // The size is in half points; text below one point is meant to be invisible.
            "sz" => run.tiny = element.value().and_then(|size| size.parse::<f32>().ok()).is_some_and(|size| size < 2.0),
            "shd" => run.shaded |= is_background(element),
            "highlight" => run.shaded = true,
            _ => {}
        })?;
        let shaded = run.shaded || paragraph.shaded || self.styles.is_shaded(paragraph.style.as_deref());
        let imperceptible = run.tiny || (run.white && !shaded && !self.has_background);
        paragraph.hidden_run = run.vanish.unwrap_or(paragraph.hidden_run || run.hidden_style) || imperceptible;
        Ok(())
    }
}

/// Whether a color (`RRGGBB`) is white or too close to white to be visible on paper.
fn is_white(color: &str) -> bool {
    let channel = |at: usize| color.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    color.len() == 6 && [0, 2, 4].into_iter().all(|at| channel(at).is_some_and(|level| level >= 0xF7))
}

/// Appends the Unicode character of a `w:sym` element.
fn push_symbol(element: &Element<'_>, text: &mut String) {
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
        push_normalized_char(text, c);
    }
}
