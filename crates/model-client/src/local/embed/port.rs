//! Implements the [`Embedder`] port for the in-process model.

use async_trait::async_trait;
use domain::{
    model::{CallUsage, EmbedRequest, EmbedResponse, EmbeddingModel, ModelError},
    model_call::ServedBy,
    ports::Embedder,
    run::TokenUsage,
};

use tracing::{Instrument as _, field};

use super::LocalEmbedder;

/// Backend name in the usage ledger.
const BACKEND_NAME: &str = "embedded";

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> EmbeddingModel {
        EmbeddingModel { name: self.name.to_owned(), dimension: self.dimension(), max_tokens: self.max_tokens() }
    }

    async fn embed(&self, request: EmbedRequest) -> Result<EmbedResponse, ModelError> {
        let EmbedRequest { purpose, texts, .. } = request;
        // Tokens beyond the limit are truncated and therefore not counted as usage.
        let max_tokens = self.max_tokens();
        let input_tokens = texts.iter().map(|text| Self::count_tokens(self, text).min(max_tokens)).sum::<usize>();
        let token_usage =
            TokenUsage { input_tokens: u32::try_from(input_tokens).unwrap_or(u32::MAX), output_tokens: 0 };
        let usage =
            CallUsage { served_by: ServedBy::embedded(BACKEND_NAME, self.name), token_usage, ..CallUsage::default() };
        // Once the model is loaded, every failure is internal; none is caused by the text.
        let span = tracing::debug_span!(
            "model call",
            otel.name = format!("embeddings {}", self.name),
            otel.status_code = field::Empty,
            gen_ai.operation.name = "embeddings",
            gen_ai.provider.name = BACKEND_NAME,
            gen_ai.request.model = self.name,
            gen_ai.usage.input_tokens = input_tokens,
            error.type = field::Empty,
        );
        let vectors = Self::embed(self, purpose, texts).instrument(span.clone()).await.map_err(|error| {
            let error = ModelError::Unavailable {
                backend: BACKEND_NAME.to_owned(),
                reason: error.to_string(),
                retry_after: None,
            };
            span.record("error.type", error.error_type());
            span.record("otel.status_code", "error");
            error
        })?;
        Ok(EmbedResponse { vectors, usage })
    }

    fn count_tokens(&self, text: &str) -> usize {
        Self::count_tokens(self, text)
    }
}
