//! Internal commands of child processes: this program as the parser of one document, and as the launcher of the text
//! recognition program (`tools::ingest::isolate`).

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::ingest::isolate::launch::{self, Launcher};
use tools::ingest::isolate::{ChildLimits, ParserProgram, child};

const PARSE: &str = "parse-document";
const RECOGNIZE: &str = "recognize-text";

/// Runs the internal command of the command line and returns its exit code; `None` for any other command line.
#[must_use]
pub fn run_child() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        PARSE => Some(child::run(args)),
        RECOGNIZE => Some(launch::run(args)),
        _ => None,
    }
}

/// This program as the parser of documents.
///
/// # Errors
/// If the system does not tell the path of this program.
pub fn this_program() -> Result<ParserProgram> {
    Ok(ParserProgram { program: path()?, args: vec![PARSE.to_owned()], limits: ChildLimits::default() })
}

/// This program as the launcher of text recognition.
///
/// # Errors
/// If the system does not tell the path of this program.
pub fn launcher() -> Result<Launcher> {
    Ok(Launcher { program: path()?, args: vec![RECOGNIZE.to_owned()] })
}

fn path() -> Result<PathBuf> {
    // This path still leads to the running version after an update has replaced the file.
    const SELF: &str = "/proc/self/exe";
    if cfg!(target_os = "linux") && Path::new(SELF).exists() {
        return Ok(PathBuf::from(SELF));
    }
    std::env::current_exe().context("the path of this program is unknown")
}
