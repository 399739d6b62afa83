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
use domain::budget::BudgetAmount;
use domain::classified::Classified;
use domain::error::Classify as _;
use domain::model::{ChatDelta, ChatOptions, ChatRequest, ExtractiveInput, ModelError, ModelTier, PromptMessage};
use domain::model_call::CallStatus;
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
    let (model, settings) = (&*ports.model, &run.permit.tenant().settings);
    let model_limit = model_access::classification_limit(model, TIER, &run.caller, settings);
    if !model.is_language_model() || !model.is_configured(TIER) || call.input.classification() > model_limit {
        return Ok(None);
    }
    let time_limit = call.time_limit;
    let mut request = call.into_request(run);
    let counter = TokenCounter::new(model.tokenizer(TIER, &run.caller));
    let prompt_token_count = counter.prompt(request.prompt.content());
    let estimate =
        TokenEstimate { min_prompt: prompt_token_count, prompt: prompt_token_count, output: request.max_output_tokens };
    let price = model.highest_price(TIER, &run.caller);
    let budget_request = BudgetRequest { budgets: settings.quotas.budgets(), estimate, price };
    let mut tx = ports.store.begin(run.permit.scope()).await?;
    let mut budget = budgets.reserve(&mut *tx, run.permit.scope(), budget_request).await?;
    tx.commit().await?;
    if let Some(grant) = budget.grant_mut() {
        let affordable_tokens = grant.remaining(BudgetAmount::default()).max_output_tokens(prompt_token_count);
        request.max_output_tokens = request.max_output_tokens.min(affordable_tokens).max(1);
    }

    let mut calls = CallRecorder::default();
    calls.start(TIER, prompt_token_count);
    let reply = tokio::time::timeout(time_limit, read_reply(ports, request, &mut calls)).await;
    if let Ok(Err(error)) = &reply {
        calls.fail(error);
    }
    let entries = ledger_entries(ports, run, calls.close(CallStatus::Cancelled, None));
    let mut tx = ports.store.begin(run.permit.scope()).await?;
    tx.usage().record_calls(&entries).await?;
    if let Some(id) = budget.id() {
        tx.usage().release_reservation(id).await?;
    }
    tx.commit().await?;
    Ok(reply.ok().transpose()?)
}

impl SideCall {
    fn into_request(self, run: &Run) -> ChatRequest {
        let question = self.input.content().clone();
        let mut prompt = Classified::empty();
        // The system message gets the classification of the input, because both are sent as one prompt.
        prompt.push(Classified::new(PromptMessage::System(self.instructions.to_owned()), self.input.classification()));
        prompt.push(self.input.map(PromptMessage::User));
        ChatRequest {
            caller: run.caller.clone(),
            tier: TIER,
            prompt,
            tools: Vec::new(),
            max_output_tokens: self.max_output_tokens,
            extractive: ExtractiveInput { question, ..ExtractiveInput::default() },
            options: ChatOptions::default(),
        }
    }
}

async fn read_reply(ports: &RunPorts, request: ChatRequest, calls: &mut CallRecorder) -> Result<String, ModelError> {
    let mut stream = ports.model.stream(request).await?;
    calls.set_served_by(&stream.served_by);
    let mut reply = String::new();
    while let Some(delta) = stream.deltas.next().await {
        match delta? {
            ChatDelta::Text(text) => {
                calls.add_output_bytes(text.len());
                reply.push_str(&text);
                if reply.len() > MAX_REPLY_BYTES {
                    return Ok(reply);
                }
            }
            ChatDelta::Reasoning(text) => calls.add_output_bytes(text.len()),
            ChatDelta::ToolCall(_) => {}
            ChatDelta::Finished { reason, usage, tokens_estimated: estimated, cost } => {
                calls.finish(reason, ReportedUsage { usage, estimated, cost });
                return Ok(reply);
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
