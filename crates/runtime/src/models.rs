//! Models without the assistant around them: which there are, an answer of one, texts as vectors.

use crate::chat::ChatService;
use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::authorized::Authorized;
use domain::budget::{Amount, Budgets, Reservation, ReserveOutcome};
use domain::command::{AskModel, CreateEmbeddings, GetModel, ListModels};
use domain::ids::ReservationId;
use domain::ledger::CallContext;
use domain::model::{CallUsage, EmbedPurpose, EmbedRequest, EmbedResponse, ModelError};
use domain::model_call::{MicroCost, ModelCaller};
use domain::model_id::ModelId;
use domain::ports::{Directory, Embedder, StoreError};
use domain::retry;
use domain::rights::{Permission, Rights};
use domain::role::Classification;
use domain::run::EventStream;
use domain::scope::TenantScope;
use domain::upload::FieldError;
use std::sync::Arc;
use tools::calls::CallSheet;

/// Texts handed to the embedding model at once, so that searches get their turn in between.
const BATCH: usize = 32;

/// What a user writes is the tenant's own.
const CLASSIFICATION: Classification = Classification::Internal;
/// When what was set aside is free again if its process died.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::minutes(15);

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

impl ModelService {
    /// Whether something serves the model and these rights allow what it needs. Asking it is decided on its own, later.
    fn offers(&self, id: ModelId, rights: &Rights) -> bool {
        let (resource, operation) = id.needs();
        self.chat.serves(id) && rights.allow(Permission::new(resource, operation))
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
        if self.offers(id, command.permit().rights()) { Ok(id) } else { Err(RuntimeError::NoSuchModel) }
    }
}

#[async_trait]
impl UseCase<AskModel> for ModelService {
    async fn execute(&self, command: Authorized<AskModel>) -> Result<EventStream, RuntimeError> {
        self.chat.ask_model(command).await
    }
}

#[async_trait]
impl UseCase<CreateEmbeddings> for ModelService {
    async fn execute(&self, command: Authorized<CreateEmbeddings>) -> Result<EmbedResponse, RuntimeError> {
        let (permit, CreateEmbeddings { texts, purpose, dimensions }) = command.into_parts();
        let dimension = self.embedder.model().dimension;
        if dimensions.is_some_and(|wanted| wanted != dimension) {
            let detail = format!("must be {dimension}, which is what the model has");
            return Err(FieldError { pointer: "/dimensions".to_owned(), detail }.into());
        }
        let scope = permit.scope();
        let tenant = self.directory.tenant(&scope.tenant().to_string()).await?;
        let settings = tenant.map(|tenant| tenant.settings).unwrap_or_default();
        let caller = ModelCaller { tenant: scope.tenant(), user: scope.user(), cloud_limit: settings.cloud_limit() };
        if self.embedder.highest_classification(&caller) < CLASSIFICATION {
            return Err(RuntimeError::AboveModel);
        }
        let set_aside = self.set_aside(scope, settings.quotas.budgets()).await?;
        let sheet = CallSheet::default();
        let embedded = self.in_batches(&sheet, (caller, purpose), &texts).await;
        self.settle(scope, &sheet, set_aside).await?;
        Ok(embedded?)
    }
}

impl ModelService {
    async fn in_batches(
        &self,
        sheet: &CallSheet,
        (caller, purpose): (ModelCaller, EmbedPurpose),
        texts: &[String],
    ) -> Result<EmbedResponse, ModelError> {
        let (mut vectors, mut spent) = (Vec::with_capacity(texts.len()), CallUsage::default());
        for batch in texts.chunks(BATCH) {
            let request = EmbedRequest { caller, purpose, texts: batch.to_vec(), classification: CLASSIFICATION };
            let part = sheet.embed(&*self.embedder, request).await?;
            vectors.extend(part.vectors);
            spent.served_by = part.spent.served_by;
            spent.usage += part.spent.usage;
            spent.cost += part.spent.cost;
            spent.estimated |= part.spent.estimated;
        }
        Ok(EmbedResponse { vectors, spent })
    }

    /// Where cost is limited, nothing is embedded once nothing is left. What it will cost is not known beforehand, so the
    /// least amount there is, is set aside. Tokens of embeddings count towards no budget.
    async fn set_aside(&self, scope: &TenantScope, budgets: Budgets) -> Result<Option<ReservationId>, RuntimeError> {
        if !budgets.limits_cost() {
            return Ok(None);
        }
        let (parts, least) = (self.chat.parts(), Amount { tokens: 0, cost: MicroCost(1) });
        let (id, now) = (ReservationId::from_uuid(parts.ids.uuid()), parts.clock.now());
        let asked = Reservation { id, least, wanted: least, expires_at: now + FORGOTTEN_AFTER };
        let mut tx = parts.store.begin(scope).await?;
        match tx.usage().reserve(&asked, &budgets, now).await? {
            ReserveOutcome::Reserved { .. } => {
                tx.commit().await?;
                Ok(Some(id))
            }
            ReserveOutcome::Refused { limit, .. } => {
                let retry_after = (limit.period_ends(now) - now).to_std().unwrap_or_default();
                Err(RuntimeError::TokensUsedUp { limit, retry_after })
            }
        }
    }

    /// Puts the calls on record, those that failed among them, and gives back what was set aside.
    async fn settle(
        &self,
        scope: &TenantScope,
        sheet: &CallSheet,
        set_aside: Option<ReservationId>,
    ) -> Result<(), StoreError> {
        let parts = self.chat.parts();
        // Once: trying to store them again must not make new ones.
        let calls = sheet.take(&*parts.ids, (CallContext::default(), parts.clock.now()));
        let attempt = || async {
            let mut tx = parts.store.begin(scope).await?;
            tx.usage().record(&calls).await?;
            if let Some(id) = set_aside {
                tx.usage().release(id).await?;
            }
            tx.commit().await
        };
        retry::with_backoff(attempt, tokio::time::sleep).await
    }
}
