//! The settings that are common to all kinds of connectors, from the connector's `config`.

use crate::failure;
use crate::pem;
use domain::plant::{ConnectorError, ConnectorSettings};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::time::Duration;

/// Maximum time limit of a call, in seconds.
const MAX_TIMEOUT_S: u64 = 60;
/// Length of a SHA-256 in hexadecimal digits.
const THUMBPRINT_DIGITS: usize = 64;

#[derive(Deserialize)]
#[serde(default)]
struct RawCommon {
    timeout_s: u64,
    allow_insecure: bool,
    server_certificate: Option<String>,
    ca_certificate: Option<String>,
    trusted_thumbprint: Option<String>,
}

impl Default for RawCommon {
    fn default() -> Self {
        Self {
            timeout_s: ConnectorSettings::DEFAULT_TIMEOUT_S,
            allow_insecure: false,
            server_certificate: None,
            ca_certificate: None,
            trusted_thumbprint: None,
        }
    }
}

/// The settings that are common to all kinds of connectors.
#[derive(Clone, Debug)]
pub struct Common {
    /// Time limit of one call.
    pub timeout: Duration,
    /// Whether a connection to a loopback address may be unencrypted: both the platform and the connector must allow
    /// it.
    pub insecure_allowed: bool,
    /// Which server certificates are trusted.
    pub trust: Trust,
}

/// The server certificates that are trusted. Public authorities are not.
#[derive(Clone, Default, Debug)]
pub struct Trust {
    /// Certificates of the server itself, or (with TLS) of authorities, DER.
    pub certificates: Vec<Vec<u8>>,
    /// SHA-256 of the server's certificate, which an administrator accepted; 64 lower-case hexadecimal digits.
    pub thumbprint: Option<String>,
}

impl Common {
    pub fn of(settings: &ConnectorSettings) -> Result<Self, ConnectorError> {
        let raw: RawCommon = parse(settings)?;
        if !(1..=MAX_TIMEOUT_S).contains(&raw.timeout_s) {
            return Err(failure::configuration(format!("timeout_s must be 1 to {MAX_TIMEOUT_S} seconds")));
        }
        let mut certificates = certificates("server_certificate", raw.server_certificate.as_deref())?;
        certificates.extend(self::certificates("ca_certificate", raw.ca_certificate.as_deref())?);
        let thumbprint = raw.trusted_thumbprint.as_deref().map(normalize_thumbprint).transpose()?;
        Ok(Self {
            timeout: Duration::from_secs(raw.timeout_s),
            insecure_allowed: settings.development && raw.allow_insecure,
            trust: Trust { certificates, thumbprint },
        })
    }
}

/// The connector's `config` as the settings of its kind. Unknown fields are ignored: they belong to other kinds.
pub fn parse<T: DeserializeOwned>(settings: &ConnectorSettings) -> Result<T, ConnectorError> {
    let config = match &settings.config {
        Value::Null => Value::Object(Map::new()),
        config => config.clone(),
    };
    // The message of serde names the field and the expected type, but may repeat the value; no secret is in `config`.
    serde_json::from_value(config).map_err(|error| failure::configuration(failure::foreign(&error.to_string())))
}

fn certificates(name: &str, text: Option<&str>) -> Result<Vec<Vec<u8>>, ConnectorError> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    let found: Vec<_> = pem::blocks(text).into_iter().filter(|block| block.label == "CERTIFICATE").collect();
    if found.is_empty() {
        return Err(failure::configuration(format!(
            "{name} holds no certificate: it must be PEM, beginning with -----BEGIN CERTIFICATE-----"
        )));
    }
    Ok(found.into_iter().map(|block| block.der).collect())
}

fn normalize_thumbprint(text: &str) -> Result<String, ConnectorError> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).map(|c| c.to_ascii_lowercase()).collect();
    if digits.len() == THUMBPRINT_DIGITS && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(digits);
    }
    Err(failure::configuration("trusted_thumbprint must be a SHA-256 in 64 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::ConnectorKind;
    use serde_json::json;

    fn common(config: Value, development: bool) -> Result<Common, ConnectorError> {
        Common::of(&ConnectorSettings {
            kind: ConnectorKind::Mqtt,
            endpoint: String::new(),
            config,
            credential: None,
            tags: Vec::new(),
            development,
        })
    }

    #[test]
    fn nothing_is_trusted_and_nothing_insecure_unless_said() {
        let common = common(Value::Null, true).unwrap();
        assert!(!common.insecure_allowed && common.trust.certificates.is_empty() && common.trust.thumbprint.is_none());
        assert_eq!(common.timeout, Duration::from_secs(ConnectorSettings::DEFAULT_TIMEOUT_S));
    }

    #[test]
    fn insecure_needs_both_the_platform_and_the_connector() {
        let asks = json!({ "allow_insecure": true });
        assert!(common(asks.clone(), true).unwrap().insecure_allowed);
        assert!(!common(asks, false).unwrap().insecure_allowed);
    }

    #[test]
    fn thumbprints_may_be_written_with_colons_and_capitals() {
        let colons = ["AB"; 32].join(":");
        let common = common(json!({ "trusted_thumbprint": colons }), false).unwrap();
        assert_eq!(common.trust.thumbprint.unwrap(), "ab".repeat(32));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |config| common(config, false).unwrap_err().to_string();
        assert!(message(json!({ "trusted_thumbprint": "12" })).contains("trusted_thumbprint"));
        assert!(message(json!({ "server_certificate": "MIIB" })).contains("server_certificate"));
        assert!(message(json!({ "timeout_s": 0 })).contains("timeout_s"));
        assert!(message(json!({ "timeout_s": "soon" })).contains("soon"));
    }
}
