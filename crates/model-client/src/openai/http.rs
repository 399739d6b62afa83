//! One call to one server: address, key, limits, and what each failure means. Whether it is tried again, and where, is
//! the router's business.

use super::response::{ServerError, micros};
use super::stream::plain;
use crate::cache_salt::CacheSalts;
use crate::config::{BackendSettings, Dialect, KeyHeader, Timeouts};
use crate::error::SetupError;
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

/// Most bytes of an error's body that are looked at.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// Why a server is not available that is not there at all.
pub(crate) const NO_CONNECTION: &str = "no connection";

/// What is asked of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Path {
    /// An answer.
    Chat,
    /// Vectors.
    Embeddings,
    /// Passages in order.
    Rerank,
    /// The same, where servers have it that count reranking among their own endpoints rather than OpenAI's.
    BareRerank,
    /// Which models there are.
    Models,
    /// Whether the server is there.
    Health,
}

/// One OpenAI-compatible server.
pub(crate) struct Server {
    name: String,
    dialect: Dialect,
    client: Client,
    base: String,
    key: Option<SecretString>,
    key_header: KeyHeader,
    api_version: Option<String>,
    own_fallbacks: Classification,
    cache_salts: Option<CacheSalts>,
    /// It refused `max_tokens` once and wants the newer name.
    pub(crate) newer_limit: AtomicBool,
    /// It does not know the usual path for reranking.
    pub(crate) bare_rerank: AtomicBool,
    /// Time limits.
    pub(crate) timeouts: Timeouts,
}

/// For whom something is asked, as far as the server is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// On whose behalf.
    pub(crate) caller: ModelCaller,
    /// How it is classified.
    pub(crate) classification: Classification,
}

/// An answer that is none.
pub(crate) struct Failure {
    /// In the platform's words.
    pub(crate) error: ModelError,
    /// The answer's status, if there was an answer.
    pub(crate) status: Option<u16>,
    /// The parameter that the server objects to, if it names one.
    pub(crate) param: String,
}

impl Server {
    /// The server of `settings`.
    pub(crate) fn new(settings: &BackendSettings) -> Result<Self, SetupError> {
        let url = &settings.base_url;
        let builder = Client::builder().connect_timeout(settings.timeouts.connect).redirect(Policy::none());
        // A proxy from the environment is for the world outside, never for this machine.
        let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
        Ok(Self {
            name: settings.name.clone(),
            dialect: settings.dialect,
            client: builder.build().map_err(SetupError::Client)?,
            base: base(url)?,
            key: settings.api_key.clone(),
            key_header: settings.key_header,
            api_version: settings.api_version.clone().filter(|_| settings.dialect == Dialect::Azure),
            own_fallbacks: settings.own_fallbacks,
            cache_salts: None,
            newer_limit: AtomicBool::new(false),
            bare_rerank: AtomicBool::new(false),
            timeouts: settings.timeouts,
        })
    }

    /// With salts for its prefix cache, where its dialect has a word for them.
    pub(crate) fn salted(self, salts: Option<&CacheSalts>) -> Self {
        Self { cache_salts: salts.filter(|_| self.dialect == Dialect::Vllm).cloned(), ..self }
    }

    /// What keeps the caller's prompts apart from other tenants' in its prefix cache.
    pub(crate) fn cache_salt(&self, caller: &ModelCaller) -> Option<String> {
        self.cache_salts.as_ref().map(|salts| salts.of(caller.tenant))
    }

    /// The backend's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its dialect.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether a proxy must not fall back by itself for content so classified.
    pub(crate) fn forbids_fallbacks(&self, about: About) -> bool {
        self.dialect == Dialect::LiteLlm && about.classification > self.own_fallbacks.min(about.caller.cloud_limit)
    }

    /// The answer to `body`, once it is one of success.
    pub(crate) async fn post(
        &self,
        (path, model): (Path, &str),
        body: &impl Serialize,
        about: About,
        deadline: Instant,
    ) -> Result<Response, Failure> {
        let started = Instant::now();
        let body = serde_json::to_vec(body).map_err(|_| self.garbled("the request cannot be put as JSON"))?;
        let mut request = self.client.post(self.address(path, model)).header(CONTENT_TYPE, "application/json");
        if self.dialect == Dialect::LiteLlm {
            request = request.header("x-litellm-tags", format!("tenant:{}", about.caller.tenant));
        }
        let answer = timeout_at(deadline, self.send(request.body(body))).await;
        answer.unwrap_or_else(|_| Err(self.timed_out(started).into()))
    }

    /// What `path` shows, once it is an answer of success.
    pub(crate) async fn get(&self, path: Path, deadline: Instant) -> Result<Response, Failure> {
        let started = Instant::now();
        let answer = timeout_at(deadline, self.send(self.client.get(self.address(path, "")))).await;
        answer.unwrap_or_else(|_| Err(self.timed_out(started).into()))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let request = match (&self.key, self.key_header) {
            (Some(key), KeyHeader::Bearer) => request.bearer_auth(key.expose_secret()),
            (Some(key), KeyHeader::ApiKey) => request.header("api-key", key.expose_secret()),
            (None, _) => request,
        };
        let response = match request.send().await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.unavailable(NO_CONNECTION, None).into()),
            Err(_) => return Err(self.unavailable("the connection was cut before an answer", None).into()),
        };
        let (status, pause) = (response.status().as_u16(), retry_after(response.headers()));
        let body = read_limited(self, response, MOST_ERROR_BYTES).await.unwrap_or_default();
        let said = ServerError::from_answer(status, &body, pause);
        Err(Failure { status: Some(status), param: said.param.clone(), error: said.into_model_error(&self.name) })
    }

    /// Where `path` is for `model`.
    fn address(&self, path: Path, model: &str) -> String {
        if let Some(version) = &self.api_version {
            return by_deployment(&self.base, path, model, version);
        }
        let path = match (path, self.dialect) {
            (Path::Chat, _) => "/v1/chat/completions",
            (Path::Embeddings, _) => "/v1/embeddings",
            (Path::Rerank, _) => "/v1/rerank",
            (Path::BareRerank, _) => "/rerank",
            (Path::Health, Dialect::Vllm) => "/health",
            (Path::Health, Dialect::LiteLlm) => "/health/liveliness",
            (Path::Health, Dialect::Ollama) => "/api/version",
            (Path::Models | Path::Health, _) => "/v1/models",
        };
        format!("{}{path}", self.base)
    }

    pub(crate) fn unavailable(&self, reason: &str, retry_after: Option<Duration>) -> ModelError {
        ModelError::Unavailable { backend: self.name.clone(), reason: reason.to_owned(), retry_after }
    }

    pub(crate) fn garbled(&self, reason: &str) -> ModelError {
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

/// What an answer's headers say of how it came about; LiteLLM alone says anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// What it cost, where it says so.
    pub(crate) cost: MicroCost,
    /// It fell back by itself.
    pub(crate) fallback: bool,
    /// The model that served; the answer itself may have the proxy's name of it.
    pub(crate) model: Option<String>,
}

impl Told {
    /// By the headers of `response`.
    pub(crate) fn by(response: &Response) -> Self {
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
        Self {
            cost: micros(number("x-litellm-response-cost")),
            fallback: number("x-litellm-attempted-fallbacks") > 0.0,
            model: text("x-litellm-model-name").map(plain).filter(|name| !name.is_empty()),
        }
    }
}

/// The body, if it has at most `most` bytes.
pub(crate) async fn read_limited(server: &Server, mut response: Response, most: usize) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= most => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(server.garbled("the answer is too long")),
            Ok(None) => return Ok(body),
            Err(_) => {
                let reason = "the connection was cut".to_owned();
                return Err(ModelError::Interrupted { backend: server.name.clone(), reason });
            }
        }
    }
}

/// The address without its `/v1`, which each path has.
fn base(url: &Url) -> Result<String, SetupError> {
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

/// Azure's older addresses, in which the deployment is a part of the path.
fn by_deployment(base: &str, path: Path, model: &str, version: &str) -> String {
    let Ok(mut url) = Url::parse(base.strip_suffix("/openai").unwrap_or(base)) else { return base.to_owned() };
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("openai");
        match path {
            Path::Models | Path::Health => segments.push("models"),
            Path::Chat => segments.extend(["deployments", model, "chat", "completions"]),
            Path::Embeddings => segments.extend(["deployments", model, "embeddings"]),
            Path::Rerank | Path::BareRerank => segments.extend(["deployments", model, "rerank"]),
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

/// When to come back: seconds, or Azure's milliseconds. A date is passed over; the usual pause is near enough.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str, dialect: Dialect, api_version: Option<&str>, path: Path) -> String {
        let settings = BackendSettings {
            dialect,
            api_version: api_version.map(str::to_owned),
            ..BackendSettings::at("models", url.parse().unwrap())
        };
        Server::new(&settings).unwrap().address(path, "gpt 5")
    }

    #[test]
    fn the_address_may_have_its_v1_or_not() {
        for (given, wanted) in [
            ("http://litellm:4000", "http://litellm:4000"),
            ("http://litellm:4000/", "http://litellm:4000"),
            ("http://ollama:11434/v1", "http://ollama:11434"),
            ("http://ollama:11434/v1/", "http://ollama:11434"),
            ("https://plant.openai.azure.com/openai/v1/", "https://plant.openai.azure.com/openai"),
        ] {
            assert_eq!(base(&given.parse().unwrap()).unwrap(), wanted, "{given}");
        }
    }

    #[test]
    fn azure_has_addresses_by_model_name_or_by_deployment() {
        let resource = "https://plant.openai.azure.com";
        assert_eq!(
            address(&format!("{resource}/openai/v1/"), Dialect::Azure, None, Path::Chat),
            format!("{resource}/openai/v1/chat/completions")
        );
        assert_eq!(
            address(resource, Dialect::Azure, Some("2024-10-21"), Path::Chat),
            format!("{resource}/openai/deployments/gpt%205/chat/completions?api-version=2024-10-21")
        );
        assert_eq!(
            address(resource, Dialect::Azure, Some("2024-10-21"), Path::Health),
            format!("{resource}/openai/models?api-version=2024-10-21")
        );
    }

    #[test]
    fn each_server_is_asked_for_its_health_where_it_has_it() {
        for (dialect, wanted) in [
            (Dialect::Vllm, "/health"),
            (Dialect::LiteLlm, "/health/liveliness"),
            (Dialect::Ollama, "/api/version"),
            (Dialect::OpenAi, "/v1/models"),
        ] {
            assert_eq!(address("http://m:1/v1", dialect, None, Path::Health), format!("http://m:1{wanted}"));
        }
    }

    #[test]
    fn an_address_that_is_not_http_is_refused_without_its_password() {
        let error = base(&"ftp://user:secret@models/v1".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("ftp://models") && !error.contains("secret"), "{error}");
    }
}
