//! Records the model calls of a run, from start to end, for the ledger.
//!
//! A call that is cancelled or interrupted is recorded with an estimate of its usage so far, from its prompt and the
//! bytes that the model has written.

use domain::budget::BudgetAmount;
use domain::model::{ModelError, ModelTier};
use domain::model_call::{CallStatus, MicroCost, ModelCall, ModelOperation, ServedBy};
use domain::run::{FinishReason, TokenUsage};
use std::time::Duration;
use tokio::time::Instant;

/// The model calls of a run. They are made sequentially.
#[derive(Debug, Default)]
pub struct CallRecorder {
    completed: Vec<CompletedCall>,
    current: Option<CurrentCall>,
}

/// A call that has ended, and the tier that was asked.
#[derive(Debug)]
pub struct CompletedCall {
    pub tier: ModelTier,
    pub call: ModelCall,
}

/// The call in progress.
#[derive(Debug)]
struct CurrentCall {
    tier: ModelTier,
    started: Instant,
    time_to_first_token: Option<Duration>,
    /// Estimated tokens of the prompt.
    prompt_tokens: usize,
    output_bytes: usize,
    served_by: Option<ServedBy>,
}

/// Usage of a complete call, reported by the model server or estimated.
#[derive(Clone, Copy, Debug)]
pub struct ReportedUsage {
    pub usage: TokenUsage,
    /// Whether the usage is an estimate because the server does not count tokens.
    pub estimated: bool,
    pub cost: MicroCost,
}

impl CallRecorder {
    /// Records the start of a call to `tier` with a prompt of about `prompt_tokens`.
    pub fn start(&mut self, tier: ModelTier, prompt_tokens: usize) {
        let started = Instant::now();
        self.current = Some(CurrentCall {
            tier,
            started,
            time_to_first_token: None,
            prompt_tokens,
            output_bytes: 0,
            served_by: None,
        });
    }

    /// Records the backend that answers the call.
    pub fn set_served_by(&mut self, served_by: &ServedBy) {
        if let Some(call) = &mut self.current {
            call.served_by = Some(served_by.clone());
        }
    }

    /// Returns the name of the backend that answers the call in progress; empty if none does.
    pub fn current_backend(&self) -> &str {
        let served = self.current.as_ref().and_then(|call| call.served_by.as_ref());
        served.map_or("", |served| &served.backend)
    }

    /// Adds `bytes` that the model has written of its answer, reasoning or tool calls.
    pub fn add_output_bytes(&mut self, bytes: usize) {
        if let Some(call) = &mut self.current {
            call.time_to_first_token.get_or_insert_with(|| call.started.elapsed());
            call.output_bytes = call.output_bytes.saturating_add(bytes);
        }
    }

    /// Records that the call ended with a complete reply.
    pub fn finish(&mut self, reason: FinishReason, reported: ReportedUsage) {
        let Some(call) = self.current.take() else { return };
        let ReportedUsage { usage, estimated, cost } = reported;
        let (tier, finish_reason) = (call.tier, Some(reason));
        let call =
            ModelCall { usage, tokens_estimated: estimated, cost, finish_reason, ..call.end(CallStatus::Ok, None) };
        self.completed.push(CompletedCall { tier, call });
    }

    /// Records that the call failed. Does nothing if no backend is configured, because then no call was made.
    pub fn fail(&mut self, error: &ModelError) {
        let Some(call) = self.current.take() else { return };
        let (tier, took) = (call.tier, call.started.elapsed());
        let call = match (&call.served_by, error) {
            (Some(_), _) => call.end(CallStatus::Error, Some(error.error_type())),
            (None, ModelError::NotConfigured { .. }) => return,
            (None, _) => ModelCall::failed(ModelOperation::Chat, error, took),
        };
        self.completed.push(CompletedCall { tier, call });
    }

    /// Returns the total usage of the calls that have ended.
    pub fn total_spent(&self) -> BudgetAmount {
        let mut spent = BudgetAmount::default();
        for CompletedCall { call: ModelCall { usage, cost, .. }, .. } in &self.completed {
            let tokens = u64::from(usage.input_tokens) + u64::from(usage.output_tokens);
            spent += BudgetAmount { tokens, cost: *cost };
        }
        spent
    }

    /// Ends the call in progress, if any, and returns all calls.
    pub fn close(mut self, status: CallStatus, error: Option<&str>) -> Vec<CompletedCall> {
        if let Some(call) = self.current.take() {
            self.completed.push(CompletedCall { tier: call.tier, call: call.end(status, error) });
        }
        self.completed
    }
}

impl CurrentCall {
    /// Converts the call to a [`ModelCall`], with an estimate of its usage so far.
    fn end(self, status: CallStatus, error: Option<&str>) -> ModelCall {
        let tokens = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let output_tokens = tokens(self.output_bytes.div_ceil(3));
        let usage = TokenUsage { input_tokens: tokens(self.prompt_tokens), output_tokens };
        let served_by = self.served_by.unwrap_or_default();
        ModelCall {
            operation: ModelOperation::Chat,
            status,
            error: error.map(str::to_owned),
            finish_reason: None,
            usage,
            tokens_estimated: true,
            cost: served_by.price.cost(usage),
            served_by,
            duration: self.started.elapsed(),
            time_to_first_token: self.time_to_first_token,
        }
    }
}
