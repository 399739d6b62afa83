//! The child process: sandboxes itself, reads one document from standard input, writes the result to standard output,
//! and exits.
//!
//! [`run`] must be called before the program starts threads (Tokio, telemetry) or loads its configuration, because the
//! sandbox does not apply to threads that already exist.

use super::confine::confine;
use super::frame::{self, ChildLimits, Frame};
use super::parser::document_failure;
use crate::ingest::readers::{self, PageCallback, ParsedDocument, ReadError};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

pub use super::frame::Request;

/// Exit status of a child that could not sandbox itself and therefore read no input.
pub(super) const EXIT_SANDBOX_FAILED: u8 = 71;
/// Exit status of a child with invalid arguments, or whose pipe to the parent was closed.
pub(super) const EXIT_INVALID_INPUT: u8 = 72;
/// Number of pages between two progress frames.
const PAGES_PER_REPORT: u32 = 8;

/// Reads the document on standard input with the platform's readers. `args` are the limits that
/// [`super::ChildParser`] appends to the program's own arguments. Returns the exit code of the process.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_with(args, read_document)
}

/// Like [`run`], but with a custom reader, which gets the request, the file's bytes and the page counter.
pub fn run_with(
    args: impl IntoIterator<Item = OsString>,
    read: impl FnOnce(&Request, &[u8], PageCallback<'_>) -> Result<ParsedDocument, ReadError>,
) -> ExitCode {
    let Some(limits) = ChildLimits::from_args(args) else { return ExitCode::from(EXIT_INVALID_INPUT) };
    // Suppress panic messages, because they can quote text of the document.
    std::panic::set_hook(Box::new(|_| {}));
    if confine(&limits).is_err() {
        return ExitCode::from(EXIT_SANDBOX_FAILED);
    }
    match serve_request(&mut io::stdin().lock(), &mut io::stdout().lock(), read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_pipe_closed) => ExitCode::from(EXIT_INVALID_INPUT),
    }
}

fn read_document(request: &Request, bytes: &[u8], on_page: PageCallback<'_>) -> Result<ParsedDocument, ReadError> {
    let format = readers::sniff(bytes, &request.name).ok_or(ReadError::Unsupported)?;
    readers::read_with_progress(format, bytes, &request.name, &request.limits, on_page)
}

fn serve_request(
    input: &mut impl Read,
    output: &mut impl Write,
    read: impl FnOnce(&Request, &[u8], PageCallback<'_>) -> Result<ParsedDocument, ReadError>,
) -> io::Result<()> {
    let request = frame::read_request(input)?;
    let mut bytes = Vec::with_capacity(usize::try_from(request.size).map_err(io::Error::other)?);
    input.take(request.size).read_to_end(&mut bytes)?;
    let mut report_result = Ok(());
    let mut report = |pages: u32| {
        if pages.is_multiple_of(PAGES_PER_REPORT) && report_result.is_ok() {
            report_result = frame::write_message(output, &Frame::PagesRead(pages));
        }
    };
    let document = read(&request, &bytes, &mut report);
    report_result?;
    drop(bytes);
    match document {
        Ok(document) => write_document(output, document),
        Err(error) => frame::write_message(output, &Frame::Failed(document_failure(&error))),
    }
}

fn write_document(output: &mut impl Write, document: ParsedDocument) -> io::Result<()> {
    let ParsedDocument { title, pages, page_count, warnings } = document;
    for page in pages {
        frame::write_message(output, &Frame::Page(page))?;
    }
    frame::write_message(output, &Frame::End { title, page_count, warnings })
}
