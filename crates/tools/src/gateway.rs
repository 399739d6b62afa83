//! The only way to call a tool: every call is checked, its intent is recorded, it runs, and its outcome is recorded.

mod admission;
mod outcome_metadata;
mod pending_call;

use crate::error::ToolError;
use crate::registry::{RegisteredTool, Registry};
use crate::tool::{PreparedCall, ToolContext};
use admission::{AdmissionController, EffectiveAccess, Invocation, RecordedIntent};
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::ports::{AccessRules, Clock, IdGen, Store, StoreError, TenantTx};
use domain::rights::Rights;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use futures::FutureExt;
use pending_call::PendingCall;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Calls tools with the rights of a permit.
#[async_trait]
pub trait ToolGateway: Send + Sync {
    /// The tools that these rights allow.
    fn manifest(&self, rights: &Rights) -> Vec<ToolSpec>;

    /// Calls a tool. Checks that user and tenant are active, that the permit's remaining rights include what the tool
    /// requires, and that the arguments match its schema; records the intent, runs the tool, records the outcome.
    ///
    /// # Errors
    /// When a check or the tool fails. The audit log then contains the refusal or the failed outcome.
    async fn invoke(&self, permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError>;

    /// Checks a call and records its intent, or the refusal, in the transaction in which `permit` was issued, so that
    /// both are committed together. Commit the transaction before you run the call, and also after a refusal.
    ///
    /// # Errors
    /// When the intent or the refusal cannot be recorded.
    async fn admit(&self, tx: &mut dyn TenantTx, permit: &Permit, call: ToolCall) -> Result<CallAdmission, StoreError>;
}

/// Whether a tool call may run.
#[derive(Clone)]
pub enum CallAdmission {
    /// It may, once the transaction with its intent is committed.
    Admitted(Arc<dyn AdmittedCall>),
    /// The permit does not allow it, or there is no such tool.
    Refused(RefusalCode),
}

/// A tool call whose intent is recorded. Whoever holds it must also record its outcome, even if it was never run.
#[async_trait]
pub trait AdmittedCall: Send + Sync {
    /// Runs the tool, once. Dropping the future stops it.
    ///
    /// # Errors
    /// When the arguments are invalid or the tool fails.
    async fn run(&self) -> Result<Classified<ToolResult>, ToolError>;

    /// Records in `tx` the outcome and the model calls of the tool: `cancelled` if it did not run to its end. Calling
    /// it again writes the same rows, for another attempt after a failed commit.
    ///
    /// # Errors
    /// If the database fails.
    async fn record(&self, tx: &mut dyn TenantTx) -> Result<(), StoreError>;

    /// Same as [`AdmittedCall::record`], but in its own transaction. If the database is unavailable, a background task
    /// retries.
    ///
    /// # Errors
    /// If the database fails.
    async fn record_in_own_transaction(&self) -> Result<(), StoreError>;
}

/// The tool gateway of the platform: the registered tools behind checks and audit records.
///
/// A refused call leaves one `policy.denied` row. Any other call leaves an intent and one outcome: `success`, `error`,
/// `denied` if the tool found nothing that the user may see, or `cancelled` if the caller disconnected. If the process
/// dies before it records the outcome, another process records `unknown`.
pub struct AuditedToolGateway {
    inner: Arc<GatewayInner>,
    tracker: TaskTracker,
}

/// The dependencies of [`AuditedToolGateway`].
pub struct ToolGatewayPorts {
    /// Opens transactions that are restricted to one tenant.
    pub store: Arc<dyn Store>,
    /// Re-checks a permit's rights at the time of the call.
    pub rules: Arc<dyn AccessRules>,
    /// Supplies the current time.
    pub clock: Arc<dyn Clock>,
    /// Supplies ids of audit rows and ledger entries.
    pub ids: Arc<dyn IdGen>,
    /// Tracks running calls, so that shutdown waits for them.
    pub tracker: TaskTracker,
}

/// State shared with the task of each call.
struct GatewayInner {
    registry: Registry,
    admission: Arc<AdmissionController>,
    time_limit: Duration,
}

impl AuditedToolGateway {
    /// Time limit for running a tool; checks and audit writes are not included.
    pub const TIME_LIMIT: Duration = Duration::from_secs(30);

    /// Creates a gateway for the tools of `registry`. Each call runs as a task of `parts.tracker`, so that its outcome
    /// is recorded even if the caller disconnects; shutdown must wait for the tracker.
    #[must_use]
    pub fn new(registry: Registry, parts: ToolGatewayPorts) -> Self {
        let ToolGatewayPorts { store, rules, clock, ids, tracker } = parts;
        let admission = Arc::new(AdmissionController { store, rules, clock, ids, tracker: tracker.clone() });
        Self { inner: Arc::new(GatewayInner { registry, admission, time_limit: Self::TIME_LIMIT }), tracker }
    }
}

#[async_trait]
impl ToolGateway for AuditedToolGateway {
    fn manifest(&self, rights: &Rights) -> Vec<ToolSpec> {
        self.inner.registry.manifest(rights)
    }

    async fn invoke(&self, permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        let caller_disconnected = CancellationToken::new();
        let _cancel_on_drop = caller_disconnected.clone().drop_guard();
        let (inner, permit) = (Arc::clone(&self.inner), permit.clone());
        let task = async move { inner.execute(&permit, call, &caller_disconnected).await };
        let task = self.tracker.spawn(task.in_current_span());
        task.await.unwrap_or(Err(ToolError::Cancelled))
    }

    async fn admit(&self, tx: &mut dyn TenantTx, permit: &Permit, call: ToolCall) -> Result<CallAdmission, StoreError> {
        let mut invocation = Invocation::new(permit, &call);
        let admission = &self.inner.admission;
        let Some(RegisteredTool { spec, tool }) = self.inner.registry.find(&call.name) else {
            admission.refuse_in(tx, &invocation, RefusalCode::UnknownTool).await?;
            return Ok(CallAdmission::Refused(RefusalCode::UnknownTool));
        };
        invocation.resource_kind = Some(spec.required_permission.resource);
        invocation.resource_id = tool.prepare(call.arguments.clone()).ok().and_then(|prepared| prepared.resource_id);
        let effective = EffectiveAccess { rights: permit.rights(), settings: &permit.tenant().settings };
        Ok(match admission.admit_in(tx, permit, &effective, spec, &invocation).await? {
            Ok(admitted) => {
                let gateway = Arc::clone(&self.inner);
                CallAdmission::Admitted(Arc::new(PendingCall::new(gateway, invocation, call.arguments, admitted)))
            }
            Err(reason) => CallAdmission::Refused(reason),
        })
    }
}

impl GatewayInner {
    async fn execute(
        &self,
        permit: &Permit,
        call: ToolCall,
        caller_disconnected: &CancellationToken,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let mut invocation = Invocation::new(permit, &call);
        let Some(RegisteredTool { spec, tool }) = self.registry.find(&call.name) else {
            self.admission.record_unknown_tool(&invocation).await.map_err(ToolError::AuditUnavailable)?;
            return Err(ToolError::UnknownTool);
        };
        invocation.resource_kind = Some(spec.required_permission.resource);
        let prepared = tool.prepare(call.arguments);
        if let Ok(prepared) = &prepared {
            invocation.resource_id = prepared.resource_id;
        }
        let admitted = self.admission.admit(permit, spec, &invocation).await.map_err(ToolError::AuditUnavailable)?;
        let RecordedIntent { receipt, context } = admitted.map_err(|reason| ToolError::Denied { reason })?;
        let result = match prepared {
            Ok(prepared) => {
                let run = self.run(spec.name, prepared, context);
                caller_disconnected.run_until_cancelled(run).await.unwrap_or(Err(ToolError::Cancelled))
            }
            Err(error) => Err(error),
        };
        let outcome = self.admission.outcome(&invocation, receipt, &result);
        self.admission.record_outcome(&outcome).await.map_err(ToolError::AuditUnavailable)?;
        result
    }

    /// Runs the tool within the time limit; a panic becomes an error.
    async fn run(
        &self,
        name: ToolName,
        call: PreparedCall<'_>,
        context: ToolContext,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let name = name.as_str();
        let guarded = AssertUnwindSafe(call.run(context)).catch_unwind();
        match tokio::time::timeout(self.time_limit, guarded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(ToolError::Panicked { tool: name }),
            Err(_elapsed) => Err(ToolError::TimedOut { tool: name }),
        }
    }
}
