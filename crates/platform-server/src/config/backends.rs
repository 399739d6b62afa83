//! `models.backends`, `models.tiers`, `models.queue` and `models.breaker`: several model servers, and which of their
//! models serve what.

use super::schema::{secret, words};
use anyhow::{Context as _, Result, bail};
use domain::model_call::{MicroCost, Price};
use domain::role::Classification;
use model_client::config::{
    BackendSettings, BreakerSettings, Dialect, KeyHeader, Location, QueueSettings, RouteSettings, Timeouts,
};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A model server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Which server it is; `openai` is any OpenAI-compatible one.
    #[serde(default)]
    #[schemars(schema_with = "words::<Dialect>", extend("default" = "openai"))]
    pub dialect: Dialect,
    /// Its URL, with or without the trailing `/v1`.
    pub base_url: String,
    /// Its API key.
    #[serde(default)]
    #[schemars(schema_with = "secret")]
    pub api_key: Option<SecretString>,
    /// A file that holds the API key.
    pub api_key_file: Option<PathBuf>,
    /// The header that carries the API key.
    #[serde(default)]
    #[schemars(schema_with = "words::<KeyHeader>", extend("x-default" = "`bearer`; Azure `api-key`"))]
    pub key_header: Option<KeyHeader>,
    /// Azure's `api-version`: selects its older URLs by deployment.
    pub api_version: Option<String>,
    /// Where it runs. What is sent to the cloud is limited by the tenant's settings.
    #[serde(default)]
    #[schemars(schema_with = "words::<Location>", extend("x-default" = "`on-premises`; OpenAI and Azure `cloud`"))]
    pub location: Option<Location>,
    /// Highest classification that is sent to it.
    #[serde(default)]
    #[schemars(schema_with = "words::<Classification>", extend("x-default" = "`restricted`; in the cloud `internal`"))]
    pub highest_classification: Option<Classification>,
    /// Highest classification for which a LiteLLM proxy may use its own fallbacks.
    #[serde(default = "internal")]
    #[schemars(schema_with = "words::<Classification>", extend("default" = "internal"))]
    pub own_fallbacks: Classification,
    /// Maximum number of concurrent requests; others wait.
    #[serde(default = "concurrency")]
    #[schemars(range(min = 1))]
    pub concurrency: usize,
    /// Milliseconds to connect.
    #[schemars(extend("x-default" = "`3000`"))]
    pub connect_timeout_ms: Option<u64>,
    /// Seconds until the first token of an answer.
    #[schemars(extend("x-default" = "`60`"))]
    pub first_token_timeout_s: Option<u64>,
    /// Seconds between two pieces of an answer.
    #[schemars(extend("x-default" = "`30`"))]
    pub between_tokens_timeout_s: Option<u64>,
    /// Seconds for a whole answer.
    #[schemars(extend("x-default" = "`600`"))]
    pub total_timeout_s: Option<u64>,
}

/// A model that serves a tier.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name of the backend.
    pub backend: String,
    /// The backend's name of the model.
    pub model: String,
    /// Lower priorities are tried first; routes of the same priority share the requests.
    #[schemars(extend("x-default" = "position in the list"))]
    pub priority: Option<u32>,
    /// Share of the requests among routes of the same priority.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub weight: u32,
    /// Price of a million input tokens, in the currency of all prices.
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

/// Requests that wait for a model server.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Maximum number of waiting requests of one tenant; further ones are refused at once.
    pub per_tenant: usize,
    /// Milliseconds that a request waits before it is refused.
    pub wait_ms: u64,
}

/// Circuit breaker of each model server.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Number of consecutive failures that open the breaker.
    pub failures: u32,
    /// Seconds that it stays open the first time; doubled each time that the probe afterwards fails.
    pub pause_s: u64,
    /// Maximum number of seconds that it stays open.
    pub longest_pause_s: u64,
    /// Seconds between two health probes.
    pub probe_every_s: u64,
}

fn internal() -> Classification {
    Classification::Internal
}

fn concurrency() -> usize {
    64
}

fn one() -> u32 {
    1
}

impl Default for Queue {
    fn default() -> Self {
        let QueueSettings { per_tenant, wait } = QueueSettings::default();
        Self { per_tenant, wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
    }
}

impl From<Queue> for QueueSettings {
    fn from(queue: Queue) -> Self {
        Self { per_tenant: queue.per_tenant, wait: Duration::from_millis(queue.wait_ms) }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        let breaker = BreakerSettings::default();
        Self {
            failures: breaker.failures,
            pause_s: breaker.pause.as_secs(),
            longest_pause_s: breaker.longest_pause.as_secs(),
            probe_every_s: breaker.probe_every.as_secs(),
        }
    }
}

impl From<Breaker> for BreakerSettings {
    fn from(breaker: Breaker) -> Self {
        Self {
            failures: breaker.failures.max(1),
            pause: Duration::from_secs(breaker.pause_s),
            longest_pause: Duration::from_secs(breaker.longest_pause_s),
            probe_every: Duration::from_secs(breaker.probe_every_s.max(1)),
        }
    }
}

impl Backend {
    /// Settings of the model client for this backend. `section` is where the backend is configured, for errors.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong.
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
            api_key: self.key().with_context(|| format!("{section}.api_key_file cannot be read"))?,
            key_header: self.key_header.unwrap_or(if is_azure { KeyHeader::ApiKey } else { KeyHeader::Bearer }),
            api_version: self.api_version.clone(),
            location,
            highest_classification: classification,
            own_fallbacks: self.own_fallbacks,
            concurrency: self.concurrency,
            timeouts: self.timeouts(),
            ..BackendSettings::at(name, url)
        })
    }

    fn key(&self) -> std::io::Result<Option<SecretString>> {
        let Some(path) = self.api_key_file.as_ref().filter(|_| self.api_key.is_none()) else {
            return Ok(self.api_key.clone());
        };
        Ok(Some(SecretString::from(std::fs::read_to_string(path)?.trim_end_matches(['\r', '\n']))))
    }

    fn timeouts(&self) -> Timeouts {
        let default = Timeouts::default();
        let seconds = |given: Option<u64>, default| given.map_or(default, Duration::from_secs);
        Timeouts {
            connect: self.connect_timeout_ms.map_or(default.connect, Duration::from_millis),
            first_token: seconds(self.first_token_timeout_s, default.first_token),
            between_tokens: seconds(self.between_tokens_timeout_s, default.between_tokens),
            total: seconds(self.total_timeout_s, default.total),
        }
    }
}

/// Whether the host belongs to a model service that no plant runs on its own site.
fn is_known_cloud(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    ["openai.com", "azure.com", "azure.us", "azure.cn"]
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

/// The routes of a tier, as the model client takes them.
pub(super) fn routes(routes: &[Route]) -> Vec<RouteSettings> {
    let route = |(index, route): (usize, &Route)| RouteSettings {
        backend: route.backend.clone(),
        model: route.model.clone(),
        priority: route.priority.unwrap_or(u32::try_from(index + 1).unwrap_or(u32::MAX)),
        weight: route.weight,
        price: Price { input: micros(route.input_price), output: micros(route.output_price) },
    };
    routes.iter().enumerate().map(route).collect()
}

/// The schema limits prices to a million, which is exact in both types.
fn micros(price: f64) -> MicroCost {
    MicroCost((price * 1e6).round() as u64)
}
