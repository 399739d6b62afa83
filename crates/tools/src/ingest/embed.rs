//! Embeds chunks in batches.

use super::chunk::Chunk;
use super::failure::{CurrentClassification, ProcessError};
use super::interface::RetryLater;
use super::progress::ProgressReporter;
use crate::calls::CallRecorder;
use crate::retrieval::passage_terms;
use domain::document::NewChunk;
use domain::ids::ChunkId;
use domain::model::{EmbedPurpose, EmbedRequest, EmbeddingModel};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, IdGen};

/// Embeds the chunks of one document.
pub(super) struct ChunkEmbedder<'a> {
    pub(super) embedder: &'a dyn Embedder,
    /// Records the model calls.
    pub(super) model_call_recorder: &'a CallRecorder,
    /// Tenant and user that the model calls are attributed to.
    pub(super) caller: ModelCaller,
    /// Re-reads the document's classification before each batch, because a user may change it during ingestion.
    pub(super) classification: CurrentClassification<'a>,
    /// Supplies the ids of the new chunks.
    pub(super) ids: &'a dyn IdGen,
    /// The document's file name.
    pub(super) filename: &'a str,
    /// The document's title.
    pub(super) title: &'a str,
    /// Number of chunks per request. Requests for other documents can run between two batches.
    pub(super) batch_size: usize,
}

impl ChunkEmbedder<'_> {
    /// Embeds the chunks in order and reports the progress after each batch.
    ///
    /// # Errors
    /// When the model fails or returns invalid vectors, when the document's classification is above what the model may
    /// see, or when the database fails.
    pub(super) async fn run(
        &self,
        chunks: Vec<Chunk>,
        reporter: &mut ProgressReporter<'_>,
    ) -> Result<Vec<NewChunk>, ProcessError> {
        let model = self.embedder.model();
        let count = chunks.len();
        let mut passages = Vec::with_capacity(count);
        let mut chunks = chunks.into_iter();
        while passages.len() < count {
            let batch: Vec<Chunk> = chunks.by_ref().take(self.batch_size.max(1)).collect();
            let texts = batch.iter().map(|chunk| chunk.embedded_text(self.title)).collect();
            let (caller, purpose) = (self.caller.clone(), EmbedPurpose::Document);
            let classification = self.classification.for_model(self.embedder, &caller).await?;
            let request = EmbedRequest { caller, purpose, texts, classification };
            let response = self.model_call_recorder.embed(self.embedder, request).await.map_err(RetryLater::from)?;
            check_vectors(&response.vectors, batch.len(), &model)?;
            let pairs = batch.into_iter().zip(response.vectors);
            passages.extend(pairs.map(|(chunk, vector)| self.new_chunk(chunk, vector)));
            reporter.report_embedded(passages.len(), count).await;
        }
        Ok(passages)
    }

    fn new_chunk(&self, chunk: Chunk, embedding: Vec<f32>) -> NewChunk {
        NewChunk {
            id: ChunkId::from_uuid(self.ids.uuid()),
            chunk_index: to_i32(chunk.index),
            context: lexical_context(self.title, chunk.section.as_deref()),
            term_hashes: Some(passage_terms(self.filename, self.title, chunk.section.as_deref(), &chunk.content)),
            content: chunk.content,
            token_count: to_i32(chunk.token_count),
            page: chunk.page.map(to_i32),
            section: chunk.section,
            embedding,
        }
    }
}

/// Checks that there is one vector per text, each with the model's dimension and only finite components.
fn check_vectors(vectors: &[Vec<f32>], expected_count: usize, model: &EmbeddingModel) -> Result<(), RetryLater> {
    let is_valid =
        |vector: &Vec<f32>| vector.len() == model.dimension && vector.iter().all(|number| number.is_finite());
    if vectors.len() == expected_count && vectors.iter().all(is_valid) {
        return Ok(());
    }
    Err(RetryLater {
        reason: format!("the embedding model {} returned too few, too many or invalid vectors", model.name),
        counts_as_attempt: true,
    })
}

/// Title and heading path, which the lexical index covers in addition to the content.
fn lexical_context(title: &str, section: Option<&str>) -> String {
    match section {
        Some(section) => format!("{title}\n{section}"),
        None => title.to_owned(),
    }
}

/// Converts a count to `i32`; larger values become `i32::MAX`.
fn to_i32(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(max_tokens: usize) -> EmbeddingModel {
        EmbeddingModel { name: "m".into(), dimension: 2, max_tokens }
    }

    #[test]
    fn vectors_that_are_too_few_too_short_or_not_finite_are_refused() {
        assert!(check_vectors(&[vec![1.0, 0.0]], 1, &model(256)).is_ok());
        for invalid_vectors in [vec![], vec![vec![1.0]], vec![vec![f32::NAN, 0.0]]] {
            assert!(check_vectors(&invalid_vectors, 1, &model(256)).is_err_and(|error| error.counts_as_attempt));
        }
    }
}
