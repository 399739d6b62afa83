//! The HTTP interface of a maintenance system: its address, its credential, and what its answers mean.

use super::answer::{Answer, redact, system_words};
use super::systems::RemoteAccess;
use crate::egress::{EgressError, read_bounded};
use crate::write::error::WriteError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::ids::TenantId;
use domain::maintenance::{MaintenanceAuth, MaintenanceSettings};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder};
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde_json::{Value, json};
use url::Url;

/// Maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// How the secret is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum CredentialHeader {
    /// As a bearer token.
    Bearer,
    /// As user and password.
    Basic,
    /// In a header of this name.
    Named(&'static str),
}

impl From<MaintenanceAuth> for CredentialHeader {
    fn from(auth: MaintenanceAuth) -> Self {
        match auth {
            MaintenanceAuth::Bearer => Self::Bearer,
            MaintenanceAuth::Basic => Self::Basic,
        }
    }
}

/// A maintenance system's interface.
pub(super) struct Endpoint {
    /// Address of the interface.
    base: Url,
    tenant: TenantId,
    sealed_secret: Option<Vec<u8>>,
    credential: CredentialHeader,
    access: RemoteAccess,
}

impl Endpoint {
    /// The interface at `base`, with the secret of `settings`.
    pub(super) fn new(
        base: Url,
        tenant: TenantId,
        settings: &MaintenanceSettings,
        credential: CredentialHeader,
        access: RemoteAccess,
    ) -> Self {
        Self { base, tenant, sealed_secret: settings.sealed_secret.clone(), credential, access }
    }

    /// The address below the interface's own.
    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{path}", self.base.path().trim_end_matches('/')));
        url
    }

    /// Host, method and path of a request that creates an order.
    pub(super) fn describe(&self, path: &str) -> Value {
        let url = self.url(path);
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        json!({ "scheme": url.scheme(), "host": host, "method": "POST", "path": url.path() })
    }

    /// A client that connects to the system's host alone.
    pub(super) async fn client(&self) -> Result<Client, WriteError> {
        self.access.egress.checked_client(&self.base).await.map_err(|error| match error {
            EgressError::Unresolved { .. } => WriteError::Unreachable { detail: error.to_string() },
            other => WriteError::Misconfigured { detail: other.to_string() },
        })
    }

    /// A request with the system's credential.
    pub(super) fn request(&self, client: &Client, method: Method, url: Url) -> Result<RequestBuilder, WriteError> {
        let request = client.request(method, url).header(reqwest::header::ACCEPT, "application/json");
        let Some(secret) = self.secret()? else { return Ok(request) };
        let (name, value) = self.credential.header(&secret)?;
        Ok(request.header(name, value))
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// [`WriteError::Unreachable`] if certainly nothing was received, [`WriteError::Unclear`] without an answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Answer, WriteError> {
        let unclear = |detail: &str| WriteError::Unclear { detail: detail.to_owned(), is_answered: false };
        let response = request.send().await.map_err(|error| {
            if error.is_connect() {
                return WriteError::Unreachable { detail: "the connection failed".to_owned() };
            }
            unclear(if error.is_timeout() { "it did not answer in time" } else { "the connection broke off" })
        })?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_bounded(response, MAX_ANSWER_BYTES)
            .await
            .map_err(|_| unclear("its answer broke off, or is too large"))?;
        Ok(Answer { status, headers, body })
    }

    /// What an answer without success means for a request that creates an order.
    pub(super) fn failure(&self, answer: &Answer, words: Option<&str>) -> WriteError {
        let status = answer.status;
        let words = words.map(|words| format!(": {}", system_words(&self.without_secret(words)))).unwrap_or_default();
        let detail = format!("it answered {}{words}", status.as_u16());
        match status.as_u16() {
            429 => WriteError::Unreachable { detail },
            408 | 425 => WriteError::Unclear { detail, is_answered: true },
            200..=299 => {
                let detail = format!("{detail}, without a number of the order");
                WriteError::Unclear { detail, is_answered: false }
            }
            300..=399 => WriteError::Refused { detail: format!("{detail}; redirects are not followed") },
            400..=499 => WriteError::Refused { detail },
            _ => WriteError::Unclear { detail, is_answered: true },
        }
    }

    /// A system may repeat in an error what it was sent, encoded or not.
    fn without_secret(&self, words: &str) -> String {
        let Ok(Some(secret)) = self.secret() else { return words.to_owned() };
        let words = redact(words, secret.expose_secret());
        redact(&words, &STANDARD.encode(secret.expose_secret()))
    }

    fn secret(&self) -> Result<Option<SecretString>, WriteError> {
        let Some(sealed) = &self.sealed_secret else { return Ok(None) };
        let misconfigured = |detail: String| WriteError::Misconfigured { detail };
        let opened: SecretSlice<u8> = self
            .access
            .secrets
            .open(self.tenant, MaintenanceSettings::SECRET_PURPOSE, sealed)
            .map_err(|error| misconfigured(error.to_string()))?;
        let text = std::str::from_utf8(opened.expose_secret())
            .map_err(|_| misconfigured("the stored secret is not text".to_owned()))?;
        Ok(Some(SecretString::from(text)))
    }
}

impl CredentialHeader {
    fn header(self, secret: &SecretString) -> Result<(HeaderName, HeaderValue), WriteError> {
        let secret = secret.expose_secret();
        let (name, value) = match self {
            Self::Bearer => (AUTHORIZATION, format!("Bearer {secret}")),
            Self::Basic => (AUTHORIZATION, format!("Basic {}", STANDARD.encode(secret))),
            Self::Named(name) => (HeaderName::from_static(name), secret.to_owned()),
        };
        let mut value = HeaderValue::from_str(&value).map_err(|_| WriteError::Misconfigured {
            detail: "the secret has characters that cannot be sent".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok((name, value))
    }
}
