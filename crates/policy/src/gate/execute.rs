//! Executes a command: authorizes it, runs the use case and records the outcome, even if the client disconnects.

use super::{Decider, Execute, PolicyGate, UseCases};
use crate::caller::Caller;
use crate::dispatch::Provides;
use crate::error::GateError;
use async_trait::async_trait;
use domain::audit::{AuditSubject, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::command::{Command, Recorder};
use domain::error::{Classify as _, ErrorKind};
use domain::ids::AuditId;
use domain::ports::StoreError;
use domain::retry;
use domain::scope::TenantScope;
use futures::FutureExt as _;
use runtime::error::RuntimeError;
use runtime::use_case::UseCase;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

#[async_trait]
impl<C: Command> Execute<C> for PolicyGate
where
    UseCases: Provides<C>,
{
    async fn execute(&self, caller: &Caller, command: C) -> Result<C::Output, GateError> {
        let (use_case, caller) = (self.use_cases.use_case(), caller.clone());
        let recorder = OutcomeRecorder { decider: Arc::clone(&self.decider), tasks: self.tasks.clone() };
        let execution = async move { recorder.run(&caller, command, &*use_case).await };
        self.tasks.spawn(execution.in_current_span()).await.unwrap_or(Err(GateError::Runtime(RuntimeError::Panicked)))
    }
}

/// Runs use cases and records their outcomes.
#[derive(Clone)]
struct OutcomeRecorder {
    decider: Arc<Decider>,
    tasks: TaskTracker,
}

impl OutcomeRecorder {
    async fn run<C: Command>(
        self,
        caller: &Caller,
        command: C,
        use_case: &dyn UseCase<C>,
    ) -> Result<C::Output, GateError> {
        let subject = self.decider.subject(&command);
        let authorized = self.decider.authorize(caller, command, subject.clone()).await?;
        let receipt = authorized.permit().receipt();
        let result = AssertUnwindSafe(use_case.execute(authorized)).catch_unwind().await;
        let result = result.unwrap_or(Err(RuntimeError::Panicked));
        let mut row = None;
        if result.is_err() || C::SUCCESS_RECORDED_BY == Recorder::Gate {
            let outcome = outcome::<C>(subject, &result);
            row = self.record(caller.scope(), receipt, outcome).await;
        }
        result.map_err(|source| match row {
            Some(decision) if source.kind() == ErrorKind::Forbidden => GateError::RefusedByUseCase { decision, source },
            _ => GateError::Runtime(source),
        })
    }

    /// Records an outcome and returns the id of its row, or `None` if it cannot be written.
    ///
    /// If the database is unavailable, a task retries for ten minutes, and the caller does not wait for it. If the
    /// outcome is lost nevertheless, the operation is closed as `unknown` after this process has ended.
    async fn record(self, scope: &TenantScope, receipt: AuditReceipt, outcome: Outcome) -> Option<AuditId> {
        let id = AuditId::from_uuid(self.decider.ids.uuid());
        let Err(error) = self.try_record(scope, id, receipt, &outcome).await else { return Some(id) };
        let (request_id, correlation_id) = (scope.request(), receipt.intent());
        tracing::error!(%request_id, %correlation_id, %error, "failed to record an outcome");
        if error.kind() != ErrorKind::Unavailable {
            return None;
        }
        let (tasks, scope) = (self.tasks.clone(), scope.clone());
        tasks.spawn(async move {
            let attempt = || self.try_record(&scope, id, receipt, &outcome);
            match retry::with_backoff(attempt, tokio::time::sleep).await {
                Ok(()) => tracing::info!(%correlation_id, "outcome recorded after a retry"),
                Err(error) => tracing::error!(%correlation_id, %error, "outcome lost: all retries failed"),
            }
        });
        Some(id)
    }

    async fn try_record(
        &self,
        scope: &TenantScope,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let mut tx = self.decider.store.begin(scope).await?;
        tx.audit().outcome(id, receipt, outcome, self.decider.clock.now()).await?;
        tx.commit().await
    }
}

fn outcome<C: Command>(mut subject: AuditSubject, result: &Result<C::Output, RuntimeError>) -> Outcome {
    subject.event = C::OUTCOME_EVENT;
    let status = match result {
        Ok(output) => {
            subject.resource_id = subject.resource_id.or_else(|| C::resource_id(output));
            if let Some(facts) = C::outcome_facts(output) {
                subject.metadata = facts;
            }
            ResultStatus::Success
        }
        Err(error) => {
            subject.metadata = json!({ "error": error.code(), "reason": error.code() });
            match error.kind() {
                ErrorKind::NotFound | ErrorKind::Forbidden => ResultStatus::Denied,
                _ => ResultStatus::Error,
            }
        }
    };
    Outcome { subject, status, model: None, tools_used: Vec::new() }
}
