//! The options of a broker connection, from a connector's settings.

use crate::config::{self, Common};
use crate::endpoint::{Endpoint, require_insecure_allowed};
use crate::failure;
use crate::tls::PinnedTls;
use domain::plant::{ConnectorCredential, ConnectorError, ConnectorSettings};
use rumqttc::Login;
use rustls::pki_types::ServerName;
use serde::Deserialize;
use std::time::Duration;

/// The schemes of an endpoint; the first is the default.
const SCHEMES: [&str; 4] = ["mqtts", "ssl", "mqtt", "tcp"];
const TLS_SCHEMES: [&str; 2] = ["mqtts", "ssl"];
/// IANA's port of MQTT over TLS.
const TLS_PORT: u16 = 8883;
/// IANA's port of MQTT.
const PLAIN_PORT: u16 = 1883;

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawOptions {
    client_id: Option<String>,
}

/// The options of a broker connection.
#[derive(Clone)]
pub struct BrokerOptions {
    /// Host and port of the broker.
    pub endpoint: Endpoint,
    /// `None` only on a loopback address in development mode.
    pub tls: Option<BrokerTls>,
    /// The account to sign in with.
    pub login: Option<Login>,
    /// Unique at the broker: it closes the older of two connections with the same one.
    pub client_id: String,
    /// Time limit for connecting, for subscribing and for every response.
    pub timeout: Duration,
}

/// TLS settings of a broker connection.
#[derive(Clone)]
pub struct BrokerTls {
    /// The certificates that are trusted.
    pub pinned: PinnedTls,
    /// The name that its certificate must have, unless the certificate itself is pinned.
    pub server_name: ServerName<'static>,
}

impl BrokerOptions {
    pub fn of(settings: &ConnectorSettings, common: &Common) -> Result<Self, ConnectorError> {
        let raw: RawOptions = config::parse(settings)?;
        let plain = Endpoint::parse(&settings.endpoint, &SCHEMES, PLAIN_PORT)?;
        let tls = if TLS_SCHEMES.contains(&plain.url.scheme()) {
            let server_name = ServerName::try_from(plain.host.clone())
                .map_err(|_| failure::configuration("the endpoint's host is neither a name nor an address"))?;
            Some(BrokerTls { pinned: PinnedTls::new(&common.trust)?, server_name })
        } else {
            require_insecure_allowed(&plain, common.insecure_allowed, "plain mqtt is not encrypted: use mqtts")?;
            None
        };
        let endpoint = match tls {
            Some(_) => Endpoint::parse(&settings.endpoint, &SCHEMES, TLS_PORT)?,
            None => plain,
        };
        Ok(Self {
            endpoint,
            tls,
            login: login(settings.credential.as_ref()),
            client_id: raw.client_id.unwrap_or_else(|| format!("plant-{:016x}", fastrand::u64(..))),
            timeout: common.timeout,
        })
    }
}

/// A token is sent as a password without a meaningful user name, as brokers with JWTs expect it.
fn login(credential: Option<&ConnectorCredential>) -> Option<Login> {
    Some(match credential? {
        ConnectorCredential::Password { username, password } => Login::new(username.as_str(), password.as_str()),
        ConnectorCredential::Token { token } => Login::new("token", token.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::ConnectorKind;
    use serde_json::json;

    fn options(endpoint: &str, development: bool) -> Result<BrokerOptions, ConnectorError> {
        let settings = ConnectorSettings {
            kind: ConnectorKind::Mqtt,
            endpoint: endpoint.to_owned(),
            config: json!({ "allow_insecure": true }),
            credential: None,
            tags: Vec::new(),
            development,
        };
        BrokerOptions::of(&settings, &Common::of(&settings)?)
    }

    #[test]
    fn plain_mqtt_is_for_loopback_in_development_alone() {
        assert!(options("mqtt://127.0.0.1:1883", true).is_ok_and(|options| options.tls.is_none()));
        for (endpoint, development) in [("mqtt://127.0.0.1:1883", false), ("mqtt://10.0.0.1:1883", true)] {
            let error = options(endpoint, development).err().unwrap().to_string();
            assert!(error.contains("use mqtts"), "{endpoint}: {error}");
        }
    }

    #[test]
    fn mqtts_has_its_own_port() {
        let options = options("mqtts://broker.plant", false).unwrap();
        assert_eq!(options.endpoint.port, TLS_PORT);
        assert!(options.tls.is_some());
    }
}
