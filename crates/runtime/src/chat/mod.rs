//! Chat turns: stores the user's message, starts the agent run that answers it, and streams the events of the run.

pub(crate) mod admissions;
pub mod agent_rules;
mod answerer;
pub mod auto_search;
mod client_tools;
mod finisher;
mod memory_suggestion;
mod question;
mod remember_command;
mod request;
mod settings;
mod summary;
mod system_message;
mod teams;
mod title;
mod turn;
mod visible_context;

pub use settings::ChatSettings;

use crate::error::RuntimeError;
use crate::run::Replay;
use crate::run::budget_reservation::BudgetReserver;
use crate::run::ports::RunPorts;
use crate::run::runner::Runner;
use crate::run::shared::SharedRuns;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::authorized::Authorized;
use domain::command::{AskAssistant, CancelRun, ResumeRun, SendMessage};
use domain::model::{ModelTier, TierChoice};
use domain::ports::{AccessRules, ChatModel, Clock, IdGen, PrivacyScanner, RunEventStore, Store};
use domain::run::{AssistantRun, EventStream};
use finisher::ConversationFinisher;
use request::TurnRequest;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tools::gateway::ToolGateway;
use turn::{PreparedTurn, TurnPreparer};

/// Dependencies of [`ChatService`].
#[derive(Clone)]
pub struct ChatPorts {
    /// Transactions of a tenant.
    pub store: Arc<dyn Store>,
    /// Gateway for tool calls.
    pub tools: Arc<dyn ToolGateway>,
    /// Chat models, with routing and fallback.
    pub model: Arc<dyn ChatModel>,
    /// Finds text that the tenant's privacy rules cover.
    pub privacy: Arc<dyn PrivacyScanner>,
    /// Rules that re-evaluate a permit while its run is in progress.
    pub rules: Arc<dyn AccessRules>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
    /// Tracks runs in progress, so that shutdown can wait for them.
    pub tasks: TaskTracker,
}

/// Use cases of chat turns and their runs.
#[derive(Clone)]
pub struct ChatService {
    runner: Runner,
    turn_preparer: TurnPreparer,
}

impl ChatService {
    /// Creates the service.
    #[must_use]
    pub fn new(parts: ChatPorts, settings: ChatSettings) -> Self {
        let ChatPorts { store, tools, model, privacy, rules, clock, ids, tasks } = parts;
        let ports = RunPorts { store, tools, model, privacy, rules, clock, ids, tasks };
        let budgets = BudgetReserver::new(ports.clone(), settings.turn_timeout);
        let runner = Runner::new(ports.clone(), budgets.clone(), settings.concurrency());
        Self { runner, turn_preparer: TurnPreparer { ports, budgets, settings } }
    }

    /// Shares the runs with other processes through `store`.
    #[must_use]
    pub fn sharing_runs(mut self, store: Arc<dyn RunEventStore>) -> Self {
        let tasks = self.runner.ports().tasks.clone();
        self.runner.share(SharedRuns::new(store, tasks));
        self
    }

    /// Receives signals of other processes about the runs of this one, such as a cancellation. Runs until it is
    /// dropped; returns at once without [`Self::sharing_runs`].
    pub async fn receive_signals(&self) {
        self.runner.receive_signals().await;
    }

    /// Cancels all runs and stores their partial answers. Called at the end of the grace period of a shutdown.
    pub fn cancel_all(&self) {
        self.runner.cancel_all();
    }

    /// Returns the runner, which is shared with direct model requests.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    pub(crate) fn settings(&self) -> ChatSettings {
        self.turn_preparer.settings
    }

    /// Prepares a turn in the transaction of its command, and starts its run.
    async fn start<C>(
        &self,
        command: Authorized<C>,
        to_request: impl FnOnce(C) -> TurnRequest + Send,
    ) -> Result<AssistantRun, RuntimeError>
    where
        C: Send + Sync,
    {
        let admission = self.runner.admit(command.scope())?;
        let tx = command.begin(&*self.runner.ports().store).await?;
        let team_permits = command.team_permits().to_vec();
        let (permit, command) = command.into_parts();
        let request = TurnRequest { team_permits, ..to_request(command) };
        let prepared = self.turn_preparer.prepare(tx, permit, request).await?;
        let PreparedTurn { run, conversation, first_title, memory, omitted_tools } = prepared;
        let finisher = ConversationFinisher::new(conversation, first_title, memory);
        // A log says nothing of teams, so an answer from their documents is read once, and then from its conversation.
        let replay = if run.source_teams.is_empty() { Replay::Allowed } else { Replay::Never };
        let events = self.runner.start(admission, run, finisher, replay);
        Ok(AssistantRun { conversation, events, omitted_tools })
    }

    /// Returns `false` if the heavy tier is requested explicitly and no backend serves it.
    fn serves(&self, choice: TierChoice) -> bool {
        choice != TierChoice::Heavy || self.runner.ports().model.is_configured(ModelTier::Heavy)
    }
}

#[async_trait]
impl UseCase<SendMessage> for ChatService {
    async fn execute(&self, command: Authorized<SendMessage>) -> Result<EventStream, RuntimeError> {
        let grace = self.settings().grace;
        Ok(self.start(command, |message| TurnRequest::from_message(message, grace)).await?.events)
    }
}

#[async_trait]
impl UseCase<AskAssistant> for ChatService {
    async fn execute(&self, command: Authorized<AskAssistant>) -> Result<AssistantRun, RuntimeError> {
        if !self.serves(command.command().model) {
            return Err(RuntimeError::ModelNotFound);
        }
        self.start(command, TurnRequest::from_client).await
    }
}

#[async_trait]
impl UseCase<ResumeRun> for ChatService {
    async fn execute(&self, command: Authorized<ResumeRun>) -> Result<EventStream, RuntimeError> {
        let ResumeRun { run, after } = *command.command();
        self.runner.resume(command.permit(), run, after).await
    }
}

#[async_trait]
impl UseCase<CancelRun> for ChatService {
    async fn execute(&self, command: Authorized<CancelRun>) -> Result<(), RuntimeError> {
        self.runner.cancel(command.permit(), command.command().run).await
    }
}
