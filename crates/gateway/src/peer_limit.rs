//! A coarse rate limit per peer address, applied before authentication.

use crate::rate_limit::rate_limited;
use crate::settings::GatewaySettings;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Number of requests after which the entries of peers whose burst is fully available again are removed.
const CHECKS_PER_SWEEP: u64 = 8192;

/// The rate limit per peer address, if the settings enable it.
#[derive(Clone)]
pub(crate) struct PeerLimit {
    limiter: Option<Arc<PeerLimiter>>,
    behind_proxy: bool,
}

struct PeerLimiter {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    clock: DefaultClock,
    check_count: AtomicU64,
}

impl PeerLimit {
    pub(crate) fn new(settings: &GatewaySettings) -> Self {
        let rate = NonZeroU32::new(settings.peer_requests_per_second).filter(|_| settings.rate_limit_enabled);
        let quota = rate.zip(NonZeroU32::new(settings.peer_burst));
        let counters = quota.map(|(rate, burst)| {
            let limiter = RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst));
            Arc::new(PeerLimiter { limiter, clock: DefaultClock::default(), check_count: AtomicU64::new(0) })
        });
        Self { limiter: counters, behind_proxy: settings.behind_proxy }
    }

    /// Counts a request. Returns how long the peer has to wait if the request is refused, otherwise `None`.
    fn check(&self, peer: IpAddr) -> Option<Duration> {
        let PeerLimiter { limiter, clock, check_count: checks } = &**self.limiter.as_ref()?;
        if checks.fetch_add(1, Ordering::Relaxed) % CHECKS_PER_SWEEP == CHECKS_PER_SWEEP - 1 {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        let not_until = limiter.check_key(&peer_network(peer)).err()?;
        Some(not_until.wait_time_from(clock.now()))
    }
}

/// Middleware for the limit. A request without a peer address (in tests) is not counted.
pub(crate) async fn limit_peers(State(limit): State<PeerLimit>, request: Request, next: Next) -> Response {
    match peer_address(&request, limit.behind_proxy).and_then(|peer| limit.check(peer)) {
        Some(retry_after) => rate_limited(retry_after).into_response(),
        None => next.run(request).await,
    }
}

/// Returns the address of the client. Behind a reverse proxy, it is the last entry of `X-Forwarded-For`, which the
/// proxy has added.
pub(crate) fn peer_address(request: &Request, behind_proxy: bool) -> Option<IpAddr> {
    let forwarded_address = || {
        let last = request.headers().get_all("x-forwarded-for").iter().next_back()?;
        last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    };
    let connection_address = || {
        let ConnectInfo(address) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        Some(address.ip())
    };
    behind_proxy.then(forwarded_address).flatten().or_else(connection_address)
}

/// Returns the network that counts as one peer: a single IPv4 address, or an IPv6 /64, since that is the smallest
/// network that a provider assigns to a customer.
pub(crate) fn peer_network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped().map_or_else(|| IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)), IpAddr::V4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_shares_one_burst() {
        let settings = GatewaySettings { peer_requests_per_second: 1, peer_burst: 2, ..GatewaySettings::default() };
        let limit = PeerLimit::new(&settings);
        let peer = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(limit.check(peer("2001:db8::1")), None);
        assert_eq!(limit.check(peer("2001:db8::2")), None);
        assert!(limit.check(peer("2001:db8::3")).is_some());
        assert_eq!(limit.check(peer("2001:db8:0:1::1")), None);
        assert_eq!(limit.check(peer("10.0.0.1")), None);
    }
}
