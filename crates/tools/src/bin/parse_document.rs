//! Reads one document in its own process, or replaces itself with the program that recognizes text in pictures. For
//! programs that embed ingestion and do not offer these commands themselves.
//!
//! Started by `tools::ingest`, not by hand; the file or picture arrives on standard input.

use std::process::ExitCode;
use tools::ingest::isolate::{child, launch};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    match args.next_if(|first| first == "become") {
        Some(_) => launch::run(args),
        None => child::run(args),
    }
}
