//! Parses one document in a sandbox or, with the first argument `become`, executes the OCR program in a sandbox. For
//! programs that embed ingestion and do not provide these commands themselves.
//!
//! Started by `tools::ingest`, not by hand; the file or image arrives on standard input.

use std::process::ExitCode;
use tools::ingest::isolate::{child, launch};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    match args.next_if(|first| first == "become") {
        Some(_) => launch::run(args),
        None => child::run(args),
    }
}
