//! Headers and footers: lines that stand at the same place on page after page.

use std::collections::HashMap;

use super::layout::Flow;
use super::read::PageText;
use super::words::Direction;

/// The share of a page's height, at the top and at the bottom, in which they may stand.
const MARGIN: f32 = 0.13;
/// How far apart, in points, they may be from page to page.
const STRAY: f32 = 6.0;

/// Drops repeated headers and footers from all pages but the first that has them: a document number printed only
/// there stays findable. Bare page numbers go everywhere.
pub(super) fn drop_repeated(pages: &mut [PageText]) {
    let mut seen: HashMap<String, Vec<(usize, f32)>> = HashMap::new();
    for (at, page) in pages.iter().enumerate() {
        for (key, base) in candidates(page) {
            seen.entry(key).or_default().push((at, base));
        }
    }
    // In a short document two of two pages are enough, in a long one three.
    let enough = pages.len().clamp(2, 3);
    seen.retain(|_, places| places.len() >= enough);
    if seen.is_empty() {
        return;
    }
    for (at, page) in pages.iter_mut().enumerate() {
        let height = page.height;
        let Some(stratum) = page.strata.first_mut().filter(|stratum| stratum.direction == Direction::Right) else { continue };
        stratum.flow.retain(|item| {
            let Some((key, base)) = key(item, height) else { return true };
            let Some(places) = seen.get(&key) else { return true };
            let near = || places.iter().filter(|(_, other)| (other - base).abs() <= STRAY);
            let first = near().map(|(page, _)| *page).min() == Some(at);
            let repeated = near().count() >= enough;
            !repeated || (first && !is_page_number(&key))
        });
    }
}

fn candidates(page: &PageText) -> impl Iterator<Item = (String, f32)> + '_ {
    let stratum = page.strata.first().filter(|stratum| stratum.direction == Direction::Right);
    stratum.into_iter().flat_map(|stratum| &stratum.flow).filter_map(|item| key(item, page.height))
}

/// The text of something in a page's margin, with digits made alike, and where it stands.
fn key(item: &Flow, height: f32) -> Option<(String, f32)> {
    let (top, bottom, text) = match item {
        Flow::Line(line) => (line.top(), line.bottom(), line.text()),
        Flow::Table(table) => {
            let rows: Vec<String> = table.rows.iter().map(|row| row.text()).collect();
            (table.bounds.y0, table.bounds.y1, rows.join("\n"))
        }
        Flow::Break => return None,
    };
    let in_margin = bottom <= MARGIN * height || top >= (1.0 - MARGIN) * height;
    in_margin.then(|| (alike(&text), top))
}

/// Text with each number as `#`: page numbers and dates do not make lines differ.
fn alike(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        if !c.is_ascii_digit() {
            out.extend(c.to_lowercase());
        } else if !out.ends_with('#') {
            out.push('#');
        }
    }
    if !out.is_empty() && out.len() <= 8 && out.bytes().all(|b| b"ivxlcdm".contains(&b)) { "#".to_owned() } else { out }
}

/// `#`, `- # -`, `Page # of #`, `Seite #/#`.
fn is_page_number(key: &str) -> bool {
    let letters: String = key.chars().filter(|c| c.is_alphabetic()).collect();
    key.contains('#') && matches!(letters.as_str(), "" | "page" | "pageof" | "seite" | "seitevon" | "of" | "von" | "p" | "s" | "pagede")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_do_not_make_lines_differ() {
        assert_eq!(alike("Page 3 of 120"), "page#of#");
        assert_eq!(alike("xiv"), "#");
        assert!(is_page_number(&alike("Page 3 of 120")));
        assert!(!is_page_number(&alike("TM-0345 Rev. 3")));
    }
}
