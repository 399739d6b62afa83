//! The automatic document search that runs before the model is called.

use super::context::RunContext;
use super::input::DocumentSearch;
use super::progress::{RunProgress, SearchOutcome};
use super::question_rewrite;
use super::tool_calls::{include_surroundings, tool_status};
use crate::prompt::passages::passage_budget;
use crate::prompt::tokens::TokenBudget;
use crate::search::{rag_search_call, retrieval_from_result, run_search};
use domain::ledger::CallOrigin;
use domain::run::RunEvent;
use domain::search::{Hit, Retrieval};
use domain::tool::{ToolCall, ToolName};
use tools::error::ToolError;
use tools::gateway::CallAdmission;

/// Maximum number of passages that are used from a search without a good match.
const MAX_WEAK_PASSAGES: usize = 4;
/// Confidence of a search below which the extractive answerer says that the documents contain no answer. Chosen on the
/// set `tests/answerability/tuned.json`.
const MIN_NEAREST_CONFIDENCE: f32 = 0.11;
/// Call id of the search in the events and the audit log.
pub const CALL_ID: &str = "retrieval";

/// Searches the documents if the run starts with a search, and adds the passages that fit to `progress`. If the
/// search fails, the run continues and its answer is marked as degraded.
pub async fn search_documents(ctx: RunContext<'_>, progress: &mut RunProgress) {
    let Some(search) = ctx.run.input.search() else { return };
    match call_search(ctx, progress, search).await {
        Ok(found) => {
            progress.degraded |= found.degraded;
            progress.search = SearchOutcome::Searched { is_weak_match: !found.answerable };
            add_passages(ctx, progress, found);
        }
        // The credential's scopes do not include searching, or the user's role was lowered. This is not a failure, and
        // the refusal is in the audit log.
        Err(ToolError::Denied { .. }) => {}
        Err(error) => {
            tracing::warn!(request_id = %ctx.run.permit.scope().request(), error = %error, "retrieval failed");
            progress.degraded = true;
        }
    }
}

async fn call_search(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    search: &DocumentSearch,
) -> Result<Retrieval, ToolError> {
    let (call_id, name) = (CALL_ID.to_owned(), ToolName::RagSearch.as_str().to_owned());
    let rewritten = if ctx.run.search_admission.is_none() && search.is_follow_up {
        question_rewrite::rewrite_follow_up(ctx, progress).await
    } else {
        None
    };
    let query = rewritten.unwrap_or_else(|| search.query.clone());
    ctx.log.push(RunEvent::ToolStarted { call_id: call_id.clone(), name: name.clone(), query: Some(query.clone()) });
    let found = match &ctx.run.search_admission {
        Some(CallAdmission::Admitted(call)) => run_search(&**call).await,
        Some(CallAdmission::Refused(reason)) => Err(ToolError::Denied { reason: *reason }),
        None => invoke_search(ctx, search, &query).await,
    };
    ctx.log.push(RunEvent::ToolFinished { call_id, name: name.clone(), status: tool_status(&found) });
    progress.tools_used.push(name);
    found
}

/// Searches for a query that was not known when the turn was stored: intent and outcome are recorded separately.
async fn invoke_search(ctx: RunContext<'_>, search: &DocumentSearch, query: &str) -> Result<Retrieval, ToolError> {
    let call = automatic_search(search, query, ctx.run.origin);
    let Some((first, others)) = ctx.run.team_permits.split_first() else {
        return retrieval_from_result(ctx.ports.tools.invoke(&ctx.run.permit, call).await?);
    };
    let mut found = retrieval_from_result(ctx.ports.tools.invoke(first, call.clone()).await?)?;
    for permit in others {
        found.merge(retrieval_from_result(ctx.ports.tools.invoke(permit, call.clone()).await?)?);
    }
    found.hits.truncate(search.top_k as usize);
    Ok(found)
}

/// Returns the call of the automatic search for `query`.
pub fn automatic_search(search: &DocumentSearch, query: &str, origin: CallOrigin) -> ToolCall {
    let mut call = rag_search_call(CALL_ID, query, search.top_k, &search.filters);
    include_surroundings(&mut call.arguments);
    ToolCall { origin, ..call }
}

/// Adds the passages that the model may see and that fit into the prompt. The extractive answerer has no prompt, so all
/// of them fit.
fn add_passages(ctx: RunContext<'_>, progress: &mut RunProgress, found: Retrieval) {
    let is_language_model = ctx.ports.model.is_language_model();
    let mut hits = if found.answerable { found.hits } else { usable_weak_hits(found, is_language_model) };
    progress.visibility.retain_visible(&mut hits);
    let budget = if is_language_model {
        let agent = &ctx.run.agent;
        let spent = progress.model.calls.total_spent();
        let max_tokens = progress.budget.max_prompt_tokens(agent.limits.max_prompt_tokens(), spent);
        passage_budget(ctx.run.input.remaining_tokens(&agent.counter, max_tokens))
    } else {
        TokenBudget(usize::MAX)
    };
    progress.add_passages(hits, budget);
}

/// Selects from hits that are not good enough to answer from. A language model can say what they contain and what is
/// missing. The extractive answerer cannot: it gets the nearest ones, or none if the documents most likely contain no
/// answer.
fn usable_weak_hits(found: Retrieval, is_language_model: bool) -> Vec<Hit> {
    let are_usable = is_language_model || found.confidence >= MIN_NEAREST_CONFIDENCE;
    let mut hits = found.hits;
    hits.truncate(if are_usable { MAX_WEAK_PASSAGES } else { 0 });
    hits
}
