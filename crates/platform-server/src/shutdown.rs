//! SIGTERM and Ctrl-C.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels; a second one ends the process at once.
///
/// # Errors
/// Where no signal handler can be installed.
pub fn on_signal(tasks: &tokio_util::task::TaskTracker) -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("no handler for SIGTERM can be installed")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no handler for SIGINT can be installed")?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if told.is_cancelled() {
                std::process::exit(130);
            }
            told.cancel();
        }
    });
    Ok(stop)
}
