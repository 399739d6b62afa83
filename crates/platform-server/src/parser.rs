//! The command that nobody types: this program as the parser of one document (`tools::ingest::isolate`).

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::ingest::isolate::{ChildLimits, ParserProgram, child};

const COMMAND: &str = "parse-document";

/// Reads the document on standard input where the command line asks for that, and says how it ended; `None` for any
/// other command line.
#[must_use]
pub fn asked_for() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    (args.next()? == COMMAND).then(|| child::run(args))
}

/// This program as the worker's parser.
///
/// # Errors
/// Where the system cannot say which program this is.
pub fn this_program() -> Result<ParserProgram> {
    // This name still works, and still means this version, when an update has replaced the file.
    const SELF: &str = "/proc/self/exe";
    let program = if cfg!(target_os = "linux") && Path::new(SELF).exists() {
        PathBuf::from(SELF)
    } else {
        std::env::current_exe().context("the path of this program is not known")?
    };
    Ok(ParserProgram { program, args: vec![COMMAND.to_owned()], limits: ChildLimits::default() })
}
