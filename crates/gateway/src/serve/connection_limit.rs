//! Limits how many connections are open, in total and per peer.
//!
//! When a limit is reached, a new connection evicts the oldest one that has not sent a request yet. Connections
//! that have sent one are never evicted.

use super::in_flight::InFlightRequests;
use crate::peer_limit::peer_network;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Limits the connections of one listener.
pub(super) struct ConnectionLimiter {
    max_connections: usize,
    max_per_peer: usize,
    connections: Mutex<OpenConnections>,
    permit_released: Notify,
}

#[derive(Default)]
struct OpenConnections {
    total: usize,
    next_id: u64,
    /// Connections that have not sent a request yet. Ids grow, so the first entry is the oldest.
    pending: BTreeMap<u64, PendingConnection>,
    per_peer: HashMap<IpAddr, usize>,
}

struct PendingConnection {
    peer: IpAddr,
    close_token: CancellationToken,
}

/// Counts one connection as open until it is dropped.
pub(super) struct ConnectionPermit {
    limiter: Arc<ConnectionLimiter>,
    id: u64,
    peer: IpAddr,
    request_received: AtomicBool,
    pub(super) in_flight: InFlightRequests,
    /// Cancelled when the connection is evicted and must close.
    pub(super) close_token: CancellationToken,
}

impl ConnectionLimiter {
    pub(super) fn new(max_connections: usize, max_per_peer: usize) -> Arc<Self> {
        Arc::new(Self { max_connections, max_per_peer, connections: Mutex::default(), permit_released: Notify::new() })
    }

    fn lock_connections(&self) -> MutexGuard<'_, OpenConnections> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a new connection can be accepted: until fewer than the maximum are open, or one of them has not sent
    /// a request yet, so that [`Self::try_acquire`] can evict it.
    pub(super) async fn ready(&self) {
        loop {
            let permit_released = self.permit_released.notified();
            if self.has_capacity() {
                return;
            }
            permit_released.await;
        }
    }

    fn has_capacity(&self) -> bool {
        let connections = self.lock_connections();
        connections.total < self.max_connections || !connections.pending.is_empty()
    }

    /// Counts a new connection of `peer`, and evicts a pending one if a limit is reached. Returns `None` if the peer is
    /// at its limit and all of its connections have sent a request.
    pub(super) fn try_acquire(self: &Arc<Self>, peer: IpAddr) -> Option<ConnectionPermit> {
        let peer = peer_network(peer);
        let mut connections = self.lock_connections();
        if connections.per_peer.get(&peer).is_some_and(|count| *count >= self.max_per_peer) {
            connections.evict_oldest(|other| other == peer).then_some(())?;
        } else if connections.total >= self.max_connections {
            connections.evict_oldest(|_| true);
        }
        let (id, close_token) = (connections.next_id, CancellationToken::new());
        connections.next_id += 1;
        connections.total += 1;
        *connections.per_peer.entry(peer).or_default() += 1;
        connections.pending.insert(id, PendingConnection { peer, close_token: close_token.clone() });
        drop(connections);
        Some(ConnectionPermit {
            limiter: Arc::clone(self),
            id,
            peer,
            request_received: AtomicBool::new(false),
            in_flight: InFlightRequests::default(),
            close_token,
        })
    }
}

impl OpenConnections {
    /// Evicts the oldest pending connection whose peer matches. Returns whether there was one.
    fn evict_oldest(&mut self, matches: impl Fn(IpAddr) -> bool) -> bool {
        let oldest = self.pending.iter().find(|(_, pending)| matches(pending.peer)).map(|(id, _)| *id);
        let evicted = oldest.and_then(|id| self.pending.remove(&id));
        evicted.inspect(|pending| pending.close_token.cancel()).is_some()
    }
}

impl ConnectionPermit {
    /// Records that the connection has sent a request, so that it is no longer evicted.
    pub(super) fn mark_request_received(&self) {
        if !self.request_received.swap(true, Ordering::Relaxed) {
            self.limiter.lock_connections().pending.remove(&self.id);
        }
    }

    pub(super) fn request_received(&self) -> bool {
        self.request_received.load(Ordering::Relaxed)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut connections = self.limiter.lock_connections();
        connections.total -= 1;
        connections.pending.remove(&self.id);
        if let Some(count) = connections.per_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                connections.per_peer.remove(&self.peer);
            }
        }
        drop(connections);
        self.limiter.permit_released.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn peer(last_octet: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last_octet])
    }

    #[test]
    fn a_pending_connection_is_evicted_and_an_active_one_is_not() {
        let limiter = ConnectionLimiter::new(2, 2);
        let first = limiter.try_acquire(peer(1)).expect("a permit");
        let second = limiter.try_acquire(peer(2)).expect("a permit");
        first.mark_request_received();
        assert!(limiter.ready().now_or_never().is_some());
        let third = limiter.try_acquire(peer(3)).expect("the permit of the evicted connection");
        assert!(second.close_token.is_cancelled() && !first.close_token.is_cancelled());
        drop(second);
        third.mark_request_received();
        assert!(limiter.ready().now_or_never().is_none(), "two connections are active");
        drop(first);
        assert!(limiter.ready().now_or_never().is_some());
    }

    #[test]
    fn a_peer_cannot_exceed_its_limit() {
        let limiter = ConnectionLimiter::new(10, 2);
        let first = limiter.try_acquire(peer(1)).expect("a permit");
        let second = limiter.try_acquire(peer(1)).expect("a permit");
        first.mark_request_received();
        let third = limiter.try_acquire(peer(1)).expect("the permit of the peer's own pending connection");
        assert!(second.close_token.is_cancelled());
        drop(second);
        third.mark_request_received();
        assert!(limiter.try_acquire(peer(1)).is_none());
        assert!(limiter.try_acquire(peer(2)).is_some());
        drop(first);
        assert!(limiter.try_acquire(peer(1)).is_some());
    }
}
