//! The embedded model as the platform's [`Embedder`].

use async_trait::async_trait;
use domain::{
    model::{EmbedPurpose, EmbeddingModel, ModelError},
    ports::Embedder,
};

use super::{LocalEmbedder, MODEL_NAME};

#[async_trait]
impl Embedder for LocalEmbedder {
    fn model(&self) -> EmbeddingModel {
        EmbeddingModel { name: MODEL_NAME.to_owned(), dimension: self.dimension(), max_tokens: self.max_tokens() }
    }

    async fn embed(&self, purpose: EmbedPurpose, texts: Vec<String>) -> Result<Vec<Vec<f32>>, ModelError> {
        // After loading, whatever fails is a defect and none of the text's doing.
        Self::embed(self, purpose, texts).await.map_err(|error| ModelError::Unavailable {
            backend: MODEL_NAME.to_owned(),
            reason: error.to_string(),
            retry_after: None,
        })
    }

    fn count_tokens(&self, text: &str) -> usize {
        Self::count_tokens(self, text)
    }
}
