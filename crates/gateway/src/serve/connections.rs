//! Who is connected: never more than allowed, never one peer alone, and never those who say nothing before those who do.

use super::in_flight::InFlight;
use crate::peer_limit::network;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// All connections of a listener.
pub(super) struct Connections {
    most: usize,
    most_of_a_peer: usize,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    total: usize,
    next: u64,
    /// Those that have not sent a request yet, the oldest first.
    silent: BTreeMap<u64, (IpAddr, CancellationToken)>,
    of_peer: HashMap<IpAddr, usize>,
}

/// A connection's place. Dropping it makes room.
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    peer: IpAddr,
    heard: AtomicBool,
    /// Its requests that are not answered in full.
    pub(super) in_flight: InFlight,
    /// Cancelled when the place is needed for somebody else.
    pub(super) evicted: CancellationToken,
}

impl Connections {
    pub(super) fn new(most: usize, most_of_a_peer: usize) -> Arc<Self> {
        Arc::new(Self { most, most_of_a_peer, state: Mutex::default(), left: Notify::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is a place, or one that a silent connection would have to give up.
    pub(super) async fn room(&self) {
        loop {
            let left = self.left.notified();
            if self.has_room() {
                return;
            }
            left.await;
        }
    }

    fn has_room(&self) -> bool {
        let state = self.state();
        state.total < self.most || !state.silent.is_empty()
    }

    /// A place for a new connection; where all are taken, that of the connection that has been silent for longest. `None`:
    /// the peer has more than its share, and all of them in use.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = network(peer);
        let mut state = self.state();
        if state.of_peer.get(&peer).is_some_and(|count| *count >= self.most_of_a_peer) {
            state.evict(|of| of == peer).then_some(())?;
        } else if state.total >= self.most {
            state.evict(|_| true);
        }
        let (number, evicted) = (state.next, CancellationToken::new());
        state.next += 1;
        state.total += 1;
        *state.of_peer.entry(peer).or_default() += 1;
        state.silent.insert(number, (peer, evicted.clone()));
        drop(state);
        Some(Place {
            connections: Arc::clone(self),
            number,
            peer,
            heard: AtomicBool::new(false),
            in_flight: InFlight::default(),
            evicted,
        })
    }
}

impl State {
    /// Ends the oldest silent connection of those peers; whether there was one.
    fn evict(&mut self, wanted: impl Fn(IpAddr) -> bool) -> bool {
        let oldest = self.silent.iter().find(|(_, (peer, _))| wanted(*peer)).map(|(number, _)| *number);
        let evicted = oldest.and_then(|number| self.silent.remove(&number));
        evicted.inspect(|(_, token)| token.cancel()).is_some()
    }
}

impl Place {
    /// The connection has sent a request.
    pub(super) fn hear(&self) {
        if !self.heard.swap(true, Ordering::Relaxed) {
            self.connections.state().silent.remove(&self.number);
        }
    }

    /// Whether it ever did.
    pub(super) fn was_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.connections.state();
        state.total -= 1;
        state.silent.remove(&self.number);
        if let Some(count) = state.of_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                state.of_peer.remove(&self.peer);
            }
        }
        drop(state);
        self.connections.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn the_silent_give_up_their_place_and_those_at_work_do_not() {
        let all = Connections::new(2, 2);
        let (first, second) = (all.admit(peer(1)).expect("a place"), all.admit(peer(2)).expect("a place"));
        first.hear();
        assert!(all.room().now_or_never().is_some());
        let third = all.admit(peer(3)).expect("the second one's place");
        assert!(second.evicted.is_cancelled() && !first.evicted.is_cancelled());
        drop(second);
        third.hear();
        assert!(all.room().now_or_never().is_none(), "two at work");
        drop(first);
        assert!(all.room().now_or_never().is_some());
    }

    #[test]
    fn a_peer_has_its_share_and_no_more() {
        let all = Connections::new(10, 2);
        let (first, second) = (all.admit(peer(1)).expect("a place"), all.admit(peer(1)).expect("a place"));
        first.hear();
        let third = all.admit(peer(1)).expect("its own silent one's place");
        assert!(second.evicted.is_cancelled());
        drop(second);
        third.hear();
        assert!(all.admit(peer(1)).is_none());
        assert!(all.admit(peer(2)).is_some());
        drop(first);
        assert!(all.admit(peer(1)).is_some());
    }
}
