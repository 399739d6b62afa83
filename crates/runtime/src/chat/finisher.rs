//! Completes the run of a chat turn: stores the answer in its conversation, and gives an untitled conversation a title.

use super::memory_suggestion::{self, MemoryInference, MemorySuggestion};
use super::summary;
use super::title::{self, FirstTitle};
use crate::run::RunEnd;
use crate::run::budget_reservation::BudgetReserver;
use crate::run::definition::Run;
use crate::run::finish::{FinishedRun, Finisher};
use crate::run::ports::RunPorts;
use async_trait::async_trait;
use domain::audit::{AuditedOperation, EventType};
use domain::conversation::{Citation, FinishedAnswer, MessageStatus};
use domain::error::Classify as _;
use domain::ids::ConversationId;
use domain::memory::Memory;
use domain::ports::{StoreError, TenantTx};
use domain::role::Resource;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// Stores the answer with its citations and classification, and suggests the memory that the user asked for.
pub(super) struct ConversationFinisher {
    conversation: ConversationId,
    first_title: FirstTitle,
    memory: MemorySuggestion,
    /// Set at the end of the run if a model may infer a memory from the user's message.
    inference: OnceLock<MemoryInference>,
}

impl ConversationFinisher {
    pub(super) fn new(conversation: ConversationId, first_title: FirstTitle, memory: MemorySuggestion) -> Self {
        Self { conversation, first_title, memory, inference: OnceLock::new() }
    }
}

/// The record that is stored at the end of a turn.
pub(super) struct TurnRecord {
    answer: FinishedAnswer,
    suggestion: Option<Memory>,
}

#[async_trait]
impl Finisher for ConversationFinisher {
    type Record = TurnRecord;

    fn audited_operation(&self, finished: &FinishedRun<'_>) -> AuditedOperation {
        let FinishedRun { run, progress, summary, .. } = finished;
        let citations = || progress.answer.citations().iter();
        let cited: BTreeSet<_> = citations().filter_map(Citation::document).map(|cited| cited.document_id).collect();
        let cited_tags: BTreeSet<_> = citations().filter_map(Citation::reading).map(|cited| &cited.tag).collect();
        let tier = run.agent.tier;
        let mut metadata = json!({
            "run_id": run.id, "message_id": run.answer_id, "tier": tier.tier, "escalated": tier.escalation,
            "backend": progress.model.served_by.as_ref().map(|served| &served.backend),
            "fallback": summary.fallback,
            "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "cited_documents": cited, "classification": progress.provenance.classification,
            "left_out": summary.omitted_count, "unsupported": summary.unsupported_statements.len(),
        });
        if !progress.agents.is_empty() {
            metadata["agents"] = json!(progress.agents);
        }
        if !cited_tags.is_empty() {
            metadata["cited_tags"] = json!(cited_tags);
        }
        if let Some(privacy) = finished.privacy_metadata() {
            metadata["privacy"] = privacy;
        }
        if let Some(memory) = self.memory.explicit_memory(finished) {
            metadata["suggested_memory"] = json!(memory.id);
        }
        if let RunEnd::Revoked(problem) = &finished.end {
            metadata["reason"] = problem.code.into();
        }
        AuditedOperation {
            event: EventType::CHAT_RESPONSE,
            resource: Some(Resource::Conversations),
            resource_id: Some(self.conversation.as_uuid()),
            conversation_id: Some(self.conversation),
            request_hash: None,
            metadata,
        }
    }

    fn create_record(&self, finished: FinishedRun<'_>) -> TurnRecord {
        let suggestion = self.memory.explicit_memory(&finished);
        if let Some(inference) = self.memory.pending_inference(&finished) {
            let _ = self.inference.set(inference);
        }
        let FinishedRun { run, progress, end, summary, .. } = finished;
        let (content, citations) = progress.answer.into_parts();
        let tier = run.agent.tier;
        let mut metadata = json!({
            "run_id": run.id, "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "tier": tier.tier, "escalated": tier.escalation, "fallback": summary.fallback,
            "left_out": summary.omitted_count, "usage": summary.usage,
            "unsupported": summary.unsupported_statements,
        });
        if !run.source_teams.is_empty() {
            metadata["teams"] = json!(run.source_teams);
        }
        let answer = FinishedAnswer {
            content,
            status: end.message_status(),
            token_count: i32::try_from(summary.usage.output_tokens).ok().filter(|tokens| *tokens > 0),
            citations,
            model: progress.model.served_by.map(|served| served.model),
            classification: progress.provenance.classification,
            sources: progress.provenance.sources,
            metadata,
        };
        TurnRecord { answer, suggestion }
    }

    async fn store(&self, tx: &mut dyn TenantTx, run: &Run, record: &TurnRecord) -> Result<(), StoreError> {
        let TurnRecord { answer, suggestion } = record;
        tx.messages().finish(run.answer_id, answer).await?;
        if let Some(memory) = suggestion {
            tx.memories().suggest(memory, None).await?;
        }
        if self.first_title == FirstTitle::FromQuestion && answer.status != MessageStatus::Error {
            let title = title::from_question(run.input.question());
            tx.conversations().set_first_title(self.conversation, &title).await?;
        }
        Ok(())
    }

    async fn after_run(&self, ports: &RunPorts, budgets: &BudgetReserver, run: &Run) {
        if self.first_title == FirstTitle::ByModel {
            title::write(ports, budgets, run, self.conversation).await;
        }
        if let Some(inference) = self.inference.get() {
            memory_suggestion::conclude(ports, budgets, run, *inference).await;
        }
        summary::write(ports, budgets, run).await;
    }

    fn metadata_if_store_fails(&self, run: &Run, error: &StoreError) -> Option<Value> {
        Some(json!({ "run_id": run.id, "error": error.code() }))
    }
}
