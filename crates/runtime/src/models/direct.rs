//! Direct requests: runs with a client's own messages and tools. No documents are searched, the platform adds nothing
//! to the prompt, and only the audit rows and the ledger entry of the call are stored.
//!
//! The client's messages have at least the classification of user input. If they contain assistant or tool messages,
//! these may come from anything that the user may read, so the classification is the user's clearance. If the model may
//! not see content of that classification, it is not called.

use crate::chat::ChatSettings;
use crate::error::RuntimeError;
use crate::privacy;
use crate::prompt::nonce::TagNonce;
use crate::prompt::tokens::TokenCounter;
use crate::run::agent::{Agent, RunLimits, ToolSet};
use crate::run::answer::AnswerFormat;
use crate::run::budget_reservation::{BudgetRequest, BudgetReserver};
use crate::run::definition::Run;
use crate::run::finish::{FinishedRun, Finisher};
use crate::run::input::RunInput;
use crate::run::model_access;
use crate::run::ports::RunPorts;
use crate::run::tier::{self, TierCriteria};
use async_trait::async_trait;
use domain::audit::{AuditedOperation, EventType};
use domain::authorized::{Authorized, Permit};
use domain::classified::Classified;
use domain::command::AskModel;
use domain::error::{ErrorKind, Problem};
use domain::ids::{MessageId, RunId};
use domain::ledger::CallOrigin;
use domain::model::{ModelTier, PromptMessage};
use domain::ports::{ChatModel, StoreError, TenantTx};
use domain::role::{Classification, Resource};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Prepares direct runs.
pub(super) struct DirectPreparer {
    pub ports: RunPorts,
    pub budgets: BudgetReserver,
    pub settings: ChatSettings,
}

impl DirectPreparer {
    /// Prepares a run, reserves from the budget if it is limited, and commits.
    ///
    /// # Errors
    /// If no backend serves the model, the privacy rules block the messages, the model may not see them, the remaining
    /// budget is too small, or the store fails.
    pub async fn prepare(&self, command: Authorized<AskModel>) -> Result<Run, RuntimeError> {
        let mut tx = command.begin(&*self.ports.store).await?;
        let (permit, command) = command.into_parts();
        let model = &*self.ports.model;
        let AskModel { messages, model: choice, tools, options, max_output_tokens } = command;
        let criteria = TierCriteria {
            question: last_question(&messages),
            document_count: 0,
            client_tool_count: tools.len(),
            has_heavy: serves_directly(model, ModelTier::Heavy),
        };
        let tier = tier::choose(choice, criteria);
        if !serves_directly(model, tier.tier) {
            return Err(RuntimeError::ModelNotFound);
        }
        let settings = &permit.tenant().settings;
        let caller = model_access::caller(permit.scope(), settings);
        let personal_data = privacy::check(&*self.ports.privacy, &caller, texts_of_user(&messages))?;
        let model_limit = model_access::classification_limit(model, tier.tier, &caller, settings);
        let classification = classification_of(&messages, &permit);
        if classification > model_limit {
            return Err(RuntimeError::AboveModelClassification);
        }
        let limits = self.limits(max_output_tokens);
        let (tools, format) = (ToolSet::Client(tools), AnswerFormat::Verbatim);
        let counter = TokenCounter::new(model.tokenizer(tier.tier, &caller));
        let agent = Agent { tools, tier, options, format, counter, limits, required_tool: None };
        let input = RunInput::Messages(Classified::new(messages, classification));
        let price = model.highest_price(tier.tier, &caller);
        let estimate = input.token_estimate(&agent);
        let request = BudgetRequest { budgets: settings.quotas.budgets(), estimate, price };
        let budget = self.budgets.reserve(&mut *tx, permit.scope(), request).await?;
        tx.commit().await?;
        let id = RunId::from_uuid(self.ports.ids.uuid());
        let origin = CallOrigin { conversation: None, run: Some(id) };
        // No message is stored, so the run's id is used as the id of the answer.
        let answer_id = MessageId::from_uuid(id.as_uuid());
        let nonce = TagNonce::new(self.ports.ids.uuid());
        let search_admission = None;
        Ok(Run {
            id,
            permit,
            caller,
            personal_data,
            origin,
            answer_id,
            agent,
            input,
            model_classification_limit: model_limit,
            nonce,
            search_admission,
            tag_search_admission: None,
            team_permits: Vec::new(),
            source_teams: BTreeSet::new(),
            budget,
            goal_step: None,
            specialist: None,
            orchestration: None,
        })
    }

    /// Returns the limits of a run that ends as soon as its reader disconnects. If the client limits the reply, only
    /// that many tokens are reserved for it.
    fn limits(&self, max_output_tokens: Option<u32>) -> RunLimits {
        let limits = self.settings.limits(max_output_tokens, Duration::ZERO);
        RunLimits { reserved_reply_tokens: limits.max_output_tokens, ..limits }
    }
}

/// Returns whether a backend serves direct requests to this tier. The extractive answerer cannot, since it reads no
/// prompt.
pub(super) fn serves_directly(model: &dyn ChatModel, tier: ModelTier) -> bool {
    model.is_configured(tier) && model.is_language_model()
}

/// Returns the classification of a client's messages: that of user input, or the user's clearance if there are
/// assistant or tool messages.
fn classification_of(messages: &[PromptMessage], permit: &Permit) -> Classification {
    let may_quote_documents =
        |message: &PromptMessage| matches!(message, PromptMessage::Assistant { .. } | PromptMessage::Tool { .. });
    if messages.iter().any(may_quote_documents) {
        permit.clearance()
    } else {
        permit.rights().own_message_classification()
    }
}

/// Returns the texts that the client and its user wrote. Answers and tool results may quote others.
fn texts_of_user(messages: &[PromptMessage]) -> impl Iterator<Item = &str> {
    messages.iter().filter_map(|message| match message {
        PromptMessage::System(text) | PromptMessage::User(text) => Some(text.as_str()),
        PromptMessage::Assistant { .. } | PromptMessage::Tool { .. } => None,
    })
}

/// Returns the last user message, or an empty string if there is none.
fn last_question(messages: &[PromptMessage]) -> &str {
    let user_text = messages.iter().rev().find_map(|message| match message {
        PromptMessage::User(text) => Some(text.as_str()),
        _ => None,
    });
    user_text.unwrap_or_default()
}

/// Completes direct runs. Stores nothing besides the call and the audit outcome.
pub(super) struct DirectFinisher;

#[async_trait]
impl Finisher for DirectFinisher {
    type Record = ();

    /// The client wrote the whole request, tools and formats included, so retrying does not help if the model server
    /// rejects it.
    fn problem(&self, error: &RuntimeError) -> Problem {
        let mut problem = Problem::from_error(error);
        if error.is_rejected_by_model_server() {
            problem.kind = ErrorKind::Malformed;
            problem.code = "model_refused";
            let detail = "The model server rejected the request; check its tools, response_format and options.";
            problem.detail = Some(detail.to_owned());
        }
        problem
    }

    fn audited_operation(&self, finished: &FinishedRun<'_>) -> AuditedOperation {
        let FinishedRun { run, progress, summary, problem, .. } = finished;
        let tier = run.agent.tier;
        let mut metadata = json!({
            "mode": "direct", "client_tools": run.agent.tools.client_tool_count(), "run_id": run.id,
            "tier": tier.tier, "escalated": tier.escalation,
            "backend": progress.model.served_by.as_ref().map(|served| &served.backend),
            "fallback": summary.fallback,
            "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "classification": run.input.classification(),
        });
        if let Some(privacy) = finished.privacy_metadata() {
            metadata["privacy"] = privacy;
        }
        if let Some(problem) = problem {
            metadata["reason"] = problem.code.into();
        }
        AuditedOperation {
            event: EventType::CHAT_RESPONSE,
            resource: Some(Resource::Models),
            resource_id: None,
            conversation_id: None,
            request_hash: None,
            metadata,
        }
    }

    fn create_record(&self, _: FinishedRun<'_>) {}

    async fn store(&self, _: &mut dyn TenantTx, _: &Run, (): &()) -> Result<(), StoreError> {
        Ok(())
    }

    fn metadata_if_store_fails(&self, _: &Run, _: &StoreError) -> Option<Value> {
        None
    }
}
