//! Checks whether a tool call is permitted, and writes its audit rows.

use super::facts;
use crate::calls::CallRecorder;
use crate::error::ToolError;
use crate::tool::CallScope;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Permit};
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::AuditId;
use domain::ledger::{CallContext, LedgerEntry};
use domain::ports::{AccessRules, Clock, IdGen, Store, StoreError};
use domain::retry;
use domain::rights::Rights;
use domain::role::{Classification, Resource};
use domain::scope::TenantScope;
use domain::tool::{ToolCall, ToolResult, ToolSpec};
use domain::user::Membership;
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Longest recorded tool name or call id, in characters.
const MAX_LABEL: usize = 64;

/// One tool call with the fields of its audit rows.
pub(super) struct Invocation {
    scope: TenantScope,
    parent: AuditId,
    tool: String,
    call_id: String,
    pub(super) resource: Option<Resource>,
    pub(super) target: Option<Uuid>,
    context: CallContext,
    models: CallRecorder,
}

impl Invocation {
    pub(super) fn new(permit: &Permit, call: &ToolCall) -> Self {
        Self {
            scope: permit.scope().clone(),
            parent: permit.receipt().intent(),
            tool: label(&call.name),
            call_id: label(&call.call_id),
            resource: None,
            target: None,
            context: call.context,
            models: CallRecorder::default(),
        }
    }

    fn subject(&self, event: EventType, facts: Map<String, Value>) -> AuditSubject {
        let mut metadata = Map::new();
        metadata.insert("tool".into(), self.tool.clone().into());
        metadata.insert("call_id".into(), self.call_id.clone().into());
        metadata.insert("parent".into(), self.parent.to_string().into());
        metadata.extend(facts);
        AuditSubject {
            event,
            resource: self.resource,
            resource_id: self.target,
            session: None,
            request_hash: None,
            metadata: metadata.into(),
        }
    }
}

/// Truncates a tool name or call id to [`MAX_LABEL`] characters and replaces all but `[A-Za-z0-9._-]` with `_`: models
/// generate them, so they are untrusted.
fn label(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }
    };
    text.chars().take(MAX_LABEL).map(plain).collect()
}

/// Checks tool calls and records them in the audit log and the usage ledger.
pub(super) struct Admission {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: Arc<dyn AccessRules>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGen>,
    pub(super) tracker: TaskTracker,
}

impl Admission {
    /// Returns the permit's remaining rights if they allow the call, otherwise the reason for the refusal. Rights that
    /// the user lost since the permit was issued no longer count; rights gained since then do not count either.
    fn check_rights(
        &self,
        permit: &Permit,
        membership: Option<&Membership>,
        tool: &ToolSpec,
    ) -> Result<Rights, RefusalCode> {
        let rights = self.rules.remaining(permit, membership)?;
        let ToolSpec { requires, writes, .. } = tool;
        if !permit.credential().covers(requires.resource, requires.operation) {
            Err(RefusalCode::TokenScope)
        } else if !rights.allow(*requires) {
            Err(RefusalCode::Matrix)
        } else if *writes {
            Err(RefusalCode::Writes)
        } else {
            Ok(rights)
        }
    }

    /// Checks that the caller may call the tool now, and records the intent. Must succeed before the tool runs.
    pub(super) async fn admit(
        &self,
        permit: &Permit,
        tool: &ToolSpec,
        invocation: &Invocation,
    ) -> Result<(AuditReceipt, CallScope), ToolError> {
        let Some(user) = permit.scope().user() else {
            return self.deny(invocation, RefusalCode::NoUser).await;
        };
        let mut tx = self.store.begin(&invocation.scope).await.map_err(ToolError::Audit)?;
        let membership = tx.users().membership(user).await.map_err(ToolError::Audit)?;
        let rights = match self.check_rights(permit, membership.as_ref(), tool) {
            Ok(rights) => rights,
            Err(reason) => {
                drop(tx);
                return self.deny(invocation, reason).await;
            }
        };
        let settings = membership.map(|member| member.settings).unwrap_or_default();
        let now = self.clock.now();
        let subject = invocation.subject(EventType::TOOL_INVOCATION, Map::new());
        let receipt = tx.audit().intent(self.audit_id(), &subject, now).await;
        let receipt = receipt.map_err(ToolError::Audit)?;
        tx.commit().await.map_err(ToolError::Audit)?;
        let scope = CallScope {
            scope: invocation.scope.clone(),
            clearance: rights.clearance(),
            model_limit: settings.model_classification.unwrap_or(Classification::Restricted),
            cloud_limit: settings.cloud_limit(),
            now,
            models: invocation.models.clone(),
        };
        Ok((receipt, scope))
    }

    async fn deny<T>(&self, invocation: &Invocation, reason: RefusalCode) -> Result<T, ToolError> {
        self.record_refusal(invocation, reason).await?;
        Err(ToolError::Denied { reason })
    }

    /// Writes the `policy.denied` audit row of a refused call.
    pub(super) async fn record_refusal(&self, invocation: &Invocation, reason: RefusalCode) -> Result<(), ToolError> {
        let facts = Map::from_iter([("reason".to_owned(), Value::from(reason.as_str()))]);
        let outcome = Outcome {
            subject: invocation.subject(EventType::POLICY_DENIED, facts),
            status: ResultStatus::Denied,
            model: None,
            tools_used: Vec::new(),
        };
        let mut tx = self.store.begin(&invocation.scope).await.map_err(ToolError::Audit)?;
        let recorded = tx.audit().event(self.audit_id(), &outcome, self.clock.now()).await;
        recorded.map_err(ToolError::Audit)?;
        tx.commit().await.map_err(ToolError::Audit)
    }

    /// Records a call's outcome and its model calls. If that fails, the caller gets an error instead of the result; if
    /// the database was unavailable, a background task retries.
    pub(super) async fn record_outcome(
        self: &Arc<Self>,
        invocation: &Invocation,
        receipt: AuditReceipt,
        result: &Result<Classified<ToolResult>, ToolError>,
    ) -> Result<(), ToolError> {
        let (status, facts) = facts::outcome(result);
        let outcome = Outcome {
            subject: invocation.subject(EventType::TOOL_INVOCATION, facts),
            status,
            model: None,
            tools_used: vec![invocation.tool.clone()],
        };
        let calls = invocation.models.take(&*self.ids, invocation.context, self.clock.now());
        let record = OutcomeRecord { id: self.audit_id(), receipt, outcome, calls };
        let scope = invocation.scope.clone();
        let Err(error) = self.try_record(&scope, &record).await else { return Ok(()) };
        if error.kind() == ErrorKind::Unavailable {
            let admission = Arc::clone(self);
            self.tracker.spawn(async move {
                let attempt = || admission.try_record(&scope, &record);
                if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                    tracing::error!(correlation_id = %receipt.intent(), %error, "a tool call's outcome is lost");
                }
            });
        }
        Err(ToolError::Audit(error))
    }

    async fn try_record(&self, scope: &TenantScope, record: &OutcomeRecord) -> Result<(), StoreError> {
        let OutcomeRecord { id, receipt, outcome, calls } = record;
        let mut tx = self.store.begin(scope).await?;
        tx.usage().record(calls).await?;
        tx.audit().outcome(*id, *receipt, outcome, self.clock.now()).await?;
        tx.commit().await
    }

    fn audit_id(&self) -> AuditId {
        AuditId::from_uuid(self.ids.uuid())
    }
}

/// The audit row and ledger entries of one finished call.
struct OutcomeRecord {
    id: AuditId,
    receipt: AuditReceipt,
    outcome: Outcome,
    calls: Vec<LedgerEntry>,
}
