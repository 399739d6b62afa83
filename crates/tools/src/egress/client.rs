//! An HTTP client that connects to given addresses, and reading responses of bounded size.

use super::EgressError;
use bytes::Bytes;
use futures::StreamExt as _;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Resolves one host to fixed addresses, and no other host.
struct PinnedHost {
    host: String,
    addresses: Vec<SocketAddr>,
}

impl Resolve for PinnedHost {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = name.as_str().eq_ignore_ascii_case(&self.host).then(|| self.addresses.clone());
        Box::pin(async move {
            let addresses = addresses.ok_or("this client connects to one host only")?;
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok::<_, Box<dyn Error + Send + Sync>>(addresses)
        })
    }
}

/// A client that connects to `addresses` whenever the host is named.
pub(super) fn pinned(host: &str, addresses: Vec<SocketAddr>) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .dns_resolver(PinnedHost { host: host.to_owned(), addresses })
        .build()
}

/// Reads the body of a response, of at most `limit` bytes.
///
/// # Errors
/// If it is larger, or the connection breaks off.
pub async fn read_bounded(response: reqwest::Response, limit: usize) -> Result<Bytes, EgressError> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk?);
        if body.len() > limit {
            return Err(EgressError::TooLarge { limit });
        }
    }
    Ok(body.into())
}
