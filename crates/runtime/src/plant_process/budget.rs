//! The budget of an endpoint: a maximum number of calls per second, shared by all callers. Waiting callers are served
//! in order.

use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A bucket of tokens, one per call. It holds at most the tokens of one second.
pub(super) struct EndpointBudget {
    calls_per_s: f64,
    bucket: Mutex<Bucket>,
}

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

/// The budget does not allow another call before the caller's deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BudgetSpent {
    /// Seconds until the next call is allowed; at least 1.
    pub(super) retry_after_s: u64,
}

impl EndpointBudget {
    pub(super) fn new(calls_per_s: f64) -> Self {
        let calls_per_s = calls_per_s.max(f64::MIN_POSITIVE);
        let bucket = Bucket { tokens: calls_per_s.max(1.0), filled_at: Instant::now() };
        Self { calls_per_s, bucket: Mutex::new(bucket) }
    }

    /// Waits for a token until `deadline`, and takes it.
    pub(super) async fn take(&self, deadline: Instant) -> Result<(), BudgetSpent> {
        // Tokio's mutex is fair and stays locked while a caller sleeps until the next token: other callers queue.
        let Ok(mut bucket) = timeout_at(deadline, self.bucket.lock()).await else {
            return Err(BudgetSpent { retry_after_s: 1 });
        };
        bucket.fill(self.calls_per_s);
        if bucket.tokens < 1.0 {
            let wait = Duration::try_from_secs_f64((1.0 - bucket.tokens) / self.calls_per_s).unwrap_or(Duration::MAX);
            let ready_at = Instant::now().checked_add(wait).filter(|ready_at| *ready_at <= deadline);
            let Some(ready_at) = ready_at else {
                return Err(BudgetSpent { retry_after_s: wait.as_secs().saturating_add(1) });
            };
            sleep_until(ready_at).await;
            bucket.fill(self.calls_per_s);
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// Takes up to `wanted` more tokens without waiting; returns how many there were. Waiting callers have precedence.
    pub(super) fn take_available(&self, wanted: usize) -> usize {
        let Ok(mut bucket) = self.bucket.try_lock() else { return 0 };
        bucket.fill(self.calls_per_s);
        let mut taken = 0;
        while taken < wanted && bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            taken += 1;
        }
        taken
    }

    /// Whether it is in the state of a new budget: no caller waits, and no token is missing.
    pub(super) fn is_full(&self) -> bool {
        let Ok(mut bucket) = self.bucket.try_lock() else { return false };
        bucket.fill(self.calls_per_s);
        bucket.tokens >= self.calls_per_s.max(1.0)
    }
}

impl Bucket {
    fn fill(&mut self, calls_per_s: f64) {
        let now = Instant::now();
        let new_tokens = now.duration_since(self.filled_at).as_secs_f64() * calls_per_s;
        self.tokens = (self.tokens + new_tokens).min(calls_per_s.max(1.0));
        self.filled_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_beyond_the_budget_wait_or_are_refused() {
        let budget = EndpointBudget::new(2.0);
        let start = Instant::now();
        for _ in 0..6 {
            budget.take(start + Duration::from_secs(60)).await.expect("in time");
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(1_900) && took <= Duration::from_millis(2_200), "{took:?}");
        let refused = budget.take(Instant::now() + Duration::from_millis(100)).await;
        assert_eq!(refused, Err(BudgetSpent { retry_after_s: 1 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_below_one_call_per_second_allows_a_first_call() {
        let budget = EndpointBudget::new(0.1);
        let start = Instant::now();
        budget.take(start).await.expect("the first");
        assert_eq!(budget.take(start + Duration::from_secs(5)).await, Err(BudgetSpent { retry_after_s: 11 }));
        budget.take(start + Duration::from_secs(11)).await.expect("after ten seconds");
    }
    #[tokio::test(start_paused = true)]
    async fn more_tokens_are_taken_as_far_as_they_are_there() {
        let budget = EndpointBudget::new(3.0);
        assert!(budget.is_full());
        budget.take(Instant::now()).await.expect("the first");
        assert!(!budget.is_full());
        assert_eq!((budget.take_available(1), budget.take_available(5), budget.take_available(1)), (1, 1, 0));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(budget.is_full());
    }
}
