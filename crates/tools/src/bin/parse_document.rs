//! Reads one document in a process of its own, or becomes the program that recognizes the text of a picture: for programs
//! that embed ingestion and have no such commands themselves.
//!
//! It is started by `tools::ingest`, not by hand: file and picture come in on standard input.

use std::process::ExitCode;
use tools::ingest::isolate::{child, launch};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    match args.next_if(|first| first == "become") {
        Some(_) => launch::run(args),
        None => child::run(args),
    }
}
