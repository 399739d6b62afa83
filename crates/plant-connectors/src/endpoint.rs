//! The address of a plant system.

use crate::failure;
use domain::address_kind::AddressKind;
use domain::plant::ConnectorError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::{TcpStream, lookup_host};
use url::{Host, Url};

/// The address of a plant system: a URL with host and port, and neither credential, query nor fragment.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The URL as it was configured.
    pub url: Url,
    /// Name or address, IPv6 without brackets.
    pub host: String,
    /// TCP port; the protocol's own if the URL names none.
    pub port: u16,
}

impl Endpoint {
    /// Reads a URL whose scheme is one of `schemes`; the first is the default. `default_port` is for URLs without a
    /// port.
    pub fn parse(text: &str, schemes: &[&str], default_port: u16) -> Result<Self, ConnectorError> {
        let expected = schemes.iter().map(|scheme| format!("{scheme}://host:port")).collect::<Vec<_>>().join(" or ");
        let text = text.trim();
        let text = match schemes.first() {
            Some(scheme) if !text.is_empty() && !text.contains("://") => format!("{scheme}://{text}"),
            _ => text.to_owned(),
        };
        let url = Url::parse(&text)
            .map_err(|error| failure::configuration(format!("the endpoint is no URL ({error}): use {expected}")))?;
        if !schemes.contains(&url.scheme()) {
            return Err(failure::configuration(format!("the endpoint must be {expected}")));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(failure::configuration("a credential does not belong in the endpoint; use `secret`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(failure::configuration("the endpoint must have neither query nor fragment"));
        }
        let host = match url.host() {
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(host) if !host.to_string().is_empty() => host.to_string(),
            _ => return Err(failure::configuration(format!("the endpoint names no host: use {expected}"))),
        };
        if let Ok(address) = host.parse() {
            require_allowed(&host, address)?;
        }
        let port = url.port().unwrap_or(default_port);
        Ok(Self { url, host, port })
    }

    /// Whether the host is this machine, by its address or as `localhost`.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
            || self.host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
    }

    /// Opens a TCP connection; the caller bounds the time.
    pub async fn connect(&self) -> Result<TcpStream, ConnectorError> {
        let mut last_error = failure::unreachable(format!("the name {} has no address", self.host));
        for address in self.addresses().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Requests are small and latency-sensitive.
                    let _result = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last_error = failure::io(&error),
            }
        }
        Err(last_error)
    }

    /// The addresses of the host; an error if one of them must not be connected to.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, ConnectorError> {
        resolve(&self.host, self.port).await
    }
}

/// The addresses of a host; an error if one of them must not be connected to.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectorError> {
    let found = lookup_host((host, port)).await.map_err(|_| {
        failure::unreachable(format!("the name {host} cannot be resolved; use an address or ask for DNS"))
    })?;
    let addresses: Vec<SocketAddr> = found.collect();
    addresses.iter().try_for_each(|address| require_allowed(host, address.ip()))?;
    Ok(addresses)
}

/// Refuses an address from which nothing is ever read, whatever the configuration says.
fn require_allowed(host: &str, address: IpAddr) -> Result<(), ConnectorError> {
    if AddressKind::of(address).is_never_connected_to() {
        return Err(failure::configuration(format!(
            "{host} has the address {address}, which is never connected to: it is link-local, or that of a metadata \
             service"
        )));
    }
    Ok(())
}

/// Refuses a connection without encryption, unless it is allowed and stays on this machine.
pub fn require_insecure_allowed(endpoint: &Endpoint, allowed: bool, what: &str) -> Result<(), ConnectorError> {
    if allowed && endpoint.is_loopback() {
        return Ok(());
    }
    Err(failure::configuration(format!(
        "{what}; without encryption only a loopback address is read, in development mode with allow_insecure"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Endpoint, ConnectorError> {
        Endpoint::parse(text, &["mqtt", "mqtts"], 1883)
    }

    #[test]
    fn host_and_port_are_read() {
        let endpoint = parse("mqtts://broker.plant:8884").unwrap();
        assert_eq!((endpoint.host.as_str(), endpoint.port), ("broker.plant", 8884));
        assert_eq!(parse("mqtt://10.0.0.1").unwrap().port, 1883);
        assert_eq!(parse("10.0.0.1:1884").unwrap().url.as_str(), "mqtt://10.0.0.1:1884");
        let ipv6 = parse("mqtt://[::1]:1").unwrap();
        assert_eq!(ipv6.host, "::1");
        assert!(ipv6.is_loopback());
    }

    #[test]
    fn unusable_endpoints_say_why() {
        for (text, reason) in [
            ("", "no URL"),
            ("http://h:1", "mqtt://host:port or mqtts://host:port"),
            ("mqtt://user:secret@h:1", "credential"),
            ("mqtt://h:1?a=b", "query"),
            ("mqtt:///x", "host"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && !error.contains("secret@"), "{text}: {error}");
        }
    }

    #[test]
    fn link_local_and_metadata_addresses_are_refused_in_every_notation() {
        for host in ["169.254.1.1", "169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "100.100.100.200"] {
            let error = parse(&format!("mqtts://{host}:8883")).unwrap_err().to_string();
            assert!(error.contains("never connected to"), "{host}: {error}");
        }
        let resolved = "169.254.169.254".parse().unwrap();
        let error = require_allowed("plc.example", resolved).unwrap_err().to_string();
        assert!(error.contains("plc.example has the address 169.254.169.254"), "{error}");
    }

    #[tokio::test]
    async fn names_are_resolved() {
        let addresses = parse("mqtt://127.0.0.1:7").unwrap().addresses().await.unwrap();
        assert_eq!(addresses, ["127.0.0.1:7".parse::<SocketAddr>().unwrap()]);
    }

    #[test]
    fn loopback_is_this_machine_alone() {
        for (host, expected) in [
            ("127.0.0.1", true),
            ("localhost", true),
            ("127.9.9.9", true),
            ("10.0.0.1", false),
            ("localhost.evil.example", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(parse(&format!("mqtt://{host}:1")).unwrap().is_loopback(), expected, "{host}");
        }
    }
}
