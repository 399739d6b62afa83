//! The visible text of pages, well formed or not.

use super::*;

fn read(source: &str) -> ParsedDocument {
    HtmlReader.read(source.as_bytes(), &Limits::default()).unwrap()
}

fn lines(source: &str) -> Vec<String> {
    let blocks = read(source).pages.remove(0).blocks;
    let line = |block: Block| match block.kind {
        BlockKind::Heading { level } => format!("h{level}: {}", block.text),
        BlockKind::Paragraph => format!("p: {}", block.text),
        BlockKind::ListItem => format!("li: {}", block.text),
        BlockKind::TableRow { header: true } => format!("th: {}", block.text),
        BlockKind::TableRow { header: false } => format!("tr: {}", block.text),
        BlockKind::Code => format!("code: {}", block.text),
    };
    blocks.into_iter().map(line).collect()
}

#[test]
fn headings_paragraphs_and_lists_become_blocks() {
    let source = "<!DOCTYPE html><html><head><title>Pump P-101 manual</title></head><body><h1>Pump &amp; motor</h1>\
        <p>Open\n the <b>valve</b> V&#8209;12.<br>Then wait.<p>Second<ul><li>one<li>two<ol><li>deep</ol></ul>\
        <h2>Start</h2><pre>\nIF a\n  b := 1\n</pre>";
    assert_eq!(
        lines(source),
        [
            "h1: Pump & motor",
            "p: Open the valve V-12.\nThen wait.",
            "p: Second",
            "li: - one",
            "li: - two",
            "li:   1. deep",
            "h2: Start",
            "code: IF a\n  b := 1"
        ]
    );
    assert_eq!(read(source).title.as_deref(), Some("Pump P-101 manual"));
}

#[test]
fn scripts_styles_and_hidden_elements_are_left_out() {
    let source = "<p>kept<script>var a = '<p>no</p>';</script><style>p { no }</style><!-- no --><template>no</template>\
        <span style='display:none'>no</span> too<div hidden>no<p>no</div><p>end<svg><text>no</text></svg>";
    assert_eq!(lines(source), ["p: kept too", "p: end"]);
    assert_eq!(read(source).warnings, [Warning::HiddenText { pages: Vec::new() }]);
    assert_eq!(read("<p>kept<script>no</script>").warnings, []);
    assert_eq!(lines("<p hidden>no<p>kept"), ["p: kept"]);
}

#[test]
fn tables_become_rows_with_a_header() {
    let source = "<table><caption>Limits</caption><thead><tr><th>Tag<th colspan=2>Limits</thead>\
        <tr><td>PIT-1001<td>0<td>16 bar<tr><td rowspan=2>TI-2<td>0<td>150 °C<tr><td>1<td>140 °C</table>";
    assert_eq!(
        lines(source),
        [
            "th: Limits",
            "th: Tag | Limits | Limits",
            "tr: PIT-1001 | 0 | 16 bar",
            "tr: TI-2 | 0 | 150 °C",
            "tr: TI-2 | 1 | 140 °C"
        ]
    );
    assert_eq!(lines("<table><tr><td>Tag<td>Unit<tr><td>PIT-1<td>bar</table>"), ["th: Tag | Unit", "tr: PIT-1 | bar"]);
}

#[test]
fn a_table_that_arranges_a_page_is_no_table() {
    let source = "<table><tr><td><h2>Menu</h2></td><td><p>Text.</p>\
        <table><tr><th>A<th>B<tr><td>1<td>2</table></td></tr></table>";
    assert_eq!(lines(source), ["h2: Menu", "p: Text.", "th: A | B", "tr: 1 | 2"]);
    assert_eq!(lines("<table><tr><td>One<tr><td>Two</table>"), ["p: One", "p: Two"]);
}

#[test]
fn the_declared_encoding_is_used_unless_the_bytes_say_otherwise() {
    let latin = b"<html><meta charset='iso-8859-2'><p>\xB9koda 4 bar and more text";
    let document = HtmlReader.read(latin, &Limits::default()).unwrap();
    assert_eq!(document.pages[0].blocks[0].text, "škoda 4 bar and more text");
    assert_eq!(lines("<meta charset=iso-8859-1><p>Größe"), ["p: Größe"]);
}

#[test]
fn bad_nesting_neither_hides_nor_shows_what_it_should_not() {
    assert_eq!(lines("<div hidden><b>no</div></b><p>kept</p>"), ["p: kept"]);
    assert_eq!(lines("</p></div><p>kept</b>"), ["p: kept"]);
    assert_eq!(lines("<div><template></div>no</template>kept</div>"), ["p: kept"]);
    assert_eq!(lines("<p>one<svg><text>no<p>two"), ["p: one", "p: two"]);
    let deep = format!("{}<p>kept", "<div>".repeat(50_000));
    assert_eq!(lines(&deep), ["p: kept"]);
}
