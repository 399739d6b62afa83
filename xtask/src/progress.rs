//! Progress output: a bar on a terminal, plain lines elsewhere. Always on standard error, because standard output is
//! for a command's result.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{DecimalBytes, ProgressBar, ProgressStyle};

/// A long-running operation whose progress is shown.
pub struct Progress {
    title: String,
    started_at: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts showing a transfer of about `bytes` bytes.
    pub fn bytes(title: &str, bytes: u64) -> Self {
        let progress = Self::without_bar(&format!("{title} ({})", DecimalBytes(bytes)));
        progress.with_bar(title, bytes, "{msg} [{bar:30}] {decimal_bytes}/{decimal_total_bytes} {eta}")
    }

    /// Starts showing an operation of `total` steps.
    pub fn steps(title: &str, total: u64) -> Self {
        Self::without_bar(title).with_bar(title, total, "{msg} [{bar:30}] {pos}/{len}")
    }

    fn without_bar(title: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            eprintln!("{title} …");
        }
        Self { title: title.to_owned(), started_at: Instant::now(), bar: None }
    }

    fn with_bar(mut self, title: &str, total: u64, template: &str) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(title.to_owned());
            self.bar = Some(bar);
        }
        self
    }

    /// Updates the position, in bytes or steps.
    pub fn set(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
        }
    }

    /// Finishes, and prints the duration.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: done in {:.1} s", self.title, self.started_at.elapsed().as_secs_f64());
    }
}

/// Shows the progress that another program prints in lines such as `ingested 7/12`. Its other lines are printed
/// unchanged.
pub struct StepProgress<'a> {
    /// The first words of progress lines, each with the title to show.
    titles: &'a [(&'a str, &'a str)],
    current: Option<(&'a str, Progress)>,
}

impl<'a> StepProgress<'a> {
    /// Recognizes lines that start with one of these words; each comes with the title to show.
    pub fn new(titles: &'a [(&'a str, &'a str)]) -> Self {
        Self { titles, current: None }
    }

    /// Processes a line that the other program printed.
    pub fn on_line(&mut self, line: &str) {
        let Some((word, title, done, total)) = self.parse_counts(line) else {
            return println!("{line}");
        };
        match &self.current {
            Some((current_word, progress)) if *current_word == word => progress.set(done),
            // Everything was already done, so there is no progress to show.
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

    /// Parses a line such as `ingested 7/12`: the word, its title, the number done, and the total.
    fn parse_counts(&self, line: &str) -> Option<(&'a str, &'a str, u64, u64)> {
        let (first_word, counts) = line.trim().split_once(' ')?;
        let (word, title) = self.titles.iter().find(|(word, _)| *word == first_word)?;
        let (done, total) = counts.split_once('/')?;
        Some((word, title, done.parse().ok()?, total.parse().ok()?))
    }

    fn finish(&mut self) {
        if let Some((_, progress)) = self.current.take() {
            progress.finish();
        }
    }
}

/// Prints a status line to standard error.
pub fn print_status(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_lines_are_distinguished_from_others() {
        let steps = StepProgress::new(&[("ingested", "ingesting the documents")]);
        assert_eq!(steps.parse_counts("ingested 7/12"), Some(("ingested", "ingesting the documents", 7, 12)));
        assert_eq!(steps.parse_counts("failed: scan.pdf (no_text)"), None);
        assert_eq!(steps.parse_counts("ingested some/thing"), None);
        assert_eq!(steps.parse_counts("asked 1/2"), None);
    }
}
