//! `models.backends`, `models.tiers`, `models.queue` and `models.breaker`: several model servers, and which of their
//! models serve which tier.

use super::schema::{one_of, secret};
use anyhow::{Context as _, Result, bail};
use domain::model_call::{MicroCost, Price};
use domain::role::Classification;
use model_client::config::{
    BackendSettings, BreakerSettings, Dialect, KeyHeader, Location, QueueSettings, RouteSettings, Timeouts,
    TokenizerSettings,
};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A model server and how to reach it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Kind of server; `openai` stands for any OpenAI-compatible one.
    #[serde(default)]
    #[schemars(schema_with = "one_of::<Dialect>", extend("default" = "openai"))]
    pub dialect: Dialect,
    /// URL of the server, with or without the trailing `/v1`.
    pub base_url: String,
    /// API key of the server.
    #[serde(default)]
    #[schemars(schema_with = "secret")]
    pub api_key: Option<SecretString>,
    /// File that contains the API key.
    pub api_key_file: Option<PathBuf>,
    /// Header that carries the API key.
    #[serde(default)]
    #[schemars(schema_with = "one_of::<KeyHeader>", extend("x-default" = "`bearer`; Azure `api-key`"))]
    pub key_header: Option<KeyHeader>,
    /// Azure's `api-version`; setting it selects Azure's older per-deployment URLs.
    pub api_version: Option<String>,
    /// Where the server runs. Each tenant's settings limit what is sent to the cloud.
    #[serde(default)]
    #[schemars(schema_with = "one_of::<Location>", extend("x-default" = "`on-premises`; OpenAI and Azure `cloud`"))]
    pub location: Option<Location>,
    /// Highest classification of content that is sent to the server.
    #[serde(default)]
    #[schemars(schema_with = "one_of::<Classification>", extend("x-default" = "`restricted`; in the cloud `internal`"))]
    pub highest_classification: Option<Classification>,
    /// Highest classification for which a LiteLLM proxy may use its own fallbacks.
    #[serde(default = "default_max_proxy_fallback_classification", rename = "own_fallbacks")]
    #[schemars(schema_with = "one_of::<Classification>", extend("default" = "internal"))]
    pub max_proxy_fallback_classification: Classification,
    /// Maximum number of concurrent requests; others wait.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Maximum number of milliseconds for connecting to the server.
    #[schemars(extend("x-default" = "`3000`"))]
    pub connect_timeout_ms: Option<u64>,
    /// Maximum number of seconds until the first token of an answer.
    #[schemars(extend("x-default" = "`60`"))]
    pub first_token_timeout_s: Option<u64>,
    /// Maximum number of seconds between two chunks of a streamed answer.
    #[schemars(extend("x-default" = "`30`"))]
    pub between_tokens_timeout_s: Option<u64>,
    /// Maximum number of seconds for a whole answer.
    #[schemars(extend("x-default" = "`600`"))]
    pub total_timeout_s: Option<u64>,
}

/// A model that serves a tier.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name of the backend.
    pub backend: String,
    /// Name of the model at the backend.
    pub model: String,
    /// Routes with lower numbers are tried first; routes with the same number share the requests.
    #[schemars(extend("x-default" = "position in the list"))]
    pub priority: Option<u32>,
    /// Relative share of the requests among routes of the same priority.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 1))]
    pub weight: u32,
    /// Tokenizer of a chat model, to fill its context exactly: `cl100k_base`, `o200k_base`, or the path of a
    /// `tokenizer.json`. Without it, the name of a model of OpenAI's tells; the tokens of other models are estimated.
    pub tokenizer: Option<String>,
    /// Price of a million input tokens. All prices must be in the same currency.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub input_price: f64,
    /// Price of a million output tokens.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub output_price: f64,
}

/// The routes of each tier.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tiers {
    /// Routes for everyday answers.
    pub fast: Vec<Route>,
    /// Routes for difficult questions.
    pub heavy: Vec<Route>,
    /// Routes for embeddings; all of them must be the same model.
    pub embed: Vec<Route>,
    /// Routes for reranking.
    pub rerank: Vec<Route>,
}

/// Queue of requests that wait for a model server.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Maximum number of waiting requests of one tenant; further ones are rejected immediately.
    pub per_tenant: usize,
    /// Milliseconds that a request waits before it is rejected.
    pub wait_ms: u64,
}

/// Circuit breaker of each model server.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Number of consecutive failures that open the breaker.
    #[serde(rename = "failures")]
    pub failure_threshold: u32,
    /// Seconds that the breaker stays open the first time; doubled each time the half-open trial request fails.
    #[serde(rename = "pause_s")]
    pub open_s: u64,
    /// Maximum number of seconds that the breaker stays open.
    #[serde(rename = "longest_pause_s")]
    pub max_open_s: u64,
    /// Interval between health checks, in seconds.
    #[serde(rename = "probe_every_s")]
    pub health_check_interval_s: u64,
}

fn default_max_proxy_fallback_classification() -> Classification {
    Classification::Internal
}

fn default_concurrency() -> usize {
    64
}

fn default_weight() -> u32 {
    1
}

impl Default for Queue {
    fn default() -> Self {
        let QueueSettings { max_waiting_per_tenant: per_tenant, max_wait: wait } = QueueSettings::default();
        Self { per_tenant, wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl From<Queue> for QueueSettings {
    fn from(queue: Queue) -> Self {
        Self { max_waiting_per_tenant: queue.per_tenant, max_wait: Duration::from_millis(queue.wait_ms) }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        let breaker = BreakerSettings::default();
        Self {
            failure_threshold: breaker.failure_threshold,
            open_s: breaker.initial_pause.as_secs(),
            max_open_s: breaker.max_pause.as_secs(),
            health_check_interval_s: breaker.health_check_interval.as_secs(),
        }
    }
}

impl From<Breaker> for BreakerSettings {
    fn from(breaker: Breaker) -> Self {
        Self {
            failure_threshold: breaker.failure_threshold.max(1),
            initial_pause: Duration::from_secs(breaker.open_s),
            max_pause: Duration::from_secs(breaker.max_open_s),
            health_check_interval: Duration::from_secs(breaker.health_check_interval_s.max(1)),
        }
    }
}

impl Backend {
    /// Settings of the model client for this backend. `section` is the path of the backend's settings, for error
    /// messages.
    ///
    /// # Errors
    /// If a setting is not valid; the message names the setting.
    pub(super) fn settings(&self, name: &str, section: &str) -> Result<BackendSettings> {
        let url: Url = self.base_url.parse().with_context(|| format!("{section}.base_url is not a valid URL"))?;
        if self.concurrency == 0 {
            bail!("{section}.concurrency must be at least 1");
        }
        let is_azure = self.dialect == Dialect::Azure;
        let is_cloud = is_azure || is_known_cloud(&url);
        let location = self.location.unwrap_or(if is_cloud { Location::Cloud } else { Location::OnPremises });
        let classification = self.highest_classification.unwrap_or(match location {
            Location::OnPremises => Classification::Restricted,
            Location::Cloud => Classification::Internal,
        });
        Ok(BackendSettings {
            dialect: self.dialect,
            api_key: self.read_api_key().with_context(|| format!("{section}.api_key_file cannot be read"))?,
            key_header: self.key_header.unwrap_or(if is_azure { KeyHeader::ApiKey } else { KeyHeader::Bearer }),
            api_version: self.api_version.clone(),
            location,
            highest_classification: classification,
            max_proxy_fallback_classification: self.max_proxy_fallback_classification,
            concurrency: self.concurrency,
            timeouts: self.timeouts(),
            ..BackendSettings::new(name, url)
        })
    }

    fn read_api_key(&self) -> std::io::Result<Option<SecretString>> {
        let Some(path) = self.api_key_file.as_ref().filter(|_| self.api_key.is_none()) else {
            return Ok(self.api_key.clone());
        };
        Ok(Some(SecretString::from(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']))))
    }

    fn timeouts(&self) -> Timeouts {
        let default = Timeouts::default();
        let seconds = |configured: Option<u64>, default| configured.map_or(default, Duration::from_secs);
        Timeouts {
            connect: self.connect_timeout_ms.map_or(default.connect, Duration::from_millis),
            first_token: seconds(self.first_token_timeout_s, default.first_token),
            between_tokens: seconds(self.between_tokens_timeout_s, default.between_tokens),
            total: seconds(self.total_timeout_s, default.total),
        }
    }
}

/// Whether the host belongs to OpenAI or Azure, which are never on premises.
fn is_known_cloud(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    ["openai.com", "azure.com", "azure.us", "azure.cn"]
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('.')))
}

/// Converts the routes of a tier to the model client's settings. The default priority is the position, from 1.
pub(super) fn route_settings(routes: &[Route]) -> Vec<RouteSettings> {
    let route = |(index, route): (usize, &Route)| RouteSettings {
        backend: route.backend.clone(),
        model: route.model.clone(),
        priority: route.priority.unwrap_or(u32::try_from(index + 1).unwrap_or(u32::MAX)),
        weight: route.weight,
        tokenizer: route.tokenizer.as_deref().map(TokenizerSettings::from),
        price: Price { input: micro_cost(route.input_price), output: micro_cost(route.output_price) },
    };
    routes.iter().enumerate().map(route).collect()
}

/// Converts a price to millionths. The schema limits prices to a million, so the result fits; it is rounded to the
/// nearest millionth.
fn micro_cost(price: f64) -> MicroCost {
    MicroCost((price * 1e6).round() as u64)
}
