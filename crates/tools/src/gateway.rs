//! The single choke point: every tool call is validated, recorded, run and recorded again, here and nowhere else.

mod admission;
mod facts;

use crate::error::ToolError;
use crate::registry::{Registered, Registry};
use crate::tool::{CallScope, Prepared};
use admission::Invocation;
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

/// Calls tools on behalf of a permit.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ToolGateway: Send + Sync {
    /// The tools that may be called with these rights.
    fn manifest(&self, rights: &Rights) -> Vec<ToolSpec>;

    /// Calls one: checks that user and tenant are still switched on, that what remains of the permit's rights includes
    /// what the tool requires, that the arguments fit; records the intent, runs, records the outcome.
    ///
    /// # Errors
    /// Where any of that says no, or the tool fails. Each leaves its outcome in the audit log.
    async fn invoke(&self, permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError>;
}

/// The tool gateway of the platform: the registered tools behind checks and audit records.
///
/// A refused call leaves one `policy.denied` row. Any other leaves an intent and one outcome: `success`, `error`,
/// `denied` where the tool found nothing that the user may know of, or `cancelled` where the caller went away. A call
/// that the process did not live to close is closed as `unknown` by another.
pub struct RecordedTools {
    work: Arc<Work>,
    tracker: TaskTracker,
}

/// What the tool gateway works with.
pub struct ToolParts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// What remains of a permit when a call is made.
    pub rules: Arc<dyn AccessRules>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of ids.
    pub ids: Arc<dyn IdGen>,
    /// Running calls, for shutdown to wait for.
    pub tracker: TaskTracker,
}

/// What a call needs, shared with the tasks that carry it out.
struct Work {
    store: Arc<dyn Store>,
    rules: Arc<dyn AccessRules>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
    limit: Duration,
}

impl RecordedTools {
    /// Longest run of a tool unless told otherwise.
    pub const LIMIT: Duration = Duration::from_secs(30);

    /// Calls the tools of `registry`. Each call runs as a task of the tracker, which shutdown waits for, so that its
    /// outcome is recorded also when the caller goes away.
    #[must_use]
    pub fn new(registry: Registry, parts: ToolParts) -> Self {
        let ToolParts { store, rules, clock, ids, tracker } = parts;
        let work = Work { store, rules, registry, clock, ids, limit: Self::LIMIT };
        Self { work: Arc::new(work), tracker }
    }
}

#[async_trait]
impl ToolGateway for RecordedTools {
    fn manifest(&self, rights: &Rights) -> Vec<ToolSpec> {
        self.work.registry.manifest(rights)
    }

    async fn invoke(&self, permit: &Permit, call: ToolCall) -> Result<Classified<ToolResult>, ToolError> {
        let caller_left = CancellationToken::new();
        let _on_drop = caller_left.clone().drop_guard();
        let (work, permit, tracker) = (Arc::clone(&self.work), permit.clone(), self.tracker.clone());
        let task = async move { work.carry_out(&tracker, (&permit, call), &caller_left).await };
        let task = self.tracker.spawn(task.in_current_span());
        task.await.unwrap_or(Err(ToolError::Stopped))
    }
}

impl Work {
    async fn carry_out(
        self: &Arc<Self>,
        tracker: &TaskTracker,
        (permit, call): (&Permit, ToolCall),
        caller_left: &CancellationToken,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let mut invocation = Invocation::of(permit, &call);
        let Some(Registered { spec, tool }) = self.registry.find(&call.name) else {
            self.refuse(&invocation, RefusalCode::UnknownTool).await?;
            return Err(ToolError::Unknown);
        };
        invocation.resource = Some(spec.requires.resource);
        let prepared = tool.prepare(call.arguments);
        if let Ok(prepared) = &prepared {
            invocation.target = prepared.target;
        }
        let (receipt, scope) = self.admit(permit, spec, &invocation).await?;
        let ended = match prepared {
            Ok(prepared) => {
                let run = self.run(spec.name, prepared, scope);
                caller_left.run_until_cancelled(run).await.unwrap_or(Err(ToolError::Stopped))
            }
            Err(error) => Err(error),
        };
        self.close(tracker, (&invocation, receipt), &ended).await?;
        ended
    }

    /// Runs the tool within its limit; a panic of it becomes an error.
    async fn run(
        &self,
        name: ToolName,
        call: Prepared<'_>,
        scope: CallScope,
    ) -> Result<Classified<ToolResult>, ToolError> {
        let name = name.as_str();
        let guarded = AssertUnwindSafe(call.run(scope)).catch_unwind();
        match tokio::time::timeout(self.limit, guarded).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_panic)) => Err(ToolError::Panicked { tool: name }),
            Err(_elapsed) => Err(ToolError::TimedOut { tool: name }),
        }
    }
}
