//! Prepares the run of a step: its agent with the tools that its user still may call, its instruction, and the outputs
//! of the steps before it, as data.

use super::changes::{EndedStep, advance, is_running, steps_of, tell_finished, tell_started};
use super::earlier_outputs::EarlierOutputs;
use super::finisher::StepFinisher;
use super::planning::{GOAL_WORK, to_goal_error};
use super::work::GoalWorker;
use crate::agents::AgentCatalog;
use crate::chat::admissions::SearchAdmissions;
use crate::chat::auto_search;
use crate::error::RuntimeError;
use crate::prompt::nonce::TagNonce;
use crate::prompt::step_task;
use crate::prompt::system::SystemPrompt;
use crate::prompt::tokens::TokenCounter;
use crate::run::agent::{Agent, ToolSet};
use crate::run::answer::AnswerFormat;
use crate::run::budget_reservation::BudgetRequest;
use crate::run::definition::Run;
use crate::run::input::{DocumentSearch, QuestionInput, RunInput};
use crate::run::model_access;
use crate::run::provenance::Provenance;
use crate::run::tier::{self, TierCriteria};
use chrono::TimeDelta;
use domain::agent::AgentSpec;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Permit};
use domain::classified::Classified;
use domain::command::RetrievalMode;
use domain::goal::{Goal, GoalError, MAX_ATTEMPTS, Step, StepStatus};
use domain::ids::{AuditId, MessageId, RunId};
use domain::ledger::CallOrigin;
use domain::model::ModelTier;
use domain::model_call::ModelCaller;
use domain::ports::{StandingWork, StepEnd, StepLease, StoreError, TenantTx};
use domain::privacy::PatternCounts;
use domain::rights::Permission;
use domain::role::{Classification, Operation, Resource};
use domain::scope::TenantScope;
use domain::search::SearchFilters;
use domain::tool::ToolName;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Number of tries that may end with their process before a step counts as what ends it.
const MAX_INTERRUPTIONS: u32 = 10;
/// Maximum length of a search query, in characters.
const MAX_QUERY_CHARS: usize = 2_000;

/// What a claimed step leads to.
pub(super) enum StepStart {
    /// A run that is ready to start.
    Run(Box<Run>, Box<StepFinisher>),
    /// The step has ended, or the lease was lost.
    Nothing,
}

/// A step whose try is recorded.
struct StartedStep<'a> {
    lease: &'a StepLease,
    goal: Goal,
    step: Step,
    /// All steps of the goal.
    steps: Vec<Step>,
    receipt: AuditReceipt,
}

impl StartedStep<'_> {
    /// The steps that this one depends on.
    fn predecessors(&self) -> Vec<&Step> {
        let depends_on = &self.step.plan.depends_on;
        self.steps.iter().filter(|step| depends_on.contains(&step.plan.id)).collect()
    }
}

/// Why a try does not start.
enum StartError {
    /// The database failed: the lease expires, and the step is claimed again.
    Store(StoreError),
    /// What it needs is in use by other work.
    TryLater(Duration),
    /// The step fails.
    Step(GoalError),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<GoalError> for StartError {
    fn from(error: GoalError) -> Self {
        Self::Step(error)
    }
}

impl From<RuntimeError> for StartError {
    fn from(error: RuntimeError) -> Self {
        match error {
            RuntimeError::Store(error) => Self::Store(error),
            RuntimeError::BudgetExceeded { retry_after, is_reserved: true, .. } => Self::TryLater(retry_after),
            error => Self::Step(to_goal_error(&error)),
        }
    }
}

impl GoalWorker {
    /// Starts a try of a step: records it, and prepares its run. A step that cannot be executed is ended.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn start_step(&self, scope: &TenantScope, lease: &StepLease) -> Result<StepStart, StoreError> {
        let ports = self.ports();
        let now = ports.clock.now();
        let mut tx = ports.store.begin(scope).await?;
        let goal = tx.goals().lock(lease.goal).await?.filter(is_running);
        let Some(goal) = goal else { return Ok(StepStart::Nothing) };
        let steps = steps_of(&mut *tx, lease.goal).await?;
        let Some(step) = steps.iter().find(|step| step.plan.id == lease.step).cloned() else {
            return Ok(StepStart::Nothing);
        };
        if !tx.goals().start_step(lease, now).await? {
            return Ok(StepStart::Nothing);
        }
        tell_started(&mut *tx, lease.goal, &step, now).await?;
        let id = AuditId::from_uuid(ports.ids.uuid());
        let operation = audited_start(&mut *tx, lease, &step).await?;
        let receipt = tx.audit().record_intent(id, &operation, now).await?;
        let started = StartedStep { lease, goal, step, steps, receipt };
        match self.prepare_run(&mut *tx, scope, &started).await {
            Ok(run) => {
                tx.commit().await?;
                let finisher = self.finisher(&started, &run.1);
                Ok(StepStart::Run(Box::new(run.0), Box::new(finisher)))
            }
            Err(StartError::Store(error)) => Err(error),
            Err(StartError::TryLater(delay)) => {
                // The try has not begun: its number and its intent are not kept.
                drop(tx);
                self.postpone(scope, lease, delay).await?;
                Ok(StepStart::Nothing)
            }
            Err(StartError::Step(error)) => {
                self.end_unstarted(&mut *tx, &started, error).await?;
                tx.commit().await?;
                Ok(StepStart::Nothing)
            }
        }
    }

    async fn postpone(&self, scope: &TenantScope, lease: &StepLease, delay: Duration) -> Result<(), StoreError> {
        let delay = TimeDelta::from_std(delay).unwrap_or(TimeDelta::seconds(10));
        let mut tx = self.ports().store.begin(scope).await?;
        if tx.goals().lock(lease.goal).await?.is_some() {
            tx.goals().postpone_step(lease, self.ports().clock.now() + delay).await?;
        }
        tx.commit().await
    }

    fn finisher(&self, started: &StartedStep<'_>, inherited: &Provenance) -> StepFinisher {
        let attempts = started.step.attempts.saturating_add(1);
        StepFinisher {
            lease: started.lease.clone(),
            agent: started.step.plan.agent.clone(),
            attempt: attempts,
            inherited: inherited.clone(),
            may_retry: !started.step.is_retried && attempts < MAX_ATTEMPTS,
            clock: Arc::clone(&self.ports().clock),
        }
    }

    /// Ends a step that could not be started, with the outcome of its intent.
    async fn end_unstarted(
        &self,
        tx: &mut dyn TenantTx,
        started: &StartedStep<'_>,
        error: GoalError,
    ) -> Result<(), StoreError> {
        let (ports, lease) = (self.ports(), started.lease);
        let now = ports.clock.now();
        let end = StepEnd {
            status: StepStatus::Failed,
            output: None,
            citations: Vec::new(),
            sources: domain::conversation::Sources::default(),
            classification: Classification::Public,
            error: Some(error.clone()),
        };
        tx.goals().end_step(lease, &end, now).await?;
        let ended = EndedStep { id: &lease.step, status: StepStatus::Failed, error: Some(&error) };
        tell_finished(tx, lease.goal, ended, now).await?;
        let operation = AuditedOperation {
            event: EventType::STEP_FINISHED,
            ..audited(lease, json!({ "step": lease.step, "reason": error.code }))
        };
        let outcome = Outcome { operation, status: ResultStatus::Error, model: None, tools_used: Vec::new() };
        let id = AuditId::from_uuid(ports.ids.uuid());
        tx.audit().record_outcome(id, started.receipt, &outcome, now).await?;
        advance(tx, lease.goal, now).await
    }

    /// Prepares the run, with what the earlier outputs are based on.
    async fn prepare_run(
        &self,
        tx: &mut dyn TenantTx,
        scope: &TenantScope,
        started: &StartedStep<'_>,
    ) -> Result<(Run, Provenance), StartError> {
        if started.step.interruptions >= MAX_INTERRUPTIONS {
            let detail = "The processes that executed the step ended too often.";
            return Err(GoalError::new(GoalError::INTERRUPTED, detail).into());
        }
        let ports = self.ports();
        let permit = self.standing_permit(tx, scope, started).await?;
        let catalog = AgentCatalog::load(tx, &*ports.tools, permit.rights()).await?;
        let spec = catalog.find(&started.step.plan.agent);
        let unknown = || GoalError::new(GoalError::AGENT_UNKNOWN, "You do not have the step's agent any more.");
        let spec = spec.ok_or_else(unknown)?;
        if !catalog.is_approved(&started.step) {
            let detail = "The step's agent is not the one that you approved; try the step again to accept it.";
            return Err(GoalError::new(GoalError::AGENT_CHANGED, detail).into());
        }
        let caller = model_access::caller(permit.scope(), &permit.tenant().settings);
        let agent = self.agent(spec, &catalog, &started.step, &caller);
        let tier = agent.tier.tier;
        let model_limit = model_access::classification_limit(&*ports.model, tier, &caller, &permit.tenant().settings);
        let max_classification = permit.clearance().min(model_limit);
        let earlier = EarlierOutputs::load(tx, &started.predecessors(), max_classification, &agent).await?;
        let nonce = TagNonce::new(ports.ids.uuid());
        let inherited = earlier.provenance.clone();
        let input = self.input(&permit, spec, &agent, &started.step, StepContext { earlier, nonce: &nonce })?;
        if input.classification() > model_limit {
            return Err(RuntimeError::AboveModelClassification.into());
        }
        let estimate = input.token_estimate(&agent);
        let price = ports.model.highest_price(tier, &caller);
        let budgets = permit.tenant().settings.quotas.budgets();
        let request = BudgetRequest { budgets, estimate, price };
        let budget = self.budgets().reserve(tx, permit.scope(), request).await?;
        let id = RunId::from_uuid(ports.ids.uuid());
        let origin = CallOrigin { conversation: None, run: Some(id) };
        let admissions = SearchAdmissions::record(ports, tx, &permit, Some(&input), origin).await?;
        let run = Run {
            id,
            permit,
            caller,
            personal_data: PatternCounts::default(),
            origin,
            answer_id: MessageId::from_uuid(id.as_uuid()),
            agent,
            input,
            model_classification_limit: model_limit,
            nonce,
            search_admission: admissions.documents,
            tag_search_admission: admissions.tags,
            team_permits: Vec::new(),
            source_teams: BTreeSet::new(),
            budget,
            goal_step: Some(started.lease.clone()),
            specialist: None,
            orchestration: None,
        };
        Ok((run, inherited))
    }

    async fn standing_permit(
        &self,
        tx: &mut dyn TenantTx,
        scope: &TenantScope,
        started: &StartedStep<'_>,
    ) -> Result<Permit, RuntimeError> {
        let member = match scope.user() {
            Some(user) => tx.users().membership(user).await?,
            None => None,
        };
        let work = StandingWork { scope, permission: GOAL_WORK, credential: &started.goal.credential };
        let permit = self.ports().rules.standing_permit(work, member.as_ref(), started.receipt);
        permit.map_err(|reason| tools::error::ToolError::Denied { reason }.into())
    }

    fn agent(&self, spec: &AgentSpec, catalog: &AgentCatalog, step: &Step, caller: &ModelCaller) -> Agent {
        let model = &self.ports().model;
        let criteria = TierCriteria {
            question: &step.plan.instruction,
            document_count: 0,
            client_tool_count: 0,
            has_heavy: model.is_configured(ModelTier::Heavy),
        };
        let tier = tier::choose(spec.model, criteria);
        let settings = self.chat_settings();
        // The worker reads the run to its end, so that it never lacks a reader.
        let limits = settings.limits(None, settings.turn_timeout.saturating_mul(2));
        let tools = if model.is_language_model() { catalog.tools_of(spec) } else { Vec::new() };
        Agent {
            tools: ToolSet::Specialist(tools),
            tier,
            options: domain::model::ChatOptions::default(),
            format: AnswerFormat::Cited,
            counter: TokenCounter::new(model.tokenizer(tier.tier, caller)),
            limits,
            required_tool: spec.required_tool,
        }
    }

    fn input(
        &self,
        permit: &Permit,
        spec: &AgentSpec,
        agent: &Agent,
        step: &Step,
        StepContext { earlier, nonce }: StepContext<'_>,
    ) -> Result<RunInput, RuntimeError> {
        let tenant = permit.tenant();
        let system = SystemPrompt {
            tenant: &tenant.name,
            plant_instructions: tenant.settings.instructions.as_deref(),
            client_instructions: None,
            tools: agent.tools.platform_specs(),
            has_client_tools: false,
            agent: Some(spec),
        };
        let instruction = &step.plan.instruction;
        let question = step_task::render(instruction, &earlier.outputs, nonce)?;
        let own_class = permit.rights().own_message_classification();
        let needs_search = spec.has_tool(ToolName::RagSearch.as_str())
            && auto_search::needs_search(RetrievalMode::Auto, instruction, false);
        let search = needs_search.then(|| DocumentSearch {
            query: instruction.chars().take(MAX_QUERY_CHARS).collect(),
            is_follow_up: false,
            filters: SearchFilters::default(),
            top_k: self.chat_settings().max_passages,
        });
        let may_read = spec.has_tool(ToolName::PlantSystemRead.as_str())
            && permit.rights().allows(Permission::new(Resource::Readings, Operation::Read));
        let plant = auto_search::plant_data_query(RetrievalMode::Auto, instruction, instruction).filter(|_| may_read);
        Ok(RunInput::Question(Box::new(QuestionInput {
            system: Classified::new(system.render()?, own_class),
            question: Classified::new(question, own_class.max(earlier.provenance.classification)),
            tool_rounds: Classified::empty(),
            summary: None,
            history: Vec::new(),
            memories: Vec::new(),
            search,
            plant,
            omitted_count: earlier.omitted_count,
            acknowledgement: None,
        })))
    }
}

/// What a step's input is made of besides its plan.
struct StepContext<'a> {
    earlier: EarlierOutputs,
    nonce: &'a TagNonce,
}

/// The operation of a step's try, for its audit rows, with the digest of its agent's instructions.
async fn audited_start(tx: &mut dyn TenantTx, lease: &StepLease, step: &Step) -> Result<AuditedOperation, StoreError> {
    let mut agents = domain::agent::builtin_agents();
    agents.extend(tx.agents().list().await?.into_iter().map(|agent| agent.spec));
    let agent = agents.iter().find(|agent| agent.name == step.plan.agent);
    let metadata = json!({
        "step": lease.step, "agent": step.plan.agent, "attempt": step.attempts.saturating_add(1),
        "instructions_digest": agent.map(AgentSpec::instructions_digest),
    });
    Ok(audited(lease, metadata))
}

fn audited(lease: &StepLease, metadata: Value) -> AuditedOperation {
    AuditedOperation {
        event: EventType::STEP_STARTED,
        resource: Some(Resource::Goals),
        resource_id: Some(lease.goal.as_uuid()),
        conversation_id: None,
        request_hash: None,
        metadata,
    }
}
