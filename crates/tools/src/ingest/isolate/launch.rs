//! Starts the OCR program in a sandbox: a child process restricts itself as far as that program permits, and then
//! replaces itself with it (`exec`).
//!
//! The OCR program is external C++ code that decodes untrusted images. It starts with a minimal environment,
//! and may read only its own file, libraries and training data.
//!
//! [`run`] must be called before the program starts threads (Tokio, telemetry) or loads its configuration, because the
//! sandbox does not apply to threads that already exist.

use super::confine::{AllowedPaths, confine_program};
use super::frame::ChildLimits;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Exit status of a child that could not sandbox itself.
const EXIT_SANDBOX_FAILED: u8 = 71;
/// Exit status of a child with invalid arguments.
const EXIT_INVALID_INPUT: u8 = 72;
/// Exit status of a child that could not find or execute the program.
const EXIT_NOT_STARTED: u8 = 73;
/// Placeholder argument for a training data directory that is not set.
const NO_TRAINING_DATA: &str = "-";

/// Library directories and the loader's cache, readable wherever the program is installed.
const LIBRARY_PATHS: [&str; 6] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"];
/// Dynamic loaders, which the kernel executes for a dynamically linked program.
const DYNAMIC_LOADERS: [&str; 4] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];
/// Directories of training data, relative to the installation prefix (the parent of the program's `bin`).
const TRAINING_DATA_DIRS: [&str; 3] = ["share/tesseract-ocr", "share/tessdata", "share/tesseract"];

/// The program that sandboxes itself and executes another; its `main` must pass the arguments after `args` to [`run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Path of the program.
    pub program: PathBuf,
    /// Arguments that select the subcommand which calls [`run`].
    pub args: Vec<String>,
}

/// One execution of the OCR program.
pub(crate) struct Launch<'a> {
    /// Resource limits of the process.
    pub(crate) limits: ChildLimits,
    /// Path of the program to execute.
    pub(crate) program: &'a Path,
    /// Directory of its training data; `None` for the program's default.
    pub(crate) training_data: Option<&'a Path>,
    /// Arguments for the program.
    pub(crate) args: &'a [&'a str],
}

impl Launcher {
    /// Builds the command, with an empty environment and `/` as the working directory.
    pub(crate) fn command(&self, launch: &Launch<'_>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).args(launch.limits.to_args()).arg(launch.program);
        command.arg(launch.training_data.unwrap_or(Path::new(NO_TRAINING_DATA))).args(launch.args);
        command.env_clear().current_dir("/");
        command
    }
}

/// Sandboxes this process and replaces it with the program named in `args`, which are the arguments that
/// [`Launcher::command`] appends. Returns an exit code only if that fails.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let Some(limits) = ChildLimits::from_args(args.by_ref().take(2)) else { return ExitCode::from(EXIT_INVALID_INPUT) };
    let (Some(program), Some(folder)) = (args.next(), args.next()) else { return ExitCode::from(EXIT_INVALID_INPUT) };
    let Ok(program) = PathBuf::from(program).canonicalize() else { return ExitCode::from(EXIT_NOT_STARTED) };
    let training_data = (folder != NO_TRAINING_DATA).then(|| PathBuf::from(folder));
    let mut command = Command::new(&program);
    // One OpenMP thread per image, because the worker limits how many images are recognized concurrently.
    command.args(args).env_clear().env("OMP_THREAD_LIMIT", "1");
    if let Some(folder) = &training_data {
        command.env("TESSDATA_PREFIX", folder);
    }
    if confine_program(&limits, &allowed_paths(&program, training_data)).is_err() {
        return ExitCode::from(EXIT_SANDBOX_FAILED);
    }
    let _exec_error = command.exec();
    ExitCode::from(EXIT_NOT_STARTED)
}

fn allowed_paths(program: &Path, training_data: Option<PathBuf>) -> AllowedPaths {
    let executable = DYNAMIC_LOADERS.iter().map(PathBuf::from).chain([program.to_owned()]).collect();
    let prefix = program.parent().and_then(Path::parent);
    let program_dirs = prefix
        .into_iter()
        .flat_map(|prefix| TRAINING_DATA_DIRS.iter().chain(&["lib"]).map(move |name| prefix.join(name)));
    let readable = LIBRARY_PATHS.iter().map(PathBuf::from).chain(program_dirs).chain(training_data).collect();
    AllowedPaths { executable, readable }
}
