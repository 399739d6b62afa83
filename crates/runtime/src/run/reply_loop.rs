//! The loop of an agent: searches the documents and reads plant systems, calls the model, executes the tool calls that
//! it requests, and calls the model again.

use super::context::RunContext;
use super::input::Findings;
use super::model_reply::{self, Reply, ReplyRequest};
use super::plant_readings::{add_readings, read_plant};
use super::progress::{RunProgress, SearchOutcome};
use super::retrieve::search_documents;
use super::tool_calls::{call_tool, has_malformed_arguments};
use crate::error::RuntimeError;
use crate::prompt::assemble::AutoSearchResult;
use crate::prompt::readings::PlantReadings;
use crate::prompt::templates::TemplateError;
use crate::prompt::tokens::TokenBudget;
use domain::classified::Classified;
use domain::model::{ModelToolCall, PromptMessage};
use domain::role::Classification;
use domain::run::FinishReason;
use domain::untrusted::neutralize;

/// Number of replies with malformed tool calls that are tolerated. After one more, no platform tools are offered, since
/// a model that writes invalid JSON twice will keep doing so.
const MAX_MALFORMED_REPLIES: u32 = 1;

/// State of the loop: the transcript so far, and the number of tool calls left.
struct LoopState {
    transcript: Classified<Vec<PromptMessage>>,
    remaining_calls: u32,
    malformed_replies: u32,
}

/// Searches the documents and reads plant systems, and then calls the model and its tools until its answer is complete.
/// `found` is what specialists found out about the question.
///
/// # Errors
/// If the model or the store fails, or the budget is used up.
pub async fn answer(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    found: Option<Classified<PromptMessage>>,
) -> Result<FinishReason, RuntimeError> {
    let run = ctx.run;
    let ((), read) = tokio::join!(search_documents(ctx, progress), read_plant(ctx));
    add_readings(ctx, progress, read);
    let (passages, readings) = (progress.passages.clone(), progress.readings.clone());
    let failure = progress.readings_failure.clone();
    let search = match progress.search {
        SearchOutcome::NotSearched => AutoSearchResult::NotSearched,
        SearchOutcome::Searched { is_weak_match } => AutoSearchResult::Searched { passages: &passages, is_weak_match },
    };
    let plant = PlantReadings { readings: &readings, failure: failure.as_deref() };
    let findings = Findings { search, plant, has_omitted_content: progress.visibility.omitted_count > 0 };
    let prompt = run.input.prompt(&run.agent, &run.nonce, findings);
    // All parts of a question share the limit.
    let remaining_calls = run.agent.limits.max_tool_calls.saturating_sub(progress.tool_calls);
    let mut state = LoopState { transcript: Classified::empty(), remaining_calls, malformed_replies: 0 };
    if let Some(found) = found {
        state.transcript.push(found);
    }
    loop {
        let tools = run.agent.tools.offered_tools(state.remaining_calls);
        let request = ReplyRequest { prompt: &prompt, transcript: &state.transcript, tools };
        let fitted_request = model_reply::fit_to_budget(ctx, progress, request).await?;
        let reply_start = progress.answer.text().len();
        let reply = model_reply::stream_reply(ctx, progress, fitted_request).await?;
        let Reply { reason, tool_calls, wants_client_tools } = reply;
        // Once the client has executed its tools, the model is asked again and may repeat the other calls.
        if tool_calls.is_empty() || wants_client_tools || state.remaining_calls == 0 {
            return Ok(reason);
        }
        // What the model writes may quote what it has read.
        let content = neutralize(&progress.answer.text()[reply_start..]).into_owned();
        let message =
            PromptMessage::Assistant { content, tool_calls: tool_calls.iter().map(neutralize_call).collect() };
        state.transcript.push(Classified::new(message, progress.provenance.classification));
        let min_prompt_tokens = prompt.min_tokens()?;
        execute_calls(ctx, progress, &mut state, RequestedCalls { calls: tool_calls, min_prompt_tokens }).await?;
    }
}

/// The call as the model gets to read it again.
fn neutralize_call(call: &ModelToolCall) -> ModelToolCall {
    let (name, arguments) = (neutralize(&call.name).into_owned(), neutralize(&call.arguments).into_owned());
    ModelToolCall { id: call.id.clone(), name, arguments }
}

/// The tool calls of a reply.
struct RequestedCalls {
    calls: Vec<ModelToolCall>,
    /// Tokens of the shortest prompt of the run.
    min_prompt_tokens: usize,
}

/// Executes the calls while any are left, and appends a result for each to the transcript.
///
/// # Errors
/// If a result cannot be rendered.
async fn execute_calls(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    state: &mut LoopState,
    RequestedCalls { calls, min_prompt_tokens }: RequestedCalls,
) -> Result<(), TemplateError> {
    state.malformed_replies += u32::from(calls.iter().any(has_malformed_arguments));
    for call in calls {
        let content = if state.remaining_calls > 0 {
            state.remaining_calls -= 1;
            progress.tool_calls += 1;
            let agent = &ctx.run.agent;
            let used_tokens = min_prompt_tokens + agent.counter.prompt(state.transcript.content());
            let remaining_tokens = agent.limits.max_prompt_tokens().saturating_sub(used_tokens);
            // Only half of the remaining tokens, so that there is room for another call.
            call_tool(ctx, progress, &call, TokenBudget(remaining_tokens / 2)).await?
        } else {
            let text = "No more tool calls are allowed in this turn.".to_owned();
            Classified::new(text, Classification::Public)
        };
        state.transcript.push(content.map(|content| PromptMessage::Tool { call_id: call.id, content }));
    }
    if state.malformed_replies > MAX_MALFORMED_REPLIES {
        state.remaining_calls = 0;
    }
    Ok(())
}
