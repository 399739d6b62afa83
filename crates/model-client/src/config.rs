//! Which models serve, and within which limits. Plain values: the composition root reads the settings and fills them in.

use domain::role::Classification;
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What embeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EmbedSource {
    /// The model in this process.
    Embedded,
    /// The model server.
    Remote,
}

/// Which models serve. The default is the embedded ones, without any server.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// The server's name in logs, spans and the audit log.
    pub backend: String,
    /// An OpenAI-compatible server, with or without the trailing `/v1`; without one the embedded models serve.
    pub base_url: Option<Url>,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// The server's name of the everyday model.
    pub fast: String,
    /// The server's name of the model for hard questions.
    pub heavy: String,
    /// Nothing classified higher is sent to the server.
    pub highest_classification: Classification,
    /// Most requests at a time.
    pub concurrency: usize,
    /// How long a request waits for its turn before it is refused.
    pub queue_wait: Duration,
    /// Time limits.
    pub timeouts: Timeouts,
    /// What embeds.
    pub embedding: EmbeddingSettings,
    /// What reranks.
    pub rerank: RerankSettings,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            backend: "model-server".to_owned(),
            base_url: None,
            api_key: None,
            fast: "fast".to_owned(),
            heavy: "heavy".to_owned(),
            highest_classification: Classification::Restricted,
            concurrency: 64,
            queue_wait: Duration::from_secs(5),
            timeouts: Timeouts::default(),
            embedding: EmbeddingSettings::default(),
            rerank: RerankSettings::default(),
        }
    }
}

/// What embeds, and how texts are put to it.
#[derive(Clone, Debug)]
pub struct EmbeddingSettings {
    /// By default the server where there is one, else the embedded model. A plant may have a server for chat alone.
    pub source: Option<EmbedSource>,
    /// The server's name of the embedding model.
    pub alias: String,
    /// Numbers in the server's vectors; asked of the server where not given.
    pub dimension: Option<usize>,
    /// Most tokens that the server's model reads of one text.
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
}

impl Default for EmbeddingSettings {
    fn default() -> Self {
        Self {
            source: None,
            alias: "embed".to_owned(),
            dimension: None,
            max_tokens: 512,
            batch: 32,
            query_prefix: String::new(),
            document_prefix: String::new(),
            embedded_dir: PathBuf::new(),
            threads: 2,
        }
    }
}

/// What puts the best passages of a search in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RerankSettings {
    /// The server's name of the reranking model; empty where there is none.
    pub alias: String,
    /// Most tokens that it reads of query and passage together.
    pub max_tokens: usize,
}

impl Default for RerankSettings {
    fn default() -> Self {
        Self { alias: String::new(), max_tokens: 512 }
    }
}

/// Time limits of calls to a model server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// To connect.
    pub connect: Duration,
    /// Until the first word of an answer, a retry included. A model that must be loaded first takes long.
    pub first_token: Duration,
    /// Between two pieces of an answer.
    pub between_tokens: Duration,
    /// For a whole answer.
    pub total: Duration,
    /// To embed a query: after that the search goes on without vectors.
    pub embed_query: Duration,
    /// To embed one batch of a document.
    pub embed_documents: Duration,
    /// To rerank, the wait for a place included: after that the search goes on in the order that it has.
    pub rerank: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            first_token: Duration::from_secs(60),
            between_tokens: Duration::from_secs(30),
            total: Duration::from_secs(600),
            embed_query: Duration::from_secs(10),
            embed_documents: Duration::from_secs(120),
            rerank: Duration::from_millis(400),
        }
    }
}
