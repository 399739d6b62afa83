//! Records the model calls of a run, from start to end, for the ledger.
//!
//! A call that is cancelled or interrupted is recorded with an estimate of what it had used: its prompt and what the
//! model had written.

use domain::budget::Amount;
use domain::model::ModelError;
use domain::model_call::{CallStatus, MicroCost, ModelCall, ModelOperation, ServedBy};
use domain::run::{FinishReason, TokenUsage};
use std::time::Duration;
use tokio::time::Instant;

/// The model calls of a run. They happen one after the other.
#[derive(Debug, Default)]
pub struct CallRecorder {
    ended: Vec<ModelCall>,
    current: Option<CurrentCall>,
}

/// A call that has not ended.
#[derive(Debug)]
struct CurrentCall {
    started: Instant,
    first_token: Option<Duration>,
    /// Tokens of the prompt, estimated.
    prompt_tokens: usize,
    written_bytes: usize,
    served_by: Option<ServedBy>,
}

/// What a complete call used, as the model server reports it.
#[derive(Clone, Copy, Debug)]
pub struct ReportedUsage {
    pub usage: TokenUsage,
    /// Whether the usage is an estimate because the server does not count tokens.
    pub estimated: bool,
    pub cost: MicroCost,
}

impl CallRecorder {
    /// A call starts, with a prompt of about `prompt_tokens`.
    pub fn start(&mut self, prompt_tokens: usize) {
        let started = Instant::now();
        self.current =
            Some(CurrentCall { started, first_token: None, prompt_tokens, written_bytes: 0, served_by: None });
    }

    /// A backend begins to answer.
    pub fn served(&mut self, by: &ServedBy) {
        if let Some(call) = &mut self.current {
            call.served_by = Some(by.clone());
        }
    }

    /// The model wrote another piece: of the answer, its reasoning or a tool call.
    pub fn wrote(&mut self, bytes: usize) {
        if let Some(call) = &mut self.current {
            call.first_token.get_or_insert_with(|| call.started.elapsed());
            call.written_bytes = call.written_bytes.saturating_add(bytes);
        }
    }

    /// The call ended with a complete reply.
    pub fn finished(&mut self, reason: FinishReason, reported: ReportedUsage) {
        let Some(call) = self.current.take() else { return };
        let ReportedUsage { usage, estimated, cost } = reported;
        let finish_reason = Some(reason);
        self.ended.push(ModelCall { usage, estimated, cost, finish_reason, ..call.end(CallStatus::Ok, None) });
    }

    /// The call failed. It is not recorded if no backend is configured, because then no call was made.
    pub fn failed(&mut self, error: &ModelError) {
        let Some(call) = self.current.take() else { return };
        match (&call.served_by, error) {
            (Some(_), _) => self.ended.push(call.end(CallStatus::Error, Some(error.error_type()))),
            (None, ModelError::NotConfigured { .. }) => {}
            (None, _) => self.ended.push(ModelCall::failed(ModelOperation::Chat, error, call.started.elapsed())),
        }
    }

    /// What the calls that have ended used.
    pub fn spent(&self) -> Amount {
        let mut spent = Amount::default();
        for ModelCall { usage, cost, .. } in &self.ended {
            let tokens = u64::from(usage.input_tokens) + u64::from(usage.output_tokens);
            spent += Amount { tokens, cost: *cost };
        }
        spent
    }

    /// Ends the call under way, if any, and returns all calls.
    pub fn close(mut self, status: CallStatus, error: Option<&str>) -> Vec<ModelCall> {
        if let Some(call) = self.current.take() {
            self.ended.push(call.end(status, error));
        }
        self.ended
    }
}

impl CurrentCall {
    /// The call with an estimate of what it has used so far.
    fn end(self, status: CallStatus, error: Option<&str>) -> ModelCall {
        let tokens = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let output_tokens = tokens(self.written_bytes.div_ceil(3));
        let usage = TokenUsage { input_tokens: tokens(self.prompt_tokens), output_tokens };
        let served_by = self.served_by.unwrap_or_default();
        ModelCall {
            operation: ModelOperation::Chat,
            status,
            error: error.map(str::to_owned),
            finish_reason: None,
            usage,
            estimated: true,
            cost: served_by.price.of(usage),
            served_by,
            took: self.started.elapsed(),
            first_token: self.first_token,
        }
    }
}
