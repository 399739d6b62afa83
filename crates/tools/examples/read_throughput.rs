//! Benchmarks the PDF reader against poppler's pdftotext on the same files, in alternating rounds.
//!
//! `cargo run --release -p tools --example read_throughput -- PDF PAGES OUTPUT`
//! writes a file of at least PAGES pages to OUTPUT by repeating the pages of PDF, and measures both files. Prints one
//! JSON object per line. Other load on the machine slows both, so compare the ratio.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::time::Instant;

use lopdf::{Dictionary, Document, Object, ObjectId};
use serde_json::json;
use tools::ingest::readers::{Limits, read, sniff};

/// Number of measurements per reader and file; the median is reported.
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next_argument =
        |description: &str| arguments.next().ok_or_else(|| format!("missing argument: {description}"));
    let (pdf, pages, output) =
        (next_argument("a PDF file")?, next_argument("the number of pages")?, next_argument("the output file")?);
    let (pdf, output) = (PathBuf::from(pdf), PathBuf::from(output));
    write_repeated_pages(&pdf, pages.parse()?, &output)?;
    for file in [&pdf, &output] {
        println!("{}", benchmark(file)?);
    }
    Ok(())
}

fn benchmark(file: &Path) -> Result<serde_json::Value, Box<dyn Error>> {
    let bytes = std::fs::read(file)?;
    let (mut reader_seconds, mut pdftotext_seconds, mut pages) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let format = sniff(&bytes, "").ok_or("no reader for this file")?;
        pages = read(format, &bytes, "volume.pdf", &Limits::default())?.page_count.unwrap_or_default();
        reader_seconds.push(started.elapsed().as_secs_f64());
        pdftotext_seconds.extend(pdftotext(file)?);
    }
    let rate = |seconds: f64| f64::from(pages) / seconds;
    let (reader_rate, pdftotext_rate) =
        (rate(median(reader_seconds).ok_or("no measurements")?), median(pdftotext_seconds).map(rate));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let mut result = json!({ "file": name, "pages": pages, "pages_per_second": round(reader_rate) });
    match pdftotext_rate {
        Some(pdftotext_rate) => {
            result["pdftotext_pages_per_second"] = json!(round(pdftotext_rate));
            result["times_pdftotext"] = json!(round(reader_rate / pdftotext_rate));
        }
        None => result["pdftotext"] = json!("not found on PATH: install poppler-utils to compare with it"),
    }
    Ok(result)
}

/// Runs pdftotext and returns how long it took, in seconds; `None` if it is not installed.
fn pdftotext(file: &Path) -> Result<Option<f64>, Box<dyn Error>> {
    let started = Instant::now();
    let status = Command::new("pdftotext").arg(file).arg("-").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(Some(started.elapsed().as_secs_f64())),
        Ok(status) => Err(format!("pdftotext failed on {} ({status})", file.display()).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Writes a PDF that repeats the pages of another, each with its own copy of the content streams, until it has at least
/// `pages` pages.
fn write_repeated_pages(from: &Path, pages: usize, to: &Path) -> Result<(), Box<dyn Error>> {
    let mut pdf = Document::load(from)?;
    let originals: Vec<ObjectId> = pdf.get_pages().into_values().collect();
    let root = pdf.catalog()?.get(b"Pages")?.as_reference()?;
    let mut kids = Vec::with_capacity(pages + originals.len());
    while kids.len() < pages && !originals.is_empty() {
        for page in &originals {
            kids.push(Object::Reference(copy_page(&mut pdf, *page, root)?));
        }
    }
    let count = i64::try_from(kids.len())?;
    let tree = pdf.get_dictionary_mut(root)?;
    tree.set("Kids", kids);
    tree.set("Count", count);
    // The outlines point to pages that were removed from the tree.
    pdf.catalog_mut()?.remove(b"Outlines");
    pdf.prune_objects();
    pdf.save(to)?;
    Ok(())
}

fn copy_page(pdf: &mut Document, page: ObjectId, root: ObjectId) -> Result<ObjectId, Box<dyn Error>> {
    let mut page_dictionary: Dictionary = pdf.get_dictionary(page)?.clone();
    let mut contents = Vec::new();
    for id in pdf.get_page_contents(page) {
        let content = pdf.get_object(id)?.clone();
        contents.push(Object::Reference(pdf.add_object(content)));
    }
    page_dictionary.set("Contents", contents);
    page_dictionary.set("Parent", root);
    Ok(pdf.add_object(page_dictionary))
}
