//! `models.backends` and `models.tiers`: several model servers, and which of their models serve what.

use super::models::is_known_cloud;
use anyhow::{Context as _, Result, bail};
use domain::model_call::{MicroCost, Price};
use domain::role::Classification;
use model_client::config::{BackendSettings, Dialect, KeyHeader, Location, RouteSettings, Timeouts};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// A model server.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Which server it is: `openai` (any compatible one), `vllm`, `ollama`, `litellm` or `azure`.
    #[serde(default)]
    pub dialect: ServerDialect,
    /// Its address, with or without the trailing `/v1`.
    pub base_url: String,
    /// Its key.
    pub api_key: Option<SecretString>,
    /// A file that holds the key.
    pub api_key_file: Option<PathBuf>,
    /// How it is told the key: `bearer`, or `api-key`, which is Azure's way unless said otherwise.
    pub key_header: Option<HeaderName>,
    /// Azure's `api-version`: with it the addresses are those by deployment.
    pub api_version: Option<String>,
    /// Where it stands: `on-premises`, or `cloud`, which Azure and OpenAI are unless said otherwise.
    pub location: Option<Place>,
    /// Nothing classified higher is sent to it; `restricted` on premises and `internal` elsewhere unless given.
    pub highest_classification: Option<Classification>,
    /// A LiteLLM proxy may fall back by itself for content up to this class.
    #[serde(default = "internal")]
    pub own_fallbacks: Classification,
    /// Most requests at a time.
    #[serde(default = "places")]
    pub concurrency: usize,
    /// Milliseconds to connect.
    pub connect_timeout_ms: Option<u64>,
    /// Seconds until the first word of an answer must be there.
    pub first_token_timeout_s: Option<u64>,
    /// Seconds between two pieces of an answer.
    pub between_tokens_timeout_s: Option<u64>,
    /// Seconds for a whole answer.
    pub total_timeout_s: Option<u64>,
}

/// A model of a backend, among those that serve a tier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The backend's name.
    pub backend: String,
    /// The backend's name of the model.
    pub model: String,
    /// Lower is tried first, equals share the requests; the place in the list unless given.
    pub priority: Option<u32>,
    /// Share among equals.
    #[serde(default = "one")]
    pub weight: u32,
    /// Price of a million tokens read, in whichever currency all prices are in.
    #[serde(default)]
    pub input_price: f64,
    /// Price of a million tokens written.
    #[serde(default)]
    pub output_price: f64,
}

/// Who serves each tier, first choice first.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tiers {
    /// Everyday answers.
    pub fast: Vec<Route>,
    /// Hard ones.
    pub heavy: Vec<Route>,
    /// Vectors: all of them the same model.
    pub embed: Vec<Route>,
    /// The order of passages.
    pub rerank: Vec<Route>,
}

/// Waiting for a place.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Most requests of one tenant that wait; the next one is refused at once.
    pub per_tenant: usize,
    /// Milliseconds that a request waits before it is refused.
    pub wait_ms: u64,
}

/// When a backend is left alone.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row after which it is.
    pub failures: u32,
    /// Seconds for which, the first time; twice as long each time that the probe after it fails.
    pub pause_s: u64,
    /// Longest pause, seconds.
    pub longest_pause_s: u64,
    /// Seconds between two looks at whether it is there.
    pub probe_every_s: u64,
}

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerDialect {
    /// Any compatible one.
    #[default]
    OpenAi,
    /// vLLM.
    Vllm,
    /// Ollama.
    Ollama,
    /// LiteLLM.
    LiteLlm,
    /// Azure OpenAI.
    Azure,
}

/// Where a server stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// On the site.
    OnPremises,
    /// Elsewhere.
    Cloud,
}

/// How a server is told its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderName {
    /// `Authorization: Bearer`.
    Bearer,
    /// `api-key`.
    ApiKey,
}

fn internal() -> Classification {
    Classification::Internal
}

fn places() -> usize {
    64
}

fn one() -> u32 {
    1
}

impl Default for Queue {
    fn default() -> Self {
        Self { per_tenant: 32, wait_ms: 5_000 }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, pause_s: 5, longest_pause_s: 60, probe_every_s: 10 }
    }
}

impl ServerDialect {
    pub(super) fn settings(self) -> Dialect {
        match self {
            Self::OpenAi => Dialect::OpenAi,
            Self::Vllm => Dialect::Vllm,
            Self::Ollama => Dialect::Ollama,
            Self::LiteLlm => Dialect::LiteLlm,
            Self::Azure => Dialect::Azure,
        }
    }
}

impl Backend {
    /// For the model layer.
    ///
    /// # Errors
    /// A sentence that names the setting that is wrong.
    pub(super) fn settings(&self, name: &str) -> Result<BackendSettings> {
        let of = |what: &str| format!("models.backends.{name}.{what}");
        let url: Url = self.base_url.parse().with_context(|| format!("{} is no valid address", of("base_url")))?;
        if self.concurrency == 0 {
            bail!("{} must be at least 1", of("concurrency"));
        }
        let is_azure = self.dialect == ServerDialect::Azure;
        let location = match (self.location, is_azure || is_known_cloud(&url)) {
            (Some(Place::Cloud), _) | (None, true) => Location::Cloud,
            _ => Location::OnPremises,
        };
        let usual = match location {
            Location::OnPremises => Classification::Restricted,
            Location::Cloud => Classification::Internal,
        };
        Ok(BackendSettings {
            dialect: self.dialect.settings(),
            api_key: self.key().with_context(|| format!("{} cannot be read", of("api_key_file")))?,
            key_header: match (self.key_header, is_azure) {
                (Some(HeaderName::ApiKey), _) | (None, true) => KeyHeader::ApiKey,
                _ => KeyHeader::Bearer,
            },
            api_version: self.api_version.clone(),
            location,
            highest_classification: self.highest_classification.unwrap_or(usual),
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
        let usual = Timeouts::default();
        let seconds = |given: Option<u64>, usual| given.map_or(usual, Duration::from_secs);
        Timeouts {
            connect: self.connect_timeout_ms.map_or(usual.connect, Duration::from_millis),
            first_token: seconds(self.first_token_timeout_s, usual.first_token),
            between_tokens: seconds(self.between_tokens_timeout_s, usual.between_tokens),
            total: seconds(self.total_timeout_s, usual.total),
        }
    }
}

/// The routes of a tier, for the model layer.
///
/// # Errors
/// A sentence that names the setting that is wrong.
pub(super) fn routes(tier: &str, routes: &[Route]) -> Result<Vec<RouteSettings>> {
    let route = |(at, route): (usize, &Route)| {
        let wrong = |what: &str| format!("models.tiers.{tier}: {what} of entry {} (backend {})", at + 1, route.backend);
        if route.weight == 0 {
            bail!("{} must be at least 1", wrong("weight"));
        }
        let price = |name: &str, price: f64| {
            micros(price).with_context(|| format!("{} must be from 0 to 1000000", wrong(name)))
        };
        Ok(RouteSettings {
            backend: route.backend.clone(),
            model: route.model.clone(),
            priority: route.priority.unwrap_or(u32::try_from(at + 1).unwrap_or(u32::MAX)),
            weight: route.weight,
            price: Price {
                input: price("input_price", route.input_price)?,
                output: price("output_price", route.output_price)?,
            },
        })
    };
    routes.iter().enumerate().map(route).collect()
}

fn micros(price: f64) -> Option<MicroCost> {
    (0.0..=1e6).contains(&price).then(|| MicroCost((price * 1e6).round() as u64))
}
