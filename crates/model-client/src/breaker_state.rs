//! The states of a circuit breaker, shared by the router and the metrics.

/// State of a circuit breaker, ordered from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum BreakerState {
    /// All requests pass.
    Closed,
    /// One request is allowed as a probe.
    HalfOpen,
    /// No requests pass until the pause is over.
    Open,
}
