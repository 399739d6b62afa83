//! One command's way through the gate: authorize, run the use case, record the outcome, even if the caller hangs up.

use super::dispatch::Provides;
use super::{Decider, Execute, PolicyGate};
use crate::caller::Caller;
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
    Self: Provides<C>,
{
    async fn execute(&self, by: &Caller, command: C) -> Result<C::Output, GateError> {
        let (use_case, by) = (self.use_case(), by.clone());
        let recorder = OutcomeRecorder { decider: Arc::clone(&self.decider), tasks: self.tasks.clone() };
        let work = async move { recorder.run(&by, command, &*use_case).await };
        self.tasks.spawn(work.in_current_span()).await.unwrap_or(Err(GateError::Runtime(RuntimeError::Panicked)))
    }
}

/// Runs use cases and records how they ended.
#[derive(Clone)]
struct OutcomeRecorder {
    decider: Arc<Decider>,
    tasks: TaskTracker,
}

impl OutcomeRecorder {
    async fn run<C: Command>(self, by: &Caller, command: C, use_case: &dyn UseCase<C>) -> Result<C::Output, GateError> {
        let subject = self.decider.subject(&command);
        let authorized = self.decider.authorize(by, command, subject.clone()).await?;
        let receipt = authorized.permit().receipt();
        let result = AssertUnwindSafe(use_case.execute(authorized)).catch_unwind().await;
        let result = result.unwrap_or(Err(RuntimeError::Panicked));
        let mut row = None;
        if result.is_err() || C::SUCCESS_RECORDED_BY == Recorder::Gate {
            let outcome = outcome::<C>(subject, &result);
            row = self.record(by.scope(), receipt, outcome).await;
        }
        result.map_err(|source| match row {
            Some(decision) if source.kind() == ErrorKind::Forbidden => GateError::RefusedByUseCase { decision, source },
            _ => GateError::Runtime(source),
        })
    }

    /// Records an outcome and returns the row's id, or `None` if it cannot be written.
    ///
    /// While the database is unavailable the caller does not wait: a task keeps trying for ten minutes. An operation
    /// whose outcome is lost nevertheless is closed as `unknown` once this process is gone.
    async fn record(self, scope: &TenantScope, receipt: AuditReceipt, outcome: Outcome) -> Option<AuditId> {
        let id = AuditId::from_uuid(self.decider.ids.uuid());
        let Err(error) = self.try_record(scope, id, receipt, &outcome).await else { return Some(id) };
        let (request_id, correlation_id) = (scope.request(), receipt.intent());
        tracing::error!(%request_id, %correlation_id, %error, "an outcome could not be recorded");
        if error.kind() != ErrorKind::Unavailable {
            return None;
        }
        let (tasks, scope) = (self.tasks.clone(), scope.clone());
        tasks.spawn(async move {
            let attempt = || self.try_record(&scope, id, receipt, &outcome);
            match retry::with_backoff(attempt, tokio::time::sleep).await {
                Ok(()) => tracing::info!(%correlation_id, "the outcome is recorded now"),
                Err(error) => tracing::error!(%correlation_id, %error, "the outcome is lost"),
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
