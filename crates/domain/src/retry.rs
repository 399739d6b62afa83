//! Retries with exponential backoff, for writes that must survive a database outage.

use crate::error::{Classify as _, ErrorKind};
use crate::store_error::StoreError;
use std::time::Duration;

/// Maximum wait between two attempts.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Maximum number of retries; with the waits, about ten minutes in total.
const MAX_RETRIES: u32 = 64;

/// Calls `attempt` until it succeeds or fails for a reason other than an unavailable database, for about ten minutes at
/// most. `sleep` performs the waits. A conflict on a retry counts as success: the rows have unique ids, so an earlier
/// attempt must have stored them and only its response was lost.
///
/// # Errors
/// The error of the last attempt.
pub async fn with_backoff<A, S>(
    mut attempt: impl FnMut() -> A,
    mut sleep: impl FnMut(Duration) -> S,
) -> Result<(), StoreError>
where
    A: Future<Output = Result<(), StoreError>>,
    S: Future<Output = ()>,
{
    let mut delay = Duration::from_millis(200);
    let mut result = attempt().await;
    for _ in 0..MAX_RETRIES {
        match &result {
            Err(error) if error.kind() == ErrorKind::Unavailable => {}
            _ => return result,
        }
        sleep(delay).await;
        delay = (delay * 2).min(MAX_WAIT);
        result = match attempt().await {
            Err(StoreError::Conflict { .. }) => Ok(()),
            result => result,
        };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn unavailable() -> StoreError {
        StoreError::Unavailable { activity: "testing", source: "down".into() }
    }

    async fn run_with(results: &[fn() -> Result<(), StoreError>]) -> (Result<(), StoreError>, usize, Duration) {
        let (calls, total_wait) = (Cell::new(0), Cell::new(Duration::ZERO));
        let result = with_backoff(
            || {
                let call = calls.replace(calls.get() + 1);
                let next_result = results[call.min(results.len() - 1)];
                async move { next_result() }
            },
            |wait| {
                total_wait.set(total_wait.get() + wait);
                async {}
            },
        )
        .await;
        (result, calls.get(), total_wait.get())
    }

    #[tokio::test]
    async fn only_outages_are_retried() {
        assert!(matches!(run_with(&[|| Ok(())]).await, (Ok(()), 1, Duration::ZERO)));
        assert!(matches!(run_with(&[|| Err(unavailable()), || Err(unavailable()), || Ok(())]).await, (Ok(()), 3, _)));
        let conflict: fn() -> Result<(), StoreError> = || Err(StoreError::Conflict { reason: "It exists." });
        assert!(matches!(run_with(&[conflict]).await, (Err(StoreError::Conflict { .. }), 1, _)));
        assert!(matches!(run_with(&[|| Err(unavailable()), conflict]).await, (Ok(()), 2, _)));
        let (result, calls, waited) = run_with(&[|| Err(unavailable())]).await;
        assert!(result.is_err());
        assert_eq!(calls, 65);
        assert!((590..660).contains(&waited.as_secs()), "{waited:?}");
    }
}
