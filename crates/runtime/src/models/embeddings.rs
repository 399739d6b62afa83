//! Creates embeddings for clients that run their own search.

use crate::error::RuntimeError;
use crate::privacy;
use crate::run::budget::budget_exceeded;
use crate::run::model_access;
use crate::run::ports::RunPorts;
use chrono::TimeDelta;
use domain::authorized::Authorized;
use domain::budget::{BudgetAmount, Budgets, ReservationOutcome, ReservationRequest};
use domain::command::CreateEmbeddings;
use domain::ids::ReservationId;
use domain::ledger::CallOrigin;
use domain::model::{CallUsage, EmbedPurpose, EmbedRequest, EmbedResponse, ModelError};
use domain::model_call::{MicroCost, ModelCaller, ServedBy};
use domain::ports::{Embedder, StoreError, TenantTx};
use domain::retry;
use domain::role::Classification;
use domain::scope::TenantScope;
use domain::upload::FieldError;
use std::sync::Arc;
use tools::calls::CallRecorder;

/// Number of texts per call of the embedding model. Small, so that searches can use the model between two batches.
const BATCH_SIZE: usize = 32;
/// Classification of user input.
const INPUT_CLASSIFICATION: Classification = Classification::Internal;
/// Time after which a reservation expires if its process died.
const RESERVATION_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// Creates embeddings within the cost budget.
pub(super) struct EmbeddingService {
    pub ports: RunPorts,
    pub embedder: Arc<dyn Embedder>,
}

impl EmbeddingService {
    /// Returns one vector per text, in order.
    ///
    /// # Errors
    /// If the model has another dimension, may not see user input, or fails; if the privacy rules block a text; if the
    /// cost budget is used up; or if the store fails.
    pub async fn create(&self, command: Authorized<CreateEmbeddings>) -> Result<EmbedResponse, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, command) = command.into_parts();
        let CreateEmbeddings { texts, purpose, dimensions } = command;
        let dimension = self.embedder.model().dimension;
        if dimensions.is_some_and(|requested| requested != dimension) {
            let detail = format!("must be {dimension}, the dimension of the model");
            return Err(FieldError { pointer: "/dimensions".to_owned(), detail }.into());
        }
        let scope = permit.scope();
        let settings = &permit.tenant().settings;
        let caller = model_access::caller(scope, settings);
        privacy::check(&*self.ports.privacy, &caller, texts.iter().map(String::as_str))?;
        if self.embedder.max_input_classification(&caller) < INPUT_CLASSIFICATION {
            return Err(RuntimeError::AboveModelClassification);
        }
        let reservation = self.reserve(&mut *tx, settings.quotas.budgets()).await?;
        tx.commit().await?;
        let calls = CallRecorder::default();
        let result = self.embed(&calls, caller, purpose, &texts).await;
        self.settle(scope, &calls, reservation).await?;
        Ok(result?)
    }

    /// Embeds batch by batch and adds up the usage of the batches.
    async fn embed(
        &self,
        calls: &CallRecorder,
        caller: ModelCaller,
        purpose: EmbedPurpose,
        texts: &[String],
    ) -> Result<EmbedResponse, ModelError> {
        let (mut vectors, mut usage) = (Vec::with_capacity(texts.len()), CallUsage::default());
        for batch in texts.chunks(BATCH_SIZE) {
            let (caller, texts) = (caller.clone(), batch.to_vec());
            let request = EmbedRequest { caller, purpose, texts, classification: INPUT_CLASSIFICATION };
            let response = calls.embed(&*self.embedder, request).await?;
            vectors.extend(response.vectors);
            let mut replaced = std::mem::take(&mut usage.served_by.replacement_counts);
            replaced.merge(&response.usage.served_by.replacement_counts);
            usage.served_by = ServedBy { replacement_counts: replaced, ..response.usage.served_by };
            usage.token_usage += response.usage.token_usage;
            usage.cost += response.usage.cost;
            usage.tokens_estimated |= response.usage.tokens_estimated;
        }
        Ok(EmbedResponse { vectors, usage })
    }

    /// Reserves the smallest possible cost, because the actual cost is not known in advance. The reservation fails once
    /// the budget is used up. Embedding tokens do not count towards any budget.
    async fn reserve(&self, tx: &mut dyn TenantTx, budgets: Budgets) -> Result<Option<ReservationId>, RuntimeError> {
        if !budgets.limits_cost() {
            return Ok(None);
        }
        let minimum = BudgetAmount { tokens: 0, cost: MicroCost(1) };
        let (id, now) = (ReservationId::from_uuid(self.ports.ids.uuid()), self.ports.clock.now());
        let reservation_request =
            ReservationRequest { id, minimum, requested: minimum, expires_at: now + RESERVATION_LIFETIME };
        match tx.usage().reserve(&reservation_request, &budgets, now).await? {
            ReservationOutcome::Reserved { .. } => Ok(Some(id)),
            ReservationOutcome::Refused { limit, .. } => Err(budget_exceeded(limit, now)),
        }
    }

    /// Stores the calls, including failed ones, and releases the reservation.
    async fn settle(
        &self,
        scope: &TenantScope,
        calls: &CallRecorder,
        reservation: Option<ReservationId>,
    ) -> Result<(), StoreError> {
        // Created once, outside of the retry: the ids make repeated attempts idempotent.
        let entries = calls.drain_ledger_entries(&*self.ports.ids, CallOrigin::default(), self.ports.clock.now());
        let attempt = || async {
            let mut tx = self.ports.store.begin(scope).await?;
            tx.usage().record_calls(&entries).await?;
            if let Some(id) = reservation {
                tx.usage().release_reservation(id).await?;
            }
            tx.commit().await
        };
        retry::with_backoff(attempt, tokio::time::sleep).await
    }
}
