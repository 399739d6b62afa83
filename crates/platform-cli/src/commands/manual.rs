//! `man` and `completions`: manual pages and shell completions, generated from the arguments.

use crate::args::Cli;
use crate::error::CliError;
use crate::terminal::Console;
use clap::CommandFactory as _;
use clap_mangen::Man;
use std::path::Path;

/// Prints the manual page, or writes the pages of all commands into a directory.
///
/// # Errors
/// If the output cannot be written.
pub fn man(dir: Option<&Path>, console: &mut Console) -> Result<(), CliError> {
    let command = Cli::command();
    if let Some(dir) = dir {
        let failed = |error| CliError::failed_locally(&dir.display().to_string(), error);
        std::fs::create_dir_all(dir).map_err(failed)?;
        return clap_mangen::generate_to(command.disable_help_subcommand(true), dir).map_err(failed);
    }
    let mut page = Vec::new();
    let rendered = Man::new(command).render(&mut page);
    rendered.map_err(|error| CliError::failed_locally("the manual page cannot be generated", error))?;
    console.raw(&page)
}

/// Prints a shell's completion script.
///
/// # Errors
/// If the output cannot be written.
pub fn completions(shell: clap_complete::Shell, console: &mut Console) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "platform", &mut script);
    console.raw(&script)
}
