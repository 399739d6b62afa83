//! Workbooks, OpenDocument sheets and presentations: their text, pages, cells and warnings, in both processes.

use tools::ingest::readers::{BlockKind, Limits, ParsedDocument, Warning};

use crate::mutate::build_zip;
use crate::office::{SheetSource, ods, pptx, shape, text_row, xlsx, xlsx_parts};
use crate::support::{lines, read_in_both_processes};

fn read(bytes: &[u8], name: &str) -> ParsedDocument {
    read_in_both_processes(bytes, name, &Limits::default()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn ranges(document: &ParsedDocument) -> Vec<String> {
    let blocks = document.pages.iter().flat_map(|page| &page.blocks);
    blocks.filter_map(|block| Some(block.sheet_row.as_ref()?.range().to_string())).collect()
}

#[test]
fn a_workbook_has_a_page_per_visible_sheet_with_its_number_and_name() {
    let rows = [
        text_row(1, &["Alarm list, unit 100"]),
        text_row(3, &["Tag", "Description", "Limit", "Set on", "Share"]),
        "<row r='4'><c r='A4' t='inlineStr'><is><t>PIT-1001</t></is></c>\
         <c r='B4' t='inlineStr'><is><t>Discharge &amp; return</t></is></c>\
         <c r='C4'><f>8*2</f><v>16.000000000000004</v></c><c r='D4' s='1'><v>46093</v></c>\
         <c r='E4' s='2'><v>0.07</v></c></row>"
            .to_owned(),
        "<row r='5'><c r='A5' t='inlineStr'><is><t>PIT-1002</t></is></c><c r='C5'><f>1/0</f></c></row>".to_owned(),
    ];
    let hidden = SheetSource { state: "hidden", ..SheetSource::new("Lists", text_row(1, &["secret", "list"])) };
    let document = read(&xlsx(&[SheetSource::new("Alarms", rows.concat()), hidden]), "alarms.xlsx");
    assert_eq!(
        lines(&document),
        [
            "th: Sheet 'Alarms': Alarm list, unit 100",
            "th: Tag | Description | Limit | Set on | Share",
            "tr: PIT-1001 | Discharge & return | 16 | 2026-03-12 | 7%",
            "tr: PIT-1002"
        ]
    );
    let page = &document.pages[0];
    assert_eq!((page.number, page.label.as_deref(), document.page_count), (Some(1), Some("Alarms"), Some(2)));
    assert_eq!(ranges(&document), ["A1:E1", "A3:E3", "A4:E4", "A5:E5"]);
    assert_eq!(
        document.warnings,
        [Warning::HiddenSheets { pages: vec![2] }, Warning::FormulasWithoutValue { cells: 1 }]
    );
}

#[test]
fn merged_cells_make_a_header_of_two_rows() {
    let rows = [
        text_row(1, &["Tag", "Limits"]),
        "<row r='2'><c r='B2' t='inlineStr'><is><t>Low</t></is></c>\
         <c r='C2' t='inlineStr'><is><t>High</t></is></c></row>"
            .to_owned(),
        "<row r='3'><c r='A3' t='inlineStr'><is><t>LT-1</t></is></c><c r='B3'><v>1</v></c><c r='C3'><v>9</v></c></row>"
            .to_owned(),
    ];
    let tail = "<mergeCells count='2'><mergeCell ref='A1:A2'/><mergeCell ref='B1:C1'/></mergeCells>";
    let sheet = SheetSource { tail, ..SheetSource::new("Limits", rows.concat()) };
    let document = read(&xlsx(&[sheet]), "limits.xlsx");
    assert_eq!(lines(&document), ["th: Sheet 'Limits'", "th: Tag | Limits / Low | Limits / High", "tr: LT-1 | 1 | 9"]);
}

#[test]
fn macros_are_left_out_and_said() {
    let mut parts = xlsx_parts(&[SheetSource::new("A", text_row(1, &["Pump", "runs"]))], "");
    parts.push(("xl/vbaProject.bin".to_owned(), b"\xD0\xCF\x11\xE0 Sub AutoOpen".to_vec()));
    let document = read(&build_zip(&parts), "macros.xlsm");
    assert_eq!(document.warnings, [Warning::Macros]);
    assert!(lines(&document).concat().contains("Pump | runs"));
}

#[test]
fn an_open_document_sheet_is_read_with_repeated_cells_and_without_comments() {
    let styles = "<style:style style:name='ta1'><style:table-properties table:display='false'/></style:style>";
    let cell =
        |text: &str| format!("<table:table-cell office:value-type='string'><text:p>{text}</text:p></table:table-cell>");
    let tables = format!(
        "<table:table table:name='Alarms'><table:table-column table:number-columns-repeated='1024'/>\
         <table:table-row>{}{}{}</table:table-row>\
         <table:table-row>{}<table:table-cell table:number-columns-repeated='2' office:value-type='float' \
         office:value='16'><office:annotation><text:p>note</text:p></office:annotation><text:p>16 bar</text:p>\
         </table:table-cell><table:table-cell table:number-columns-repeated='16000'/></table:table-row>\
         <table:table-row table:number-rows-repeated='1048000'><table:table-cell/></table:table-row></table:table>\
         <table:table table:name='Hidden' table:style-name='ta1'><table:table-row>{}</table:table-row></table:table>",
        cell("Tag"),
        cell("Low"),
        cell("High"),
        cell("PIT-1001"),
        cell("secret"),
    );
    let document = read(&ods(styles, &tables), "alarms.ods");
    assert_eq!(lines(&document), ["th: Sheet 'Alarms'", "th: Tag | Low | High", "tr: PIT-1001 | 16 bar | 16 bar"]);
    assert_eq!(document.warnings, [Warning::HiddenSheets { pages: vec![2] }]);
}

#[test]
fn slides_are_pages_with_title_points_table_and_notes() {
    let table = "<p:graphicFrame><a:graphic><a:tbl><a:tblPr firstRow='1'/>\
        <a:tr><a:tc><a:txBody><a:p><a:r><a:t>Tag</a:t></a:r></a:p></a:txBody></a:tc>\
        <a:tc><a:txBody><a:p><a:r><a:t>Limit</a:t></a:r></a:p></a:txBody></a:tc></a:tr>\
        <a:tr><a:tc><a:txBody><a:p><a:r><a:t>PIT-1</a:t></a:r></a:p></a:txBody></a:tc>\
        <a:tc><a:txBody><a:p><a:r><a:t>16 bar</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl>\
        </a:graphic></p:graphicFrame>";
    let first =
        [shape("body", &["open", "wait"]), table.to_owned(), shape("title", &["Start-up"]), shape("sldNum", &["1"])];
    let hidden = format!("<!--hidden-->{}", shape("title", &["Secret"]));
    let document =
        read(&pptx(&[&first.concat(), &hidden, &shape("title", &["End"])], Some("Say it slowly.")), "a.pptx");
    assert_eq!(
        lines(&document),
        [
            "h1: Start-up",
            "li: - open",
            "li: - wait",
            "th: Tag | Limit",
            "tr: PIT-1 | 16 bar",
            "h2: Notes",
            "p: Say it slowly.",
            "h1: End"
        ]
    );
    let numbers: Vec<_> = document.pages.iter().map(|page| page.number).collect();
    assert_eq!((numbers.as_slice(), document.page_count), ([Some(1), Some(3)].as_slice(), Some(3)));
    assert_eq!(document.warnings, [Warning::HiddenSheets { pages: vec![2] }]);
    assert_eq!(document.title.as_deref(), Some("Start-up"));
}

#[test]
fn a_long_sheet_is_split_into_pages_that_repeat_the_header() {
    let rows: String = (2..5_000).map(|n| text_row(n, &[&format!("PIT-{n}"), "Discharge"])).collect();
    let document = read(&xlsx(&[SheetSource::new("A", text_row(1, &["Tag", "Service"]) + &rows)]), "long.xlsx");
    assert_eq!(document.pages.len(), 3);
    for page in &document.pages {
        assert_eq!(page.number, Some(1));
        assert_eq!(
            (page.blocks[1].kind, page.blocks[1].text.as_str()),
            (BlockKind::TableRow { header: true }, "Tag | Service")
        );
    }
}
