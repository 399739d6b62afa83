//! Settings of the model backends. Plain values: `platform-server` reads the configuration and fills them in.

use crate::cache_salt::CacheSalts;
use domain::model_call::Price;
use domain::role::Classification;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Where embeddings are computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedSource {
    /// By the embedded model, in this process.
    Embedded,
    /// By the backends of the `embed` tier.
    Remote,
}

/// The server's dialect of the OpenAI API.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Any OpenAI-compatible server, including OpenAI itself: only documented fields are sent.
    #[default]
    OpenAi,
    /// The vLLM server.
    Vllm,
    /// Ollama's OpenAI-compatible `/v1`.
    Ollama,
    /// A LiteLLM proxy.
    LiteLlm,
    /// Azure OpenAI: the v1 API or, with an `api_version`, the older URLs that contain the deployment name.
    Azure,
}

impl Dialect {
    /// The value of `gen_ai.provider.name` in spans and metrics: the well-known value where the conventions define one.
    #[must_use]
    pub fn provider(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Ollama => "ollama",
            Self::LiteLlm => "litellm",
            Self::Azure => "azure.ai.openai",
        }
    }
}

/// Whether a backend is on the premises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// On the site, or in the plant's own network.
    #[default]
    OnPremises,
    /// Outside of the plant's network: it gets only content up to the tenant's cloud limit.
    Cloud,
}

/// The header that carries the API key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// In the header `Authorization: Bearer`.
    #[default]
    Bearer,
    /// `api-key`, which Azure expects for keys (Entra tokens use `Authorization`).
    ApiKey,
}

/// An OpenAI-compatible server.
#[derive(Clone, Debug)]
pub struct BackendSettings {
    /// The backend's name in logs, spans, the usage ledger and the audit log.
    pub name: String,
    /// Selects the request fields and paths that differ between servers.
    pub dialect: Dialect,
    /// Base URL, with or without a trailing `/v1`.
    pub base_url: Url,
    /// API key; none for servers without authentication.
    pub api_key: Option<SecretString>,
    /// The header that carries `api_key`.
    pub key_header: KeyHeader,
    /// Azure's `api-version`; when it is set, URLs contain the deployment name.
    pub api_version: Option<String>,
    /// Whether the tenant's cloud limit applies.
    pub location: Location,
    /// Highest classification that may be sent to this backend.
    pub highest_classification: Classification,
    /// Highest classification for which a proxy may use its own fallbacks; for content above, the request forbids them.
    pub own_fallbacks: Classification,
    /// Maximum number of concurrent requests.
    pub concurrency: usize,
    /// Connect and response timeouts.
    pub timeouts: Timeouts,
}

impl BackendSettings {
    /// An on-premises server at `base_url` with default limits.
    #[must_use]
    pub fn at(name: &str, base_url: Url) -> Self {
        Self {
            name: name.to_owned(),
            dialect: Dialect::default(),
            base_url,
            api_key: None,
            key_header: KeyHeader::default(),
            api_version: None,
            location: Location::default(),
            highest_classification: Classification::Restricted,
            own_fallbacks: Classification::Internal,
            concurrency: 64,
            timeouts: Timeouts::default(),
        }
    }
}

/// A route: a model of a backend that serves a tier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSettings {
    /// Name of a backend in [`ModelSettings::backends`].
    pub backend: String,
    /// The model's name at the backend.
    pub model: String,
    /// Routes with the lowest number are tried first; among routes with the same number the least busy serves.
    pub priority: u32,
    /// Share among routes of the same priority: weight 2 gets twice as many requests as weight 1.
    pub weight: u32,
    /// Price of the model's tokens; zero if the server reports costs itself.
    pub price: Price,
}

impl RouteSettings {
    /// A route of priority 1 and weight 1, without a price.
    #[must_use]
    pub fn to(backend: &str, model: &str) -> Self {
        let (backend, model) = (backend.to_owned(), model.to_owned());
        Self { backend, model, priority: 1, weight: 1, price: Price::default() }
    }
}

/// The routes of each tier; a tier without routes is not served.
#[derive(Clone, Debug, Default)]
pub struct TierSettings {
    /// Chat model for everyday questions.
    pub fast: Vec<RouteSettings>,
    /// Chat model for hard questions.
    pub heavy: Vec<RouteSettings>,
    /// Embedding model. All routes must serve the same model: vectors of different models cannot be compared.
    pub embed: Vec<RouteSettings>,
    /// Name of the reranking model.
    pub rerank: Vec<RouteSettings>,
}

/// Queueing of requests while all backends are at their concurrency limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueSettings {
    /// Maximum number of queued requests of one tenant; a further request is rejected at once.
    pub per_tenant: usize,
    /// How long a request waits in the queue before it is rejected.
    pub wait: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { per_tenant: 32, wait: Duration::from_secs(5) }
    }
}

/// Circuit breaker settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    /// Consecutive failures that open the breaker.
    pub failures: u32,
    /// How long the breaker stays open the first time; doubles every time the half-open probe fails.
    pub pause: Duration,
    /// Upper bound of the open period.
    pub longest_pause: Duration,
    /// Interval of the health checks.
    pub probe_every: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 5,
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(60),
            probe_every: Duration::from_secs(10),
        }
    }
}

/// Settings of the model layer. The default uses the embedded models, without any server.
#[derive(Clone, Debug, Default)]
pub struct ModelSettings {
    /// Backends of all tiers.
    pub backends: Vec<BackendSettings>,
    /// Which backend serves which tier.
    pub tiers: TierSettings,
    /// Queueing at busy backends.
    pub queue: QueueSettings,
    /// Circuit breakers, one for each model of a backend.
    pub breaker: BreakerSettings,
    /// Settings of the embedding model.
    pub embedding: EmbeddingSettings,
    /// Name of the reranking model.
    pub rerank: RerankSettings,
    /// Records prompts and answers in spans. They are the plant's data: leave it off except to debug.
    pub record_content: bool,
    /// Per-tenant salts for servers with a salted prefix cache; without them all tenants share one cache.
    pub cache_salts: Option<CacheSalts>,
}

impl ModelSettings {
    /// One server that serves `fast`, `heavy` and `embed` under these model names, the usual setup of a LiteLLM proxy.
    #[must_use]
    pub fn single(backend: BackendSettings) -> Self {
        let route = |model| vec![RouteSettings::to(&backend.name, model)];
        let tiers =
            TierSettings { fast: route("fast"), heavy: route("heavy"), embed: route("embed"), rerank: Vec::new() };
        Self { tiers, backends: vec![backend], ..Self::default() }
    }
}

/// Settings of the embedding model.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// Defaults to the backends if the `embed` tier has routes, otherwise to the embedded model.
    pub source: Option<EmbedSource>,
    /// The model's name, stored with each vector together with the dimension; if empty, the model name of the first
    /// route.
    pub name: String,
    /// Dimension of the vectors; if not set, a backend is asked.
    pub dimension: Option<usize>,
    /// Maximum number of tokens the model reads of one text.
    pub max_tokens: usize,
    /// Number of texts in one request.
    pub batch: usize,
    /// Prepended to a query (nomic-embed-text: `search_query: `).
    pub query_prefix: String,
    /// Prepended to a document's text (nomic-embed-text: `search_document: `).
    pub document_prefix: String,
    /// Directory of the embedded model's `model.safetensors` and `tokenizer.json`.
    pub embedded_dir: PathBuf,
    /// Threads of the embedded model, each for queries and for documents.
    pub threads: usize,
    /// Timeout of embedding a query; the search then continues without vectors.
    pub query_timeout: Duration,
    /// Timeout of embedding one batch of a document.
    pub documents_timeout: Duration,
}

impl Default for EmbeddingSettings {
    fn default() -> Self {
        Self {
            source: None,
            name: String::new(),
            dimension: None,
            max_tokens: 512,
            batch: 32,
            query_prefix: String::new(),
            document_prefix: String::new(),
            embedded_dir: PathBuf::new(),
            threads: 2,
            query_timeout: Duration::from_secs(10),
            documents_timeout: Duration::from_secs(120),
        }
    }
}

/// Settings of the reranking model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RerankSettings {
    /// Maximum number of tokens the model reads of query and passage together.
    pub max_tokens: usize,
    /// Timeout, including the time in the queue; the search then keeps its original order.
    pub timeout: Duration,
}

impl Default for RerankSettings {
    fn default() -> Self {
        Self { max_tokens: 512, timeout: Duration::from_millis(400) }
    }
}

/// Timeouts of calls to a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Time to establish a connection.
    pub connect: Duration,
    /// Until the first token of an answer. A server that loads the model on demand needs long.
    pub first_token: Duration,
    /// Between two chunks of an answer.
    pub between_tokens: Duration,
    /// For the whole answer.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_token: Duration::from_secs(60),
            between_tokens: Duration::from_secs(30),
            total: Duration::from_secs(600),
        }
    }
}
