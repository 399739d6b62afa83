//! A backend with what is known of it.

use super::breaker::{Breaker, BreakerState};
use crate::cache_salt::CacheSalts;
use crate::config::{BackendSettings, BreakerSettings, Location};
use crate::error::SetupError;
use crate::openai::http::{Failure, NO_CONNECTION, Server};
use domain::model::ModelError;
use domain::model_call::ModelCaller;
use domain::role::Classification;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A backend.
pub(crate) struct Backend {
    pub(crate) server: Server,
    /// One for each of its models: a proxy may well serve one and not the other.
    breakers: Mutex<BTreeMap<String, Arc<Breaker>>>,
    breaker_settings: BreakerSettings,
    highest: Classification,
    location: Location,
    /// It answered when it was looked at last.
    pub(super) there: AtomicBool,
    /// It has answered a request since it was looked at.
    heard: AtomicBool,
    /// Looks in a row that brought nothing.
    missed: AtomicU32,
}

impl Backend {
    pub(super) fn new(
        settings: &BackendSettings,
        breaker: BreakerSettings,
        salts: Option<&CacheSalts>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            server: Server::new(settings)?.salted(salts),
            breakers: Mutex::default(),
            breaker_settings: breaker,
            highest: settings.highest_classification,
            location: settings.location,
            there: AtomicBool::new(true),
            heard: AtomicBool::new(false),
            missed: AtomicU32::new(0),
        })
    }

    /// It has answered a request.
    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether it counts as there after a look that found this. One that nobody listens for is gone; one that is slow to
    /// say so, or says 5xx, may be busy: it is gone if that happens twice, and no request was answered meanwhile.
    pub(super) fn counts_as_there(&self, found: Result<(), &Failure>) -> bool {
        let heard = self.heard.swap(false, Ordering::Relaxed);
        let answered = found.is_ok() || found.is_err_and(|failure| failure.status.is_some_and(|status| status < 500));
        if answered || heard && !is_absent(found) {
            self.missed.store(0, Ordering::Relaxed);
            return true;
        }
        !is_absent(found) && self.missed.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// The highest classification that it may see of this caller.
    pub(super) fn limit(&self, caller: &ModelCaller) -> Classification {
        match self.location {
            Location::OnPremises => self.highest,
            Location::Cloud => self.highest.min(caller.cloud_limit),
        }
    }

    /// The breaker of one of its models.
    pub(super) fn breaker(&self, model: &str) -> Arc<Breaker> {
        let mut breakers = self.breakers();
        Arc::clone(breakers.entry(model.to_owned()).or_insert_with(|| Arc::new(Breaker::new(self.breaker_settings))))
    }

    /// That of its models which is worst.
    pub(super) fn worst(&self) -> BreakerState {
        self.breakers().values().map(|breaker| breaker.shown()).max().unwrap_or(BreakerState::Closed)
    }

    pub(super) fn breakers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Breaker>>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody listens there.
fn is_absent(found: Result<(), &Failure>) -> bool {
    let error = found.err().map(|failure| &failure.error);
    matches!(error, Some(ModelError::Unavailable { reason, .. }) if reason == NO_CONNECTION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(reason: &str, status: Option<u16>) -> Failure {
        let (backend, reason) = ("gpu".to_owned(), reason.to_owned());
        Failure { status, ..ModelError::Unavailable { backend, reason, retry_after: None }.into() }
    }

    #[test]
    fn one_that_is_slow_to_say_that_it_is_there_is_not_gone_while_it_answers_requests() {
        let url = "http://gpu:8000".parse().unwrap();
        let backend = Backend::new(&BackendSettings::at("gpu", url), BreakerSettings::default(), None).unwrap();
        let late = Failure::from(ModelError::Timeout { backend: "gpu".to_owned(), waited_s: 5 });
        assert!(backend.counts_as_there(Err(&late)), "once is no proof");
        assert!(!backend.counts_as_there(Err(&late)));
        for _ in 0..3 {
            backend.heard();
            assert!(backend.counts_as_there(Err(&late)));
        }
        assert!(backend.counts_as_there(Err(&found("status 401", Some(401)))), "it answers, whatever it says");
        backend.heard();
        assert!(!backend.counts_as_there(Err(&found(NO_CONNECTION, None))), "nobody listens");
        assert!(backend.counts_as_there(Ok(())));
    }
}
