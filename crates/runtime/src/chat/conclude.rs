//! The end of a turn, in one transaction: the answer with its citations and class, its calls to the model, the outcome
//! row.

use super::ChatService;
use super::ledger::settle;
use super::stream::{Draft, End};
use super::turn::Turn;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::conversation::{FinishedAnswer, MessageStatus};
use domain::error::{Classify as _, Problem};
use domain::ids::AuditId;
use domain::ledger::LedgerEntry;
use domain::ports::StoreError;
use domain::retry;
use domain::role::Resource;
use domain::run::{FinishReason, RunEvent, RunSummary};
use serde_json::json;

impl ChatService {
    /// Stores the answer with its citations and the outcome row, in one transaction, and says how the run ended.
    pub(super) async fn conclude(&self, turn: &Turn, mut draft: Draft, end: End) -> RunEvent {
        let (status, result, finish_reason) = match &end {
            End::Finished(reason) => (MessageStatus::Complete, ResultStatus::Success, *reason),
            End::Cancelled => (MessageStatus::Cancelled, ResultStatus::Cancelled, FinishReason::Cancelled),
            End::Revoked(_) => (MessageStatus::Cancelled, ResultStatus::Denied, FinishReason::Cancelled),
            End::Failed(_) => (MessageStatus::Error, ResultStatus::Error, FinishReason::Error),
        };
        let summary = RunSummary {
            finish_reason,
            usage: draft.usage,
            model: draft.served_by.as_ref().map_or_else(|| turn.chosen.tier.as_str().to_owned(), |s| s.model.clone()),
            degraded: draft.degraded || draft.left_out > 0,
            fallback: draft.fallback,
            left_out: draft.left_out,
            message_id: turn.answer_id,
        };
        let calls = self.entries(std::mem::take(&mut draft.calls).close(&end), turn.chosen.tier, turn.context());
        let mut outcome = outcome(turn, &draft, &summary, result);
        if let End::Revoked(problem) = &end {
            outcome.subject.metadata["reason"] = problem.code.into();
        }
        let answer = FinishedAnswer {
            content: draft.citer.into_text(),
            status,
            token_count: i32::try_from(summary.usage.output_tokens).ok().filter(|tokens| *tokens > 0),
            citations: draft.citations,
            model: draft.served_by.map(|served| served.model),
            classification: draft.classification,
            sources: draft.sources,
            metadata: json!({
                "run_id": turn.run_id, "finish_reason": finish_reason, "degraded": summary.degraded,
                "tier": turn.chosen.tier, "escalated": turn.chosen.escalated,
                "fallback": summary.fallback,
                "left_out": summary.left_out, "usage": summary.usage,
            }),
        };
        let stored = self.store_answer(turn, &answer, (&outcome, &calls)).await;
        match (stored, end) {
            (Err(error), _) => RunEvent::Failed(Problem::of(&error)),
            (Ok(_), End::Failed(problem)) => RunEvent::Failed(problem),
            (Ok(id), End::Revoked(problem)) => RunEvent::Failed(Problem { decision: Some(id), ..problem }),
            (Ok(_), _) => RunEvent::Finished(summary),
        }
    }

    /// Tries for ten minutes: what was generated should not be lost to a database that restarts. An answer that cannot be
    /// stored at all leaves its outcome nevertheless.
    async fn store_answer(
        &self,
        turn: &Turn,
        answer: &FinishedAnswer,
        (outcome, calls): (&Outcome, &[LedgerEntry]),
    ) -> Result<AuditId, StoreError> {
        let id = AuditId::from_uuid(self.parts.ids.uuid());
        let attempt = || self.try_store_answer(turn, answer, (id, outcome, calls));
        let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await else { return Ok(id) };
        tracing::error!(run_id = %turn.run_id, error = %error, "an answer could not be stored");
        let mut lost = Outcome { status: ResultStatus::Error, model: None, ..outcome.clone() };
        lost.subject.metadata = json!({ "run_id": turn.run_id, "error": error.code() });
        let attempt = || self.close(turn, (id, &lost), calls);
        if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
            tracing::error!(run_id = %turn.run_id, error = %error, "nor could its outcome be recorded");
        }
        Err(error)
    }

    async fn try_store_answer(
        &self,
        turn: &Turn,
        answer: &FinishedAnswer,
        (id, outcome, calls): (AuditId, &Outcome, &[LedgerEntry]),
    ) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.begin(turn.permit.scope()).await?;
        // A commit whose answer was lost is tried again: what it did is not done twice, since each call is on record by
        // its id.
        tx.messages().finish(turn.answer_id, answer).await?;
        settle(&mut *tx, calls, &turn.allowance).await?;
        tx.audit().outcome(id, turn.permit.receipt(), outcome, now).await?;
        tx.commit().await
    }

    async fn close(
        &self,
        turn: &Turn,
        (id, outcome): (AuditId, &Outcome),
        calls: &[LedgerEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin(turn.permit.scope()).await?;
        settle(&mut *tx, calls, &turn.allowance).await?;
        tx.audit().outcome(id, turn.permit.receipt(), outcome, self.parts.clock.now()).await?;
        tx.commit().await
    }
}

fn outcome(turn: &Turn, draft: &Draft, summary: &RunSummary, status: ResultStatus) -> Outcome {
    let mut cited: Vec<_> = draft.citations.iter().map(|citation| citation.document_id).collect();
    cited.sort_unstable();
    cited.dedup();
    let served = draft.served_by.as_ref();
    let subject = AuditSubject {
        event: EventType::CHAT_RESPONSE,
        resource: Some(Resource::Conversations),
        resource_id: Some(turn.conversation.as_uuid()),
        session: Some(turn.conversation),
        request_hash: None,
        metadata: json!({
            "run_id": turn.run_id, "message_id": turn.answer_id, "tier": turn.chosen.tier, "escalated": turn.chosen.escalated,
            "backend": served.map(|s| &s.backend), "fallback": draft.fallback,
            "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "cited_documents": cited, "classification": draft.classification, "left_out": draft.left_out,
        }),
    };
    let model = served.map(|served| served.model.clone());
    Outcome { subject, status, model, tools_used: draft.tools_used.clone() }
}
