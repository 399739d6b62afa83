//! Routes requests to backends: among those that may see the content, the least busy one of the best priority, then
//! fallbacks with the next priorities.
//!
//! Retries and fallbacks happen only before the first chunk of an answer. A request is never sent to a backend that may
//! not see its content, even if all others fail.

mod attempt;
mod backend;
mod breaker;
mod failures;
mod health;
mod limiter;

pub(crate) use attempt::Attempt;

use crate::config::{BackendSettings, ModelSettings, QueueSettings, RouteSettings};
use crate::error::SetupError;
use crate::metrics::ModelMetrics;
use crate::openai::http::RequestContext;
use backend::Backend;
use breaker::Breaker;
use domain::model::ModelError;
use domain::model_call::{ModelCaller, Price, ServedBy};
use domain::role::Classification;
use failures::{Failures, is_final};
use limiter::{AcquireError, BackendChoice, ConcurrencyLimiter};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Maximum number of further rounds after all backends have failed once.
const MAX_RETRIES: u32 = 2;
/// Maximum `Retry-After` that the router waits for; if it is longer, the request fails instead.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(5);

/// All backends with their concurrency limits and breakers. There is one router per process.
pub struct Router {
    backends: Vec<Arc<Backend>>,
    limiter: Arc<ConcurrencyLimiter>,
    queue: QueueSettings,
    pub(crate) metrics: ModelMetrics,
    health_check_interval: Duration,
}

/// A resolved route of a tier: a model at a backend.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    backend: usize,
    breaker: Arc<Breaker>,
    pub(crate) model: String,
    priority: u32,
    weight: u32,
    price: Price,
}

/// A tier's routes, with its name for metrics and errors.
#[derive(Clone, Copy)]
pub(crate) struct Tier<'a> {
    pub(crate) name: &'a str,
    pub(crate) routes: &'a [Route],
}

/// The properties of a request that routing depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoutingRequest {
    pub(crate) context: RequestContext,
    /// No retry starts and no request is queued after this time.
    pub(crate) deadline: Option<Instant>,
}

/// The result of the successful attempt, and the backend that served it.
pub(crate) struct RoutedResponse<T> {
    pub(crate) value: T,
    pub(crate) served_by: ServedBy,
}

impl Router {
    /// Creates a router with the backends of `settings`; all breakers are closed.
    ///
    /// # Errors
    /// If a backend's URL is invalid or its HTTP client cannot be built.
    pub fn new(settings: &ModelSettings, metrics: ModelMetrics) -> Result<Arc<Self>, SetupError> {
        let backend = |backend: &BackendSettings| {
            Backend::new(backend, settings.breaker, settings.cache_salts.as_ref()).map(Arc::new)
        };
        let limits = settings.backends.iter().map(|backend| backend.concurrency);
        Ok(Arc::new(Self {
            backends: settings.backends.iter().map(backend).collect::<Result<_, SetupError>>()?,
            limiter: ConcurrencyLimiter::new(limits, settings.queue.max_waiting_per_tenant),
            queue: settings.queue,
            metrics,
            health_check_interval: settings.breaker.health_check_interval,
        }))
    }

    /// Resolves the routes of a tier.
    ///
    /// # Errors
    /// If a route refers to an unknown backend.
    pub(crate) fn routes(&self, settings: &[RouteSettings]) -> Result<Vec<Route>, SetupError> {
        let resolve = |route: &RouteSettings| {
            let position = self.backends.iter().position(|backend| backend.client.name() == route.backend);
            let backend = position.ok_or_else(|| SetupError::UnknownBackend { name: route.backend.clone() })?;
            Ok(Route {
                backend,
                breaker: self.backends[backend].breaker(&route.model),
                model: route.model.clone(),
                priority: route.priority,
                weight: route.weight,
                price: route.price,
            })
        };
        settings.iter().map(resolve).collect()
    }

    /// The highest classification that may be sent to any of `routes` on behalf of the caller; `None` without routes.
    pub(crate) fn max_input_classification(&self, routes: &[Route], caller: &ModelCaller) -> Option<Classification> {
        routes
            .iter()
            .map(|route| self.backends[route.backend].allowed_classification(caller.max_cloud_classification))
            .max()
    }

    /// The highest input price and the highest output price among the routes that may see internal content; `None` if
    /// no such route has a price.
    pub(crate) fn highest_price(&self, routes: &[Route], caller: &ModelCaller) -> Option<Price> {
        let may_see_internal = |route: &&Route| {
            self.backends[route.backend].allowed_classification(caller.max_cloud_classification)
                >= Classification::Internal
        };
        let max_price = |highest_so_far: Price, route: &Route| Price {
            input: highest_so_far.input.max(route.price.input),
            output: highest_so_far.output.max(route.price.output),
        };
        let highest = routes.iter().filter(may_see_internal).fold(Price::default(), max_price);
        Some(highest).filter(|price| *price != Price::default())
    }

    /// Serves a request: calls `call` with one attempt after another until one succeeds.
    ///
    /// # Errors
    /// The error of the failed attempts; [`ModelError::NotConfigured`] if no backend may see the content;
    /// [`ModelError::NoBackendAvailable`] if none is available.
    pub(crate) async fn serve<T, F>(
        &self,
        tier: Tier<'_>,
        routing: RoutingRequest,
        mut call: impl FnMut(Attempt) -> F,
    ) -> Result<RoutedResponse<T>, ModelError>
    where
        F: Future<Output = Result<T, ModelError>>,
    {
        let allowed_routes: Vec<&Route> =
            tier.routes.iter().filter(|route| self.may_see(route, routing.context)).collect();
        let Some(best_priority) = allowed_routes.iter().map(|route| route.priority).min() else {
            let requested = format!("{} content in the tier {}", routing.context.classification, tier.name);
            return Err(ModelError::NotConfigured { requested });
        };
        let mut failures = Failures::default();
        for round in 0..=MAX_RETRIES {
            let (mut candidates, attempts_before) = (allowed_routes.clone(), failures.attempts.len());
            while let Some(attempt) = self.next_attempt(&mut candidates, best_priority, routing, &failures).await? {
                let served_by = attempt.served_by(&failures);
                match call(attempt).await {
                    Ok(value) => {
                        self.metrics.record_served(tier.name, &served_by);
                        return Ok(RoutedResponse { value, served_by });
                    }
                    Err(error) if is_final(&error) => return Err(failures.into_final_error(error)),
                    Err(error) => {
                        self.metrics.record_failed_attempt(&served_by.backend, error.error_type());
                        failures.push(&served_by.backend, error);
                    }
                }
            }
            if failures.attempts.len() == attempts_before {
                break;
            }
            let Some(delay) = failures.retry_delay(round).filter(|delay| ends_before(*delay, routing.deadline)) else {
                break;
            };
            sleep(delay).await;
        }
        Err(failures.into_error(self.earliest_retry(&allowed_routes)))
    }

    /// Waits for a permit and returns an attempt at the best available candidate, which is removed from `candidates`;
    /// `None` if there is none. `best_priority` is that of the tier; an attempt at a worse one is a fallback.
    async fn next_attempt(
        &self,
        candidates: &mut Vec<&Route>,
        best_priority: u32,
        routing: RoutingRequest,
        failures: &Failures,
    ) -> Result<Option<Attempt>, ModelError> {
        let mut remaining_wait = self.queue.max_wait;
        if let Some(deadline) = routing.deadline {
            remaining_wait = remaining_wait.min(deadline.saturating_duration_since(Instant::now()));
        }
        let mut last_rejection = None;
        while !candidates.is_empty() {
            let now = Instant::now();
            let is_ready = |route: &&&Route| route.breaker.check_ready(now).is_ok();
            let Some(priority) = candidates.iter().filter(is_ready).map(|route| route.priority).min() else { break };
            let group: Vec<&Route> =
                candidates.iter().filter(is_ready).filter(|route| route.priority == priority).copied().collect();
            let choices: Vec<_> =
                group.iter().map(|route| BackendChoice { backend: route.backend, weight: route.weight }).collect();
            // Wait at most half of the remaining time for this priority, to leave time for the next ones.
            let is_last = candidates.iter().filter(is_ready).all(|route| route.priority == priority);
            let max_wait = if is_last { remaining_wait } else { remaining_wait / 2 };
            match self.limiter.acquire(routing.context.tenant, &choices, max_wait).await {
                Ok(permit) => {
                    let Some(route) = choose_route(&group, permit.backend()) else { continue };
                    candidates.retain(|other| !std::ptr::eq(*other, route));
                    let backend = &self.backends[route.backend];
                    if route.breaker.try_admit(Instant::now()) {
                        return Ok(Some(Attempt::new(
                            Arc::clone(backend),
                            route,
                            route.priority > best_priority,
                            permit,
                        )));
                    }
                }
                Err(error) => {
                    last_rejection = Some(error);
                    remaining_wait = remaining_wait.saturating_sub(now.elapsed());
                    candidates.retain(|other| !choices.iter().any(|choice| choice.backend == other.backend));
                }
            }
        }
        match last_rejection {
            Some(error) if failures.is_empty() => Err(self.rejection_error(error)),
            _ => Ok(None),
        }
    }

    fn rejection_error(&self, error: AcquireError) -> ModelError {
        let (label, reason) = match error {
            AcquireError::QueueFull => ("queue_full", "too many requests of this tenant are waiting"),
            AcquireError::Timeout => ("no_place", "all backends are at their concurrency limit"),
        };
        self.metrics.record_rejected(label);
        ModelError::NoBackendAvailable { reason, retry_after: Some(self.queue.max_wait.max(Duration::from_secs(1))) }
    }

    fn may_see(&self, route: &Route, context: RequestContext) -> bool {
        context.classification <= self.backends[route.backend].allowed_classification(context.max_cloud_classification)
    }

    /// Time until the first of the routes' open breakers admits a request again; `None` if no breaker is open.
    fn earliest_retry(&self, routes: &[&Route]) -> Option<Duration> {
        let now = Instant::now();
        let ready_at = |route: &&Route| route.breaker.check_ready(now).err();
        routes.iter().filter_map(ready_at).min().map(|at| at.saturating_duration_since(now))
    }

    /// Updates the gauges of breaker states, requests in flight and queue length.
    pub fn update_gauges(&self) {
        for (index, backend) in self.backends.iter().enumerate() {
            let in_flight = self.limiter.in_flight(index);
            self.metrics.set_backend_state(backend.client.name(), backend.worst_breaker_state(), in_flight);
        }
        self.metrics.set_waiting(self.limiter.waiting());
    }
}

/// Chooses a route to `backend`; among several, randomly in proportion to their weights.
fn choose_route<'r>(routes: &[&'r Route], backend: usize) -> Option<&'r Route> {
    let routes: Vec<&'r Route> = routes.iter().copied().filter(|route| route.backend == backend).collect();
    let total: u32 = routes.iter().map(|route| route.weight).sum();
    let mut remaining_weight = fastrand::u32(..total.max(1));
    let chosen = routes.iter().find(|route| {
        let is_chosen = remaining_weight < route.weight;
        remaining_weight = remaining_weight.saturating_sub(route.weight);
        is_chosen
    });
    chosen.or(routes.first()).copied()
}

fn ends_before(delay: Duration, deadline: Option<Instant>) -> bool {
    deadline.is_none_or(|deadline| Instant::now() + delay < deadline)
}
