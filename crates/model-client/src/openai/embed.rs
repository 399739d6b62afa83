//! The embedding model behind the backends.

use super::http::{About, Path, Server, Told, read_limited};
use super::once::{Once, Read};
use super::request::EmbedBody;
use super::response::{Embeddings, ServerError, Vector};
use crate::config::{EmbeddingSettings, ModelSettings};
use crate::error::SetupError;
use crate::estimate;
use crate::router::{Attempt, Route, Router};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::ids::TenantId;
use domain::model::{CallUsage, EmbedPurpose, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError};
use domain::model_call::{ModelCaller, ModelOperation, ServedBy};
use domain::ports::Embedder;
use domain::role::Classification;
use std::sync::{Arc, OnceLock};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// Most bytes of one answer: 32 vectors of 4,096 numbers as text have about 3 MB.
const MOST_BYTES: usize = 64 << 20;
/// Batches of documents on the way at a time, so that queries find the server free.
const DOCUMENT_BATCHES: usize = 4;
/// Tokens that a model adds to each text.
const SPECIAL_TOKENS: usize = 2;

/// Embeds through OpenAI-compatible servers, which all have the same model.
pub struct OpenAiEmbedder {
    router: Arc<Router>,
    routes: Vec<Route>,
    settings: EmbeddingSettings,
    dimension: OnceLock<usize>,
    documents: Semaphore,
}

impl OpenAiEmbedder {
    /// The embedding model of the backends that serve the tier. Its dimension is the configured one, or that of a vector
    /// that a backend is asked for now; where none answers, that of the first vector that one ever sends.
    ///
    /// # Errors
    /// Where no backend serves embeddings, or the tier names one that there is not.
    pub async fn connect(router: &Arc<Router>, settings: &ModelSettings) -> Result<Self, SetupError> {
        let embedder = Self::unasked(router, settings)?;
        if embedder.dimension.get().is_none() {
            embedder.ask_for_dimension().await;
        }
        Ok(embedder)
    }

    /// The same, with no backend asked for anything yet.
    pub(crate) fn unasked(router: &Arc<Router>, settings: &ModelSettings) -> Result<Self, SetupError> {
        let routes = router.routes(&settings.tiers.embed)?;
        let first = routes.first().ok_or(SetupError::NoServer)?.model.clone();
        let name = Some(settings.embedding.name.clone()).filter(|name| !name.is_empty()).unwrap_or(first);
        Ok(Self {
            router: Arc::clone(router),
            routes,
            settings: EmbeddingSettings { name, ..settings.embedding.clone() },
            dimension: settings.embedding.dimension.map(OnceLock::from).unwrap_or_default(),
            documents: Semaphore::new(DOCUMENT_BATCHES),
        })
    }

    async fn ask_for_dimension(&self) {
        // A word of the platform's own, on nobody's behalf.
        let (tenant, cloud_limit) = (TenantId::from_uuid(Uuid::nil()), Classification::Public);
        let request = EmbedRequest {
            caller: ModelCaller { tenant, user: None, cloud_limit },
            purpose: EmbedPurpose::Query,
            texts: vec!["dimension".to_owned()],
            classification: Classification::Public,
        };
        if let Err(error) = self.embed(request).await {
            tracing::warn!(model = self.settings.name, %error,
                "the embedding model does not answer yet; it is asked again with the first text");
        }
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

    async fn embed_batch(
        &self,
        purpose: EmbedPurpose,
        about: About,
        inputs: &[String],
    ) -> Result<(Vec<Vec<f32>>, CallUsage), ModelError> {
        let (_turn, limit) = match purpose {
            EmbedPurpose::Document => (self.documents.acquire().await.ok(), self.settings.documents_timeout),
            EmbedPurpose::Query => (None, self.settings.query_timeout),
        };
        let estimated = inputs.iter().map(|input| estimate::tokens(input)).sum::<usize>();
        let once = Once {
            operation: ModelOperation::Embeddings,
            tier: "embed",
            about,
            deadline: Instant::now() + limit,
            estimated: u32::try_from(estimated).unwrap_or(u32::MAX),
        };
        once.serve(&self.router, &self.routes, |attempt| async move {
            let answer = self.ask(&attempt, (about, once.deadline), inputs).await;
            (attempt, answer)
        })
        .await
    }

    async fn ask(
        &self,
        attempt: &Attempt,
        (about, deadline): (About, Instant),
        inputs: &[String],
    ) -> Result<Read<Vec<Vec<f32>>>, ModelError> {
        let (server, started) = (&attempt.backend.server, Instant::now());
        let body = EmbedBody {
            model: &attempt.model,
            input: inputs,
            encoding_format: "float",
            disable_fallbacks: server.forbids_fallbacks(about),
        };
        let response = server.post((Path::Embeddings, &attempt.model), &body, about, deadline).await;
        let response = response.map_err(|failure| failure.error)?;
        let told = Told::by(&response);
        let body = timeout_at(deadline, read_limited(server, response, MOST_BYTES)).await;
        let body = body.map_err(|_| server.timed_out(started))??;
        Ok(Read { told, ..self.read(server, &body, inputs.len())? })
    }

    /// The vectors in an answer: `count` of them, in the order of the texts, of the one dimension, of length 1.
    fn read(&self, server: &Server, body: &[u8], count: usize) -> Result<Read<Vec<Vec<f32>>>, ModelError> {
        let answer: Embeddings =
            serde_json::from_slice(body).map_err(|_| server.garbled("the answer is not the JSON of embeddings"))?;
        if let Some(error) = answer.error.as_ref().filter(|error| !error.is_null()) {
            return Err(ServerError::from_value(error).into_model_error(server.name()));
        }
        let mut vectors = vec![Vec::new(); count];
        for (at, embedded) in answer.data.into_iter().enumerate() {
            let slot = vectors.get_mut(embedded.index.unwrap_or(at));
            *slot.ok_or_else(|| server.garbled("there are more vectors than texts"))? = vector(server, embedded)?;
        }
        let value = self.of_one_dimension(server, vectors)?;
        Ok(Read { value, model: answer.model, usage: answer.usage, told: Told::default() })
    }

    /// The vectors, if all have as many numbers as every vector before them. The first ones settle how many.
    fn of_one_dimension(&self, server: &Server, vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, ModelError> {
        if vectors.iter().any(Vec::is_empty) {
            return Err(server.garbled("there are fewer vectors than texts"));
        }
        let Some(first) = vectors.first().map(Vec::len) else { return Ok(vectors) };
        let dimension = self.dimension.get().copied().unwrap_or(first);
        if let Some(other) = vectors.iter().find(|vector| vector.len() != dimension) {
            let reason = format!("a vector has {} numbers, not {dimension}", other.len());
            return Err(server.garbled(&reason));
        }
        self.dimension.get_or_init(|| dimension);
        Ok(vectors)
    }
}

fn vector(server: &Server, embedded: super::response::Embedded) -> Result<Vec<f32>, ModelError> {
    let numbers = match embedded.embedding {
        Some(Vector::Numbers(numbers)) => numbers,
        Some(Vector::Base64(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| server.garbled("a vector is not base64"))?;
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
        None => return Err(server.garbled("a vector is missing")),
    };
    normalized(numbers).ok_or_else(|| server.garbled("a vector has no direction"))
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    /// The name has the dimension, since an alias may come to mean another model. Until the first vector came the
    /// dimension is unknown, which shows as 0.
    fn model(&self) -> EmbeddingModel {
        let dimension = self.dimension.get().copied().unwrap_or(0);
        let name = format!("{}-{dimension}", self.settings.name);
        EmbeddingModel { name, dimension, max_tokens: self.settings.max_tokens }
    }

    fn highest_classification(&self, caller: &ModelCaller) -> Classification {
        self.router.highest(&self.routes, caller).unwrap_or(Classification::Restricted)
    }

    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let EmbedRequest { caller, purpose, texts, classification } = request;
        let about = About { caller, classification };
        let inputs: Vec<String> = texts.iter().map(|text| self.input(purpose, text)).collect();
        let mut all = EmbedResponse { vectors: Vec::with_capacity(inputs.len()), spent: CallUsage::default() };
        for batch in inputs.chunks(self.settings.batch.max(1)) {
            let (vectors, spent) = self.embed_batch(purpose, about, batch).await?;
            all.vectors.extend(vectors);
            all.spent = sum(all.spent, spent);
        }
        Ok(all)
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate::tokens(text)
    }
}

/// What two batches took together; the later one says who served.
fn sum(earlier: CallUsage, later: CallUsage) -> CallUsage {
    let (mut usage, mut cost, mut served_by) = (later.usage, later.cost, later.served_by);
    usage += earlier.usage;
    cost += earlier.cost;
    served_by.fallback |= earlier.served_by.fallback;
    let mut failed = earlier.served_by.failed;
    failed.append(&mut served_by.failed);
    CallUsage {
        served_by: ServedBy { failed, ..served_by },
        usage,
        estimated: earlier.estimated || later.estimated,
        cost,
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
