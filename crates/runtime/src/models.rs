//! Models without the assistant around them: which there are, an answer of one, texts as vectors.

use crate::chat::ChatService;
use crate::error::RuntimeError;
use crate::services::Models;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{AskModel, CreateEmbeddings, GetModel, ListModels};
use domain::model::{EmbedRequest, Embedded, Spent};
use domain::model_call::ModelCaller;
use domain::model_id::ModelId;
use domain::ports::{Directory, Embedder};
use domain::role::Classification;
use domain::run::EventStream;
use domain::upload::FieldError;
use std::sync::Arc;

/// Texts handed to the embedding model at once, so that searches get their turn in between.
const BATCH: usize = 32;

/// The models use case.
pub struct ModelService {
    chat: ChatService,
    embedder: Arc<dyn Embedder>,
    directory: Arc<dyn Directory>,
}

impl ModelService {
    /// Over the chat use case, whose models and places it shares, and the embedding model in use.
    #[must_use]
    pub fn new(chat: ChatService, embedder: Arc<dyn Embedder>, directory: Arc<dyn Directory>) -> Self {
        Self { chat, embedder, directory }
    }
}

#[async_trait]
impl Models for ModelService {
    async fn list(&self, _: Authorized<ListModels>) -> Result<Vec<ModelId>, RuntimeError> {
        Ok(ModelId::ALL.iter().copied().filter(|id| self.chat.serves(*id)).collect())
    }

    async fn get(&self, command: Authorized<GetModel>) -> Result<ModelId, RuntimeError> {
        let id = command.command().id;
        if self.chat.serves(id) { Ok(id) } else { Err(RuntimeError::NoSuchModel) }
    }

    async fn ask(&self, command: Authorized<AskModel>) -> Result<EventStream, RuntimeError> {
        self.chat.ask_model(command).await
    }

    async fn embed(&self, command: Authorized<CreateEmbeddings>) -> Result<Embedded, RuntimeError> {
        let (permit, CreateEmbeddings { texts, purpose, dimensions }) = command.into_parts();
        let dimension = self.embedder.model().dimension;
        if dimensions.is_some_and(|wanted| wanted != dimension) {
            let detail = format!("must be {dimension}, which is what the model has");
            return Err(FieldError { pointer: "/dimensions".to_owned(), detail }.into());
        }
        let scope = permit.scope();
        let tenant = self.directory.tenant(&scope.tenant().to_string()).await?;
        let cloud_limit = tenant.map(|tenant| tenant.settings).unwrap_or_default().cloud_limit();
        let caller = ModelCaller { tenant: scope.tenant(), user: scope.user(), cloud_limit };
        // What a user writes is the tenant's own.
        let classification = Classification::Internal;
        if self.embedder.highest_classification(&caller) < classification {
            return Err(RuntimeError::AboveModel);
        }
        let (mut vectors, mut spent) = (Vec::with_capacity(texts.len()), Spent::default());
        for batch in texts.chunks(BATCH) {
            let request = EmbedRequest { caller, purpose, texts: batch.to_vec(), classification };
            let part = self.embedder.embed(request).await?;
            vectors.extend(part.vectors);
            spent.served_by = part.spent.served_by;
            spent.usage += part.spent.usage;
            spent.cost += part.spent.cost;
            spent.estimated |= part.spent.estimated;
        }
        Ok(Embedded { vectors, spent })
    }
}
