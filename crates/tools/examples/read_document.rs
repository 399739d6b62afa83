//! Reads documents and prints the blocks that the readers find.
//!
//! `cargo run --release -p tools --example read_document -- [--text | --chunks | --quiet] [--ocr] FILE…`
//! prints each file's blocks page by page and the time that reading took. With `--text`, it prints plain text with form
//! feeds between pages; with `--quiet`, one line per file; with `--chunks`, the chunks, estimating 1.4 tokens per word.
//! `--ocr` runs `tesseract` on scanned pages, in English.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::error::Error;
use std::path::Path;
use tokio::time::Instant;

use tools::ingest::chunk::{ChunkParams, chunk};
use tools::ingest::isolate::launch::Launcher;
use tools::ingest::ocr::{OcrSettings, recognize};
use tools::ingest::readers::{BlockKind, Limits, Page, ParsedDocument, ScanLimits, read, sniff};

/// How much to print of each file.
#[derive(Clone, Copy, PartialEq)]
enum Output {
    Blocks,
    Text,
    Chunks,
    Quiet,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut output = Output::Blocks;
    let mut scan_limits = None;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--text" => output = Output::Text,
            "--chunks" => output = Output::Chunks,
            "--quiet" => output = Output::Quiet,
            "--ocr" => scan_limits = Some(ScanLimits::default()),
            path => print_file(Path::new(path), output, scan_limits.clone())?,
        }
    }
    Ok(())
}

/// A launcher that runs `parse-document`, which Cargo builds in the directory above `examples`.
fn launcher() -> Result<Launcher, Box<dyn Error>> {
    let example = std::env::current_exe()?;
    let folder = example.parent().and_then(Path::parent).ok_or("the executable has no parent directory")?;
    Ok(Launcher { program: folder.join("parse-document"), args: vec!["become".to_owned()] })
}

fn print_file(path: &Path, output: Output, scans: Option<ScanLimits>) -> Result<(), Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(format) = sniff(&bytes, &name) else {
        println!("{name}: unsupported");
        return Ok(());
    };
    let start = Instant::now();
    let ocr = scans.is_some();
    let mut result = read(format, &bytes, &name, &Limits { scans, ..Limits::default() });
    if let (Ok(document), true) = (result.clone(), ocr) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        result = runtime.block_on(recognize(document, &OcrSettings::new(launcher()?)));
    }
    let seconds = start.elapsed().as_secs_f64();
    match result {
        Err(error) => println!("{name}: {}: {error}", error.code()),
        Ok(document) if output == Output::Text => print_text(&document),
        Ok(document) => {
            print_summary(&name, &document, seconds);
            match output {
                Output::Blocks => document.pages.iter().for_each(print_page),
                Output::Chunks => print_chunks(&document),
                Output::Text | Output::Quiet => {}
            }
        }
    }
    Ok(())
}

fn print_summary(name: &str, document: &ParsedDocument, seconds: f64) {
    let blocks: usize = document.pages.iter().map(|page| page.blocks.len()).sum();
    let pages = document.page_count.unwrap_or(document.pages.len() as u32);
    let title = document.title.as_deref().unwrap_or("-");
    println!(
        "{name}: {title:?}, {pages} pages, {blocks} blocks, {seconds:.3} s, {:.0} pages/s",
        f64::from(pages) / seconds
    );
    for warning in &document.warnings {
        println!("  warning: {warning}");
    }
}

fn print_page(page: &Page) {
    let number = page.number.map_or("-".to_owned(), |number| number.to_string());
    println!("\n=== page {number} {}", page.label.as_deref().unwrap_or_default());
    for block in &page.blocks {
        let prefix = match block.kind {
            BlockKind::Heading { level } => format!("H{level}"),
            BlockKind::Paragraph => "P ".into(),
            BlockKind::ListItem => "L ".into(),
            BlockKind::TableRow { header: true } => "TH".into(),
            BlockKind::TableRow { header: false } => "T ".into(),
            BlockKind::Code => "C ".into(),
        };
        println!("{prefix} {}", block.text);
    }
}

/// Estimates the number of tokens as 1.4 per word, which is about right for English manuals.
fn estimate_tokens(text: &str) -> usize {
    text.split_whitespace().count() * 7 / 5
}

fn print_chunks(document: &ParsedDocument) {
    let start = Instant::now();
    let chunks = chunk(document, &ChunkParams::default(), &estimate_tokens);
    println!("{} chunks, {:.3} s", chunks.len(), start.elapsed().as_secs_f64());
    for chunk in &chunks {
        let page = chunk.page.map_or("-".to_owned(), |page| page.to_string());
        println!(
            "\n--- page {page}, {} tokens, {}\n{}",
            chunk.token_count,
            chunk.section.as_deref().unwrap_or("-"),
            chunk.content
        );
    }
}

fn print_text(document: &ParsedDocument) {
    let mut next = 1;
    for page in &document.pages {
        let number = page.number.unwrap_or(next);
        (next..number).for_each(|_| print!("\u{c}"));
        next = number;
        page.blocks.iter().for_each(|block| println!("{}\n", block.text));
    }
}
