//! Reads one document in a process of its own: for programs that embed ingestion and have no such command themselves.
//!
//! It is started by `tools::ingest::isolate::ChildParser`, not by hand: the file comes in on standard input.

use std::process::ExitCode;

fn main() -> ExitCode {
    tools::ingest::isolate::child::run(std::env::args_os().skip(1))
}
