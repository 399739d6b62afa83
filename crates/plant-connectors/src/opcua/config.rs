//! The options of an OPC UA connection, from a connector's settings.

use crate::config::{self, Common};
use crate::endpoint::{Endpoint, require_insecure_allowed};
use crate::failure;
use crate::pem;
use domain::plant::{ConnectorCredential, ConnectorError, ConnectorSettings};
use opcua::client::IdentityToken;
use opcua::crypto::{PrivateKey, SecurityPolicy, X509};
use opcua::types::MessageSecurityMode;
use serde::Deserialize;

/// IANA's port of OPC UA.
const DEFAULT_PORT: u16 = 4840;
/// The security policies whose algorithms are still considered secure, best first.
const SECURE_POLICIES: [SecurityPolicy; 3] =
    [SecurityPolicy::Aes256Sha256RsaPss, SecurityPolicy::Basic256Sha256, SecurityPolicy::Aes128Sha256RsaOaep];

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawConfig {
    security_policy: Option<String>,
    security_mode: Option<String>,
}

/// A policy with a mode.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Security {
    /// The algorithms that sign and encrypt.
    pub policy: SecurityPolicy,
    /// Whether messages are signed and encrypted.
    pub mode: MessageSecurityMode,
}

impl Security {
    /// Whether messages are signed and encrypted.
    pub fn is_secure(self) -> bool {
        SECURE_POLICIES.contains(&self.policy) && self.mode == MessageSecurityMode::SignAndEncrypt
    }

    /// The name that administrators know it by.
    pub fn name(self) -> String {
        // The library panics on the name of a policy that it does not support.
        let policy = match self.policy {
            SecurityPolicy::Unknown => "an unknown policy",
            policy => policy.to_str(),
        };
        format!("{policy} with {:?}", self.mode)
    }
}

/// The options of an OPC UA connection.
pub struct OpcUaConfig {
    /// Host and port of the server.
    pub endpoint: Endpoint,
    /// The acceptable policies and modes, best first.
    pub acceptable: Vec<Security>,
    /// The credential that activates the session.
    pub identity: IdentityToken,
}

impl OpcUaConfig {
    pub fn of(settings: &ConnectorSettings, common: &Common) -> Result<Self, ConnectorError> {
        let raw: RawConfig = config::parse(settings)?;
        let endpoint = Endpoint::parse(&settings.endpoint, &["opc.tcp"], DEFAULT_PORT)?;
        let insecure_allowed = common.insecure_allowed && endpoint.is_loopback();
        let acceptable = acceptable(&raw, insecure_allowed)?;
        if acceptable.iter().any(|security| !security.is_secure()) {
            let what = "OPC UA must be signed and encrypted: use security_mode SignAndEncrypt with Basic256Sha256, \
                        Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss";
            require_insecure_allowed(&endpoint, common.insecure_allowed, what)?;
        }
        Ok(Self { endpoint, acceptable, identity: identity(settings.credential.as_ref())? })
    }
}

/// Whether a password may be encrypted with the policy that a server names for it. The channel encrypts it as well.
pub fn may_protect_password(uri: &str) -> bool {
    uri.is_empty()
        || SecurityPolicy::None.to_uri() == uri
        || SECURE_POLICIES.iter().any(|policy| policy.to_uri() == uri)
}

/// The configured policy and mode, or else all secure ones, and also no security where that is allowed.
fn acceptable(raw: &RawConfig, insecure_allowed: bool) -> Result<Vec<Security>, ConnectorError> {
    let policy = raw.security_policy.as_deref().map(parse_policy).transpose()?;
    let mode = raw.security_mode.as_deref().map(parse_mode).transpose()?;
    let none = Security { policy: SecurityPolicy::None, mode: MessageSecurityMode::None };
    Ok(match (policy, mode) {
        (Some(SecurityPolicy::None), None | Some(MessageSecurityMode::None))
        | (None, Some(MessageSecurityMode::None)) => {
            vec![none]
        }
        (Some(SecurityPolicy::None), Some(_)) | (Some(_), Some(MessageSecurityMode::None)) => {
            return Err(failure::configuration("security_policy and security_mode contradict each other"));
        }
        (policy, mode) => {
            let mode = mode.unwrap_or(MessageSecurityMode::SignAndEncrypt);
            let policies = policy.map_or(SECURE_POLICIES.to_vec(), |policy| vec![policy]);
            let mut all: Vec<_> = policies.into_iter().map(|policy| Security { policy, mode }).collect();
            if policy.is_none() && raw.security_mode.is_none() && insecure_allowed {
                all.push(none);
            }
            all
        }
    })
}

fn parse_policy(text: &str) -> Result<SecurityPolicy, ConnectorError> {
    let name = text.rsplit('#').next().unwrap_or(text);
    let known = SECURE_POLICIES.iter().chain(&[SecurityPolicy::None]).find(|policy| {
        let normal = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
        normal(policy.to_str()) == normal(name)
    });
    known.copied().ok_or_else(|| {
        let name = failure::foreign(name);
        failure::configuration(format!(
            "security_policy {name} is not supported: use Basic256Sha256, Aes128_Sha256_RsaOaep or Aes256_Sha256_RsaPss"
        ))
    })
}

fn parse_mode(text: &str) -> Result<MessageSecurityMode, ConnectorError> {
    match text.replace(['_', '-', ' '], "").to_ascii_lowercase().as_str() {
        "signandencrypt" => Ok(MessageSecurityMode::SignAndEncrypt),
        "sign" => Ok(MessageSecurityMode::Sign),
        "none" => Ok(MessageSecurityMode::None),
        _ => Err(failure::configuration("security_mode must be SignAndEncrypt")),
    }
}

/// A token is a certificate with its private key, both PEM.
fn identity(credential: Option<&ConnectorCredential>) -> Result<IdentityToken, ConnectorError> {
    let token = match credential {
        None => return Ok(IdentityToken::Anonymous),
        Some(ConnectorCredential::Password { username, password }) => {
            return Ok(IdentityToken::new_user_name(username.as_str(), password.as_str()));
        }
        Some(ConnectorCredential::Token { token }) => token,
    };
    let blocks = pem::blocks(token);
    let certificate = blocks.iter().find(|block| block.label == "CERTIFICATE");
    let key = blocks.iter().find(|block| block.label.ends_with("PRIVATE KEY"));
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return Err(failure::configuration(
            "the token of OPC UA is a certificate and its private key, both PEM; or use a user name and a password",
        ));
    };
    let certificate = X509::from_der(&certificate.der)
        .map_err(|_| failure::configuration("the certificate in the token cannot be read"))?;
    let key = PrivateKey::from_pem(pem::encode(&key.label, &key.der).as_bytes()).map_err(|_| {
        failure::configuration("the private key in the token cannot be read: it must be RSA, not encrypted")
    })?;
    Ok(IdentityToken::new_x509(certificate, key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::ConnectorKind;
    use serde_json::{Value, json};

    fn open(config: Value, host: &str, development: bool) -> Result<OpcUaConfig, String> {
        let settings = ConnectorSettings {
            kind: ConnectorKind::OpcUa,
            endpoint: format!("opc.tcp://{host}:4840/ua"),
            config,
            credential: None,
            tags: Vec::new(),
            development,
        };
        let common = Common::of(&settings).map_err(|error| error.to_string())?;
        OpcUaConfig::of(&settings, &common).map_err(|error| error.to_string())
    }

    #[test]
    fn secure_policies_are_the_default_and_can_be_chosen() {
        let config = open(json!({}), "10.0.0.7", false).unwrap();
        assert!(config.acceptable.iter().all(|security| security.is_secure()));
        assert_eq!(config.acceptable.len(), 3);
        for (name, policy) in [
            ("Basic256Sha256", SecurityPolicy::Basic256Sha256),
            ("Aes128_Sha256_RsaOaep", SecurityPolicy::Aes128Sha256RsaOaep),
            ("http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss", SecurityPolicy::Aes256Sha256RsaPss),
        ] {
            let config =
                open(json!({ "security_policy": name, "security_mode": "SignAndEncrypt" }), "h", false).unwrap();
            assert_eq!(
                config.acceptable.iter().map(|security| security.policy).collect::<Vec<_>>(),
                [policy],
                "{name}"
            );
        }
    }

    #[test]
    fn what_does_not_encrypt_is_for_loopback_in_development_alone() {
        for config in [
            json!({ "security_policy": "None", "security_mode": "None", "allow_insecure": true }),
            json!({ "security_policy": "Basic256Sha256", "security_mode": "Sign", "allow_insecure": true }),
            json!({ "security_mode": "None", "allow_insecure": true }),
        ] {
            assert!(open(config.clone(), "127.0.0.1", true).is_ok(), "{config}");
            for (host, development) in [("127.0.0.1", false), ("10.0.0.7", true)] {
                let error = open(config.clone(), host, development).err().unwrap();
                assert!(error.contains("signed and encrypted"), "{error}");
            }
        }
        let not_asked = json!({ "security_policy": "None" });
        assert!(open(not_asked, "127.0.0.1", true).is_err());
    }

    #[test]
    fn with_insecure_allowed_security_still_comes_first() {
        let config = open(json!({ "allow_insecure": true }), "localhost", true).unwrap();
        assert!(config.acceptable[0].is_secure());
        assert_eq!(config.acceptable.last().unwrap().policy, SecurityPolicy::None);
    }

    #[test]
    fn broken_policies_are_refused_by_name() {
        for policy in ["Basic128Rsa15", "Basic256", "Basic256Sha1"] {
            let error = open(json!({ "security_policy": policy }), "127.0.0.1", true).err().unwrap();
            assert!(error.contains(policy) && error.contains("Basic256Sha256"), "{error}");
        }
    }

    #[test]
    fn a_token_that_is_no_certificate_is_refused_without_repeating_it() {
        let token = ConnectorCredential::Token { token: "hunter2".into() };
        let error = identity(Some(&token)).err().unwrap().to_string();
        assert!(error.contains("PEM") && !error.contains("hunter2"));
    }
}
