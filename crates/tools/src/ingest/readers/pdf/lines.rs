//! Groups words on the same baseline into lines; wide gaps split a line into cells.

use super::super::text::is_list_item;
use super::baseline::same_line;
use super::bidi;
use super::words::{MIN_WORD_GAP, Word};

/// Minimum gap between cells, as a fraction of the font size.
const MIN_CELL_GAP: f32 = 0.8;

/// A part of a line that contains no wide gap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub text: String,
    pub left: f32,
    pub right: f32,
}

/// A line of text, in the upright coordinate system of its direction.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub cells: Vec<Cell>,
    pub left: f32,
    pub right: f32,
    /// Vertical position of the baseline, in points.
    pub baseline: f32,
    /// Font size of most of its characters, in points.
    pub size: f32,
    /// Whether all words are bold.
    pub bold: bool,
    /// Whether all words are in a fixed-pitch font.
    pub fixed_pitch: bool,
}

impl Line {
    /// The text of the line, with its cells joined by spaces.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self.cells.iter().map(|cell| cell.text.as_str()).collect();
        texts.join(" ")
    }

    pub fn top(&self) -> f32 {
        self.baseline - 0.8 * self.size
    }

    pub fn bottom(&self) -> f32 {
        self.baseline + 0.2 * self.size
    }
}

/// Groups words into lines, from top to bottom.
pub(super) fn build(mut words: Vec<Word>) -> Vec<Line> {
    words.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
    let mut lines = Vec::new();
    let mut current_line: Vec<Word> = Vec::new();
    let (mut baseline, mut size) = (0.0, 0.0);
    for word in words {
        if !current_line.is_empty() && !same_line(baseline, size, word.baseline, word.size) {
            lines.push(build_line(std::mem::take(&mut current_line)));
            size = 0.0;
        }
        // The largest text so far defines the baseline, so that superscripts and subscripts join its line.
        if word.size >= size {
            (baseline, size) = (word.baseline, word.size);
        }
        current_line.push(word);
    }
    if !current_line.is_empty() {
        lines.push(build_line(current_line));
    }
    lines
}

/// Builds a line from its words, in any order.
fn build_line(mut words: Vec<Word>) -> Line {
    words.sort_by(|a, b| a.left.total_cmp(&b.left));
    let dominant_size = main_size(&words);
    let baseline = words.iter().find(|word| word.size == dominant_size).map_or(0.0, |word| word.baseline);
    let bold = words.iter().all(|word| word.bold);
    let fixed_pitch = words.iter().all(|word| word.fixed_pitch);
    let mut cells: Vec<Cell> = Vec::new();
    let mut previous: Option<&Word> = None;
    for word in &words {
        if previous.is_some_and(|previous| is_duplicate(previous, word)) {
            continue;
        }
        match cells.last_mut() {
            Some(cell) if word.left - cell.right < MIN_CELL_GAP * dominant_size.max(word.size) => {
                let gap = word.left - cell.right;
                if gap > MIN_WORD_GAP * word.size || (word.space_before && gap > 0.0) {
                    cell.text.push(' ');
                }
                cell.text.push_str(&word.text);
                cell.right = cell.right.max(word.right);
            }
            _ => cells.push(Cell { text: word.text.clone(), left: word.left, right: word.right }),
        }
        previous = Some(word);
    }
    for cell in &mut cells {
        cell.text = shorten_leaders(&bidi::to_logical_order(&cell.text));
    }
    attach_label(&mut cells);
    let left = cells.first().map_or(0.0, |cell| cell.left);
    let right = cells.iter().map(|cell| cell.right).fold(left, f32::max);
    Line { cells, left, right, baseline, size: dominant_size, bold, fixed_pitch }
}

/// Whether a word repeats the previous one at almost the same position, which some programs do to imitate bold.
fn is_duplicate(previous: &Word, word: &Word) -> bool {
    previous.text == word.text
        && (previous.left - word.left).abs() < 0.2 * word.size
        && (previous.baseline - word.baseline).abs() < 0.2 * word.size
}

/// The font size of most characters in a line, in points.
fn main_size(words: &[Word]) -> f32 {
    let mut sizes: Vec<(f32, usize)> = Vec::new();
    for word in words {
        match sizes.iter_mut().find(|(size, _)| *size == word.size) {
            Some((_, count)) => *count += word.text.len(),
            None => sizes.push((word.size, word.text.len())),
        }
    }
    sizes.into_iter().max_by_key(|(_, count)| *count).map_or(0.0, |(size, _)| size)
}

/// Replaces the dot leader between a title and its page number with an ellipsis.
fn shorten_leaders(text: &str) -> String {
    if !text.contains("...") && !text.contains(". .") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut leader = String::new();
    for c in text.chars().chain(['\0']) {
        if c == '.' || (c == ' ' && !leader.is_empty()) {
            leader.push(c);
            continue;
        }
        if leader.matches('.').count() >= 4 {
            out.truncate(out.trim_end().len());
            out.push_str(" … ");
        } else {
            out.push_str(&leader);
        }
        leader.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out.trim_end_matches(' ').to_owned()
}

/// Joins a bullet or number with the cell that follows, if there is only one: the line is a list item or heading, not a
/// table row.
fn attach_label(cells: &mut Vec<Cell>) {
    if let [label, _] = cells.as_slice()
        && (is_list_item(&format!("{} x", label.text)) || is_section_number(&label.text))
    {
        let label = cells.remove(0);
        let cell = &mut cells[0];
        cell.text = format!("{} {}", label.text, cell.text);
        cell.left = label.left;
    }
}

/// Whether text is a section number such as `3.2` or `A.1.`.
fn is_section_number(text: &str) -> bool {
    let parts: Vec<&str> = text.trim_end_matches('.').split('.').collect();
    let is_number = |part: &&str| !part.is_empty() && part.len() <= 3 && part.bytes().all(|b| b.is_ascii_digit());
    let starts_with_letter = parts[0].len() == 1 && parts[0].bytes().all(|b| b.is_ascii_uppercase());
    (parts.len() > 1 || text.ends_with('.'))
        && (is_number(&parts[0]) || starts_with_letter)
        && parts[1..].iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::super::placement::Direction;
    use super::*;

    pub(crate) fn word(text: &str, left: f32, right: f32, baseline: f32, size: f32) -> Word {
        let direction = Direction::Right;
        Word {
            text: text.into(),
            left,
            right,
            baseline,
            size,
            bold: false,
            fixed_pitch: false,
            direction,
            space_before: false,
        }
    }

    fn texts(words: Vec<Word>) -> Vec<Vec<String>> {
        build(words).into_iter().map(|line| line.cells.into_iter().map(|cell| cell.text).collect()).collect()
    }

    #[test]
    fn words_are_sorted_by_line_and_from_left_to_right() {
        let words = vec![
            word("below", 10.0, 35.0, 112.0, 10.0),
            word("bar", 32.0, 48.0, 100.0, 10.0),
            word("four", 10.0, 29.0, 100.0, 10.0),
        ];
        assert_eq!(texts(words), [["four bar"], ["below"]]);
    }

    #[test]
    fn superscripts_and_subscripts_stay_in_their_line() {
        let words = vec![word("m", 10.0, 18.0, 100.0, 10.0), word("3", 18.0, 21.5, 96.5, 7.0)];
        assert_eq!(texts(words), [["m3"]]);
        let words = vec![word("H", 10.0, 18.0, 100.0, 11.0), word("2", 18.0, 22.0, 105.5, 8.0)];
        assert_eq!(texts(words), [["H2"]]);
    }

    #[test]
    fn wide_gaps_separate_cells_but_not_a_label_from_its_text() {
        let words = vec![word("Tag", 10.0, 30.0, 100.0, 10.0), word("Range", 90.0, 120.0, 100.0, 10.0)];
        assert_eq!(texts(words), [["Tag", "Range"]]);
        let words = vec![word("3.2", 10.0, 25.0, 100.0, 10.0), word("Start-up", 45.0, 90.0, 100.0, 10.0)];
        assert_eq!(texts(words), [["3.2 Start-up"]]);
    }

    #[test]
    fn dot_leaders_become_an_ellipsis() {
        assert_eq!(shorten_leaders("Seals . . . . . . . 12"), "Seals … 12");
        assert_eq!(shorten_leaders("Seals......12"), "Seals … 12");
        assert_eq!(shorten_leaders("wait... then"), "wait... then");
    }
}
