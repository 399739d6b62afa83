//! The `models` section, and what the model layer takes from it.

use anyhow::{Context as _, Result};
use domain::role::Classification;
use model_client::config::{EmbedSource, EmbeddingSettings, ModelSettings, RerankSettings, Timeouts};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// Models.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Models {
    /// `LITELLM_BASE_URL`: an OpenAI-compatible server; without one the embedded models serve.
    pub base_url: Option<String>,
    /// `LITELLM_MASTER_KEY`: its bearer token.
    pub api_key: Option<SecretString>,
    /// Its name of the everyday model.
    pub fast: String,
    /// Its name of the model for hard questions.
    pub heavy: String,
    /// Its name of the embedding model.
    pub embed: String,
    /// What embeds: `embedded` or `remote`; by default the server where there is one.
    pub embed_source: Option<Embeds>,
    /// Numbers in the server's vectors; asked of the server where not given.
    pub embed_dimension: Option<usize>,
    /// Most tokens that the server's embedding model reads of one text.
    pub embed_max_tokens: usize,
    /// Put before a query (nomic-embed-text: `search_query: `).
    pub query_prefix: String,
    /// Put before a document's text (nomic-embed-text: `search_document: `).
    pub document_prefix: String,
    /// The embedding model that `reindex` moves the tenants to; those that it has moved are searched with it.
    pub next_embed: Option<NextEmbed>,
    /// Holds the embedded model's `model.safetensors` and `tokenizer.json`.
    pub embedded_dir: Option<PathBuf>,
    /// Threads of the embedded model.
    pub threads: usize,
    /// Its name of the reranking model; empty: none.
    pub rerank: String,
    /// Most passages of a search that are reranked.
    pub rerank_candidates: usize,
    /// Most tokens that the reranking model reads of query and passage together.
    pub rerank_max_tokens: usize,
    /// Milliseconds after which a search goes on without reranking.
    pub rerank_timeout_ms: u64,
    /// Most requests to the server at a time.
    pub concurrency: usize,
    /// Nothing classified higher is sent to the server.
    pub highest_classification: Classification,
    /// Seconds until the first word of an answer must be there.
    pub first_token_timeout_s: u64,
    /// Seconds between two pieces of an answer.
    pub between_tokens_timeout_s: u64,
}

/// The embedding model to change to; the fields mean what those of [`Models`] mean.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NextEmbed {
    /// The server's name of it.
    pub embed: Option<String>,
    /// What embeds.
    pub embed_source: Option<Embeds>,
    /// Numbers in its vectors.
    pub embed_dimension: Option<usize>,
    /// Most tokens that it reads of one text.
    pub embed_max_tokens: Option<usize>,
    /// Put before a query.
    pub query_prefix: String,
    /// Put before a document's text.
    pub document_prefix: String,
}

/// What embeds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Embeds {
    /// The model in this process.
    Embedded,
    /// The model server.
    Remote,
}

impl Default for Models {
    fn default() -> Self {
        let usual = ModelSettings::default();
        let limits = Timeouts::default();
        Self {
            base_url: None,
            api_key: None,
            fast: usual.fast,
            heavy: usual.heavy,
            embed: usual.embedding.alias,
            embed_source: None,
            embed_dimension: None,
            embed_max_tokens: usual.embedding.max_tokens,
            query_prefix: String::new(),
            document_prefix: String::new(),
            next_embed: None,
            embedded_dir: None,
            threads: std::thread::available_parallelism().map_or(2, std::num::NonZero::get).clamp(1, 8),
            rerank: usual.rerank.alias,
            rerank_candidates: 30,
            rerank_max_tokens: usual.rerank.max_tokens,
            rerank_timeout_ms: u64::try_from(limits.rerank.as_millis()).unwrap_or(u64::MAX),
            concurrency: usual.concurrency,
            highest_classification: usual.highest_classification,
            first_token_timeout_s: limits.first_token.as_secs(),
            between_tokens_timeout_s: limits.between_tokens.as_secs(),
        }
    }
}

impl Models {
    /// For the model layer: the same servers, with the next embedding model in the place of the one in use.
    ///
    /// # Errors
    /// Where the address is none.
    pub fn next_settings(&self) -> Result<Option<ModelSettings>> {
        let Some(next) = &self.next_embed else { return Ok(None) };
        let with_next = Self {
            embed: next.embed.clone().unwrap_or_else(|| self.embed.clone()),
            embed_source: next.embed_source.or(self.embed_source),
            embed_dimension: next.embed_dimension,
            embed_max_tokens: next.embed_max_tokens.unwrap_or(self.embed_max_tokens),
            query_prefix: next.query_prefix.clone(),
            document_prefix: next.document_prefix.clone(),
            ..self.clone()
        };
        with_next.settings().map(Some)
    }

    /// For the model layer.
    ///
    /// # Errors
    /// Where the address is none.
    pub fn settings(&self) -> Result<ModelSettings> {
        let base_url = self.base_url.as_deref().map(str::parse).transpose();
        let source = self.embed_source.map(|source| match source {
            Embeds::Embedded => EmbedSource::Embedded,
            Embeds::Remote => EmbedSource::Remote,
        });
        Ok(ModelSettings {
            base_url: base_url.context("LITELLM_BASE_URL is no valid address")?,
            api_key: self.api_key.clone(),
            fast: self.fast.clone(),
            heavy: self.heavy.clone(),
            highest_classification: self.highest_classification,
            concurrency: self.concurrency,
            timeouts: Timeouts {
                first_token: Duration::from_secs(self.first_token_timeout_s),
                between_tokens: Duration::from_secs(self.between_tokens_timeout_s),
                rerank: Duration::from_millis(self.rerank_timeout_ms),
                ..Timeouts::default()
            },
            embedding: EmbeddingSettings {
                source,
                alias: self.embed.clone(),
                dimension: self.embed_dimension,
                max_tokens: self.embed_max_tokens,
                query_prefix: self.query_prefix.clone(),
                document_prefix: self.document_prefix.clone(),
                embedded_dir: self.embedded_dir.clone().unwrap_or_default(),
                threads: self.threads,
                ..EmbeddingSettings::default()
            },
            rerank: RerankSettings { alias: self.rerank.trim().to_owned(), max_tokens: self.rerank_max_tokens },
            ..ModelSettings::default()
        })
    }
}
