//! Builders of small office files for tests: workbooks, OpenDocument sheets and presentations.

use crate::mutate::build_zip;

const RELATIONSHIPS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// A sheet of a workbook.
pub struct SheetSource<'a> {
    pub name: &'a str,
    /// `visible`, `hidden` or `veryHidden`.
    pub state: &'a str,
    /// The content of `sheetData`.
    pub rows: String,
    /// What follows `sheetData`, such as merged cells.
    pub tail: &'a str,
}

impl<'a> SheetSource<'a> {
    /// A visible sheet with these rows.
    pub fn new(name: &'a str, rows: impl Into<String>) -> Self {
        Self { name, state: "visible", rows: rows.into(), tail: "" }
    }
}

/// A row of cells with text.
pub fn text_row(number: u32, cells: &[&str]) -> String {
    let cell = |(column, text): (u8, &&str)| {
        let letter = char::from(b'A' + column);
        format!("<c r='{letter}{number}' t='inlineStr'><is><t>{text}</t></is></c>")
    };
    let cells: String = (0..).zip(cells).map(cell).collect();
    format!("<row r='{number}'>{cells}</row>")
}

/// The parts of a workbook with these sheets and shared strings.
pub fn xlsx_parts(sheets: &[SheetSource<'_>], shared_strings: &str) -> Vec<(String, Vec<u8>)> {
    let spreadsheet = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let main = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let listed: String = (1..)
        .zip(sheets)
        .map(|(id, sheet)| {
            format!("<sheet name='{}' sheetId='{id}' state='{}' r:id='r{id}'/>", sheet.name, sheet.state)
        })
        .collect();
    let related: String = (1..=sheets.len())
        .map(|id| {
            format!("<Relationship Id='r{id}' Type='{RELATIONSHIPS}/worksheet' Target='worksheets/sheet{id}.xml'/>")
        })
        .collect();
    let styles = "<numFmts count='1'><numFmt numFmtId='164' formatCode='yyyy\\-mm\\-dd'/></numFmts>\
        <fonts count='1'><font/></fonts><fills count='1'><fill/></fills><borders count='1'><border/></borders>\
        <cellXfs count='3'><xf numFmtId='0'/><xf numFmtId='164' applyNumberFormat='1'/>\
        <xf numFmtId='9' applyNumberFormat='1'/></cellXfs>";
    let mut parts = vec![
        (
            "[Content_Types].xml".to_owned(),
            format!(
                "<Types xmlns='{package}/content-types'>\
                 <Override PartName='/xl/workbook.xml' ContentType='{main}'/></Types>"
            ),
        ),
        (
            "_rels/.rels".to_owned(),
            format!(
                "<Relationships xmlns='{package}/relationships'><Relationship Id='a' \
                 Type='{RELATIONSHIPS}/officeDocument' Target='xl/workbook.xml'/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!("<workbook xmlns='{spreadsheet}' xmlns:r='{RELATIONSHIPS}'><sheets>{listed}</sheets></workbook>"),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!("<Relationships xmlns='{package}/relationships'>{related}</Relationships>"),
        ),
        ("xl/styles.xml".to_owned(), format!("<styleSheet xmlns='{spreadsheet}'>{styles}</styleSheet>")),
    ];
    if !shared_strings.is_empty() {
        parts.push(("xl/sharedStrings.xml".to_owned(), shared_strings.to_owned()));
    }
    for (id, sheet) in (1..).zip(sheets) {
        let SheetSource { rows, tail, .. } = sheet;
        let text = format!("<worksheet xmlns='{spreadsheet}'><sheetData>{rows}</sheetData>{tail}</worksheet>");
        parts.push((format!("xl/worksheets/sheet{id}.xml"), text));
    }
    parts.into_iter().map(|(name, text)| (name, text.into_bytes())).collect()
}

/// A workbook with these sheets.
pub fn xlsx(sheets: &[SheetSource<'_>]) -> Vec<u8> {
    build_zip(&xlsx_parts(sheets, ""))
}

/// An OpenDocument spreadsheet with these styles and tables.
pub fn ods(styles: &str, tables: &str) -> Vec<u8> {
    let content = format!(
        "<office:document-content xmlns:office='o' xmlns:table='t' xmlns:text='x' xmlns:style='s'>\
         <office:automatic-styles>{styles}</office:automatic-styles><office:body><office:spreadsheet>{tables}\
         </office:spreadsheet></office:body></office:document-content>"
    );
    let parts = [
        ("mimetype", "application/vnd.oasis.opendocument.spreadsheet".to_owned()),
        ("META-INF/manifest.xml", "<manifest:manifest xmlns:manifest='m'/>".to_owned()),
        ("content.xml", content),
    ];
    build_zip(&parts.map(|(name, text)| (name.to_owned(), text.into_bytes())))
}

/// A presentation with these slides, and notes for the first.
pub fn pptx(slides: &[&str], notes: Option<&str>) -> Vec<u8> {
    let package = "http://schemas.openxmlformats.org/package/2006/relationships";
    let namespaces = format!("xmlns:p='p' xmlns:a='a' xmlns:r='{RELATIONSHIPS}'");
    let main = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml";
    let ids: String = (1..=slides.len()).map(|id| format!("<p:sldId id='{}' r:id='r{id}'/>", 255 + id)).collect();
    let related: String = (1..=slides.len())
        .map(|id| format!("<Relationship Id='r{id}' Type='{RELATIONSHIPS}/slide' Target='slides/slide{id}.xml'/>"))
        .collect();
    let mut parts = vec![
        (
            "[Content_Types].xml".to_owned(),
            format!("<Types><Override PartName='/ppt/presentation.xml' ContentType='{main}'/></Types>"),
        ),
        (
            "ppt/presentation.xml".to_owned(),
            format!("<p:presentation {namespaces}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"),
        ),
        (
            "ppt/_rels/presentation.xml.rels".to_owned(),
            format!("<Relationships xmlns='{package}'>{related}</Relationships>"),
        ),
    ];
    for (id, shapes) in (1..).zip(slides) {
        let show = if shapes.starts_with("<!--hidden-->") { "show='0'" } else { "" };
        let slide = format!("<p:sld {namespaces} {show}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:sld>");
        parts.push((format!("ppt/slides/slide{id}.xml"), slide));
    }
    if let Some(notes) = notes {
        let link =
            format!("<Relationship Id='n' Type='{RELATIONSHIPS}/notesSlide' Target='../notesSlides/notesSlide1.xml'/>");
        parts.push((
            "ppt/slides/_rels/slide1.xml.rels".to_owned(),
            format!("<Relationships xmlns='{package}'>{link}</Relationships>"),
        ));
        parts.push((
            "ppt/notesSlides/notesSlide1.xml".to_owned(),
            format!(
                "<p:notes {namespaces}><p:cSld><p:spTree>{}</p:spTree></p:cSld></p:notes>",
                shape("body", &[notes])
            ),
        ));
    }
    let parts: Vec<_> = parts.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
    build_zip(&parts)
}

/// A shape of a slide: a placeholder of this type with these paragraphs.
pub fn shape(kind: &str, paragraphs: &[&str]) -> String {
    let paragraphs: String = paragraphs.iter().map(|text| format!("<a:p><a:r><a:t>{text}</a:t></a:r></a:p>")).collect();
    format!(
        "<p:sp><p:nvSpPr><p:cNvPr id='2' name='x'/><p:nvPr><p:ph type='{kind}'/></p:nvPr></p:nvSpPr>\
         <p:txBody>{paragraphs}</p:txBody></p:sp>"
    )
}
