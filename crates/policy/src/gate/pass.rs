//! One passage through the gate: admit, run, record the outcome, whatever becomes of the one who asked.

use super::PolicyGate;
use crate::caller::Caller;
use crate::error::GateError;
use domain::audit::{AuditSubject, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Authorized};
use domain::command::Command;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::AuditId;
use domain::ports::StoreError;
use domain::retry;
use domain::scope::TenantScope;
use futures::FutureExt as _;
use runtime::error::RuntimeError;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use tracing::Instrument as _;
use uuid::Uuid;

/// Who records that an operation succeeded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Closes {
    /// The gate, once the use case returns.
    Gate,
    /// The use case, when the answer that it started has ended. A failure to start is still the gate's to record.
    UseCase,
}

/// What may be said of a result in the audit row.
pub(super) trait Traced {
    /// The id of what was made or found.
    fn made(&self) -> Option<Uuid> {
        None
    }

    /// More facts for the outcome's metadata, never content: a JSON object. For changes of the administration, `before`
    /// and `after`.
    fn facts(&self) -> Option<Value> {
        None
    }
}

impl PolicyGate {
    /// Passes a command: decides and records the intent, runs `use_case`, records the outcome.
    ///
    /// The work is a task of its own. A caller that hangs up does not cut it off between its effect and its outcome.
    pub(super) async fn pass<C, T, F>(
        &self,
        by: &Caller,
        command: C,
        closes: Closes,
        use_case: impl FnOnce(Authorized<C>) -> F + Send + 'static,
    ) -> Result<T, GateError>
    where
        C: Command + 'static,
        T: Traced + Send + 'static,
        F: Future<Output = Result<T, RuntimeError>> + Send + 'static,
    {
        let (gate, by) = (self.clone(), by.clone());
        let passage = async move {
            let subject = gate.subject(&command);
            let authorized = gate.admit(&by, command).await?;
            let receipt = authorized.permit().receipt();
            let result = AssertUnwindSafe(use_case(authorized)).catch_unwind().await;
            let result = result.unwrap_or_else(|_| Err(RuntimeError::Panicked));
            let mut recorded = None;
            if result.is_err() || closes == Closes::Gate {
                let outcome = outcome(subject, &result);
                recorded = gate.close(by.scope(), receipt, outcome).await;
            }
            result.map_err(|source| match recorded {
                Some(decision) if source.kind() == ErrorKind::Forbidden => GateError::RefusedBelow { decision, source },
                _ => GateError::Runtime(source),
            })
        };
        self.tasks.spawn(passage.in_current_span()).await.unwrap_or(Err(GateError::Runtime(RuntimeError::Panicked)))
    }

    /// Records an outcome; the row's id, unless it cannot be written. Where the database is away, the caller does not wait: a task goes on trying. What that does
    /// not manage either is closed as `unknown` once this process is gone.
    async fn close(&self, scope: &TenantScope, receipt: AuditReceipt, outcome: Outcome) -> Option<AuditId> {
        let id = AuditId::from_uuid(self.ids.uuid());
        let Err(error) = self.record(scope, id, receipt, &outcome).await else { return Some(id) };
        tracing::error!(
            request_id = %scope.request(), correlation_id = %receipt.intent(), error = %error,
            "an outcome could not be recorded"
        );
        if error.kind() != ErrorKind::Unavailable {
            return None;
        }
        let (gate, scope) = (self.clone(), scope.clone());
        self.tasks.spawn(async move {
            let attempt = || gate.record(&scope, id, receipt, &outcome);
            match retry::with_backoff(attempt, tokio::time::sleep).await {
                Ok(()) => tracing::info!(correlation_id = %receipt.intent(), "the outcome is recorded now"),
                Err(error) => tracing::error!(correlation_id = %receipt.intent(), %error, "the outcome is lost"),
            }
        });
        Some(id)
    }

    async fn record(
        &self,
        scope: &TenantScope,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin(scope).await?;
        tx.audit().outcome(id, receipt, outcome, self.clock.now()).await?;
        tx.commit().await
    }
}

fn outcome<T: Traced>(mut subject: AuditSubject, result: &Result<T, RuntimeError>) -> Outcome {
    subject.event = subject.event.outcome();
    let status = match result {
        Ok(value) => {
            subject.resource_id = subject.resource_id.or(value.made());
            if let Some(facts) = value.facts() {
                subject.metadata = facts;
            }
            ResultStatus::Success
        }
        Err(error) => {
            subject.metadata = json!({ "error": error.code(), "reason": error.code() });
            status_of(error.kind())
        }
    };
    Outcome { subject, status, model: None, tools_used: Vec::new() }
}

fn status_of(kind: ErrorKind) -> ResultStatus {
    match kind {
        ErrorKind::NotFound | ErrorKind::Forbidden => ResultStatus::Denied,
        _ => ResultStatus::Error,
    }
}
