//! Groups lines into blocks: paragraphs, list items, headings, code and table rows.

use super::super::clean::clean_line;
use super::super::text::is_list_item;
use super::super::{Block, BlockKind, Bounds};
use super::aligned_tables;
use super::contents_entry::is_contents_entry;
use super::join_lines::join_lines;
use super::layout::{DirectionFlow, FlowItem};
use super::lines::Line;
use super::placement::Direction;
use super::ruled_tables::Table;
use super::style::Style;

/// Builds the blocks of all text of one direction on a page.
pub(super) fn build(flow: &DirectionFlow, style: &Style) -> Vec<Block> {
    let mut builder =
        Builder { style, direction: flow.direction, blocks: Vec::new(), open_lines: Vec::new(), may_continue: false };
    for part in flow.items.split(|item| matches!(item, FlowItem::Break)) {
        for group in part.chunk_by(|a, b| matches!((a, b), (FlowItem::Line(_), FlowItem::Line(_)))) {
            match group {
                [FlowItem::Table(table)] => builder.add_table(table),
                _ => {
                    let lines =
                        group.iter().filter_map(|item| if let FlowItem::Line(line) = item { Some(line) } else { None });
                    builder.add_lines(&lines.collect::<Vec<_>>());
                }
            }
        }
        builder.end_column();
    }
    builder.flush();
    builder.blocks
}

struct Builder<'a> {
    style: &'a Style,
    direction: Direction,
    blocks: Vec<Block>,
    open_lines: Vec<Line>,
    /// Whether the paragraph at the end of the previous column may continue in this one.
    may_continue: bool,
}

impl Builder<'_> {
    fn add_lines(&mut self, lines: &[&Line]) {
        let spacing = Spacing::new(lines);
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            if let Some((table, line_count)) = aligned_tables::detect(&lines[at..]).filter(|_| !self.is_code(line)) {
                self.add_table(&table);
                at += line_count;
                continue;
            }
            let may_continue = std::mem::take(&mut self.may_continue);
            let starts_new_block = |above: &Line| {
                if may_continue {
                    !continues_sentence(above, line)
                } else {
                    self.is_block_boundary(above, line, &spacing)
                }
            };
            if self.open_lines.last().is_some_and(starts_new_block) {
                self.flush();
            }
            self.open_lines.push(line.clone());
            at += 1;
        }
    }

    /// Whether a line is source code: its font is fixed-pitch, and that of body text is not.
    fn is_code(&self, line: &Line) -> bool {
        line.fixed_pitch && !self.style.body_is_fixed_pitch
    }

    /// Whether a new block starts at `line`, which follows `above`.
    fn is_block_boundary(&self, above: &Line, line: &Line, spacing: &Spacing) -> bool {
        let size = above.size.max(line.size);
        let step = line.baseline - above.baseline;
        let is_code = self.is_code(line);
        if is_code || self.is_code(above) {
            return is_code != self.is_code(above) || step > 3.5 * size || step < 0.0;
        }
        let larger_gap = step > 1.25 * spacing.step * size && step > 1.2 * size;
        let style_changes = (above.size - line.size).abs() > 0.06 * size || above.bold != line.bold;
        step < 0.0 || step > 2.0 * size || larger_gap || style_changes || self.starts_block(above, line, spacing)
    }

    /// Whether `line` starts a list item or an indented paragraph, or follows a line that ends a sentence before the
    /// right margin.
    fn starts_block(&self, above: &Line, line: &Line, spacing: &Spacing) -> bool {
        let indent = line.left - above.left;
        let has_several_lines = self.open_lines.len() > 1;
        let ends_sentence =
            above.text().ends_with(['.', ':', '!', '?']) && above.right < spacing.right - 0.25 * spacing.width();
        is_list_item(&line.text())
            || ends_sentence
            || is_contents_entry(&above.text())
            || (has_several_lines && indent.abs() > 0.9 * line.size)
    }

    /// Ends the open block at the end of a column, unless its sentence may continue in the next column.
    fn end_column(&mut self) {
        self.may_continue = self.open_lines.last().is_some_and(|line| {
            let text = line.text();
            !self.is_code(line)
                && text.len() > 20
                && text.ends_with(|c: char| c.is_lowercase() || matches!(c, '-' | ','))
        });
        if !self.may_continue {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let lines = std::mem::take(&mut self.open_lines);
        let Some(first) = lines.first() else { return };
        let bounds = self.bounds(&lines);
        if self.is_code(first) {
            self.push(BlockKind::Code, code_text(&lines), bounds);
            return;
        }
        let texts: Vec<String> = lines.iter().map(Line::text).collect();
        let text = clean_line(&join_lines(texts.iter().map(String::as_str)));
        let kind = match self.style.heading_level(&text, &lines) {
            Some(level) if !matches!(self.direction, Direction::Slanted(_)) => BlockKind::Heading { level },
            _ if is_list_item(&text) => BlockKind::ListItem,
            _ => BlockKind::Paragraph,
        };
        self.push(kind, text, bounds);
    }

    fn push(&mut self, kind: BlockKind, text: String, bounds: Option<Bounds>) {
        if !text.trim().is_empty() {
            self.blocks.push(Block { bounds, ..Block::new(kind, text) });
        }
    }

    fn add_table(&mut self, table: &Table) {
        self.flush();
        let header = has_header(table);
        for (at, row) in table.rows.iter().enumerate() {
            let bounds = self.page_bounds(table.bounds.x0, row.top, table.bounds.x1, row.bottom);
            if row.cells.iter().any(|cell| !cell.is_empty()) {
                self.push(BlockKind::TableRow { header: header && at == 0 }, row.text(), Some(bounds));
            }
        }
    }

    fn bounds(&self, lines: &[Line]) -> Option<Bounds> {
        let left = lines.iter().map(|line| line.left).reduce(f32::min)?;
        let right = lines.iter().map(|line| line.right).reduce(f32::max)?;
        let top = lines.iter().map(Line::top).reduce(f32::min)?;
        let bottom = lines.iter().map(Line::bottom).reduce(f32::max)?;
        Some(self.page_bounds(left, top, right, bottom))
    }

    fn page_bounds(&self, left: f32, top: f32, right: f32, bottom: f32) -> Bounds {
        let (x0, y0) = self.direction.to_page(left, top);
        let (x1, y1) = self.direction.to_page(right, bottom);
        Bounds { left: x0.min(x1), top: y0.min(y1), right: x0.max(x1), bottom: y0.max(y1) }
    }
}

/// Whether the first line of a column continues the sentence at the end of the previous column.
fn continues_sentence(above: &Line, line: &Line) -> bool {
    let starts_lower_case = line.text().starts_with(|c: char| c.is_lowercase());
    starts_lower_case && above.bold == line.bold && (above.size - line.size).abs() <= 0.06 * above.size
}

/// The usual line spacing of a group of lines, and its left and right edge.
struct Spacing {
    /// Distance between baselines, as a multiple of the font size.
    step: f32,
    left: f32,
    right: f32,
}

impl Spacing {
    fn new(lines: &[&Line]) -> Self {
        let step = |pair: &[&Line]| (pair[1].baseline - pair[0].baseline) / pair[1].size.max(pair[0].size).max(1.0);
        let mut steps: Vec<f32> = lines.windows(2).map(step).filter(|step| *step > 0.0).collect();
        steps.sort_by(f32::total_cmp);
        Self {
            // Use the lower third rather than the median: short paragraphs have as many large steps as small ones.
            step: steps.get(steps.len() / 3).copied().unwrap_or(0.0),
            left: lines.iter().map(|line| line.left).fold(f32::MAX, f32::min),
            right: lines.iter().map(|line| line.right).fold(f32::MIN, f32::max),
        }
    }

    fn width(&self) -> f32 {
        self.right - self.left
    }
}

/// Whether the first row is a header: only it is bold, or every one of its cells has a word and does not start with a
/// digit.
fn has_header(table: &Table) -> bool {
    let [first, rest @ ..] = table.rows.as_slice() else { return false };
    let has_column_names = first
        .cells
        .iter()
        .all(|cell| cell.chars().any(char::is_alphabetic) && !cell.starts_with(|c: char| c.is_ascii_digit()));
    !rest.is_empty()
        && ((first.bold && !rest.iter().all(|row| row.bold)) || (has_column_names && first.cells.len() > 1))
}

/// Joins lines of a fixed-pitch font, restoring indentation and gaps from the positions of the cells.
fn code_text(lines: &[Line]) -> String {
    let left = lines.iter().map(|line| line.left).fold(f32::MAX, f32::min);
    let mut out = String::new();
    for line in lines {
        let start = out.len();
        for cell in &line.cells {
            let column = ((cell.left - left) / (0.6 * line.size)).round().clamp(0.0, 200.0) as usize;
            let width = out[start..].chars().count();
            let gap = column.saturating_sub(width).max(usize::from(width > 0));
            out.extend(std::iter::repeat_n(' ', gap));
            out.push_str(&cell.text);
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::super::lines::Cell;
    use super::*;

    fn line(text: &str, baseline: f32) -> Line {
        let right = 50.0 + 5.0 * text.len() as f32;
        Line {
            cells: vec![Cell { text: text.into(), left: 50.0, right }],
            left: 50.0,
            right,
            baseline,
            size: 10.0,
            bold: false,
            fixed_pitch: false,
        }
    }

    fn blocks(lines: Vec<Line>) -> Vec<(BlockKind, String)> {
        let flow: Vec<FlowItem> = lines.into_iter().map(FlowItem::Line).collect();
        let style = Style::derive(flow.iter(), Vec::new());
        let flow = DirectionFlow { direction: Direction::Right, items: flow };
        build(&flow, &style).into_iter().map(|block| (block.kind, block.text)).collect()
    }

    #[test]
    fn a_wider_gap_and_a_bullet_begin_new_blocks() {
        let lines = vec![
            line("The pump is started from the local panel, after the suc-", 100.0),
            line("tion valve was opened.", 112.0),
            line("The second paragraph", 132.0),
            line("• first item that is long enough to wrap around here", 144.0),
            line("• second item", 156.0),
        ];
        let expected = [
            (BlockKind::Paragraph, "The pump is started from the local panel, after the suction valve was opened."),
            (BlockKind::Paragraph, "The second paragraph"),
            (BlockKind::ListItem, "• first item that is long enough to wrap around here"),
            (BlockKind::ListItem, "• second item"),
        ];
        assert_eq!(blocks(lines), expected.map(|(kind, text)| (kind, text.to_owned())));
    }

    #[test]
    fn a_sentence_continues_in_the_next_column() {
        let flow = vec![
            FlowItem::Line(line("The last line of the left column has not", 700.0)),
            FlowItem::Break,
            FlowItem::Line(line("ended before this one.", 100.0)),
            FlowItem::Break,
            FlowItem::Line(line("Another column.", 100.0)),
        ];
        let style = Style::derive(flow.iter(), Vec::new());
        let blocks = build(&DirectionFlow { direction: Direction::Right, items: flow }, &style);
        let texts: Vec<&str> = blocks.iter().map(|block| block.text.as_str()).collect();
        assert_eq!(texts, ["The last line of the left column has not ended before this one.", "Another column."]);
    }
}
