//! The child process: sandboxes itself, reads one document from standard input, writes the result to standard output,
//! and exits.
//!
//! [`run`] must be called before the program starts threads (Tokio, telemetry) or loads its configuration, because the
//! sandbox does not apply to threads that already exist.

use super::confine::confine;
use super::frame::{self, ChildLimits, Frame};
use super::parser::failure;
use crate::ingest::readers::{self, PageCounter, ReadDocument, ReadError};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;

pub use super::frame::Request;

/// Exit status of a child that could not sandbox itself and therefore read no input.
pub(super) const UNCONFINED: u8 = 71;
/// Exit status of a child with invalid arguments, or whose pipe to the parent was closed.
pub(super) const MISUSED: u8 = 72;
/// Number of pages between two progress frames.
const REPORT_EVERY: u32 = 8;

/// Reads the document on standard input with the platform's readers. `args` are the limits that
/// [`super::ChildParser`] appends to the program's own arguments. Returns the exit code of the process.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    run_with(args, read)
}

/// Like [`run`], but with a custom reader, which gets the request, the file's bytes and the page counter.
pub fn run_with(
    args: impl IntoIterator<Item = OsString>,
    read: impl FnOnce(&Request, &[u8], PageCounter<'_>) -> Result<ReadDocument, ReadError>,
) -> ExitCode {
    let Some(limits) = ChildLimits::from_args(args) else { return ExitCode::from(MISUSED) };
    // Suppress panic messages, because they can quote text of the document.
    std::panic::set_hook(Box::new(|_| {}));
    if confine(&limits).is_err() {
        return ExitCode::from(UNCONFINED);
    }
    match answer(&mut io::stdin().lock(), &mut io::stdout().lock(), read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_gone) => ExitCode::from(MISUSED),
    }
}

fn read(request: &Request, bytes: &[u8], pages: PageCounter<'_>) -> Result<ReadDocument, ReadError> {
    let format = readers::sniff(bytes, &request.name).ok_or(ReadError::Unsupported)?;
    readers::read_counting(format, bytes, &request.name, &request.limits, pages)
}

fn answer(
    input: &mut impl Read,
    output: &mut impl Write,
    read: impl FnOnce(&Request, &[u8], PageCounter<'_>) -> Result<ReadDocument, ReadError>,
) -> io::Result<()> {
    let request = frame::read_request(input)?;
    let mut bytes = Vec::with_capacity(usize::try_from(request.size).map_err(io::Error::other)?);
    input.take(request.size).read_to_end(&mut bytes)?;
    let mut report_result = Ok(());
    let mut report = |pages: u32| {
        if pages.is_multiple_of(REPORT_EVERY) && report_result.is_ok() {
            report_result = frame::write(output, &Frame::PagesRead(pages));
        }
    };
    let document = read(&request, &bytes, &mut report);
    report_result?;
    drop(bytes);
    match document {
        Ok(document) => send(output, document),
        Err(error) => frame::write(output, &Frame::Failed(failure(&error))),
    }
}

fn send(output: &mut impl Write, document: ReadDocument) -> io::Result<()> {
    let ReadDocument { title, pages, page_count, warnings } = document;
    for page in pages {
        frame::write(output, &Frame::Page(page))?;
    }
    frame::write(output, &Frame::End { title, page_count, warnings })
}
