//! A language model alone, for clients that bring their own prompt: no documents, no rules of ours in the prompt, nothing
//! stored but the audit rows and the call in the ledger. It runs as a turn does: within its tenant's places, watched, ended when its
//! reader is gone, closed in one transaction.
//!
//! What it is told counts as `internal` at least. What assistants and tools said may stem from anything that the user may
//! read, so it counts as the user's clearance; above what the model may see nothing is asked.

use super::allowance::{Allowance, TurnEstimate, cost_of_tools};
use super::ledger::{CallLog, Counted, settle};
use super::run_log::RunLog;
use super::stream::{End, SEE_REASONING, written};
use super::turn::caller;
use super::{ChatService, budget, owner, tier};
use crate::error::RuntimeError;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::{Authorized, Permit};
use domain::budget::Budgets;
use domain::classified::Classified;
use domain::command::AskModel;
use domain::conversation::Sources;
use domain::error::{Classify as _, ErrorKind, Problem};
use domain::ids::{AuditId, MessageId, RunId};
use domain::ledger::{CallContext, LedgerEntry};
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, PromptMessage};
use domain::model_call::ServedBy;
use domain::model_id::ModelId;
use domain::ports::StoreError;
use domain::retry;
use domain::role::{Classification, Resource};
use domain::run::{Escalation, EventStream, FinishReason, RunEvent, RunSummary, TokenUsage};
use domain::scope::TenantScope;
use futures::StreamExt as _;
use serde_json::json;
use std::time::Duration;
use tracing::Instrument as _;

/// A request that is ready to be made.
struct Errand {
    permit: Permit,
    run_id: RunId,
    escalated: Option<Escalation>,
    /// Tokens of the prompt, estimated.
    prompt: usize,
    request: ChatRequest,
    /// What was set aside for it.
    allowance: Allowance,
}

impl Errand {
    /// No message is stored: where a run names its answer's, this one names itself.
    fn message_id(&self) -> MessageId {
        MessageId::from_uuid(self.run_id.as_uuid())
    }
}

/// What has come so far.
#[derive(Default)]
struct Reply {
    usage: TokenUsage,
    /// The call, for the ledger.
    calls: CallLog,
    served_by: Option<ServedBy>,
}

impl ChatService {
    /// Whether something serves this model. Without a language model there is nothing to ask directly.
    pub(crate) fn serves(&self, id: ModelId) -> bool {
        let model = &self.parts.model;
        id.tier().is_none_or(|tier| model.has(tier)) && (!id.is_direct() || model.is_generative())
    }

    /// Starts an answer of a model alone.
    pub(crate) async fn ask_model(&self, command: Authorized<AskModel>) -> Result<EventStream, RuntimeError> {
        let slot = self.slots.take(command.scope().tenant()).ok_or(RuntimeError::Busy)?;
        let owner = owner(command.scope()).ok_or(RuntimeError::NotFound { what: "the user" })?;
        let errand = self.prepare_direct(command).await?;
        let log = self.runs.open_once(errand.run_id, owner);
        log.made_from(errand.request.prompt.class(), &Sources::default());
        let events = log.read(0);
        let service = self.clone();
        let answering = async move {
            let run = errand.run_id;
            service.answer_directly(errand, &log).await;
            service.runs.close(run);
            drop(slot);
        };
        self.parts.tasks.spawn(answering.in_current_span());
        Ok(events)
    }

    async fn prepare_direct(&self, command: Authorized<AskModel>) -> Result<Errand, RuntimeError> {
        let (permit, command) = command.into_parts();
        let has_heavy = self.serves(ModelId::HeavyDirect);
        let chosen = tier::choose(command.model, (last_question(&command.messages), 0, command.tools.len()), has_heavy);
        if !self.parts.model.is_generative() || !self.parts.model.has(chosen.tier) {
            return Err(RuntimeError::NoSuchModel);
        }
        let tenant = self.parts.directory.tenant(&permit.scope().tenant().to_string()).await?;
        let settings = tenant.as_ref().map(|tenant| tenant.settings.clone()).unwrap_or_default();
        let caller = caller(permit.scope(), &settings);
        let class = class_of(&command.messages, &permit);
        if class > self.model_limit(tenant.as_ref(), chosen.tier, &caller) {
            return Err(RuntimeError::AboveModel);
        }
        let prompt = budget::cost(&command.messages) + cost_of_tools(&command.tools);
        let most = command.max_output_tokens.unwrap_or(u32::MAX).min(self.settings.max_output_tokens);
        let price = self.parts.model.highest_price(chosen.tier, &caller);
        let asked = TurnEstimate { least: prompt, prompt, output: most, price };
        let allowance = self.set_aside(permit.scope(), settings.quotas.budgets(), asked).await?;
        let request = ChatRequest {
            caller,
            tier: chosen.tier,
            prompt: Classified::new(command.messages, class),
            tools: command.tools,
            max_output_tokens: allowance.output(prompt, most),
            question: String::new(),
            passages: Vec::new(),
            options: command.options,
        };
        let run_id = RunId::from_uuid(self.parts.ids.uuid());
        Ok(Errand { permit, run_id, escalated: chosen.escalated, prompt, request, allowance })
    }

    /// Sets aside what the request may come to. Where nothing is limited, there is nothing to read.
    async fn set_aside(
        &self,
        scope: &TenantScope,
        budgets: Budgets,
        asked: TurnEstimate,
    ) -> Result<Allowance, RuntimeError> {
        if budgets.is_unlimited() {
            return Ok(Allowance::default());
        }
        let mut tx = self.parts.store.begin(scope).await?;
        let allowance = self.reserve(&mut *tx, scope, budgets, asked).await?;
        tx.commit().await?;
        Ok(allowance)
    }

    async fn answer_directly(&self, errand: Errand, log: &RunLog) {
        log.push(RunEvent::Started {
            run_id: errand.run_id,
            message_id: errand.message_id(),
            model: errand.request.tier,
            escalated: errand.escalated,
        });
        let mut reply = Reply::default();
        let writing = self.pass_on(&errand, &mut reply, log);
        let end = self.supervise(writing, (&errand.permit, log), Duration::ZERO).await;
        let last = self.conclude_directly(&errand, reply, end).await;
        log.push(last);
    }

    /// Passes on what the model says, as it says it.
    async fn pass_on(&self, errand: &Errand, reply: &mut Reply, log: &RunLog) -> End {
        match self.read_reply(errand, reply, log).await {
            Ok(reason) => End::Finished(reason),
            Err(error) => {
                reply.calls.failed(&error);
                End::Failed(problem_of(&error))
            }
        }
    }

    async fn read_reply(&self, errand: &Errand, reply: &mut Reply, log: &RunLog) -> Result<FinishReason, ModelError> {
        let shows_reasoning = errand.permit.rights().allow(SEE_REASONING);
        reply.calls.begin(errand.prompt);
        let ChatStream { served_by, mut deltas } = self.parts.model.stream(errand.request.clone()).await?;
        reply.calls.served(&served_by);
        let backend = served_by.backend.clone();
        reply.served_by = Some(served_by);
        while let Some(delta) = deltas.next().await {
            let delta = delta?;
            reply.calls.wrote(written(&delta));
            match delta {
                ChatDelta::Text(text) => log.push(RunEvent::Delta { text }),
                ChatDelta::ToolCall(call) => log.push(RunEvent::ToolWanted(call)),
                ChatDelta::Reasoning(text) if shows_reasoning => log.push(RunEvent::Reasoning { text }),
                ChatDelta::Reasoning(_) => {}
                ChatDelta::Finished { reason, usage, estimated, cost } => {
                    reply.usage = usage;
                    reply.calls.finished(reason, Counted { usage, estimated, cost });
                    return Ok(reason);
                }
            }
        }
        Err(ModelError::Interrupted { backend, reason: "the stream ended without an end".to_owned() })
    }

    /// Records the outcome and the call, in one transaction, and says how the run ended.
    async fn conclude_directly(&self, errand: &Errand, reply: Reply, end: End) -> RunEvent {
        let (result, finish_reason) = match &end {
            End::Finished(reason) => (ResultStatus::Success, *reason),
            End::Cancelled => (ResultStatus::Cancelled, FinishReason::Cancelled),
            End::Revoked(_) => (ResultStatus::Denied, FinishReason::Cancelled),
            End::Failed(_) => (ResultStatus::Error, FinishReason::Error),
        };
        let context = CallContext { conversation: None, run: Some(errand.run_id) };
        let calls = self.entries(reply.calls.close(&end), errand.request.tier, context);
        let served = reply.served_by;
        let fallback = served.as_ref().is_some_and(|served| served.fallback);
        let summary = RunSummary {
            finish_reason,
            usage: reply.usage,
            model: served.as_ref().map_or_else(|| errand.request.tier.as_str().to_owned(), |s| s.model.clone()),
            degraded: fallback,
            fallback,
            left_out: 0,
            message_id: errand.message_id(),
        };
        let mut outcome = outcome(errand, served.as_ref(), &summary, result);
        if let End::Revoked(problem) | End::Failed(problem) = &end {
            outcome.subject.metadata["reason"] = problem.code.into();
        }
        match (self.close_directly(errand, &outcome, &calls).await, end) {
            (Err(error), _) => RunEvent::Failed(Problem::of(&error)),
            (Ok(_), End::Failed(problem)) => RunEvent::Failed(problem),
            (Ok(id), End::Revoked(problem)) => RunEvent::Failed(Problem { decision: Some(id), ..problem }),
            (Ok(_), End::Finished(_) | End::Cancelled) => RunEvent::Finished(summary),
        }
    }

    /// Tries for ten minutes, as a turn does.
    async fn close_directly(
        &self,
        errand: &Errand,
        outcome: &Outcome,
        calls: &[LedgerEntry],
    ) -> Result<AuditId, StoreError> {
        let id = AuditId::from_uuid(self.parts.ids.uuid());
        let attempt = || async {
            let now = self.parts.clock.now();
            let mut tx = self.parts.store.begin(errand.permit.scope()).await?;
            settle(&mut *tx, calls, &errand.allowance).await?;
            tx.audit().outcome(id, errand.permit.receipt(), outcome, now).await?;
            tx.commit().await
        };
        let closed = retry::with_backoff(attempt, tokio::time::sleep).await;
        if let Err(error) = &closed {
            tracing::error!(run_id = %errand.run_id, %error, code = error.code(), "an outcome could not be recorded");
        }
        closed.map(|()| id)
    }
}

/// What a client learns of a failure. The request is its own here, tools and formats included: where the server refuses
/// it, trying again would not help.
fn problem_of(error: &ModelError) -> Problem {
    let refused = match error {
        ModelError::Exhausted { last, .. } => &**last,
        error => error,
    };
    let mut problem = Problem::of(error);
    if let ModelError::Refused { .. } = refused {
        problem.kind = ErrorKind::Malformed;
        problem.code = "model_refused";
        let detail = "The model server refuses the request as it is; look at its tools, response_format and options.";
        problem.detail = Some(detail.to_owned());
    }
    problem
}

/// The class of what is told: the user's own words are the tenant's; others' may be anything that the user may read.
fn class_of(messages: &[PromptMessage], permit: &Permit) -> Classification {
    let others =
        |message: &PromptMessage| matches!(message, PromptMessage::Assistant { .. } | PromptMessage::Tool { .. });
    if messages.iter().any(others) { permit.clearance() } else { permit.rights().class_of_own_words() }
}

fn last_question(messages: &[PromptMessage]) -> &str {
    let user = messages.iter().rev().find_map(|message| match message {
        PromptMessage::User(text) => Some(text.as_str()),
        _ => None,
    });
    user.unwrap_or_default()
}

fn outcome(errand: &Errand, served: Option<&ServedBy>, summary: &RunSummary, status: ResultStatus) -> Outcome {
    let request = &errand.request;
    let subject = AuditSubject {
        event: EventType::CHAT_RESPONSE,
        resource: Some(Resource::Models),
        resource_id: None,
        session: None,
        request_hash: None,
        metadata: json!({
            "mode": "direct", "client_tools": request.tools.len(), "run_id": errand.run_id,
            "tier": request.tier, "escalated": errand.escalated,
            "backend": served.map(|s| &s.backend), "fallback": summary.fallback,
            "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "classification": request.prompt.class(),
        }),
    };
    Outcome { subject, status, model: served.map(|served| served.model.clone()), tools_used: Vec::new() }
}
