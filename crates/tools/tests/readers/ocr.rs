//! OCR of scanned pages: images are returned on request, and recognized by a sandboxed program. One test needs
//! `tesseract` and is skipped if it is not installed.

use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object, Stream, dictionary};
use tools::ingest::isolate::ChildLimits;
use tools::ingest::isolate::launch::Launcher;
use tools::ingest::ocr::{OcrSettings, recognize};
use tools::ingest::readers::{
    Format, Limits, Page, ParsedDocument, ReadError, Scan, ScanFormat, ScanLimits, Warning, read,
};

/// Letters of 5 by 7 dots; each number is a row, whose bits are its dots from left to right.
const FONT: [(char, [u8; 7]); 8] = [
    ('P', [30, 17, 17, 30, 16, 16, 16]),
    ('U', [17, 17, 17, 17, 17, 17, 14]),
    ('M', [17, 27, 21, 21, 17, 17, 17]),
    ('V', [17, 17, 17, 17, 17, 10, 4]),
    ('A', [14, 17, 17, 31, 17, 17, 17]),
    ('L', [16, 16, 16, 16, 16, 16, 31]),
    ('E', [31, 16, 16, 30, 16, 16, 31]),
    ('O', [14, 17, 17, 17, 17, 17, 14]),
];

/// Draws a grayscale page of 850 by 1100 pixels with `text` in large letters.
fn draw_page(text: &str) -> Vec<u8> {
    const DOT: usize = 6;
    let mut dots = vec![255; 850 * 1100];
    for (at, c) in text.chars().enumerate() {
        let Some((_, rows)) = FONT.iter().find(|(letter, _)| *letter == c) else { continue };
        for (y, row) in rows.iter().enumerate() {
            for x in (0..5).filter(|x| row >> (4 - x) & 1 == 1) {
                for dot in 0..DOT * DOT {
                    let (x, y) = (60 + (at * 6 + x) * DOT + dot % DOT, 300 + y * DOT + dot / DOT);
                    dots[y * 850 + x] = 0;
                }
            }
        }
    }
    dots
}

/// Builds a PDF with `count` pages, each of them an image of `text` with `stamp` printed over it.
fn scanned_pdf(count: usize, text: &str, stamp: &str) -> Vec<u8> {
    let mut file = Document::with_version("1.7");
    let pages = file.new_object_id();
    let image = dictionary! {
        "Type" => "XObject", "Subtype" => "Image", "Width" => 850, "Height" => 1100, "BitsPerComponent" => 8,
        "ColorSpace" => "DeviceGray",
    };
    let mut image = Stream::new(image, draw_page(text));
    image.compress().unwrap();
    let image = file.add_object(image);
    let operation = |name: &str, operands: &[i32]| Operation::new(name, operands.iter().map(|n| (*n).into()).collect());
    let draw = Operation::new("Do", vec!["I".into()]);
    let font = dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica" };
    let stamp = Operation::new("Tj", vec![Object::string_literal(stamp)]);
    let size = Operation::new("Tf", vec!["F".into(), 9.into()]);
    let operations = vec![
        operation("q", &[]),
        operation("cm", &[612, 0, 0, 792, 0, 0]),
        draw,
        operation("Q", &[]),
        operation("BT", &[]),
        size,
        operation("Td", &[300, 20]),
        stamp,
        operation("ET", &[]),
    ];
    let content = Content { operations };
    let content = file.add_object(Stream::new(Dictionary::new(), content.encode().unwrap()));
    let kids: Vec<Object> = (0..count)
        .map(|_| {
            let page = dictionary! {
                "Type" => "Page", "Parent" => pages, "MediaBox" => vec![0.into(), 0.into(), 612.into(), 792.into()],
                "Contents" => content, "Resources" => dictionary! {
                    "XObject" => dictionary! { "I" => image }, "Font" => dictionary! { "F" => font.clone() },
                },
            };
            file.add_object(page).into()
        })
        .collect();
    let tree = dictionary! { "Type" => "Pages", "Count" => count as i64, "Kids" => kids };
    file.objects.insert(pages, Object::Dictionary(tree));
    let catalog = file.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
    file.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    file.save_to(&mut bytes).unwrap();
    bytes
}

fn limits_with_scans(max_pages: u32, max_bytes: u64) -> Limits {
    Limits { scans: Some(ScanLimits { max_pages, max_bytes }), ..Limits::default() }
}

#[test]
fn images_are_returned_only_on_request_and_within_limits() {
    let file = scanned_pdf(3, "PUMP", "");
    let read = |limits: &Limits| read(Format::Pdf, &file, "s.pdf", limits);
    assert_eq!(read(&Limits::default()), Err(ReadError::NoText));
    let image_bytes = (850 * 1100 + 16) as u64;
    let scans = |limits: &Limits| {
        let document = read(limits).unwrap();
        assert_eq!(document.warnings, [Warning::NeedsOcr { pages: vec![1, 2, 3] }]);
        document.pages.iter().map(|page| (page.number, page.scans.len())).collect::<Vec<_>>()
    };
    assert_eq!(scans(&limits_with_scans(2, 64 << 20)), [(Some(1), 1), (Some(2), 1)]);
    assert_eq!(scans(&limits_with_scans(9, image_bytes)), [(Some(1), 1)]);
    let scan = read(&limits_with_scans(1, image_bytes)).unwrap().pages[0].scans[0].clone();
    assert!(scan.format == ScanFormat::Pnm && scan.bytes.starts_with(b"P5\n850 1100\n255\n"));
}

#[test]
fn a_stamp_on_a_scan_is_not_its_text() {
    let document = read(Format::Pdf, &scanned_pdf(1, "PUMP", "Page 1"), "s.pdf", &Limits::default()).unwrap();
    assert_eq!(document.pages[0].blocks[0].text, "Page 1");
    assert_eq!(document.warnings, [Warning::NeedsOcr { pages: vec![1] }]);
}

#[tokio::test]
async fn a_scan_is_recognized_if_the_program_is_installed() {
    if Command::new("tesseract").arg("--version").output().is_err() {
        eprintln!("skipped: tesseract is not installed");
        return;
    }
    let document = read(Format::Pdf, &scanned_pdf(1, "PUMP", ""), "s.pdf", &limits_with_scans(1, 64 << 20)).unwrap();
    let recognized = recognize(document, &OcrSettings::new(launcher())).await.unwrap();
    assert_eq!(recognized.pages[0].blocks[0].text, "PUMP");
    assert_eq!(recognized.warnings, [Warning::Recognized { pages: vec![1] }]);
    assert!(recognized.pages[0].scans.is_empty());
}

fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_parse-document").into(), args: vec!["become".to_owned()] }
}

const MISBEHAVING_RECOGNIZER: &str = env!("CARGO_BIN_EXE_misbehaving-recognizer");

/// Settings that run a program that misbehaves in this way instead of tesseract.
fn misbehaving(behavior: &str) -> OcrSettings {
    let limits = ChildLimits { memory_bytes: 256 << 20, cpu_time: Duration::from_secs(1) };
    let default = OcrSettings::new(launcher());
    OcrSettings { program: MISBEHAVING_RECOGNIZER.into(), languages: behavior.to_owned(), limits, ..default }
}

/// A document of one page with this image and no text.
fn scanned_document(image: &[u8]) -> ParsedDocument {
    let scan = Scan { format: ScanFormat::Pnm, bytes: image.to_vec() };
    let page = Page { number: Some(1), scans: vec![scan], ..Page::default() };
    let warnings = vec![Warning::NeedsOcr { pages: vec![1] }];
    ParsedDocument { pages: vec![page], page_count: Some(1), warnings, ..ParsedDocument::default() }
}

/// The lines that the sandboxed program outputs as recognized text.
async fn recognized_lines(settings: &OcrSettings) -> Result<Vec<String>, ReadError> {
    let recognized = recognize(scanned_document(b"P5 1 1 255 0"), settings).await?;
    Ok(recognized.pages.into_iter().flat_map(|page| page.blocks).map(|block| block.text).collect())
}

/// The lines that the same program outputs outside the sandbox.
fn unconfined_lines(behavior: &str) -> Vec<String> {
    let mut command = Command::new(MISBEHAVING_RECOGNIZER);
    command.args(["stdin", "stdout", "-l", behavior, "--psm", "1", "tsv"]).stdin(std::process::Stdio::null());
    let table = String::from_utf8(command.output().unwrap().stdout).unwrap();
    table.lines().filter_map(|row| row.split('\t').nth(11)).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_recognizer_cannot_access_files_sockets_or_programs() {
    let unconfined = unconfined_lines("probe");
    for line in &unconfined {
        // The kernel never allows writing to the file of a running program.
        assert!(
            line.ends_with(": yes") || line.starts_with("write to its own file"),
            "must be possible outside the sandbox: {line}"
        );
    }
    let confined = recognized_lines(&misbehaving("probe")).await.unwrap();
    assert_eq!((unconfined.len(), confined.len()), (15, 15), "{confined:?}");
    for line in confined {
        assert!(line.ends_with(": no"), "must be impossible in the sandbox: {line}");
    }
}

#[tokio::test]
async fn a_recognizer_gets_the_image_and_a_minimal_environment() {
    assert_eq!(recognized_lines(&misbehaving("copy")).await.unwrap(), ["P5 1 1 255 0"]);
    assert!(unconfined_lines("environment").len() > 1, "this process has an environment");
    assert_eq!(recognized_lines(&misbehaving("environment")).await.unwrap(), ["OMP_THREAD_LIMIT is 1"]);
    let with_training_data = OcrSettings { training_data: Some("/srv/tessdata".into()), ..misbehaving("environment") };
    assert_eq!(
        recognized_lines(&with_training_data).await.unwrap(),
        ["OMP_THREAD_LIMIT is 1", "TESSDATA_PREFIX is /srv/tessdata"]
    );
}

#[tokio::test]
async fn memory_time_and_output_of_a_recognizer_are_limited() {
    assert_eq!(unconfined_lines("memory"), ["536870912 bytes: yes"]);
    assert_eq!(recognized_lines(&misbehaving("memory")).await.unwrap(), ["536870912 bytes: no"]);
    let started = Instant::now();
    assert_eq!(recognized_lines(&misbehaving("loop")).await, Err(ReadError::NoText), "the CPU time limit");
    assert!(started.elapsed() < Duration::from_secs(30), "before the wall clock limit: {:?}", started.elapsed());
    let with_short_timeout = OcrSettings { timeout: Duration::from_millis(300), ..misbehaving("sleep") };
    assert_eq!(recognized_lines(&with_short_timeout).await, Err(ReadError::NoText), "the wall clock limit");
    assert_eq!(recognized_lines(&misbehaving("chatter")).await, Err(ReadError::NoText), "the output limit");
}
