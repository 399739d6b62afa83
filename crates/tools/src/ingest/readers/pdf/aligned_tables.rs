//! Detects tables without ruling lines: consecutive lines whose cells are vertically aligned.

use super::geometry::Rect;
use super::join_lines::join_lines;
use super::lines::{Cell, Line};
use super::ruled_tables::{Table, TableRow};

/// Maximum distance between the baselines of rows, as a multiple of the font size.
const MAX_ROW_DISTANCE: f32 = 2.6;
/// Minimum gap between columns, as a fraction of the font size.
const MIN_COLUMN_GAP: f32 = 0.6;

/// Left and right edge of a column, in points.
type Span = (f32, f32);

/// Detects a table that starts with `lines[0]`; returns it with the number of lines it consists of.
pub(super) fn detect(lines: &[&Line]) -> Option<(Table, usize)> {
    if lines.first()?.cells.len() < 2 {
        return None;
    }
    let mut columns: Vec<Span> = Vec::new();
    let (mut line_count, mut full_rows) = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        if at > 0 && !is_near(lines[at - 1], line) {
            break;
        }
        if line.cells.len() < 2 {
            let row_follows = lines.get(at + 1).is_some_and(|next| next.cells.len() > 1 && is_near(line, next));
            if !continues_row(&columns, &line.cells[0], row_follows) {
                break;
            }
        } else {
            let merged = merge_columns(&columns, line);
            // A row with a cell across two columns is running text or belongs to another table.
            if merged.len() < 2
                || (full_rows > 0 && merged.len() < columns.len().min(line.cells.len()))
                || loses_columns(&columns, &merged)
            {
                break;
            }
            columns = merged;
            full_rows += 1;
        }
        line_count = at + 1;
    }
    // Trailing lines with a single cell in the first column belong to the text after the table.
    while line_count > 0
        && lines[line_count - 1].cells.len() < 2
        && lines[line_count - 1].cells[0].left < columns.get(1)?.0 - 1.0
    {
        line_count -= 1;
    }
    let has_enough_rows = full_rows >= 3 || (full_rows >= 2 && columns.len() >= 3);
    (has_enough_rows && columns.len() >= 2).then(|| (build_table(&lines[..line_count], &columns), line_count))
}

/// Whether the line below is close enough to be the next row; never true below a line of code.
fn is_near(above: &Line, below: &Line) -> bool {
    below.baseline - above.baseline <= MAX_ROW_DISTANCE * above.size.max(below.size) && !above.fixed_pitch
}

/// Whether a line with a single cell continues the row above: the cell fits into a column other than the first, or into
/// the first if another row follows.
fn continues_row(columns: &[Span], cell: &Cell, row_follows: bool) -> bool {
    let fits = |span: &Span| cell.left >= span.0 - 2.0 && cell.right <= span.1 + 30.0;
    match columns.iter().position(fits) {
        Some(0) => row_follows && columns.get(1).is_some_and(|second| cell.right < second.0),
        Some(_) => true,
        None => false,
    }
}

/// Extends the columns by the cells of a line; overlapping spans become one column.
fn merge_columns(columns: &[Span], line: &Line) -> Vec<Span> {
    let mut spans: Vec<Span> = columns.to_vec();
    spans.extend(line.cells.iter().map(|cell| (cell.left, cell.right)));
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut out: Vec<Span> = Vec::new();
    for span in spans {
        match out.last_mut() {
            Some(last) if span.0 < last.1 + MIN_COLUMN_GAP * line.size => last.1 = last.1.max(span.1),
            _ => out.push(span),
        }
    }
    out
}

/// Whether merging a row reduced the number of columns.
fn loses_columns(columns: &[Span], merged: &[Span]) -> bool {
    !columns.is_empty() && merged.len() < columns.len()
}

/// Builds the table from its lines and columns; lines that continue a row are merged into it.
fn build_table(lines: &[&Line], columns: &[Span]) -> Table {
    let mut rows: Vec<(Vec<Vec<&str>>, &Line, f32)> = Vec::new();
    for line in lines {
        let mut cells: Vec<Vec<&str>> = vec![Vec::new(); columns.len()];
        for cell in &line.cells {
            let column = columns.partition_point(|span| span.0 <= cell.left + 0.5).saturating_sub(1);
            cells[column].push(&cell.text);
        }
        let continues = cells[0].is_empty() && line.cells.len() < columns.len();
        match rows.last_mut() {
            Some((row_cells, _, bottom)) if continues => {
                row_cells.iter_mut().zip(cells).for_each(|(open, more)| open.extend(more));
                *bottom = line.bottom();
            }
            _ => rows.push((cells, line, line.bottom())),
        }
    }
    let rows = rows.into_iter().map(|(cells, line, bottom)| TableRow {
        cells: cells.into_iter().map(|parts| join_lines(parts.into_iter())).collect(),
        top: line.top(),
        bottom,
        bold: line.bold,
    });
    let rows: Vec<TableRow> = rows.collect();
    let bounds = Rect {
        x0: columns[0].0,
        y0: lines[0].top(),
        x1: columns[columns.len() - 1].1,
        y1: lines[lines.len() - 1].bottom(),
    };
    Table { bounds, rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(baseline: f32, cells: &[(&str, f32)]) -> Line {
        let cells: Vec<Cell> = cells
            .iter()
            .map(|(text, left)| Cell { text: (*text).into(), left: *left, right: left + 5.0 * text.len() as f32 })
            .collect();
        let (left, right) = (cells[0].left, cells[cells.len() - 1].right);
        Line { cells, left, right, baseline, size: 10.0, bold: false, fixed_pitch: false }
    }

    fn rows(lines: &[Line]) -> Option<(Vec<String>, usize)> {
        let lines: Vec<&Line> = lines.iter().collect();
        detect(&lines).map(|(table, line_count)| (table.rows.iter().map(TableRow::text).collect(), line_count))
    }

    #[test]
    fn aligned_cells_make_rows_and_a_wrapped_cell_continues_its_row() {
        let lines = [
            line(100.0, &[("Tag", 50.0), ("Service", 150.0), ("Range", 300.0)]),
            line(114.0, &[("PIT-1", 50.0), ("discharge pressure of", 150.0), ("0-10", 300.0)]),
            line(126.0, &[("the pump", 150.0)]),
            line(140.0, &[("TIT-2", 50.0), ("seal", 150.0), ("0-90", 300.0)]),
            line(170.0, &[("Afterwards plain text follows that is long.", 50.0)]),
        ];
        let (rows, line_count) = rows(&lines).unwrap();
        assert_eq!(
            rows,
            ["Tag | Service | Range", "PIT-1 | discharge pressure of the pump | 0-10", "TIT-2 | seal | 0-90"]
        );
        assert_eq!(line_count, 4);
    }

    #[test]
    fn text_with_an_accidental_gap_is_not_a_table() {
        let lines = [
            line(100.0, &[("some words here", 50.0), ("after a gap", 150.0)]),
            line(112.0, &[("more words that run on here", 50.0), ("and then", 200.0)]),
            line(124.0, &[("the end of the paragraph", 50.0)]),
        ];
        assert_eq!(rows(&lines), None);
    }
}
