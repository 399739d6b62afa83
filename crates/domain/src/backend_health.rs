//! The health of the backends that serve models.

use serde::Serialize;

/// Whether a backend currently serves requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendStatus {
    /// It counts as reachable, and no circuit breaker is open.
    Up,
    /// It answers health checks, but requests for one of its models have failed; new ones are tried after a pause.
    Failing,
    /// Health checks found it unreachable or, twice in a row, not answering.
    Down,
}

impl BackendStatus {
    /// The states, from the best to the worst.
    pub const ALL: [Self; 3] = [Self::Up, Self::Failing, Self::Down];

    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Failing => "failing",
            Self::Down => "down",
        }
    }
}

/// A backend with its health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendHealth {
    /// Name from the configuration.
    pub name: String,
    /// Whether it is outside the plant's own network.
    pub is_cloud: bool,
    /// Whether it serves requests.
    pub status: BackendStatus,
    /// Names of the models that the platform requests from it.
    pub models: Vec<String>,
}
