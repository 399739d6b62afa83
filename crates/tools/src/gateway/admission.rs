//! What a call leaves in the audit log, and who may make it.

use super::{Work, facts};
use crate::calls::CallSheet;
use crate::error::ToolError;
use crate::tool::CallScope;
use domain::audit::{AuditSubject, EventType, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Permit};
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::AuditId;
use domain::ledger::{CallContext, LedgerEntry};
use domain::ports::StoreError;
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

/// Longest name or call id that is recorded, in characters.
const MAX_LABEL: usize = 64;

/// One call, as the audit log names it.
pub(super) struct Invocation {
    scope: TenantScope,
    parent: AuditId,
    tool: String,
    call_id: String,
    pub(super) resource: Option<Resource>,
    pub(super) target: Option<Uuid>,
    context: CallContext,
    models: CallSheet,
}

impl Invocation {
    pub(super) fn of(permit: &Permit, call: &ToolCall) -> Self {
        Self {
            scope: permit.scope().clone(),
            parent: permit.receipt().intent(),
            tool: label(&call.name),
            call_id: label(&call.call_id),
            resource: None,
            target: None,
            context: call.context,
            models: CallSheet::default(),
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

/// A model writes names and call ids, and could write anything: what is recorded is short and of plain characters.
fn label(text: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }
    };
    text.chars().take(MAX_LABEL).map(plain).collect()
}

impl Work {
    /// What remains of the permit at this moment, where that lets the user call the tool; otherwise why not. A right that
    /// was lost since the permit counts; one that was gained does not yet.
    fn may_call(
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

    /// Checks that the caller may call the tool at this moment, and records the intent. Nothing runs without it.
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
        let rights = match self.may_call(permit, membership.as_ref(), tool) {
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
        self.refuse(invocation, reason).await?;
        Err(ToolError::Denied { reason })
    }

    /// Records a refusal.
    pub(super) async fn refuse(&self, invocation: &Invocation, reason: RefusalCode) -> Result<(), ToolError> {
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

    /// Records how a call ended, and its calls to models. Where that cannot be recorded the caller gets nothing of the result; a task goes on
    /// trying to record it.
    pub(super) async fn close(
        self: &Arc<Self>,
        tracker: &TaskTracker,
        (invocation, receipt): (&Invocation, AuditReceipt),
        ended: &Result<Classified<ToolResult>, ToolError>,
    ) -> Result<(), ToolError> {
        let (status, facts) = facts::of(ended);
        let outcome = Outcome {
            subject: invocation.subject(EventType::TOOL_INVOCATION, facts),
            status,
            model: None,
            tools_used: vec![invocation.tool.clone()],
        };
        let calls = invocation.models.take(&*self.ids, (invocation.context, self.clock.now()));
        let (id, scope) = (self.audit_id(), invocation.scope.clone());
        let Err(error) = self.record(&scope, (id, receipt), &outcome, &calls).await else { return Ok(()) };
        if error.kind() == ErrorKind::Unavailable {
            let work = Arc::clone(self);
            tracker.spawn(async move {
                let attempt = || work.record(&scope, (id, receipt), &outcome, &calls);
                if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                    tracing::error!(correlation_id = %receipt.intent(), %error, "a tool call's outcome is lost");
                }
            });
        }
        Err(ToolError::Audit(error))
    }

    async fn record(
        &self,
        scope: &TenantScope,
        (id, receipt): (AuditId, AuditReceipt),
        outcome: &Outcome,
        calls: &[LedgerEntry],
    ) -> Result<(), StoreError> {
        let mut tx = self.store.begin(scope).await?;
        tx.usage().record(calls).await?;
        tx.audit().outcome(id, receipt, outcome, self.clock.now()).await?;
        tx.commit().await
    }

    fn audit_id(&self) -> AuditId {
        AuditId::from_uuid(self.ids.uuid())
    }
}
