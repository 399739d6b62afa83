//! Progress for people: a bar on a terminal, plain lines elsewhere. Always on standard error, since standard output
//! belongs to what a command was asked for.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

/// One thing that takes a while.
pub struct Progress {
    what: String,
    begun: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A transfer of about `bytes` bytes.
    pub fn bytes(what: &str, bytes: u64) -> Self {
        let begun = Self::plain(&format!("{what} ({})", DecimalBytes(bytes)));
        begun.with_bar(what, bytes, "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {eta}")
    }

    /// Something of `total` steps.
    pub fn steps(what: &str, total: u64) -> Self {
        Self::plain(what).with_bar(what, total, "{msg} [{bar:30}] {pos}/{len}")
    }

    fn plain(what: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            eprintln!("{what} …");
        }
        Self { what: what.to_owned(), begun: Instant::now(), bar: None }
    }

    fn with_bar(mut self, what: &str, total: u64, template: &str) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(what.to_owned());
            self.bar = Some(bar);
        }
        self
    }

    /// Where it stands.
    pub fn set(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }

    /// It is done: says how long it took.
    pub fn done(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: done in {:.1} s", self.what, self.begun.elapsed().as_secs_f64());
    }
}

/// A step of the way, said in one line.
pub fn say(line: &str) {
    eprintln!("{line}");
}
