//! Direct access to models, without the assistant: lists models, answers direct requests and creates embeddings.

mod direct;
mod embeddings;

use crate::chat::ChatService;
use crate::error::RuntimeError;
use crate::run::Replay;
use crate::run::runner::Runner;
use crate::use_case::UseCase;
use async_trait::async_trait;
use direct::{DirectFinisher, DirectPreparer, serves_directly};
use domain::authorized::Authorized;
use domain::backend_health::BackendHealth;
use domain::command::{AskModel, CreateEmbeddings, GetModel, ListBackends, ListModels};
use domain::model::EmbedResponse;
use domain::model_id::ModelId;
use domain::ports::Embedder;
use domain::rights::{Permission, Rights};
use domain::run::EventStream;
use embeddings::EmbeddingService;
use std::sync::Arc;

/// Use cases for direct access to models.
pub struct ModelService {
    runner: Runner,
    direct_preparer: DirectPreparer,
    embeddings: EmbeddingService,
}

impl ModelService {
    /// Creates the service. It shares models, limits and runner with `chat`.
    #[must_use]
    pub fn new(chat: ChatService, embedder: Arc<dyn Embedder>) -> Self {
        let runner = chat.runner().clone();
        let (ports, budgets) = (runner.ports().clone(), runner.budgets().clone());
        let embeddings = EmbeddingService { ports: ports.clone(), embedder };
        Self { runner, direct_preparer: DirectPreparer { ports, budgets, settings: chat.settings() }, embeddings }
    }

    /// Returns whether a backend serves this model.
    fn serves(&self, id: ModelId) -> bool {
        let model = &*self.runner.ports().model;
        match id.tier() {
            Some(tier) if id.is_direct() => serves_directly(model, tier),
            Some(tier) => model.is_configured(tier),
            None => !id.is_direct() || model.is_language_model(),
        }
    }

    /// Returns whether a backend serves the model and these rights include the operations that it needs. Only used for
    /// listing; the gate authorizes each request to the model.
    fn offers(&self, id: ModelId, rights: &Rights) -> bool {
        let (resource, operation) = id.required_permission();
        self.serves(id) && rights.allows(Permission::new(resource, operation))
    }
}

#[async_trait]
impl UseCase<ListModels> for ModelService {
    async fn execute(&self, command: Authorized<ListModels>) -> Result<Vec<ModelId>, RuntimeError> {
        let is_offered = |id: &ModelId| self.offers(*id, command.permit().rights());
        Ok(ModelId::ALL.iter().copied().filter(is_offered).collect())
    }
}

#[async_trait]
impl UseCase<ListBackends> for ModelService {
    async fn execute(&self, _command: Authorized<ListBackends>) -> Result<Vec<BackendHealth>, RuntimeError> {
        Ok(self.runner.ports().model.backends())
    }
}

#[async_trait]
impl UseCase<GetModel> for ModelService {
    async fn execute(&self, command: Authorized<GetModel>) -> Result<ModelId, RuntimeError> {
        let id = command.command().id;
        if self.offers(id, command.permit().rights()) { Ok(id) } else { Err(RuntimeError::ModelNotFound) }
    }
}

#[async_trait]
impl UseCase<AskModel> for ModelService {
    async fn execute(&self, command: Authorized<AskModel>) -> Result<EventStream, RuntimeError> {
        let admission = self.runner.admit(command.scope())?;
        let run = self.direct_preparer.prepare(command).await?;
        Ok(self.runner.start(admission, run, DirectFinisher, Replay::Never))
    }
}

#[async_trait]
impl UseCase<CreateEmbeddings> for ModelService {
    async fn execute(&self, command: Authorized<CreateEmbeddings>) -> Result<EmbedResponse, RuntimeError> {
        self.embeddings.create(command).await
    }
}
