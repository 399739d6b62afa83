//! Waiting in tests: for a condition, never for a duration.

use std::future::Future;
use std::time::Duration;

/// How long a condition may take to become true. Only a failing test waits this long.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two probes.
const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `probe` until it returns `Some`, and returns what it found. Under a paused Tokio clock the pauses take no
/// real time.
///
/// # Panics
/// After 20 seconds, with `expectation`: what should have become true.
#[expect(clippy::panic, reason = "a test that waits in vain fails here, with what it waited for")]
pub async fn eventually<T, F>(expectation: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let found = tokio::time::timeout(TIMEOUT, async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("still not true after {TIMEOUT:?}: {expectation}"))
}
