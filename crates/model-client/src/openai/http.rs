//! The HTTP client for one server: URLs, authentication, limits, and classification of failures. The router does
//! retries and fallbacks.

use super::response::{ServerError, to_micros};
use super::stream::sanitized_name;
use super::trace::with_trace_context;
use crate::cache_salt::CacheSalts;
use crate::config::{BackendSettings, Dialect, KeyHeader, Timeouts};
use crate::error::SetupError;
use domain::ids::TenantId;
use domain::model::ModelError;
use domain::model_call::{MicroCost, ModelCaller};
use domain::role::Classification;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

/// Maximum size of an error response, in bytes.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The reason in [`ModelError::Unavailable`] if no connection could be established.
pub(crate) const NO_CONNECTION: &str = "no connection";

/// An endpoint of an OpenAI-compatible server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Endpoint {
    /// Chat completions: `POST /v1/chat/completions`.
    Chat,
    /// Embeddings: `POST /v1/embeddings`.
    Embeddings,
    /// Reranking of passages: `POST /v1/rerank`.
    Rerank,
    /// `POST /rerank`, for servers that offer reranking outside of `/v1`.
    UnversionedRerank,
    /// `GET /v1/models`: the list of models.
    Models,
    /// The health check; its path depends on the dialect.
    Health,
}

/// Client of one OpenAI-compatible server.
pub(crate) struct OpenAiClient {
    name: String,
    dialect: Dialect,
    client: Client,
    base_url: String,
    server_address: String,
    server_port: Option<u16>,
    api_key: Option<SecretString>,
    key_header: KeyHeader,
    api_version: Option<String>,
    max_proxy_fallback: Classification,
    cache_salts: Option<CacheSalts>,
    /// Set once the server has rejected `max_tokens`, because it expects `max_completion_tokens`.
    pub(crate) wants_max_completion_tokens: AtomicBool,
    /// Set once the server has turned out to have `/rerank` but not `/v1/rerank`.
    pub(crate) has_only_unversioned_rerank: AtomicBool,
    /// Connect and response timeouts.
    pub(crate) timeouts: Timeouts,
}

/// Who sends a request, and how its content is classified; decides which backends may get it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestContext {
    /// Tenant on whose behalf the request is sent.
    pub(crate) tenant: TenantId,
    /// The highest classification of the tenant's content that may be sent to a backend outside the site.
    pub(crate) max_cloud_classification: Classification,
    /// Classification of the content.
    pub(crate) classification: Classification,
}

impl RequestContext {
    pub(crate) fn new(caller: &ModelCaller, classification: Classification) -> Self {
        Self { tenant: caller.tenant, max_cloud_classification: caller.max_cloud_classification, classification }
    }
}

/// A failed call.
pub(crate) struct Failure {
    /// The classified error.
    pub(crate) error: ModelError,
    /// HTTP status, if there was a response.
    pub(crate) status: Option<u16>,
    /// The request parameter that the server rejected; empty if it named none.
    pub(crate) param: String,
}

impl OpenAiClient {
    /// Creates a client for the backend; does not connect yet.
    pub(crate) fn new(settings: &BackendSettings) -> Result<Self, SetupError> {
        let url = &settings.base_url;
        let builder = Client::builder().connect_timeout(settings.timeouts.connect).redirect(Policy::none());
        // For servers on this machine, ignore the proxy that the environment variables configure.
        let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
        Ok(Self {
            name: settings.name.clone(),
            dialect: settings.dialect,
            client: builder.build().map_err(SetupError::Client)?,
            base_url: base_url(url)?,
            server_address: url.host_str().unwrap_or_default().to_owned(),
            server_port: url.port_or_known_default(),
            api_key: settings.api_key.clone(),
            key_header: settings.key_header,
            api_version: settings.api_version.clone().filter(|_| settings.dialect == Dialect::Azure),
            max_proxy_fallback: settings.max_proxy_fallback_classification,
            cache_salts: None,
            wants_max_completion_tokens: AtomicBool::new(false),
            has_only_unversioned_rerank: AtomicBool::new(false),
            timeouts: settings.timeouts,
        })
    }

    /// Enables prefix cache salts if the dialect supports them (vLLM only).
    pub(crate) fn with_cache_salts(self, salts: Option<&CacheSalts>) -> Self {
        Self { cache_salts: salts.filter(|_| self.dialect == Dialect::Vllm).cloned(), ..self }
    }

    /// The prefix cache salt of the caller's tenant; `None` if salts are not enabled.
    pub(crate) fn cache_salt(&self, tenant: TenantId) -> Option<String> {
        self.cache_salts.as_ref().map(|salts| salts.for_tenant(tenant))
    }

    /// The backend's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The server's host name or address, as configured.
    pub(crate) fn server_address(&self) -> &str {
        &self.server_address
    }

    /// The server's port, as configured or of the URL's scheme.
    pub(crate) fn server_port(&self) -> Option<u16> {
        self.server_port
    }

    /// The server's dialect.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the request must tell a LiteLLM proxy not to use its own fallbacks.
    pub(crate) fn forbids_fallbacks(&self, context: RequestContext) -> bool {
        let limit = self.max_proxy_fallback.min(context.max_cloud_classification);
        self.dialect == Dialect::LiteLlm && context.classification > limit
    }

    /// Sends `body` as JSON. Returns the response if its status is 2xx, before the body is read.
    pub(crate) async fn post(
        &self,
        endpoint: Endpoint,
        model: &str,
        body: &impl Serialize,
        context: RequestContext,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let started = Instant::now();
        let body = serde_json::to_vec(body).map_err(|_| self.invalid_response("the request cannot be serialized"))?;
        let mut request = self.client.post(self.url(endpoint, model)).header(CONTENT_TYPE, "application/json");
        if self.dialect == Dialect::LiteLlm {
            request = request.header("x-litellm-tags", format!("tenant:{}", context.tenant));
        }
        let response = timeout_at(deadline, self.send(request.body(body))).await;
        response.unwrap_or_else(|_| Err(self.timed_out(started).into()))
    }

    /// Sends a GET request to an endpoint that needs no model. Returns the response if its status is 2xx.
    pub(crate) async fn get(&self, endpoint: Endpoint, deadline: Instant) -> Result<Response, Failure> {
        let started = Instant::now();
        let response = timeout_at(deadline, self.send(self.client.get(self.url(endpoint, "")))).await;
        response.unwrap_or_else(|_| Err(self.timed_out(started).into()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = match (&self.api_key, self.key_header) {
            (Some(key), KeyHeader::Bearer) => request.bearer_auth(key.expose_secret()),
            (Some(key), KeyHeader::ApiKey) => request.header("api-key", key.expose_secret()),
            (None, _) => request,
        };
        let response = match with_trace_context(request).send().await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.unavailable(NO_CONNECTION, None).into()),
            Err(_) => return Err(self.unavailable("the connection was closed before a response", None).into()),
        };
        let (status, retry_after) = (response.status().as_u16(), retry_after(response.headers()));
        let body = read_limited(self, response, MAX_ERROR_BYTES).await.unwrap_or_default();
        let error = ServerError::from_response(status, &body, retry_after);
        Err(Failure { status: Some(status), param: error.param.clone(), error: error.into_model_error(&self.name) })
    }

    /// URL of `endpoint`; `model` is used only in Azure's URLs that contain the deployment.
    fn url(&self, endpoint: Endpoint, model: &str) -> String {
        if let Some(version) = &self.api_version {
            return deployment_url(&self.base_url, endpoint, model, version);
        }
        let path = match (endpoint, self.dialect) {
            (Endpoint::Chat, _) => "/v1/chat/completions",
            (Endpoint::Embeddings, _) => "/v1/embeddings",
            (Endpoint::Rerank, _) => "/v1/rerank",
            (Endpoint::UnversionedRerank, _) => "/rerank",
            (Endpoint::Health, Dialect::Vllm) => "/health",
            (Endpoint::Health, Dialect::LiteLlm) => "/health/liveliness",
            (Endpoint::Health, Dialect::Ollama) => "/api/version",
            (Endpoint::Models | Endpoint::Health, _) => "/v1/models",
        };
        format!("{}{path}", self.base_url)
    }

    pub(crate) fn unavailable(&self, reason: &str, retry_after: Option<Duration>) -> ModelError {
        ModelError::Unavailable { backend: self.name.clone(), reason: reason.to_owned(), retry_after }
    }

    pub(crate) fn invalid_response(&self, reason: &str) -> ModelError {
        ModelError::InvalidResponse { backend: self.name.clone(), reason: reason.to_owned() }
    }

    pub(crate) fn timed_out(&self, since: Instant) -> ModelError {
        ModelError::Timeout { backend: self.name.clone(), waited_s: since.elapsed().as_secs() }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self { error, status: None, param: String::new() }
    }
}

/// What LiteLLM reports in response headers; default values for other servers.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxyHeaders {
    /// Cost of the call; 0 if not reported.
    pub(crate) cost: MicroCost,
    /// Whether the proxy used one of its own fallbacks.
    pub(crate) fallback: bool,
    /// The model that served the request; the body may contain the proxy's alias instead.
    pub(crate) model: Option<String>,
}

impl ProxyHeaders {
    pub(crate) fn from_response(response: &Response) -> Self {
        let header_text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let header_number = |name: &str| header_text(name).and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
        Self {
            cost: to_micros(header_number("x-litellm-response-cost")),
            fallback: header_number("x-litellm-attempted-fallbacks") > 0.0,
            model: header_text("x-litellm-model-name").map(sanitized_name).filter(|name| !name.is_empty()),
        }
    }
}

/// Reads the body; fails if it is longer than `max_bytes`.
pub(crate) async fn read_limited(
    client: &OpenAiClient,
    mut response: Response,
    max_bytes: usize,
) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= max_bytes => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(client.invalid_response("the response is too long")),
            Ok(None) => return Ok(body),
            Err(_) => {
                let reason = "the connection was closed early".to_owned();
                return Err(ModelError::Interrupted { backend: client.name.clone(), reason });
            }
        }
    }
}

/// The base URL without a trailing `/v1`, because the endpoint paths contain it.
fn base_url(url: &Url) -> Result<String, SetupError> {
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        let address = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        return Err(SetupError::Address { address });
    }
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let text = url.as_str().trim_end_matches('/');
    Ok(text.strip_suffix("/v1").unwrap_or(text).to_owned())
}

/// Azure's older form of URLs, with the deployment in the path and the API version in the query.
fn deployment_url(base: &str, endpoint: Endpoint, model: &str, version: &str) -> String {
    let Ok(mut url) = Url::parse(base.strip_suffix("/openai").unwrap_or(base)) else { return base.to_owned() };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("openai");
        match endpoint {
            Endpoint::Models | Endpoint::Health => segments.push("models"),
            Endpoint::Chat => segments.extend(["deployments", model, "chat", "completions"]),
            Endpoint::Embeddings => segments.extend(["deployments", model, "embeddings"]),
            Endpoint::Rerank | Endpoint::UnversionedRerank => segments.extend(["deployments", model, "rerank"]),
        };
    }
    url.query_pairs_mut().append_pair("api-version", version);
    url.into()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The delay from `Retry-After` (seconds) or Azure's `retry-after-ms`. HTTP dates are ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let header_number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds =
        header_number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| header_number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(base: &str, dialect: Dialect, api_version: Option<&str>, endpoint: Endpoint) -> String {
        let settings = BackendSettings {
            dialect,
            api_version: api_version.map(str::to_owned),
            ..BackendSettings::new("models", base.parse().unwrap())
        };
        OpenAiClient::new(&settings).unwrap().url(endpoint, "gpt 5")
    }

    #[test]
    fn the_base_url_may_end_with_v1() {
        for (configured, expected) in [
            ("http://litellm:4000", "http://litellm:4000"),
            ("http://litellm:4000/", "http://litellm:4000"),
            ("http://ollama:11434/v1", "http://ollama:11434"),
            ("http://ollama:11434/v1/", "http://ollama:11434"),
            ("https://plant.openai.azure.com/openai/v1/", "https://plant.openai.azure.com/openai"),
        ] {
            assert_eq!(base_url(&configured.parse().unwrap()).unwrap(), expected, "{configured}");
        }
    }

    #[test]
    fn azure_urls_contain_the_deployment_only_with_an_api_version() {
        let resource = "https://plant.openai.azure.com";
        assert_eq!(
            url(&format!("{resource}/openai/v1/"), Dialect::Azure, None, Endpoint::Chat),
            format!("{resource}/openai/v1/chat/completions")
        );
        assert_eq!(
            url(resource, Dialect::Azure, Some("2024-10-21"), Endpoint::Chat),
            format!("{resource}/openai/deployments/gpt%205/chat/completions?api-version=2024-10-21")
        );
        assert_eq!(
            url(resource, Dialect::Azure, Some("2024-10-21"), Endpoint::Health),
            format!("{resource}/openai/models?api-version=2024-10-21")
        );
    }

    #[test]
    fn each_dialect_has_its_health_endpoint() {
        for (dialect, expected) in [
            (Dialect::Vllm, "/health"),
            (Dialect::LiteLlm, "/health/liveliness"),
            (Dialect::Ollama, "/api/version"),
            (Dialect::OpenAi, "/v1/models"),
        ] {
            assert_eq!(url("http://m:1/v1", dialect, None, Endpoint::Health), format!("http://m:1{expected}"));
        }
    }

    #[test]
    fn a_url_that_is_not_http_is_refused_without_showing_its_password() {
        let error = base_url(&"ftp://user:secret@models/v1".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("ftp://models") && !error.contains("secret"), "{error}");
    }
}
