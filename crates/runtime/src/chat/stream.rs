//! The answer itself: retrieve, ask the model, pass its words on, let it call tools, store what came of it.

use super::allowance::{Allowance, Reply, cost_of_tools};
use super::budget::{TokenBudget, cost, estimate};
use super::cite::Citer;
use super::inert::InertMarkup;
use super::ledger::{CallLog, Counted};
use super::passages;
use super::prompt::{self, Material};
use super::run_log::RunLog;
use super::tool_calls::{ask_for_surroundings, is_unreadable, offer, status_of};
use super::turn::Turn;
use super::{ChatService, intent};
use crate::search::{rag_search, retrieve};
use domain::authorized::Permit;
use domain::classified::{Classified, HasClass};
use domain::conversation::{Citation, Sources};
use domain::error::Problem;
use domain::model::{ChatDelta, ChatRequest, ChatStream, ModelError, ModelToolCall, NumberedPassage, PromptMessage};
use domain::model_call::ServedBy;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::run::{FinishReason, RunEvent, TokenUsage};
use domain::search::Hit;
use domain::tool::{ToolName, ToolSpec};
use futures::StreamExt as _;
use std::ops::Range;
use tools::error::ToolError;

/// To be shown what a model thinks before it answers.
pub(super) const SEE_REASONING: Permission = Permission::new(Resource::Reasoning, Operation::Read);
/// Tokens of the instructions, roughly: passages get a share of what these and the question leave.
pub(super) const INSTRUCTIONS: usize = 500;
/// Most passages of a search that found nothing good enough to answer from.
const WEAK_PASSAGES: usize = 4;

/// What an answer has come to so far.
pub(super) struct Draft {
    pub(super) citer: Citer,
    pub(super) citations: Vec<Citation>,
    pub(super) passages: Vec<NumberedPassage>,
    pub(super) usage: TokenUsage,
    /// The calls to the model, for the ledger.
    pub(super) calls: CallLog,
    /// What the turn may spend.
    pub(super) allowance: Allowance,
    pub(super) served_by: Option<ServedBy>,
    pub(super) tools_used: Vec<String>,
    /// Replies with a tool call whose arguments were no JSON, beyond repair.
    pub(super) unreadable_replies: u32,
    pub(super) degraded: bool,
    /// A fallback served one of the replies.
    pub(super) fallback: bool,
    /// The highest classification of the prompts so far: the answer's.
    pub(super) classification: Classification,
    /// The documents behind the prompts so far.
    pub(super) sources: Sources,
    /// Makes the answer's markup inert as it comes.
    inert: InertMarkup,
    /// The highest that the model may see.
    pub(super) limit: Classification,
    /// Passages, documents and earlier answers that were left out because the model may not see them.
    pub(super) left_out: u32,
}

impl Draft {
    fn of(turn: &Turn) -> Self {
        Self {
            citer: Citer::default(),
            citations: Vec::new(),
            passages: Vec::new(),
            usage: TokenUsage::default(),
            calls: CallLog::default(),
            allowance: turn.allowance.clone(),
            served_by: None,
            tools_used: Vec::new(),
            unreadable_replies: 0,
            degraded: false,
            fallback: false,
            classification: Classification::Public,
            sources: Sources::default(),
            inert: InertMarkup::default(),
            limit: turn.model_limit,
            left_out: turn.left_out,
        }
    }

    /// Appends to the answer and tells its readers, with the citations that it completes.
    fn say(&mut self, text: String, log: &RunLog) {
        if text.is_empty() {
            return;
        }
        let cited = self.citer.push(&text, &self.passages);
        log.push(RunEvent::Delta { text });
        for citation in cited {
            log.push(RunEvent::Cited(citation.clone()));
            self.citations.push(citation);
        }
    }

    /// Keeps what the model may see, and counts what it may not.
    pub(super) fn keep<T: HasClass>(&mut self, items: &mut Vec<T>) {
        let before = items.len();
        items.retain(|item| item.class() <= self.limit);
        self.left_out = self.left_out.saturating_add(u32::try_from(before - items.len()).unwrap_or(u32::MAX));
    }

    /// Gives new passages the next numbers, as many as `budget` has room for; one that is there already keeps its number.
    /// Returns the places of the new ones.
    pub(super) fn number(&mut self, hits: Vec<Hit>, budget: TokenBudget) -> Range<usize> {
        let first = self.passages.len();
        for hit in hits {
            if self.passages.iter().any(|known| known.passage.chunk_id == hit.passage.chunk_id) {
                continue;
            }
            let n = u32::try_from(self.passages.len()).unwrap_or(u32::MAX).saturating_add(1);
            let Hit { passage, score, surroundings, .. } = hit;
            self.passages.push(NumberedPassage { n, passage, score, surroundings });
        }
        let kept = passages::fitting(&self.passages[first..], budget);
        self.passages.truncate(first + kept);
        for NumberedPassage { passage, .. } in &self.passages[first..] {
            self.sources.add(passage.document_id, passage.classification);
        }
        first..self.passages.len()
    }
}

/// What the platform's own search of a turn came to.
enum Searched {
    /// It did not look, or the search failed.
    Not,
    /// It looked; what it found, if anything, is in the draft.
    Found {
        /// Nothing of it matches the question well.
        weak: bool,
    },
}

/// How the model's part ended.
pub(super) enum End {
    Finished(FinishReason),
    Cancelled,
    /// Its reader may not have it any more.
    Revoked(Problem),
    Failed(Problem),
}

impl ChatService {
    /// Writes the answer of a turn into its log and into the database. Never fails: whatever happens is the end of
    /// the run, stored and told.
    pub(super) async fn answer(&self, turn: Turn, log: &RunLog) {
        log.push(RunEvent::Started {
            run_id: turn.run_id,
            message_id: turn.answer_id,
            model: turn.chosen.tier,
            escalated: turn.chosen.escalated,
        });
        let mut draft = Draft::of(&turn);
        // What the draft holds survives whichever way its writer ends: dropped, timed out or panicked.
        let writing = self.write(&turn, &mut draft, log);
        let end = self.supervise(writing, (&turn.permit, log), turn.grace).await;
        let last = self.conclude(&turn, draft, end).await;
        log.push(last);
    }

    async fn write(&self, turn: &Turn, draft: &mut Draft, log: &RunLog) -> End {
        let searched = self.look_into_documents(turn, draft, log).await;
        let tools = if self.parts.model.is_generative() { self.tools_of(&turn.permit) } else { Vec::new() };
        let found = draft.passages.clone();
        let material = Material {
            tenant: &turn.tenant_name,
            mark: &turn.mark,
            tools: &tools,
            memories: &turn.memories,
            instructions: turn.instructions.as_deref(),
            passages: matches!(searched, Searched::Found { .. }).then_some(found.as_slice()),
            weak: matches!(searched, Searched::Found { weak: true }),
            left_out: draft.left_out > 0,
            history: &turn.history,
            question: turn.question(),
        };
        let room = self.room();
        // What the model and its tools said in this turn; history gives way to it.
        let mut said = Classified::empty();
        let mut calls_left = self.settings.max_tool_calls;
        loop {
            let offered = if calls_left > 0 { offer(&tools) } else { Vec::new() };
            let reply = match self.next_reply(turn.permit.scope(), draft, (&material, &said), offered).await {
                Ok(reply) => reply,
                Err(error) => return End::Failed(Problem::of(&error)),
            };
            let told = draft.citer.text().len();
            log.made_from(draft.classification, &draft.sources);
            let request = self.request(turn, draft, reply);
            let (reason, calls) = match self.one_reply(request, draft, (turn, log)).await {
                Ok(reply) => reply,
                Err(error) => {
                    draft.calls.failed(&error);
                    return End::Failed(Problem::of(&error));
                }
            };
            if calls.is_empty() || calls_left == 0 {
                return End::Finished(reason);
            }
            let content = draft.citer.text()[told..].to_owned();
            draft.unreadable_replies += u32::from(calls.iter().any(is_unreadable));
            let reply = PromptMessage::Assistant { content, tool_calls: calls.clone() };
            said.push(Classified::new(reply, draft.classification));
            for call in calls {
                let content = if calls_left > 0 {
                    calls_left -= 1;
                    let left = room.saturating_sub(prompt::least(&material) + cost(said.content()));
                    // Half of what is left, so that another call has room too.
                    self.call_tool((turn, log), draft, &call, TokenBudget(left / 2)).await
                } else {
                    let text = "No more tool calls are allowed in this turn.".to_owned();
                    Classified::new(text, Classification::Public)
                };
                said.push(content.map(|content| PromptMessage::Tool { call_id: call.id, content }));
            }
            // Asked again once: a model that writes no JSON twice would go on like that.
            if draft.unreadable_replies > 1 {
                calls_left = 0;
            }
        }
    }

    /// The tools that the user may call.
    pub(super) fn tools_of(&self, permit: &Permit) -> Vec<ToolSpec> {
        self.parts.tools.manifest(permit.rights())
    }

    /// Tokens of a whole prompt.
    pub(super) fn room(&self) -> usize {
        self.settings.context_tokens.saturating_sub(self.settings.max_output_tokens as usize)
    }

    /// The platform's own search of a turn.
    async fn look_into_documents(&self, turn: &Turn, draft: &mut Draft, log: &RunLog) -> Searched {
        if !intent::wants_documents(turn.retrieval, &turn.question) {
            return Searched::Not;
        }
        let query = intent::query(&turn.question, &turn.history);
        let call_id = "retrieval";
        let mut call = rag_search(call_id, clip(&query), self.settings.passages, &turn.filters);
        ask_for_surroundings(&mut call.arguments);
        call.context = turn.context();
        let name = ToolName::RagSearch.as_str().to_owned();
        log.push(RunEvent::ToolStarted { call_id: call_id.to_owned(), name: name.clone() });
        let found = retrieve(&*self.parts.tools, &turn.permit, call).await;
        let status = status_of(&found);
        log.push(RunEvent::ToolFinished { call_id: call_id.to_owned(), name: name.clone(), status });
        draft.tools_used.push(name);
        match found {
            Ok(retrieval) => {
                draft.degraded |= retrieval.degraded;
                let weak = !retrieval.answerable;
                let mut hits = if weak { self.nearest(retrieval.hits) } else { retrieval.hits };
                draft.keep(&mut hits);
                let wishes = turn.instructions.as_deref().map_or(0, estimate);
                let room = draft.allowance.room(self.room(), draft.calls.spent()).saturating_sub(wishes);
                draft.number(hits, self.room_for_passages(&turn.question, room));
                Searched::Found { weak }
            }
            // The credential or a role that was lowered: nothing is broken, and the refusal is on record.
            Err(ToolError::Denied { .. }) => Searched::Not,
            Err(error) => {
                tracing::warn!(request_id = %turn.permit.scope().request(), error = %error, "retrieval failed");
                draft.degraded = true;
                Searched::Not
            }
        }
    }

    /// What the platform's own passages of a turn may take: half of what instructions and question leave, so that history
    /// and tools have room too. The extractive answerer reads no prompt.
    pub(super) fn room_for_passages(&self, question: &str, room: usize) -> TokenBudget {
        if self.parts.model.is_generative() {
            TokenBudget(room.saturating_sub(INSTRUCTIONS + estimate(question)) / 2)
        } else {
            TokenBudget(usize::MAX)
        }
    }

    /// What a model gets of hits that are not good enough to answer from. One that writes can say what is there and what
    /// is not; the extractive answerer would only quote what is beside the point.
    fn nearest(&self, mut hits: Vec<Hit>) -> Vec<Hit> {
        if !self.parts.model.is_generative() {
            return Vec::new();
        }
        hits.truncate(WEAK_PASSAGES);
        hits
    }

    fn request(&self, turn: &Turn, draft: &Draft, reply: Reply) -> ChatRequest {
        let Reply { prompt, tools, output } = reply;
        ChatRequest {
            caller: turn.caller,
            tier: turn.chosen.tier,
            prompt,
            tools,
            max_output_tokens: output.min(turn.max_output_tokens),
            question: turn.question.clone(),
            passages: draft.passages.clone(),
            options: turn.options.clone(),
        }
    }

    /// One reply of the model: its words go out as they come, its tool calls come back.
    async fn one_reply(
        &self,
        request: ChatRequest,
        draft: &mut Draft,
        (turn, log): (&Turn, &RunLog),
    ) -> Result<(FinishReason, Vec<ModelToolCall>), ModelError> {
        draft.calls.begin(cost(request.prompt.content()) + cost_of_tools(&request.tools));
        let shows_reasoning = turn.permit.rights().allow(SEE_REASONING);
        let ChatStream { served_by, mut deltas } = self.parts.model.stream(request).await?;
        draft.calls.served(&served_by);
        draft.degraded |= served_by.fallback;
        draft.fallback |= served_by.fallback;
        let backend = served_by.backend.clone();
        draft.served_by = Some(served_by);
        let mut calls = Vec::new();
        while let Some(delta) = deltas.next().await {
            let delta = delta?;
            draft.calls.wrote(written(&delta));
            match delta {
                ChatDelta::Text(text) => {
                    // PostgreSQL cannot store U+0000: one of them would lose the whole answer.
                    let text = draft.inert.push(&text.replace('\0', ""));
                    draft.say(text, log);
                }
                ChatDelta::ToolCall(call) => calls.push(call),
                // How a model thinks is for those who run the tenant; it is no part of the answer and is not kept.
                ChatDelta::Reasoning(text) if shows_reasoning => log.push(RunEvent::Reasoning { text }),
                ChatDelta::Reasoning(_) => {}
                ChatDelta::Finished { reason, usage, estimated, cost } => {
                    let rest = draft.inert.finish();
                    draft.say(rest, log);
                    draft.usage += usage;
                    draft.calls.finished(reason, Counted { usage, estimated, cost });
                    return Ok((reason, calls));
                }
            }
        }
        Err(ModelError::Interrupted { backend, reason: "the stream ended without an end".to_owned() })
    }
}

/// Bytes that a model wrote for this.
pub(super) fn written(delta: &ChatDelta) -> usize {
    match delta {
        ChatDelta::Text(text) | ChatDelta::Reasoning(text) => text.len(),
        ChatDelta::ToolCall(call) => call.name.len() + call.arguments.len(),
        ChatDelta::Finished { .. } => 0,
    }
}

/// A search reads the first 2,000 characters of a long message.
fn clip(query: &str) -> &str {
    query.char_indices().nth(2_000).map_or(query, |(at, _)| &query[..at])
}
