//! Recognizes drawings, such as P&IDs, and lists their tags by grid square, so that a search for a tag finds the place
//! on
//! the sheet.

use std::collections::BTreeMap;

use super::super::{Block, BlockKind, CELL_SEPARATOR};
use super::drawing_grid::Grid;
use super::drawing_tags::{PlacedTag, find_tags};
use super::geometry::Rect;
use super::words::Word;

/// Minimum width of a drawing: A3 and tabloid paper are wider, A4 and letter are narrower even if landscape.
const MIN_WIDTH: f32 = 1_000.0;
/// Minimum ratio of width to height.
const MIN_ASPECT: f32 = 1.2;
/// Minimum number of different tags.
const MIN_TAGS: usize = 8;
/// A page with more words than this is no drawing.
const MAX_WORDS: usize = 10_000;
/// Number of words on a line, without a wide gap, from which they count as running text.
const MIN_RUN: usize = 7;
/// Maximum share of the words that may be running text: notes and the title block.
const MAX_RUNNING_SHARE: f32 = 0.4;
/// Maximum share of the tags that may stand in one column. In an index of instruments it is most of them.
const MAX_ALIGNED_SHARE: f32 = 0.4;
/// Positions within this distance, in points, are the same column.
const COLUMN_WIDTH: f32 = 4.0;

/// The table of tags by grid square of a page, if the page is a drawing; otherwise nothing.
pub(super) fn tag_blocks(words: &[Word], area: &Rect, page: u32) -> Vec<Block> {
    if !has_shape_of_drawing(area) || words.len() > MAX_WORDS {
        return Vec::new();
    }
    let tags = find_tags(words);
    if !is_drawing(words, &tags) {
        return Vec::new();
    }
    let grid = Grid::of_page(words, area);
    let mut squares: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for tag in &tags {
        let square = grid.square(tag.x, tag.y);
        let of_tag = squares.entry(&tag.text).or_default();
        if !of_tag.contains(&square) {
            of_tag.push(square);
        }
    }
    let header = |text: String| Block::new(BlockKind::TableRow { header: true }, text);
    let row = |(tag, squares): (&str, Vec<String>)| {
        let cells = [tag.to_owned(), format!("sheet {page}"), squares.join(", ")];
        Block::new(BlockKind::TableRow { header: false }, cells.join(CELL_SEPARATOR))
    };
    let caption = header(format!("Tags on drawing, sheet {page}, by grid square ({})", grid.description()));
    let names = header(["Tag", "Sheet", "Grid square"].join(CELL_SEPARATOR));
    [caption, names].into_iter().chain(squares.into_iter().map(row)).collect()
}

fn has_shape_of_drawing(area: &Rect) -> bool {
    area.width() >= MIN_WIDTH && area.width() >= MIN_ASPECT * area.height()
}

/// Whether the words are those of a drawing: many tags in many places, and little running text.
fn is_drawing(words: &[Word], tags: &[PlacedTag]) -> bool {
    let mut different: Vec<&str> = tags.iter().map(|tag| tag.text.as_str()).collect();
    different.sort_unstable();
    different.dedup();
    different.len() >= MIN_TAGS
        && running_words(words) as f32 <= MAX_RUNNING_SHARE * words.len() as f32
        && largest_column(tags) as f32 <= MAX_ALIGNED_SHARE * tags.len() as f32
}

/// Number of words that stand in running text.
fn running_words(words: &[Word]) -> usize {
    let mut order: Vec<&Word> = words.iter().collect();
    order.sort_by(|a, b| {
        let place = |word: &Word| (word.direction, word.baseline.round() as i64);
        place(a).cmp(&place(b)).then(a.left.total_cmp(&b.left))
    });
    let follows = |a: &&Word, b: &&Word| {
        let same_line = a.direction == b.direction && (a.baseline - b.baseline).abs() <= 1.0;
        same_line && b.left - a.right <= a.size
    };
    order.chunk_by(follows).map(<[&Word]>::len).filter(|length| *length >= MIN_RUN).sum()
}

/// Number of tags in the column that has the most of them.
fn largest_column(tags: &[PlacedTag]) -> usize {
    let mut lefts: Vec<f32> = tags.iter().map(|tag| tag.left).collect();
    lefts.sort_by(f32::total_cmp);
    let end = |from: f32| lefts.partition_point(|left| *left <= from + COLUMN_WIDTH);
    lefts.iter().enumerate().map(|(at, left)| end(*left) - at).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::placement::Direction;
    use super::*;

    const SHEET: Rect = Rect { x0: 0.0, y0: 0.0, x1: 1191.0, y1: 842.0 };

    fn word(text: &str, left: f32, baseline: f32) -> Word {
        Word {
            text: text.into(),
            left,
            right: left + 5.0 * text.len() as f32,
            baseline,
            size: 10.0,
            bold: false,
            fixed_pitch: false,
            direction: Direction::Right,
            space_before: true,
        }
    }

    /// A drawing with ten tags in different places, and an instrument bubble whose tag stands on two lines.
    fn drawing() -> Vec<Word> {
        let mut words: Vec<Word> =
            (0..10).map(|n| word(&format!("PIT-10{n:02}"), 100.0 + 93.0 * n as f32, 100.0 + 60.0 * n as f32)).collect();
        words.extend([word("FV", 596.0, 420.0), word("1012", 591.0, 431.0), word("DN150", 30.0, 600.0)]);
        words
    }

    fn texts(words: &[Word], area: &Rect) -> Vec<String> {
        tag_blocks(words, area, 3).into_iter().map(|block| block.text).collect()
    }

    #[test]
    fn a_drawing_lists_each_tag_with_sheet_and_grid_square() {
        let rows = texts(&drawing(), &SHEET);
        assert_eq!(rows[1], "Tag | Sheet | Grid square");
        assert!(rows.contains(&"FV-1012 | sheet 3 | E7".to_owned()), "{rows:?}");
        assert!(rows.contains(&"PIT-1000 | sheet 3 | A2".to_owned()), "{rows:?}");
        assert_eq!(rows.len(), 13);
        assert!(rows[0].contains("sheet 3") && rows[0].contains("divided"), "{}", rows[0]);
    }

    #[test]
    fn the_letters_and_numbers_of_the_border_are_used() {
        let mut words = drawing();
        for (at, letter) in ["D", "C", "B", "A"].into_iter().enumerate() {
            words.push(word(letter, 10.0, 105.0 + 210.0 * at as f32));
        }
        for (at, number) in ["6", "5", "4", "3", "2", "1"].into_iter().enumerate() {
            words.push(word(number, 97.0 + 198.0 * at as f32, 20.0));
        }
        let rows = texts(&words, &SHEET);
        assert!(rows.contains(&"FV-1012 | sheet 3 | B3".to_owned()), "{rows:?}");
        assert!(rows[0].contains("border"), "{}", rows[0]);
    }

    #[test]
    fn ordinary_pages_are_no_drawings() {
        let portrait = Rect { x1: 842.0, y1: 1191.0, ..SHEET };
        let small = Rect { x1: 842.0, y1: 595.0, ..SHEET };
        assert!(texts(&drawing(), &portrait).is_empty() && texts(&drawing(), &small).is_empty());
        assert!(texts(&drawing()[..7], &SHEET).is_empty(), "few tags");
        let index: Vec<Word> = (0..30).map(|n| word(&format!("PIT-10{n:02}"), 60.0, 60.0 + 20.0 * n as f32)).collect();
        assert!(texts(&index, &SHEET).is_empty(), "an index of instruments");
        let mut text = drawing();
        for n in 0..200 {
            let (line, place) = (n / 20, n % 20);
            text.push(word("words", 100.0 + 30.0 * place as f32, 700.0 + 12.0 * line as f32));
        }
        assert!(texts(&text, &SHEET).is_empty(), "running text");
    }
}
