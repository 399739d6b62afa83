//! TLS with servers whose certificate the connector's configuration names: by an authority, by the certificate itself,
//! or by its SHA-256. Lists of public authorities are not used: a plant's servers are not in them.

use crate::config::Trust;
use crate::failure;
use crate::pem;
use domain::plant::ConnectorError;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, Mutex, PoisonError};

/// TLS of one connector.
#[derive(Clone)]
pub struct PinnedTls {
    /// The configuration for rustls.
    pub config: ClientConfig,
    refused: Arc<Mutex<Option<String>>>,
}

impl PinnedTls {
    pub fn new(trust: &Trust) -> Result<Self, ConnectorError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let refused = Arc::new(Mutex::new(None));
        let verifier = PinnedVerifier {
            authorities: authorities(trust, &provider)?,
            trust: trust.clone(),
            algorithms: provider.signature_verification_algorithms,
            refused: refused.clone(),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failure::configuration(format!("TLS cannot be set up: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        Ok(Self { config, refused })
    }

    /// The error about the certificate that was refused since the last call.
    pub fn take_refusal(&self) -> Option<ConnectorError> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take().map(failure::untrusted)
    }
}

/// Verifies by the configured certificates as authorities; `None` if there are none.
fn authorities(
    trust: &Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, ConnectorError> {
    let mut roots = RootCertStore::empty();
    for certificate in &trust.certificates {
        roots
            .add(CertificateDer::from(certificate.clone()))
            .map_err(|_| failure::configuration("a configured certificate cannot be read: is it X.509?"))?;
    }
    if roots.is_empty() {
        return Ok(None);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map(Some)
        .map_err(|error| failure::configuration(format!("the configured certificates cannot be used: {error}")))
}

#[derive(Debug)]
struct PinnedVerifier {
    authorities: Option<Arc<WebPkiServerVerifier>>,
    trust: Trust,
    algorithms: WebPkiSupportedAlgorithms,
    refused: Arc<Mutex<Option<String>>>,
}

impl PinnedVerifier {
    /// Whether the certificate itself is configured. Its issuer, name and validity do not matter: the administrator
    /// checked this very certificate.
    fn is_pinned(&self, certificate: &[u8], thumbprint: &str) -> bool {
        self.trust.thumbprint.as_deref() == Some(thumbprint)
            || self.trust.certificates.iter().any(|pinned| pinned == certificate)
    }
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let thumbprint = pem::thumbprint(end_entity);
        if self.is_pinned(end_entity, &thumbprint) {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = match &self.authorities {
            Some(webpki) => webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        if verified.is_err() {
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(thumbprint);
        }
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
