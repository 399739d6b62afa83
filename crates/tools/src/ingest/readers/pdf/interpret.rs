//! Interprets the content streams of a page, and collects its words and what is painted around them.

use lopdf::{DecompressError, Dictionary, Document, Error, Object, ObjectId, Stream};

use super::context::{Budget, Context, Fonts, MAX_STREAM_BYTES, MIN_STREAM_COST};
use super::dictionary::dictionary;
use super::font::Font;
use super::geometry::{Matrix, Rect};
use super::lexer::{Lexer, Operand};
use super::marked_content::MarkedContent;
use super::paint::{Canvas, Path, Point};
use super::placement::{Direction, Placement};
use super::state::GraphicsState;
use super::words::{Word, WordBuilder};

/// Maximum nesting depth of form XObjects; real files stay below five.
const MAX_FORM_DEPTH: usize = 12;
/// Maximum number of graphics states saved by `q`.
const MAX_SAVED_STATES: usize = 256;
/// Minimum font size of visible text, in points; smaller text is treated as hidden.
const MIN_TEXT_SIZE: f32 = 0.8;

/// The content of a page, before layout.
#[derive(Default)]
pub(super) struct PageContent {
    pub words: Vec<Word>,
    /// Words in text rendering mode 3 or 7: either the text layer of a scan, or hidden text.
    pub invisible_words: Vec<Word>,
    /// Whether invisible text was omitted.
    pub has_hidden_text: bool,
    pub canvas: Canvas,
    /// Whether a stream of the page could not be decoded.
    pub damaged: bool,
}

/// Interprets content streams in the coordinate system of one page.
pub(super) struct Interpreter<'a> {
    pub(super) document: &'a Document,
    pub(super) fonts: &'a mut Fonts,
    budget: &'a mut Budget,
    pub(super) hidden_layers: &'a [ObjectId],
    /// Visible area of the displayed page.
    page_area: Rect,
    /// Maps default user space to the displayed page.
    page_matrix: Matrix,
    pub(super) state: GraphicsState,
    saved_states: Vec<GraphicsState>,
    path: Path,
    /// Whether the next painting operator also adds the path to the clipping path.
    clip_pending: bool,
    /// Collects visible words; `invisible_words` collects those of text rendering modes 3 and 7.
    pub(super) visible_words: WordBuilder,
    pub(super) invisible_words: WordBuilder,
    pub(super) content: PageContent,
    pub(super) marked_content: MarkedContent,
}

impl<'a> Interpreter<'a> {
    /// `page_area` is the visible area of the page as displayed. `page_matrix` maps default user space to the displayed
    /// page, where y points down.
    pub fn new(context: Context<'a>, page_area: Rect, page_matrix: Matrix) -> Self {
        let Context { document, fonts, budget, hidden_layers } = context;
        Self {
            document,
            fonts,
            budget,
            hidden_layers,
            page_area,
            page_matrix,
            state: GraphicsState::new(page_matrix),
            saved_states: Vec::new(),
            path: Path::default(),
            clip_pending: false,
            visible_words: WordBuilder::default(),
            invisible_words: WordBuilder::default(),
            content: PageContent::default(),
            marked_content: MarkedContent::default(),
        }
    }

    /// Closes all open words and sequences and returns everything that was collected.
    pub fn finish(mut self) -> PageContent {
        let replacement = self.marked_content.close_all();
        self.emit_replacement(replacement);
        self.content.words = self.visible_words.finish();
        self.content.invisible_words = self.invisible_words.finish();
        self.content
    }

    /// Decompresses a stream and charges it to the budget. If that fails, returns no bytes and marks the page as
    /// damaged.
    pub fn inflate(&mut self, stream: &Stream) -> Vec<u8> {
        let remaining = self.budget.remaining();
        match stream.get_plain_content_with_limit(MAX_STREAM_BYTES.min(remaining)) {
            Ok(data) => {
                self.budget.charge((data.len() as u64).max(MIN_STREAM_COST));
                data
            }
            Err(error) => {
                if matches!(error, Error::Decompress(DecompressError::MemoryLimitExceeded { .. })) {
                    self.budget.record_exceeded(remaining <= MAX_STREAM_BYTES);
                }
                self.content.damaged = true;
                Vec::new()
            }
        }
    }

    /// Executes the operators of a content stream. `depth` is the number of enclosing form XObjects.
    pub fn run(&mut self, content: &[u8], resources: Option<&Dictionary>, depth: usize) {
        let mut lexer = Lexer::new(content);
        let mut operands = Vec::new();
        while let Some(operator) = lexer.next(&mut operands) {
            match operator {
                b"Do" => self.invoke_xobject(&operands, resources, depth),
                b"Tf" => self.set_font(&operands, resources),
                b"BI" => self.content.canvas.add_image(None, &self.state.ctm, &self.page_area),
                b"BDC" | b"BMC" => self.begin_marked_content(&operands, resources),
                b"EMC" => {
                    let replacement = self.marked_content.close();
                    self.emit_replacement(replacement);
                }
                b"gs" => self.apply_graphics_parameters(&operands, resources),
                b"cs" => self.state.set_fill_space(self.color_space(&operands, resources)),
                b"q" | b"Q" | b"cm" => self.graphics_state_operator(operator, &operands),
                b"Tj" | b"TJ" | b"'" | b"\"" => self.show_operator(operator, &operands),
                _ if self.state.text_operator(operator, &operands) => {}
                _ if self.path_operator(operator, &operands) => {}
                _ => self.state.color_operator(operator, &operands),
            }
        }
    }

    fn graphics_state_operator(&mut self, operator: &[u8], operands: &[Operand]) {
        match operator {
            b"q" if self.saved_states.len() < MAX_SAVED_STATES => self.saved_states.push(self.state.clone()),
            b"Q" => self.state = self.saved_states.pop().unwrap_or_else(|| self.state.clone()),
            b"cm" => {
                if let Some(matrix) = matrix_operand(operands) {
                    self.state.ctm = matrix.then(&self.state.ctm);
                }
            }
            _ => {}
        }
    }

    /// Operator `Do`: paints an image or executes a form XObject.
    fn invoke_xobject(&mut self, operands: &[Operand], resources: Option<&Dictionary>, depth: usize) {
        let Some(name) = operands.first().and_then(Operand::name) else { return };
        let objects = resources.and_then(|resources| dictionary(self.document, resources, b"XObject"));
        let Some((id, Object::Stream(stream))) =
            objects.and_then(|objects| self.document.dereference(objects.get(name).ok()?).ok())
        else {
            return;
        };
        match stream.dict.get_deref(b"Subtype", self.document).and_then(Object::as_name) {
            Ok(b"Image") => self.content.canvas.add_image(id, &self.state.ctm, &self.page_area),
            Ok(b"Form") => self.run_form(stream, resources, depth),
            _ => {}
        }
    }

    /// Executes a form XObject with its own matrix and resources. Forms that are nested too deeply or on a hidden layer
    /// are skipped.
    pub fn run_form(&mut self, stream: &Stream, resources: Option<&Dictionary>, depth: usize) {
        if depth >= MAX_FORM_DEPTH || self.budget.is_exhausted() || self.is_hidden_layer(&stream.dict) {
            return;
        }
        let content = self.inflate(stream);
        let outer_state = self.state.clone();
        let saved = std::mem::take(&mut self.saved_states);
        let marked = std::mem::take(&mut self.marked_content);
        if let Some(matrix) = form_matrix(self.document, &stream.dict) {
            self.state.ctm = matrix.then(&self.state.ctm);
        }
        let own_resources = dictionary(self.document, &stream.dict, b"Resources");
        self.run(&content, own_resources.or(resources), depth + 1);
        self.state = outer_state;
        self.saved_states = saved;
        self.marked_content = marked;
    }

    /// Executes an annotation's appearance stream, which `matrix` maps to the user space of the page.
    pub fn draw_form(&mut self, stream: &Stream, matrix: Matrix) {
        let page_matrix = self.page_matrix;
        self.state = GraphicsState::new(matrix.then(&page_matrix));
        self.saved_states.clear();
        let replacement = self.marked_content.close_all();
        self.emit_replacement(replacement);
        self.run_form(stream, None, 0);
    }

    /// Adds lines of text in a rectangle of user space, for annotations whose font and layout are up to the viewer.
    pub fn draw_text_in(&mut self, text: &str, area: &Rect) {
        const CHAR_WIDTH: f32 = 0.5;
        let lines: Vec<&str> = text.lines().collect();
        let size = (0.7 * area.height() / lines.len().max(1) as f32).clamp(4.0, 12.0);
        let direction = Direction::from_vector(self.page_matrix.a, self.page_matrix.b);
        for (n, line) in lines.iter().enumerate() {
            let y = area.y1 - size * (1.0 + 1.2 * n as f32);
            for (at, c) in line.chars().enumerate() {
                let point = |at: usize| {
                    let (x, y) = self.page_matrix.apply(area.x0 + CHAR_WIDTH * size * at as f32, y);
                    direction.to_upright(x, y)
                };
                let ((left, baseline), (right, _)) = (point(at), point(at + 1));
                let placement = Placement { left, right, baseline, size, bold: false, fixed_pitch: false, direction };
                self.visible_words.push(c.encode_utf8(&mut [0; 4]), placement);
            }
            self.visible_words.close();
        }
    }

    fn show_operator(&mut self, operator: &[u8], operands: &[Operand]) {
        match operator {
            b"'" => self.state.text.next_line(),
            b"\"" => {
                let number = |at: usize| operands.get(at).and_then(Operand::number).unwrap_or(0.0);
                self.state.text.word_space = number(0);
                self.state.text.char_space = number(1);
                self.state.text.next_line();
            }
            _ => {}
        }
        match operands.last() {
            Some(Operand::String(bytes)) => self.show_string(bytes),
            Some(Operand::Array(items)) => {
                for item in items {
                    match item {
                        Operand::String(bytes) => self.show_string(bytes),
                        Operand::Number(amount) => self.state.text.adjust(*amount),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    /// Shows a string: places each of its glyphs and advances the text matrix.
    fn show_string(&mut self, bytes: &[u8]) {
        let Some(font) = self.state.text.font.clone() else { return };
        let text = &mut self.state.text;
        let glyph_matrix = Matrix::translation(0.0, text.rise).then(&text.matrix).then(&self.state.ctm);
        let size = glyph_matrix.c.hypot(glyph_matrix.d) * text.size.abs();
        if !size.is_finite() || size < MIN_TEXT_SIZE {
            self.content.has_hidden_text |= !bytes.is_empty();
            return;
        }
        let writing_vector =
            if font.vertical { (-glyph_matrix.c, -glyph_matrix.d) } else { (glyph_matrix.a, glyph_matrix.b) };
        let sign = if text.size * text.scale < 0.0 { -1.0 } else { 1.0 };
        let direction = Direction::from_vector(writing_vector.0 * sign, writing_vector.1 * sign);
        let (x, y) = glyph_matrix.apply(0.0, 0.0);
        let in_hidden_layer = self.marked_content.is_hidden();
        let invisible = matches!(text.render_mode, 3 | 7);
        let hidden = in_hidden_layer
            || self.is_outside(&font, bytes, &glyph_matrix, size)
            || (!invisible && self.is_imperceptible(x, y - 0.3 * size));
        let builder = if invisible { &mut self.invisible_words } else { &mut self.visible_words };
        let text = &mut self.state.text;
        let mut total_advance = 0.0_f32;
        font.for_each_glyph(bytes, |glyph| {
            let space = text.char_space + if glyph.is_space_code { text.word_space } else { 0.0 };
            let advance =
                if font.vertical { text.size + space } else { (glyph.width * text.size + space) * text.scale };
            if !hidden {
                let glyph_end = advance - space * if font.vertical { 1.0 } else { text.scale };
                let point =
                    |d: f32| if font.vertical { glyph_matrix.apply(0.0, -d) } else { glyph_matrix.apply(d, 0.0) };
                let (start, end) = (point(total_advance), point(total_advance + glyph_end));
                let (left, baseline) = direction.to_upright(start.0, start.1);
                let (right, _) = direction.to_upright(end.0, end.1);
                let (left, right) = (left.min(right), right.max(left));
                let placement = Placement {
                    left,
                    right,
                    baseline,
                    size,
                    bold: font.bold,
                    fixed_pitch: font.fixed_pitch,
                    direction,
                };
                if !self.marked_content.replace_glyph(glyph.text, placement, invisible) {
                    builder.push(glyph.text, placement);
                }
            }
            total_advance += advance;
        });
        text.advance(total_advance, font.vertical);
        self.content.has_hidden_text |= hidden && !in_hidden_layer;
    }

    /// Whether a string starts off the page or is completely outside the clipping path.
    fn is_outside(&self, font: &Font, bytes: &[u8], glyph_matrix: &Matrix, size: f32) -> bool {
        let (x, y) = glyph_matrix.apply(0.0, 0.0);
        if !self.page_area.contains(x, y) {
            return true;
        }
        let Some(clip) = self.state.clip.map(|clip| clip.expanded(size)).filter(|clip| !clip.contains(x, y)) else {
            return false;
        };
        let mut width = 0.0;
        font.for_each_glyph(bytes, |glyph| width += glyph.width * self.state.text.size * self.state.text.scale);
        let end = if font.vertical { glyph_matrix.apply(0.0, -width) } else { glyph_matrix.apply(width, 0.0) };
        let mut line = Rect::EMPTY;
        line.include(x, y);
        line.include(end.0, end.1);
        !clip.intersects(&line)
    }

    /// Whether text at a point is invisible: it is transparent, or has the color of its background.
    fn is_imperceptible(&self, x: f32, y: f32) -> bool {
        const MAX_INVISIBLE_OPACITY: f32 = 0.02;
        let is_filled = text_fills(self.state.text.render_mode);
        (is_filled && self.state.opacity <= MAX_INVISIBLE_OPACITY)
            || !self.content.canvas.contrasts(self.state.fill_color_if(is_filled), x, y)
    }

    /// Executes operators that build or paint a path; returns false for other operators.
    fn path_operator(&mut self, operator: &[u8], operands: &[Operand]) -> bool {
        let number = |at: usize| operands.get(at).and_then(Operand::number).unwrap_or(0.0);
        let point = |at: usize| {
            let (x, y) = self.state.ctm.apply(number(at), number(at + 1));
            Point { x, y }
        };
        match operator {
            b"m" => self.path.move_to(point(0)),
            b"l" => self.path.line_to(point(0)),
            b"c" => self.path.curve_to(point(4)),
            b"v" | b"y" => self.path.curve_to(point(2)),
            b"h" => self.path.close(),
            b"re" => {
                let mut area = Rect::EMPTY;
                area.include(number(0), number(1));
                area.include(number(0) + number(2), number(1) + number(3));
                self.path.rectangle(self.state.ctm.apply_rect(&area));
            }
            b"W" | b"W*" => self.clip_pending = true,
            b"S" | b"s" => self.paint(false, true),
            b"f" | b"F" | b"f*" => self.paint(true, false),
            b"B" | b"B*" | b"b" | b"b*" => self.paint(true, true),
            b"n" => self.paint(false, false),
            b"sh" => self.content.canvas.add_unknown_fill(self.state.clip.unwrap_or(self.page_area)),
            _ => return false,
        }
        true
    }

    fn paint(&mut self, fill: bool, stroke: bool) {
        self.path.end_subpath();
        if fill {
            self.content.canvas.fill(&self.path, self.state.fill_color_if(true));
        }
        if stroke {
            self.content.canvas.stroke(&self.path);
        }
        if std::mem::take(&mut self.clip_pending)
            && let Some(bounds) = self.path.bounds()
        {
            self.state.clip = Some(self.state.clip.map_or(bounds, |clip| clip.intersection(&bounds)));
        }
        self.path.clear();
    }
}

/// Whether a text rendering mode only fills glyphs. In other modes the stroke color matters, which is not tracked.
fn text_fills(mode: u8) -> bool {
    matches!(mode, 0 | 4)
}

fn matrix_operand(operands: &[Operand]) -> Option<Matrix> {
    let numbers: Vec<f32> = operands.iter().filter_map(Operand::number).collect();
    Matrix::from_slice(&numbers)
}

/// The `Matrix` entry of a form XObject; `None` if it is missing or invalid.
pub(super) fn form_matrix(document: &Document, form: &Dictionary) -> Option<Matrix> {
    let array = form.get_deref(b"Matrix", document).and_then(Object::as_array).ok()?;
    let numbers: Vec<f32> =
        array.iter().filter_map(|item| document.dereference(item).ok()?.1.as_float().ok()).collect();
    Matrix::from_slice(&numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_filled_text_is_compared_with_the_background() {
        assert!(text_fills(0) && !text_fills(1));
    }
}
