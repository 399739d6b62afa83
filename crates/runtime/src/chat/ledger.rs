//! The calls to a language model that a turn makes, from begin to end, as they go into the ledger.
//!
//! A call that nobody waits for any more, or that breaks off, is on record with what it had come to: its prompt and what
//! was written of the answer, estimated.

use super::ChatService;
use super::allowance::Allowance;
use super::stream::End;
use domain::budget::Amount;
use domain::ids::ModelCallId;
use domain::ledger::{CallContext, LedgerEntry};
use domain::model::{ModelError, ModelTier};
use domain::model_call::{CallStatus, MicroCost, ModelCall, ModelOperation, ServedBy};
use domain::ports::{StoreError, TenantTx};
use domain::run::{FinishReason, TokenUsage};
use std::time::Duration;
use tokio::time::Instant;

/// The calls of a turn.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    ended: Vec<ModelCall>,
    under_way: Option<UnderWay>,
}

/// A call that has not ended.
#[derive(Debug)]
struct UnderWay {
    began: Instant,
    first_token: Option<Duration>,
    /// Tokens of the prompt, estimated.
    prompt: usize,
    /// Bytes written so far.
    written: usize,
    served_by: Option<ServedBy>,
}

/// What a call came to, as its model says at its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    pub(super) usage: TokenUsage,
    pub(super) estimated: bool,
    pub(super) cost: MicroCost,
}

impl CallLog {
    /// A reply is asked for, with a prompt of about so many tokens.
    pub(super) fn begin(&mut self, prompt: usize) {
        self.under_way =
            Some(UnderWay { began: Instant::now(), first_token: None, prompt, written: 0, served_by: None });
    }

    /// A backend begins to answer.
    pub(super) fn served(&mut self, by: &ServedBy) {
        if let Some(call) = &mut self.under_way {
            call.served_by = Some(by.clone());
        }
    }

    /// The next piece came: of the answer, or of what the model thinks or asks for before.
    pub(super) fn wrote(&mut self, bytes: usize) {
        if let Some(call) = &mut self.under_way {
            call.first_token.get_or_insert_with(|| call.began.elapsed());
            call.written = call.written.saturating_add(bytes);
        }
    }

    /// The reply is complete.
    pub(super) fn finished(&mut self, reason: FinishReason, counted: Counted) {
        let Some(call) = self.under_way.take() else { return };
        let Counted { usage, estimated, cost } = counted;
        let finish_reason = Some(reason);
        self.ended.push(ModelCall { usage, estimated, cost, finish_reason, ..call.end(CallStatus::Ok, None) });
    }

    /// The reply broke off, or nothing came. Where nobody was asked there was no call.
    pub(super) fn failed(&mut self, error: &ModelError) {
        let Some(call) = self.under_way.take() else { return };
        match (&call.served_by, error) {
            (Some(_), _) => self.ended.push(call.end(CallStatus::Error, Some(error.error_type()))),
            (None, ModelError::NotConfigured { .. }) => {}
            (None, _) => self.ended.push(ModelCall::failed(ModelOperation::Chat, error, call.began.elapsed())),
        }
    }

    /// What the calls that have ended came to.
    pub(super) fn spent(&self) -> Amount {
        let mut spent = Amount::default();
        for ModelCall { usage, cost, .. } in &self.ended {
            let tokens = u64::from(usage.input_tokens) + u64::from(usage.output_tokens);
            spent += Amount { tokens, cost: *cost };
        }
        spent
    }

    /// All of them; one that is under way ends as the turn does.
    pub(super) fn close(mut self, end: &End) -> Vec<ModelCall> {
        if let Some(call) = self.under_way.take() {
            self.ended.push(match end {
                End::Failed(problem) => call.end(CallStatus::Error, Some(problem.code)),
                End::Finished(_) | End::Cancelled | End::Revoked(_) => call.end(CallStatus::Cancelled, None),
            });
        }
        self.ended
    }
}

impl UnderWay {
    /// The call with what it has come to so far.
    fn end(self, status: CallStatus, error: Option<&str>) -> ModelCall {
        let tokens = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let usage = TokenUsage { input_tokens: tokens(self.prompt), output_tokens: tokens(self.written.div_ceil(3)) };
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
            took: self.began.elapsed(),
            first_token: self.first_token,
        }
    }
}

impl ChatService {
    /// The calls of a turn as entries of the ledger. Make them once: trying to store them again must not make new ones.
    pub(super) fn entries(&self, calls: Vec<ModelCall>, tier: ModelTier, context: CallContext) -> Vec<LedgerEntry> {
        let at = self.parts.clock.now();
        let entry = |call| LedgerEntry {
            id: ModelCallId::from_uuid(self.parts.ids.uuid()),
            at,
            context,
            tier: Some(tier),
            // Quoting costs nothing.
            metered: self.parts.model.is_generative(),
            call,
        };
        calls.into_iter().map(entry).collect()
    }
}

/// Settles a turn: its calls go on record, and count, and what it had set aside is given back.
pub(super) async fn settle(
    tx: &mut dyn TenantTx,
    calls: &[LedgerEntry],
    allowance: &Allowance,
) -> Result<(), StoreError> {
    tx.usage().record(calls).await?;
    match allowance.reservation() {
        Some(id) => tx.usage().release(id).await,
        None => Ok(()),
    }
}
