//! The answer itself: retrieve, ask the model, pass its words on, let it call tools, store what came of it.

use super::budget::TokenBudget;
use super::cite::Citer;
use super::prompt::{self, Material};
use super::run_log::RunLog;
use super::turn::Turn;
use super::{ChatService, intent};
use crate::error::RuntimeError;
use crate::search::{rag_search, retrieve};
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::conversation::{Citation, FinishedAnswer, MessageStatus};
use domain::error::Problem;
use domain::ids::AuditId;
use domain::model::{
    ChatDelta, ChatRequest, ChatStream, ModelError, ModelToolCall, NumberedPassage, OfferedTool, PromptMessage,
    ServedBy,
};
use domain::ports::StoreError;
use domain::role::{Classification, Resource};
use domain::run::{FinishReason, RunEvent, RunSummary, ToolStatus, Usage};
use domain::search::Hit;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use futures::{FutureExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tools::describe::describe;
use tools::error::ToolError;

/// What an answer has come to so far.
struct Draft {
    citer: Citer,
    citations: Vec<Citation>,
    passages: Vec<NumberedPassage>,
    usage: Usage,
    served_by: Option<ServedBy>,
    tools_used: Vec<String>,
    degraded: bool,
    /// The highest classification of what goes into the prompt.
    classification: Classification,
}

impl Draft {
    fn of(turn: &Turn) -> Self {
        Self {
            citer: Citer::default(),
            citations: Vec::new(),
            passages: Vec::new(),
            usage: Usage::default(),
            served_by: None,
            tools_used: Vec::new(),
            degraded: false,
            classification: turn.classification,
        }
    }

    fn classify(&mut self, of: impl Iterator<Item = Classification>) {
        self.classification = of.fold(self.classification, Classification::max);
    }

    /// Gives new passages the next numbers; one that is there already keeps its number.
    fn number(&mut self, hits: Vec<Hit>) {
        self.classify(hits.iter().map(|hit| hit.passage.classification));
        for hit in hits {
            if self.passages.iter().any(|known| known.passage.chunk_id == hit.passage.chunk_id) {
                continue;
            }
            let n = u32::try_from(self.passages.len()).unwrap_or(u32::MAX).saturating_add(1);
            self.passages.push(NumberedPassage { n, passage: hit.passage, score: hit.score });
        }
    }
}

/// How the model's part ended.
enum End {
    Finished(FinishReason),
    Cancelled,
    Failed(Problem),
}

impl ChatService {
    /// Writes the answer of a turn into its log and into the database. Never fails: whatever happens is the end of
    /// the run, stored and told.
    pub(super) async fn answer(&self, turn: Turn, log: &RunLog) {
        log.push(RunEvent::Started {
            run_id: turn.run_id,
            message_id: turn.answer_id,
            model: turn.tier.as_str().to_owned(),
        });
        let mut draft = Draft::of(&turn);
        // What the draft holds survives whichever way its writer ends: dropped, timed out or panicked.
        let end = tokio::select! {
            end = AssertUnwindSafe(self.write(&turn, &mut draft, log)).catch_unwind() => {
                end.unwrap_or_else(|_| End::Failed(Problem::of(&RuntimeError::Panicked)))
            }
            () = log.cancel.cancelled() => End::Cancelled,
            () = log.abandoned(self.settings.grace) => End::Cancelled,
            () = tokio::time::sleep(self.settings.turn_limit) => End::Failed(turn_limit_problem()),
        };
        let last = self.conclude(&turn, draft, end).await;
        log.push(last);
    }

    async fn write(&self, turn: &Turn, draft: &mut Draft, log: &RunLog) -> End {
        let searched = self.look_into_documents(turn, draft, log).await;
        let generative = self.parts.model.is_generative();
        let role = turn.permit.standing().role;
        let tools = if generative { self.parts.tools.manifest(role) } else { Vec::new() };
        let material = Material {
            tenant: &turn.tenant_name,
            role,
            tools: &tools,
            memories: &turn.memories,
            passages: searched.then_some(draft.passages.as_slice()),
            history: &turn.history,
            question: &turn.question,
        };
        let room = self.settings.context_tokens.saturating_sub(self.settings.max_output_tokens as usize);
        let mut messages = prompt::assemble(&material, TokenBudget(room));
        let mut calls_left = self.settings.max_tool_calls;
        loop {
            let offered = if calls_left > 0 { offer(&tools) } else { Vec::new() };
            let request = self.request(turn, draft, messages.clone(), offered);
            let said = draft.citer.text().len();
            let (reason, calls) = match self.one_reply(request, draft, log).await {
                Ok(reply) => reply,
                Err(error) => return End::Failed(Problem::of(&error)),
            };
            if calls.is_empty() || calls_left == 0 {
                return End::Finished(reason);
            }
            let content = draft.citer.text()[said..].to_owned();
            messages.push(PromptMessage::Assistant { content, tool_calls: calls.clone() });
            for call in calls {
                let content = if calls_left > 0 {
                    calls_left -= 1;
                    self.call_tool(turn, draft, log, &call).await
                } else {
                    "No more tool calls are allowed in this turn.".to_owned()
                };
                messages.push(PromptMessage::Tool { call_id: call.id, content });
            }
        }
    }

    /// The platform's own search of a turn. Returns whether it looked.
    async fn look_into_documents(&self, turn: &Turn, draft: &mut Draft, log: &RunLog) -> bool {
        if !intent::wants_documents(turn.retrieval, &turn.question) {
            return false;
        }
        let query = intent::query(&turn.question, &turn.history);
        let call_id = "retrieval";
        let call = rag_search(call_id, clip(&query), self.settings.passages, &turn.filters);
        let name = ToolName::RagSearch.as_str().to_owned();
        log.push(RunEvent::ToolStarted { call_id: call_id.to_owned(), name: name.clone() });
        let found = retrieve(&*self.parts.tools, &turn.permit, call).await;
        let status = status_of(&found);
        log.push(RunEvent::ToolFinished { call_id: call_id.to_owned(), name: name.clone(), status });
        draft.tools_used.push(name);
        match found {
            Ok(retrieval) => {
                draft.degraded |= retrieval.degraded;
                if retrieval.answerable {
                    draft.number(retrieval.hits);
                }
                true
            }
            Err(error) => {
                tracing::warn!(request_id = %turn.permit.scope().request(), error = %error, "retrieval failed");
                draft.degraded = true;
                false
            }
        }
    }

    fn request(
        &self,
        turn: &Turn,
        draft: &Draft,
        messages: Vec<PromptMessage>,
        tools: Vec<OfferedTool>,
    ) -> ChatRequest {
        ChatRequest {
            tier: turn.tier,
            messages,
            tools,
            max_output_tokens: self.settings.max_output_tokens,
            question: turn.question.clone(),
            passages: draft.passages.clone(),
            classification: draft.classification,
        }
    }

    /// One reply of the model: its words go out as they come, its tool calls come back.
    async fn one_reply(
        &self,
        request: ChatRequest,
        draft: &mut Draft,
        log: &RunLog,
    ) -> Result<(FinishReason, Vec<ModelToolCall>), ModelError> {
        let ChatStream { served_by, mut deltas } = self.parts.model.stream(request).await?;
        draft.degraded |= served_by.fallback;
        let backend = served_by.backend.clone();
        draft.served_by = Some(served_by);
        let mut calls = Vec::new();
        while let Some(delta) = deltas.next().await {
            match delta? {
                ChatDelta::Text(text) => {
                    // PostgreSQL cannot store U+0000: one of them would lose the whole answer.
                    let text = text.replace('\0', "");
                    let cited = draft.citer.push(&text, &draft.passages);
                    log.push(RunEvent::Delta { text });
                    for citation in cited {
                        log.push(RunEvent::Cited(citation.clone()));
                        draft.citations.push(citation);
                    }
                }
                ChatDelta::ToolCall(call) => calls.push(call),
                ChatDelta::Finished { reason, usage } => {
                    draft.usage += usage;
                    return Ok((reason, calls));
                }
            }
        }
        Err(ModelError::BrokenOff { backend, reason: "the stream ended without an end".to_owned() })
    }

    /// A tool call that the model asked for. What goes back to the model is data; a failure is told, not hidden.
    async fn call_tool(&self, turn: &Turn, draft: &mut Draft, log: &RunLog, asked: &ModelToolCall) -> String {
        log.push(RunEvent::ToolStarted { call_id: asked.id.clone(), name: asked.name.clone() });
        let result = match serde_json::from_str::<Value>(&asked.arguments) {
            Ok(arguments) => {
                let call = ToolCall { call_id: asked.id.clone(), name: asked.name.clone(), arguments };
                self.parts.tools.invoke(&turn.permit, call).await
            }
            Err(_) => Err(ToolError::Arguments { detail: "the arguments are no JSON".to_owned() }),
        };
        let status = status_of(&result);
        log.push(RunEvent::ToolFinished { call_id: asked.id.clone(), name: asked.name.clone(), status });
        // The audit row names tools of ours only: what else a model asks for is its own text.
        if let Ok(known) = asked.name.parse::<ToolName>() {
            draft.tools_used.push(known.as_str().to_owned());
        }
        draft.classify(classes(&result));
        let text = match result {
            Ok(ToolResult::Retrieval(retrieval)) => {
                let before = draft.passages.len();
                draft.number(retrieval.hits);
                prompt::render_passages(&draft.passages[before..])
            }
            Ok(result) => prompt::contained(&describe(&result)).into_owned(),
            Err(error) => format!("The tool failed: {error}."),
        };
        format!("<tool_result>\n{text}\n</tool_result>")
    }

    /// Stores the answer with its citations and the outcome row, in one transaction, and says how the run ended.
    async fn conclude(&self, turn: &Turn, draft: Draft, end: End) -> RunEvent {
        let (status, result, finish_reason) = match &end {
            End::Finished(reason) => (MessageStatus::Complete, ResultStatus::Success, *reason),
            End::Cancelled => (MessageStatus::Cancelled, ResultStatus::Cancelled, FinishReason::Cancelled),
            End::Failed(_) => (MessageStatus::Error, ResultStatus::Error, FinishReason::Error),
        };
        let summary = RunSummary {
            finish_reason,
            usage: draft.usage,
            model: draft.served_by.as_ref().map_or_else(|| turn.tier.as_str().to_owned(), |s| s.model.clone()),
            degraded: draft.degraded,
            message_id: turn.answer_id,
        };
        let outcome = outcome(turn, &draft, &summary, result);
        let answer = FinishedAnswer {
            content: draft.citer.into_text(),
            status,
            token_count: i32::try_from(summary.usage.output_tokens).ok().filter(|tokens| *tokens > 0),
            citations: draft.citations,
            model: draft.served_by.map(|served| served.model),
            metadata: json!({
                "run_id": turn.run_id, "finish_reason": finish_reason, "degraded": summary.degraded,
                "usage": summary.usage,
            }),
        };
        let stored = self.store_answer(turn, &answer, &outcome).await;
        match (stored, end) {
            (Err(error), _) => RunEvent::Failed(Problem::of(&error)),
            (Ok(()), End::Failed(problem)) => RunEvent::Failed(problem),
            (Ok(()), _) => RunEvent::Finished(summary),
        }
    }

    /// Tries for half a minute: what was generated should not be lost to a database that restarts.
    async fn store_answer(&self, turn: &Turn, answer: &FinishedAnswer, outcome: &Outcome) -> Result<(), StoreError> {
        let mut wait = Duration::from_millis(200);
        loop {
            match self.try_store_answer(turn, answer, outcome).await {
                Err(StoreError::Unavailable { .. }) if wait < Duration::from_secs(16) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(error) => {
                    tracing::error!(run_id = %turn.run_id, error = %error, "an answer could not be stored");
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn try_store_answer(
        &self,
        turn: &Turn,
        answer: &FinishedAnswer,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let mut tx = self.parts.store.begin(turn.permit.scope()).await?;
        tx.messages().finish(turn.answer_id, answer).await?;
        let id = AuditId::from_uuid(self.parts.ids.uuid());
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
        event: EventType::ChatResponse,
        resource: Some(Resource::Conversations),
        resource_id: Some(turn.conversation.as_uuid()),
        session: Some(turn.conversation),
        request_hash: None,
        metadata: json!({
            "run_id": turn.run_id, "message_id": turn.answer_id, "tier": turn.tier,
            "backend": served.map(|s| &s.backend), "fallback": served.is_some_and(|s| s.fallback),
            "finish_reason": summary.finish_reason, "degraded": summary.degraded,
            "input_tokens": summary.usage.input_tokens, "output_tokens": summary.usage.output_tokens,
            "cited_documents": cited,
        }),
    };
    let model = served.map(|served| served.model.clone());
    Outcome { subject, status, model, tools_used: draft.tools_used.clone() }
}

/// How far what a tool returned may travel.
fn classes(result: &Result<ToolResult, ToolError>) -> impl Iterator<Item = Classification> {
    let found: Vec<_> = match result {
        Ok(ToolResult::Retrieval(found)) => found.hits.iter().map(|hit| hit.passage.classification).collect(),
        Ok(ToolResult::Text { document, .. }) => vec![document.classification],
        Ok(ToolResult::Documents(documents)) => documents.iter().map(|document| document.classification).collect(),
        Ok(ToolResult::Memories(_)) | Err(_) => Vec::new(),
    };
    found.into_iter()
}

fn status_of<T>(result: &Result<T, ToolError>) -> ToolStatus {
    match result {
        Ok(_) => ToolStatus::Success,
        Err(ToolError::Denied { .. }) => ToolStatus::Denied,
        Err(_) => ToolStatus::Error,
    }
}

fn offer(tools: &[ToolSpec]) -> Vec<OfferedTool> {
    let offer = |tool: &ToolSpec| OfferedTool {
        name: tool.name.as_str().to_owned(),
        description: tool.description.to_owned(),
        parameters: tool.parameters.clone(),
    };
    tools.iter().map(offer).collect()
}

/// A search reads the first 2,000 characters of a long message.
fn clip(query: &str) -> &str {
    query.char_indices().nth(2_000).map_or(query, |(at, _)| &query[..at])
}

fn turn_limit_problem() -> Problem {
    Problem {
        kind: domain::error::ErrorKind::Unavailable,
        code: "upstream_timeout",
        detail: Some("The answer took longer than a turn may; what was written so far is kept.".to_owned()),
    }
}
