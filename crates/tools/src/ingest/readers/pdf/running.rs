//! Headers and footers: lines that stand at the same place on page after page.

use std::collections::HashMap;

use super::layout::Flow;
use super::read::PageText;
use super::ruled::TableRow;
use super::words::Direction;

/// The share of a page's height, at the top and at the bottom, in which they may stand.
const MARGIN: f32 = 0.1;
/// The same for a frame with several lines in it.
const TABLE_MARGIN: f32 = 0.15;
/// How far apart, in points, they may be from page to page.
const STRAY: f32 = 6.0;
/// A number this near the page's own counts as a page number: front matter shifts the count.
const FRONT_MATTER: u32 = 60;
/// A page keeps everything when it would otherwise keep fewer letters and digits than this.
const FEWEST_LEFT: usize = 30;

/// Where a repeated line was seen: index of the page, and distance from its top.
type Place = (usize, f32);

/// Drops repeated headers and footers from all pages but the first that has them: a document number printed only
/// there stays findable. Bare page numbers go everywhere.
pub(super) fn drop_repeated(pages: &mut [PageText]) {
    let mut seen: HashMap<String, Vec<Place>> = HashMap::new();
    for (at, page) in pages.iter().enumerate() {
        for (key, top) in upright_flow(page).iter().filter_map(|item| key(item, page.number, page.height)) {
            seen.entry(key).or_default().push((at, top));
        }
    }
    // In a short document two of two pages are enough, in a longer one three.
    let enough = pages.len().clamp(2, 3);
    seen.retain(|_, places| places.len() >= enough);
    for (at, page) in pages.iter_mut().enumerate() {
        let kept: Vec<bool> = upright_flow(page).iter().map(|item| keeps(item, at, page, &seen, enough)).collect();
        let left: usize =
            upright_flow(page).iter().zip(&kept).filter(|(_, kept)| **kept).map(|(item, _)| letters(item)).sum();
        if left < FEWEST_LEFT || kept.iter().all(|kept| *kept) {
            continue;
        }
        let mut kept = kept.into_iter();
        if let Some(stratum) = page.strata.first_mut() {
            stratum.flow.retain(|_| kept.next().unwrap_or(true));
        }
    }
}

/// The text of a page that runs to the right, when that is most of it.
fn upright_flow(page: &PageText) -> &[Flow] {
    let stratum = page.strata.first().filter(|stratum| stratum.direction == Direction::Right);
    stratum.map_or(&[], |stratum| &stratum.flow)
}

fn keeps(item: &Flow, at: usize, page: &PageText, seen: &HashMap<String, Vec<Place>>, enough: usize) -> bool {
    let Some((key, top)) = key(item, page.number, page.height) else { return true };
    let Some(places) = seen.get(&key) else { return true };
    let near = || places.iter().filter(|(_, other)| (other - top).abs() <= STRAY);
    let first = near().map(|(page, _)| *page).min() == Some(at);
    near().count() < enough || (first && !is_page_number(&key))
}

fn letters(item: &Flow) -> usize {
    text(item).map_or(0, |text| text.chars().filter(|c| c.is_alphanumeric()).count())
}

fn text(item: &Flow) -> Option<String> {
    match item {
        Flow::Line(line) => Some(line.text()),
        Flow::Table(table) => Some(table.rows.iter().map(TableRow::text).collect::<Vec<_>>().join("\n")),
        Flow::Break => None,
    }
}

/// The text of something in a page's margin, with page numbers made alike, and how far down it stands.
fn key(item: &Flow, page: u32, height: f32) -> Option<(String, f32)> {
    let (top, bottom, margin) = match item {
        Flow::Line(line) => (line.top(), line.bottom(), MARGIN),
        Flow::Table(table) => (table.bounds.y0, table.bounds.y1, TABLE_MARGIN),
        Flow::Break => return None,
    };
    let in_margin = bottom <= margin * height || top >= (1.0 - margin) * height;
    in_margin.then(|| text(item).map(|text| (alike(&text, page), top)))?
}

/// Text with page numbers as `#`. Other numbers stay: lines that differ in them say different things.
fn alike(text: &str, page: u32) -> String {
    let mut out = String::with_capacity(text.len());
    let alone = text.split_whitespace().count() == 1;
    for word in text.split_whitespace() {
        let lower = word.to_lowercase();
        let bare = lower.trim_matches(|c: char| !c.is_alphanumeric());
        let roman = !bare.is_empty() && bare.bytes().all(|b| b"ivxlc".contains(&b));
        let digits = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit());
        let near = digits && bare.parse::<u32>().is_ok_and(|number| number.abs_diff(page) <= FRONT_MATTER);
        if near || (roman && (alone || out.ends_with("page"))) || (alone && digits) {
            out.push('#');
        } else {
            out.push_str(&lower);
        }
    }
    out
}

/// `#`, `- # -`, `Page # of #`, `Seite #/#`.
fn is_page_number(key: &str) -> bool {
    let letters: String = key.chars().filter(|c| c.is_alphabetic()).collect();
    key.contains('#') && matches!(letters.as_str(), "" | "page" | "pageof" | "seite" | "seitevon" | "of" | "von")
}

#[cfg(test)]
mod tests {
    use super::super::layout::Stratum;
    use super::super::lines::{Cell, Line};
    use super::*;

    fn line(text: &str, base: f32) -> Flow {
        let cells = vec![Cell { text: text.into(), left: 50.0, right: 300.0 }];
        Flow::Line(Line { cells, left: 50.0, right: 300.0, base, size: 10.0, bold: false, fixed: false })
    }

    fn after(texts: impl Fn(u32) -> Vec<Flow>, count: u32) -> Vec<Vec<String>> {
        let page = |number| PageText {
            number,
            height: 800.0,
            strata: vec![Stratum { direction: Direction::Right, flow: texts(number) }],
        };
        let mut pages: Vec<PageText> = (1..=count).map(page).collect();
        drop_repeated(&mut pages);
        pages.iter().map(|page| upright_flow(page).iter().filter_map(text).collect()).collect()
    }

    const BODY: &str = "Enough running text for a page of its own to be kept";

    #[test]
    fn a_header_stays_once_and_page_numbers_go() {
        let pages =
            after(|n| vec![line("TM-0345 Rev. 3", 40.0), line(BODY, 400.0), line(&format!("Page {n} of 4"), 780.0)], 4);
        assert_eq!(pages[0], ["TM-0345 Rev. 3", BODY]);
        assert_eq!(pages[3], [BODY]);
    }

    #[test]
    fn lines_that_differ_in_other_numbers_stay() {
        let pages = after(|n| vec![line(&format!("Record {}", 7000 + 311 * n), 40.0), line(BODY, 400.0)], 4);
        assert_eq!(pages[3], ["Record 8244", BODY]);
    }

    #[test]
    fn a_page_with_nothing_else_keeps_its_line() {
        let pages = after(|n| vec![line(&format!("Page {n}"), 40.0)], 4);
        assert_eq!(pages[2], ["Page 3"]);
    }
}
