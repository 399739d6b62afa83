//! Spinners and progress bars on standard error, shown only if it is a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

const REDRAW_INTERVAL: Duration = Duration::from_millis(100);

/// A spinner with a message, for work of unknown length. It disappears when it is finished.
pub fn spinner(message: &str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, draw_target()).with_message(message.to_owned());
    if !spinner.is_hidden() {
        spinner.enable_steady_tick(REDRAW_INTERVAL);
    }
    spinner
}

/// A bar for the upload of a file with this name and size in bytes.
pub fn upload_bar(name: &str, size: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(size), draw_target()).with_message(name.to_owned());
    match ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn draw_target() -> ProgressDrawTarget {
    if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}
