//! Places at the backends: so many requests at a time each, and a queue in which tenants take turns, so that one that asks
//! without end delays nobody but itself.

use domain::ids::TenantId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// The places of all backends.
pub(crate) struct Places {
    per_tenant: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    backends: Vec<Counted>,
    waiting: HashMap<TenantId, VecDeque<Waiter>>,
    /// Tenants that have somebody waiting, the next one first.
    turns: VecDeque<TenantId>,
    tickets: u64,
}

#[derive(Clone, Copy)]
struct Counted {
    total: usize,
    taken: usize,
}

struct Waiter {
    ticket: u64,
    wanted: Vec<usize>,
    give: oneshot::Sender<Place>,
}

/// A place at a backend, given to the next in turn when it is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    backend: usize,
    /// Whether it is given back when it is dropped.
    held: bool,
}

/// A backend that would do, and its share among those that would.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) backend: usize,
    pub(crate) weight: u32,
}

/// Why there was no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoPlace {
    /// So many of this tenant wait that another one may not.
    QueueFull,
    /// None became free in time.
    TooLate,
}

impl Places {
    /// Places at backends, so many at each; `per_tenant` requests of one tenant may wait.
    pub(crate) fn new(totals: impl IntoIterator<Item = usize>, per_tenant: usize) -> Arc<Self> {
        let backends = totals.into_iter().map(|total| Counted { total: total.max(1), taken: 0 }).collect();
        Arc::new(Self { per_tenant, state: Mutex::new(State { backends, ..State::default() }) })
    }

    /// A place at the least busy of the wanted backends; waits for one, but not longer than `wait`.
    pub(crate) async fn take(
        self: &Arc<Self>,
        tenant: TenantId,
        wanted: &[Wanted],
        wait: Duration,
    ) -> Result<Place, NoPlace> {
        let (ticket, given) = {
            let mut state = self.state();
            // Who waits would take what is free, so that nobody is overtaken here.
            if let Some(backend) = state.least_busy(wanted) {
                state.backends[backend].taken += 1;
                return Ok(Place { places: Arc::clone(self), backend, held: true });
            }
            state.queue(tenant, wanted, self.per_tenant)?
        };
        let left = Leaving { places: self, tenant, ticket };
        let given = timeout(wait, given).await;
        drop(left);
        match given {
            Ok(Ok(place)) => Ok(place),
            _ => Err(NoPlace::TooLate),
        }
    }

    /// Requests under way at a backend.
    pub(crate) fn taken(&self, backend: usize) -> usize {
        self.state().backends.get(backend).map_or(0, |counted| counted.taken)
    }

    /// Requests that wait, of all tenants.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting.values().map(VecDeque::len).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The wanted backend that has room and, for its weight, the fewest requests; equals by chance.
    fn least_busy(&self, wanted: &[Wanted]) -> Option<usize> {
        let free = |want: &&Wanted| self.backends.get(want.backend).is_some_and(|b| b.taken < b.total);
        // Taken / weight, compared without fractions that differ by rounding.
        let load = |want: &Wanted| self.backends[want.backend].taken * 1_000 / want.weight.max(1) as usize;
        let busy = wanted.iter().filter(free).map(load).min()?;
        let equals: Vec<_> = wanted.iter().filter(free).filter(|want| load(want) == busy).collect();
        equals.get(fastrand::usize(..equals.len())).map(|want| want.backend)
    }

    fn queue(
        &mut self,
        tenant: TenantId,
        wanted: &[Wanted],
        most: usize,
    ) -> Result<(u64, oneshot::Receiver<Place>), NoPlace> {
        let own = self.waiting.entry(tenant).or_default();
        if own.len() >= most {
            return Err(NoPlace::QueueFull);
        }
        if own.is_empty() {
            self.turns.push_back(tenant);
        }
        self.tickets += 1;
        let (give, given) = oneshot::channel();
        let wanted = wanted.iter().map(|want| want.backend).collect();
        own.push_back(Waiter { ticket: self.tickets, wanted, give });
        Ok((self.tickets, given))
    }

    /// Who is next for a place at `backend`: the first that wants it of the tenant whose turn it is.
    fn next(&mut self, backend: usize) -> Option<Waiter> {
        for turn in 0..self.turns.len() {
            let tenant = self.turns[turn];
            let Some(own) = self.waiting.get_mut(&tenant) else { continue };
            let Some(at) = own.iter().position(|waiter| waiter.wanted.contains(&backend)) else { continue };
            let waiter = own.remove(at);
            let more = !own.is_empty();
            self.turns.remove(turn);
            if more {
                self.turns.push_back(tenant);
            } else {
                self.waiting.remove(&tenant);
            }
            return waiter;
        }
        None
    }

    /// Who is next for a place at `backend`; where nobody is, the place is free.
    fn next_or_free(&mut self, backend: usize) -> Option<Waiter> {
        let next = self.next(backend);
        if next.is_none()
            && let Some(counted) = self.backends.get_mut(backend)
        {
            counted.taken -= 1;
        }
        next
    }

    fn leave(&mut self, tenant: TenantId, ticket: u64) {
        let Some(own) = self.waiting.get_mut(&tenant) else { return };
        own.retain(|waiter| waiter.ticket != ticket);
        if own.is_empty() {
            self.waiting.remove(&tenant);
            self.turns.retain(|waiting| *waiting != tenant);
        }
    }
}

/// Takes a waiter out of the queue, however its wait ends.
struct Leaving<'a> {
    places: &'a Places,
    tenant: TenantId,
    ticket: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.places.state().leave(self.tenant, self.ticket);
    }
}

impl Place {
    /// Which backend it is at.
    pub(crate) fn backend(&self) -> usize {
        self.backend
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        loop {
            // Looking for the next one and freeing the place are one step: who comes between them would wait for a place
            // that is free.
            let next = self.places.state().next_or_free(self.backend);
            let Some(waiter) = next else { return };
            let place = Self { places: Arc::clone(&self.places), backend: self.backend, held: true };
            let Err(mut refused) = waiter.give.send(place) else { return };
            // It went away at this very moment.
            refused.held = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use std::pin::Pin;
    use uuid::Uuid;

    type Taking = Pin<Box<dyn Future<Output = Result<Place, NoPlace>> + Send>>;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn want(backends: &[usize]) -> Vec<Wanted> {
        backends.iter().map(|backend| Wanted { backend: *backend, weight: 1 }).collect()
    }

    /// Starts to wait, and is in the queue when this returns.
    fn wait(places: &Arc<Places>, of: u128, backends: &[usize]) -> Taking {
        let (places, wanted) = (Arc::clone(places), want(backends));
        let mut taking: Taking = async move { places.take(tenant(of), &wanted, Duration::from_secs(60)).await }.boxed();
        assert!((&mut taking).now_or_never().is_none(), "it waits");
        taking
    }

    fn ready(taking: &mut Taking) -> Option<Place> {
        taking.now_or_never().map(|taken| taken.expect("a place"))
    }

    async fn take(places: &Arc<Places>, backends: &[usize]) -> Place {
        places.take(tenant(1), &want(backends), Duration::ZERO).await.expect("a place")
    }

    #[tokio::test]
    async fn the_least_busy_for_its_weight_serves() {
        let places = Places::new([10, 10], 1);
        let wanted = [Wanted { backend: 0, weight: 1 }, Wanted { backend: 1, weight: 3 }];
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(places.take(tenant(1), &wanted, Duration::ZERO).await.expect("a place"));
        }
        assert_eq!((places.taken(0), places.taken(1)), (2, 6));
        drop(held);
        assert_eq!((places.taken(0), places.taken(1)), (0, 0));
    }

    #[tokio::test]
    async fn tenants_take_turns_however_much_one_of_them_asks() {
        let places = Places::new([1], 8);
        let held = take(&places, &[0]).await;
        let mut greedy: Vec<_> = (0..5).map(|_| wait(&places, 1, &[0])).collect();
        let mut modest = wait(&places, 2, &[0]);
        drop(held);
        let first = ready(&mut greedy[0]).expect("it came first");
        assert!(ready(&mut modest).is_none());
        drop(first);
        assert!(ready(&mut greedy[1]).is_none(), "it is the other one's turn");
        drop(ready(&mut modest).expect("second, before four others"));
        assert!(ready(&mut greedy[1]).is_some());
    }

    #[tokio::test]
    async fn a_place_goes_to_who_wants_it() {
        let places = Places::new([1, 1], 8);
        let held = (take(&places, &[0]).await, take(&places, &[1]).await);
        let (mut for_0, mut for_1) = (wait(&places, 1, &[0]), wait(&places, 2, &[1]));
        drop(held.1);
        assert!(ready(&mut for_0).is_none());
        assert_eq!(ready(&mut for_1).map(|place| place.backend()), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once_and_a_long_wait_in_the_end() {
        let places = Places::new([1], 1);
        let held = take(&places, &[0]).await;
        let waiting = wait(&places, 1, &[0]);
        let refused = places.take(tenant(1), &want(&[0]), Duration::from_secs(60)).await;
        assert_eq!(refused.err(), Some(NoPlace::QueueFull));
        let late = places.take(tenant(2), &want(&[0]), Duration::from_secs(60)).await;
        assert_eq!(late.err(), Some(NoPlace::TooLate));
        drop(waiting);
        assert_eq!(places.waiting(), 0, "who gave up is forgotten");
        drop(held);
        assert_eq!(places.taken(0), 0);
    }

    #[tokio::test]
    async fn a_place_given_to_who_has_just_left_goes_to_the_next() {
        let places = Places::new([1], 8);
        let held = take(&places, &[0]).await;
        let (gone, mut next) = (wait(&places, 1, &[0]), wait(&places, 2, &[0]));
        drop(held);
        // It was given the place and never looks at it.
        drop(gone);
        assert!(ready(&mut next).is_some());
    }
}
