//! Reads the pages of an open file and assembles the document.

use std::collections::HashMap;

use lopdf::{Object, ObjectId};

use super::super::reader::PageCallback;
use super::super::{Block, BlockKind, Limits, Page, ParsedDocument, ReadError, Scan, ScanLimits, Warning};
use super::annotations;
use super::blocks;
use super::context::{Budget, Context, Fonts, MAX_STREAM_BYTES};
use super::drawing;
use super::file::PdfFile;
use super::geometry::{Matrix, Rect};
use super::interpret::{Interpreter, PageContent};
use super::layout;
use super::page_text::PageText;
use super::paint::RulingLine;
use super::running_lines;
use super::scan_image;
use super::style::Style;
use super::words::Word;

/// Minimum share of the page that images must cover for its invisible text to count as the text layer of a scan.
const MIN_SCAN_SHARE: f32 = 0.4;

/// The invisible text of a scan is its text layer if it is more than this many times as long as the visible text.
const OCR_LAYER_FACTOR: usize = 10;

/// A page is almost entirely images if they cover this share of it.
const MOSTLY_IMAGE_SHARE: f32 = 0.8;

/// A page that is almost entirely images and has less text than this, in bytes, needs OCR.
const MIN_TEXT_BYTES: usize = 20;

/// A page without text needs OCR if images cover more than this share of it.
const MIN_IMAGE_SHARE_WITHOUT_TEXT: f32 = 0.1;

/// Number of blocks at the beginning of page 1 that may be the title.
const MAX_TITLE_CANDIDATES: usize = 8;
/// Maximum length of a heading that is taken for the title, in bytes.
const MAX_TITLE_BYTES: usize = 120;

/// The page numbers for each kind of warning.
#[derive(Default)]
struct Findings {
    needs_ocr: Vec<u32>,
    ocr_layer: Vec<u32>,
    hidden_text: Vec<u32>,
    damaged: Vec<u32>,
}

/// Reads all pages of a file.
pub(super) fn read_document(
    file: &PdfFile,
    limits: &Limits,
    on_page: PageCallback<'_>,
) -> Result<ParsedDocument, ReadError> {
    let mut findings = Findings::default();
    let mut pages = page_texts(file, limits, &mut findings, on_page)?;
    running_lines::drop_repeated(&mut pages);
    let all_flow = pages.iter().flat_map(|page| &page.flows).flat_map(|flow| &flow.items);
    let style = Style::derive(all_flow, file.outline());
    let labels = file.labels();
    let pages: Vec<Page> = pages
        .into_iter()
        .map(|page| Page {
            number: Some(page.number),
            label: labels.get(page.number as usize - 1).cloned().flatten(),
            blocks: page.flows.iter().flat_map(|flow| blocks::build(flow, &style)).chain(page.tags).collect(),
            scans: page.scans,
        })
        .filter(|page| !page.blocks.is_empty() || !page.scans.is_empty())
        .collect();
    Ok(ParsedDocument {
        title: file.title().or_else(|| cover_title(&pages)),
        page_count: Some(file.pages.len() as u32),
        pages,
        warnings: findings.warnings(file.repaired),
    })
}

fn page_texts(
    file: &PdfFile,
    limits: &Limits,
    findings: &mut Findings,
    on_page: PageCallback<'_>,
) -> Result<Vec<PageText>, ReadError> {
    let mut fonts: Fonts = HashMap::new();
    let mut budget = Budget::new(limits.max_inflated_bytes);
    let hidden_layers = file.hidden_layers();
    let mut pages = Vec::with_capacity(file.pages.len());
    let mut text_bytes = 0;
    let mut remaining_scan_limits = limits.scans.clone().unwrap_or(ScanLimits { max_pages: 0, max_bytes: 0 });
    for (number, id) in (1..).zip(&file.pages) {
        let context =
            Context { document: &file.document, fonts: &mut fonts, budget: &mut budget, hidden_layers: &hidden_layers };
        let (area, page_matrix) = page_area_and_matrix(file, *id);
        let content = interpret(file, *id, Interpreter::new(context, area, page_matrix));
        if budget.is_exhausted() {
            return Err(ReadError::TooLarge { what: "bytes after unpacking", limit: limits.max_inflated_bytes });
        }
        let images = content.canvas.ocr_images.clone();
        let (words, ruling_lines) = findings.assess(number, content, &area);
        let is_scan = findings.needs_ocr.last() == Some(&number);
        let scans = if is_scan { convert_scans(file, &images, &mut remaining_scan_limits) } else { Vec::new() };
        text_bytes += words.iter().map(|word| word.text.len() + 1).sum::<usize>();
        if text_bytes > limits.max_text_bytes {
            return Err(ReadError::TooLarge { what: "bytes of text", limit: limits.max_text_bytes as u64 });
        }
        let tags = drawing::tag_blocks(&words, &area, number);
        let flows = layout::lay_out(words, &ruling_lines);
        pages.push(PageText { number, height: area.height(), flows, tags, scans });
        on_page(number);
    }
    let is_empty = text_bytes == 0;
    if is_empty && budget.exceeded {
        return Err(ReadError::TooLarge { what: "bytes in one stream", limit: MAX_STREAM_BYTES as u64 });
    }
    if is_empty && !findings.damaged.is_empty() {
        return Err(ReadError::corrupt("its pages cannot be decoded"));
    }
    Ok(pages)
}

/// Converts the images of a page for OCR within the remaining limits, and subtracts them from those limits.
fn convert_scans(file: &PdfFile, images: &[ObjectId], remaining: &mut ScanLimits) -> Vec<Scan> {
    if remaining.max_pages == 0 {
        return Vec::new();
    }
    remaining.max_pages -= 1;
    let mut scans = Vec::new();
    for image in images {
        if let Some(scan) = scan_image::to_scan(&file.document, *image, remaining.max_bytes) {
            remaining.max_bytes -= scan.bytes.len() as u64;
            scans.push(scan);
        }
    }
    scans
}

/// Returns the visible area of a page as displayed, with its top left corner at the origin and a margin of 2 points,
/// and the matrix from user space to the displayed page.
fn page_area_and_matrix(file: &PdfFile, page: ObjectId) -> (Rect, Matrix) {
    const LETTER: Rect = Rect { x0: 0.0, y0: 0.0, x1: 612.0, y1: 792.0 };
    let read_box = |key: &[u8]| -> Option<Rect> {
        let array = file.inherited(page, key)?.as_array().ok()?;
        let numbers: Vec<f32> =
            array.iter().filter_map(|item| file.document.dereference(item).ok()?.1.as_float().ok()).collect();
        let [a, b, c, d] = numbers[..] else { return None };
        let mut area = Rect::EMPTY;
        area.include(a, b);
        area.include(c, d);
        (area.width() > 1.0 && area.height() > 1.0 && area.width() < 1e6 && area.height() < 1e6).then_some(area)
    };
    let media = read_box(b"MediaBox").unwrap_or(LETTER);
    let crop = read_box(b"CropBox")
        .map(|crop| crop.intersection(&media))
        .filter(|crop| crop.width() > 1.0 && crop.height() > 1.0);
    let Rect { x0, y0, x1, y1 } = crop.unwrap_or(media);
    let rotation = file.inherited(page, b"Rotate").and_then(|turn| turn.as_float().ok()).unwrap_or(0.0);
    let page_matrix = match (rotation as i64).rem_euclid(360) {
        90 => Matrix { a: 0.0, b: 1.0, c: 1.0, d: 0.0, e: -y0, f: -x0 },
        180 => Matrix { a: -1.0, b: 0.0, c: 0.0, d: 1.0, e: x1, f: -y0 },
        270 => Matrix { a: 0.0, b: -1.0, c: -1.0, d: 0.0, e: y1, f: x1 },
        _ => Matrix { a: 1.0, b: 0.0, c: 0.0, d: -1.0, e: -x0, f: y1 },
    };
    let displayed_area = page_matrix.apply_rect(&Rect { x0, y0, x1, y1 });
    (displayed_area.expanded(2.0), page_matrix)
}

/// Interprets the content streams of a page and the appearances of its annotations.
fn interpret(file: &PdfFile, page: ObjectId, mut interpreter: Interpreter<'_>) -> PageContent {
    let resources = file.inherited(page, b"Resources").and_then(|resources| resources.as_dict().ok());
    let mut content = Vec::new();
    let contents = file.document.get_dictionary(page).and_then(|page| page.get_deref(b"Contents", &file.document));
    let streams: Vec<&Object> = match contents {
        Ok(Object::Array(parts)) => {
            parts.iter().filter_map(|part| Some(file.document.dereference(part).ok()?.1)).collect()
        }
        Ok(single) => vec![single],
        Err(_) => Vec::new(),
    };
    for stream in streams.into_iter().filter_map(|object| object.as_stream().ok()) {
        content.extend(interpreter.inflate(stream));
        content.push(b'\n');
    }
    let form_depth = 0;
    interpreter.run(&content, resources, form_depth);
    annotations::interpret_annotations(file, page, &mut interpreter);
    interpreter.finish()
}

impl Findings {
    /// Selects the words that count as the text of a page, and records the warnings about it.
    fn assess(&mut self, page: u32, content: PageContent, area: &Rect) -> (Vec<Word>, Vec<RulingLine>) {
        let text_bytes = |words: &[Word]| words.iter().map(|word| word.text.len()).sum::<usize>();
        let is_scan = content.canvas.image_area >= MIN_SCAN_SHARE * area.area();
        if content.damaged {
            self.damaged.push(page);
        }
        let is_ocr_layer =
            is_scan && text_bytes(&content.invisible_words) > OCR_LAYER_FACTOR * text_bytes(&content.words);
        if is_ocr_layer {
            self.ocr_layer.push(page);
        } else if content.has_hidden_text || !content.invisible_words.is_empty() {
            self.hidden_text.push(page);
        }
        let words = if is_ocr_layer { [content.words, content.invisible_words].concat() } else { content.words };
        // A few letters on a scan are a stamp or a page number, not the text of the page.
        let image_area = content.canvas.image_area;
        let is_mostly_image =
            image_area >= MOSTLY_IMAGE_SHARE * area.area() && !is_ocr_layer && text_bytes(&words) < MIN_TEXT_BYTES;
        if is_mostly_image || (words.is_empty() && image_area > MIN_IMAGE_SHARE_WITHOUT_TEXT * area.area()) {
            self.needs_ocr.push(page);
        }
        (words, content.canvas.ruling_lines)
    }

    fn warnings(self, repaired: bool) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut add = |pages: Vec<u32>, warning: fn(Vec<u32>) -> Warning| {
            if !pages.is_empty() {
                warnings.push(warning(pages));
            }
        };
        add(self.needs_ocr, |pages| Warning::NeedsOcr { pages });
        add(self.ocr_layer, |pages| Warning::OcrLayer { pages });
        add(self.hidden_text, |pages| Warning::HiddenText { pages });
        add(self.damaged, |pages| Warning::DamagedPages { pages });
        if repaired {
            warnings.push(Warning::Repaired);
        }
        warnings
    }
}

/// The first level-1 heading among the first blocks of page 1.
fn cover_title(pages: &[Page]) -> Option<String> {
    let first = pages.first().filter(|page| page.number == Some(1))?;
    let is_title =
        |block: &&Block| block.kind == BlockKind::Heading { level: 1 } && block.text.len() <= MAX_TITLE_BYTES;
    first.blocks.iter().take(MAX_TITLE_CANDIDATES).find(is_title).map(|block| block.text.clone())
}
