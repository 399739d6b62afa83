//! Hands parts of a question to specialists: a plan by one model call, then a loop of each part's agent, and the
//! outputs as data for the assistant. The parts share the run's permit, budget, class, and the numbering of passages
//! and readings.

use super::agent::{Agent, ToolSet};
use super::answer::{AnswerFormat, AnswerText};
use super::budget::BudgetReservation;
use super::context::RunContext;
use super::definition::{Orchestration, Run};
use super::input::{DocumentSearch, QuestionInput, RunInput};
use super::progress::{RunProgress, SearchOutcome};
use super::reply_loop::answer;
use super::side_call::{Asker, ModelCall, call_model};
use crate::error::RuntimeError;
use crate::prompt::planner;
use crate::prompt::step_task::{self, EarlierOutput};
use crate::prompt::system::SystemPrompt;
use domain::agent::AgentSpec;
use domain::classified::Classified;
use domain::error::Classify as _;
use domain::goal::{PlannedStep, StepStatus, check_plan, in_order};
use domain::model::{ChatOptions, PromptMessage};
use domain::run::RunEvent;
use domain::tool::ToolName;
use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

/// Maximum number of parts of a question.
const MAX_PARTS: usize = 4;
/// Maximum number of tokens of the plan.
const MAX_PLAN_TOKENS: u32 = 1_024;
/// Maximum length of the planner's answer, in bytes.
const MAX_PLAN_BYTES: usize = 32 << 10;
/// Time limit of the plan; without one, the assistant answers alone.
const PLAN_TIME_LIMIT: Duration = Duration::from_secs(60);
/// Maximum length of a search query, in characters.
const MAX_QUERY_CHARS: usize = 2_000;
/// Maximum number of passages of a part's search.
const PASSAGES_PER_PART: u32 = 4;

/// What the assistant is told about the outputs.
const FOUND_OUT: &str = "Specialists have worked on parts of the question. Answer it from what they found out, and \
    cite \
                         passages and readings by the numbers that they use.";

/// Lets specialists work on the parts of the question, and returns what they found out; `None` if the model sees no
/// parts for them.
///
/// # Errors
/// If a prompt cannot be rendered, or the budget is used up.
pub async fn work_out_parts(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    orchestration: &Orchestration,
) -> Result<Option<Classified<PromptMessage>>, RuntimeError> {
    let Some(steps) = plan_parts(ctx, progress, orchestration).await else { return Ok(None) };
    let mut outputs = Vec::new();
    for index in in_order(&steps).unwrap_or_default() {
        let step = &steps[index];
        let Some(spec) = orchestration.agents.iter().find(|agent| agent.name == step.agent) else { continue };
        let (step_id, agent, title) = (step.id.clone(), step.agent.clone(), step.title.clone());
        ctx.log.push(RunEvent::StepStarted { step_id: step_id.clone(), agent, title: title.clone() });
        let part = Part { step, spec, earlier: &outputs };
        let result = work_on(ctx, progress, orchestration, part).await;
        let status = if result.is_ok() { StepStatus::Succeeded } else { StepStatus::Failed };
        ctx.log.push(RunEvent::StepFinished { step_id: step_id.clone(), status });
        let text = match result {
            Ok(text) => text,
            Err(error @ RuntimeError::BudgetExceeded { .. }) => return Err(error),
            Err(error) => {
                progress.degraded = true;
                tracing::warn!(run_id = %ctx.run.id, code = error.code(), %error, "a part of a question failed");
                "This part failed. Say so.".to_owned()
            }
        };
        outputs.push(EarlierOutput { id: step_id, title, text });
    }
    let text = step_task::render(FOUND_OUT, &outputs, &ctx.run.nonce)?;
    let classification = progress.provenance.classification.max(ctx.run.input.classification());
    Ok(Some(Classified::new(PromptMessage::User(text), classification)))
}

/// A part of the question.
#[derive(Clone, Copy)]
struct Part<'a> {
    step: &'a PlannedStep,
    spec: &'a AgentSpec,
    /// Outputs of the parts before.
    earlier: &'a [EarlierOutput],
}

/// Asks the model for the parts. If it fails, or gives no valid plan, the assistant answers alone.
async fn plan_parts(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    orchestration: &Orchestration,
) -> Option<Vec<PlannedStep>> {
    let RunInput::Question(input) = &ctx.run.input else { return None };
    let asker = Asker { permit: &ctx.run.permit, caller: &ctx.run.caller, origin: ctx.run.origin };
    let call = ModelCall {
        tier: ctx.run.agent.tier.tier,
        instructions: planner::instructions(&orchestration.agents),
        input: Classified::new(input.question.content().clone(), input.question.classification()),
        max_output_tokens: MAX_PLAN_TOKENS,
        max_reply_bytes: MAX_PLAN_BYTES,
        time_limit: PLAN_TIME_LIMIT,
        options: planner::options(&orchestration.agents),
    };
    let planned = match call_model(ctx.ports, ctx.budgets, asker, call).await {
        Ok(planned) => planned,
        Err(error) => {
            tracing::debug!(run_id = %ctx.run.id, code = error.code(), "the parts of a question were not planned");
            return None;
        }
    };
    progress.model.usage += planned.usage;
    let names: BTreeSet<_> = orchestration.agents.iter().map(|agent| agent.name.clone()).collect();
    let steps = planner::parse(&planned.text).ok()?;
    (steps.len() <= MAX_PARTS && check_plan(&steps, &names).is_ok()).then_some(steps)
}

/// Lets the agent of a part work on it, and returns its output.
async fn work_on(
    ctx: RunContext<'_>,
    progress: &mut RunProgress,
    orchestration: &Orchestration,
    part: Part<'_>,
) -> Result<String, RuntimeError> {
    progress.agents.insert(part.spec.name.clone(), part.spec.instructions_digest());
    let run = part_run(ctx, progress, orchestration, part)?;
    let log = ctx.log.detached();
    let part_ctx = RunContext { run: &run, log: &log, ports: ctx.ports, budgets: ctx.budgets };
    let answer_so_far = mem::replace(&mut progress.answer, AnswerText::new(AnswerFormat::Cited));
    let successful_tools = mem::take(&mut progress.successful_tools);
    progress.search = SearchOutcome::NotSearched;
    let result = answer(part_ctx, progress, None).await;
    let (text, _) = mem::replace(&mut progress.answer, answer_so_far).into_parts();
    let used = mem::replace(&mut progress.successful_tools, successful_tools);
    ctx.log.merge_provenance(&progress.provenance);
    for numbered in log.events_after(0) {
        if let event @ (RunEvent::ToolStarted { .. }
        | RunEvent::ToolFinished { .. }
        | RunEvent::ApprovalRequired { .. }) = numbered.event
        {
            ctx.log.push(event);
        }
    }
    result?;
    match part.spec.required_tool {
        Some(tool) if !used.contains(tool.as_str()) => Err(RuntimeError::ToolNotUsed { tool }),
        _ => Ok(text),
    }
}

/// The search of a part: only if the question searches, and only what the question may.
fn part_search(run: &Run, part: Part<'_>) -> Option<DocumentSearch> {
    let asked = run.input.search().filter(|_| part.spec.has_tool(ToolName::RagSearch.as_str()))?;
    let query = part.step.instruction.chars().take(MAX_QUERY_CHARS).collect();
    Some(DocumentSearch { query, is_follow_up: false, filters: asked.filters.clone(), top_k: PASSAGES_PER_PART })
}

/// The run of a part: that of the question with the part's agent and task.
fn part_run(
    ctx: RunContext<'_>,
    progress: &RunProgress,
    orchestration: &Orchestration,
    part: Part<'_>,
) -> Result<Run, RuntimeError> {
    let Run { id, permit, caller, origin, answer_id, model_classification_limit, nonce, .. } = ctx.run;
    let tools = orchestration.tools.iter().filter(|tool| part.spec.has_tool(tool.name.as_str())).cloned().collect();
    let base = &ctx.run.agent;
    let agent = Agent {
        tools: ToolSet::Specialist(tools),
        tier: base.tier,
        options: ChatOptions::default(),
        format: AnswerFormat::Cited,
        counter: base.counter.clone(),
        limits: base.limits,
        required_tool: None,
    };
    let tenant = permit.tenant();
    let system = SystemPrompt {
        tenant: &tenant.name,
        plant_instructions: tenant.settings.instructions.as_deref(),
        client_instructions: None,
        tools: agent.tools.platform_specs(),
        has_client_tools: false,
        agent: Some(part.spec),
    };
    let question = step_task::render(&part.step.instruction, part.earlier, nonce)?;
    let classification = progress.provenance.classification.max(ctx.run.input.classification());
    let input = QuestionInput {
        system: Classified::new(system.render()?, classification),
        question: Classified::new(question, classification),
        tool_rounds: Classified::empty(),
        summary: None,
        history: Vec::new(),
        memories: Vec::new(),
        search: part_search(ctx.run, part),
        plant: None,
        omitted_count: 0,
        acknowledgement: None,
    };
    Ok(Run {
        id: *id,
        permit: permit.clone(),
        caller: caller.clone(),
        personal_data: domain::privacy::PatternCounts::default(),
        origin: *origin,
        answer_id: *answer_id,
        agent,
        input: RunInput::Question(Box::new(input)),
        model_classification_limit: *model_classification_limit,
        nonce: nonce.clone(),
        search_admission: None,
        tag_search_admission: None,
        team_permits: ctx.run.team_permits.clone(),
        source_teams: ctx.run.source_teams.clone(),
        budget: BudgetReservation::default(),
        goal_step: None,
        specialist: None,
        orchestration: None,
    })
}
