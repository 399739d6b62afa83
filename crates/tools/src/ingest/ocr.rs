//! Text recognition (OCR): runs `tesseract` on the images of scanned pages, in one sandboxed process per image
//! ([`super::isolate::launch`]), and adds the recognized text to the page.
//!
//! The sandboxed readers cannot start programs, so they return the images ([`Limits::scans`]) and this module runs the
//! recognition. A page whose recognition fails stays listed in [`Warning::NeedsOcr`].
//!
//! [`Limits::scans`]: super::readers::Limits::scans

use super::isolate::ChildLimits;
use super::isolate::launch::{Launch, Launcher};
use super::readers::{Block, BlockKind, Page, ParsedDocument, ReadError, Scan, Warning, clean_line, join_lines};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Maximum size of the program's output per image, in bytes.
const MAX_OUTPUT_BYTES: u64 = 8 << 20;
/// Minimum confidence of a recognized word, in percent; below it, words are more often noise than text.
const MIN_CONFIDENCE: f32 = 20.0;
/// Mean confidence of a page's words, in percent, below which the document's owner is warned. Print that was scanned
/// well
/// has more than 90 %; a wrong language or a bad picture has less than this.
const LOW_CONFIDENCE: f32 = 70.0;
/// Directories that are searched for the program if the setting is only a name.
const SEARCH_DIRS: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// Settings for text recognition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcrSettings {
    /// Starts the program in a sandboxed process.
    pub launcher: Launcher,
    /// Path of the OCR program; a name without a directory is looked up in the usual system directories.
    pub program: PathBuf,
    /// Languages in the syntax of `tesseract -l`, for example `eng+deu`.
    pub languages: String,
    /// Directory of the training data; `None` for the program's default.
    pub training_data: Option<PathBuf>,
    /// Time limit per image (wall clock).
    pub timeout: Duration,
    /// Memory and CPU time limits per image.
    pub limits: ChildLimits,
}

impl OcrSettings {
    /// Default settings: `tesseract` from a system directory, English, 60 s and 1 GiB per image.
    #[must_use]
    pub fn new(launcher: Launcher) -> Self {
        let time = Duration::from_secs(60);
        Self {
            launcher,
            program: PathBuf::from("tesseract"),
            languages: "eng".to_owned(),
            training_data: None,
            timeout: time,
            limits: ChildLimits { memory_bytes: 1 << 30, cpu_time: time },
        }
    }

    /// Resolves the program's path.
    fn program_path(&self) -> io::Result<PathBuf> {
        if self.program.components().count() > 1 {
            return Ok(self.program.clone());
        }
        let candidates = SEARCH_DIRS.iter().map(|folder| Path::new(folder).join(&self.program));
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Recognizes the text of all pages that have scanned images, and removes the images from the document.
///
/// Moves the recognized pages from [`Warning::NeedsOcr`] to [`Warning::Recognized`]; pages that failed stay there.
/// Pages
/// whose words have a low confidence are also listed in [`Warning::LowConfidence`].
///
/// # Errors
/// [`ReadError::NoText`] if the document still has no text.
pub async fn recognize(mut document: ParsedDocument, settings: &OcrSettings) -> Result<ParsedDocument, ReadError> {
    let (mut recognized, mut unsure) = (Vec::new(), UnsurePages::default());
    for page in &mut document.pages {
        let scans = std::mem::take(&mut page.scans);
        if let Some(RecognizedPage { blocks, confidence }) = recognize_page(&scans, settings).await {
            page.blocks.extend(blocks);
            recognized.extend(page.number);
            unsure.add(page.number, confidence);
        }
    }
    document.pages.retain(|page: &Page| !page.blocks.is_empty());
    update_warnings(&mut document.warnings, recognized);
    document.warnings.extend(unsure.into_warning());
    if document.is_empty() { Err(ReadError::NoText) } else { Ok(document) }
}

/// Recognizes the text of a page's images; `None` if no text was found or the recognition failed, which is logged.
async fn recognize_page(scans: &[Scan], settings: &OcrSettings) -> Option<RecognizedPage> {
    let mut blocks = Vec::new();
    let mut confidences = Vec::new();
    for scan in scans {
        match run_tesseract(scan, settings).await {
            Ok(table) => {
                blocks.extend(parse_blocks(&table));
                confidences.extend(word_confidences(&table));
            }
            Err(error) => tracing::warn!(kind = ?error.kind(), "text recognition of a page failed"),
        }
    }
    let confidence = confidences.iter().sum::<f32>() / confidences.len().max(1) as f32;
    (!blocks.is_empty()).then_some(RecognizedPage { blocks, confidence })
}

/// The text of a recognized page.
struct RecognizedPage {
    blocks: Vec<Block>,
    /// Mean confidence of its words, in percent; those that were left out as noise count too.
    confidence: f32,
}

/// The pages whose words have a low confidence.
#[derive(Default)]
struct UnsurePages {
    pages: Vec<u32>,
    lowest: f32,
}

impl UnsurePages {
    fn add(&mut self, page: Option<u32>, confidence: f32) {
        if confidence < LOW_CONFIDENCE {
            self.lowest = if self.pages.is_empty() { confidence } else { self.lowest.min(confidence) };
            self.pages.extend(page);
        }
    }

    fn into_warning(self) -> Option<Warning> {
        let lowest = self.lowest.clamp(0.0, 100.0) as u8;
        (!self.pages.is_empty()).then_some(Warning::LowConfidence { pages: self.pages, lowest })
    }
}

/// Moves the `recognized` pages from [`Warning::NeedsOcr`] to [`Warning::Recognized`].
fn update_warnings(warnings: &mut Vec<Warning>, recognized: Vec<u32>) {
    if recognized.is_empty() {
        return;
    }
    for warning in warnings.iter_mut() {
        if let Warning::NeedsOcr { pages } = warning {
            pages.retain(|page| !recognized.contains(page));
        }
    }
    warnings.retain(|warning| !matches!(warning, Warning::NeedsOcr { pages } if pages.is_empty()));
    warnings.push(Warning::Recognized { pages: recognized });
}

/// Runs the OCR program on one image, which it gets on standard input, and returns its TSV output.
async fn run_tesseract(scan: &Scan, settings: &OcrSettings) -> io::Result<String> {
    tokio::time::timeout(settings.timeout, run_without_timeout(&scan.bytes, settings))
        .await
        .map_err(|_elapsed| io::ErrorKind::TimedOut)?
}

async fn run_without_timeout(image: &[u8], settings: &OcrSettings) -> io::Result<String> {
    let launch = Launch {
        limits: settings.limits,
        program: &settings.program_path()?,
        training_data: settings.training_data.as_deref(),
        args: &["stdin", "stdout", "-l", &settings.languages, "--psm", "1", "tsv"],
    };
    let mut command = settings.launcher.command(&launch);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("the program has no pipes"));
    };
    let send = async move {
        // A write fails if the program stops reading; its exit status then gives the reason.
        let _ = input.write_all(image).await;
    };
    let mut tsv = Vec::new();
    let mut output = output.take(MAX_OUTPUT_BYTES);
    let (read_result, ()) = tokio::join!(output.read_to_end(&mut tsv), send);
    read_result?;
    if tsv.len() as u64 == MAX_OUTPUT_BYTES {
        child.start_kill()?;
    }
    let status = child.wait().await?;
    if !status.success() {
        return Err(io::Error::other("the program failed"));
    }
    Ok(String::from_utf8_lossy(&tsv).into_owned())
}

/// The confidences of all words of the TSV output, in percent, also of those that [`parse_word`] leaves out.
fn word_confidences(table: &str) -> impl Iterator<Item = f32> {
    table.lines().filter_map(|row| {
        let columns: Vec<&str> = row.splitn(12, '\t').collect();
        let &["5", .., confidence, text] = columns.as_slice() else { return None };
        confidence.parse().ok().filter(|confidence| *confidence >= 0.0 && !text.trim().is_empty())
    })
}

/// A recognized word with the paragraph and line that it belongs to.
struct Word<'a> {
    paragraph: (&'a str, &'a str, &'a str),
    line: &'a str,
    text: &'a str,
}

/// Parses a row of the TSV output: level, page, block, paragraph, line, word, left, top, width, height, confidence,
/// text. `None` unless it is a word (level 5) with text and sufficient confidence.
fn parse_word(row: &str) -> Option<Word<'_>> {
    let columns: Vec<&str> = row.splitn(12, '\t').collect();
    let &["5", page, block, paragraph, line, _, _, _, _, _, confidence, text] = columns.as_slice() else {
        return None;
    };
    let confidence: f32 = confidence.parse().ok()?;
    (confidence >= MIN_CONFIDENCE && !text.trim().is_empty()).then_some(Word {
        paragraph: (page, block, paragraph),
        line,
        text,
    })
}

/// The paragraphs of the TSV output, each with its lines joined.
fn parse_blocks(table: &str) -> Vec<Block> {
    let words: Vec<Word<'_>> = table.lines().filter_map(parse_word).collect();
    words
        .chunk_by(|a, b| a.paragraph == b.paragraph)
        .filter_map(|paragraph| {
            let lines: Vec<String> = paragraph
                .chunk_by(|a, b| a.line == b.line)
                .map(|line| line.iter().map(|word| word.text).collect::<Vec<_>>().join(" "))
                .collect();
            let text = clean_line(&join_lines(lines.iter().map(String::as_str)));
            text.chars().any(char::is_alphanumeric).then(|| Block::new(BlockKind::Paragraph, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::readers::ScanFormat;
    use super::*;

    fn document(scan: &[u8]) -> ParsedDocument {
        let page = |number, blocks: &[&str], scans: Vec<Scan>| Page {
            number: Some(number),
            label: None,
            blocks: blocks.iter().map(|text| Block::new(BlockKind::Paragraph, *text)).collect(),
            scans,
        };
        let scan = Scan { format: ScanFormat::Pnm, bytes: scan.to_vec() };
        ParsedDocument {
            pages: vec![page(1, &["Printed."], Vec::new()), page(2, &[], vec![scan])],
            page_count: Some(2),
            warnings: vec![Warning::NeedsOcr { pages: vec![2] }],
            ..ParsedDocument::default()
        }
    }

    #[test]
    fn words_in_the_tsv_output_are_joined_into_paragraphs() {
        let table = "level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n\
            4\t1\t1\t1\t1\t0\t0\t0\t9\t9\t-1\t\n\
            5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t96.1\tOpen\n5\t1\t1\t1\t1\t2\t0\t0\t9\t9\t93\tsuc-\n\
            5\t1\t1\t1\t2\t1\t0\t0\t9\t9\t90\ttion\n5\t1\t1\t1\t2\t2\t0\t0\t9\t9\t3\t~|\n\
            5\t1\t2\t1\t1\t1\t0\t0\t9\t9\t88\tV-12\n";
        let texts: Vec<String> = parse_blocks(table).into_iter().map(|block| block.text).collect();
        assert_eq!(texts, ["Open suction", "V-12"]);
    }

    #[test]
    fn pages_with_a_low_mean_confidence_are_listed_with_the_lowest() {
        let word = |confidence: &str, text: &str| format!("5\t1\t1\t1\t1\t1\t0\t0\t9\t9\t{confidence}\t{text}\n");
        let table = [word("96.5", "Open"), word("3", "~|"), word("-1", "x"), word("90", " ")].concat();
        assert_eq!(word_confidences(&table).collect::<Vec<_>>(), [96.5, 3.0]);
        let mut unsure = UnsurePages::default();
        for (page, confidence) in [(2, 95.0), (3, 55.5), (7, 41.9), (8, 60.0)] {
            unsure.add(Some(page), confidence);
        }
        let warning = unsure.into_warning().unwrap();
        assert_eq!(warning, Warning::LowConfidence { pages: vec![3, 7, 8], lowest: 41 });
        assert!(warning.to_string().starts_with("pages 3, 7-8: text recognition was unsure"), "{warning}");
        assert_eq!(UnsurePages::default().into_warning(), None);
    }

    #[tokio::test]
    async fn pages_still_need_ocr_if_the_program_is_missing() {
        let launcher = Launcher { program: "/no/such/launcher".into(), args: Vec::new() };
        let settings = OcrSettings::new(launcher);
        let recognized = recognize(document(b"P5\n1 1\n255\n0"), &settings).await.unwrap();
        assert_eq!(recognized.warnings, [Warning::NeedsOcr { pages: vec![2] }]);
        assert_eq!(recognized.pages.len(), 1);
        let mut empty = document(b"x");
        empty.pages.remove(0);
        assert_eq!(recognize(empty, &settings).await, Err(ReadError::NoText));
    }
}
