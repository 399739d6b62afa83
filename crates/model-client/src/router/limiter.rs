//! Limits the concurrent requests of each backend. Excess requests wait in one queue per tenant, and the queues are
//! served round-robin, so that a tenant with many requests cannot starve the others.

use domain::ids::TenantId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Concurrency limits of all backends, with fair queueing across tenants.
pub(crate) struct ConcurrencyLimiter {
    max_waiting_per_tenant: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    backends: Vec<BackendLoad>,
    waiters_by_tenant: HashMap<TenantId, VecDeque<Waiter>>,
    /// Tenants with waiting requests, in round-robin order.
    tenant_order: VecDeque<TenantId>,
    last_waiter_id: u64,
}

#[derive(Clone, Copy)]
struct BackendLoad {
    limit: usize,
    in_flight: usize,
}

struct Waiter {
    id: u64,
    /// Indexes of the backends whose permit the waiter accepts.
    backends: Vec<usize>,
    permit_sender: oneshot::Sender<Permit>,
}

/// Permission for one concurrent request at a backend. Dropping it passes it to the next waiter.
pub(crate) struct Permit {
    limiter: Arc<ConcurrencyLimiter>,
    backend: usize,
    /// False for a permit whose receiver was dropped: its slot is passed on by the sender instead.
    release_on_drop: bool,
}

/// An acceptable backend of a request, with its weight relative to the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackendChoice {
    pub(crate) backend: usize,
    pub(crate) weight: u32,
}

/// Why no permit was granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AcquireError {
    /// The tenant's queue is full.
    QueueFull,
    /// No permit was granted within the wait time.
    Timeout,
}

impl ConcurrencyLimiter {
    /// Creates a limiter. `limits` are the concurrency limits by backend index, at least 1 each; each tenant may have
    /// at most `max_waiting_per_tenant` waiting requests.
    pub(crate) fn new(limits: impl IntoIterator<Item = usize>, max_waiting_per_tenant: usize) -> Arc<Self> {
        let backends = limits.into_iter().map(|limit| BackendLoad { limit: limit.max(1), in_flight: 0 }).collect();
        Arc::new(Self { max_waiting_per_tenant, state: Mutex::new(State { backends, ..State::default() }) })
    }

    /// Acquires a permit for the least busy of `choices`; if none is free, waits at most `wait`.
    pub(crate) async fn acquire(
        self: &Arc<Self>,
        tenant: TenantId,
        choices: &[BackendChoice],
        wait: Duration,
    ) -> Result<Permit, AcquireError> {
        let (waiter_id, permit) = {
            let mut state = self.lock();
            // A released permit goes to a waiter at once, so if one is free here, nobody is waiting for it.
            if let Some(backend) = state.least_busy(choices) {
                state.backends[backend].in_flight += 1;
                return Ok(Permit { limiter: Arc::clone(self), backend, release_on_drop: true });
            }
            state.enqueue(tenant, choices, self.max_waiting_per_tenant)?
        };
        let dequeue = DequeueOnDrop { limiter: self, tenant, waiter_id };
        let permit = timeout(wait, permit).await;
        drop(dequeue);
        match permit {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(AcquireError::Timeout),
        }
    }

    /// Number of permits in use at a backend.
    pub(crate) fn in_flight(&self, backend: usize) -> usize {
        self.lock().backends.get(backend).map_or(0, |load| load.in_flight)
    }

    /// Number of waiting requests of all tenants.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiters_by_tenant.values().map(VecDeque::len).sum()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The backend with a free permit and the fewest requests relative to its weight; ties are broken randomly.
    fn least_busy(&self, choices: &[BackendChoice]) -> Option<usize> {
        let is_free =
            |choice: &&BackendChoice| self.backends.get(choice.backend).is_some_and(|load| load.in_flight < load.limit);
        // Integer arithmetic: equal fractions must compare equal.
        let load =
            |choice: &BackendChoice| self.backends[choice.backend].in_flight * 1_000 / choice.weight.max(1) as usize;
        let min_load = choices.iter().filter(is_free).map(load).min()?;
        let least_busy: Vec<_> = choices.iter().filter(is_free).filter(|choice| load(choice) == min_load).collect();
        least_busy.get(fastrand::usize(..least_busy.len())).map(|choice| choice.backend)
    }

    fn enqueue(
        &mut self,
        tenant: TenantId,
        choices: &[BackendChoice],
        max_waiting: usize,
    ) -> Result<(u64, oneshot::Receiver<Permit>), AcquireError> {
        let waiters = self.waiters_by_tenant.entry(tenant).or_default();
        if waiters.len() >= max_waiting {
            return Err(AcquireError::QueueFull);
        }
        if waiters.is_empty() {
            self.tenant_order.push_back(tenant);
        }
        self.last_waiter_id += 1;
        let (sender, receiver) = oneshot::channel();
        let backends = choices.iter().map(|choice| choice.backend).collect();
        waiters.push_back(Waiter { id: self.last_waiter_id, backends, permit_sender: sender });
        Ok((self.last_waiter_id, receiver))
    }

    /// Removes and returns the next waiter for `backend`: in round-robin order of the tenants, the oldest waiter that
    /// accepts it. The tenant then moves to the end.
    fn next_waiter(&mut self, backend: usize) -> Option<Waiter> {
        for position in 0..self.tenant_order.len() {
            let tenant = self.tenant_order[position];
            let Some(waiters) = self.waiters_by_tenant.get_mut(&tenant) else { continue };
            let Some(index) = waiters.iter().position(|waiter| waiter.backends.contains(&backend)) else { continue };
            let waiter = waiters.remove(index);
            let has_more_waiters = !waiters.is_empty();
            self.tenant_order.remove(position);
            if has_more_waiters {
                self.tenant_order.push_back(tenant);
            } else {
                self.waiters_by_tenant.remove(&tenant);
            }
            return waiter;
        }
        None
    }

    /// Removes and returns the next waiter for `backend`; frees the permit if there is none.
    fn next_or_release(&mut self, backend: usize) -> Option<Waiter> {
        let next = self.next_waiter(backend);
        if next.is_none()
            && let Some(load) = self.backends.get_mut(backend)
        {
            load.in_flight -= 1;
        }
        next
    }

    fn remove(&mut self, tenant: TenantId, waiter_id: u64) {
        let Some(waiters) = self.waiters_by_tenant.get_mut(&tenant) else { return };
        waiters.retain(|waiter| waiter.id != waiter_id);
        if waiters.is_empty() {
            self.waiters_by_tenant.remove(&tenant);
            self.tenant_order.retain(|waiting| *waiting != tenant);
        }
    }
}

/// Removes a waiter from the queue when dropped, so that a cancelled request does not stay there.
struct DequeueOnDrop<'a> {
    limiter: &'a ConcurrencyLimiter,
    tenant: TenantId,
    waiter_id: u64,
}

impl Drop for DequeueOnDrop<'_> {
    fn drop(&mut self) {
        self.limiter.lock().remove(self.tenant, self.waiter_id);
    }
}

impl Permit {
    /// Index of the backend that the permit is for.
    pub(crate) fn backend(&self) -> usize {
        self.backend
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.release_on_drop {
            return;
        }
        loop {
            // Finding the next waiter and freeing the permit must happen under one lock; otherwise a request could
            // start to wait in between although a permit is free.
            let next = self.limiter.lock().next_or_release(self.backend);
            let Some(waiter) = next else { return };
            let permit = Self { limiter: Arc::clone(&self.limiter), backend: self.backend, release_on_drop: true };
            let Err(mut rejected_permit) = waiter.permit_sender.send(permit) else { return };
            // The receiver was dropped in the meantime; try the next waiter.
            rejected_permit.release_on_drop = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::Pin;
    use uuid::Uuid;

    type PendingPermit = Pin<Box<dyn Future<Output = Result<Permit, AcquireError>> + Send>>;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn choices(backends: &[usize]) -> Vec<BackendChoice> {
        backends.iter().map(|backend| BackendChoice { backend: *backend, weight: 1 }).collect()
    }

    /// Enqueues a request of the tenant.
    fn enqueue_request(limiter: &Arc<ConcurrencyLimiter>, number: u128, backends: &[usize]) -> PendingPermit {
        let (limiter, choices) = (Arc::clone(limiter), choices(backends));
        let mut pending: PendingPermit =
            async move { limiter.acquire(tenant(number), &choices, Duration::from_secs(60)).await }.boxed();
        assert!((&mut pending).now_or_never().is_none(), "it waits");
        pending
    }

    fn poll_permit(pending: &mut PendingPermit) -> Option<Permit> {
        pending.now_or_never().map(|permit| permit.expect("a permit"))
    }

    async fn acquire(limiter: &Arc<ConcurrencyLimiter>, backends: &[usize]) -> Permit {
        limiter.acquire(tenant(1), &choices(backends), Duration::ZERO).await.expect("a permit")
    }

    #[tokio::test]
    async fn the_least_busy_backend_relative_to_its_weight_is_chosen() {
        let limiter = ConcurrencyLimiter::new([10, 10], 1);
        let choices = [BackendChoice { backend: 0, weight: 1 }, BackendChoice { backend: 1, weight: 3 }];
        let mut permits = Vec::new();
        for _ in 0..8 {
            permits.push(limiter.acquire(tenant(1), &choices, Duration::ZERO).await.expect("a permit"));
        }
        assert_eq!((limiter.in_flight(0), limiter.in_flight(1)), (2, 6));
        drop(permits);
        assert_eq!((limiter.in_flight(0), limiter.in_flight(1)), (0, 0));
    }

    #[tokio::test]
    async fn tenants_are_served_in_turns_however_many_requests_one_of_them_has() {
        let limiter = ConcurrencyLimiter::new([1], 8);
        let permit = acquire(&limiter, &[0]).await;
        let mut greedy: Vec<_> = (0..5).map(|_| enqueue_request(&limiter, 1, &[0])).collect();
        let mut modest = enqueue_request(&limiter, 2, &[0]);
        drop(permit);
        let first = poll_permit(&mut greedy[0]).expect("the oldest request is next");
        assert!(poll_permit(&mut modest).is_none());
        drop(first);
        assert!(poll_permit(&mut greedy[1]).is_none(), "it is the other tenant's turn");
        drop(poll_permit(&mut modest).expect("it is served second, before four older requests"));
        assert!(poll_permit(&mut greedy[1]).is_some());
    }

    #[tokio::test]
    async fn a_permit_goes_to_a_waiter_that_accepts_its_backend() {
        let limiter = ConcurrencyLimiter::new([1, 1], 8);
        let (_permit_0, permit_1) = (acquire(&limiter, &[0]).await, acquire(&limiter, &[1]).await);
        let (mut waiter_for_0, mut waiter_for_1) =
            (enqueue_request(&limiter, 1, &[0]), enqueue_request(&limiter, 2, &[1]));
        drop(permit_1);
        assert!(poll_permit(&mut waiter_for_0).is_none());
        assert_eq!(poll_permit(&mut waiter_for_1).map(|permit| permit.backend()), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_rejects_at_once_and_a_waiter_times_out() {
        let limiter = ConcurrencyLimiter::new([1], 1);
        let permit = acquire(&limiter, &[0]).await;
        let waiting_request = enqueue_request(&limiter, 1, &[0]);
        let rejection = limiter.acquire(tenant(1), &choices(&[0]), Duration::from_secs(60)).await;
        assert_eq!(rejection.err(), Some(AcquireError::QueueFull));
        let timed_out = limiter.acquire(tenant(2), &choices(&[0]), Duration::from_secs(60)).await;
        assert_eq!(timed_out.err(), Some(AcquireError::Timeout));
        drop(waiting_request);
        assert_eq!(limiter.waiting(), 0, "a dropped waiter leaves the queue");
        drop(permit);
        assert_eq!(limiter.in_flight(0), 0);
    }

    #[tokio::test]
    async fn a_permit_sent_to_a_dropped_waiter_goes_to_the_next() {
        let limiter = ConcurrencyLimiter::new([1], 8);
        let permit = acquire(&limiter, &[0]).await;
        let (dropped_waiter, mut next_waiter) =
            (enqueue_request(&limiter, 1, &[0]), enqueue_request(&limiter, 2, &[0]));
        drop(permit);
        // It was sent the permit and never polls again.
        drop(dropped_waiter);
        assert!(poll_permit(&mut next_waiter).is_some());
    }
}
