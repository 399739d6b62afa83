//! Removes running headers and footers: lines that repeat at the same position on many pages.

use std::collections::{HashMap, HashSet};

use super::layout::{DirectionFlow, FlowItem};
use super::page_text::PageText;
use super::placement::Direction;
use super::ruled_tables::TableRow;

/// Height of the top and bottom margin in which running lines may be, as a fraction of the page height.
const MARGIN: f32 = 0.14;
/// Maximum number of lines, at the top and at the bottom of a page, that may be running lines.
const MAX_RUNNING_LINES: usize = 3;
/// Maximum vertical distance, in points, between occurrences of the same running line on different pages.
const MAX_OFFSET: f32 = 4.0;
/// Minimum number of letters and digits that must remain on a page; otherwise nothing is removed from it.
const MIN_REMAINING: usize = 30;

/// A line or table that may be a running header or footer.
struct Candidate {
    page: usize,
    /// Index of the item in the page's flow.
    item: usize,
    /// Vertical position of its upper edge on the page, in points.
    top: f32,
    /// Whether it is the first or last item of its page.
    is_outermost: bool,
    /// Whether no large gap separates it from the first or last item of the page.
    is_adjacent: bool,
    text: String,
    /// The text with page numbers replaced by `#`.
    key: String,
}

/// Removes a repeated header or footer from all pages except the first that has it, so that a document number that
/// appears only in the header remains searchable. Bare page numbers are removed from all pages, as are lines that
/// combine the page number with a chapter title, which is also in the chapter's heading.
pub(super) fn drop_repeated(pages: &mut [PageText]) {
    // A line must repeat on two pages in a document of two pages, on three in a longer one.
    let min_pages = pages.len().clamp(2, 3);
    let body = body_size(pages);
    let mut candidates: Vec<Candidate> =
        pages.iter().enumerate().flat_map(|(at, page)| margin_items(at, page, body)).collect();
    let offsets = page_number_offsets(pages, &candidates);
    for candidate in &mut candidates {
        candidate.key = with_page_placeholder(&candidate.text, i64::from(pages[candidate.page].number), &offsets);
    }
    let numbered_positions = page_number_positions(&candidates, (pages.len() * 3 / 10).max(min_pages));
    // Compare the unchanged text too, because a revision number may happen to equal a page number.
    let same_text = group_by_text(&candidates, |candidate| &candidate.text);
    let same_key = group_by_text(&candidates, |candidate| &candidate.key);
    let mut dropped: Vec<Vec<usize>> = vec![Vec::new(); pages.len()];
    for candidate in &candidates {
        let first_matching_page = |group: &[&Candidate]| {
            let matching_pages: Vec<usize> = group
                .iter()
                .filter(|other| (other.top - candidate.top).abs() <= MAX_OFFSET)
                .map(|other| other.page)
                .collect();
            // A line that a gap separates from the edge must be on most pages, because several pages may start with the
            // same heading.
            let min_matches = if candidate.is_adjacent { min_pages } else { min_pages.max(pages.len().div_ceil(2)) };
            matching_pages.first().copied().filter(|_| matching_pages.len() >= min_matches)
        };
        let first_pages = [
            first_matching_page(&same_text[candidate.text.as_str()]),
            first_matching_page(&same_key[candidate.key.as_str()]),
        ];
        let first = first_pages.into_iter().flatten().min();
        let is_at_numbered_position =
            candidate.key.contains('#') && numbered_positions.contains(&position_key(candidate.top));
        let is_dropped = match first {
            Some(first) => first != candidate.page || is_page_number(&candidate.key),
            None => is_at_numbered_position && candidate.is_outermost && is_short(&candidate.text),
        };
        if is_dropped {
            dropped[candidate.page].push(candidate.item);
        }
    }
    pages.iter_mut().zip(dropped).for_each(|(page, dropped)| drop_items(page, &dropped));
}

/// Groups candidates by one of their texts; each group is in page order.
fn group_by_text<'a>(
    candidates: &'a [Candidate],
    text: impl Fn(&'a Candidate) -> &'a str,
) -> HashMap<&'a str, Vec<&'a Candidate>> {
    let mut groups: HashMap<&str, Vec<&Candidate>> = HashMap::new();
    candidates.iter().for_each(|candidate| groups.entry(text(candidate)).or_default().push(candidate));
    groups
}

/// The font size of most text in the document, in points.
fn body_size(pages: &[PageText]) -> f32 {
    let mut letters: HashMap<i32, usize> = HashMap::new();
    for item in pages.iter().flat_map(upright_flow) {
        if let FlowItem::Line(line) = item {
            let length: usize = line.cells.iter().map(|cell| cell.text.len()).sum();
            *letters.entry((line.size * 4.0).round() as i32).or_default() += length;
        }
    }
    letters.into_iter().max_by_key(|(size, count)| (*count, *size)).map_or(f32::MAX, |(size, _)| size as f32 / 4.0)
}

/// The outermost items of a page that lie in its margins, except text larger than `body` (the body font size), which is
/// a heading.
fn margin_items(page_index: usize, page: &PageText, body: f32) -> Vec<Candidate> {
    let mut items: Vec<(usize, f32, f32, String)> = upright_flow(page)
        .iter()
        .enumerate()
        .filter_map(|(index, item)| {
            let (top, bottom) = match item {
                FlowItem::Line(line) if line.size > 1.15 * body => return None,
                FlowItem::Line(line) => (line.top(), line.bottom()),
                FlowItem::Table(table) => (table.bounds.y0, table.bounds.y1),
                FlowItem::Break => return None,
            };
            Some((index, top, bottom, item_text(item)?))
        })
        .collect();
    items.sort_by(|a, b| a.1.total_cmp(&b.1));
    let close = |pair: &[(usize, f32, f32, String)]| pair[1].1 - pair[0].2 <= body;
    let adjacent_at_top = items.windows(2).take_while(|pair| close(pair)).count();
    let adjacent_at_bottom = items.windows(2).rev().take_while(|pair| close(pair)).count();
    let count = items.len();
    let items_in_margins = items.into_iter().enumerate().filter(|(rank, (_, top, bottom, _))| {
        let is_in_top_margin = *rank < MAX_RUNNING_LINES && *bottom <= MARGIN * page.height;
        is_in_top_margin || (rank + MAX_RUNNING_LINES >= count && *top >= (1.0 - MARGIN) * page.height)
    });
    let candidate = |(rank, (item, top, _, text)): (usize, (usize, f32, f32, String))| {
        let is_outermost = rank == 0 || rank + 1 == count;
        let is_adjacent = rank <= adjacent_at_top || rank + 1 + adjacent_at_bottom >= count;
        Candidate { page: page_index, item, top, is_outermost, is_adjacent, text, key: String::new() }
    };
    items_in_margins.map(candidate).collect()
}

/// Differences between printed page numbers and page positions that most pages share; unnumbered front matter causes
/// them.
fn page_number_offsets(pages: &[PageText], candidates: &[Candidate]) -> Vec<i64> {
    let mut counts: HashMap<i64, usize> = HashMap::new();
    for candidate in candidates {
        let page = i64::from(pages[candidate.page].number);
        let numbers = candidate.text.split_whitespace().filter_map(|word| trim_punctuation(word).parse::<u32>().ok());
        numbers.for_each(|number| *counts.entry(i64::from(number) - page).or_default() += 1);
    }
    let min_pages = (pages.len() * 3).div_ceil(5).max(2);
    counts.into_iter().filter(|(_, count)| *count >= min_pages).map(|(offset, _)| offset).collect()
}

/// Vertical positions, rounded by [`position_key`], at which many pages have a line with the page number.
fn page_number_positions(candidates: &[Candidate], min_pages: usize) -> HashSet<i32> {
    let mut counts: HashMap<i32, usize> = HashMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.key.contains('#')) {
        *counts.entry(position_key(candidate.top)).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count >= min_pages).map(|(top, _)| top).collect()
}

/// A vertical position in steps of two points, as a key for grouping.
fn position_key(top: f32) -> i32 {
    (top / 2.0).round() as i32
}

/// Removes items from a page's flow, unless too little text would remain.
fn drop_items(page: &mut PageText, dropped: &[usize]) {
    let remaining_items = upright_flow(page).iter().enumerate().filter(|(item, _)| !dropped.contains(item));
    let remaining_letters: usize = remaining_items.map(|(_, item)| count_letters(item)).sum();
    if dropped.is_empty() || remaining_letters < MIN_REMAINING {
        return;
    }
    if let Some(first) = page.flows.first_mut() {
        let mut item = 0;
        first.items.retain(|_| {
            item += 1;
            !dropped.contains(&(item - 1))
        });
    }
}

/// The left-to-right text of a page if that is its main direction, otherwise nothing.
fn upright_flow(page: &PageText) -> &[FlowItem] {
    let main = page.flows.first().filter(|flow| flow.direction == Direction::Right);
    main.map_or(&[], |flow: &DirectionFlow| &flow.items)
}

fn count_letters(item: &FlowItem) -> usize {
    item_text(item).map_or(0, |text| text.chars().filter(|c| c.is_alphanumeric()).count())
}

fn item_text(item: &FlowItem) -> Option<String> {
    match item {
        FlowItem::Line(line) => Some(line.text()),
        FlowItem::Table(table) => Some(table.rows.iter().map(TableRow::text).collect::<Vec<_>>().join("\n")),
        FlowItem::Break => None,
    }
}

/// Replaces page numbers with `#`. Other numbers stay, because lines that differ in them are different lines.
fn with_page_placeholder(text: &str, page: i64, offsets: &[i64]) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut out = String::with_capacity(text.len());
    for (at, word) in words.iter().enumerate() {
        let lower = word.to_lowercase();
        let trimmed = trim_punctuation(&lower);
        let at_edge = at == 0 || at + 1 == words.len();
        let after_label =
            at > 0 && matches!(words[at - 1].to_lowercase().as_str(), "page" | "seite" | "p." | "pg." | "of" | "von");
        let is_roman = !trimmed.is_empty() && trimmed.bytes().all(|b| b"ivxlc".contains(&b));
        let number = trimmed.parse::<u32>().ok().map(|number| i64::from(number) - page);
        let is_this_page = number.is_some_and(|offset| offsets.contains(&offset));
        if ((at_edge || after_label) && (is_this_page || is_roman)) || (words.len() == 1 && number.is_some()) {
            out.push('#');
        } else {
            out.push_str(&lower);
        }
    }
    out
}

/// Whether text is short and not a sentence.
fn is_short(text: &str) -> bool {
    text.chars().count() <= 80 && !text.ends_with('.')
}

/// The word without surrounding punctuation.
fn trim_punctuation(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// Whether a key is only a page number: `#`, `- # -`, `Page # of #`, `Seite #/#`.
fn is_page_number(key: &str) -> bool {
    let letters: String = key.chars().filter(|c| c.is_alphabetic()).collect();
    key.contains('#') && matches!(letters.as_str(), "" | "page" | "pageof" | "seite" | "seitevon" | "of" | "von")
}

#[cfg(test)]
mod tests {
    use super::super::layout::DirectionFlow;
    use super::super::lines::{Cell, Line};
    use super::*;

    fn line(text: &str, baseline: f32) -> FlowItem {
        let cells = vec![Cell { text: text.into(), left: 50.0, right: 300.0 }];
        FlowItem::Line(Line { cells, left: 50.0, right: 300.0, baseline, size: 10.0, bold: false, fixed_pitch: false })
    }

    fn lines_after_removal(texts: impl Fn(u32) -> Vec<FlowItem>, count: u32) -> Vec<Vec<String>> {
        let page = |number| PageText {
            number,
            height: 800.0,
            flows: vec![DirectionFlow { direction: Direction::Right, items: texts(number) }],
            tags: Vec::new(),
            scans: Vec::new(),
        };
        let mut pages: Vec<PageText> = (1..=count).map(page).collect();
        drop_repeated(&mut pages);
        pages.iter().map(|page| upright_flow(page).iter().filter_map(item_text).collect()).collect()
    }

    const BODY: &str = "Enough running text for a page of its own to be kept";

    #[test]
    fn a_header_is_kept_once_and_page_numbers_are_removed() {
        let pages = lines_after_removal(
            |n| vec![line("TM-0345 Rev. 3", 40.0), line(BODY, 400.0), line(&format!("Page {n} of 4"), 780.0)],
            4,
        );
        assert_eq!(pages[0], ["TM-0345 Rev. 3", BODY]);
        assert_eq!(pages[3], [BODY]);
    }

    #[test]
    fn lines_that_differ_in_other_numbers_are_kept() {
        let pages =
            lines_after_removal(|n| vec![line(&format!("Record {}", 7000 + 311 * n), 40.0), line(BODY, 400.0)], 4);
        assert_eq!(pages[3], ["Record 8244", BODY]);
    }

    #[test]
    fn lines_with_page_number_and_chapter_are_removed_even_if_chapters_are_short() {
        let pages =
            lines_after_removal(|n| vec![line(&format!("Chapter {} {}", n / 2, n + 12), 40.0), line(BODY, 400.0)], 9);
        assert!(pages[1..].iter().all(|page| page == &[BODY]), "{pages:?}");
    }

    #[test]
    fn sentences_with_the_page_number_are_kept() {
        let pages = lines_after_removal(
            |n| vec![line(&format!("Sheet {n} has words w{n} of its own"), 40.0), line(BODY, 400.0)],
            5,
        );
        assert_eq!(pages[3], ["Sheet 4 has words w4 of its own", BODY]);
    }

    #[test]
    fn a_page_without_other_text_keeps_its_line() {
        let pages = lines_after_removal(|n| vec![line(&format!("Page {n}"), 40.0)], 4);
        assert_eq!(pages[2], ["Page 3"]);
    }
}
