//! Events of the plant process, for metrics.

use domain::plant::ConnectorKind;
use std::time::Duration;

/// Observes requests, calls and refusals.
pub trait PlantObserver: Send + Sync {
    /// A request (`read`, `history`, `check`, `browse`) was answered; `outcome` is `ok` or the kind of failure.
    fn answered(&self, request: &'static str, outcome: &'static str, took: Duration);
    /// A call to a plant system ended; `outcome` is `ok` or the kind of error.
    fn called(&self, kind: ConnectorKind, outcome: &'static str, took: Duration);
    /// A call was not made because the endpoint's budget was spent.
    fn refused_by_budget(&self, kind: ConnectorKind);
    /// A call was not made because the last ones failed.
    fn refused_by_breaker(&self, kind: ConnectorKind);
    /// Samples were recorded.
    fn recorded(&self, samples: usize);
}

/// An observer that ignores all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPlantObserver;

impl PlantObserver for NoPlantObserver {
    fn answered(&self, _: &'static str, _: &'static str, _: Duration) {}
    fn called(&self, _: ConnectorKind, _: &'static str, _: Duration) {}
    fn refused_by_budget(&self, _: ConnectorKind) {}
    fn refused_by_breaker(&self, _: ConnectorKind) {}
    fn recorded(&self, _: usize) {}
}
