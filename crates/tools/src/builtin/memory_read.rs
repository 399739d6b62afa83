//! The tool `memory_read`: returns what is remembered for the user.
//!
//! With a query, it finds memories by meaning. It computes missing vectors itself, when they are first needed: a user
//! has few memories, so a change of text or model needs no background job.

use super::arguments;
use crate::error::ToolError;
use crate::tool::{Tool, ToolContext};
use async_trait::async_trait;
use domain::classified::{Classified, HasClassification as _};
use domain::memory::{Memory, MemoryVector};
use domain::model::{EmbedPurpose, EmbedRequest, ModelError};
use domain::model_call::ModelCaller;
use domain::ports::{Embedder, Embedders, QueryVector, Store, StoreError};
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::text::QueryText;
use domain::tool::{ToolName, ToolResult, ToolSpec};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Maximum number of memories returned per call.
const MAX_MEMORIES: u32 = 50;
/// Default number of memories returned for a query.
const DEFAULT_NEAREST: u32 = 10;
/// Maximum number of vectors that one call computes; later calls compute the rest.
const MAX_NEW_VECTORS: u32 = 32;
/// Classification of every query.
const QUERY_CLASSIFICATION: Classification = Classification::Internal;

/// Returns the caller's memories: the most important first, or the nearest to a query.
pub struct MemoryRead {
    store: Arc<dyn Store>,
    embedders: Embedders,
}

/// Embeds memories and queries with the tenant's model.
struct MemoryEmbedder<'a> {
    store: &'a dyn Store,
    embedder: Arc<dyn Embedder>,
}

impl MemoryRead {
    /// A tool that reads memories from `store` and compares them with the tenant's model of `embedders`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, embedders: &Embedders) -> Self {
        Self { store, embedders: embedders.clone() }
    }

    /// The nearest memories, then the most important of those that could not be compared.
    async fn nearest(&self, context: &ToolContext, query: &str, limit: u32) -> Result<Vec<Memory>, StoreError> {
        let memory_embedder = self.memory_embedder(context).await?;
        let vector = match memory_embedder.add_vectors(context).await {
            Ok(()) => memory_embedder.query_vector(context, query).await,
            Err(error) => Err(error),
        };
        let mut found = Vec::new();
        let mut tx = self.store.begin(&context.tenant_scope).await?;
        match vector {
            Ok(components) => {
                let model = memory_embedder.embedder.model().name;
                let vector = QueryVector { components: &components, model: &model };
                found = tx.memories().nearest(&vector, context.admitted_at, context.clearance, limit).await?;
            }
            Err(MemoryError::Model(error)) => tracing::warn!(%error, "memories could not be compared with a query"),
            Err(MemoryError::Store(error)) => return Err(error),
        }
        for memory in tx.memories().most_important(context.admitted_at, context.clearance, limit).await? {
            if !found.iter().any(|known| known.id == memory.id) {
                found.push(memory);
            }
        }
        tx.commit().await?;
        found.truncate(limit as usize);
        Ok(found)
    }

    /// The tenant's model, as for its documents. Queries the database only if tenants use different models.
    async fn memory_embedder(&self, context: &ToolContext) -> Result<MemoryEmbedder<'_>, StoreError> {
        let store = &*self.store;
        if self.embedders.is_single() {
            return Ok(MemoryEmbedder { store, embedder: Arc::clone(&self.embedders.current) });
        }
        let mut tx = store.begin(&context.tenant_scope).await?;
        let model_in_use = tx.chunks().model_in_use().await?;
        let settings = tx.users().tenant_settings().await?;
        tx.commit().await?;
        let embedder = self.embedders.for_tenant(model_in_use.as_deref(), settings.language.as_deref());
        Ok(MemoryEmbedder { store, embedder: Arc::clone(embedder) })
    }
}

impl MemoryEmbedder<'_> {
    /// Computes the missing vectors of the memories that the embedding model may see. No transaction is open during the
    /// model call.
    async fn add_vectors(&self, context: &ToolContext) -> Result<(), MemoryError> {
        let max_classification = self.max_classification(context);
        let mut tx = self.store.begin(&context.tenant_scope).await?;
        let model = self.embedder.model().name;
        let memories =
            tx.memories().without_vector(&model, context.admitted_at, max_classification, MAX_NEW_VECTORS).await?;
        tx.commit().await?;
        if memories.is_empty() {
            return Ok(());
        }
        let texts = memories.iter().map(|memory| memory.content.clone()).collect();
        let classification = memories.classification();
        let vectors = self.embed(context, EmbedPurpose::Document, texts, classification).await?;
        let vectors: Vec<_> =
            memories.into_iter().zip(vectors).map(|(memory, components)| MemoryVector { memory, components }).collect();
        // The name contains the dimension, which may only be known after the first call.
        let model = self.embedder.model().name;
        let mut tx = self.store.begin(&context.tenant_scope).await?;
        tx.memories().store_vectors(&model, &vectors).await?;
        Ok(tx.commit().await?)
    }

    async fn query_vector(&self, context: &ToolContext, query: &str) -> Result<Vec<f32>, MemoryError> {
        let vectors = self.embed(context, EmbedPurpose::Query, vec![query.to_owned()], QUERY_CLASSIFICATION).await?;
        vectors.into_iter().next().ok_or_else(|| self.invalid_response("no vector"))
    }

    async fn embed(
        &self,
        context: &ToolContext,
        purpose: EmbedPurpose,
        texts: Vec<String>,
        classification: Classification,
    ) -> Result<Vec<Vec<f32>>, MemoryError> {
        if classification > self.max_classification(context).max(QUERY_CLASSIFICATION.min(self.model_limit(context))) {
            let requested = format!("{classification} content");
            return Err(MemoryError::Model(ModelError::NotConfigured { requested }));
        }
        let count = texts.len();
        let request = EmbedRequest { caller: caller(context), purpose, texts, classification };
        let vectors = context.model_call_recorder.embed(&*self.embedder, request).await?.vectors;
        if vectors.len() != count || !vectors.iter().flatten().all(|number| number.is_finite()) {
            return Err(self.invalid_response("vectors are missing or not finite"));
        }
        Ok(vectors)
    }

    /// The highest classification that the embedding model may see.
    fn model_limit(&self, context: &ToolContext) -> Classification {
        self.embedder.max_input_classification(&caller(context)).min(context.max_model_classification)
    }

    /// The highest classification of memories that are embedded for this caller.
    fn max_classification(&self, context: &ToolContext) -> Classification {
        self.model_limit(context).min(context.clearance)
    }

    fn invalid_response(&self, reason: &str) -> MemoryError {
        let backend = self.embedder.model().name;
        MemoryError::Model(ModelError::InvalidResponse { backend, reason: reason.to_owned() })
    }
}

fn caller(context: &ToolContext) -> ModelCaller {
    ModelCaller {
        tenant: context.tenant_scope.tenant(),
        user: context.tenant_scope.user(),
        max_cloud_classification: context.max_cloud_classification,
        conversation: None,
        privacy: context.privacy.clone(),
    }
}

/// Why memories could not be compared. After a model error, the call continues without comparison; a database error
/// fails the call.
#[derive(Debug, thiserror::Error)]
enum MemoryError {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to look for, and the number of memories.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    #[serde(default, deserialize_with = "arguments::optional_text")]
    query: Option<QueryText>,
    #[serde(default, deserialize_with = "arguments::optional_number::<_, 1, MAX_MEMORIES>")]
    limit: Option<u32>,
}

#[async_trait]
impl Tool for MemoryRead {
    type Arguments = Arguments;

    fn spec(&self) -> ToolSpec {
        let properties = json!({
            "query": {"type": "string", "minLength": 1, "maxLength": 2000,
                "description": "What to look for; the memories nearest in meaning come first. \
                    Without it, the most important ones."},
            "limit": {"type": "integer", "minimum": 1, "maximum": MAX_MEMORIES,
                "description": "Maximum number of memories to return; default 10 with a query, 50 without."},
        });
        ToolSpec {
            name: ToolName::MemoryRead.into(),
            description: "Read what the user asked the platform to remember.".into(),
            required_permission: Permission::new(Resource::Memories, Operation::List),
            writes_to_plant: false,
            parameters: arguments::schema(&properties, &[]),
        }
    }

    async fn run(&self, context: ToolContext, arguments: Arguments) -> Result<Classified<ToolResult>, ToolError> {
        let to_tool_error = ToolError::from_store(ToolName::MemoryRead);
        let memories = match arguments.query {
            Some(query) => {
                let limit = arguments.limit.unwrap_or(DEFAULT_NEAREST);
                self.nearest(&context, query.as_str(), limit).await.map_err(&to_tool_error)?
            }
            None => {
                let limit = arguments.limit.unwrap_or(MAX_MEMORIES);
                let mut tx = self.store.begin(&context.tenant_scope).await.map_err(&to_tool_error)?;
                let found = tx.memories().most_important(context.admitted_at, context.clearance, limit).await;
                tx.commit().await.map_err(&to_tool_error)?;
                found.map_err(&to_tool_error)?
            }
        };
        Ok(Classified::from_content(ToolResult::Memories(memories)))
    }
}
