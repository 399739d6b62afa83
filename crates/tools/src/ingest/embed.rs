//! From chunks to passages with vectors, in batches, within what the embedding model reads.

use super::accept::RetryLater;
use super::chunk::{Chunk, ChunkParams};
use super::pipeline::{ClassNow, Trouble};
use super::progress::Reporter;
use crate::calls::CallSheet;
use domain::document::NewChunk;
use domain::ids::ChunkId;
use domain::model::{EmbedPurpose, EmbedRequest, EmbeddingModel};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, IdGen};

/// Tokens that the model puts around each text: begin and end.
const SPECIAL_TOKENS: usize = 2;
/// Longest content of a chunk, in tokens, however much more the model reads: passages are cited, and a long one says
/// less precisely where an answer stands.
const MAX_CONTENT: usize = 450;

/// What an operator wants of the chunks; what is not said follows from the embedding model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chunking {
    /// Most tokens of a chunk's content.
    pub max_tokens: Option<usize>,
    /// Most tokens of whole sentences that a chunk repeats from the one before.
    pub overlap_tokens: Option<usize>,
}

/// How documents are cut for a model: content, title and heading path together fit what it reads, or the end of each
/// passage would silently not be embedded. 222 tokens of content for a model that reads 256, 446 for 512; wishes go no
/// further than the model reads, and an overlap is at most half of a chunk.
#[must_use]
pub fn chunk_params(model: &EmbeddingModel, wanted: Chunking) -> ChunkParams {
    let header = (model.max_tokens / 8).clamp(16, 64);
    let readable = model.max_tokens.saturating_sub(SPECIAL_TOKENS + header).max(16);
    let max_tokens = wanted.max_tokens.unwrap_or(MAX_CONTENT).clamp(16, readable);
    let overlap_tokens = wanted.overlap_tokens.unwrap_or(max_tokens / 10).min(max_tokens / 2);
    ChunkParams { max_tokens, overlap_tokens, min_tokens: 40.min(max_tokens / 2) }
}

/// How the chunks of a document are embedded.
pub(super) struct Embedding<'a> {
    pub(super) embedder: &'a dyn Embedder,
    /// Where the calls are noted.
    pub(super) models: &'a CallSheet,
    /// On whose behalf it is called.
    pub(super) caller: ModelCaller,
    /// Reads how the document is classified, which may change while it is embedded.
    pub(super) class: ClassNow<'a>,
    /// Makes the passages' ids.
    pub(super) ids: &'a dyn IdGen,
    /// The document's title.
    pub(super) title: &'a str,
    /// Chunks at a time: between two batches those of other documents have their turn.
    pub(super) batch: usize,
}

impl Embedding<'_> {
    /// Embeds chunks, each batch's text leaving the chunks as its passages come in.
    ///
    /// # Errors
    /// Where the model fails, answers with other vectors than asked for, or may not see the document any more.
    pub(super) async fn run(&self, chunks: Vec<Chunk>, reporter: &mut Reporter<'_>) -> Result<Vec<NewChunk>, Trouble> {
        let model = self.embedder.model();
        let count = chunks.len();
        let mut passages = Vec::with_capacity(count);
        let mut chunks = chunks.into_iter();
        while passages.len() < count {
            let batch: Vec<Chunk> = chunks.by_ref().take(self.batch.max(1)).collect();
            let texts = batch.iter().map(|chunk| chunk.embedded_text(self.title)).collect();
            let (caller, purpose) = (self.caller, EmbedPurpose::Document);
            let classification = self.class.for_model(self.embedder, &caller).await?;
            let request = EmbedRequest { caller, purpose, texts, classification };
            let embedded = self.models.embed(self.embedder, request).await.map_err(RetryLater::from)?;
            check(&embedded.vectors, batch.len(), &model)?;
            let pairs = batch.into_iter().zip(embedded.vectors);
            passages.extend(pairs.map(|(chunk, vector)| self.passage(chunk, vector)));
            reporter.embedded(passages.len(), count).await;
        }
        Ok(passages)
    }

    fn passage(&self, chunk: Chunk, embedding: Vec<f32>) -> NewChunk {
        NewChunk {
            id: ChunkId::from_uuid(self.ids.uuid()),
            chunk_index: to_i32(chunk.index),
            context: context(self.title, chunk.section.as_deref()),
            content: chunk.content,
            token_count: to_i32(chunk.token_count),
            page: chunk.page.map(to_i32),
            section: chunk.section,
            embedding,
        }
    }
}

/// One vector per text, of the model's dimension, made of numbers.
fn check(vectors: &[Vec<f32>], texts: usize, model: &EmbeddingModel) -> Result<(), RetryLater> {
    let fits = |vector: &Vec<f32>| vector.len() == model.dimension && vector.iter().all(|number| number.is_finite());
    if vectors.len() == texts && vectors.iter().all(fits) {
        return Ok(());
    }
    Err(RetryLater {
        reason: format!("the embedding model {} answered with vectors that do not fit", model.name),
        counts: true,
    })
}

/// What the lexical index reads beside the content.
fn context(title: &str, section: Option<&str>) -> String {
    match section {
        Some(section) => format!("{title}\n{section}"),
        None => title.to_owned(),
    }
}

/// Counts of one document are far below the limit; beyond it the highest number stands.
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
    fn content_and_header_fit_what_the_model_reads() {
        for (reads, content) in [(256, 222), (512, 446), (8192, 450)] {
            let params = chunk_params(&model(reads), Chunking::default());
            assert_eq!(params.max_tokens, content);
            assert!(params.overlap_tokens < params.min_tokens + 6 && params.min_tokens < params.max_tokens);
        }
    }

    #[test]
    fn wishes_go_no_further_than_the_model_reads() {
        let cut = |max_tokens, overlap_tokens| {
            let params = chunk_params(&model(256), Chunking { max_tokens, overlap_tokens });
            (params.max_tokens, params.overlap_tokens)
        };
        assert_eq!(cut(Some(120), None), (120, 12));
        assert_eq!(cut(Some(5_000), Some(0)), (222, 0));
        assert_eq!(cut(None, Some(5_000)), (222, 111));
    }

    #[test]
    fn vectors_that_are_too_few_too_short_or_no_numbers_are_not_indexed() {
        assert!(check(&[vec![1.0, 0.0]], 1, &model(256)).is_ok());
        for wrong in [vec![], vec![vec![1.0]], vec![vec![f32::NAN, 0.0]]] {
            assert!(check(&wrong, 1, &model(256)).is_err_and(|error| error.counts));
        }
    }
}
