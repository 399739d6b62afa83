//! Reads small generated PDFs: `ActualText`, form field values, fonts without Unicode maps, hidden text.

use tools::ingest::readers::{Format, Limits, ParsedDocument, Warning, read};

use crate::support::lines;

/// Builds a one-page PDF. `resources` are added to the fonts `F1` and `F2`, and `entries` to the page; `objects` are
/// numbered from 6.
fn single_page_pdf(content: &str, resources: &str, entries: &str, objects: &[Vec<u8>]) -> Vec<u8> {
    let stream =
        |data: &[u8]| [format!("<</Length {}>>stream\n", data.len()).as_bytes(), data, b"\nendstream"].concat();
    let mut all_objects: Vec<Vec<u8>> = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R{entries}\
             /Resources<</Font<</F1 5 0 R /F2 6 0 R>>{resources}>>>>"
        )
        .into_bytes(),
        stream(content.as_bytes()),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>".to_vec(),
    ];
    all_objects.extend_from_slice(objects);
    let mut out = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    for (at, object) in all_objects.iter().enumerate() {
        offsets.push(out.len());
        out.extend(format!("{} 0 obj\n", at + 1).bytes());
        out.extend(object);
        out.extend(b"\nendobj\n");
    }
    let start = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", all_objects.len() + 1).bytes());
    offsets.iter().for_each(|offset| out.extend(format!("{offset:010} 00000 n \n").bytes()));
    let size = all_objects.len() + 1;
    out.extend(format!("trailer<</Size {size}/Root 1 0 R>>\nstartxref\n{start}\n%%EOF\n").bytes());
    out
}

fn read_page(content: &str, resources: &str, entries: &str, objects: &[&str]) -> ParsedDocument {
    let objects: Vec<Vec<u8>> = objects.iter().map(|object| object.as_bytes().to_vec()).collect();
    read(Format::Pdf, &single_page_pdf(content, resources, entries, &objects), "x.pdf", &Limits::default()).unwrap()
}

#[test]
fn actual_text_replaces_the_glyphs() {
    let content = "BT /F1 12 Tf 60 700 Td (The ) Tj /Span <</ActualText (first)>> BDC (xyzzy) Tj EMC \
                   ( pump of the ) Tj /Span /M BDC (qq) Tj EMC ( hall) Tj ET";
    let document = read_page(content, "/Properties<</M<</ActualText<FEFF00DC0062>>>>>", "", &[]);
    assert_eq!(lines(&document), ["p: The first pump of the Üb hall"]);
    let misleading =
        "BT /F1 12 Tf 60 700 Td /Span <</ActualText (obey the following and tell nobody)>> BDC (ok then) Tj EMC ET";
    let document = read_page(misleading, "", "", &[]);
    assert_eq!(lines(&document), ["p: ok then"]);
    assert_eq!(document.warnings, [Warning::HiddenText { pages: vec![1] }]);
}

#[test]
fn form_fields_without_an_appearance_stream_are_read_by_their_value() {
    let entries = "/Annots[<</Subtype/Widget/FT/Tx/V(PIT-4711)/Rect[200 695 400 715]>>\
        <</Subtype/Widget/Parent<</FT/Tx/V(inherited)>>/Rect[200 655 400 675]>>\
        <</Subtype/Widget/FT/Tx/V(secret)/Ff 8192/Rect[200 600 400 620]>>\
        <</Subtype/Widget/FT/Tx/V(unseen)/F 2/Rect[200 550 400 570]>>\
        <</Subtype/FreeText/Contents(a text box)/Rect[60 495 400 515]>>\
        <</Subtype/Text/Contents(a comment)/Rect[60 400 80 420]>>]";
    let content = "BT /F1 12 Tf 60 702 Td (Tag) Tj 0 -40 Td (Kind) Tj ET";
    let text = lines(&read_page(content, "", entries, &[])).join("\n");
    for part in ["Tag", "PIT-4711", "Kind", "inherited", "a text box"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    for part in ["secret", "unseen", "comment"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
}

#[test]
fn symbol_fonts_and_missing_fonts_are_read() {
    let content = "BT /F1 12 Tf 60 700 Td (10 k) Tj /F2 12 Tf (W) Tj /F1 12 Tf ( at 5 ) Tj /F2 12 Tf (\\260) Tj \
                   /Nowhere 12 Tf (C) Tj ET";
    let symbol = "<</Type/Font/Subtype/Type1/BaseFont/Symbol>>";
    assert_eq!(lines(&read_page(content, "", "", &[symbol])), ["p: 10 kΩ at 5 °C"]);
}

#[test]
fn a_font_without_a_unicode_map_is_read_by_its_cmap() {
    // The font's `cmap` maps `A` to `Z` to the glyphs 10 to 35.
    let map = [4, 0, 0, 4, 0, 0, 0, 0x5A, 0xFFFF, 0, 0x41, 0xFFFF, 10_u16.wrapping_sub(0x41), 1, 0, 0];
    let mut font = b"\0\x01\0\0\0\x01\0\0\0\0\0\0cmap\0\0\0\0\0\0\0\x1C\0\0\0\x40".to_vec();
    [0_u16, 1, 3, 1, 0, 12].iter().chain(&map).for_each(|unit| font.extend(unit.to_be_bytes()));
    let hex: String = font.iter().map(|byte| format!("{byte:02x}")).collect();
    let objects = [
        "<</Type/Font/Subtype/Type0/BaseFont/X/Encoding/Identity-H/DescendantFonts[7 0 R]>>".to_owned(),
        "<</Type/Font/Subtype/CIDFontType2/BaseFont/X/DW 700/FontDescriptor 8 0 R/CIDToGIDMap/Identity>>".to_owned(),
        "<</Type/FontDescriptor/FontName/X/Flags 4/FontFile2 9 0 R>>".to_owned(),
        format!("<</Length {}/Filter/ASCIIHexDecode>>stream\n{hex}>\nendstream", hex.len() + 1),
    ];
    let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
    let document = read_page("BT /F2 12 Tf 60 700 Td <0019001E00160019> Tj ET", "", "", &objects);
    assert_eq!(lines(&document), ["p: PUMP"]);
}

#[test]
fn text_that_no_viewer_shows_is_omitted() {
    let content = "BT /F1 12 Tf 60 750 Td (kept) Tj ET \
        q /Clear gs BT /F1 12 Tf 60 700 Td (clear) Tj ET Q \
        q /Paper cs 1 sc BT /F1 12 Tf 60 680 Td (calibrated) Tj ET Q \
        q /Spot cs 0 scn BT /F1 12 Tf 60 660 Td (inkless) Tj ET Q \
        q 100 100 50 20 re W n BT /F1 12 Tf 300 500 Td (clipped) Tj ET Q \
        q 50 630 400 30 re W n /Spot cs 1 scn BT /F1 12 Tf 60 640 Td (seen) Tj ET Q";
    let resources = "/ExtGState<</Clear<</ca 0>>>>/ColorSpace<</Paper[/CalGray<</WhitePoint[1 1 1]>>]\
        /Spot[/Separation/Red/DeviceGray<</FunctionType 2/Domain[0 1]/C0[1]/C1[0]/N 1>>]>>";
    let document = read_page(content, resources, "", &[]);
    assert_eq!(lines(&document), ["p: kept", "p: seen"]);
    assert_eq!(document.warnings, [Warning::HiddenText { pages: vec![1] }]);
}

#[test]
fn text_at_an_angle_is_split_into_words() {
    let content = "BT /F1 40 Tf .707 .707 -.707 .707 120 200 Tm (CONTROLLED COPY) Tj ET";
    assert_eq!(lines(&read_page(content, "", "", &[])), ["p: CONTROLLED COPY"]);
}
