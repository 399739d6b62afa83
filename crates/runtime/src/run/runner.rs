//! Starts runs, and finds and cancels runs in progress.

use super::agent::ToolSet;
use super::budget_reservation::BudgetReserver;
use super::concurrency::{RunLimiter, RunSlot};
use super::context::RunContext;
use super::definition::Run;
use super::event_log::{Replay, RunLog, RunLogs, RunOwner};
use super::execute::execute;
use super::finish::{Finisher, finish};
use super::follower::{FollowedRun, Follower, StoredProvenance};
use super::ports::RunPorts;
use super::progress::RunProgress;
use super::provenance::Provenance;
use super::shared::{SharedRuns, write_events};
use super::supervise::{current_classification, supervise};
use crate::error::RuntimeError;
use domain::authorized::Permit;
use domain::decision::RefusalCode;
use domain::ids::{RunId, UserId};
use domain::run::{EventStream, RunEvent};
use domain::scope::TenantScope;
use std::sync::Arc;
use tools::error::ToolError;
use tracing::{Instrument as _, Span, field};

/// Starts runs, and finds and cancels runs in progress. Clones share the same runs.
#[derive(Clone)]
pub struct Runner {
    ports: RunPorts,
    budgets: BudgetReserver,
    logs: Arc<RunLogs>,
    limiter: Arc<RunLimiter>,
    /// Access to runs of other processes; `None` if runs are not shared.
    shared: Option<SharedRuns>,
}

/// Maximum numbers of concurrent runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConcurrencyLimits {
    pub total: usize,
    pub per_tenant: usize,
}

/// Admission of one run: it counts towards the concurrency limits until it is dropped.
pub struct Admission {
    slot: RunSlot,
    owner: RunOwner,
}

impl Runner {
    pub fn new(ports: RunPorts, budgets: BudgetReserver, limits: ConcurrencyLimits) -> Self {
        let limiter = RunLimiter::new(limits.total, limits.per_tenant);
        Self { ports, budgets, logs: Arc::default(), limiter, shared: None }
    }

    /// Shares the runs with other processes.
    pub fn share(&mut self, shared: SharedRuns) {
        self.shared = Some(shared);
    }

    /// Handles the signals of all processes until the future is dropped; returns at once if runs are not shared.
    pub async fn receive_signals(&self) {
        if let Some(shared) = &self.shared {
            shared.receive_signals(&self.logs).await;
        }
    }

    pub fn ports(&self) -> &RunPorts {
        &self.ports
    }

    pub fn budgets(&self) -> &BudgetReserver {
        &self.budgets
    }

    /// Admits a run of the user in this scope. Must be called before the run is prepared.
    ///
    /// # Errors
    /// `Busy` if the platform or the tenant is at its concurrency limit; `NotFound` if the scope has no user.
    pub fn admit(&self, scope: &TenantScope) -> Result<Admission, RuntimeError> {
        let slot = self.limiter.try_acquire(scope.tenant()).ok_or(RuntimeError::Busy)?;
        let owner = RunOwner::from_scope(scope).ok_or(RuntimeError::NotFound { target: "the user" })?;
        Ok(Admission { slot, owner })
    }

    /// Starts a run as a separate task, which stores the run's end even if the reader disconnects. Returns the run's
    /// events.
    pub fn start<F: Finisher>(&self, admission: Admission, run: Run, finisher: F, replay: Replay) -> EventStream {
        let Admission { slot, owner } = admission;
        let log = self.logs.open(run.id, owner, replay);
        let events = log.read(0);
        let runner = self.clone();
        let span = run_span(&run);
        let task = async move {
            let conversation = run.origin.conversation.filter(|_| log.can_be_replayed());
            let write = async {
                if let (Some(shared), Some(conversation)) = (&runner.shared, conversation) {
                    write_events(shared, &run, conversation, &log).await;
                }
            };
            let (has_failed, ()) = tokio::join!(runner.run_to_end(&run, &log, &finisher), write);
            runner.logs.close(run.id);
            drop(slot);
            if !has_failed {
                finisher.after_run(&runner.ports, &runner.budgets, &run).await;
            }
        };
        self.ports.tasks.spawn(task.instrument(span));
        events
    }

    /// Returns whether the run has failed.
    async fn run_to_end<F: Finisher>(&self, run: &Run, log: &RunLog, finisher: &F) -> bool {
        let tier = run.agent.tier;
        log.push(RunEvent::Started {
            run_id: run.id,
            message_id: run.answer_id,
            model: tier.tier,
            escalation: tier.escalation,
            privacy_warnings: run.personal_data.patterns().map(str::to_owned).collect(),
        });
        let ctx = RunContext { run, log, ports: &self.ports, budgets: &self.budgets };
        let mut progress = RunProgress::new(run);
        // `progress` stays usable whether the execution completes, is dropped or panics.
        let end = supervise(ctx, execute(ctx, &mut progress)).await;
        let last_event = finish(&self.ports, run, progress, end, finisher).await;
        let failure = if let RunEvent::Failed(problem) = &last_event { Some(problem.code) } else { None };
        if let Some(code) = failure {
            Span::current().record("error.type", code).record("otel.status_code", "error");
        }
        log.push(last_event);
        failure.is_some()
    }

    /// Returns the events after number `after` of a run that the caller owns, as long as the caller may see them.
    ///
    /// # Errors
    /// `NotFound` unless the caller owns this run and it can be replayed; `AboveClearance` if its answer is based on
    /// content that is now above the caller's clearance; or if the store fails.
    pub async fn resume(&self, permit: &Permit, run: RunId, after: u64) -> Result<EventStream, RuntimeError> {
        let not_found = RuntimeError::NotFound { target: "the run" };
        if let Some(log) = self.find_log(permit.scope(), run) {
            if !log.can_be_replayed() {
                return Err(not_found);
            }
            self.check_clearance(permit, &log.provenance()).await?;
            let events = log.read(after);
            return Ok(self.follow(permit, FollowedRun::Here(log), events, after));
        }
        let shared = self.shared.as_ref().filter(|_| permit.scope().user().is_some());
        let Some(shared) = shared else { return Err(not_found) };
        let stored = shared.find(permit.scope(), run).await?.ok_or(not_found)?;
        let covered = stored.last_seq;
        let provenance = stored.into();
        self.check_clearance(permit, &provenance).await?;
        let events = shared.follow(permit.scope().clone(), run, after);
        let stored = StoredProvenance { shared: shared.clone(), run, provenance, covered };
        Ok(self.follow(permit, FollowedRun::Elsewhere(stored), events, after))
    }

    fn follow(&self, permit: &Permit, run: FollowedRun, events: EventStream, after: u64) -> EventStream {
        Follower::new(self.ports.clone(), permit.clone(), run, events, after).into_stream()
    }

    async fn check_clearance(&self, permit: &Permit, provenance: &Provenance) -> Result<(), RuntimeError> {
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let classification = current_classification(&mut *tx, provenance).await?;
        if classification > permit.clearance() { Err(RuntimeError::AboveClearance) } else { Ok(()) }
    }

    /// Cancels a run that the caller owns. Does nothing if the run has already ended.
    ///
    /// # Errors
    /// `NotFound` unless the caller may read this run; `Denied` if another member of the team started it and the caller
    /// may only cancel their own; or if the store fails.
    pub async fn cancel(&self, permit: &Permit, run: RunId) -> Result<(), RuntimeError> {
        let scope = permit.scope();
        if let Some(log) = self.find_log(scope, run) {
            check_starter(permit, log.started_by())?;
            log.cancel.cancel();
            return Ok(());
        }
        let not_found = RuntimeError::NotFound { target: "the run" };
        let Some(shared) = self.shared.as_ref().filter(|_| scope.user().is_some()) else { return Err(not_found) };
        let stored = shared.find(scope, run).await?.ok_or(not_found)?;
        check_starter(permit, stored.started_by)?;
        if !stored.has_ended {
            shared.cancel(scope.clone(), run).await?;
        }
        Ok(())
    }

    /// Cancels all runs and stores their partial answers.
    pub fn cancel_all(&self) {
        self.logs.cancel_all();
    }

    fn find_log(&self, scope: &TenantScope, run: RunId) -> Option<Arc<RunLog>> {
        RunOwner::from_scope(scope).and_then(|reader| self.logs.get(run, &reader))
    }
}

/// Refuses to change a run of another member, unless the permit covers the runs of all.
fn check_starter(permit: &Permit, started_by: UserId) -> Result<(), RuntimeError> {
    if permit.covers_tenant() || permit.scope().user() == Some(started_by) {
        return Ok(());
    }
    Err(ToolError::Denied { reason: RefusalCode::NotOwner }.into())
}

/// A span of the whole run and its side calls, as a child of the request's span, which ends before it. It has the
/// request's id and tenant as well, because the log names the innermost span only.
fn run_span(run: &Run) -> Span {
    let agent = match run.agent.tools {
        ToolSet::Assistant { .. } => "assistant",
        ToolSet::Specialist(_) => "specialist",
        ToolSet::Client(_) => "direct",
    };
    let scope = run.permit.scope();
    tracing::info_span!(
        "run",
        otel.name = format!("invoke_agent {agent}"),
        otel.status_code = field::Empty,
        request_id = %scope.request(),
        tenant = %scope.tenant(),
        run_id = %run.id,
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = agent,
        gen_ai.conversation.id = run.origin.conversation.map(field::display),
        error.type = field::Empty,
    )
}

/// Tests runs without a conversation, with a finisher that keeps its records in memory.
#[cfg(test)]
mod tests {
    use crate::prompt::nonce::TagNonce;
    use crate::prompt::tokens::TokenCounter;
    use crate::run::Replay;
    use crate::run::agent::{Agent, RunLimits, ToolSet};
    use crate::run::answer::AnswerFormat;
    use crate::run::budget::BudgetReservation;
    use crate::run::budget_reservation::BudgetReserver;
    use crate::run::definition::Run;
    use crate::run::finish::{FinishedRun, Finisher};
    use crate::run::input::{QuestionInput, RunInput};
    use crate::run::model_access;
    use crate::run::ports::RunPorts;
    use crate::run::runner::{ConcurrencyLimits, Runner};
    use crate::run::tier::ChosenTier;
    use async_trait::async_trait;
    use domain::audit::{AuditFilter, AuditedOperation, EventType};
    use domain::authorized::Permit;
    use domain::classified::Classified;
    use domain::command::{Command as _, ReadQuotaUsage};
    use domain::conversation::MessageStatus;
    use domain::decision::RefusalCode;
    use domain::ids::{RunId, TenantId};
    use domain::ledger::CallOrigin;
    use domain::model::{ChatDelta, ChatOptions, ChatStream, ModelTier};
    use domain::model_call::{MicroCost, ServedBy};
    use domain::page::PageRequest;
    use domain::ports::{
        AuditReader as _, Clock as _, IdGen as _, MockChatModel, MockPrivacyScanner, NewTenant, Store as _, StoreError,
        TenantDirectory as _, TenantTx,
    };
    use domain::privacy::PatternCounts;
    use domain::rights::Rights;
    use domain::role::{Classification, Role};
    use domain::run::{FinishReason, RunEvent, TokenUsage};
    use domain::scope::Actor;
    use domain::tenant::TenantSettings;
    use domain::tool::{ToolCall, ToolResult, ToolSpec};
    use fakes::access::{self, FakeAccessRules};
    use fakes::store_contract::{identity, scope};
    use fakes::{InMemoryStore, ManualClock, SequentialIds};
    use futures::{StreamExt as _, stream};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;
    use tokio_util::task::TaskTracker;
    use tools::error::ToolError;
    use tools::gateway::{CallAdmission, ToolGateway};

    /// The record that the finisher stores.
    #[derive(Clone, PartialEq, Eq, Debug)]
    struct StoredRecord {
        status: MessageStatus,
        text: String,
    }

    /// A finisher that keeps the records in memory.
    #[derive(Clone, Default)]
    struct RecordingFinisher(Arc<Mutex<Vec<StoredRecord>>>);

    #[async_trait]
    impl Finisher for RecordingFinisher {
        type Record = StoredRecord;

        fn audited_operation(&self, finished: &FinishedRun<'_>) -> AuditedOperation {
            AuditedOperation {
                event: EventType::CHAT_RESPONSE,
                resource: None,
                resource_id: None,
                conversation_id: None,
                request_hash: None,
                metadata: json!({ "run_id": finished.run.id }),
            }
        }

        fn create_record(&self, finished: FinishedRun<'_>) -> StoredRecord {
            StoredRecord { status: finished.end.message_status(), text: finished.progress.answer.into_parts().0 }
        }

        async fn store(&self, _: &mut dyn TenantTx, _: &Run, record: &StoredRecord) -> Result<(), StoreError> {
            self.0.lock().expect("no panic under the lock").push(record.clone());
            Ok(())
        }

        fn metadata_if_store_fails(&self, _: &Run, _: &StoreError) -> Option<Value> {
            None
        }
    }

    /// A tool gateway without tools.
    struct NoTools;

    #[async_trait]
    impl ToolGateway for NoTools {
        async fn manifest(&self, _: &mut dyn TenantTx, _: &Rights) -> Result<Vec<ToolSpec>, StoreError> {
            Ok(Vec::new())
        }

        async fn invoke(&self, _: &Permit, _: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
            Err(ToolError::UnknownTool)
        }

        async fn admit(&self, _: &mut dyn TenantTx, _: &Permit, _: ToolCall) -> Result<CallAdmission, StoreError> {
            Ok(CallAdmission::Refused(RefusalCode::UnknownTool))
        }
    }

    struct Fixture {
        store: InMemoryStore,
        ports: RunPorts,
        permit: Permit,
    }

    /// Creates a tenant with a user, and a model that writes these deltas.
    async fn fixture(deltas: Vec<ChatDelta>) -> Fixture {
        let (clock, ids) = (Arc::new(ManualClock::default()), Arc::new(SequentialIds::default()));
        let store = InMemoryStore::new(clock.clone());
        let tenant = TenantId::from_uuid(ids.uuid());
        let new_tenant = NewTenant { id: tenant, name: "Plant A".to_owned(), slug: "plant-a".to_owned() };
        store.create_tenant(new_tenant).await.expect("a new tenant");
        let mut tx = store.begin(&scope(tenant, Actor::System)).await.expect("in memory");
        let user = tx.users().sign_in(ids.uuid().into(), &identity("ada", Some(Role::User)), clock.now()).await;
        tx.commit().await.expect("in memory");
        let ada = scope(tenant, Actor::User(user.expect("in memory").id));
        let operation = AuditedOperation {
            event: ReadQuotaUsage::EVENT,
            resource: None,
            resource_id: None,
            conversation_id: None,
            request_hash: None,
            metadata: json!({}),
        };
        let mut tx = store.begin(&ada).await.expect("in memory");
        let receipt = tx.audit().record_intent(ids.uuid().into(), &operation, clock.now()).await.expect("in memory");
        tx.commit().await.expect("in memory");
        let granted = access::access_grant(access::rights(Role::User, Classification::Restricted));
        let permit = access::authorized(ada, granted, receipt, ReadQuotaUsage).into_parts().0;

        let mut model = MockChatModel::new();
        model.expect_is_language_model().return_const(true);
        model.expect_stream().returning(move |_| {
            let served_by = ServedBy::embedded("scripted", "script-1");
            let deltas = stream::iter(deltas.clone()).map(Ok).chain(stream::pending());
            Ok(ChatStream { served_by, deltas: deltas.boxed() })
        });
        let ports = RunPorts {
            store: Arc::new(store.clone()),
            tools: Arc::new(NoTools),
            model: Arc::new(model),
            privacy: Arc::new(MockPrivacyScanner::new()),
            rules: Arc::new(FakeAccessRules),
            clock,
            ids,
            tasks: TaskTracker::new(),
        };
        Fixture { store, ports, permit }
    }

    /// Creates a run of an agent with one question, no tools and no conversation.
    fn run_with_one_question(fixture: &Fixture) -> Run {
        let id = RunId::from_uuid(fixture.ports.ids.uuid());
        let limits = RunLimits {
            context_tokens: 8_192,
            reserved_reply_tokens: 1_024,
            max_output_tokens: 1_024,
            max_tool_calls: 8,
            time_limit: Duration::from_secs(60),
            max_time_without_reader: Duration::from_secs(30),
        };
        let question = Classified::new("Which valve closes first?".to_owned(), Classification::Internal);
        Run {
            id,
            permit: fixture.permit.clone(),
            caller: model_access::caller(fixture.permit.scope(), &TenantSettings::default()),
            personal_data: PatternCounts::default(),
            origin: CallOrigin { conversation: None, run: Some(id) },
            answer_id: fixture.ports.ids.uuid().into(),
            agent: Agent {
                tools: ToolSet::Assistant { platform: Vec::new(), client: Vec::new() },
                tier: ChosenTier { tier: ModelTier::Fast, escalation: None },
                options: ChatOptions::default(),
                format: AnswerFormat::Cited,
                counter: TokenCounter::default(),
                limits,
                required_tool: None,
            },
            input: RunInput::Question(Box::new(QuestionInput {
                system: Classified::new("You answer.".to_owned(), Classification::Public),
                question,
                tool_rounds: Classified::empty(),
                summary: None,
                history: Vec::new(),
                memories: Vec::new(),
                search: None,
                plant: None,
                omitted_count: 0,
                acknowledgement: None,
            })),
            model_classification_limit: Classification::Restricted,
            nonce: TagNonce::new(id.as_uuid()),
            search_admission: None,
            tag_search_admission: None,
            team_permits: Vec::new(),
            source_teams: BTreeSet::new(),
            budget: BudgetReservation::default(),
            goal_step: None,
            specialist: None,
            orchestration: None,
        }
    }

    /// Runs to the end. Returns the last event and the stored records.
    async fn run_to_end(fixture: &Fixture) -> (RunEvent, Vec<StoredRecord>) {
        let budgets = BudgetReserver::new(fixture.ports.clone(), Duration::from_secs(60));
        let runner = Runner::new(fixture.ports.clone(), budgets, ConcurrencyLimits { total: 1, per_tenant: 1 });
        let finisher = RecordingFinisher::default();
        let admission = runner.admit(fixture.permit.scope()).expect("the first run");
        let events = runner.start(admission, run_with_one_question(fixture), finisher.clone(), Replay::Never);
        let last_event = events.map(|numbered| numbered.event).collect::<Vec<_>>().await.pop().expect("a last event");
        let stored = finisher.0.lock().expect("no panic under the lock").clone();
        (last_event, stored)
    }

    fn finished_delta() -> ChatDelta {
        let usage = TokenUsage { input_tokens: 100, output_tokens: 7 };
        ChatDelta::Finished { reason: FinishReason::Stop, usage, tokens_estimated: false, cost: MicroCost(9) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_without_a_conversation_stores_the_record_of_its_finisher() {
        let fixture = fixture(vec![ChatDelta::Text("FV-2003.".to_owned()), finished_delta()]).await;
        let (last, stored) = run_to_end(&fixture).await;
        assert!(matches!(last, RunEvent::Finished(_)), "{last:?}");
        assert_eq!(stored, [StoredRecord { status: MessageStatus::Complete, text: "FV-2003.".to_owned() }]);
        let ledger = fixture.store.ledger(fixture.permit.scope().tenant());
        assert_eq!(ledger.len(), 1);
        assert_eq!(ledger[0].1.origin.conversation, None);
        let page = PageRequest::default();
        let rows = fixture.store.read(fixture.permit.scope(), &AuditFilter::default(), &page).await.expect("in memory");
        let outcome = rows.items.iter().find(|row| row.event_type == "chat.response").expect("an outcome");
        assert_eq!(outcome.correlation_id, fixture.permit.receipt().intent_id().as_uuid());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_over_its_time_limit_stores_what_was_written() {
        let fixture = fixture(vec![ChatDelta::Text("FV-".to_owned())]).await;
        let (last, stored) = run_to_end(&fixture).await;
        let RunEvent::Failed(problem) = last else { panic!("not failed: {last:?}") };
        assert_eq!(problem.code, "upstream_timeout");
        assert_eq!(stored, [StoredRecord { status: MessageStatus::Error, text: "FV-".to_owned() }]);
    }
}
