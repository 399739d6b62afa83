//! The grid of a drawing's border: letters at the sides, numbers above and below (ISO 5457, ASME Y14.1).

use super::geometry::Rect;
use super::words::Word;

/// Rows and columns of a page without a recognizable border.
const DEFAULT_ROWS: u8 = 8;
const DEFAULT_COLUMNS: u8 = 12;
/// Labels stand within this share of the page's width or height from its edge.
const BORDER_SHARE: f32 = 0.06;
/// Minimum number of labels of a border.
const MIN_LABELS: usize = 3;
/// Highest number of a column.
const MAX_COLUMN: u8 = 24;

/// A label of the border, and where the middle of its zone is, in points.
#[derive(Debug, Clone, PartialEq)]
struct Label {
    /// Position in the alphabet, or the number; from 1.
    value: u8,
    middle: f32,
}

/// The grid of a page.
#[derive(Debug, PartialEq)]
pub(super) struct Grid {
    rows: Vec<Label>,
    columns: Vec<Label>,
    is_from_border: bool,
}

impl Grid {
    /// Reads the grid from the labels of the border; without them, the page is divided evenly.
    pub fn of_page(words: &[Word], area: &Rect) -> Self {
        let places: Vec<(&str, f32, f32)> = words
            .iter()
            .map(|word| {
                let (x, y) = word.direction.to_page(word.middle(), (word.top() + word.bottom()) / 2.0);
                (word.text.as_str(), x, y)
            })
            .collect();
        let (width, height) = (area.width(), area.height());
        let side = |in_border: &dyn Fn(f32) -> bool| {
            let labels = places.iter().filter(|(_, x, _)| in_border(*x));
            sequence(labels.filter_map(|(text, _, y)| Some(Label { value: letter(text)?, middle: *y })).collect())
        };
        let edge = |in_border: &dyn Fn(f32) -> bool| {
            let labels = places.iter().filter(|(_, _, y)| in_border(*y));
            sequence(labels.filter_map(|(text, x, _)| Some(Label { value: number(text)?, middle: *x })).collect())
        };
        let rows =
            side(&|x| x <= area.x0 + BORDER_SHARE * width).or_else(|| side(&|x| x >= area.x1 - BORDER_SHARE * width));
        let columns =
            edge(&|y| y <= area.y0 + BORDER_SHARE * height).or_else(|| edge(&|y| y >= area.y1 - BORDER_SHARE * height));
        match (rows, columns) {
            (Some(rows), Some(columns)) => Self { rows, columns, is_from_border: true },
            _ => Self {
                rows: evenly(area.y0, height, DEFAULT_ROWS),
                columns: evenly(area.x0, width, DEFAULT_COLUMNS),
                is_from_border: false,
            },
        }
    }

    /// The square of a point, such as `C5`.
    pub fn square(&self, x: f32, y: f32) -> String {
        let row = nearest(&self.rows, y).map_or('?', |row| char::from(b'A' + (row - 1).min(25)));
        let column = nearest(&self.columns, x).unwrap_or_default();
        format!("{row}{column}")
    }

    /// Where the grid comes from, for the caption of the table.
    pub fn description(&self) -> String {
        if self.is_from_border {
            return "letters and numbers of the drawing's border".to_owned();
        }
        let last = char::from(b'A' + DEFAULT_ROWS - 1);
        format!("the sheet divided into A-{last} from top to bottom and 1-{DEFAULT_COLUMNS} from left to right")
    }
}

/// The labels in their order on the page, if they count up or down without a gap, each once.
fn sequence(mut labels: Vec<Label>) -> Option<Vec<Label>> {
    labels.retain(|label| label.middle.is_finite());
    labels.sort_by(|a, b| a.middle.total_cmp(&b.middle));
    let counts = |step: i16| labels.windows(2).all(|pair| i16::from(pair[1].value) - i16::from(pair[0].value) == step);
    (labels.len() >= MIN_LABELS && (counts(1) || counts(-1))).then_some(labels)
}

fn letter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [letter @ b'A'..=b'P'] => Some(letter - b'A' + 1),
        _ => None,
    }
}

fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|number| (1..=MAX_COLUMN).contains(number) && text.len() <= 2)
}

/// Labels of zones of the same size.
fn evenly(start: f32, length: f32, count: u8) -> Vec<Label> {
    let zone = length / f32::from(count);
    (1..=count).map(|value| Label { value, middle: start + zone * (f32::from(value) - 0.5) }).collect()
}

/// The label whose middle is nearest. Between two labels, that is the one whose zone the point is in.
fn nearest(labels: &[Label], at: f32) -> Option<u8> {
    let distance = |label: &&Label| (label.middle - at).abs();
    labels.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|label| label.value)
}
