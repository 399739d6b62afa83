//! One try at one backend: its place, and what the breaker learns from how it ends.

use super::Route;
use super::backend::Backend;
use super::breaker::Breaker;
use super::places::Place;
use super::tries::Tries;
use crate::metrics::Counted;
use crate::openai::http::NO_CONNECTION;
use domain::model::ModelError;
use domain::model_call::{ModelOperation, Price, ServedBy};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One try at one backend. While it lives it has its place; it tells the breaker how it ended.
pub(crate) struct Attempt {
    pub(crate) backend: Arc<Backend>,
    breaker: Arc<Breaker>,
    pub(crate) model: String,
    price: Price,
    fallback: bool,
    told: bool,
    _place: Place,
}

impl Attempt {
    pub(super) fn new(backend: Arc<Backend>, route: &Route, fallback: bool, place: Place) -> Self {
        let (model, price) = (route.model.clone(), route.price);
        Self { backend, breaker: Arc::clone(&route.breaker), model, price, fallback, told: false, _place: place }
    }

    /// The backend has begun to answer.
    pub(crate) fn begun(&mut self) {
        self.told = true;
        self.backend.heard();
        self.breaker.begun();
    }

    /// The answer is whole.
    pub(crate) fn succeeded(&mut self) {
        self.told = true;
        self.backend.heard();
        self.breaker.succeeded();
    }

    /// An answer that had begun broke off.
    pub(crate) fn broke_off(&self) {
        self.breaker.failed(Instant::now(), false);
    }

    /// The backend failed; whether that speaks against it is the error's to say.
    pub(crate) fn failed(&mut self, error: &ModelError) {
        self.told = true;
        let (breaker, now) = (&self.breaker, Instant::now());
        match error {
            ModelError::Unavailable { retry_after: Some(pause), .. } => {
                breaker.pause_until(now + (*pause).min(Duration::from_secs(60)));
            }
            ModelError::Unavailable { reason, .. } => breaker.failed(now, reason == NO_CONNECTION),
            ModelError::Timeout { .. } | ModelError::Interrupted { .. } | ModelError::InvalidResponse { .. } => {
                breaker.failed(now, false);
            }
            ModelError::Misconfigured { .. } => breaker.failed(now, false),
            // It answered, and what it said is about the request.
            _ => breaker.succeeded(),
        }
    }

    /// What it asks for its work.
    pub(crate) fn price(&self) -> Price {
        self.price
    }

    /// How it is counted.
    pub(crate) fn counted(&self, operation: ModelOperation) -> Counted<'_> {
        Counted { operation, provider: self.backend.server.dialect().provider(), model: &self.model }
    }

    pub(super) fn served_by(&self, tries: &Tries) -> ServedBy {
        ServedBy {
            backend: self.backend.server.name().to_owned(),
            requested: self.model.clone(),
            model: self.model.clone(),
            fallback: self.fallback,
            failed: tries.failed.clone(),
            price: self.price,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.left(Instant::now());
        }
    }
}
