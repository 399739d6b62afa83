//! Settings of the model layer, as plain values that `platform-server` fills in from its configuration.

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
    /// By the model that runs in this process.
    #[serde(rename = "embedded")]
    InProcess,
    /// By the backends of the `embed` tier.
    Remote,
}

/// An embedding model that runs in this process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Deserialize)]
pub enum EmbeddedModel {
    /// all-MiniLM-L6-v2: English, 384 dimensions.
    #[default]
    #[serde(rename = "all-minilm-l6-v2")]
    AllMiniLmL6V2,
    /// Universal Sentence Encoder multilingual v3: 16 languages, 512 dimensions.
    #[serde(rename = "use-multilingual-v3")]
    UseMultilingualV3,
}

impl EmbeddedModel {
    /// The name that is stored with each vector.
    #[must_use]
    pub fn vector_name(self) -> &'static str {
        match self {
            Self::AllMiniLmL6V2 => "all-MiniLM-L6-v2",
            Self::UseMultilingualV3 => "use-multilingual-v3-512",
        }
    }
}

/// The server product, which decides which variant of the OpenAI API is used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Any OpenAI-compatible server, including OpenAI itself; only fields of OpenAI's documentation are sent.
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
    /// The value of `gen_ai.provider.name` in spans and metrics: the well-known value if the OpenTelemetry conventions
    /// define one.
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

/// Where a backend runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// On the site, or within the plant's own network.
    #[default]
    OnPremises,
    /// Outside the plant's network; receives only content up to the tenant's cloud limit.
    Cloud,
}

/// The header that carries the API key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// The header `Authorization: Bearer`.
    #[default]
    Bearer,
    /// The header `api-key`, which Azure expects for API keys (but not for Entra tokens).
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
    /// API key; `None` for servers without authentication.
    pub api_key: Option<SecretString>,
    /// The header that carries `api_key`.
    pub key_header: KeyHeader,
    /// Azure's `api-version`; if set, URLs contain the deployment name. Ignored for other dialects.
    pub api_version: Option<String>,
    /// Where the backend runs, which decides whether the tenant's cloud limit applies.
    pub location: Location,
    /// Highest classification that may be sent to this backend.
    pub highest_classification: Classification,
    /// Highest classification for which a LiteLLM proxy may use its own fallbacks; requests with a higher one disable
    /// them.
    pub max_proxy_fallback_classification: Classification,
    /// Maximum number of concurrent requests to this backend.
    pub concurrency: usize,
    /// Connect and response timeouts.
    pub timeouts: Timeouts,
}

impl BackendSettings {
    /// An on-premises server at `base_url` with default limits.
    #[must_use]
    pub fn new(name: &str, base_url: Url) -> Self {
        Self {
            name: name.to_owned(),
            dialect: Dialect::default(),
            base_url,
            api_key: None,
            key_header: KeyHeader::default(),
            api_version: None,
            location: Location::default(),
            highest_classification: Classification::Restricted,
            max_proxy_fallback_classification: Classification::Internal,
            concurrency: 64,
            timeouts: Timeouts::default(),
        }
    }
}

/// The tokenizer of a chat model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TokenizerSettings {
    /// OpenAI's encoding `cl100k_base`.
    Cl100kBase,
    /// OpenAI's encoding `o200k_base`.
    O200kBase,
    /// A `tokenizer.json` of the Hugging Face library `tokenizers`.
    File(PathBuf),
}

impl From<&str> for TokenizerSettings {
    fn from(name: &str) -> Self {
        match name {
            "cl100k_base" => Self::Cl100kBase,
            "o200k_base" => Self::O200kBase,
            path => Self::File(path.into()),
        }
    }
}

/// A route of a tier: a model at a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSettings {
    /// Name of a backend in [`ModelSettings::backends`].
    pub backend: String,
    /// The model's name at the backend.
    pub model: String,
    /// Routes with the lowest number are tried first; among routes of equal priority, the least busy is used.
    pub priority: u32,
    /// Relative load among routes of equal priority: weight 2 gets twice as many requests as weight 1.
    pub weight: u32,
    /// Tokenizer of the model; `None` if it is not known, or if the model's name tells it.
    pub tokenizer: Option<TokenizerSettings>,
    /// Price of the model's tokens; if zero, the costs that the server reports are used.
    pub price: Price,
}

impl RouteSettings {
    /// A route of priority 1 and weight 1, without a price.
    #[must_use]
    pub fn new(backend: &str, model: &str) -> Self {
        let (backend, model) = (backend.to_owned(), model.to_owned());
        Self { backend, model, priority: 1, weight: 1, tokenizer: None, price: Price::default() }
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
    /// Reranking model. Without routes, hits keep the order of retrieval.
    pub rerank: Vec<RouteSettings>,
}

/// Queueing of requests while all backends are at their concurrency limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueSettings {
    /// Maximum number of queued requests of one tenant; further requests are rejected immediately.
    pub max_waiting_per_tenant: usize,
    /// How long a request waits in the queue before it is rejected.
    pub max_wait: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { max_waiting_per_tenant: 32, max_wait: Duration::from_secs(5) }
    }
}

/// Settings of the circuit breakers and health checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    /// Consecutive failures that open the breaker.
    pub failure_threshold: u32,
    /// How long the breaker stays open at first; doubles each time the half-open probe fails.
    pub initial_pause: Duration,
    /// Maximum time that the breaker stays open.
    pub max_pause: Duration,
    /// Interval of the health checks.
    pub health_check_interval: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            initial_pause: Duration::from_secs(5),
            max_pause: Duration::from_secs(60),
            health_check_interval: Duration::from_secs(10),
        }
    }
}

/// Settings of the model layer. The default has no backends and uses the models that run in this process.
#[derive(Clone, Debug, Default)]
pub struct ModelSettings {
    /// The backends; tiers refer to them by name.
    pub backends: Vec<BackendSettings>,
    /// The routes of each tier.
    pub tiers: TierSettings,
    /// Queueing of requests while the backends are busy.
    pub queue: QueueSettings,
    /// Circuit breakers, one for each model of a backend.
    pub breaker: BreakerSettings,
    /// Settings of the embedding model.
    pub embedding: EmbeddingSettings,
    /// Settings of the reranking model.
    pub rerank: RerankSettings,
    /// Records prompts and answers in spans. They contain the plant's data, so enable it for debugging only.
    pub record_content: bool,
    /// Per-tenant salts for servers with a salted prefix cache; with `None`, all tenants share one cache.
    pub cache_salts: Option<CacheSalts>,
}

impl ModelSettings {
    /// Settings for one server whose models are named `fast`, `heavy` and `embed` like the tiers, which is usual for a
    /// LiteLLM proxy.
    #[must_use]
    pub fn for_single_backend(backend: BackendSettings) -> Self {
        let route = |model| vec![RouteSettings::new(&backend.name, model)];
        let tiers =
            TierSettings { fast: route("fast"), heavy: route("heavy"), embed: route("embed"), rerank: Vec::new() };
        Self { tiers, backends: vec![backend], ..Self::default() }
    }
}

/// Settings of the embedding model.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// Where embeddings are computed. `None` means the backends if the `embed` tier has routes, otherwise this process.
    pub source: Option<EmbedSource>,
    /// The model's name, which is stored with each vector together with the dimension; if empty, the model name of the
    /// first route is used.
    pub name: String,
    /// Dimension of the vectors; `None` determines it from the first vector.
    pub dimension: Option<usize>,
    /// Input limit of the model in tokens; longer texts are truncated.
    pub max_tokens: usize,
    /// Maximum number of texts per request.
    pub max_batch_size: usize,
    /// Prepended to a query (nomic-embed-text: `search_query: `).
    pub query_prefix: String,
    /// Prepended to a document's text (nomic-embed-text: `search_document: `).
    pub document_prefix: String,
    /// The in-process model.
    pub embedded_model: EmbeddedModel,
    /// Directory of the in-process model's files.
    pub embedded_dir: PathBuf,
    /// Number of threads of the in-process model for queries, and the same number for documents.
    pub threads: usize,
    /// Timeout for embedding a query; the search then continues without vectors.
    pub query_timeout: Duration,
    /// Timeout for embedding one batch of a document's texts.
    pub documents_timeout: Duration,
}

impl Default for EmbeddingSettings {
    fn default() -> Self {
        Self {
            source: None,
            name: String::new(),
            dimension: None,
            max_tokens: 512,
            max_batch_size: 32,
            query_prefix: String::new(),
            document_prefix: String::new(),
            embedded_model: EmbeddedModel::default(),
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
    /// Input limit of the model in tokens, for query and passage together.
    pub max_tokens: usize,
    /// Timeout, including the time in the queue; the search then keeps its original order.
    pub timeout: Duration,
}

impl Default for RerankSettings {
    fn default() -> Self {
        Self { max_tokens: 512, timeout: Duration::from_millis(400) }
    }
}

/// Maximum durations of the phases of a call to a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// Time to establish a connection.
    pub connect: Duration,
    /// Time until the first token of an answer. A server that loads models on demand may need minutes.
    pub first_token: Duration,
    /// Time between two consecutive chunks of a streamed answer.
    pub between_tokens: Duration,
    /// Time for the whole answer.
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
