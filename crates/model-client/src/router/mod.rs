//! Which backend serves: the least busy of the first choice that may see the content, and when it fails, the next.
//!
//! A request is tried elsewhere, or once more, only until the first piece of an answer is there. It never goes to a
//! backend that may not see it, however many fail.

mod attempt;
mod backend;
mod breaker;
mod health;
mod places;
mod tries;

pub(crate) use attempt::Attempt;
pub use breaker::BreakerState;

use crate::config::{BackendSettings, ModelSettings, QueueSettings, RouteSettings};
use crate::error::SetupError;
use crate::metrics::ModelMetrics;
use crate::openai::http::About;
use backend::Backend;
use breaker::Breaker;
use domain::model::ModelError;
use domain::model_call::{ModelCaller, Price, ServedBy};
use domain::role::Classification;
use places::{NoPlace, Places, Wanted};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tries::{Tries, is_final};

/// How often a request that no backend served is tried once more.
const RETRIES: u32 = 2;
/// A backend that asks for a longer pause than this is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The backends, with their places and breakers. One for the whole process.
pub struct Router {
    backends: Vec<Arc<Backend>>,
    places: Arc<Places>,
    queue: QueueSettings,
    pub(crate) metrics: ModelMetrics,
    probe_every: Duration,
}

/// A way to serve a tier.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    backend: usize,
    breaker: Arc<Breaker>,
    pub(crate) model: String,
    priority: u32,
    weight: u32,
    price: Price,
}

/// What is to be served, as far as the choice of a backend depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) about: About,
    /// Tried elsewhere or again after this no more.
    pub(crate) deadline: Option<Instant>,
}

/// What an attempt brought, and how it came to it.
pub(crate) struct Served<T> {
    pub(crate) value: T,
    pub(crate) by: ServedBy,
}

impl Router {
    /// The backends of `settings`, all closed and free.
    ///
    /// # Errors
    /// Where an address is of no use.
    pub fn new(settings: &ModelSettings, metrics: ModelMetrics) -> Result<Arc<Self>, SetupError> {
        let backend =
            |of: &BackendSettings| Backend::new(of, settings.breaker, settings.cache_salts.as_ref()).map(Arc::new);
        let places = settings.backends.iter().map(|of| of.concurrency);
        Ok(Arc::new(Self {
            backends: settings.backends.iter().map(backend).collect::<Result<_, SetupError>>()?,
            places: Places::new(places, settings.queue.per_tenant),
            queue: settings.queue,
            metrics,
            probe_every: settings.breaker.probe_every,
        }))
    }

    /// The ways to serve a tier.
    ///
    /// # Errors
    /// Where one names a backend that there is not.
    pub(crate) fn routes(&self, settings: &[RouteSettings]) -> Result<Vec<Route>, SetupError> {
        let route = |of: &RouteSettings| {
            let known = self.backends.iter().position(|backend| backend.server.name() == of.backend);
            let backend = known.ok_or_else(|| SetupError::UnknownBackend { name: of.backend.clone() })?;
            Ok(Route {
                backend,
                breaker: self.backends[backend].breaker(&of.model),
                model: of.model.clone(),
                priority: of.priority,
                weight: of.weight,
                price: of.price,
            })
        };
        settings.iter().map(route).collect()
    }

    /// The highest classification that one of `routes` may see of this caller.
    pub(crate) fn highest(&self, routes: &[Route], caller: &ModelCaller) -> Option<Classification> {
        routes.iter().map(|route| self.backends[route.backend].limit(caller)).max()
    }

    /// The highest price of input and of output of those of `routes` that this caller's content may go to.
    pub(crate) fn highest_price(&self, routes: &[Route], caller: &ModelCaller) -> Option<Price> {
        let may = |route: &&Route| self.backends[route.backend].limit(caller) >= Classification::Internal;
        let highest = |most: Price, route: &Route| Price {
            input: most.input.max(route.price.input),
            output: most.output.max(route.price.output),
        };
        let highest = routes.iter().filter(may).fold(Price::default(), highest);
        Some(highest).filter(|price| *price != Price::default())
    }

    /// Serves a request by `call`, which is given one attempt after the other until one succeeds.
    ///
    /// # Errors
    /// What the last backend failed with, or that there is none, or no room.
    pub(crate) async fn serve<T, F>(
        &self,
        (tier, routes): (&str, &[Route]),
        ask: Ask,
        mut call: impl FnMut(Attempt) -> F,
    ) -> Result<Served<T>, ModelError>
    where
        F: Future<Output = Result<T, ModelError>>,
    {
        let allowed: Vec<&Route> = routes.iter().filter(|route| self.may_see(route, ask.about)).collect();
        let Some(best) = allowed.iter().map(|route| route.priority).min() else {
            let wanted = format!("{} content in the tier {tier}", ask.about.classification);
            return Err(ModelError::NotConfigured { wanted });
        };
        let mut tries = Tries::default();
        for round in 0..=RETRIES {
            let (mut left, tried) = (allowed.clone(), tries.failed.len());
            while let Some(attempt) = self.admit(&mut left, best, ask, &mut tries).await? {
                let by = attempt.served_by(&tries);
                match call(attempt).await {
                    Ok(value) => {
                        self.metrics.served(tier, &by);
                        return Ok(Served { value, by });
                    }
                    Err(error) if is_final(&error) => return Err(tries.ended(error)),
                    Err(error) => {
                        self.metrics.attempt_failed(&by.backend, error.error_type());
                        tries.failed(&by.backend, error);
                    }
                }
            }
            if tries.failed.len() == tried {
                break;
            }
            let Some(pause) = tries.pause(round).filter(|pause| fits(*pause, ask.deadline)) else { break };
            sleep(pause).await;
        }
        Err(tries.given_up(self.soonest(&allowed)))
    }

    /// A place at the best of the backends in `left` that may be asked now; `None` where there is none left. Who was let
    /// through is no longer among them.
    async fn admit(
        &self,
        left: &mut Vec<&Route>,
        best: u32,
        ask: Ask,
        tries: &mut Tries,
    ) -> Result<Option<Attempt>, ModelError> {
        let mut wait = self.queue.wait;
        if let Some(deadline) = ask.deadline {
            wait = wait.min(deadline.saturating_duration_since(Instant::now()));
        }
        let mut full = None;
        while !left.is_empty() {
            let now = Instant::now();
            let ready = |route: &&&Route| route.breaker.ready_at(now).is_ok();
            let Some(next) = left.iter().filter(ready).map(|route| route.priority).min() else { break };
            let group: Vec<&Route> =
                left.iter().filter(ready).filter(|route| route.priority == next).copied().collect();
            let wanted: Vec<_> =
                group.iter().map(|route| Wanted { backend: route.backend, weight: route.weight }).collect();
            // Half of the wait is for the first choice, the rest for what comes after it.
            let is_last = left.iter().filter(ready).all(|route| route.priority == next);
            let share = if is_last { wait } else { wait / 2 };
            match self.places.take(ask.about.caller.tenant, &wanted, share).await {
                Ok(place) => {
                    let Some(route) = one_of(&group, place.backend()) else { continue };
                    left.retain(|other| !std::ptr::eq(*other, route));
                    let backend = &self.backends[route.backend];
                    if route.breaker.enter(Instant::now()) {
                        return Ok(Some(Attempt::new(Arc::clone(backend), route, route.priority > best, place)));
                    }
                }
                Err(why) => {
                    full = Some(why);
                    wait = wait.saturating_sub(now.elapsed());
                    left.retain(|other| !wanted.iter().any(|want| want.backend == other.backend));
                }
            }
        }
        match full {
            Some(why) if tries.is_empty() => Err(self.refused(why)),
            _ => Ok(None),
        }
    }

    fn refused(&self, why: NoPlace) -> ModelError {
        let (word, reason) = match why {
            NoPlace::QueueFull => ("queue_full", "too many requests of this tenant wait"),
            NoPlace::TooLate => ("no_place", "all its places are taken"),
        };
        self.metrics.refused(word);
        let (backend, reason) = ("any".to_owned(), reason.to_owned());
        ModelError::Unavailable { backend, reason, retry_after: Some(self.queue.wait.max(Duration::from_secs(1))) }
    }

    fn may_see(&self, route: &Route, about: About) -> bool {
        about.classification <= self.backends[route.backend].limit(&about.caller)
    }

    /// How long until the first of these may be asked again.
    fn soonest(&self, routes: &[&Route]) -> Option<Duration> {
        let now = Instant::now();
        let until = |route: &&Route| route.breaker.ready_at(now).err();
        routes.iter().filter_map(until).min().map(|until| until.saturating_duration_since(now))
    }

    /// What the backends show: name, breaker, requests under way; and how many requests wait.
    pub fn show(&self) {
        for (at, backend) in self.backends.iter().enumerate() {
            self.metrics.backend(backend.server.name(), backend.worst(), self.places.taken(at));
        }
        self.metrics.waiting(self.places.waiting());
    }
}

/// A route to `backend`; of several models there, by chance and their weights.
fn one_of<'r>(routes: &[&'r Route], backend: usize) -> Option<&'r Route> {
    let there: Vec<&'r Route> = routes.iter().copied().filter(|route| route.backend == backend).collect();
    let total: u32 = there.iter().map(|route| route.weight).sum();
    let mut at = fastrand::u32(..total.max(1));
    let chosen = there.iter().find(|route| {
        let here = at < route.weight;
        at = at.saturating_sub(route.weight);
        here
    });
    chosen.or(there.first()).copied()
}

fn fits(pause: Duration, deadline: Option<Instant>) -> bool {
    deadline.is_none_or(|deadline| Instant::now() + pause < deadline)
}
