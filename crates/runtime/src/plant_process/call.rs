//! A call to a source within a time limit.

use domain::plant::ConnectorError;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The time limit of a call.
#[derive(Clone, Copy)]
pub(super) struct TimeLimit {
    pub(super) duration: Duration,
    /// Whether the caller's deadline comes before the regular limit.
    is_cut_short: bool,
}

/// Outcome of a call.
pub(super) struct Ended<T> {
    pub(super) result: Result<T, ConnectorError>,
    /// Whether the caller's time was up, which says nothing about the source.
    pub(super) is_cut_short: bool,
}

impl TimeLimit {
    /// `limit`, or the time until `deadline` if that is less.
    pub(super) fn of(limit: Duration, deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        Self { duration: limit.min(left), is_cut_short: left < limit }
    }

    pub(super) async fn run<T>(self, call: impl Future<Output = Result<T, ConnectorError>>) -> Ended<T> {
        let finished = timeout(self.duration, call).await;
        let is_cut_short = finished.is_err() && self.is_cut_short;
        let timed_out = ConnectorError::TimedOut { seconds: self.duration.as_secs().max(1) };
        Ended { result: finished.unwrap_or(Err(timed_out)), is_cut_short }
    }
}

/// The kind of an error, for metrics.
pub(super) fn error_kind(error: &ConnectorError) -> &'static str {
    match error {
        ConnectorError::Configuration { .. } => "configuration",
        ConnectorError::Unreachable { .. } => "unreachable",
        ConnectorError::UntrustedCertificate { .. } => "untrusted_certificate",
        ConnectorError::AccessDenied { .. } => "access_denied",
        ConnectorError::TimedOut { .. } => "timed_out",
        ConnectorError::InvalidResponse { .. } => "invalid_response",
    }
}
