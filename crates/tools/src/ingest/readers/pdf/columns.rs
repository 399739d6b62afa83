//! Determines the reading order: finds the gutters between columns of running text, and keeps text that spans several
//! columns separate.

use super::baseline::same_line;

/// A word or an entire table, as an indivisible unit of the layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub left: f32,
    pub right: f32,
    pub baseline: f32,
    pub size: f32,
}

/// Minimum width of a gutter, as a fraction of the font size.
const MIN_GUTTER: f32 = 0.9;
/// Maximum nesting depth of columns.
const MAX_DEPTH: usize = 3;
/// Minimum number of pieces for a split into columns.
const MIN_PIECES: usize = 12;
/// Maximum number of pieces that are analyzed. A page with more is a drawing, not text; its pieces stay in the given
/// order.
const MAX_PIECES: usize = 20_000;
/// Minimum number of lines in a column.
const MIN_LINES: usize = 3;

/// The indices of pieces on one baseline, from left to right.
struct Row {
    pieces: Vec<usize>,
}

/// Groups the indices of `pieces`, with the groups in reading order. Within a group, the caller sorts from top to
/// bottom and from left to right.
pub(super) fn reading_order(pieces: &[Piece]) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..pieces.len()).collect();
    if pieces.len() > MAX_PIECES {
        return vec![all];
    }
    let mut groups = Vec::new();
    split_into_columns(pieces, all, 0, &mut groups);
    groups
}

/// Splits pieces into columns recursively and appends the resulting groups in reading order.
fn split_into_columns(pieces: &[Piece], members: Vec<usize>, depth: usize, groups: &mut Vec<Vec<usize>>) {
    let rows = rows(pieces, &members);
    let gutter = if depth < MAX_DEPTH && members.len() >= MIN_PIECES { best_gutter(pieces, &rows) } else { None };
    let Some(gutter) = gutter else {
        groups.push(members);
        return;
    };
    let mut unsplit = Vec::new();
    for band in bands(pieces, &rows, gutter) {
        if !band.is_split || !separates_columns(pieces, band.rows, gutter, 0) {
            unsplit.extend(band.rows.iter().flat_map(|row| &row.pieces).copied());
            continue;
        }
        if !unsplit.is_empty() {
            groups.push(std::mem::take(&mut unsplit));
        }
        for side in sides(pieces, band.rows, gutter) {
            split_into_columns(pieces, side, depth + 1, groups);
        }
    }
    if !unsplit.is_empty() {
        groups.push(unsplit);
    }
}

fn rows(pieces: &[Piece], members: &[usize]) -> Vec<Row> {
    let mut sorted = members.to_vec();
    sorted.sort_by(|a, b| pieces[*a].baseline.total_cmp(&pieces[*b].baseline));
    let mut rows: Vec<Row> = Vec::new();
    let (mut baseline, mut size) = (f32::MIN, 0.0);
    for index in sorted {
        let piece = &pieces[index];
        match rows.last_mut() {
            Some(row) if same_line(baseline, size, piece.baseline, piece.size) => row.pieces.push(index),
            _ => {
                rows.push(Row { pieces: vec![index] });
                (baseline, size) = (piece.baseline, piece.size);
            }
        }
    }
    for row in &mut rows {
        row.pieces.sort_by(|a, b| pieces[*a].left.total_cmp(&pieces[*b].left));
    }
    rows
}

/// The horizontal position of the gutter that splits the most lines into columns of running text.
fn best_gutter(pieces: &[Piece], rows: &[Row]) -> Option<f32> {
    const STEP: f32 = 3.0;
    let members = || rows.iter().flat_map(|row| &row.pieces).map(|index| &pieces[*index]);
    let left = members().map(|piece| piece.left).fold(f32::MAX, f32::min);
    let right = members().map(|piece| piece.right).fold(f32::MIN, f32::max);
    let steps = ((right - left) / STEP).clamp(0.0, 2_000.0) as usize;
    let candidates = (steps / 8..=steps * 7 / 8).map(|step| left + step as f32 * STEP);
    let mut scored: Vec<(usize, f32)> = candidates
        .filter_map(|x| {
            let score: usize =
                bands(pieces, rows, x).iter().filter(|band| band.is_split).map(|band| band.min_side_lines).sum();
            (score > MIN_LINES).then_some((score, x))
        })
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored.into_iter().take(12).map(|(_, x)| x).find(|x| {
        bands(pieces, rows, *x).iter().any(|band| band.is_split && separates_columns(pieces, band.rows, *x, 0))
    })
}

/// Consecutive rows of which all, or none, cross a gutter.
struct Band<'a> {
    rows: &'a [Row],
    /// Whether the rows do not cross the gutter and both sides have enough lines.
    is_split: bool,
    /// Number of lines on the side that has fewer.
    min_side_lines: usize,
}

/// Splits rows into bands at a possible gutter.
fn bands<'a>(pieces: &[Piece], rows: &'a [Row], gutter: f32) -> Vec<Band<'a>> {
    rows.chunk_by(|a, b| crosses(pieces, a, gutter) == crosses(pieces, b, gutter))
        .map(|rows| {
            let count = |is_on_side: fn(&Piece, f32) -> bool| {
                rows.iter().filter(|row| row.pieces.iter().any(|index| is_on_side(&pieces[*index], gutter))).count()
            };
            let left_lines = count(|piece, gutter| piece.right <= gutter);
            let min_side_lines = left_lines.min(count(|piece, gutter| piece.left >= gutter));
            let is_split = min_side_lines >= MIN_LINES && rows.first().is_some_and(|row| !crosses(pieces, row, gutter));
            Band { rows, is_split, min_side_lines }
        })
        .collect()
}

/// Whether a row has text across the gutter, or a gap there that is too narrow for a gutter.
fn crosses(pieces: &[Piece], row: &Row, gutter: f32) -> bool {
    let after = row.pieces.iter().position(|index| pieces[*index].right > gutter);
    let Some(after) = after else { return false };
    let next = &pieces[row.pieces[after]];
    if next.left < gutter {
        return true;
    }
    let before = row.pieces[..after].last().map(|index| &pieces[*index]);
    before.is_some_and(|before| next.left - before.right < MIN_GUTTER * next.size)
}

/// The indices of the pieces to the left and to the right of a gutter.
fn sides(pieces: &[Piece], rows: &[Row], gutter: f32) -> [Vec<usize>; 2] {
    let (left, right) = rows.iter().flat_map(|row| &row.pieces).partition(|index| pieces[**index].middle() < gutter);
    [left, right]
}

impl Piece {
    fn middle(&self) -> f32 {
        (self.left + self.right) / 2.0
    }
}

/// Whether both sides of a gutter are running text, not cells of a table.
fn separates_columns(pieces: &[Piece], band: &[Row], gutter: f32, depth: usize) -> bool {
    sides(pieces, band, gutter).into_iter().all(|side| {
        let rows = rows(pieces, &side);
        is_prose(pieces, &rows) || (depth < MAX_DEPTH && has_inner_columns(pieces, &rows, depth))
    })
}

/// Whether one side of a gutter, which is not running text, consists of columns itself.
fn has_inner_columns(pieces: &[Piece], rows: &[Row], depth: usize) -> bool {
    let gaps: Vec<f32> = rows.iter().flat_map(|row| wide_gaps(pieces, row)).collect();
    let Some(middle) = gaps.get(gaps.len() / 2).copied() else { return false };
    let split: Vec<_> = bands(pieces, rows, middle).into_iter().filter(|band| band.is_split).collect();
    let split_rows: usize = split.iter().map(|band| band.rows.len()).sum();
    split_rows * 2 > rows.len() && split.iter().all(|band| separates_columns(pieces, band.rows, middle, depth + 1))
}

/// Whether rows are running text: on average they fill the column and are several words long, and few have wide gaps.
fn is_prose(pieces: &[Piece], rows: &[Row]) -> bool {
    let extents: Vec<(f32, f32)> = rows
        .iter()
        .map(|row| {
            let right = row.pieces.iter().map(|index| pieces[*index].right).fold(f32::MIN, f32::max);
            (pieces[row.pieces[0]].left, right)
        })
        .collect();
    let left = extents.iter().map(|extent| extent.0).fold(f32::MAX, f32::min);
    let right = extents.iter().map(|extent| extent.1).fold(f32::MIN, f32::max);
    let count = rows.len() as f32;
    let mean_width: f32 = extents.iter().map(|(left, right)| right - left).sum::<f32>() / count;
    let size: f32 = rows.iter().map(|row| pieces[row.pieces[0]].size).sum::<f32>() / count;
    let rows_with_gaps = rows.iter().filter(|row| !wide_gaps(pieces, row).is_empty()).count();
    rows.len() >= MIN_LINES
        && mean_width >= 10.0 * size
        && mean_width >= 0.6 * (right - left)
        && rows_with_gaps * 4 <= rows.len()
}

/// The centers of the gaps in a row that are wider than a space between words.
fn wide_gaps(pieces: &[Piece], row: &Row) -> Vec<f32> {
    let pairs = row.pieces.windows(2).map(|pair| (&pieces[pair[0]], &pieces[pair[1]]));
    pairs.filter(|(a, b)| b.left - a.right > 1.2 * b.size).map(|(a, b)| (a.right + b.left) / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(left: f32, width: f32, baseline: f32) -> Vec<Piece> {
        let words = (width / 30.0) as usize;
        (0..words)
            .map(|n| {
                let left = left + n as f32 * 30.0;
                Piece { left, right: left + 27.0, baseline, size: 10.0 }
            })
            .collect()
    }

    #[test]
    fn two_columns_below_a_title_are_read_one_after_the_other() {
        let mut pieces = line(50.0, 480.0, 60.0);
        let title = pieces.len();
        for n in 0..8 {
            pieces.extend(line(50.0, 210.0, 100.0 + 12.0 * n as f32));
            pieces.extend(line(320.0, 210.0, 103.0 + 12.0 * n as f32));
        }
        let groups = reading_order(&pieces);
        assert_eq!(groups.len(), 3);
        assert_eq!(groups[0].len(), title);
        assert!(groups[1].iter().all(|index| pieces[*index].right < 300.0));
        assert!(groups[2].iter().all(|index| pieces[*index].left > 300.0));
    }

    #[test]
    fn a_table_of_short_cells_is_not_split_into_columns() {
        let mut pieces = Vec::new();
        for n in 0..10 {
            for left in [50.0, 200.0, 350.0] {
                pieces.extend(line(left, 60.0, 100.0 + 14.0 * n as f32));
            }
        }
        assert_eq!(reading_order(&pieces).len(), 1);
    }
}
