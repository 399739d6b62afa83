//! One attempt at an approved write: search, write, and determine the outcome.
//!
//! The response of the plant system is not trusted: an order may have been created although the response was an error,
//! or there was none. So every failure is followed by a search, which is repeated while the write may still be in
//! progress. Only what a search does not find is written again, and what cannot be searched for is never written again.
//! Nor is, to a system that would create a second order, what an earlier attempt left without an answer: its process
//! may have died after it had sent the request.

use super::check::check_again;
use super::process::ProcessorPorts;
use domain::approval::{Approval, ExecutionError, WriteAttempts};
use domain::audit::{AuditedOperation, EventType, Outcome as AuditOutcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::ids::AuditId;
use domain::maintenance::MaintenanceKind;
use domain::ports::StoreError;
use domain::role::Resource;
use domain::scope::TenantScope;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tools::ingest::interface::RetryLater;
use tools::write::WriteError;

/// Maximum number of writes that are sent for one approval.
const MAX_WRITES: u32 = 3;
/// Time between the first two searches for what a failed write created; it doubles with each further search.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Maximum time between two searches.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// Whether an attempt at an execution is the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    /// Everything was checked immediately before.
    First,
    /// An earlier attempt ended, perhaps with its process, before it recorded an outcome.
    Resumed,
}

/// The outcome of an approval in the state `executing`: what was created, or why nothing was.
pub(super) type Outcome = Result<Value, ExecutionError>;

/// An attempt at the write of an approval in the state `executing`.
#[derive(Clone, Copy)]
pub(super) struct WriteAttempt<'a> {
    pub(super) ports: &'a ProcessorPorts,
    pub(super) scope: &'a TenantScope,
    pub(super) approval: &'a Approval,
    /// How long to search for a write that may have taken effect.
    pub(super) settle_for: Duration,
}

impl WriteAttempt<'_> {
    /// Searches for what an earlier attempt wrote, and writes if there is nothing. What a later attempt may settle is
    /// an error; every other failure is the outcome.
    pub(super) async fn run(self, attempt: Attempt) -> Result<Outcome, RetryLater> {
        let earlier = self.count_earlier().await?;
        // The write of an earlier attempt may still be in progress.
        let searched = if earlier.begun > 0 { self.search_until_settled().await? } else { self.search().await };
        match searched {
            Ok(Some(result)) => return Ok(Ok(result)),
            Ok(None) if earlier.has_unanswered() && !self.creates_once() => return Ok(Err(unanswered())),
            Ok(None) => {}
            // The effect of an earlier attempt is unknown; before the first one, nothing was done.
            Err(WriteError::Unsearchable) if earlier.begun == 0 => {}
            Err(error) if earlier.begun == 0 => return self.without_effect(&error),
            Err(error) => return Ok(Err(error.to_unknown_outcome())),
        }
        // An earlier attempt made the checks, but perhaps long ago.
        if attempt == Attempt::Resumed
            && let Err(error) = self.check_resumed().await?
        {
            return Ok(Err(error));
        }
        if earlier.begun >= MAX_WRITES {
            let count = earlier.begun;
            let detail = format!("Not executed: the maintenance system failed {count} times and has no such order.");
            return Ok(Err(ExecutionError::new("unavailable", detail)));
        }
        if let Err(error) = self.ports.tools.check_write(self.scope, self.approval).await {
            return self.without_effect(&error);
        }
        let receipt = self.begin(earlier.begun).await?;
        let written = self.ports.tools.execute_write(self.scope, self.approval).await;
        let ended = EndedWrite { number: earlier.begun + 1, result: &written };
        self.end(receipt, ended).await;
        match written {
            Ok(result) => Ok(Ok(result)),
            Err(error) => self.settle(&error, earlier.begun).await,
        }
    }

    async fn search(self) -> Result<Option<Value>, WriteError> {
        self.ports.tools.find_written(self.scope, self.approval).await
    }

    /// Searches until something is found, or for [`Self::settle_for`]; returns the last answer. Gives up at once where
    /// nothing can be searched.
    async fn search_until_settled(self) -> Result<Result<Option<Value>, WriteError>, RetryLater> {
        let deadline = Instant::now() + self.settle_for;
        let mut pause = FIRST_PAUSE;
        loop {
            let searched = self.search().await;
            match searched {
                Err(outage) if outage.is_outage_of_store() => return Err(retry_later(&outage)),
                Ok(Some(_)) | Err(WriteError::Unsearchable) => return Ok(searched),
                Ok(None) | Err(_) if Instant::now() >= deadline => return Ok(searched),
                Ok(None) | Err(_) => sleep(pause).await,
            }
            pause = (2 * pause).min(MAX_PAUSE);
        }
    }

    /// Searches for what a write created that failed with `error`, or that `earlier` attempts may have created.
    async fn settle(self, error: &WriteError, earlier: u32) -> Result<Outcome, RetryLater> {
        let may_exist = error.may_have_written() || earlier > 0;
        let deadline = Instant::now() + if may_exist { self.settle_for } else { Duration::ZERO };
        let mut pause = FIRST_PAUSE;
        loop {
            let searched = self.search().await;
            match searched {
                Ok(Some(result)) => return Ok(Ok(result)),
                Err(outage) if outage.is_outage_of_store() => return Err(retry_later(&outage)),
                Ok(None) if !error.may_have_written() => return self.without_effect(error),
                Err(_) if !may_exist => return self.without_effect(error),
                Err(WriteError::Unsearchable) => return Ok(Err(error.to_unknown_outcome())),
                Ok(None) if Instant::now() >= deadline => return self.not_found(error),
                Err(_) if Instant::now() >= deadline => return Ok(Err(error.to_unknown_outcome())),
                Ok(None) | Err(_) => sleep(pause).await,
            }
            pause = (2 * pause).min(MAX_PAUSE);
        }
    }

    /// The outcome of a failure after which no search finds anything. A system that did not respond may still be
    /// processing the write, so it is sent again only if the system would create one order however often it is sent.
    fn not_found(self, error: &WriteError) -> Result<Outcome, RetryLater> {
        if error.is_unanswered() && !self.creates_once() {
            return Ok(Err(error.to_unknown_outcome()));
        }
        self.without_effect(error)
    }

    /// Whether the system that the approvers saw creates one order per external reference.
    fn creates_once(self) -> bool {
        let kind = self.approval.preview["system"].as_str().and_then(|kind| kind.parse::<MaintenanceKind>().ok());
        kind.is_some_and(MaintenanceKind::creates_once)
    }

    /// The outcome of a failure after which certainly nothing was written: another attempt while there is time and it
    /// may succeed, or the end.
    fn without_effect(self, error: &WriteError) -> Result<Outcome, RetryLater> {
        let has_expired = self.approval.expires_at <= self.ports.clock.now();
        if error.is_outage_of_store() || (error.is_transient() && !has_expired) {
            return Err(retry_later(error));
        }
        Ok(Err(error.to_execution_error()))
    }

    async fn count_earlier(self) -> Result<WriteAttempts, StoreError> {
        let mut tx = self.ports.store.begin(self.scope).await?;
        tx.approvals().write_attempts(self.approval.id).await
    }

    /// Counts this attempt and records its intent, so that nothing is written that is not in the audit log. It is an
    /// error if another worker has begun one.
    async fn begin(self, earlier: u32) -> Result<AuditReceipt, RetryLater> {
        let (ports, approval) = (self.ports, self.approval);
        let mut tx = ports.store.begin(self.scope).await?;
        if !tx.approvals().count_write_attempt(approval.id, earlier).await? {
            let reason = "another process executes the approval, or has executed it".to_owned();
            return Err(RetryLater { reason, counts_as_attempt: false });
        }
        let id = AuditId::from_uuid(ports.ids.uuid());
        let receipt = tx.audit().record_intent(id, &self.audited(json!({})), ports.clock.now()).await?;
        tx.commit().await?;
        Ok(receipt)
    }

    /// Records the outcome of this attempt, and whether the system answered. Without a record, the outcome counts as
    /// unknown after a while, and the attempt as one without an answer.
    async fn end(self, receipt: AuditReceipt, ended: EndedWrite<'_>) {
        let (status, details) = match ended.result {
            Ok(_) => (ResultStatus::Success, json!({})),
            Err(error) => (ResultStatus::Error, json!({ "code": error.code() })),
        };
        let tools_used = vec![self.approval.tool.clone()];
        let outcome = AuditOutcome { operation: self.audited(details), status, model: None, tools_used };
        if let Err(error) = self.record_outcome(receipt, &outcome, ended).await {
            let approval_id = self.approval.id;
            tracing::warn!(%approval_id, %error, "the outcome of an attempt at a write could not be recorded");
        }
    }

    async fn record_outcome(
        self,
        receipt: AuditReceipt,
        outcome: &AuditOutcome,
        ended: EndedWrite<'_>,
    ) -> Result<(), StoreError> {
        let id = AuditId::from_uuid(self.ports.ids.uuid());
        let mut tx = self.ports.store.begin(self.scope).await?;
        if ended.result.as_ref().map_or_else(WriteError::is_answered, |_| true) {
            tx.approvals().count_write_answer(self.approval.id, ended.number).await?;
        }
        tx.audit().record_outcome(id, receipt, outcome, self.ports.clock.now()).await?;
        tx.commit().await
    }

    /// The audit record of this attempt. It has its own correlation id, since the approval's events have the approval's
    /// id.
    fn audited(self, mut metadata: Value) -> AuditedOperation {
        metadata["tool"] = self.approval.tool.as_str().into();
        metadata["approval_id"] = self.approval.id.to_string().into();
        metadata["step"] = "execution".into();
        AuditedOperation {
            event: EventType::TOOL_INVOCATION,
            resource: Some(Resource::Approvals),
            resource_id: Some(self.approval.id.as_uuid()),
            conversation_id: self.approval.conversation,
            request_hash: None,
            metadata,
        }
    }

    async fn check_resumed(self) -> Result<Result<(), ExecutionError>, StoreError> {
        let Self { ports, approval, .. } = self;
        if approval.expires_at <= ports.clock.now() {
            return Ok(Err(ExecutionError::new("expired", "Not executed: the request expired before it could be.")));
        }
        let mut tx = ports.store.begin(self.scope).await?;
        if !tx.plant_mode().get().await?.mode.allows_writes() {
            let detail = "Not executed: the plant mode was changed while it was to be executed.";
            return Ok(Err(ExecutionError::new("plant_mode", detail)));
        }
        let spec = ports.tools.write_tool(&mut *tx, &approval.tool).await?;
        check_again(&mut *tx, &*ports.rules, spec.as_ref(), approval).await
    }
}

/// A write that was sent, and its result.
#[derive(Clone, Copy)]
struct EndedWrite<'a> {
    /// Which write for its approval it was, from 1.
    number: u32,
    result: &'a Result<Value, WriteError>,
}

/// The outcome where an earlier attempt may have sent an order that no search finds.
fn unanswered() -> ExecutionError {
    let detail = "an earlier attempt ended without one, and no such order is found".to_owned();
    WriteError::Unclear { detail, is_answered: false }.to_unknown_outcome()
}

/// The error that causes another attempt. An outage does not count as an attempt of the job. The reason is logged, so
/// it contains no text of the system.
fn retry_later(error: &WriteError) -> RetryLater {
    RetryLater {
        reason: format!("an approved write could not be executed: {}", error.code()),
        counts_as_attempt: false,
    }
}
