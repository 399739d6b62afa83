//! The section `mcp` of the settings: how MCP clients address the platform and where they sign in.

use super::Settings;
use anyhow::{Context as _, Result, ensure};
use gateway::McpSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

/// The endpoint for MCP clients, `/mcp`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mcp {
    /// Public address of the endpoint, such as `https://platform.plant.example/mcp`. It must be the one that the issuer
    /// knows, if clients ask for tokens by it. Without it, clients are told the address that they have used.
    #[schemars(extend("x-default" = "none"))]
    pub resource: Option<String>,
    /// Hosts, with or without a port, by which clients may address the endpoint, besides loopback names and the host of
    /// `resource`. In a variable they are separated by commas.
    #[serde(deserialize_with = "list_or_commas")]
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may use the endpoint, such as `https://inspector.plant.example:443`, besides that of
    /// `resource`. In a variable they are separated by commas.
    #[serde(deserialize_with = "list_or_commas")]
    pub allowed_origins: Vec<String>,
    /// Scopes that clients are told to ask the issuer for. In a variable they are separated by commas.
    #[serde(deserialize_with = "list_or_commas")]
    pub scopes: Vec<String>,
}

impl Mcp {
    /// Checks the address.
    pub(super) fn check(&self) -> Result<()> {
        let Some(resource) = &self.resource else { return Ok(()) };
        let url = Url::parse(resource).context("mcp.resource is not a URL")?;
        ensure!(
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.fragment().is_none(),
            "mcp.resource must begin with https:// or http://, name a host, and have no fragment"
        );
        Ok(())
    }
}

impl Settings {
    /// The settings of the endpoint. Clients are told all issuers whose tokens are accepted.
    ///
    /// # Errors
    /// If an issuer is not valid.
    pub fn mcp_settings(&self) -> Result<McpSettings> {
        let Mcp { resource, allowed_hosts, allowed_origins, scopes } = self.mcp.clone();
        let authorization_servers = self.issuers()?.into_iter().map(|issuer| issuer.issuer).collect();
        Ok(McpSettings { resource, allowed_hosts, allowed_origins, authorization_servers, scopes })
    }
}

/// Deserializes a list, or a text with commas, since a variable has no lists.
fn list_or_commas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum ListOrText {
        List(Vec<String>),
        Text(String),
    }
    Ok(match ListOrText::deserialize(deserializer)? {
        ListOrText::List(list) => list,
        ListOrText::Text(text) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(str::to_owned).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;

    #[test]
    fn variables_hold_lists_with_commas_and_the_address_is_checked() {
        let load = |variables: &[(&str, &str)]| Settings::load(None, &Environment::from_pairs(variables));
        let hosts = ("PLATFORM__MCP__ALLOWED_HOSTS", "platform.example, proxy:8443");
        let settings = load(&[hosts, ("PLATFORM__MCP__RESOURCE", "https://platform.example/mcp")]).expect("valid");
        assert_eq!(settings.mcp.allowed_hosts, ["platform.example", "proxy:8443"]);
        for bad in ["platform.example", "ftp://platform.example/mcp", "https://h/mcp#a"] {
            let error = load(&[("PLATFORM__MCP__RESOURCE", bad)]).expect_err("not valid");
            assert!(format!("{error:#}").contains("mcp.resource"), "{error:#}");
        }
    }
}
