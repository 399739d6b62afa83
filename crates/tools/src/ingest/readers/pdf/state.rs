//! The graphics state, and the operators that change it.

use std::rc::Rc;

use super::font::Font;
use super::geometry::{Matrix, Rect};
use super::lexer::Operand;
use super::paint::Color;

/// The part of the graphics state that matters for text; saved by `q` and restored by `Q`.
#[derive(Clone)]
pub(super) struct GraphicsState {
    /// Current transformation matrix, from user space to the displayed page.
    pub ctm: Matrix,
    pub text: TextState,
    pub clip: Option<Rect>,
    fill: Option<Color>,
    fill_space: ColorSpace,
    /// Opacity of fills, from 0 (transparent) to 1.
    pub opacity: f32,
}

/// The kind of a color space for fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColorSpace {
    /// Gray, RGB or CMYK, calibrated or not.
    Device,
    /// Amounts of ink (Separation, DeviceN); with amount 0, the paper stays visible.
    Tints,
    /// Patterns, palettes and all other color spaces.
    Other,
}

/// The text state; lengths are in unscaled text space units.
#[derive(Clone)]
pub(super) struct TextState {
    pub font: Option<Rc<Font>>,
    pub size: f32,
    pub char_space: f32,
    pub word_space: f32,
    /// Horizontal scaling as a factor; 1 is unscaled.
    pub scale: f32,
    pub leading: f32,
    pub rise: f32,
    /// Text rendering mode, 0 to 7.
    pub render_mode: u8,
    pub matrix: Matrix,
    /// Text line matrix: the start of the current line.
    line_matrix: Matrix,
}

impl GraphicsState {
    pub fn new(ctm: Matrix) -> Self {
        let text = TextState {
            font: None,
            size: 0.0,
            char_space: 0.0,
            word_space: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
            render_mode: 0,
            matrix: Matrix::IDENTITY,
            line_matrix: Matrix::IDENTITY,
        };
        Self { ctm, text, clip: None, fill: Some([0.0; 3]), fill_space: ColorSpace::Device, opacity: 1.0 }
    }

    /// The fill color if it is known and `applies` is true, otherwise `None`.
    pub fn fill_color_if(&self, applies: bool) -> Option<Color> {
        self.fill.filter(|_| applies)
    }

    /// Executes text operators that do not show text; returns false for other operators.
    pub fn text_operator(&mut self, operator: &[u8], operands: &[Operand]) -> bool {
        let text = &mut self.text;
        let number = |at: usize| operands.get(at).and_then(Operand::number).unwrap_or(0.0);
        match operator {
            b"BT" => {
                text.matrix = Matrix::IDENTITY;
                text.line_matrix = Matrix::IDENTITY;
            }
            b"ET" => {}
            b"Td" => text.move_line(number(0), number(1)),
            b"TD" => {
                text.leading = -number(1);
                text.move_line(number(0), number(1));
            }
            b"T*" => text.next_line(),
            b"Tm" => {
                let numbers: Vec<f32> = operands.iter().filter_map(Operand::number).collect();
                if let Some(matrix) = Matrix::from_slice(&numbers) {
                    text.matrix = matrix;
                    text.line_matrix = matrix;
                }
            }
            b"Tc" => text.char_space = number(0),
            b"Tw" => text.word_space = number(0),
            b"Tz" => text.scale = number(0) / 100.0,
            b"TL" => text.leading = number(0),
            b"Ts" => text.rise = number(0),
            b"Tr" => text.render_mode = number(0) as u8,
            _ => return false,
        }
        true
    }

    /// Operator `cs`: selects the color space of fills. The initial color is black in device color spaces, and
    /// unknown in others.
    pub fn set_fill_space(&mut self, space: ColorSpace) {
        self.fill_space = space;
        self.fill = (space == ColorSpace::Device).then_some([0.0; 3]);
    }

    /// Executes operators that set the fill color; other operators are ignored.
    pub fn color_operator(&mut self, operator: &[u8], operands: &[Operand]) {
        match operator {
            b"g" | b"rg" | b"k" => {
                self.fill_space = ColorSpace::Device;
                self.fill = color(operands);
            }
            b"sc" | b"scn" => {
                self.fill = match self.fill_space {
                    ColorSpace::Device => color(operands),
                    ColorSpace::Tints => has_no_ink(operands).then_some([1.0; 3]),
                    // Three numbers are almost always RGB; the meaning of a single number is unknown.
                    ColorSpace::Other => color(operands).filter(|_| operands.len() >= 3),
                }
            }
            _ => {}
        }
    }
}

/// Whether all amounts of ink are 0, so that the paper stays visible.
fn has_no_ink(tints: &[Operand]) -> bool {
    !tints.is_empty() && tints.iter().all(|tint| tint.number() == Some(0.0))
}

impl TextState {
    pub fn next_line(&mut self) {
        self.move_line(0.0, -self.leading);
    }

    fn move_line(&mut self, x: f32, y: f32) {
        self.line_matrix = Matrix::translation(x, y).then(&self.line_matrix);
        self.matrix = self.line_matrix;
    }

    /// Moves the text position by a distance in text space.
    pub fn advance(&mut self, distance: f32, vertical: bool) {
        let step = if vertical { Matrix::translation(0.0, -distance) } else { Matrix::translation(distance, 0.0) };
        self.matrix = step.then(&self.matrix);
    }

    /// Applies a number in a `TJ` array: moves the text position back by thousandths of the font size.
    pub fn adjust(&mut self, amount: f32) {
        let vertical = self.font.as_ref().is_some_and(|font| font.vertical);
        let scale = if vertical { 1.0 } else { self.scale };
        self.advance(-amount / 1000.0 * self.size * scale, vertical);
    }
}

/// Converts one, three or four numbers from gray, RGB or CMYK to a color.
pub(super) fn color(operands: &[Operand]) -> Option<Color> {
    let numbers: Vec<f32> = operands.iter().filter_map(Operand::number).collect();
    match *numbers.as_slice() {
        [gray] => Some([gray; 3]),
        [r, g, b] => Some([r, g, b]),
        [c, m, y, k] => Some([c, m, y].map(|ink| (1.0 - ink) * (1.0 - k))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_of_all_device_spaces_are_comparable() {
        let numbers = |values: &[f32]| values.iter().map(|v| Operand::Number(*v)).collect::<Vec<_>>();
        assert_eq!(color(&numbers(&[1.0])), Some([1.0; 3]));
        assert_eq!(color(&numbers(&[0.0, 0.0, 0.0, 0.0])), Some([1.0; 3]));
        assert_eq!(color(&numbers(&[0.0, 0.0, 0.0, 1.0])), Some([0.0; 3]));
        assert_eq!(color(&numbers(&[])), None);
    }

    #[test]
    fn td_moves_from_the_line_start() {
        let mut state = GraphicsState::new(Matrix::IDENTITY);
        let numbers = [Operand::Number(10.0), Operand::Number(-12.0)];
        state.text_operator(b"Td", &numbers);
        state.text.advance(50.0, false);
        state.text_operator(b"Td", &numbers);
        assert_eq!(state.text.matrix.apply(0.0, 0.0), (20.0, -24.0));
    }
}
