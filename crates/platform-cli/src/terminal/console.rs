//! Where results and messages go, and in which format.

use super::printable::printable;
use super::table::Table;
use crate::args::OutputFormat;
use crate::error::CliError;
use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use serde_json::Value;
use std::io::{self, IsTerminal as _, Stdout, Write as _};

const HEADING: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// Standard output and standard error of a command. Colours are left out where `NO_COLOR` is set, or where nobody sees
/// them.
pub struct Console {
    format: OutputFormat,
    out: AutoStream<Stdout>,
    is_terminal: bool,
}

impl Console {
    /// The console of this process.
    pub fn new(format: OutputFormat) -> Self {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        Self { format, out: AutoStream::auto(out), is_terminal }
    }

    /// Whether results are to be JSON.
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints a part of a line at once.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn part(&mut self, text: &str) -> Result<(), CliError> {
        let written = write!(self.out, "{}", printable(text)).and_then(|()| self.out.flush());
        written.map_err(closed)
    }

    /// Prints a line, or several.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{}", printable(text)).map_err(closed)
    }

    /// Prints a line that is read before others.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn heading(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{HEADING}{}{HEADING:#}", printable(text)).map_err(closed)
    }

    /// Prints a table.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn table(&mut self, table: &Table) -> Result<(), CliError> {
        if !self.is_terminal {
            return table.separated().iter().try_for_each(|row| self.line(row));
        }
        let lines = table.aligned();
        let (header, rows) = lines.split_first().map_or(("", &[][..]), |(header, rows)| (header.as_str(), rows));
        self.heading(header)?;
        rows.iter().try_for_each(|row| self.line(row))
    }

    /// Prints a JSON document on one line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn json(&mut self, document: &Value) -> Result<(), CliError> {
        writeln!(self.out, "{document}").map_err(closed)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        // Not through the stream for text, which would take escape sequences out.
        io::stdout().lock().write_all(bytes).map_err(closed)
    }

    /// Writes out what is still held back.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(closed)
    }

    /// Prints a message, which is no result: to standard error, whatever the format.
    pub fn note(&self, text: &str) {
        // Nobody can be told that standard error is closed.
        let _told = writeln!(anstream::stderr(), "{QUIET}{}{QUIET:#}", printable(text));
    }
}

/// Prints why the command failed. A closed output and an interruption need no words.
pub fn report(error: &CliError) {
    if !matches!(error, CliError::OutputClosed | CliError::Interrupted) {
        let text = error.to_string();
        let _told = writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {}", printable(&text));
    }
}

fn closed(error: io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::OutputClosed,
        _ => CliError::local("the result cannot be written", error),
    }
}
