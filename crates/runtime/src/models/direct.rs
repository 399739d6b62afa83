//! A run with a client's own messages and tools: no documents, no rules of the platform in the prompt, nothing stored
//! but the audit rows and the call in the ledger.
//!
//! A client's messages have the class of the user's own words at least. What assistants and tools said may come from
//! anything that the user may read, so then it is the user's clearance; nothing is asked if the model may not see that.

use crate::chat::ChatSettings;
use crate::error::RuntimeError;
use crate::prompt::nonce::TagNonce;
use crate::run::agent::{Agent, Limits, Toolbox};
use crate::run::answer::AnswerFormat;
use crate::run::budget::BudgetReservation;
use crate::run::definition::Run;
use crate::run::finish::{FinishedRun, Finisher};
use crate::run::material::Material;
use crate::run::model_access;
use crate::run::ports::RunPorts;
use crate::run::reserve::{BudgetRequest, BudgetReserver};
use crate::run::tier::{self, TierCriteria};
use async_trait::async_trait;
use domain::audit::{AuditSubject, EventType};
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::command::AskModel;
use domain::error::{ErrorKind, Problem};
use domain::ids::{MessageId, RunId};
use domain::ledger::CallContext;
use domain::model::{ModelError, ModelTier, PromptMessage};
use domain::ports::{ChatModel, Directory, StoreError, TenantTx};
use domain::role::{Classification, Resource};
use domain::scope::TenantScope;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Prepares runs with a client's own messages.
pub(super) struct DirectPreparer {
    pub ports: RunPorts,
    pub budgets: BudgetReserver,
    pub directory: Arc<dyn Directory>,
    pub settings: ChatSettings,
}

impl DirectPreparer {
    /// Reserves budget, if something is limited; reads and writes nothing else.
    ///
    /// # Errors
    /// If no backend serves the model, the model may not see the messages, too little budget is left, or the store
    /// fails.
    pub async fn prepare(&self, permit: Permit, command: AskModel) -> Result<Run, RuntimeError> {
        let model = &*self.ports.model;
        let AskModel { messages, model: choice, tools, options, max_output_tokens } = command;
        let criteria = TierCriteria {
            question: last_question(&messages),
            documents: 0,
            client_tools: tools.len(),
            has_heavy: serves_directly(model, ModelTier::Heavy),
        };
        let tier = tier::choose(choice, criteria);
        if !serves_directly(model, tier.tier) {
            return Err(RuntimeError::ModelNotFound);
        }
        let tenant = self.directory.tenant(&permit.scope().tenant().to_string()).await?;
        let settings = tenant.map(|tenant| tenant.settings).unwrap_or_default();
        let caller = model_access::caller(permit.scope(), &settings);
        let model_limit = model_access::classification_limit(model, tier.tier, &caller, &settings);
        let class = class_of(&messages, &permit);
        if class > model_limit {
            return Err(RuntimeError::AboveModelClassification);
        }
        let limits = self.limits(max_output_tokens);
        let (tools, format) = (Toolbox::Client(tools), AnswerFormat::Verbatim);
        let agent = Agent { instructions: None, tools, tier, options, format, limits };
        let material = Material::Messages(Classified::new(messages, class));
        let price = model.highest_price(tier.tier, &caller);
        let estimate = material.token_estimate(&agent);
        let request = BudgetRequest { budgets: settings.quotas.budgets(), estimate, price };
        let budget = self.reserve(permit.scope(), request).await?;
        let id = RunId::from_uuid(self.ports.ids.uuid());
        let context = CallContext { conversation: None, run: Some(id) };
        // No message is stored: the id of the run stands for that of the answer.
        let answer_id = MessageId::from_uuid(id.as_uuid());
        let nonce = TagNonce::new(self.ports.ids.uuid());
        Ok(Run { id, permit, caller, context, answer_id, agent, material, model_limit, nonce, budget })
    }

    /// Limits of a run that ends as soon as its reader is gone. Only what the client asks for is reserved for the
    /// reply.
    fn limits(&self, max_output_tokens: Option<u32>) -> Limits {
        let limits = self.settings.limits(max_output_tokens, Duration::ZERO);
        Limits { reply_tokens: limits.max_output_tokens, ..limits }
    }

    /// Reserves budget in a transaction of its own. Without limits there is no transaction.
    async fn reserve(&self, scope: &TenantScope, request: BudgetRequest) -> Result<BudgetReservation, RuntimeError> {
        if request.budgets.is_unlimited() {
            return Ok(BudgetReservation::default());
        }
        let mut tx = self.ports.store.begin(scope).await?;
        let budget = self.budgets.reserve(&mut *tx, scope, request).await?;
        tx.commit().await?;
        Ok(budget)
    }
}

/// Whether a backend serves this tier to clients with their own prompt. The extractive answerer reads no prompt.
pub(super) fn serves_directly(model: &dyn ChatModel, tier: ModelTier) -> bool {
    model.has(tier) && model.is_generative()
}

/// The class of a client's messages: that of the user's own words, or the user's clearance if assistants or tools are
/// quoted.
fn class_of(messages: &[PromptMessage], permit: &Permit) -> Classification {
    let quoted =
        |message: &PromptMessage| matches!(message, PromptMessage::Assistant { .. } | PromptMessage::Tool { .. });
    if messages.iter().any(quoted) { permit.clearance() } else { permit.rights().class_of_own_words() }
}

/// The last message of the user; empty if there is none.
fn last_question(messages: &[PromptMessage]) -> &str {
    let user = messages.iter().rev().find_map(|message| match message {
        PromptMessage::User(text) => Some(text.as_str()),
        _ => None,
    });
    user.unwrap_or_default()
}

/// Completes direct runs: nothing is stored beside the call and the outcome.
pub(super) struct DirectFinisher;

#[async_trait]
impl Finisher for DirectFinisher {
    type Record = ();

    /// The request is the client's own, tools and formats included: if the model server refuses it, retrying does not
    /// help.
    fn problem(&self, error: &RuntimeError) -> Problem {
        let mut problem = Problem::of(error);
        if is_refused(error) {
            problem.kind = ErrorKind::Malformed;
            problem.code = "model_refused";
            let detail =
                "The model server refuses the request as it is; look at its tools, response_format and options.";
            problem.detail = Some(detail.to_owned());
        }
        problem
    }

    fn audit_subject(&self, finished: &FinishedRun<'_>) -> AuditSubject {
        let FinishedRun { run, progress, summary, problem, .. } = finished;
        let tier = run.agent.tier;
        let mut metadata = json!({
            "mode": "direct", "client_tools": run.agent.tools.client_tools(), "run_id": run.id,
            "tier": tier.tier, "escalated": tier.escalated,
            "backend": progress.model.served_by.as_ref().map(|served| &served.backend),
            "fallback": summary.fallback,
            "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "classification": run.material.class(),
        });
        if let Some(problem) = problem {
            metadata["reason"] = problem.code.into();
        }
        AuditSubject {
            event: EventType::CHAT_RESPONSE,
            resource: Some(Resource::Models),
            resource_id: None,
            session: None,
            request_hash: None,
            metadata,
        }
    }

    fn record(&self, _: FinishedRun<'_>) {}

    async fn store(&self, _: &mut dyn TenantTx, _: &Run, (): &()) -> Result<(), StoreError> {
        Ok(())
    }

    fn unstored_metadata(&self, _: &Run, _: &StoreError) -> Option<Value> {
        None
    }
}

/// Whether the model server refused the request as it is.
fn is_refused(error: &RuntimeError) -> bool {
    match error {
        RuntimeError::Model(ModelError::Exhausted { last, .. }) => matches!(**last, ModelError::Refused { .. }),
        RuntimeError::Model(error) => matches!(error, ModelError::Refused { .. }),
        _ => false,
    }
}
