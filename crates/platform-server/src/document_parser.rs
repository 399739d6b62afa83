//! Internal commands with which this executable runs itself as a child process: as the parser of one document, and as
//! the launcher of the OCR program (see `tools::ingest::isolate`).

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::ingest::isolate::launch::{self, Launcher};
use tools::ingest::isolate::{ChildLimits, ParserProgram, child};

/// Argument that selects the document parser.
const PARSE_COMMAND: &str = "parse-document";
/// Argument that selects the launcher of the OCR program.
const RECOGNIZE_COMMAND: &str = "recognize-text";

/// Runs the internal command if the command line names one, and returns its exit code; otherwise returns `None`.
#[must_use]
pub fn run_if_child() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        PARSE_COMMAND => Some(child::run(args)),
        RECOGNIZE_COMMAND => Some(launch::run(args)),
        _ => None,
    }
}

/// How to start this executable as the document parser.
///
/// # Errors
/// If the path of this executable is unknown.
pub fn parser_program() -> Result<ParserProgram> {
    let args = vec![PARSE_COMMAND.to_owned()];
    Ok(ParserProgram { program: executable_path()?, args, limits: ChildLimits::default() })
}

/// How to start this executable as the launcher of the OCR program.
///
/// # Errors
/// If the path of this executable is unknown.
pub fn launcher() -> Result<Launcher> {
    Ok(Launcher { program: executable_path()?, args: vec![RECOGNIZE_COMMAND.to_owned()] })
}

fn executable_path() -> Result<PathBuf> {
    // This link refers to the running executable even after an update has replaced the file.
    const SELF_EXE: &str = "/proc/self/exe";
    if cfg!(target_os = "linux") && Path::new(SELF_EXE).exists() {
        return Ok(PathBuf::from(SELF_EXE));
    }
    std::env::current_exe().context("the path of this program is unknown")
}
