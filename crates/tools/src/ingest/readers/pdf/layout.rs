//! Arranges the words of a page into lines and tables in reading order.

use super::columns::{self, LayoutBox};
use super::geometry::Rect;
use super::lines::{self, Line};
use super::paint::RulingLine;
use super::placement::Direction;
use super::ruled_tables::{self, Table};
use super::words::Word;

/// One item of a page's text in reading order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FlowItem {
    Line(Line),
    Table(Table),
    /// The end of a column or of another group of lines.
    Break,
}

/// All text of one direction on a page.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DirectionFlow {
    pub direction: Direction,
    pub items: Vec<FlowItem>,
}

/// Arranges the words of a page by direction; the direction with the most text comes first. Ruling lines are only used
/// for that direction.
pub(super) fn lay_out(words: Vec<Word>, ruling_lines: &[RulingLine]) -> Vec<DirectionFlow> {
    let mut groups: Vec<(Direction, Vec<Word>, usize)> = vec![(Direction::Right, Vec::new(), 0)];
    for word in words {
        let length = word.text.len();
        match groups.iter_mut().find(|(direction, ..)| *direction == word.direction) {
            Some((_, words, total_length)) => {
                *total_length += length;
                words.push(word);
            }
            None => groups.push((word.direction, vec![word], length)),
        }
    }
    groups.retain(|(_, words, _)| !words.is_empty());
    groups.sort_by_key(|(_, _, length)| std::cmp::Reverse(*length));
    let mut is_first = true;
    groups
        .into_iter()
        .map(|(direction, words, _)| {
            let ruling_lines = if std::mem::take(&mut is_first) {
                to_upright_ruling_lines(ruling_lines, direction)
            } else {
                Vec::new()
            };
            let flow = match direction {
                Direction::Slanted(_) => lines::build(words).into_iter().map(FlowItem::Line).collect(),
                _ => build_flow(words, &ruling_lines),
            };
            DirectionFlow { direction, items: flow }
        })
        .collect()
}

/// Converts ruling lines to the upright coordinate system of a direction.
fn to_upright_ruling_lines(ruling_lines: &[RulingLine], direction: Direction) -> Vec<RulingLine> {
    ruling_lines
        .iter()
        .map(|ruling_line| {
            let mut area = Rect::EMPTY;
            for (x, y) in [(ruling_line.area.x0, ruling_line.area.y0), (ruling_line.area.x1, ruling_line.area.y1)] {
                let (s, t) = direction.to_upright(x, y);
                area.include(s, t);
            }
            RulingLine { area, horizontal: area.width() >= area.height() }
        })
        .collect()
}

fn build_flow(mut words: Vec<Word>, ruling_lines: &[RulingLine]) -> Vec<FlowItem> {
    let mut tables: Vec<Option<Table>> =
        ruled_tables::extract(&mut words, ruling_lines).into_iter().map(Some).collect();
    let word_box =
        |word: &Word| LayoutBox { left: word.left, right: word.right, baseline: word.baseline, size: word.size };
    let table_box = |table: &Option<Table>| {
        let bounds = table.as_ref().map_or(Rect::EMPTY, |table| table.bounds);
        LayoutBox { left: bounds.x0, right: bounds.x1, baseline: bounds.y0 + 8.0, size: 10.0 }
    };
    let boxes: Vec<LayoutBox> = words.iter().map(word_box).chain(tables.iter().map(table_box)).collect();
    let mut words: Vec<Option<Word>> = words.into_iter().map(Some).collect();
    let mut flow = Vec::new();
    for group in columns::reading_order(&boxes) {
        let mut group_words = Vec::new();
        let mut group_tables = Vec::new();
        for index in group {
            match words.get_mut(index) {
                Some(word) => group_words.extend(word.take()),
                None => group_tables.extend(tables.get_mut(index - words.len()).and_then(Option::take)),
            }
        }
        interleave(lines::build(group_words), group_tables, &mut flow);
        flow.push(FlowItem::Break);
    }
    flow
}

/// Inserts tables between lines according to their vertical position.
fn interleave(lines: Vec<Line>, mut tables: Vec<Table>, flow: &mut Vec<FlowItem>) {
    tables.sort_by(|a, b| b.bounds.y0.total_cmp(&a.bounds.y0));
    for line in lines {
        while let Some(table) = tables.pop_if(|table| table.bounds.y0 < line.baseline) {
            flow.push(FlowItem::Table(table));
        }
        flow.push(FlowItem::Line(line));
    }
    flow.extend(tables.into_iter().rev().map(FlowItem::Table));
}
