//! Embeddings through OpenAI-compatible servers.

use super::http::{Endpoint, OpenAiClient, ProxyHeaders, RequestContext, read_limited};
use super::request::EmbedBody;
use super::response::{EmbeddingsResponse, ServerError, Vector};
use super::unary::{ParsedResponse, UnaryCall};
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

/// Maximum size of a response in bytes; 32 vectors of 4,096 numbers take about 3 MB as text.
const MAX_RESPONSE_BYTES: usize = 64 << 20;
/// Maximum number of concurrent document batches, so that the server has capacity left for queries.
const MAX_DOCUMENT_BATCHES: usize = 4;
/// Special tokens that a model adds to each text.
const SPECIAL_TOKENS: usize = 2;

/// An embedding model that is served by OpenAI-compatible servers. All routes must serve the same model.
pub struct OpenAiEmbedder {
    router: Arc<Router>,
    routes: Vec<Route>,
    settings: EmbeddingSettings,
    dimension: OnceLock<usize>,
    document_permits: Semaphore,
}

impl OpenAiEmbedder {
    /// Creates an embedder with the routes of the `embed` tier. Unless the dimension is configured, requests a vector
    /// to determine it; if no backend answers, the first later vector determines it.
    ///
    /// # Errors
    /// If the tier has no routes or refers to an unknown backend.
    pub async fn connect(router: &Arc<Router>, settings: &ModelSettings) -> Result<Self, SetupError> {
        let embedder = Self::new(router, settings)?;
        if embedder.dimension.get().is_none() {
            embedder.request_dimension().await;
        }
        Ok(embedder)
    }

    /// Like [`connect`](Self::connect), but sends no request to determine the dimension.
    pub(crate) fn new(router: &Arc<Router>, settings: &ModelSettings) -> Result<Self, SetupError> {
        let routes = router.routes(&settings.tiers.embed)?;
        let default_name = routes.first().ok_or(SetupError::NoEmbeddingRoute)?.model.clone();
        let name = Some(settings.embedding.name.clone()).filter(|name| !name.is_empty()).unwrap_or(default_name);
        Ok(Self {
            router: Arc::clone(router),
            routes,
            settings: EmbeddingSettings { name, ..settings.embedding.clone() },
            dimension: settings.embedding.dimension.map(OnceLock::from).unwrap_or_default(),
            document_permits: Semaphore::new(MAX_DOCUMENT_BATCHES),
        })
    }

    async fn request_dimension(&self) {
        // The text is fixed and public; no tenant data is sent.
        let (tenant, cloud_limit) = (TenantId::from_uuid(Uuid::nil()), Classification::Public);
        let request = EmbedRequest {
            caller: ModelCaller::without_privacy_rules(tenant, cloud_limit),
            purpose: EmbedPurpose::Query,
            texts: vec!["dimension".to_owned()],
            classification: Classification::Public,
        };
        if let Err(error) = self.embed(request).await {
            tracing::warn!(model = self.settings.name, %error,
                "the embedding model did not answer; its dimension will be determined by the first vector");
        }
    }

    /// The model's input for `text`: with the prefix for the purpose, truncated to the model's input limit.
    fn input(&self, purpose: EmbedPurpose, text: &str) -> String {
        let prefix = match purpose {
            EmbedPurpose::Query => &self.settings.query_prefix,
            EmbedPurpose::Document => &self.settings.document_prefix,
        };
        let max_text_tokens = self.settings.max_tokens.saturating_sub(SPECIAL_TOKENS + estimate::tokens(prefix));
        format!("{prefix}{}", estimate::truncate(text, max_text_tokens))
    }

    async fn embed_batch(
        &self,
        purpose: EmbedPurpose,
        context: RequestContext,
        inputs: &[String],
    ) -> Result<(Vec<Vec<f32>>, CallUsage), ModelError> {
        let (_permit, timeout) = match purpose {
            EmbedPurpose::Document => (self.document_permits.acquire().await.ok(), self.settings.documents_timeout),
            EmbedPurpose::Query => (None, self.settings.query_timeout),
        };
        let estimated_tokens = inputs.iter().map(|input| estimate::tokens(input)).sum::<usize>();
        let call = UnaryCall {
            operation: ModelOperation::Embeddings,
            tier: "embed",
            context,
            deadline: Instant::now() + timeout,
            estimated_input_tokens: u32::try_from(estimated_tokens).unwrap_or(u32::MAX),
        };
        call.serve(&self.router, &self.routes, |attempt| async move {
            let response = self.send_request(&attempt, call, inputs).await;
            (attempt, response)
        })
        .await
    }

    async fn send_request(
        &self,
        attempt: &Attempt,
        UnaryCall { context, deadline, .. }: UnaryCall,
        inputs: &[String],
    ) -> Result<ParsedResponse<Vec<Vec<f32>>>, ModelError> {
        let (client, started) = (&attempt.backend.client, Instant::now());
        let body = EmbedBody {
            model: &attempt.model,
            input: inputs,
            encoding_format: "float",
            disable_fallbacks: client.forbids_fallbacks(context),
        };
        let response = client.post(Endpoint::Embeddings, &attempt.model, &body, context, deadline).await;
        let response = response.map_err(|failure| failure.error)?;
        let proxy = ProxyHeaders::from_response(&response);
        let body = timeout_at(deadline, read_limited(client, response, MAX_RESPONSE_BYTES)).await;
        let body = body.map_err(|_| client.timed_out(started))??;
        Ok(ParsedResponse { proxy_headers: proxy, ..self.parse(client, &body, inputs.len())? })
    }

    /// Parses a response with `text_count` vectors and returns them in the order of the texts, scaled to length 1. All
    /// must have the same dimension.
    fn parse(
        &self,
        client: &OpenAiClient,
        body: &[u8],
        text_count: usize,
    ) -> Result<ParsedResponse<Vec<Vec<f32>>>, ModelError> {
        let parsed_body: EmbeddingsResponse = serde_json::from_slice(body)
            .map_err(|_| client.invalid_response("the body is not an embeddings object"))?;
        if let Some(error) = parsed_body.error.as_ref().filter(|error| !error.is_null()) {
            return Err(ServerError::from_value(error).into_model_error(client.name()));
        }
        let mut vectors = vec![Vec::new(); text_count];
        for (position, item) in parsed_body.data.into_iter().enumerate() {
            let slot = vectors.get_mut(item.index.unwrap_or(position));
            *slot.ok_or_else(|| client.invalid_response("there are more vectors than texts"))? =
                decode_vector(client, item)?;
        }
        let value = self.check_dimension(client, vectors)?;
        Ok(ParsedResponse {
            value,
            model: parsed_body.model,
            usage: parsed_body.usage,
            proxy_headers: ProxyHeaders::default(),
        })
    }

    /// Fails unless all vectors have the known dimension; if it is not known yet, the first vector determines it.
    fn check_dimension(&self, client: &OpenAiClient, vectors: Vec<Vec<f32>>) -> Result<Vec<Vec<f32>>, ModelError> {
        if vectors.iter().any(Vec::is_empty) {
            return Err(client.invalid_response("there are fewer vectors than texts"));
        }
        let Some(first_len) = vectors.first().map(Vec::len) else { return Ok(vectors) };
        let dimension = self.dimension.get().copied().unwrap_or(first_len);
        if let Some(mismatched_vector) = vectors.iter().find(|vector| vector.len() != dimension) {
            let reason = format!("the vector has {} dimensions, expected {dimension}", mismatched_vector.len());
            return Err(client.invalid_response(&reason));
        }
        self.dimension.get_or_init(|| dimension);
        Ok(vectors)
    }
}

fn decode_vector(client: &OpenAiClient, item: super::response::EmbeddingItem) -> Result<Vec<f32>, ModelError> {
    let numbers = match item.embedding {
        Some(Vector::Numbers(numbers)) => numbers,
        Some(Vector::Base64(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| client.invalid_response("a vector is not base64"))?;
            bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
        }
        None => return Err(client.invalid_response("a vector is missing")),
    };
    normalize(numbers).ok_or_else(|| client.invalid_response("a vector is zero or not finite"))
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    /// The name includes the dimension, because an alias at the server may later refer to another model. The dimension
    /// is 0 until the first vector arrives, unless it is configured.
    fn model(&self) -> EmbeddingModel {
        let dimension = self.dimension.get().copied().unwrap_or(0);
        let name = format!("{}-{dimension}", self.settings.name);
        EmbeddingModel { name, dimension, max_tokens: self.settings.max_tokens }
    }

    fn max_input_classification(&self, caller: &ModelCaller) -> Classification {
        self.router.max_input_classification(&self.routes, caller).unwrap_or(Classification::Restricted)
    }

    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let EmbedRequest { caller, purpose, texts, classification } = request;
        let context = RequestContext::new(&caller, classification);
        let inputs: Vec<String> = texts.iter().map(|text| self.input(purpose, text)).collect();
        let mut response = EmbedResponse { vectors: Vec::with_capacity(inputs.len()), usage: CallUsage::default() };
        for batch in inputs.chunks(self.settings.max_batch_size.max(1)) {
            let (vectors, batch_usage) = self.embed_batch(purpose, context, batch).await?;
            response.vectors.extend(vectors);
            response.usage = add_usage(response.usage, batch_usage);
        }
        Ok(response)
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate::tokens(text)
    }
}

/// Sums the usage of two batches; `served_by` is that of the later one, with the failed attempts of both.
fn add_usage(first_batch: CallUsage, second_batch: CallUsage) -> CallUsage {
    let (mut usage, mut cost, mut served_by) = (second_batch.token_usage, second_batch.cost, second_batch.served_by);
    usage += first_batch.token_usage;
    cost += first_batch.cost;
    served_by.fallback |= first_batch.served_by.fallback;
    let mut failed_attempts = first_batch.served_by.failed_attempts;
    failed_attempts.append(&mut served_by.failed_attempts);
    CallUsage {
        served_by: ServedBy { failed_attempts, ..served_by },
        token_usage: usage,
        tokens_estimated: first_batch.tokens_estimated || second_batch.tokens_estimated,
        cost,
    }
}

/// Scales `vector` to length 1; `None` for a zero vector, or one with NaN or infinite components.
fn normalize(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    Some(vector)
}
