//! The only way to call a tool: every call is checked, its intent is recorded, it runs, and its outcome is recorded.

mod admission;
mod outcome_metadata;
mod pending_call;
mod plant_mode_watch;

use crate::error::ToolError;
use crate::registered_tool::{FoundTool, RegisteredTool, RegisteredWriteTool};
use crate::registry::Registry;
use crate::tool::{PreparedCall, ToolContext};
use crate::write::{ApprovedCall, PreparedWrite, WriteContext, WriteDraft, WriteError};
use admission::{AdmissionController, EffectiveAccess, Invocation, RecordedIntent};
use async_trait::async_trait;
use domain::approval::Approval;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::ports::{AccessRules, Clock, IdGen, Store, StoreError, TenantTx};
use domain::rights::Rights;
use domain::scope::TenantScope;
use domain::tool::{ToolCall, ToolId, ToolName, ToolResult, ToolSpec, WriteToolSpec};
use futures::FutureExt;
use outcome_metadata::audit_code;
use pending_call::PendingCall;
use plant_mode_watch::PlantModeWatch;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field};

/// Calls tools with the rights of a permit.
#[async_trait]
pub trait ToolGateway: Send + Sync {
    /// The tools of the transaction's tenant that these rights allow: the platform's own, and those of MCP servers.
    ///
    /// # Errors
    /// If the database fails.
    async fn manifest(&self, tx: &mut dyn TenantTx, rights: &Rights) -> Result<Vec<ToolSpec>, StoreError>;

    /// Whether the platform has this tool of its own.
    fn has_builtin(&self, _name: ToolName) -> bool {
        false
    }

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

    /// The manifest entry of the tool that writes with this name; `None` if the transaction's tenant has none. Such a
    /// tool is not called with [`Self::invoke`]: its call is prepared, approved, and executed by a worker.
    ///
    /// # Errors
    /// If the database fails.
    async fn write_tool(&self, _tx: &mut dyn TenantTx, _name: &str) -> Result<Option<WriteToolSpec>, StoreError> {
        Ok(None)
    }

    /// Checks the arguments of a call of a tool that writes, and describes what it would do. Changes nothing; `tx` is
    /// the transaction that will store the request.
    ///
    /// # Errors
    /// When there is no such tool, the arguments are invalid, or the database fails.
    async fn prepare_write(
        &self,
        _tx: &mut dyn TenantTx,
        _name: &str,
        _draft: &WriteDraft,
        _arguments: &Value,
    ) -> Result<PreparedWrite, ToolError> {
        Err(ToolError::UnknownTool)
    }

    /// What an earlier execution of an approval created; `None` if nothing.
    ///
    /// # Errors
    /// When the plant system cannot be searched.
    async fn find_written(&self, _scope: &TenantScope, _approval: &Approval) -> Result<Option<Value>, WriteError> {
        Err(WriteError::ToolChanged)
    }

    /// Checks whether an approval in the state `executing` may be executed now. Nothing is sent.
    ///
    /// # Errors
    /// When the call is not the one that was approved, or the plant mode forbids it.
    async fn check_write(&self, _scope: &TenantScope, _approval: &Approval) -> Result<(), WriteError> {
        Err(WriteError::ToolChanged)
    }

    /// Executes an approval that is in the state `executing`, and returns what was created. Call
    /// [`Self::find_written`] and [`Self::check_write`] before. It ends at once when the plant mode comes to forbid
    /// writes.
    ///
    /// # Errors
    /// When the call is not the one that was approved, the plant mode forbids it, or the plant system refuses it or
    /// cannot be used.
    async fn execute_write(&self, _scope: &TenantScope, _approval: &Approval) -> Result<Value, WriteError> {
        Err(WriteError::ToolChanged)
    }
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
    async fn manifest(&self, tx: &mut dyn TenantTx, rights: &Rights) -> Result<Vec<ToolSpec>, StoreError> {
        self.inner.registry.tenant_manifest(tx, rights).await
    }

    fn has_builtin(&self, name: ToolName) -> bool {
        self.inner.registry.find(name.as_str()).is_some()
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

    async fn write_tool(&self, tx: &mut dyn TenantTx, name: &str) -> Result<Option<WriteToolSpec>, StoreError> {
        let found = self.inner.registry.find_write_for_tenant(tx, name).await?;
        Ok(found.map(|found| found.spec.clone()))
    }

    async fn prepare_write(
        &self,
        tx: &mut dyn TenantTx,
        name: &str,
        draft: &WriteDraft,
        arguments: &Value,
    ) -> Result<PreparedWrite, ToolError> {
        let found = self.inner.registry.find_write_for_tenant(tx, name).await;
        let found = found.map_err(|source| ToolError::Store { tool: name.to_owned().into(), source })?;
        found.ok_or(ToolError::UnknownTool)?.tool.prepare(tx, draft, arguments).await
    }

    async fn find_written(&self, scope: &TenantScope, approval: &Approval) -> Result<Option<Value>, WriteError> {
        let found = self.inner.approved_tool(scope, approval).await?;
        let context = self.inner.write_context(scope);
        let find = found.tool.find(&context, approval);
        tokio::time::timeout(self.inner.time_limit, find).await.map_err(|_elapsed| WriteError::TimedOut)?
    }

    async fn check_write(&self, scope: &TenantScope, approval: &Approval) -> Result<(), WriteError> {
        self.inner.approved_tool(scope, approval).await?;
        ApprovedCall::for_execution(approval).ok_or(WriteError::NotApproved)?;
        let watch = PlantModeWatch { store: &*self.inner.admission.store, scope };
        if watch.allows_writes().await? { Ok(()) } else { Err(WriteError::PlantMode) }
    }

    async fn execute_write(&self, scope: &TenantScope, approval: &Approval) -> Result<Value, WriteError> {
        let found = self.inner.approved_tool(scope, approval).await?;
        let call = ApprovedCall::for_execution(approval).ok_or(WriteError::NotApproved)?;
        let watch = PlantModeWatch { store: &*self.inner.admission.store, scope };
        if !watch.allows_writes().await? {
            return Err(WriteError::PlantMode);
        }
        let context = self.inner.write_context(scope);
        let execute = found.tool.execute(&context, call, &approval.arguments);
        tokio::select! {
            biased;
            result = tokio::time::timeout(self.inner.time_limit, execute) => {
                result.map_err(|_elapsed| WriteError::TimedOut)?
            }
            () = watch.until_writes_are_forbidden() => Err(WriteError::Interrupted),
        }
    }
}

impl GatewayInner {
    /// The tool of an approval, in the version that was approved. No transaction is open afterwards.
    async fn approved_tool(
        &self,
        scope: &TenantScope,
        approval: &Approval,
    ) -> Result<FoundTool<'_, RegisteredWriteTool>, WriteError> {
        let found = match self.registry.find_write(&approval.tool) {
            Some(registered) => Some(FoundTool::Registered(registered)),
            None => {
                let mut tx = self.admission.store.begin(scope).await?;
                self.registry.find_write_for_tenant(&mut *tx, &approval.tool).await?
            }
        };
        found.filter(|found| found.spec.version == approval.tool_version).ok_or(WriteError::ToolChanged)
    }

    fn write_context(&self, scope: &TenantScope) -> WriteContext {
        let admission = &self.admission;
        WriteContext { tenant_scope: scope.clone(), now: admission.clock.now(), new_id: admission.ids.uuid() }
    }

    async fn execute(
        &self,
        permit: &Permit,
        call: ToolCall,
        caller_disconnected: &CancellationToken,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let mut invocation = Invocation::new(permit, &call);
        let store = &*self.admission.store;
        let found = self.registry.find_for_tenant(store, permit, &call.name).await;
        let Some(found) = found.map_err(ToolError::AuditUnavailable)? else {
            self.admission.record_unknown_tool(&invocation).await.map_err(ToolError::AuditUnavailable)?;
            return Err(ToolError::UnknownTool);
        };
        let RegisteredTool { spec, tool } = &*found;
        invocation.resource_kind = Some(spec.required_permission.resource);
        let prepared = tool.prepare(call.arguments);
        if let Ok(prepared) = &prepared {
            invocation.resource_id = prepared.resource_id;
        }
        let admitted = self.admission.admit(permit, spec, &invocation).await.map_err(ToolError::AuditUnavailable)?;
        let RecordedIntent { receipt, context } = admitted.map_err(|reason| ToolError::Denied { reason })?;
        let result = match prepared {
            Ok(prepared) => {
                let run = self.run(&spec.name, prepared, context);
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
        name: &ToolId,
        call: PreparedCall<'_>,
        context: ToolContext,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let name = name.as_str();
        let span = tool_span(name);
        let guarded = AssertUnwindSafe(call.run(context)).catch_unwind();
        let result = match tokio::time::timeout(self.time_limit, guarded).instrument(span.clone()).await {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(ToolError::Panicked { tool: name.to_owned().into() }),
            Err(_elapsed) => Err(ToolError::TimedOut { tool: name.to_owned().into() }),
        };
        if let Err(error) = &result {
            span.record("error.type", audit_code(error));
            span.record("otel.status_code", "error");
        }
        result
    }
}

/// A span with attributes of the OpenTelemetry GenAI conventions, without arguments and result. The name is that of a
/// tool that was found, never one that a model made up.
fn tool_span(name: &str) -> Span {
    tracing::debug_span!(
        "tool call",
        otel.name = format!("execute_tool {name}"),
        otel.status_code = field::Empty,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = name,
        error.type = field::Empty,
    )
}
