//! Reads the pages of an opened file, one after the other, and makes a document of them.

use std::collections::HashMap;

use lopdf::{Object, ObjectId};

use super::super::{Block, BlockKind, Limits, Page, PageCounter, ReadDocument, ReadError, Scan, ScanLimits, Warning};
use super::annotations;
use super::blocks;
use super::context::{Budget, Context, Fonts, MAX_STREAM};
use super::file::File;
use super::geometry::{Matrix, Rect};
use super::interpret::{Interpreter, Shown};
use super::layout::{self, Stratum};
use super::picture;
use super::running;
use super::style::Style;

/// A page whose images cover this share of it and that has no text is a scan.
const SCAN_COVER: f32 = 0.4;

/// A page that is all image wants more letters than this to count as one with text.
const FEWEST_LETTERS: usize = 20;

/// The laid-out text of a page.
pub(super) struct PageText {
    pub number: u32,
    /// Height as displayed.
    pub height: f32,
    pub strata: Vec<Stratum>,
    pub scans: Vec<Scan>,
}

/// Page numbers that the warnings will name.
#[derive(Default)]
struct Findings {
    needs_ocr: Vec<u32>,
    ocr_layer: Vec<u32>,
    hidden: Vec<u32>,
    damaged: Vec<u32>,
}

/// Reads all pages.
pub(super) fn read(file: &File, limits: &Limits, counter: PageCounter<'_>) -> Result<ReadDocument, ReadError> {
    let mut findings = Findings::default();
    let mut pages = page_texts(file, limits, &mut findings, counter)?;
    running::drop_repeated(&mut pages);
    let all_flow = pages.iter().flat_map(|page| &page.strata).flat_map(|stratum| &stratum.flow);
    let style = Style::learn(all_flow, file.outline());
    let labels = file.labels();
    let pages: Vec<Page> = pages
        .into_iter()
        .map(|page| Page {
            number: Some(page.number),
            label: labels.get(page.number as usize - 1).cloned().flatten(),
            blocks: page.strata.iter().flat_map(|stratum| blocks::build(stratum, &style)).collect(),
            scans: page.scans,
        })
        .filter(|page| !page.blocks.is_empty() || !page.scans.is_empty())
        .collect();
    Ok(ReadDocument {
        title: file.title().or_else(|| cover_title(&pages)),
        page_count: Some(file.pages.len() as u32),
        pages,
        warnings: findings.warnings(file.repaired),
    })
}

fn page_texts(
    file: &File,
    limits: &Limits,
    findings: &mut Findings,
    counter: PageCounter<'_>,
) -> Result<Vec<PageText>, ReadError> {
    let mut fonts: Fonts = HashMap::new();
    let mut budget = Budget::new(limits.max_inflated_bytes);
    let hidden_layers = file.hidden_layers();
    let mut pages = Vec::with_capacity(file.pages.len());
    let mut text_bytes = 0;
    let mut scans_left = limits.scans.clone().unwrap_or(ScanLimits { max_pages: 0, max_bytes: 0 });
    for (number, id) in (1..).zip(&file.pages) {
        let context =
            Context { document: &file.document, fonts: &mut fonts, budget: &mut budget, hidden_layers: &hidden_layers };
        let (area, frame) = frame(file, *id);
        let shown = show(file, *id, Interpreter::new(context, area, frame));
        if budget.is_spent() {
            return Err(ReadError::TooLarge { what: "bytes were unpacked", limit: limits.max_inflated_bytes });
        }
        let pictures = shown.canvas.pictures.clone();
        let words = findings.judge(number, shown, &area);
        let is_scan = findings.needs_ocr.last() == Some(&number);
        let scans = if is_scan { scans(file, &pictures, &mut scans_left) } else { Vec::new() };
        text_bytes += words.0.iter().map(|word| word.text.len() + 1).sum::<usize>();
        if text_bytes > limits.max_text_bytes {
            return Err(ReadError::TooLarge {
                what: "bytes of text were counted",
                limit: limits.max_text_bytes as u64,
            });
        }
        pages.push(PageText { number, height: area.height(), strata: layout::lay_out(words.0, &words.1), scans });
        counter(number);
    }
    let nothing = text_bytes == 0;
    if nothing && budget.exceeded {
        return Err(ReadError::TooLarge { what: "bytes of one part were counted", limit: MAX_STREAM as u64 });
    }
    if nothing && !findings.damaged.is_empty() {
        return Err(ReadError::corrupt("its pages cannot be decoded"));
    }
    Ok(pages)
}

/// The pictures of a page, within what is left of the limits.
fn scans(file: &File, pictures: &[ObjectId], left: &mut ScanLimits) -> Vec<Scan> {
    if left.max_pages == 0 {
        return Vec::new();
    }
    left.max_pages -= 1;
    let mut scans = Vec::new();
    for picture in pictures {
        if let Some(scan) = picture::scan(&file.document, *picture, left.max_bytes) {
            left.max_bytes -= scan.bytes.len() as u64;
            scans.push(scan);
        }
    }
    scans
}

/// The visible area of a page as displayed, its corner at the origin, and the map from user space to it.
fn frame(file: &File, page: ObjectId) -> (Rect, Matrix) {
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
    let turn = file.inherited(page, b"Rotate").and_then(|turn| turn.as_float().ok()).unwrap_or(0.0);
    let frame = match (turn as i64).rem_euclid(360) {
        90 => Matrix { a: 0.0, b: 1.0, c: 1.0, d: 0.0, e: -y0, f: -x0 },
        180 => Matrix { a: -1.0, b: 0.0, c: 0.0, d: 1.0, e: x1, f: -y0 },
        270 => Matrix { a: 0.0, b: -1.0, c: -1.0, d: 0.0, e: y1, f: x1 },
        _ => Matrix { a: 1.0, b: 0.0, c: 0.0, d: -1.0, e: -x0, f: y1 },
    };
    let shown = frame.apply_rect(&Rect { x0, y0, x1, y1 });
    (shown.grown(2.0), frame)
}

/// Runs a page's content and the appearances of its annotations.
fn show(file: &File, page: ObjectId, mut interpreter: Interpreter<'_>) -> Shown {
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
    interpreter.run(&content, resources, 0);
    annotations::show(file, page, &mut interpreter);
    interpreter.finish()
}

type WordsAndRules = (Vec<super::words::Word>, Vec<super::paint::Rule>);

impl Findings {
    /// Decides which words of a page count, and notes what a person should know about it.
    fn judge(&mut self, page: u32, shown: Shown, area: &Rect) -> WordsAndRules {
        let letters = |words: &[super::words::Word]| words.iter().map(|word| word.text.len()).sum::<usize>();
        let scanned = shown.canvas.image_area >= SCAN_COVER * area.area();
        if shown.damaged {
            self.damaged.push(page);
        }
        let is_layer = scanned && letters(&shown.invisible) > 10 * letters(&shown.words);
        if is_layer {
            self.ocr_layer.push(page);
        } else if shown.hid_text || !shown.invisible.is_empty() {
            self.hidden.push(page);
        }
        let words = if is_layer { [shown.words, shown.invisible].concat() } else { shown.words };
        // A stamp or a page number on a scan is not its text.
        let all_image = shown.canvas.image_area >= 0.8 * area.area() && !is_layer && letters(&words) < FEWEST_LETTERS;
        if all_image || (words.is_empty() && shown.canvas.image_area > 0.1 * area.area()) {
            self.needs_ocr.push(page);
        }
        (words, shown.canvas.rules)
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
        add(self.hidden, |pages| Warning::HiddenText { pages });
        add(self.damaged, |pages| Warning::DamagedPages { pages });
        if repaired {
            warnings.push(Warning::Repaired);
        }
        warnings
    }
}

/// A heading of level 1 among the first blocks of the first page.
fn cover_title(pages: &[Page]) -> Option<String> {
    let first = pages.first().filter(|page| page.number == Some(1))?;
    let is_title = |block: &&Block| block.kind == BlockKind::Heading { level: 1 } && block.text.len() <= 120;
    first.blocks.iter().take(8).find(is_title).map(|block| block.text.clone())
}
