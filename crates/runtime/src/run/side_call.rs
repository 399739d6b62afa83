//! A model call in addition to those of a run: a small task on the user's text for the fast tier, such as a title.
//!
//! It is bounded in time and tokens, has no tools, names its task in the system message, and is recorded in the ledger
//! like the calls of the run. It is made only if the classification of the text allows it.

use super::budget::TokenEstimate;
use super::budget_reservation::{BudgetRequest, BudgetReserver};
use super::call_recorder::{CallRecorder, ReportedUsage};
use super::definition::Run;
use super::finish::ledger_entries;
use super::model_access;
use super::ports::RunPorts;
use crate::error::RuntimeError;
use crate::prompt::tokens::TokenCounter;
use domain::authorized::Permit;
use domain::budget::BudgetAmount;
use domain::classified::Classified;
use domain::error::Classify as _;
use domain::ledger::CallOrigin;
use domain::model::{ChatDelta, ChatOptions, ChatRequest, ExtractiveInput, ModelError, ModelTier, PromptMessage};
use domain::model_call::{CallStatus, ModelCaller};
use domain::run::TokenUsage;
use futures::StreamExt as _;
use std::time::Duration;

/// The tier that serves side calls.
const TIER: ModelTier = ModelTier::Fast;
/// Maximum length of a reply, in bytes; the rest is not read.
const MAX_REPLY_BYTES: usize = 4_096;

/// A task for the model, and the text that it is applied to.
pub struct SideCall {
    /// The system message: names the task and says what to answer.
    pub instructions: &'static str,
    /// The text that the task is applied to.
    pub input: Classified<String>,
    /// Maximum number of tokens of the reply.
    pub max_output_tokens: u32,
    /// Maximum time until the end of the reply.
    pub time_limit: Duration,
}

/// For whom a model is called beside a run.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    pub permit: &'a Permit,
    /// The caller that the request is attributed to.
    pub caller: &'a ModelCaller,
    /// Ids under which the call is recorded.
    pub origin: CallOrigin,
}

/// A call of a model with one system message and one user message.
pub struct ModelCall {
    pub tier: ModelTier,
    /// The system message: names the task and says what to answer.
    pub instructions: String,
    /// The text that the task is applied to.
    pub input: Classified<String>,
    /// Maximum number of tokens of the reply.
    pub max_output_tokens: u32,
    /// Maximum length of the reply, in bytes; the rest is not read.
    pub max_reply_bytes: usize,
    /// Maximum time until the end of the reply.
    pub time_limit: Duration,
    pub options: ChatOptions,
}

/// A model's reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelAnswer {
    pub text: String,
    pub usage: TokenUsage,
}

/// Makes the call on behalf of a run's user. Returns the reply; `None` if no language model may see the text, or if the
/// reply takes too long.
///
/// # Errors
/// If the remaining budget is too small, or the model or the store fails.
pub async fn ask(
    ports: &RunPorts,
    budgets: &BudgetReserver,
    run: &Run,
    call: SideCall,
) -> Result<Option<String>, RuntimeError> {
    let asker = Asker { permit: &run.permit, caller: &run.caller, origin: run.origin };
    let call = ModelCall {
        tier: TIER,
        instructions: call.instructions.to_owned(),
        input: call.input,
        max_output_tokens: call.max_output_tokens,
        max_reply_bytes: MAX_REPLY_BYTES,
        time_limit: call.time_limit,
        options: ChatOptions::default(),
    };
    match call_model(ports, budgets, asker, call).await {
        Ok(answer) => Ok(Some(answer.text)),
        Err(RuntimeError::ModelNotFound | RuntimeError::AboveModelClassification | RuntimeError::TimeLimit) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls a model, and records the call in the ledger.
///
/// # Errors
/// If no language model serves the tier or may see the text, the remaining budget is too small, the reply takes too
/// long, or the model or the store fails.
pub async fn call_model(
    ports: &RunPorts,
    budgets: &BudgetReserver,
    asker: Asker<'_>,
    call: ModelCall,
) -> Result<ModelAnswer, RuntimeError> {
    let (model, settings, tier) = (&*ports.model, &asker.permit.tenant().settings, call.tier);
    if !model.is_language_model() || !model.is_configured(tier) {
        return Err(RuntimeError::ModelNotFound);
    }
    if call.input.classification() > model_access::classification_limit(model, tier, asker.caller, settings) {
        return Err(RuntimeError::AboveModelClassification);
    }
    let (time_limit, max_reply_bytes) = (call.time_limit, call.max_reply_bytes);
    let mut request = call.into_request(asker.caller);
    let counter = TokenCounter::new(model.tokenizer(tier, asker.caller));
    let prompt_token_count = counter.prompt(request.prompt.content());
    let estimate =
        TokenEstimate { min_prompt: prompt_token_count, prompt: prompt_token_count, output: request.max_output_tokens };
    let price = model.highest_price(tier, asker.caller);
    let budget_request = BudgetRequest { budgets: settings.quotas.budgets(), estimate, price };
    let scope = asker.permit.scope();
    let mut tx = ports.store.begin(scope).await?;
    let mut budget = budgets.reserve(&mut *tx, scope, budget_request).await?;
    tx.commit().await?;
    if let Some(grant) = budget.grant_mut() {
        let affordable_tokens = grant.remaining(BudgetAmount::default()).max_output_tokens(prompt_token_count);
        request.max_output_tokens = request.max_output_tokens.min(affordable_tokens).max(1);
    }

    let mut calls = CallRecorder::default();
    calls.start(tier, prompt_token_count);
    let reply = read_reply(ports, request, &mut calls, max_reply_bytes);
    let reply = tokio::time::timeout(time_limit, reply).await;
    if let Ok(Err(error)) = &reply {
        calls.fail(error);
    }
    let entries = ledger_entries(ports, asker.origin, calls.close(CallStatus::Cancelled, None));
    let mut tx = ports.store.begin(scope).await?;
    tx.usage().record_calls(&entries).await?;
    if let Some(id) = budget.id() {
        tx.usage().release_reservation(id).await?;
    }
    tx.commit().await?;
    match reply {
        Ok(reply) => Ok(reply?),
        Err(_elapsed) => Err(RuntimeError::TimeLimit),
    }
}

impl ModelCall {
    fn into_request(self, caller: &ModelCaller) -> ChatRequest {
        let question = self.input.content().clone();
        let mut prompt = Classified::empty();
        // The system message gets the classification of the input, because both are sent as one prompt.
        prompt.push(Classified::new(PromptMessage::System(self.instructions), self.input.classification()));
        prompt.push(self.input.map(PromptMessage::User));
        ChatRequest {
            caller: caller.clone(),
            tier: self.tier,
            prompt,
            tools: Vec::new(),
            max_output_tokens: self.max_output_tokens,
            extractive_input: ExtractiveInput { question, ..ExtractiveInput::default() },
            options: self.options,
        }
    }
}

async fn read_reply(
    ports: &RunPorts,
    request: ChatRequest,
    calls: &mut CallRecorder,
    max_bytes: usize,
) -> Result<ModelAnswer, ModelError> {
    let mut stream = ports.model.stream(request).await?;
    calls.set_served_by(&stream.served_by);
    let mut text = String::new();
    while let Some(delta) = stream.deltas.next().await {
        match delta? {
            ChatDelta::Text(piece) => {
                calls.add_output_bytes(piece.len());
                text.push_str(&piece);
                if text.len() > max_bytes {
                    return Ok(ModelAnswer { text, usage: TokenUsage::default() });
                }
            }
            ChatDelta::Reasoning(text) => calls.add_output_bytes(text.len()),
            ChatDelta::ToolCall(_) => {}
            ChatDelta::Finished { reason, usage, tokens_estimated: estimated, cost } => {
                calls.finish(reason, ReportedUsage { usage, estimated, cost });
                return Ok(ModelAnswer { text, usage });
            }
        }
    }
    let backend = stream.served_by.backend.clone();
    Err(ModelError::Interrupted { backend, reason: "the stream ended before the reply was finished".to_owned() })
}

/// Logs a side call that failed. The run itself is not affected.
pub fn log_failure(task: &'static str, run: &Run, error: &RuntimeError) {
    let (run_id, code) = (run.id, error.code());
    tracing::warn!(%run_id, task, code, %error, "a side call failed");
}
