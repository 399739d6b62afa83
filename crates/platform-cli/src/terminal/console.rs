//! Prints results and messages, in the selected format.

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

/// Standard output and standard error of a command. There are no colors if `NO_COLOR` is set, or if the output is not a
/// terminal.
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

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints a part of a line and flushes it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_chunk(&mut self, text: &str) -> Result<(), CliError> {
        let written = write!(self.out, "{}", printable(text)).and_then(|()| self.out.flush());
        written.map_err(output_error)
    }

    /// Prints one or several lines.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{}", printable(text)).map_err(output_error)
    }

    /// Prints a heading.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn heading(&mut self, text: &str) -> Result<(), CliError> {
        writeln!(self.out, "{HEADING}{}{HEADING:#}", printable(text)).map_err(output_error)
    }

    /// Prints a table.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn table(&mut self, table: &Table) -> Result<(), CliError> {
        if !self.is_terminal {
            return table.tab_separated_lines().iter().try_for_each(|row| self.line(row));
        }
        let lines = table.aligned_lines();
        let (header, rows) = lines.split_first().map_or(("", &[][..]), |(header, rows)| (header.as_str(), rows));
        self.heading(header)?;
        rows.iter().try_for_each(|row| self.line(row))
    }

    /// Prints a JSON document on one line.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn json(&mut self, document: &Value) -> Result<(), CliError> {
        writeln!(self.out, "{document}").map_err(output_error)
    }

    /// Writes bytes unchanged.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        // Bypasses the text stream, which would remove escape sequences.
        io::stdout().lock().write_all(bytes).map_err(output_error)
    }

    /// Flushes standard output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.out.flush().map_err(output_error)
    }

    /// Prints a message to standard error, in any format.
    pub fn note(&self, text: &str) {
        // If standard error is closed, this cannot be reported.
        let _written = writeln!(anstream::stderr(), "{QUIET}{}{QUIET:#}", printable(text));
    }
}

/// Prints why the command failed. A closed output and an interruption are not reported.
pub fn report(error: &CliError) {
    if !matches!(error, CliError::OutputClosed | CliError::Interrupted) {
        let text = error.to_string();
        let _written = writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {}", printable(&text));
    }
}

fn output_error(error: io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::OutputClosed,
        _ => CliError::failed_locally("the result cannot be written", error),
    }
}
