//! The embedding model behind a server.

use super::http::{Server, read_limited};
use super::request::EmbedBody;
use super::response::{Embedded, Embeddings, ServerError, Vector};
use crate::config::{EmbeddingSettings, ModelSettings};
use crate::error::SetupError;
use crate::estimate;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::model::{EmbedPurpose, EmbedRequest, EmbeddingModel, ModelError};
use domain::model_call::ModelCaller;
use domain::ports::Embedder;
use domain::role::Classification;
use std::sync::OnceLock;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span, field};

const PATH: &str = "/v1/embeddings";
/// Most bytes of one answer: 32 vectors of 4,096 numbers as text have about 3 MB.
const MOST_BYTES: usize = 64 << 20;
/// Batches of documents on the way at a time, so that queries find the server free.
const DOCUMENT_BATCHES: usize = 4;
/// Tokens that a model adds to each text.
const SPECIAL_TOKENS: usize = 2;

/// Embeds through an OpenAI-compatible server.
pub struct OpenAiEmbedder {
    server: Server,
    settings: EmbeddingSettings,
    dimension: OnceLock<usize>,
    documents: Semaphore,
    highest: Classification,
}

impl OpenAiEmbedder {
    /// The embedding model of the server that `settings` name. Its dimension is the configured one, or that of a vector
    /// that the server is asked for now; where it does not answer, that of the first vector that it ever sends.
    ///
    /// # Errors
    /// Where there is no base URL, or none of use.
    pub async fn connect(settings: &ModelSettings) -> Result<Self, SetupError> {
        let embedder = Self {
            server: Server::new(settings)?,
            settings: settings.embedding.clone(),
            dimension: settings.embedding.dimension.map(OnceLock::from).unwrap_or_default(),
            documents: Semaphore::new(DOCUMENT_BATCHES),
            highest: settings.highest_classification,
        };
        if embedder.dimension.get().is_none()
            && let Err(error) = embedder.embed_batch(EmbedPurpose::Query, &["dimension".to_owned()]).await
        {
            tracing::warn!(backend = embedder.server.name(), model = embedder.settings.alias, %error,
                "the embedding model does not answer yet; it is asked again with the first text");
        }
        Ok(embedder)
    }

    /// `text` as the model wants it: with its prefix, and cut where the model would refuse it.
    fn input(&self, purpose: EmbedPurpose, text: &str) -> String {
        let prefix = match purpose {
            EmbedPurpose::Query => &self.settings.query_prefix,
            EmbedPurpose::Document => &self.settings.document_prefix,
        };
        let room = self.settings.max_tokens.saturating_sub(SPECIAL_TOKENS + estimate::tokens(prefix));
        format!("{prefix}{}", estimate::cut(text, room))
    }

    async fn embed_batch(&self, purpose: EmbedPurpose, inputs: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let _turn = match purpose {
            EmbedPurpose::Document => self.documents.acquire().await.ok(),
            EmbedPurpose::Query => None,
        };
        let _place = self.server.place().await?;
        let started = Instant::now();
        let deadline = started
            + match purpose {
                EmbedPurpose::Query => self.server.timeouts.embed_query,
                EmbedPurpose::Document => self.server.timeouts.embed_documents,
            };
        let body = EmbedBody { model: &self.settings.alias, input: inputs, encoding_format: "float" };
        let response = self.server.post(PATH, &body, deadline).await.map_err(|failure| failure.error)?;
        let body = timeout_at(deadline, read_limited(&self.server, response, MOST_BYTES)).await;
        let body = body.map_err(|_| self.server.timed_out(started))??;
        self.vectors(&body, inputs.len())
    }

    /// The vectors in an answer: `count` of them, in the order of the texts, of the one dimension, of length 1.
    fn vectors(&self, body: &[u8], count: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        let answer: Embeddings = serde_json::from_slice(body)
            .map_err(|_| self.server.garbled("the answer is not the JSON of embeddings"))?;
        if let Some(error) = answer.error.as_ref().filter(|error| !error.is_null()) {
            return Err(ServerError::from_value(error).into_model_error(self.server.name()));
        }
        let span = Span::current();
        span.record("gen_ai.response.model", answer.model);
        span.record("gen_ai.usage.input_tokens", answer.usage.unwrap_or_default().prompt_tokens);
        let mut vectors = vec![Vec::new(); count];
        for (at, embedded) in answer.data.into_iter().enumerate() {
            let slot = vectors.get_mut(embedded.index.unwrap_or(at));
            *slot.ok_or_else(|| self.server.garbled("there are more vectors than texts"))? = self.vector(embedded)?;
        }
        self.of_one_dimension(vectors)
    }

    /// The vectors, if all have as many numbers as every vector before them. The first ones settle how many.
    fn of_one_dimension(&self, vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, ModelError> {
        if vectors.iter().any(Vec::is_empty) {
            return Err(self.server.garbled("there are fewer vectors than texts"));
        }
        let Some(first) = vectors.first().map(Vec::len) else { return Ok(vectors) };
        let dimension = self.dimension.get().copied().unwrap_or(first);
        if let Some(other) = vectors.iter().find(|vector| vector.len() != dimension) {
            let reason = format!("a vector has {} numbers, not {dimension}", other.len());
            return Err(self.server.garbled(&reason));
        }
        self.dimension.get_or_init(|| dimension);
        Ok(vectors)
    }

    fn vector(&self, embedded: Embedded) -> Result<Vec<f32>, ModelError> {
        let numbers = match embedded.embedding {
            Some(Vector::Numbers(numbers)) => numbers,
            Some(Vector::Base64(text)) => {
                let bytes = STANDARD.decode(text).map_err(|_| self.server.garbled("a vector is not base64"))?;
                bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
            }
            None => return Err(self.server.garbled("a vector is missing")),
        };
        normalized(numbers).ok_or_else(|| self.server.garbled("a vector has no direction"))
    }
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    /// The name has the dimension, since an alias may come to mean another model. Until the first vector came the
    /// dimension is unknown, which shows as 0.
    fn model(&self) -> EmbeddingModel {
        let dimension = self.dimension.get().copied().unwrap_or(0);
        let name = format!("{}-{dimension}", self.settings.alias);
        EmbeddingModel { name, dimension, max_tokens: self.settings.max_tokens }
    }

    fn highest_classification(&self, _: &ModelCaller) -> Classification {
        self.highest
    }

    async fn embed(&self, request: EmbedRequest) -> Result<domain::model::Embedded, ModelError> {
        let EmbedRequest { purpose, texts, .. } = request;
        let inputs: Vec<String> = texts.iter().map(|text| self.input(purpose, text)).collect();
        let mut vectors = Vec::with_capacity(inputs.len());
        for batch in inputs.chunks(self.settings.batch.max(1)) {
            let span = tracing::info_span!(
                "embeddings",
                otel.name = format!("embeddings {}", self.settings.alias),
                otel.kind = "client",
                gen_ai.operation.name = "embeddings",
                gen_ai.provider.name = self.server.name(),
                gen_ai.request.model = self.settings.alias,
                gen_ai.response.model = field::Empty,
                gen_ai.usage.input_tokens = field::Empty,
                error.type = field::Empty,
            );
            let batch = self.embed_batch(purpose, batch).instrument(span.clone()).await;
            vectors.extend(batch.inspect_err(|error| {
                span.record("error.type", error.word());
            })?);
        }
        Ok(domain::model::Embedded { vectors, spent: domain::model::Spent::default() })
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate::tokens(text)
    }
}

/// `vector` at length 1; `None` where it has none, or holds what is no number.
fn normalized(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    Some(vector)
}
