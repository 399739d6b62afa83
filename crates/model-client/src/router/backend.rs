//! A backend with what is known of it.

use super::breaker::{Breaker, BreakerState};
use crate::config::{BackendSettings, BreakerSettings, Location};
use crate::error::SetupError;
use crate::openai::http::Server;
use domain::model_call::ModelCaller;
use domain::role::Classification;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
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
}

impl Backend {
    pub(super) fn new(settings: &BackendSettings, breaker: BreakerSettings) -> Result<Self, SetupError> {
        Ok(Self {
            server: Server::new(settings)?,
            breakers: Mutex::default(),
            breaker_settings: breaker,
            highest: settings.highest_classification,
            location: settings.location,
            there: AtomicBool::new(true),
        })
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
