//! From an address to a session: discover, verify the server's certificate, open the channel, sign in.

use super::calls;
use super::config::{OpcUaConfig, Security, may_protect_password};
use super::failure as opcua_failure;
use super::identity::{APPLICATION_NAME, APPLICATION_URI, Identity, OwnCertificate, application_description};
use super::session::{Session, SessionParts};
use super::transport::CheckedConnector;
use crate::config::{Common, Trust};
use crate::{failure, pem};
use domain::plant::ConnectorError;
use futures::future::BoxFuture;
use opcua::client::services::{ActivateSession, CreateSession};
use opcua::client::transport::TransportPollResult;
use opcua::client::{AsyncSecureChannel, Client, ClientBuilder, ClientConfig, SessionBuilder, UARequest as _};
use opcua::crypto::{CertificateStore, SecurityPolicy};
use opcua::sync::RwLock;
use opcua::types::{EndpointDescription, NodeId, UAString};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use url::Url;

/// Session timeout requested from the server, in milliseconds.
const SESSION_TIMEOUT_MS: u32 = 10 * 60 * 1_000;
/// Maximum size of a received message, in bytes.
const MAX_MESSAGE: usize = 8 * 1024 * 1024;
const MAX_CHUNKS: usize = 256;
/// Maximum length of a received array, string or byte string.
const MAX_ARRAY: usize = 20_000;
const MAX_STRING: usize = 256 * 1024;

/// Everything that a connection attempt needs.
pub struct Target {
    pub config: Arc<OpcUaConfig>,
    pub common: Arc<Common>,
    pub identity: Arc<Identity>,
    pub tasks: TaskTracker,
}

impl Target {
    /// Connects; the caller bounds the time.
    pub async fn connect(&self) -> Result<Session, ConnectorError> {
        let addresses = self.config.endpoint.addresses().await?;
        let own = self.identity.certificate().await?;
        let client_config = self.client_config(own);
        let client = Client::new(client_config.clone());
        let store = Arc::clone(client.certificate_store());
        let discovery = CheckedConnector::new(addresses.clone(), self.config.endpoint.url.to_string());
        let offered = calls::endpoints(client, discovery).await?;
        let chosen = choose(&offered, &self.config.acceptable)?;
        if chosen.security.policy != SecurityPolicy::None {
            verify(&chosen.endpoint, &self.common.trust)?;
        }
        // The library takes the first policy of a kind of credential, even one that it does not support.
        let mut tokens = chosen.endpoint.user_identity_tokens.clone().unwrap_or_default();
        tokens.retain(|token| may_protect_password(token.security_policy_uri.as_ref()));
        let endpoint = EndpointDescription {
            user_identity_tokens: Some(tokens),
            endpoint_url: UAString::from(reachable_url(&self.config.endpoint.url, &chosen.endpoint)),
            ..chosen.endpoint.clone()
        };
        let connector = CheckedConnector::new(addresses, endpoint.endpoint_url.to_string());
        let opened = self.open(&client_config, &store, endpoint, connector).await;
        let session = opened.map_err(|error| name_own_certificate(error, own))?;
        session.prepare(chosen.security).await
    }

    fn client_config(&self, own: &OwnCertificate) -> ClientConfig {
        // The library's list of trusted certificates is not used: `verify` checks the certificate before anything is
        // sent, and the session is opened only with the certificate that was verified. Nothing is retried here.
        let builder = ClientBuilder::new()
            .application_name(APPLICATION_NAME)
            .application_uri(APPLICATION_URI)
            .pki_dir(self.identity.peer_dir(self.config.endpoint.url.as_str()))
            .certificate_path(own.certificate_path.clone())
            .private_key_path(own.private_key_path.clone())
            .trust_server_certs(true)
            .verify_server_certs(false)
            .ignore_clock_skew(true)
            .session_retry_limit(0)
            .request_timeout(self.common.timeout)
            .session_timeout(SESSION_TIMEOUT_MS)
            .max_message_size(MAX_MESSAGE)
            .max_chunk_count(MAX_CHUNKS)
            .max_array_length(MAX_ARRAY)
            .max_string_length(MAX_STRING)
            .max_byte_string_length(MAX_STRING);
        builder.into_config()
    }

    async fn open(
        &self,
        config: &ClientConfig,
        store: &Arc<RwLock<CertificateStore>>,
        endpoint: EndpointDescription,
        connector: CheckedConnector,
    ) -> Result<Session, ConnectorError> {
        let built = SessionBuilder::new(config)
            .connect_to_endpoint_directly(endpoint.clone())
            .and_then(|builder| builder.build_channel(store.clone()));
        let channel = Arc::new(built.map_err(|error| opcua_failure::of(&error))?);
        let mut transport = calls::connect(Arc::clone(&channel), connector).await?;
        let pump =
            self.tasks.spawn(async move { while !matches!(transport.poll().await, TransportPollResult::Closed(_)) {} });
        let parts = SessionParts {
            channel,
            pump: AbortOnDropHandle::new(pump),
            tasks: self.tasks.clone(),
            timeout: self.common.timeout,
        };
        let token = self.sign_in(&parts.channel, store, &endpoint).await?;
        Ok(Session::new(parts, token))
    }

    /// Creates and activates a session, and returns its authentication token.
    async fn sign_in(
        &self,
        channel: &Arc<AsyncSecureChannel>,
        store: &Arc<RwLock<CertificateStore>>,
        endpoint: &EndpointDescription,
    ) -> Result<NodeId, ConnectorError> {
        let timeout = self.common.timeout;
        let token = create_session(Arc::clone(channel), Arc::clone(store), endpoint.clone(), timeout).await?;
        let own_key = store.read().read_own_pkey();
        let own_key = own_key.map_err(|_| failure::configuration("the platform's OPC UA key cannot be read"))?;
        let activate =
            ActivateSession::new_manual(endpoint.clone(), 0, timeout, token.clone(), channel.request_handle())
                .identity_token(self.config.identity.clone())
                .private_key(own_key);
        calls::send(activate, channel).await?;
        Ok(token)
    }
}

/// Creates a session, and returns its authentication token.
fn create_session(
    channel: Arc<AsyncSecureChannel>,
    store: Arc<RwLock<CertificateStore>>,
    endpoint: EndpointDescription,
    timeout: Duration,
) -> BoxFuture<'static, Result<NodeId, ConnectorError>> {
    // Boxed for the same reason as in `calls`; the request borrows store and endpoint.
    Box::pin(async move {
        let request =
            CreateSession::new_manual(&store, &endpoint, 0, timeout, NodeId::null(), channel.request_handle())
                .client_description(application_description())
                .endpoint_url(endpoint.endpoint_url.clone())
                .session_name(APPLICATION_NAME)
                .client_cert_from_store(&store)
                .session_timeout(f64::from(SESSION_TIMEOUT_MS));
        let created = request.send(&channel).await.map_err(|error| opcua_failure::of(&error))?;
        Ok(created.authentication_token)
    })
}

/// An endpoint that the server offers, with its security.
#[derive(Debug)]
struct Chosen {
    endpoint: EndpointDescription,
    security: Security,
}

/// The first acceptable kind of security that the server offers.
fn choose(offered: &[EndpointDescription], acceptable: &[Security]) -> Result<Chosen, ConnectorError> {
    let of = |endpoint: &EndpointDescription| Security {
        policy: SecurityPolicy::from_uri(endpoint.security_policy_uri.as_ref()),
        mode: endpoint.security_mode,
    };
    let is_binary = |endpoint: &&EndpointDescription| endpoint.endpoint_url.as_ref().starts_with("opc.tcp://");
    for security in acceptable {
        if let Some(endpoint) = offered.iter().filter(is_binary).find(|endpoint| of(endpoint) == *security) {
            return Ok(Chosen { endpoint: endpoint.clone(), security: *security });
        }
    }
    let mut names: Vec<_> = offered.iter().map(|endpoint| of(endpoint).name()).collect();
    names.sort_unstable();
    names.dedup();
    Err(failure::configuration(format!(
        "the server does not offer {}; it offers {}",
        acceptable.iter().map(|security| security.name()).collect::<Vec<_>>().join(" or "),
        if names.is_empty() { "nothing".to_owned() } else { failure::foreign(&names.join(", ")) }
    )))
}

/// Whether the server's certificate is the pinned or the trusted one. Authorities do not count: a
/// certificate of the plant's authority does not identify this server.
fn verify(endpoint: &EndpointDescription, trust: &Trust) -> Result<(), ConnectorError> {
    let chain = endpoint.server_certificate.value.as_deref().unwrap_or_default();
    if chain.is_empty() {
        return Err(failure::invalid_response("the server names no certificate"));
    }
    let certificate = pem::first_element(chain);
    let thumbprint = pem::thumbprint(certificate);
    let pinned = trust.certificates.iter().any(|pinned| pinned == certificate);
    if pinned || trust.thumbprint.as_deref() == Some(thumbprint.as_str()) {
        return Ok(());
    }
    Err(failure::untrusted(thumbprint))
}

/// The path that the server names, at the host and port that were configured: a server's own idea of its address is
/// often wrong, and the connector connects to no other host.
fn reachable_url(configured: &Url, offered: &EndpointDescription) -> String {
    let mut url = configured.clone();
    if let Ok(named) = Url::parse(offered.endpoint_url.as_ref()) {
        url.set_path(named.path());
    }
    url.to_string()
}

/// The error of a server that rejects the platform's certificate. It names the certificate, which the server must be
/// configured to trust.
fn name_own_certificate(error: ConnectorError, own: &OwnCertificate) -> ConnectorError {
    match error {
        ConnectorError::AccessDenied { detail } if detail.contains("the platform's certificate") => {
            failure::access_denied(format!(
                "{detail}: trust the one of {APPLICATION_URI} at the server (SHA-256 {})",
                own.thumbprint
            ))
        }
        error => error,
    }
}

/// Time limit for closing the session.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{ByteString, MessageSecurityMode};

    fn endpoint(policy: SecurityPolicy, mode: MessageSecurityMode) -> EndpointDescription {
        EndpointDescription {
            endpoint_url: "opc.tcp://plc7.internal:4841/ua/server".into(),
            security_policy_uri: policy.to_uri().into(),
            security_mode: mode,
            ..EndpointDescription::default()
        }
    }

    fn secure(policy: SecurityPolicy) -> Security {
        Security { policy, mode: MessageSecurityMode::SignAndEncrypt }
    }

    #[test]
    fn the_best_offered_security_is_chosen_and_nothing_below() {
        let offered = [
            endpoint(SecurityPolicy::None, MessageSecurityMode::None),
            EndpointDescription {
                security_policy_uri: "http://opcfoundation.org/UA/SecurityPolicy#ECC_nistP256".into(),
                ..endpoint(SecurityPolicy::None, MessageSecurityMode::SignAndEncrypt)
            },
            endpoint(SecurityPolicy::Basic256Sha256, MessageSecurityMode::Sign),
            endpoint(SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt),
        ];
        let acceptable = [secure(SecurityPolicy::Aes256Sha256RsaPss), secure(SecurityPolicy::Basic256Sha256)];
        assert_eq!(choose(&offered, &acceptable).unwrap().security, acceptable[1]);
        let error = choose(&offered, &acceptable[..1]).unwrap_err().to_string();
        assert!(error.contains("does not offer Aes256") && error.contains("None with None"), "{error}");
        assert!(error.contains("an unknown policy with SignAndEncrypt"), "{error}");
    }

    #[test]
    fn the_session_goes_to_the_configured_host() {
        let offered = endpoint(SecurityPolicy::None, MessageSecurityMode::None);
        let url = reachable_url(&Url::parse("opc.tcp://10.0.0.7:4840").unwrap(), &offered);
        assert_eq!(url, "opc.tcp://10.0.0.7:4840/ua/server");
    }

    #[test]
    fn only_the_pinned_or_trusted_certificate_passes() {
        let certificate = vec![0x30, 2, 1, 2];
        let chain = [certificate.clone(), vec![0x30, 1, 9]].concat();
        let offered =
            EndpointDescription { server_certificate: ByteString::from(chain), ..EndpointDescription::default() };
        let thumbprint = pem::thumbprint(&certificate);
        let untrusted = verify(&offered, &Trust::default()).unwrap_err();
        assert_eq!(untrusted, failure::untrusted(thumbprint.clone()));
        assert!(verify(&offered, &Trust { certificates: Vec::new(), thumbprint: Some(thumbprint) }).is_ok());
        assert!(verify(&offered, &Trust { certificates: vec![certificate], thumbprint: None }).is_ok());
        let other = Trust { certificates: vec![vec![0x30, 1, 9]], thumbprint: Some("00".repeat(32)) };
        assert!(verify(&offered, &other).is_err());
    }
}
