//! The child that becomes another program: it confines itself as far as that program lets it, and is replaced by it.
//!
//! Text recognition is a program of somebody else's, written in C++, that gets pictures out of crafted files. It starts
//! with no environment but what it needs, and may read its own file, libraries and training data; nothing else.
//!
//! A program that has no tokio, no telemetry and no settings started yet hands its arguments to [`run`].

use super::confine::{Allowed, confine_program};
use super::frame::ChildLimits;
use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The status with which a child ends that could not confine itself.
const UNCONFINED: u8 = 71;
/// The status of a child whose arguments are wrong.
const MISUSED: u8 = 72;
/// The status of a child that could not become the program.
const NOT_STARTED: u8 = 73;
/// Stands for a folder that is not given.
const NO_FOLDER: &str = "-";

/// Where libraries are, whatever the program's own place.
const LIBRARIES: [&str; 6] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache"];
/// What the kernel starts a linked program with.
const LOADERS: [&str; 4] = [
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib/ld-musl-x86_64.so.1",
    "/lib/ld-musl-aarch64.so.1",
];
/// Training data, beneath the folder that holds the program's `bin`.
const TRAINING_DATA: [&str; 3] = ["share/tesseract-ocr", "share/tessdata", "share/tesseract"];

/// The program that confines itself and becomes another: one whose `main` hands the arguments after `args` to [`run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Its path.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// What a launcher becomes.
pub(crate) struct Launch<'a> {
    /// What it may use.
    pub(crate) limits: ChildLimits,
    /// The program, by its path.
    pub(crate) program: &'a Path,
    /// The folder of its training data, where that is not in its usual place.
    pub(crate) training_data: Option<&'a Path>,
    /// Its arguments.
    pub(crate) args: &'a [&'a str],
}

impl Launcher {
    /// The command that starts it. No environment, the root as its folder.
    pub(crate) fn command(&self, launch: &Launch<'_>) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(&self.program);
        command.args(&self.args).args(launch.limits.to_args()).arg(launch.program);
        command.arg(launch.training_data.unwrap_or(Path::new(NO_FOLDER))).args(launch.args);
        command.env_clear().current_dir("/");
        command
    }
}

/// Confines this process and becomes the program that the arguments name, as [`Launcher`] puts them.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let Some(limits) = ChildLimits::from_args(args.by_ref().take(2)) else { return ExitCode::from(MISUSED) };
    let (Some(program), Some(folder)) = (args.next(), args.next()) else { return ExitCode::from(MISUSED) };
    let Ok(program) = PathBuf::from(program).canonicalize() else { return ExitCode::from(NOT_STARTED) };
    let training_data = (folder != NO_FOLDER).then(|| PathBuf::from(folder));
    let mut command = Command::new(&program);
    // One page is one thread's work: the worker decides what runs at a time.
    command.args(args).env_clear().env("OMP_THREAD_LIMIT", "1");
    if let Some(folder) = &training_data {
        command.env("TESSDATA_PREFIX", folder);
    }
    if confine_program(&limits, &allowed(&program, training_data)).is_err() {
        return ExitCode::from(UNCONFINED);
    }
    let _not_replaced = command.exec();
    ExitCode::from(NOT_STARTED)
}

fn allowed(program: &Path, training_data: Option<PathBuf>) -> Allowed {
    let run = LOADERS.iter().map(PathBuf::from).chain([program.to_owned()]).collect();
    let home = program.parent().and_then(Path::parent);
    let own = home.into_iter().flat_map(|home| TRAINING_DATA.iter().chain(&["lib"]).map(move |name| home.join(name)));
    let read = LIBRARIES.iter().map(PathBuf::from).chain(own).chain(training_data).collect();
    Allowed { run, read }
}
