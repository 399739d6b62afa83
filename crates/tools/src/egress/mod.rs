//! Connections to addresses that a tenant's admins name: channels, maintenance systems, MCP servers.
//!
//! Such an address must not lead into networks that only the platform can reach. A name is resolved first, the
//! addresses are checked, and the connection goes to a checked address, so a name that resolves differently a moment
//! later leads nowhere else. Redirects are not followed and proxies are not used.

mod client;
mod refusal;

pub use client::read_bounded;
pub use domain::address_kind::AddressKind;
pub use ipnet::IpNet;

use domain::address_kind::embedded_v4;
use refusal::WhyRefused as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::{Host, Url};

/// Time limit for resolving a name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Which addresses may be connected to. Public ones may, and link-local ones and those of cloud metadata services
/// never.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EgressPolicy {
    /// Networks whose private and loopback addresses may be connected to.
    pub allow_networks: Vec<IpNet>,
    /// Whether loopback addresses may be connected to in any case, as in development mode.
    pub development: bool,
}

/// Why no connection is made.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The URL has another scheme, no host, or a user name.
    #[error("the URL must begin with https:// or http://, and name a host and no user")]
    UnsupportedUrl,
    /// The name has no address.
    #[error("the name {host} cannot be resolved")]
    Unresolved {
        /// Name that was resolved.
        host: String,
        /// Cause of the failure.
        source: io::Error,
    },
    /// No address of the host may be connected to.
    #[error("{host} has the address {address}, {}", .kind.why_refused())]
    RefusedAddress {
        /// Host as it was named.
        host: String,
        /// A refused address of the host.
        address: IpAddr,
        /// Why it is refused.
        kind: AddressKind,
    },
    /// Plain HTTP would leave the site.
    #[error("{host} has a public address: use https://")]
    PlainHttp {
        /// Host as it was named.
        host: String,
    },
    /// The response is larger than allowed.
    #[error("the response is larger than {limit} bytes")]
    TooLarge {
        /// Maximum size, in bytes.
        limit: usize,
    },
    /// The HTTP client failed.
    #[error("the HTTP request failed")]
    Http(#[source] reqwest::Error),
}

/// Without the URL, which may hold a secret.
impl From<reqwest::Error> for EgressError {
    fn from(error: reqwest::Error) -> Self {
        Self::Http(error.without_url())
    }
}

impl EgressPolicy {
    /// Whether the address may be connected to.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let in_allowed_network = || {
            let embedded = embedded_v4(address);
            self.allow_networks.iter().any(|network| network.contains(&address) || network.contains(&embedded))
        };
        match AddressKind::of(address) {
            AddressKind::Public => true,
            AddressKind::Loopback => self.development || in_allowed_network(),
            AddressKind::Private => in_allowed_network(),
            AddressKind::LinkLocal | AddressKind::CloudMetadata | AddressKind::NotAHost => false,
        }
    }

    /// Checks what can be checked of a URL without a network: its form, and its address if the host is one.
    ///
    /// # Errors
    /// If the URL can never be connected to under this policy.
    pub fn check_url(&self, url: &Url) -> Result<(), EgressError> {
        let is_http = matches!(url.scheme(), "http" | "https");
        if !is_http || !url.username().is_empty() || url.password().is_some() {
            return Err(EgressError::UnsupportedUrl);
        }
        match url.host() {
            None => Err(EgressError::UnsupportedUrl),
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) => self.check_literal(address.into()),
            Some(Host::Ipv6(address)) => self.check_literal(address.into()),
        }
    }

    /// Checks a host as far as possible without a network: its address if it is one.
    ///
    /// # Errors
    /// If the host is an address that may not be connected to.
    pub fn check_host(&self, host: &str) -> Result<(), EgressError> {
        host.trim_matches(['[', ']']).parse().map_or(Ok(()), |address| self.check_literal(address))
    }

    fn check_literal(&self, address: IpAddr) -> Result<(), EgressError> {
        if self.allows(address) {
            return Ok(());
        }
        Err(EgressError::RefusedAddress { host: address.to_string(), address, kind: AddressKind::of(address) })
    }

    /// Resolves a name, or takes an address as it is, and returns those addresses that may be connected to; at least
    /// one.
    ///
    /// # Errors
    /// If the name cannot be resolved, or all its addresses are refused.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, EgressError> {
        let unresolved = |source| EgressError::Unresolved { host: host.to_owned(), source };
        let lookup = timeout(RESOLVE_TIMEOUT, lookup_host((host.trim_matches(['[', ']']), port)));
        let found = lookup.await.map_err(|elapsed| unresolved(elapsed.into()))?.map_err(unresolved)?;
        let (allowed, refused): (Vec<SocketAddr>, Vec<SocketAddr>) =
            found.partition(|address| self.allows(address.ip()));
        match (allowed.is_empty(), refused.first()) {
            (false, _) => Ok(allowed),
            (true, None) => Err(unresolved(io::Error::from(io::ErrorKind::NotFound))),
            (true, Some(refused)) => Err(EgressError::RefusedAddress {
                host: host.to_owned(),
                address: refused.ip(),
                kind: AddressKind::of(refused.ip()),
            }),
        }
    }

    /// An HTTP client for requests to the origin of `url`, and to no other: it connects to the addresses that were
    /// checked here, follows no redirects and uses no proxy. Its limits are 5 s for a connection and 15 s for a
    /// request; a request may set its own. Read responses with [`read_bounded`].
    ///
    /// # Errors
    /// If the URL is not allowed, or its host cannot be resolved or has only refused addresses.
    pub async fn checked_client(&self, url: &Url) -> Result<reqwest::Client, EgressError> {
        self.check_url(url)?;
        let host = url.host_str().ok_or(EgressError::UnsupportedUrl)?;
        let port = url.port_or_known_default().ok_or(EgressError::UnsupportedUrl)?;
        let addresses = self.resolve(host, port).await?;
        let is_public = |address: &SocketAddr| AddressKind::of(address.ip()) == AddressKind::Public;
        if url.scheme() == "http" && addresses.iter().any(is_public) {
            return Err(EgressError::PlainHttp { host: host.to_owned() });
        }
        Ok(client::pinned(host, addresses)?)
    }
}

#[cfg(test)]
mod tests;
