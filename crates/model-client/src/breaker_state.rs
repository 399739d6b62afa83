//! The states of a circuit breaker, as the router decides them and the metrics report them.

/// State of a circuit breaker, from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum BreakerState {
    /// All requests pass.
    Closed,
    /// One request probes the backend.
    HalfOpen,
    /// No requests pass.
    Open,
}
