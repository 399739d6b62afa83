//! `platform-server doctor`: looks for faults and says them in sentences that somebody can act on.

mod auth;
mod token;

use crate::config::Settings;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What to look at.
#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// The issuers of tokens, and why a token would be refused.
    Auth(AuthArgs),
}

/// Which issuers, and which token.
#[derive(Debug, Default, Args)]
pub struct AuthArgs {
    /// Only this issuer, by its exact name.
    #[arg(long)]
    pub issuer: Option<String>,
    /// A file with a token to judge; without it, a token is read from standard input if one comes. It is never shown.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    lines: Vec<String>,
    problems: usize,
}

impl Findings {
    fn good(&mut self, line: impl AsRef<str>) {
        self.lines.push(format!("  ok       {}", line.as_ref()));
    }

    fn note(&mut self, line: impl AsRef<str>) {
        self.lines.push(format!("  note     {}", line.as_ref()));
    }

    fn problem(&mut self, line: impl AsRef<str>) {
        self.problems += 1;
        self.lines.push(format!("  PROBLEM  {}", line.as_ref()));
    }

    fn heading(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// The report.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// How many problems there are.
    #[must_use]
    pub fn problems(&self) -> usize {
        self.problems
    }
}

/// Looks, prints what was found, and fails where there is a problem.
///
/// # Errors
/// Where there is one, or the look itself was not possible.
pub async fn run(command: DoctorCommand, settings: &Settings) -> Result<()> {
    let DoctorCommand::Auth(args) = command;
    let pasted = token::pasted(args.token_file.as_deref())?;
    let found = look(&args, pasted.as_deref(), settings).await?;
    crate::print(&found.text())?;
    match found.problems() {
        0 => Ok(()),
        1 => bail!("there is a problem"),
        many => bail!("there are {many} problems"),
    }
}

pub use auth::look;
