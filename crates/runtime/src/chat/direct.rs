//! A language model alone, for clients that bring their own prompt: no documents, no rules of ours in the prompt, nothing
//! stored but the audit rows and the tokens. It runs as a turn does: within its tenant's places, watched, ended when its
//! reader is gone, closed in one transaction.
//!
//! What it is told counts as `internal` at least. What assistants and tools said may stem from anything that the user may
//! read, so it counts as the user's clearance; above what the model may see nothing is asked.

use super::run_log::RunLog;
use super::stream::End;
use super::turn::caller;
use super::{ChatService, budget, owner, tier};
use crate::configuration::end_of_day;
use crate::error::RuntimeError;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::{Authorized, Permit};
use domain::command::AskModel;
use domain::error::{Classify as _, Problem};
use domain::ids::{AuditId, MessageId, RunId};
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, PromptMessage};
use domain::model_call::ServedBy;
use domain::model_id::ModelId;
use domain::ports::StoreError;
use domain::retry;
use domain::role::{Classification, Resource, Role};
use domain::run::{Escalation, EventStream, FinishReason, RunEvent, RunSummary, Usage};
use domain::scope::TenantScope;
use domain::tenant::Tenant;
use futures::StreamExt as _;
use serde_json::json;
use std::time::Duration;

/// A request that is ready to be made.
struct Errand {
    permit: Permit,
    run_id: RunId,
    escalated: Option<Escalation>,
    request: ChatRequest,
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
    text: String,
    usage: Usage,
    /// Tokens of the prompt, estimated, while the model has not said what it took.
    under_way: Option<usize>,
    served_by: Option<ServedBy>,
}

impl Reply {
    /// What it has cost: as reported, or estimated where the reply did not come to its end.
    fn spent(&self) -> Usage {
        let tokens = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        match self.under_way {
            Some(prompt) => Usage { input_tokens: tokens(prompt), output_tokens: tokens(budget::estimate(&self.text)) },
            None => self.usage,
        }
    }
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
        log.classify(errand.request.classification);
        let events = log.read(0);
        let service = self.clone();
        self.parts.tasks.spawn(async move {
            let run = errand.run_id;
            service.answer_directly(errand, &log).await;
            service.runs.close(run);
            drop(slot);
        });
        Ok(events)
    }

    async fn prepare_direct(&self, command: Authorized<AskModel>) -> Result<Errand, RuntimeError> {
        let (permit, command) = command.into_parts();
        let has_heavy = self.serves(ModelId::HeavyDirect);
        let chosen = tier::choose(command.model, last_question(&command.messages), 0, has_heavy);
        if !self.parts.model.is_generative() || !self.parts.model.has(chosen.tier) {
            return Err(RuntimeError::NoSuchModel);
        }
        let tenant = self.parts.directory.tenant(&permit.scope().tenant().to_string()).await?;
        let settings = tenant.as_ref().map(|tenant| tenant.settings.clone()).unwrap_or_default();
        let caller = caller(permit.scope(), &settings);
        let classification = class_of(&command.messages, permit.standing().clearance);
        if classification > self.model_limit(tenant.as_ref(), chosen.tier, &caller) {
            return Err(RuntimeError::AboveModel);
        }
        self.tokens_are_left(permit.scope(), tenant.as_ref()).await?;
        let most = self.settings.max_output_tokens;
        let request = ChatRequest {
            caller,
            tier: chosen.tier,
            messages: command.messages,
            tools: command.tools,
            max_output_tokens: command.max_output_tokens.map_or(most, |asked| asked.min(most)),
            question: String::new(),
            passages: Vec::new(),
            classification,
            options: command.options,
        };
        let run_id = RunId::from_uuid(self.parts.ids.uuid());
        Ok(Errand { permit, run_id, escalated: chosen.escalated, request })
    }

    /// Where the tenant has no limit, there is nothing to read.
    async fn tokens_are_left(&self, scope: &TenantScope, tenant: Option<&Tenant>) -> Result<(), RuntimeError> {
        let Some(quota) = tenant.and_then(|tenant| tenant.settings.quotas.tokens_per_day) else { return Ok(()) };
        let now = self.parts.clock.now();
        let mut tx = self.parts.store.begin(scope).await?;
        if tx.usage().tokens_on(now.date_naive()).await? < quota {
            return Ok(());
        }
        Err(RuntimeError::TokensUsedUp { retry_after: (end_of_day(now) - now).to_std().unwrap_or_default() })
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
        let shows_reasoning = errand.permit.standing().role == Role::Admin;
        let started = self.parts.model.stream(errand.request.clone()).await;
        let ChatStream { served_by, mut deltas } = match started {
            Ok(stream) => stream,
            Err(error) => return End::Failed(Problem::of(&error)),
        };
        reply.under_way = Some(budget::cost(&errand.request.messages));
        let backend = served_by.backend.clone();
        reply.served_by = Some(served_by);
        while let Some(delta) = deltas.next().await {
            match delta {
                Ok(ChatDelta::Text(text)) => {
                    reply.text.push_str(&text);
                    log.push(RunEvent::Delta { text });
                }
                Ok(ChatDelta::ToolCall(call)) => {
                    reply.text.push_str(&call.arguments);
                    log.push(RunEvent::ToolWanted(call));
                }
                Ok(ChatDelta::Reasoning(text)) if shows_reasoning => log.push(RunEvent::Reasoning { text }),
                Ok(ChatDelta::Reasoning(_)) => {}
                Ok(ChatDelta::Finished { reason, usage, .. }) => {
                    (reply.usage, reply.under_way) = (usage, None);
                    return End::Finished(reason);
                }
                Err(error) => return End::Failed(Problem::of(&error)),
            }
        }
        let reason = "the stream ended without an end".to_owned();
        End::Failed(Problem::of(&ModelError::BrokenOff { backend, reason }))
    }

    /// Records the outcome and the tokens, in one transaction, and says how the run ended.
    async fn conclude_directly(&self, errand: &Errand, reply: Reply, end: End) -> RunEvent {
        let (result, finish_reason) = match &end {
            End::Finished(reason) => (ResultStatus::Success, *reason),
            End::Cancelled => (ResultStatus::Cancelled, FinishReason::Cancelled),
            End::Revoked(_) => (ResultStatus::Denied, FinishReason::Cancelled),
            End::Failed(_) => (ResultStatus::Error, FinishReason::Error),
        };
        let spent = reply.spent();
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
        match (self.close_directly(errand, &outcome, spent).await, end) {
            (Err(error), _) => RunEvent::Failed(Problem::of(&error)),
            (Ok(_), End::Failed(problem)) => RunEvent::Failed(problem),
            (Ok(id), End::Revoked(problem)) => RunEvent::Failed(Problem { decision: Some(id), ..problem }),
            (Ok(_), End::Finished(_) | End::Cancelled) => RunEvent::Finished(summary),
        }
    }

    /// Tries for ten minutes, as a turn does. The id of the outcome keeps a commit whose answer was lost from counting twice.
    async fn close_directly(&self, errand: &Errand, outcome: &Outcome, spent: Usage) -> Result<AuditId, StoreError> {
        let id = AuditId::from_uuid(self.parts.ids.uuid());
        let attempt = || async {
            let now = self.parts.clock.now();
            let mut tx = self.parts.store.begin(errand.permit.scope()).await?;
            if spent != Usage::default() {
                tx.usage().add_tokens(now.date_naive(), spent).await?;
            }
            tx.audit().outcome(id, errand.permit.receipt(), outcome, now).await?;
            tx.commit().await
        };
        let closed = retry::insist(attempt, tokio::time::sleep).await;
        if let Err(error) = &closed {
            tracing::error!(run_id = %errand.run_id, %error, code = error.code(), "an outcome could not be recorded");
        }
        closed.map(|()| id)
    }
}

/// The class of what is told: the user's own words are the tenant's; others' may be anything that the user may read.
fn class_of(messages: &[PromptMessage], clearance: Classification) -> Classification {
    let others =
        |message: &PromptMessage| matches!(message, PromptMessage::Assistant { .. } | PromptMessage::Tool { .. });
    let class = if messages.iter().any(others) { clearance } else { Classification::Internal };
    class.max(Classification::Internal)
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
        event: EventType::ChatResponse,
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
            "classification": request.classification,
        }),
    };
    Outcome { subject, status, model: served.map(|served| served.model.clone()), tools_used: Vec::new() }
}
