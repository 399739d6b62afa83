//! The commands that nobody types: this program as the parser of one document, and as what becomes the program that
//! recognizes text (`tools::ingest::isolate`).

use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tools::ingest::isolate::launch::{self, Launcher};
use tools::ingest::isolate::{ChildLimits, ParserProgram, child};

const PARSE: &str = "parse-document";
const RECOGNIZE: &str = "recognize-text";

/// Reads the document on standard input, or becomes the program that recognizes text, where the command line asks for
/// that, and says how it ended; `None` for any other command line.
#[must_use]
pub fn asked_for() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        PARSE => Some(child::run(args)),
        RECOGNIZE => Some(launch::run(args)),
        _ => None,
    }
}

/// This program as the worker's parser.
///
/// # Errors
/// Where the system cannot say which program this is.
pub fn this_program() -> Result<ParserProgram> {
    Ok(ParserProgram { program: path()?, args: vec![PARSE.to_owned()], limits: ChildLimits::default() })
}

/// This program as what starts text recognition.
///
/// # Errors
/// Where the system cannot say which program this is.
pub fn launcher() -> Result<Launcher> {
    Ok(Launcher { program: path()?, args: vec![RECOGNIZE.to_owned()] })
}

fn path() -> Result<PathBuf> {
    // This name still works, and still means this version, when an update has replaced the file.
    const SELF: &str = "/proc/self/exe";
    if cfg!(target_os = "linux") && Path::new(SELF).exists() {
        return Ok(PathBuf::from(SELF));
    }
    std::env::current_exe().context("the path of this program is not known")
}
