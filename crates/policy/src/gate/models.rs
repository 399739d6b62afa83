//! The gate's part for clients of the OpenAI-compatible surface.

use super::PolicyGate;
use super::pass::Closes;
use crate::caller::Caller;
use crate::error::GateError;
use async_trait::async_trait;
use domain::command::{AskAssistant, AskModel, CreateEmbeddings, GetModel, ListModels};
use domain::ids::ConversationId;
use domain::model::EmbedResponse;
use domain::model_id::ModelId;
use domain::rights::{Permission, Rights};
use domain::run::EventStream;
use runtime::error::RuntimeError;
use std::sync::Arc;

/// What clients of the OpenAI-compatible surface do, under the same rules as everything of [`super::Gate`].
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ModelGate: Send + Sync {
    /// Lists the models that the caller may use.
    async fn list_models(&self, by: &Caller, command: ListModels) -> Result<Vec<ModelId>, GateError>;
    /// Says whether there is a model that the caller may use.
    async fn get_model(&self, by: &Caller, command: GetModel) -> Result<ModelId, GateError>;
    /// Asks the plant's assistant; returns the conversation with the answer's events.
    async fn ask_assistant(
        &self,
        by: &Caller,
        command: AskAssistant,
    ) -> Result<(ConversationId, EventStream), GateError>;
    /// Asks a language model alone.
    async fn ask_model(&self, by: &Caller, command: AskModel) -> Result<EventStream, GateError>;
    /// Turns texts into vectors.
    async fn create_embeddings(&self, by: &Caller, command: CreateEmbeddings) -> Result<EmbedResponse, GateError>;
}

#[async_trait]
impl ModelGate for PolicyGate {
    async fn list_models(&self, by: &Caller, command: ListModels) -> Result<Vec<ModelId>, GateError> {
        let use_case = Arc::clone(&self.use_cases.models);
        self.pass(by, command, Closes::Gate, move |granted| async move {
            let rights = *granted.permit().rights();
            let served = use_case.list(granted).await?;
            Ok(served.into_iter().filter(|model| may_use(*model, &rights)).collect::<Vec<_>>())
        })
        .await
    }

    async fn get_model(&self, by: &Caller, command: GetModel) -> Result<ModelId, GateError> {
        let use_case = Arc::clone(&self.use_cases.models);
        self.pass(by, command, Closes::Gate, move |granted| async move {
            let rights = *granted.permit().rights();
            let model = use_case.get(granted).await?;
            if may_use(model, &rights) { Ok(model) } else { Err(RuntimeError::NoSuchModel) }
        })
        .await
    }

    async fn ask_assistant(
        &self,
        by: &Caller,
        command: AskAssistant,
    ) -> Result<(ConversationId, EventStream), GateError> {
        let use_case = Arc::clone(&self.use_cases.chat);
        self.pass(by, command, Closes::UseCase, move |granted| async move { use_case.ask(granted).await }).await
    }

    async fn ask_model(&self, by: &Caller, command: AskModel) -> Result<EventStream, GateError> {
        let use_case = Arc::clone(&self.use_cases.models);
        self.pass(by, command, Closes::UseCase, move |granted| async move { use_case.ask(granted).await }).await
    }

    async fn create_embeddings(&self, by: &Caller, command: CreateEmbeddings) -> Result<EmbedResponse, GateError> {
        let use_case = Arc::clone(&self.use_cases.models);
        self.pass(by, command, Closes::Gate, move |granted| async move { use_case.embed(granted).await }).await
    }
}

/// Whether these rights allow what a model needs. Asking it is decided on its own, later.
fn may_use(model: ModelId, rights: &Rights) -> bool {
    let (resource, operation) = model.needs();
    rights.allow(Permission::new(resource, operation))
}
