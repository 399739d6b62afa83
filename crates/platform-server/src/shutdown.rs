//! Shutdown on SIGTERM and SIGINT (Ctrl-C).

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first SIGTERM or SIGINT cancels. A second signal ends the process at once with exit code
/// 130.
///
/// # Errors
/// If a signal handler cannot be installed.
pub fn on_signal(tasks: &tokio_util::task::TaskTracker) -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("the handler for SIGTERM cannot be installed")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("the handler for SIGINT cannot be installed")?;
    let stop = CancellationToken::new();
    let stop_token = stop.clone();
    tasks.spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if stop_token.is_cancelled() {
                std::process::exit(130);
            }
            stop_token.cancel();
        }
    });
    Ok(stop)
}
