//! Executes a run: an agent answers, or the assistant with what specialists found out about parts of the question.

use super::citations::CitableSources;
use super::context::RunContext;
use super::input::Acknowledgement;
use super::parts::work_out_parts;
use super::progress::RunProgress;
use super::provenance::Provenance;
use super::reply_loop::answer;
use crate::error::RuntimeError;
use domain::conversation::Sources;
use domain::goal::StepStatus;
use domain::run::{FinishReason, RunEvent};

/// Title of the only step of a question that one specialist answers.
const ONLY_STEP_TITLE: &str = "Answer the question";

/// Runs the loop to its end. Events are written to the log and everything else to `progress`, which stays valid if the
/// future is dropped.
///
/// # Errors
/// If the model or the store fails, or the budget is used up.
pub async fn execute(ctx: RunContext<'_>, progress: &mut RunProgress) -> Result<FinishReason, RuntimeError> {
    let Some(acknowledgement) = ctx.run.input.acknowledgement() else {
        return answer_or_delegate(ctx, progress).await;
    };
    let reason =
        if acknowledgement.is_whole_answer { FinishReason::Stop } else { answer_or_delegate(ctx, progress).await? };
    acknowledge(ctx, progress, acknowledgement);
    Ok(reason)
}

/// Checks that the agent used the tool that its answer must come from.
fn check_required_tool(ctx: RunContext<'_>, progress: &RunProgress) -> Result<(), RuntimeError> {
    match ctx.run.agent.required_tool {
        Some(tool) if !progress.successful_tools.contains(tool.as_str()) => Err(RuntimeError::ToolNotUsed { tool }),
        _ => Ok(()),
    }
}

/// Appends the acknowledgement to the answer as a separate paragraph.
fn acknowledge(ctx: RunContext<'_>, progress: &mut RunProgress, acknowledgement: &Acknowledgement) {
    let text = &acknowledgement.text;
    progress.provenance.merge(&Provenance { classification: text.classification(), sources: Sources::default() });
    ctx.log.merge_provenance(&progress.provenance);
    progress.acknowledgement_start = Some(progress.answer.text().len());
    let separator = if progress.answer.text().is_empty() { "" } else { "\n\n" };
    let no_sources = CitableSources::default();
    let mut events = progress.answer.push(format!("{separator}{}", text.content()), no_sources);
    events.extend(progress.answer.end_reply(no_sources));
    for event in events {
        ctx.log.push(event);
    }
}

/// Lets the chosen specialist answer, or specialists work on parts of the question before the assistant answers.
async fn answer_or_delegate(ctx: RunContext<'_>, progress: &mut RunProgress) -> Result<FinishReason, RuntimeError> {
    if let Some(agent) = &ctx.run.specialist {
        progress.agents.insert(agent.name.clone(), agent.instructions_digest());
        let (step_id, title) = ("1".to_owned(), ONLY_STEP_TITLE.to_owned());
        ctx.log.push(RunEvent::StepStarted { step_id: step_id.clone(), agent: agent.name.clone(), title });
        let result = answer(ctx, progress, None).await;
        let result = result.and_then(|reason| check_required_tool(ctx, progress).map(|()| reason));
        let status = if result.is_ok() { StepStatus::Succeeded } else { StepStatus::Failed };
        ctx.log.push(RunEvent::StepFinished { step_id, status });
        return result;
    }
    let found = match &ctx.run.orchestration {
        Some(orchestration) => work_out_parts(ctx, progress, orchestration).await?,
        None => None,
    };
    let reason = answer(ctx, progress, found).await?;
    check_required_tool(ctx, progress)?;
    Ok(reason)
}
