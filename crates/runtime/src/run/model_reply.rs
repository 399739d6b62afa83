//! One reply of the model: fits its prompt to the budget, and streams its text to the readers.

use super::budget::{AmountRange, MIN_OUTPUT_TOKENS, TokenEstimate};
use super::call_recorder::ReportedUsage;
use super::citations::CitableSources;
use super::context::RunContext;
use super::input::PromptSource;
use super::progress::{RunProgress, SearchOutcome};
use super::provenance::Provenance;
use crate::error::RuntimeError;
use crate::prompt::assemble::AssembledPrompt;
use crate::prompt::templates::TemplateError;
use crate::prompt::tokens::TokenBudget;
use domain::classified::Classified;
use domain::model::{
    ChatDelta, ChatRequest, ChatStream, ExtractiveInput, ModelError, ModelToolCall, OfferedTool, PromptMessage,
};
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::run::{FinishReason, RunEvent};
use futures::StreamExt as _;

/// Permission to see the model's reasoning.
const READ_REASONING: Permission = Permission::new(Resource::Reasoning, Operation::Read);

/// Input of the model's next reply.
pub struct ReplyRequest<'a> {
    pub prompt: &'a PromptSource<'a>,
    /// Earlier replies and tool results of this run. History is shortened to make room for them.
    pub transcript: &'a Classified<Vec<PromptMessage>>,
    pub tools: Vec<OfferedTool>,
}

/// A reply's request, fitted to the context length and the budget.
pub struct FittedRequest {
    assembled: AssembledPrompt,
    tools: Vec<OfferedTool>,
    max_output_tokens: u32,
}

/// A complete reply of the model. Its text is stored in [`RunProgress::answer`].
pub struct Reply {
    pub reason: FinishReason,
    /// The calls of platform tools that the model requested.
    pub tool_calls: Vec<ModelToolCall>,
    /// Whether the model also requested calls of client tools, which have been sent to the reader.
    pub wants_client_tools: bool,
}

/// Fits the next reply to the run's budget. Reserves more if needed and possible. Otherwise, prompt and reply are
/// shortened and no tools are offered, so that this reply is the last one. For a verbatim prompt, only the reply is
/// shortened.
///
/// # Errors
/// If the remaining budget is too small for a reply, or the store fails.
pub async fn fit_to_budget(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    request: ReplyRequest<'_>,
) -> Result<FittedRequest, RuntimeError> {
    let ReplyRequest { prompt, transcript, tools } = request;
    let limits = &ctx.run.agent.limits;
    let (max_prompt, max_output) = (limits.max_prompt_tokens(), limits.reserved_reply_tokens);
    let counter = &ctx.run.agent.counter;
    let transcript_tokens = counter.prompt(transcript.content());
    let assemble_within = |max_tokens: usize| {
        let mut assembled = prompt.assemble_within(TokenBudget(max_tokens.saturating_sub(transcript_tokens)))?;
        assembled.prompt.extend(transcript.clone());
        Ok::<_, TemplateError>(assembled)
    };
    let full_prompt = assemble_within(max_prompt)?;
    let spent = progress.model.calls.total_spent();
    let Some(grant) = progress.budget.grant_mut() else {
        return Ok(FittedRequest { assembled: full_prompt, tools, max_output_tokens: max_output });
    };
    let full_prompt_tokens = counter.prompt(full_prompt.prompt.content());
    let estimate = TokenEstimate {
        min_prompt: full_prompt.min_tokens + transcript_tokens,
        prompt: full_prompt_tokens + counter.tools(&tools),
        output: max_output,
    };
    let needed = AmountRange::from_estimate(estimate, grant.price);
    ctx.budgets.extend(ctx.run.permit.scope(), grant, spent, needed).await?;
    let remaining = grant.remaining(spent);
    let affordable_output = remaining.max_output_tokens(estimate.prompt);
    if affordable_output >= max_output {
        return Ok(FittedRequest { assembled: full_prompt, tools, max_output_tokens: max_output });
    }
    if !prompt.can_shrink() {
        let max_output_tokens = affordable_output.clamp(1, max_output.max(1));
        return Ok(FittedRequest { assembled: full_prompt, tools, max_output_tokens });
    }
    let fits_without_tools = remaining.max_output_tokens(full_prompt_tokens) >= MIN_OUTPUT_TOKENS;
    let max_prompt = remaining.max_prompt_tokens(MIN_OUTPUT_TOKENS);
    let assembled = if fits_without_tools { full_prompt } else { assemble_within(max_prompt)? };
    let output = remaining.max_output_tokens(counter.prompt(assembled.prompt.content())).min(max_output);
    if output < MIN_OUTPUT_TOKENS {
        return Err(grant.exceeded_error(ctx.ports.clock.now()));
    }
    Ok(FittedRequest { assembled, tools: Vec::new(), max_output_tokens: output })
}

/// Calls the model. Streams the text of its reply to the readers and stores it in `progress`. Records the call.
///
/// # Errors
/// If the model fails or its stream is interrupted.
pub async fn stream_reply(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    fitted_request: FittedRequest,
) -> Result<Reply, RuntimeError> {
    let request = model_request(ctx, progress, fitted_request);
    let reply = read_stream(ctx, progress, request).await;
    if let Err(error) = &reply {
        progress.model.calls.fail(error);
    }
    Ok(reply?)
}

/// Builds the model request, and adds the prompt to the provenance of the answer.
fn model_request(ctx: RunContext<'_>, progress: &mut RunProgress, fitted_request: FittedRequest) -> ChatRequest {
    let FittedRequest { assembled: AssembledPrompt { prompt, sources, .. }, tools, max_output_tokens } = fitted_request;
    progress.provenance.merge(&Provenance { classification: prompt.classification(), sources });
    ctx.log.merge_provenance(&progress.provenance);
    let agent = &ctx.run.agent;
    let mut options = agent.options.clone();
    if tools.is_empty() {
        // Model servers reject tool options without tools.
        (options.tool_choice, options.parallel_tool_calls) = (None, None);
    }
    ChatRequest {
        caller: ctx.run.caller.clone(),
        tier: agent.tier.tier,
        prompt,
        tools,
        max_output_tokens: max_output_tokens.min(agent.limits.max_output_tokens),
        extractive_input: ExtractiveInput {
            question: ctx.run.input.standalone_question().to_owned(),
            passages: progress.passages.clone(),
            is_weak_match: progress.search == SearchOutcome::Searched { is_weak_match: true },
            readings: progress.readings.clone(),
            readings_failure: progress.readings_failure.clone(),
        },
        options,
    }
}

async fn read_stream(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    request: ChatRequest,
) -> Result<Reply, ModelError> {
    let RunProgress { answer, passages, readings, model, degraded, counter, .. } = progress;
    let sources = CitableSources { passages: passages.as_slice(), readings: readings.as_slice() };
    model.calls.start(request.tier, counter.prompt(request.prompt.content()) + counter.tools(&request.tools));
    let shows_reasoning = ctx.run.permit.rights().allows(READ_REASONING);
    let ChatStream { served_by, mut deltas } = ctx.ports.model.stream(request).await?;
    model.calls.set_served_by(&served_by);
    *degraded |= served_by.fallback;
    model.used_fallback |= served_by.fallback;
    model.replaced.merge_max(&served_by.replacement_counts);
    let backend = served_by.backend.clone();
    model.served_by = Some(served_by);
    let (mut tool_calls, mut wants_client_tools) = (Vec::new(), false);
    while let Some(delta) = deltas.next().await {
        let delta = delta?;
        model.calls.add_output_bytes(output_bytes(&delta));
        match delta {
            ChatDelta::Text(text) => push_all(ctx, answer.push(text, sources)),
            ChatDelta::ToolCall(call) if ctx.run.agent.tools.is_executed_by_client(&call.name) => {
                wants_client_tools = true;
                ctx.log.push(RunEvent::ClientToolRequested(call));
            }
            ChatDelta::ToolCall(call) => tool_calls.push(call),
            // Reasoning is only sent to users with [`READ_REASONING`]; it is not part of the answer and is not stored.
            ChatDelta::Reasoning(text) if shows_reasoning => ctx.log.push(RunEvent::Reasoning { text }),
            ChatDelta::Reasoning(_) => {}
            ChatDelta::Finished { reason, usage, tokens_estimated: estimated, cost } => {
                push_all(ctx, answer.end_reply(sources));
                model.usage += usage;
                model.calls.finish(reason, ReportedUsage { usage, estimated, cost });
                return Ok(Reply { reason, tool_calls, wants_client_tools });
            }
        }
    }
    Err(ModelError::Interrupted { backend, reason: "the stream ended before the reply was finished".to_owned() })
}

fn push_all(ctx: RunContext<'_>, events: Vec<RunEvent>) {
    for event in events {
        ctx.log.push(event);
    }
}

/// Returns the number of bytes that the model wrote for this delta.
fn output_bytes(delta: &ChatDelta) -> usize {
    match delta {
        ChatDelta::Text(text) | ChatDelta::Reasoning(text) => text.len(),
        ChatDelta::ToolCall(call) => call.name.len() + call.arguments.len(),
        ChatDelta::Finished { .. } => 0,
    }
}
