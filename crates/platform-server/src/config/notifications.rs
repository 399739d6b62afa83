//! The section `notifications` of the settings: messages to channels, and which addresses they may go to.

use super::{Mode, Settings};
use anyhow::{Context as _, Result, ensure};
use runtime::channels::deliver::DeliverySettings;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::net::IpAddr;
use std::time::Duration;
use tools::egress::{EgressPolicy, IpNet};
use url::Url;

/// Messages to channels, and which addresses they may go to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notifications {
    /// Networks, such as `10.20.0.0/16`, whose private and loopback addresses may be connected to, because mail servers
    /// or receivers of webhooks are there. In a variable they are separated by commas. Link-local addresses and those
    /// of cloud metadata services are refused in any case.
    #[serde(deserialize_with = "list_or_commas")]
    pub allow_networks: Vec<String>,
    /// URL at which people reach the platform, such as `https://platform.plant.example`, for links in messages.
    #[schemars(extend("x-default" = "none; the server's own address in development mode"))]
    pub public_url: Option<String>,
    /// Number of attempts after which a message is given up.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: u32,
    /// Seconds between the first two attempts at a message. Each further pause is twice as long, up to two hours.
    #[schemars(range(min = 1, max = 3_600))]
    pub retry_s: u64,
}

impl Default for Notifications {
    fn default() -> Self {
        let DeliverySettings { max_attempts, first_delay, .. } = DeliverySettings::default();
        Self { allow_networks: Vec::new(), public_url: None, max_attempts, retry_s: first_delay.as_secs() }
    }
}

impl Notifications {
    /// When messages are tried again.
    #[must_use]
    pub fn delivery_settings(&self) -> DeliverySettings {
        let first_delay = Duration::from_secs(self.retry_s);
        DeliverySettings { max_attempts: self.max_attempts, first_delay, ..DeliverySettings::default() }
    }

    fn networks(&self) -> Result<Vec<IpNet>> {
        let parse = |text: &String| {
            let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            network
                .with_context(|| format!("notifications.allow_networks: {text:?} is not a network like 10.20.0.0/16"))
        };
        self.allow_networks.iter().map(parse).collect()
    }

    /// Checks the networks and the URL.
    pub(super) fn check(&self) -> Result<()> {
        self.networks()?;
        let Some(url) = &self.public_url else { return Ok(()) };
        let url = Url::parse(url).context("notifications.public_url is not a URL")?;
        ensure!(
            matches!(url.scheme(), "http" | "https"),
            "notifications.public_url must begin with https:// or http://"
        );
        Ok(())
    }
}

impl Settings {
    /// Which addresses that tenants name may be connected to.
    ///
    /// # Errors
    /// If a network is not valid.
    pub fn egress_policy(&self) -> Result<EgressPolicy> {
        let development = self.mode == Mode::Development;
        Ok(EgressPolicy { allow_networks: self.notifications.networks()?, development })
    }

    /// URL at which people reach the platform, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> Option<String> {
        let own =
            || (self.mode == Mode::Development).then(|| format!("http://{}:{}", self.server.host, self.server.port));
        let url = self.notifications.public_url.clone().or_else(own)?;
        Some(url.trim_end_matches('/').to_owned())
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
    use super::super::{Environment, Settings};

    fn load(variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
        Settings::load(None, &Environment::from_pairs(variables))
    }

    #[test]
    fn networks_are_read_from_a_list_and_from_a_variable() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("platform.toml");
        std::fs::write(&file, "[notifications]\nallow_networks = [\"10.0.0.0/8\", \"fd00::/8\"]\n").expect("write");
        let from_file = Settings::load(Some(&file), &Environment::from_pairs(&[])).expect("valid");
        assert_eq!(from_file.egress_policy().expect("valid").allow_networks.len(), 2);
        let variable = [("PLATFORM__NOTIFICATIONS__ALLOW_NETWORKS", "10.0.0.0/8, 192.168.1.7")];
        let policy = load(&variable).expect("valid").egress_policy().expect("valid");
        assert!(!policy.development);
        assert!(policy.allows("10.1.2.3".parse().expect("an address")));
        assert!(policy.allows("192.168.1.7".parse().expect("an address")));
        assert!(!policy.allows("192.168.1.8".parse().expect("an address")));
        let error = load(&[("PLATFORM__NOTIFICATIONS__ALLOW_NETWORKS", "ten")]).expect_err("no network");
        assert!(format!("{error:#}").contains("notifications.allow_networks"), "{error:#}");
    }

    #[test]
    fn links_lead_to_the_configured_url() {
        assert_eq!(load(&[]).expect("valid").public_url(), None);
        let development = load(&[("PLATFORM__MODE", "development")]).expect("valid");
        assert_eq!(development.public_url().as_deref(), Some("http://127.0.0.1:8000"));
        let variable = [("PLATFORM__NOTIFICATIONS__PUBLIC_URL", "https://platform.plant.example/")];
        assert_eq!(load(&variable).expect("valid").public_url().as_deref(), Some("https://platform.plant.example"));
        assert!(load(&[("PLATFORM__NOTIFICATIONS__PUBLIC_URL", "platform")]).is_err());
    }
}
