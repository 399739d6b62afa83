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

/// What another program says of its progress, in lines such as `ingested 7/12`, shown as ours; its other lines are
/// printed as they are.
pub struct Steps<'a> {
    /// The words of such lines, each with what it is called here.
    titles: &'a [(&'a str, &'a str)],
    current: Option<(&'a str, Progress)>,
}

impl<'a> Steps<'a> {
    /// Progress of which lines with these words tell, each with what it is called.
    pub fn new(titles: &'a [(&'a str, &'a str)]) -> Self {
        Self { titles, current: None }
    }

    /// A line of the other program.
    pub fn tell(&mut self, line: &str) {
        let Some((word, title, done, total)) = self.counts(line) else {
            return println!("{line}");
        };
        match &self.current {
            Some((shown, progress)) if *shown == word => progress.set(done),
            // All of it was there before: nothing to show.
            _ if done == total => {}
            _ => {
                self.finish();
                let progress = Progress::steps(title, total);
                progress.set(done);
                self.current = Some((word, progress));
            }
        }
        if done == total {
            self.finish();
        }
    }

    /// Reads a line such as `ingested 7/12`.
    fn counts(&self, line: &str) -> Option<(&'a str, &'a str, u64, u64)> {
        let (said, counts) = line.trim().split_once(' ')?;
        let (word, title) = self.titles.iter().find(|(word, _)| *word == said)?;
        let (done, total) = counts.split_once('/')?;
        Some((word, title, done.parse().ok()?, total.parse().ok()?))
    }

    fn finish(&mut self) {
        if let Some((_, progress)) = self.current.take() {
            progress.done();
        }
    }
}

/// A step of the way, said in one line.
pub fn say(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_are_told_from_others() {
        let steps = Steps::new(&[("ingested", "ingesting the documents")]);
        assert_eq!(steps.counts("ingested 7/12"), Some(("ingested", "ingesting the documents", 7, 12)));
        assert_eq!(steps.counts("failed: scan.pdf (no_text)"), None);
        assert_eq!(steps.counts("ingested some/thing"), None);
        assert_eq!(steps.counts("asked 1/2"), None);
    }
}
