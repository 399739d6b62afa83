//! The only way to call a tool: every call is checked, its intent is recorded, it runs, and its outcome is recorded.

mod admission;
mod facts;

use crate::error::ToolError;
use crate::registry::{Registered, Registry};
use crate::tool::{CallScope, Prepared};
use admission::{Admission, Invocation};
use async_trait::async_trait;
use domain::authorized::Permit;
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::ports::{AccessRules, Clock, IdGen, Store};
use domain::rights::Rights;
use domain::tool::{ToolCall, ToolName, ToolResult, ToolSpec};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// Calls tools with the rights of a permit.
#[cfg_attr(feature = "mocks", mockall::automock)]
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
}

/// The tool gateway of the platform: the registered tools behind checks and audit records.
///
/// A refused call leaves one `policy.denied` row. Any other call leaves an intent and one outcome: `success`, `error`,
/// `denied` if the tool found nothing that the user may see, or `cancelled` if the caller disconnected. If the process
/// dies before it records the outcome, another process records `unknown`.
pub struct RecordedTools {
    inner: Arc<GatewayInner>,
    tracker: TaskTracker,
}

/// The dependencies of [`RecordedTools`].
pub struct ToolParts {
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
    admission: Arc<Admission>,
    limit: Duration,
}

impl RecordedTools {
    /// Time limit for running a tool; checks and audit writes are not included.
    pub const LIMIT: Duration = Duration::from_secs(30);

    /// Creates a gateway for the tools of `registry`. Each call runs as a task of `parts.tracker`, so that its outcome
    /// is recorded even if the caller disconnects; shutdown must wait for the tracker.
    #[must_use]
    pub fn new(registry: Registry, parts: ToolParts) -> Self {
        let ToolParts { store, rules, clock, ids, tracker } = parts;
        let admission = Arc::new(Admission { store, rules, clock, ids, tracker: tracker.clone() });
        Self { inner: Arc::new(GatewayInner { registry, admission, limit: Self::LIMIT }), tracker }
    }
}

#[async_trait]
impl ToolGateway for RecordedTools {
    fn manifest(&self, rights: &Rights) -> Vec<ToolSpec> {
        self.inner.registry.manifest(rights)
    }

    async fn invoke(&self, permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        let caller_disconnected = CancellationToken::new();
        let _on_drop = caller_disconnected.clone().drop_guard();
        let (inner, permit) = (Arc::clone(&self.inner), permit.clone());
        let task = async move { inner.execute(&permit, call, &caller_disconnected).await };
        let task = self.tracker.spawn(task.in_current_span());
        task.await.unwrap_or(Err(ToolError::Stopped))
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
        let Some(Registered { spec, tool }) = self.registry.find(&call.name) else {
            self.admission.record_refusal(&invocation, RefusalCode::UnknownTool).await?;
            return Err(ToolError::Unknown);
        };
        invocation.resource = Some(spec.requires.resource);
        let prepared = tool.prepare(call.arguments);
        if let Ok(prepared) = &prepared {
            invocation.target = prepared.target;
        }
        let (receipt, scope) = self.admission.admit(permit, spec, &invocation).await?;
        let result = match prepared {
            Ok(prepared) => {
                let run = self.run(spec.name, prepared, scope);
                caller_disconnected.run_until_cancelled(run).await.unwrap_or(Err(ToolError::Stopped))
            }
            Err(error) => Err(error),
        };
        self.admission.record_outcome(&invocation, receipt, &result).await?;
        result
    }

    /// Runs the tool within the time limit; a panic becomes an error.
    async fn run(
        &self,
        name: ToolName,
        call: Prepared<'_>,
        scope: CallScope,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let name = name.as_str();
        let guarded = AssertUnwindSafe(call.run(scope)).catch_unwind();
        match tokio::time::timeout(self.limit, guarded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_panic)) => Err(ToolError::Panicked { tool: name }),
            Err(_elapsed) => Err(ToolError::TimedOut { tool: name }),
        }
    }
}
