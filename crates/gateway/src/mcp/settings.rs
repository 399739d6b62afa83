//! Settings of the MCP endpoint.

use axum::http::Uri;

/// Settings of the MCP endpoint.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct McpSettings {
    /// Public address of the endpoint, such as `https://platform.example/mcp`, as it is registered with the
    /// authorization servers; `None` to name the address that the client used.
    pub resource: Option<String>,
    /// Hosts, with or without a port, by which clients may address the endpoint, besides loopback names and the host of
    /// `resource`.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may use the endpoint, such as `https://inspector.example:443`, besides that of
    /// `resource`.
    pub allowed_origins: Vec<String>,
    /// Issuers whose tokens are accepted.
    pub authorization_servers: Vec<String>,
    /// Scopes that a client requests from an issuer.
    pub scopes: Vec<String>,
}

impl McpSettings {
    /// Hosts by which clients may address the endpoint.
    pub(super) fn hosts(&self) -> Vec<String> {
        let loopback = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let own = self.resource_uri().and_then(|uri| uri.host().map(str::to_owned));
        loopback.into_iter().chain(self.allowed_hosts.iter().cloned()).chain(own).collect()
    }

    /// Origins of web pages that may use the endpoint.
    pub(super) fn origins(&self) -> Vec<String> {
        self.allowed_origins.iter().cloned().chain(self.resource_origin()).collect()
    }

    fn resource_uri(&self) -> Option<Uri> {
        self.resource.as_deref()?.parse().ok()
    }

    /// Scheme, host and port of the public address.
    fn resource_origin(&self) -> Option<String> {
        let uri = self.resource_uri()?;
        let (scheme, host) = (uri.scheme_str()?, uri.host()?);
        let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
        Some(format!("{scheme}://{host}:{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_is_an_allowed_host_and_origin() {
        let settings = McpSettings {
            resource: Some("https://platform.example/mcp".to_owned()),
            allowed_hosts: vec!["proxy:8443".to_owned()],
            ..McpSettings::default()
        };
        assert_eq!(settings.hosts(), ["localhost", "127.0.0.1", "::1", "proxy:8443", "platform.example"]);
        assert_eq!(settings.origins(), ["https://platform.example:443"]);
        assert_eq!(McpSettings::default().origins(), Vec::<String>::new());
    }
}
