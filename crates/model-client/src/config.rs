//! Which models serve, and within which limits. Plain values: the composition root reads the settings and fills them in.

use crate::cache_salt::CacheSalts;
use domain::model_call::Price;
use domain::role::Classification;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What embeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedSource {
    /// The model in this process.
    Embedded,
    /// The backends.
    Remote,
}

/// What a server calls itself: where its dialect of OpenAI's API differs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// Any OpenAI-compatible server, OpenAI's own among them: nothing is sent that OpenAI does not document.
    #[default]
    OpenAi,
    /// vLLM.
    Vllm,
    /// Ollama's `/v1`.
    Ollama,
    /// A LiteLLM proxy.
    LiteLlm,
    /// Azure OpenAI: the v1 API, or with an `api_version` the older addresses by deployment.
    Azure,
}

impl Dialect {
    /// Its name in spans and metrics: the well-known value of `gen_ai.provider.name` where there is one.
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

/// Where a backend stands, seen from the site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Location {
    /// On the site, or in the plant's own network.
    #[default]
    OnPremises,
    /// Elsewhere: it gets what the tenant lets out, and no more.
    Cloud,
}

/// How a backend is told the key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeader {
    /// `Authorization: Bearer`.
    #[default]
    Bearer,
    /// `api-key`, as Azure has it for keys that are no tokens of Entra.
    ApiKey,
}

/// A server that has models.
#[derive(Clone, Debug)]
pub struct BackendSettings {
    /// Its name in logs, spans, the ledger and the audit log.
    pub name: String,
    /// Its dialect.
    pub dialect: Dialect,
    /// Its address, with or without the trailing `/v1`.
    pub base_url: Url,
    /// Its key.
    pub api_key: Option<SecretString>,
    /// How it is told the key.
    pub key_header: KeyHeader,
    /// Azure's `api-version`: with it the addresses are those by deployment.
    pub api_version: Option<String>,
    /// Where it stands.
    pub location: Location,
    /// Nothing classified higher is sent to it.
    pub highest_classification: Classification,
    /// A proxy may fall back by itself, to wherever its own settings say, for content up to this class; above, it is told
    /// not to.
    pub own_fallbacks: Classification,
    /// Most requests at a time.
    pub concurrency: usize,
    /// Time limits.
    pub timeouts: Timeouts,
}

impl BackendSettings {
    /// A server of the site at this address, with the usual limits.
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

/// One way to serve a tier: a model of a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSettings {
    /// The backend's name.
    pub backend: String,
    /// The backend's name of the model.
    pub model: String,
    /// Lower is tried first; those with the same number are equals, of which the least busy serves.
    pub priority: u32,
    /// Share among equals: one with 2 is given twice as many requests as one with 1.
    pub weight: u32,
    /// What it asks for its work.
    pub price: Price,
}

impl RouteSettings {
    /// The first choice.
    #[must_use]
    pub fn to(backend: &str, model: &str) -> Self {
        let (backend, model) = (backend.to_owned(), model.to_owned());
        Self { backend, model, priority: 1, weight: 1, price: Price::default() }
    }
}

/// Who serves each tier; a tier without routes is not served.
#[derive(Clone, Debug, Default)]
pub struct TierSettings {
    /// Everyday answers.
    pub fast: Vec<RouteSettings>,
    /// Hard ones.
    pub heavy: Vec<RouteSettings>,
    /// Vectors. All of them must be the same model: vectors of different ones cannot be compared.
    pub embed: Vec<RouteSettings>,
    /// The order of passages.
    pub rerank: Vec<RouteSettings>,
}

/// Waiting for a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueSettings {
    /// Most requests of one tenant that wait; the next one is refused at once.
    pub per_tenant: usize,
    /// How long a request waits before it is refused.
    pub wait: Duration,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { per_tenant: 32, wait: Duration::from_secs(5) }
    }
}

/// When a backend is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BreakerSettings {
    /// Failures in a row after which it is.
    pub failures: u32,
    /// For how long, the first time; twice as long each time that the probe after it fails.
    pub pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// Time between two looks at whether it is there.
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

/// Which models serve. The default is the embedded ones, without any server.
#[derive(Clone, Debug, Default)]
pub struct ModelSettings {
    /// The servers.
    pub backends: Vec<BackendSettings>,
    /// Who of them serves what.
    pub tiers: TierSettings,
    /// Waiting for a place.
    pub queue: QueueSettings,
    /// When a backend is left alone.
    pub breaker: BreakerSettings,
    /// What embeds.
    pub embedding: EmbeddingSettings,
    /// What reranks.
    pub rerank: RerankSettings,
    /// Prompts and answers go into the spans. They are a plant's data: off unless somebody looks for an error.
    pub record_content: bool,
    /// Keep the tenants apart in the prefix caches of servers that take a salt; without them they share one.
    pub cache_salts: Option<CacheSalts>,
}

impl ModelSettings {
    /// One server that serves `fast`, `heavy` and `embed` under these names, as a LiteLLM proxy is usually set up.
    #[must_use]
    pub fn single(backend: BackendSettings) -> Self {
        let route = |model| vec![RouteSettings::to(&backend.name, model)];
        let tiers =
            TierSettings { fast: route("fast"), heavy: route("heavy"), embed: route("embed"), rerank: Vec::new() };
        Self { tiers, backends: vec![backend], ..Self::default() }
    }
}

/// What embeds, and how texts are put to it.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// By default the backends where some serve embeddings, else the embedded model. A plant may have a server for chat
    /// alone.
    pub source: Option<EmbedSource>,
    /// The platform's name of the model, which with the dimension is stored with each vector; the first backend's name of
    /// it where this is empty.
    pub name: String,
    /// Numbers in the vectors; asked of a backend where not given.
    pub dimension: Option<usize>,
    /// Most tokens that the model reads of one text.
    pub max_tokens: usize,
    /// Texts in one request.
    pub batch: usize,
    /// Put before a query (nomic-embed-text: `search_query: `).
    pub query_prefix: String,
    /// Put before a document's text (nomic-embed-text: `search_document: `).
    pub document_prefix: String,
    /// Holds the embedded model's `model.safetensors` and `tokenizer.json`.
    pub embedded_dir: PathBuf,
    /// Threads of the embedded model for each of queries and documents.
    pub threads: usize,
    /// To embed a query: after that the search goes on without vectors.
    pub query_timeout: Duration,
    /// To embed one batch of a document.
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

/// What puts the best passages of a search in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RerankSettings {
    /// Most tokens that the model reads of query and passage together.
    pub max_tokens: usize,
    /// The wait for a place included: after that the search goes on in the order that it has.
    pub timeout: Duration,
}

impl Default for RerankSettings {
    fn default() -> Self {
        Self { max_tokens: 512, timeout: Duration::from_millis(400) }
    }
}

/// Time limits of calls to a backend.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// Until the first word of an answer. A model that must be loaded first takes long.
    pub first_token: Duration,
    /// Between two pieces of an answer.
    pub between_tokens: Duration,
    /// For a whole answer.
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
