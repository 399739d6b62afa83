//! Helpers with which tests wait for a condition instead of for a fixed time.

use std::future::Future;
use std::time::Duration;

/// How long a condition may take to become true. Only a failing test waits this long.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two calls of `probe`.
const INTERVAL: Duration = Duration::from_millis(10);

/// Calls `probe` until it returns `Some`, and returns the value. With a paused Tokio clock the pauses take no real
/// time.
///
/// # Panics
/// After 20 seconds. The message contains `expectation`, a description of the condition.
pub async fn eventually<T, F>(expectation: &str, probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    eventually_within(TIMEOUT, expectation, probe).await
}

/// Like [`eventually`] with another time limit, for tests of the limit itself or of slow programs.
///
/// # Panics
/// After `limit`. The message contains `expectation`.
#[expect(clippy::panic, reason = "a test that waits in vain fails here, with what it waited for")]
pub async fn eventually_within<T, F>(limit: Duration, expectation: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let found = tokio::time::timeout(limit, async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(INTERVAL).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("still not true after {limit:?}: {expectation}"))
}
