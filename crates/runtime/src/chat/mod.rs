//! Chat turns: store what was said, start an answer, hand out its events.

mod allowance;
mod ask;
pub mod budget;
pub mod cite;
mod conclude;
mod direct;
mod inert;
pub mod intent;
mod ledger;
pub mod passages;
pub mod prompt;
mod run_log;
mod slots;
mod stream;
pub mod tier;
mod tool_calls;
mod turn;
mod watch;

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use allowance::SoftLimits;
use ask::Ask;
use async_trait::async_trait;
use domain::authorized::{Authorized, Permit};
use domain::command::{AskAssistant, CancelRun, ResumeRun, SendMessage};
use domain::ids::{ConversationId, RunId, TenantId, UserId};
use domain::model::{ModelChoice, ModelTier};
use domain::ports::{AccessRules, ChatModel, Clock, Directory, IdGen, Store};
use domain::run::{AssistantRun, EventStream};
use domain::scope::TenantScope;
use run_log::Runs;
use slots::Slots;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;
use tools::gateway::ToolGateway;
use tracing::Instrument as _;

/// Limits of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChatSettings {
    /// Tokens of a whole prompt.
    pub context_tokens: usize,
    /// Most tokens of an answer.
    pub max_output_tokens: u32,
    /// Passages put before the model.
    pub passages: u32,
    /// Most tool calls of a turn that the model asks for.
    pub max_tool_calls: u32,
    /// Longest turn.
    pub turn_limit: Duration,
    /// How long a run goes on when nobody reads it.
    pub grace: Duration,
    /// Most answers being written at once.
    pub concurrent_runs: usize,
    /// Most of them that are one tenant's.
    pub concurrent_runs_per_tenant: usize,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            context_tokens: 8_192,
            max_output_tokens: 1_024,
            passages: 8,
            max_tool_calls: 8,
            turn_limit: Duration::from_secs(300),
            grace: Duration::from_secs(30),
            concurrent_runs: 1_024,
            concurrent_runs_per_tenant: 512,
        }
    }
}

/// What chat works with.
#[derive(Clone)]
pub struct ChatParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The tenants' names.
    pub directory: Arc<dyn Directory>,
    /// The tools.
    pub tools: Arc<dyn ToolGateway>,
    /// The model.
    pub model: Arc<dyn ChatModel>,
    /// What remains of a permit while an answer is written.
    pub rules: Arc<dyn AccessRules>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn IdGen>,
    /// Running answers, for shutdown to wait for.
    pub tasks: TaskTracker,
}

/// The chat use case.
#[derive(Clone)]
pub struct ChatService {
    parts: ChatParts,
    settings: ChatSettings,
    runs: Arc<Runs>,
    slots: Arc<Slots>,
    soft_limits: Arc<SoftLimits>,
}

impl ChatService {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: ChatParts, settings: ChatSettings) -> Self {
        let slots = Slots::new(settings.concurrent_runs, settings.concurrent_runs_per_tenant);
        Self { parts, settings, runs: Arc::default(), slots, soft_limits: Arc::default() }
    }

    /// Stops all running answers; what they have so far is stored. For the end of a shutdown's grace period.
    pub fn cancel_all(&self) {
        self.runs.cancel_all();
    }

    /// What chat works with, for what works beside it.
    pub(crate) fn parts(&self) -> &ChatParts {
        &self.parts
    }

    /// Starts an answer, which is written whatever becomes of the caller.
    async fn begin(&self, permit: Permit, ask: Ask) -> Result<(ConversationId, EventStream), RuntimeError> {
        let slot = self.slots.take(permit.scope().tenant()).ok_or(RuntimeError::Busy)?;
        let owner = owner(permit.scope()).ok_or(RuntimeError::NotFound { what: "the user" })?;
        let turn = self.prepare(permit, ask).await?;
        let conversation = turn.conversation;
        let log = self.runs.open(turn.run_id, owner);
        let events = log.read(0);
        let service = self.clone();
        let answering = async move {
            service.answer(turn, &log).await;
            drop(slot);
        };
        self.parts.tasks.spawn(answering.in_current_span());
        Ok((conversation, events))
    }

    fn run(&self, scope: &TenantScope, run: RunId) -> Result<Arc<run_log::RunLog>, RuntimeError> {
        let log = owner(scope).and_then(|owner| self.runs.get(run, owner));
        log.ok_or(RuntimeError::NotFound { what: "the run" })
    }
}

fn owner(scope: &TenantScope) -> Option<(TenantId, UserId)> {
    scope.user().map(|user| (scope.tenant(), user))
}

#[async_trait]
impl UseCase<SendMessage> for ChatService {
    async fn execute(&self, command: Authorized<SendMessage>) -> Result<EventStream, RuntimeError> {
        let (permit, command) = command.into_parts();
        let ask = Ask::of(command, self.settings.grace);
        Ok(self.begin(permit, ask).await?.1)
    }
}

#[async_trait]
impl UseCase<AskAssistant> for ChatService {
    async fn execute(&self, command: Authorized<AskAssistant>) -> Result<AssistantRun, RuntimeError> {
        let (permit, command) = command.into_parts();
        if command.model == ModelChoice::Heavy && !self.parts.model.has(ModelTier::Heavy) {
            return Err(RuntimeError::NoSuchModel);
        }
        let (conversation, events) = self.begin(permit, Ask::of_client(command)).await?;
        Ok(AssistantRun { conversation, events })
    }
}

#[async_trait]
impl UseCase<ResumeRun> for ChatService {
    async fn execute(&self, command: Authorized<ResumeRun>) -> Result<EventStream, RuntimeError> {
        let log = self.run(command.scope(), command.command().run)?;
        if log.once {
            return Err(RuntimeError::NotFound { what: "the run" });
        }
        let mut tx = self.parts.store.begin(command.scope()).await?;
        let class = watch::class_by_now(&mut *tx, &log).await?;
        drop(tx);
        if class > command.permit().clearance() {
            return Err(RuntimeError::AboveClearance);
        }
        Ok(log.read(command.command().after))
    }
}

#[async_trait]
impl UseCase<CancelRun> for ChatService {
    async fn execute(&self, command: Authorized<CancelRun>) -> Result<(), RuntimeError> {
        self.run(command.scope(), command.command().run)?.cancel.cancel();
        Ok(())
    }
}
