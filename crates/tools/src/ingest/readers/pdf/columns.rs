//! Determines the reading order: finds the gutters between columns of running text, and keeps text that spans several
//! columns separate.

use super::baseline::same_line;

/// A word or an entire table, as an indivisible unit of the layout.
#[derive(Debug, Clone, Copy)]
pub(super) struct LayoutBox {
    pub left: f32,
    pub right: f32,
    pub baseline: f32,
    pub size: f32,
}

/// Minimum width of a gutter, as a fraction of the font size.
const MIN_GUTTER: f32 = 0.9;
/// Maximum nesting depth of columns.
const MAX_DEPTH: usize = 3;
/// Minimum number of boxes for a split into columns.
const MIN_BOXES: usize = 12;
/// Maximum number of boxes that are analyzed. A page with more is a drawing, not text; its boxes stay in the given
/// order.
const MAX_BOXES: usize = 20_000;
/// Minimum number of lines in a column.
const MIN_LINES: usize = 3;

/// The indices of boxes on one baseline, from left to right.
struct Row {
    boxes: Vec<usize>,
}

/// Groups the indices of `boxes`, with the groups in reading order. Within a group, the caller sorts from top to
/// bottom and from left to right.
pub(super) fn reading_order(boxes: &[LayoutBox]) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..boxes.len()).collect();
    if boxes.len() > MAX_BOXES {
        return vec![all];
    }
    let mut groups = Vec::new();
    split_into_columns(boxes, all, 0, &mut groups);
    groups
}

/// Splits boxes into columns recursively and appends the resulting groups in reading order.
fn split_into_columns(boxes: &[LayoutBox], members: Vec<usize>, depth: usize, groups: &mut Vec<Vec<usize>>) {
    let rows = rows(boxes, &members);
    let gutter = if depth < MAX_DEPTH && members.len() >= MIN_BOXES { best_gutter(boxes, &rows) } else { None };
    let Some(gutter) = gutter else {
        groups.push(members);
        return;
    };
    let mut unsplit = Vec::new();
    for band in bands(boxes, &rows, gutter) {
        if !band.is_split || !separates_columns(boxes, band.rows, gutter, 0) {
            unsplit.extend(band.rows.iter().flat_map(|row| &row.boxes).copied());
            continue;
        }
        if !unsplit.is_empty() {
            groups.push(std::mem::take(&mut unsplit));
        }
        for side in sides(boxes, band.rows, gutter) {
            split_into_columns(boxes, side, depth + 1, groups);
        }
    }
    if !unsplit.is_empty() {
        groups.push(unsplit);
    }
}

fn rows(boxes: &[LayoutBox], members: &[usize]) -> Vec<Row> {
    let mut sorted = members.to_vec();
    sorted.sort_by(|a, b| boxes[*a].baseline.total_cmp(&boxes[*b].baseline));
    let mut rows: Vec<Row> = Vec::new();
    let (mut baseline, mut size) = (f32::MIN, 0.0);
    for index in sorted {
        let layout_box = &boxes[index];
        match rows.last_mut() {
            Some(row) if same_line(baseline, size, layout_box.baseline, layout_box.size) => row.boxes.push(index),
            _ => {
                rows.push(Row { boxes: vec![index] });
                (baseline, size) = (layout_box.baseline, layout_box.size);
            }
        }
    }
    for row in &mut rows {
        row.boxes.sort_by(|a, b| boxes[*a].left.total_cmp(&boxes[*b].left));
    }
    rows
}

/// The horizontal position of the gutter that splits the most lines into columns of running text.
fn best_gutter(boxes: &[LayoutBox], rows: &[Row]) -> Option<f32> {
    const STEP: f32 = 3.0;
    let members = || rows.iter().flat_map(|row| &row.boxes).map(|index| &boxes[*index]);
    let left = members().map(|layout_box| layout_box.left).fold(f32::MAX, f32::min);
    let right = members().map(|layout_box| layout_box.right).fold(f32::MIN, f32::max);
    let steps = ((right - left) / STEP).clamp(0.0, 2_000.0) as usize;
    let candidates = (steps / 8..=steps * 7 / 8).map(|step| left + step as f32 * STEP);
    let mut scored: Vec<(usize, f32)> = candidates
        .filter_map(|x| {
            let score: usize =
                bands(boxes, rows, x).iter().filter(|band| band.is_split).map(|band| band.min_side_lines).sum();
            (score > MIN_LINES).then_some((score, x))
        })
        .collect();
    scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    scored
        .into_iter()
        .take(12)
        .map(|(_, x)| x)
        .find(|x| bands(boxes, rows, *x).iter().any(|band| band.is_split && separates_columns(boxes, band.rows, *x, 0)))
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
fn bands<'a>(boxes: &[LayoutBox], rows: &'a [Row], gutter: f32) -> Vec<Band<'a>> {
    rows.chunk_by(|a, b| crosses(boxes, a, gutter) == crosses(boxes, b, gutter))
        .map(|rows| {
            let count = |is_on_side: fn(&LayoutBox, f32) -> bool| {
                rows.iter().filter(|row| row.boxes.iter().any(|index| is_on_side(&boxes[*index], gutter))).count()
            };
            let left_lines = count(|layout_box, gutter| layout_box.right <= gutter);
            let min_side_lines = left_lines.min(count(|layout_box, gutter| layout_box.left >= gutter));
            let is_split = min_side_lines >= MIN_LINES && rows.first().is_some_and(|row| !crosses(boxes, row, gutter));
            Band { rows, is_split, min_side_lines }
        })
        .collect()
}

/// Whether a row has text across the gutter, or a gap there that is too narrow for a gutter.
fn crosses(boxes: &[LayoutBox], row: &Row, gutter: f32) -> bool {
    let after = row.boxes.iter().position(|index| boxes[*index].right > gutter);
    let Some(after) = after else { return false };
    let next = &boxes[row.boxes[after]];
    if next.left < gutter {
        return true;
    }
    let before = row.boxes[..after].last().map(|index| &boxes[*index]);
    before.is_some_and(|before| next.left - before.right < MIN_GUTTER * next.size)
}

/// The indices of the boxes to the left and to the right of a gutter.
fn sides(boxes: &[LayoutBox], rows: &[Row], gutter: f32) -> [Vec<usize>; 2] {
    let (left, right) = rows.iter().flat_map(|row| &row.boxes).partition(|index| boxes[**index].middle() < gutter);
    [left, right]
}

impl LayoutBox {
    fn middle(&self) -> f32 {
        (self.left + self.right) / 2.0
    }
}

/// Whether both sides of a gutter are running text, not cells of a table.
fn separates_columns(boxes: &[LayoutBox], band: &[Row], gutter: f32, depth: usize) -> bool {
    sides(boxes, band, gutter).into_iter().all(|side| {
        let rows = rows(boxes, &side);
        is_prose(boxes, &rows) || (depth < MAX_DEPTH && has_inner_columns(boxes, &rows, depth))
    })
}

/// Whether one side of a gutter, which is not running text, consists of columns itself.
fn has_inner_columns(boxes: &[LayoutBox], rows: &[Row], depth: usize) -> bool {
    let gaps: Vec<f32> = rows.iter().flat_map(|row| wide_gaps(boxes, row)).collect();
    let Some(middle) = gaps.get(gaps.len() / 2).copied() else { return false };
    let split: Vec<_> = bands(boxes, rows, middle).into_iter().filter(|band| band.is_split).collect();
    let split_rows: usize = split.iter().map(|band| band.rows.len()).sum();
    split_rows * 2 > rows.len() && split.iter().all(|band| separates_columns(boxes, band.rows, middle, depth + 1))
}

/// Whether rows are running text: on average they fill the column and are several words long, and few have wide gaps.
fn is_prose(boxes: &[LayoutBox], rows: &[Row]) -> bool {
    let extents: Vec<(f32, f32)> = rows
        .iter()
        .map(|row| {
            let right = row.boxes.iter().map(|index| boxes[*index].right).fold(f32::MIN, f32::max);
            (boxes[row.boxes[0]].left, right)
        })
        .collect();
    let left = extents.iter().map(|extent| extent.0).fold(f32::MAX, f32::min);
    let right = extents.iter().map(|extent| extent.1).fold(f32::MIN, f32::max);
    let count = rows.len() as f32;
    let mean_width: f32 = extents.iter().map(|(left, right)| right - left).sum::<f32>() / count;
    let size: f32 = rows.iter().map(|row| boxes[row.boxes[0]].size).sum::<f32>() / count;
    let rows_with_gaps = rows.iter().filter(|row| !wide_gaps(boxes, row).is_empty()).count();
    rows.len() >= MIN_LINES
        && mean_width >= 10.0 * size
        && mean_width >= 0.6 * (right - left)
        && rows_with_gaps * 4 <= rows.len()
}

/// The centers of the gaps in a row that are wider than a space between words.
fn wide_gaps(boxes: &[LayoutBox], row: &Row) -> Vec<f32> {
    let pairs = row.boxes.windows(2).map(|pair| (&boxes[pair[0]], &boxes[pair[1]]));
    pairs.filter(|(a, b)| b.left - a.right > 1.2 * b.size).map(|(a, b)| (a.right + b.left) / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(left: f32, width: f32, baseline: f32) -> Vec<LayoutBox> {
        let words = (width / 30.0) as usize;
        (0..words)
            .map(|n| {
                let left = left + n as f32 * 30.0;
                LayoutBox { left, right: left + 27.0, baseline, size: 10.0 }
            })
            .collect()
    }

    #[test]
    fn two_columns_below_a_title_are_read_one_after_the_other() {
        let mut boxes = line(50.0, 480.0, 60.0);
        let title = boxes.len();
        for n in 0..8 {
            boxes.extend(line(50.0, 210.0, 100.0 + 12.0 * n as f32));
            boxes.extend(line(320.0, 210.0, 103.0 + 12.0 * n as f32));
        }
        let groups = reading_order(&boxes);
        assert_eq!(groups.len(), 3);
        assert_eq!(groups[0].len(), title);
        assert!(groups[1].iter().all(|index| boxes[*index].right < 300.0));
        assert!(groups[2].iter().all(|index| boxes[*index].left > 300.0));
    }

    #[test]
    fn a_table_of_short_cells_is_not_split_into_columns() {
        let mut boxes = Vec::new();
        for n in 0..10 {
            for left in [50.0, 200.0, 350.0] {
                boxes.extend(line(left, 60.0, 100.0 + 14.0 * n as f32));
            }
        }
        assert_eq!(reading_order(&boxes).len(), 1);
    }
}
