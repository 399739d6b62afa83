//! A shared connection that is opened when it is first needed, and reopened after it breaks.

use crate::backoff::Backoff;
use domain::plant::ConnectorError;
use std::sync::Arc;
use tokio::sync::Mutex;

/// A connection that can break.
pub trait Connection: Send + Sync {
    /// Whether it can still be used.
    fn is_open(&self) -> bool;
}

/// Whether a new attempt waits for the delay that follows a failed one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BackoffPolicy {
    /// No attempt before the delay is over: for reads, whose rate is not limited.
    Respect,
    /// An attempt at once: for an administrator's test.
    Bypass,
}

/// Holds a connection, or the last error.
pub struct Link<C> {
    state: Mutex<State<C>>,
}

struct State<C> {
    connection: Option<Arc<C>>,
    backoff: Backoff,
}

impl<C: Connection> Link<C> {
    pub fn new() -> Self {
        Self { state: Mutex::new(State { connection: None, backoff: Backoff::default() }) }
    }

    /// Returns the connection, which `connect` opens if there is none. Attempts are serialized, so that a server gets
    /// one at a time.
    pub async fn get<F>(&self, backoff: BackoffPolicy, connect: F) -> Result<Arc<C>, ConnectorError>
    where
        F: Future<Output = Result<C, ConnectorError>> + Send,
    {
        let mut state = self.state.lock().await;
        if let Some(connection) = state.connection.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        state.connection = None;
        if backoff == BackoffPolicy::Respect
            && let Some(error) = state.backoff.refusal()
        {
            return Err(error);
        }
        match connect.await {
            Ok(connection) => {
                state.backoff.succeeded();
                let connection = Arc::new(connection);
                state.connection = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                state.backoff.failed(&error);
                Err(error)
            }
        }
    }

    /// Drops the connection, which is no longer usable. With `error`, the next attempt is delayed, unless a delay is
    /// already running: then the error is that of the last attempt, and no new attempt has been made.
    pub async fn discard(&self, error: Option<&ConnectorError>) {
        let mut state = self.state.lock().await;
        state.connection = None;
        if let Some(error) = error.filter(|_| state.backoff.refusal().is_none()) {
            state.backoff.failed(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;

    struct Fake(AtomicBool);

    impl Connection for Fake {
        fn is_open(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_not_repeated_before_their_delay_and_broken_connections_are_replaced() {
        let link = Link::<Fake>::new();
        let attempts = AtomicUsize::new(0);
        let connect = async |works: bool| {
            attempts.fetch_add(1, Ordering::Relaxed);
            if works { Ok(Fake(AtomicBool::new(true))) } else { Err(failure::unreachable("down")) }
        };
        assert!(link.get(BackoffPolicy::Respect, connect(false)).await.is_err());
        assert!(link.get(BackoffPolicy::Respect, connect(true)).await.is_err(), "too early");
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
        assert!(link.get(BackoffPolicy::Bypass, connect(false)).await.is_err(), "a test does not wait");
        tokio::time::advance(Duration::from_secs(5)).await;
        let first = link.get(BackoffPolicy::Respect, connect(true)).await.unwrap();
        let again = link.get(BackoffPolicy::Respect, connect(true)).await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        first.0.store(false, Ordering::Relaxed);
        let second = link.get(BackoffPolicy::Respect, connect(true)).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        link.discard(None).await;
        assert!(!Arc::ptr_eq(&second, &link.get(BackoffPolicy::Respect, connect(true)).await.unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn asking_during_the_delay_does_not_lengthen_it() {
        let link = Link::<Fake>::new();
        let connect = async |works: bool| {
            if works { Ok(Fake(AtomicBool::new(true))) } else { Err(failure::timed_out(Duration::from_secs(1))) }
        };
        let error = link.get(BackoffPolicy::Respect, connect(false)).await.err().unwrap();
        for _ in 0..9 {
            tokio::time::advance(Duration::from_millis(100)).await;
            assert!(link.get(BackoffPolicy::Respect, connect(true)).await.is_err());
            link.discard(Some(&error)).await;
        }
        tokio::time::advance(Duration::from_millis(200)).await;
        assert!(link.get(BackoffPolicy::Respect, connect(true)).await.is_ok());
    }
}
