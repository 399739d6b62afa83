//! Models without the assistant around them: which there are, an answer of one of them, texts as vectors.

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
use domain::command::{AskModel, CreateEmbeddings, GetModel, ListModels};
use domain::model::Embedded;
use domain::model_id::ModelId;
use domain::ports::{Directory, Embedder};
use domain::rights::{Permission, Rights};
use domain::run::EventStream;
use embeddings::Embeddings;
use std::sync::Arc;

/// The models use case.
pub struct ModelService {
    runner: Runner,
    direct: DirectPreparer,
    embeddings: Embeddings,
}

impl ModelService {
    /// A service that shares the models, limits and runs of the chat use case, over the embedding model in use.
    #[must_use]
    pub fn new(chat: ChatService, embedder: Arc<dyn Embedder>, directory: Arc<dyn Directory>) -> Self {
        let runner = chat.runner().clone();
        let (ports, budgets) = (runner.ports().clone(), runner.budgets().clone());
        let embeddings = Embeddings { ports: ports.clone(), embedder, directory: Arc::clone(&directory) };
        Self { runner, direct: DirectPreparer { ports, budgets, directory, settings: chat.settings() }, embeddings }
    }

    /// Whether a backend serves this model.
    fn serves(&self, id: ModelId) -> bool {
        let model = &*self.runner.ports().model;
        match id.tier() {
            Some(tier) if id.is_direct() => serves_directly(model, tier),
            Some(tier) => model.has(tier),
            None => !id.is_direct() || model.is_generative(),
        }
    }

    /// Whether a backend serves the model and these rights allow what it needs. A request to it is decided on its own.
    fn offers(&self, id: ModelId, rights: &Rights) -> bool {
        let (resource, operation) = id.needs();
        self.serves(id) && rights.allow(Permission::new(resource, operation))
    }
}

#[async_trait]
impl UseCase<ListModels> for ModelService {
    async fn execute(&self, command: Authorized<ListModels>) -> Result<Vec<ModelId>, RuntimeError> {
        let offered = |id: &ModelId| self.offers(*id, command.permit().rights());
        Ok(ModelId::ALL.iter().copied().filter(offered).collect())
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
        let (permit, command) = command.into_parts();
        let admission = self.runner.admit(permit.scope())?;
        let run = self.direct.prepare(permit, command).await?;
        Ok(self.runner.start(admission, run, DirectFinisher, Replay::Never))
    }
}

#[async_trait]
impl UseCase<CreateEmbeddings> for ModelService {
    async fn execute(&self, command: Authorized<CreateEmbeddings>) -> Result<Embedded, RuntimeError> {
        let (permit, command) = command.into_parts();
        self.embeddings.create(&permit, command).await
    }
}
