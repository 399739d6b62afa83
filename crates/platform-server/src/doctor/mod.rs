//! `platform-server doctor`: finds misconfigurations and explains how to fix them.

mod auth;
mod token;

use crate::config::Settings;
use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What `doctor` checks.
#[derive(Debug, Subcommand)]
pub enum DoctorCommand {
    /// Check the token issuers, and why a token is refused.
    Auth(AuthArgs),
}

/// The issuers and the token to check.
#[derive(Debug, Default, Args)]
pub struct AuthArgs {
    /// Check only the issuer with this exact name.
    #[arg(long)]
    pub issuer: Option<String>,
    /// File with a token to check; otherwise a token is read from standard input if there is one. It is never printed.
    #[arg(long)]
    pub token_file: Option<PathBuf>,
}

/// The results of the checks, one line each.
#[derive(Debug, Default)]
pub struct Findings {
    lines: Vec<String>,
    problems: usize,
}

impl Findings {
    fn ok(&mut self, line: impl AsRef<str>) {
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

    /// The results as text, one per line.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// Number of problems found.
    #[must_use]
    pub fn problems(&self) -> usize {
        self.problems
    }
}

/// Runs the checks and prints the results.
///
/// # Errors
/// If there is a problem, or a check could not run.
pub async fn run(command: DoctorCommand, settings: &Settings) -> Result<()> {
    let DoctorCommand::Auth(args) = command;
    let given_token = token::read_token(args.token_file.as_deref())?;
    let findings = check_auth(&args, given_token.as_deref(), settings).await?;
    crate::print(&findings.text())?;
    match findings.problems() {
        0 => Ok(()),
        1 => bail!("found 1 problem"),
        many => bail!("found {many} problems"),
    }
}

pub use auth::check_auth;
