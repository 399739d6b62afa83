//! Detects tables whose cells are separated by ruling lines.

use super::baseline::same_line;
use super::geometry::Rect;
use super::join_lines::join_lines;
use super::lines;
use super::paint::RulingLine;
use super::words::Word;

/// A table, with its position on the page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub bounds: Rect,
    pub rows: Vec<TableRow>,
}

/// A row of a table, with its vertical position.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TableRow {
    pub cells: Vec<String>,
    pub top: f32,
    pub bottom: f32,
    /// Whether all words of the row are bold.
    pub bold: bool,
}

impl TableRow {
    /// The text of the row: its cells joined with ` | `.
    pub fn text(&self) -> String {
        self.cells.join(" | ").trim().to_owned()
    }
}

/// Ruling lines closer than this, in points, count as one line.
const MAX_RULING_LINE_OFFSET: f32 = 3.0;
/// Maximum number of ruling lines; a page with more is a drawing and is not searched for tables.
const MAX_RULING_LINES: usize = 1_500;

/// Detects tables from ruling lines (in the coordinate system of the words), and removes the words in them from
/// `words`.
pub(super) fn extract(words: &mut Vec<Word>, ruling_lines: &[RulingLine]) -> Vec<Table> {
    if ruling_lines.len() < 3 || ruling_lines.len() > MAX_RULING_LINES {
        return Vec::new();
    }
    let mut tables = Vec::new();
    let mut grids = grids(ruling_lines);
    // Start with the smallest grid, so that a table inside a frame is found before the frame.
    grids.sort_by(|a, b| a.bounds().area().total_cmp(&b.bounds().area()));
    for grid in grids {
        let area = grid.bounds().expanded(1.0);
        let words_inside: Vec<&Word> =
            words.iter().filter(|word| area.contains(word.middle(), word.baseline - 0.3 * word.size)).collect();
        if let Some(table) = grid.into_table(&words_inside) {
            words.retain(|word| !area.contains(word.middle(), word.baseline - 0.3 * word.size));
            tables.push(table);
        }
    }
    tables
}

/// Positions of the column borders and row borders of a table, in ascending order.
struct Grid {
    column_borders: Vec<f32>,
    row_borders: Vec<f32>,
}

/// Finds grids of connected ruling lines, and of parallel horizontal lines of the same length.
fn grids(ruling_lines: &[RulingLine]) -> Vec<Grid> {
    let mut grids = Vec::new();
    let mut horizontal_only: Vec<Rect> = Vec::new();
    for group in connected_groups(ruling_lines) {
        let verticals: Vec<f32> =
            group.iter().filter(|ruling_line| !ruling_line.horizontal).map(|ruling_line| ruling_line.area.x0).collect();
        let horizontals: Vec<&RulingLine> =
            group.iter().filter(|ruling_line| ruling_line.horizontal).copied().collect();
        let columns = merge_close(verticals);
        if columns.len() < 2 {
            horizontal_only
                .extend(horizontals.iter().map(|ruling_line| ruling_line.area).reduce(|all, area| all.union(&area)));
            continue;
        }
        let width = columns[columns.len() - 1] - columns[0];
        // A row border need not cross the whole table, because cells may span rows.
        let rows = merge_close(
            horizontals
                .iter()
                .filter(|ruling_line| ruling_line.area.width() > 0.2 * width)
                .map(|ruling_line| ruling_line.area.y0)
                .collect(),
        );
        if rows.len() >= 2 && columns.len() + rows.len() >= 5 {
            grids.push(Grid { column_borders: columns, row_borders: rows });
        }
    }
    grids.extend(grids_without_verticals(horizontal_only));
    grids
}

/// Finds grids that have only horizontal lines.
fn grids_without_verticals(mut horizontal_only: Vec<Rect>) -> Vec<Grid> {
    horizontal_only.sort_by(|a, b| a.y0.total_cmp(&b.y0));
    let mut stacks: Vec<Vec<Rect>> = Vec::new();
    for ruling_line in horizontal_only.into_iter().filter(|ruling_line| ruling_line.height() < MAX_RULING_LINE_OFFSET) {
        let fits = |stack: &&mut Vec<Rect>| {
            stack.last().is_some_and(|last| {
                (last.x0 - ruling_line.x0).abs() < MAX_RULING_LINE_OFFSET
                    && (last.x1 - ruling_line.x1).abs() < MAX_RULING_LINE_OFFSET
                    && ruling_line.y0 - last.y0 < 250.0
            })
        };
        match stacks.iter_mut().find(fits) {
            Some(stack) => stack.push(ruling_line),
            None => stacks.push(vec![ruling_line]),
        }
    }
    let grid = |stack: Vec<Rect>| {
        let rows = merge_close(stack.iter().map(|ruling_line| ruling_line.y0).collect());
        (rows.len() >= 3).then(|| Grid { column_borders: vec![stack[0].x0, stack[0].x1], row_borders: rows })
    };
    stacks.into_iter().filter_map(grid).collect()
}

/// Groups ruling lines that touch, directly or through others.
fn connected_groups(ruling_lines: &[RulingLine]) -> Vec<Vec<&RulingLine>> {
    let mut group: Vec<usize> = (0..ruling_lines.len()).collect();
    fn root(group: &mut [usize], mut at: usize) -> usize {
        while group[at] != at {
            group[at] = group[group[at]];
            at = group[at];
        }
        at
    }
    for a in 0..ruling_lines.len() {
        let area = ruling_lines[a].area.expanded(MAX_RULING_LINE_OFFSET / 2.0);
        for (b, other) in ruling_lines[..a].iter().enumerate() {
            if area.intersects(&other.area.expanded(MAX_RULING_LINE_OFFSET / 2.0)) {
                let (x, y) = (root(&mut group, a), root(&mut group, b));
                group[x] = y;
            }
        }
    }
    let mut groups: Vec<Vec<&RulingLine>> = vec![Vec::new(); ruling_lines.len()];
    for (at, ruling_line) in ruling_lines.iter().enumerate() {
        let root = root(&mut group, at);
        groups[root].push(ruling_line);
    }
    groups.retain(|group| !group.is_empty());
    groups
}

/// Sorts positions and merges those that are close together.
fn merge_close(mut positions: Vec<f32>) -> Vec<f32> {
    positions.sort_by(f32::total_cmp);
    let mut out: Vec<f32> = Vec::new();
    for position in positions {
        if out.last().is_none_or(|last| position - last > MAX_RULING_LINE_OFFSET) {
            out.push(position);
        }
    }
    out
}

impl Grid {
    fn bounds(&self) -> Rect {
        let (columns, rows) = (&self.column_borders, &self.row_borders);
        Rect { x0: columns[0], y0: rows[0], x1: columns[columns.len() - 1], y1: rows[rows.len() - 1] }
    }

    /// Distributes words to cells. `None` if the result is not plausible as a table, such as a framed paragraph.
    fn into_table(mut self, words: &[&Word]) -> Option<Table> {
        let has_vertical_rules = self.column_borders.len() > 2;
        if !has_vertical_rules {
            self.detect_columns(words);
        }
        if self.column_borders.len() < 3 {
            return None;
        }
        let mut rows = Vec::new();
        let band_count = self.row_borders.len() - 1;
        for band in self.row_borders.windows(2) {
            let words_inside: Vec<&Word> = words
                .iter()
                .filter(|word| {
                    let middle = word.baseline - 0.3 * word.size;
                    middle >= band[0] && middle < band[1]
                })
                .copied()
                .collect();
            let lines = line_count(&words_inside);
            // Few bands with many lines: only header and footer have ruling lines, and each line of text is a row.
            if band_count <= 3 && lines >= 3 && self.lines_are_rows(&words_inside) {
                rows.extend(self.rows_by_line(words_inside));
            } else {
                rows.extend(self.row(&words_inside));
            }
        }
        let table = Table { bounds: self.bounds(), rows };
        table.is_plausible(words.len()).then_some(table)
    }

    /// Finds the column borders of a grid without vertical lines: the gaps shared by all lines that have several cells.
    fn detect_columns(&mut self, words: &[&Word]) {
        let lines = lines::build(words.iter().map(|word| (*word).clone()).collect());
        let mut covered_spans: Vec<(f32, f32)> = Vec::new();
        let mut spans: Vec<(f32, f32)> = lines
            .iter()
            .filter(|line| line.cells.len() > 1)
            .flat_map(|line| &line.cells)
            .map(|cell| (cell.left, cell.right))
            .collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (left, right) in spans {
            match covered_spans.last_mut() {
                Some(last) if left <= last.1 + 2.0 => last.1 = last.1.max(right),
                _ => covered_spans.push((left, right)),
            }
        }
        // Running text between ruling lines has gaps too, but not in most of its lines.
        let lines_with_several_cells = lines.iter().filter(|line| line.cells.len() > 1).count();
        if lines_with_several_cells * 2 <= lines.len() {
            return;
        }
        let outer_borders = [self.column_borders[0], self.column_borders[self.column_borders.len() - 1]];
        let inner_borders = covered_spans.windows(2).map(|pair| (pair[0].1 + pair[1].0) / 2.0);
        self.column_borders = [outer_borders[0]].into_iter().chain(inner_borders).chain([outer_borders[1]]).collect();
    }

    fn column_of(&self, word: &Word) -> usize {
        let inner_borders = &self.column_borders[1..self.column_borders.len() - 1];
        // A wide word that crosses a border belongs to the column in which it starts.
        let x = if word.right - word.left > 40.0 { word.left + 2.0 } else { word.middle() };
        inner_borders.partition_point(|border| *border <= x)
    }

    /// Builds a row from the words between two row borders; `None` if there are no words.
    fn row(&self, words: &[&Word]) -> Option<TableRow> {
        let first = words.first()?;
        let mut cells: Vec<Vec<Word>> = vec![Vec::new(); self.column_borders.len() - 1];
        let (mut top, mut bottom, mut bold) = (first.top(), first.bottom(), true);
        for word in words {
            top = top.min(word.top());
            bottom = bottom.max(word.bottom());
            bold &= word.bold;
            cells[self.column_of(word)].push((*word).clone());
        }
        let cells = cells.into_iter().map(cell_text).collect();
        Some(TableRow { cells, top, bottom, bold })
    }

    /// Whether most lines have words both in the first column and in another one.
    fn lines_are_rows(&self, words: &[&Word]) -> bool {
        let lines = group_by_line(words);
        let row_like_lines = lines.iter().filter(|line| {
            let columns: Vec<usize> = line.iter().map(|word| self.column_of(word)).collect();
            columns.contains(&0) && columns.iter().any(|column| *column > 0)
        });
        row_like_lines.count() * 2 > lines.len()
    }

    /// Builds one row per line of text; a line with an empty first column continues the row above.
    fn rows_by_line(&self, words: Vec<&Word>) -> Vec<TableRow> {
        let mut groups: Vec<Vec<&Word>> = Vec::new();
        for line in group_by_line(&words) {
            let continues_row = line.iter().all(|word| self.column_of(word) > 0);
            match groups.last_mut() {
                Some(group) if continues_row => group.extend(line),
                _ => groups.push(line),
            }
        }
        groups.iter().filter_map(|group| self.row(group)).collect()
    }
}

impl Table {
    /// Whether at least a third of the rows have two or more filled cells, and no single cell holds most of the text.
    fn is_plausible(&self, word_count: usize) -> bool {
        let filled = |row: &TableRow| row.cells.iter().filter(|cell| !cell.is_empty()).count();
        let largest_cell_words =
            self.rows.iter().flat_map(|row| &row.cells).map(|cell| cell.split(' ').count()).max().unwrap_or(0);
        let rows_with_several_cells = self.rows.iter().filter(|row| filled(row) >= 2).count();
        rows_with_several_cells > 0
            && rows_with_several_cells * 3 >= self.rows.len()
            && !(largest_cell_words > 60 && largest_cell_words * 2 > word_count)
    }
}

/// The text of a cell, with its lines joined.
fn cell_text(words: Vec<Word>) -> String {
    let lines: Vec<String> = lines::build(words).iter().map(lines::Line::text).collect();
    join_lines(lines.iter().map(String::as_str))
}

fn group_by_line<'a>(words: &[&'a Word]) -> Vec<Vec<&'a Word>> {
    let mut sorted = words.to_vec();
    sorted.sort_by(|a, b| a.baseline.total_cmp(&b.baseline));
    let mut out: Vec<Vec<&Word>> = Vec::new();
    for word in sorted {
        match out.last_mut() {
            Some(line) if same_line(line[0].baseline, line[0].size, word.baseline, word.size) => line.push(word),
            _ => out.push(vec![word]),
        }
    }
    out
}

fn line_count(words: &[&Word]) -> usize {
    group_by_line(words).len()
}

#[cfg(test)]
mod tests {
    use super::super::placement::Direction;
    use super::*;

    fn word(text: &str, left: f32, baseline: f32) -> Word {
        let direction = Direction::Right;
        let right = left + 5.0 * text.len() as f32;
        Word {
            text: text.into(),
            left,
            right,
            baseline,
            size: 10.0,
            bold: false,
            fixed_pitch: false,
            direction,
            space_before: false,
        }
    }

    fn ruling_line(x0: f32, y0: f32, x1: f32, y1: f32) -> RulingLine {
        RulingLine { area: Rect { x0, y0, x1, y1 }, horizontal: x1 > x0 }
    }

    fn texts(tables: &[Table]) -> Vec<String> {
        tables.iter().flat_map(|table| &table.rows).map(TableRow::text).collect()
    }

    #[test]
    fn a_grid_keeps_wrapped_cells_in_their_row() {
        let mut ruling_lines: Vec<RulingLine> =
            [0.0, 20.0, 50.0].iter().map(|y| ruling_line(0.0, *y, 200.0, *y)).collect();
        ruling_lines.extend([0.0, 60.0, 200.0].iter().map(|x| ruling_line(*x, 0.0, *x, 50.0)));
        let mut words = vec![
            word("Tag", 5.0, 14.0),
            word("Remedy", 65.0, 14.0),
            word("P-101", 5.0, 32.0),
            word("close", 65.0, 32.0),
            word("valve", 65.0, 44.0),
            word("outside", 5.0, 80.0),
        ];
        let tables = extract(&mut words, &ruling_lines);
        assert_eq!(texts(&tables), ["Tag | Remedy", "P-101 | close valve"]);
        assert_eq!(words.len(), 1);
    }

    #[test]
    fn a_frame_around_a_paragraph_is_not_a_table() {
        let ruling_lines = [
            ruling_line(0.0, 0.0, 200.0, 0.0),
            ruling_line(0.0, 50.0, 200.0, 50.0),
            ruling_line(0.0, 0.0, 0.0, 50.0),
            ruling_line(200.0, 0.0, 200.0, 50.0),
        ];
        let mut words = vec![word("Warning", 5.0, 14.0), word("hot", 65.0, 14.0)];
        assert!(extract(&mut words, &ruling_lines).is_empty());
        assert_eq!(words.len(), 2);
    }

    #[test]
    fn three_horizontal_rules_around_rows_form_a_table() {
        let ruling_lines: Vec<RulingLine> = [0.0, 20.0, 80.0].iter().map(|y| ruling_line(0.0, *y, 200.0, *y)).collect();
        let mut words = vec![word("Tag", 5.0, 14.0), word("Range", 105.0, 14.0)];
        for n in 0..3 {
            words.push(word("P-1", 5.0, 34.0 + 14.0 * n as f32));
            words.push(word("4", 105.0, 34.0 + 14.0 * n as f32));
        }
        assert_eq!(texts(&extract(&mut words, &ruling_lines)), ["Tag | Range", "P-1 | 4", "P-1 | 4", "P-1 | 4"]);
    }
}
