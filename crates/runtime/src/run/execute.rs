//! The agent loop of a run: searches the documents, calls the model, executes the tool calls that it requests, and
//! calls the model again.

use super::context::RunContext;
use super::material::Prompt;
use super::progress::RunProgress;
use super::reply::{self, Reply, ReplyRequest};
use super::retrieve::{SearchOutcome, search_documents};
use super::tool_calls::{call_tool, is_malformed};
use crate::error::RuntimeError;
use crate::prompt::assemble::Retrieved;
use crate::prompt::tokens::{TokenBudget, prompt_tokens};
use domain::classified::Classified;
use domain::model::{ModelToolCall, PromptMessage};
use domain::role::Classification;
use domain::run::FinishReason;

/// Number of replies with malformed tool calls that are tolerated. After one more, no tools are offered, since a model
/// that writes invalid JSON twice will keep doing so.
const MAX_MALFORMED_REPLIES: u32 = 1;

/// Transcript of the run so far, and the number of tool calls left.
struct LoopState {
    transcript: Classified<Vec<PromptMessage>>,
    calls_left: u32,
    malformed_replies: u32,
}

/// Runs the loop to its end. Events are written to the log and everything else to `progress`, which stays valid if the
/// future is dropped.
///
/// # Errors
/// If the model or the store fails, or the budget is used up.
pub async fn execute(ctx: RunContext<'_>, progress: &mut RunProgress) -> Result<FinishReason, RuntimeError> {
    let run = ctx.run;
    let outcome = search_documents(ctx, progress).await;
    let passages = progress.passages.clone();
    let retrieved = match outcome {
        SearchOutcome::NotSearched => Retrieved::NotSearched,
        SearchOutcome::Searched { weak } => Retrieved::Searched { passages: &passages, weak },
    };
    let left_out = progress.visibility.left_out > 0;
    let prompt = run.material.prompt(&run.agent, &run.nonce, retrieved, left_out);
    let calls_left = run.agent.limits.max_tool_calls;
    let mut state = LoopState { transcript: Classified::empty(), calls_left, malformed_replies: 0 };
    loop {
        let tools = run.agent.tools.offered(state.calls_left);
        let request = ReplyRequest { prompt: &prompt, transcript: &state.transcript, tools };
        let fitted = reply::fit(ctx, progress, request).await?;
        let reply_start = progress.answer.text().len();
        let Reply { reason, tool_calls } = reply::stream(ctx, progress, fitted).await?;
        if tool_calls.is_empty() || state.calls_left == 0 {
            return Ok(reason);
        }
        let content = progress.answer.text()[reply_start..].to_owned();
        let message = PromptMessage::Assistant { content, tool_calls: tool_calls.clone() };
        state.transcript.push(Classified::new(message, progress.origin.class));
        execute_calls(ctx, progress, &prompt, &mut state, tool_calls).await;
    }
}

/// Executes the calls while any are left, and appends a result for each to the transcript.
async fn execute_calls(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    prompt: &Prompt<'_>,
    state: &mut LoopState,
    calls: Vec<ModelToolCall>,
) {
    state.malformed_replies += u32::from(calls.iter().any(is_malformed));
    for call in calls {
        let content = if state.calls_left > 0 {
            state.calls_left -= 1;
            let used = prompt.min_tokens() + prompt_tokens(state.transcript.content());
            let left = ctx.run.agent.limits.prompt_tokens().saturating_sub(used);
            // Only half of the remaining tokens, so that there is room for another call.
            call_tool(ctx, progress, &call, TokenBudget(left / 2)).await
        } else {
            let text = "No more tool calls are allowed in this turn.".to_owned();
            Classified::new(text, Classification::Public)
        };
        state.transcript.push(content.map(|content| PromptMessage::Tool { call_id: call.id, content }));
    }
    if state.malformed_replies > MAX_MALFORMED_REPLIES {
        state.calls_left = 0;
    }
}
