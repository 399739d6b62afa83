//! Checks whether a tool call is permitted, and writes its audit rows.

use super::outcome_metadata;
use crate::calls::CallRecorder;
use crate::error::ToolError;
use crate::tool::ToolContext;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::authorized::{AuditReceipt, Permit};
use domain::classified::Classified;
use domain::decision::RefusalCode;
use domain::error::{Classify as _, ErrorKind};
use domain::ids::AuditId;
use domain::ledger::{CallOrigin, LedgerEntry};
use domain::ports::{AccessRules, Clock, IdGen, Store, StoreError, TenantTx};
use domain::retry;
use domain::rights::Rights;
use domain::role::{Classification, Resource};
use domain::scope::TenantScope;
use domain::space::current_membership;
use domain::tenant::TenantSettings;
use domain::time::Timestamp;
use domain::tool::{ToolCall, ToolResult, ToolSpec};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// Longest recorded tool name or call id, in characters.
const MAX_LABEL_CHARS: usize = 64;

/// One tool call with the fields of its audit rows.
pub(super) struct Invocation {
    scope: TenantScope,
    parent_intent: AuditId,
    tool: String,
    call_id: String,
    pub(super) resource_kind: Option<Resource>,
    pub(super) resource_id: Option<Uuid>,
    arguments_classification: Classification,
    origin: CallOrigin,
    model_call_recorder: CallRecorder,
}

impl Invocation {
    pub(super) fn new(permit: &Permit, call: &ToolCall) -> Self {
        Self {
            scope: permit.scope().clone(),
            parent_intent: permit.receipt().intent_id(),
            tool: sanitize_label(&call.name),
            call_id: sanitize_label(&call.call_id),
            resource_kind: None,
            resource_id: None,
            arguments_classification: call.arguments_classification,
            origin: call.origin,
            model_call_recorder: CallRecorder::default(),
        }
    }

    /// Name of the tool, safe to record.
    pub(super) fn tool(&self) -> &str {
        &self.tool
    }

    fn audited_operation(&self, event: EventType, details: Map<String, Value>) -> AuditedOperation {
        let mut metadata = Map::new();
        metadata.insert("tool".into(), self.tool.clone().into());
        metadata.insert("call_id".into(), self.call_id.clone().into());
        metadata.insert("parent".into(), self.parent_intent.to_string().into());
        metadata.extend(details);
        AuditedOperation {
            event,
            resource: self.resource_kind,
            resource_id: self.resource_id,
            conversation_id: None,
            request_hash: None,
            metadata: metadata.into(),
        }
    }
}

/// Truncates a tool name or call id to [`MAX_LABEL_CHARS`] characters and replaces all but `[A-Za-z0-9._-]` with `_`:
/// models generate them, so they are untrusted.
fn sanitize_label(text: &str) -> String {
    let to_safe_char = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }
    };
    text.chars().take(MAX_LABEL_CHARS).map(to_safe_char).collect()
}

/// Checks tool calls and records them in the audit log and the usage ledger.
pub(super) struct AdmissionController {
    pub(super) store: Arc<dyn Store>,
    pub(super) rules: Arc<dyn AccessRules>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<dyn IdGen>,
    pub(super) tracker: TaskTracker,
}

impl AdmissionController {
    /// Checks that the caller may call the tool now, and records the intent. Must succeed before the tool runs. Rights
    /// that the user lost since the permit was issued no longer count; rights gained since then do not count either.
    /// A refusal is recorded too, and returned as the inner error; the outer error is a database failure.
    pub(super) async fn admit(
        &self,
        permit: &Permit,
        tool: &ToolSpec,
        invocation: &Invocation,
    ) -> Result<Result<RecordedIntent, RefusalCode>, StoreError> {
        let mut tx = self.store.begin(&invocation.scope).await?;
        let (membership, remaining_rights) = match permit.scope().user() {
            Some(_) => {
                let membership = current_membership(&*self.store, &mut *tx, permit.scope()).await?;
                let remaining = self.rules.remaining_rights(permit, membership.as_ref());
                (membership, remaining)
            }
            None => (None, Err(RefusalCode::NoUser)),
        };
        let admitted = match remaining_rights {
            Ok(rights) => {
                let settings = membership.map(|member| member.settings).unwrap_or_default();
                let effective = EffectiveAccess { rights: &rights, settings: &settings };
                self.admit_in(&mut *tx, permit, &effective, tool, invocation).await?
            }
            Err(reason) => {
                self.refuse_in(&mut *tx, invocation, reason).await?;
                Err(reason)
            }
        };
        tx.commit().await?;
        Ok(admitted)
    }

    /// Checks the call against `effective`, and records the intent or the refusal in `tx`.
    pub(super) async fn admit_in(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        effective: &EffectiveAccess<'_>,
        tool: &ToolSpec,
        invocation: &Invocation,
    ) -> Result<Result<RecordedIntent, RefusalCode>, StoreError> {
        let EffectiveAccess { rights, settings } = effective;
        if let Some(reason) = refusal(permit, rights, tool) {
            self.refuse_in(tx, invocation, reason).await?;
            return Ok(Err(reason));
        }
        let now = self.clock.now();
        let operation = invocation.audited_operation(EventType::TOOL_INVOCATION, Map::new());
        let receipt = tx.audit().record_intent(self.audit_id(), &operation, now).await?;
        let context = ToolContext {
            tenant_scope: invocation.scope.clone(),
            clearance: rights.clearance(),
            max_model_classification: settings.model_classification.unwrap_or(Classification::Restricted),
            max_cloud_classification: settings.max_cloud_classification(),
            privacy: settings.pii_sanitization.rules(),
            arguments_classification: invocation.arguments_classification,
            admitted_at: now,
            model_call_recorder: invocation.model_call_recorder.clone(),
        };
        Ok(Ok(RecordedIntent { receipt, context }))
    }

    /// Writes the `policy.denied` audit row of a refused call in `tx`.
    pub(super) async fn refuse_in(
        &self,
        tx: &mut dyn TenantTx,
        invocation: &Invocation,
        reason: RefusalCode,
    ) -> Result<(), StoreError> {
        let metadata = Map::from_iter([("reason".to_owned(), Value::from(reason.as_str()))]);
        let outcome = Outcome {
            operation: invocation.audited_operation(EventType::POLICY_DENIED, metadata),
            status: ResultStatus::Denied,
            model: None,
            tools_used: Vec::new(),
        };
        tx.audit().record_event(self.audit_id(), &outcome, self.clock.now()).await
    }

    /// Writes the audit row of a call of a tool that is not registered.
    pub(super) async fn record_unknown_tool(&self, invocation: &Invocation) -> Result<(), StoreError> {
        let mut tx = self.store.begin(&invocation.scope).await?;
        self.refuse_in(&mut *tx, invocation, RefusalCode::UnknownTool).await?;
        tx.commit().await
    }

    /// The outcome and the model calls of a call that has ended.
    pub(super) fn outcome(
        &self,
        invocation: &Invocation,
        receipt: AuditReceipt,
        result: &Result<Classified<ToolResult>, ToolError>,
    ) -> OutcomeRecord {
        let (status, mut metadata) = outcome_metadata::status_and_metadata(result);
        let replaced = invocation.model_call_recorder.replacement_counts();
        if !replaced.is_empty() {
            metadata.insert("privacy".to_owned(), json!({ "replaced": replaced }));
        }
        let outcome = Outcome {
            operation: invocation.audited_operation(EventType::TOOL_INVOCATION, metadata),
            status,
            model: None,
            tools_used: vec![invocation.tool.clone()],
        };
        let at = self.clock.now();
        let ledger_entries = invocation.model_call_recorder.drain_ledger_entries(&*self.ids, invocation.origin, at);
        OutcomeRecord {
            scope: invocation.scope.clone(),
            id: self.audit_id(),
            receipt,
            outcome,
            ledger_entries,
            ended_at: at,
        }
    }

    /// Records a call's outcome and its model calls. If that fails, the caller gets an error instead of the result; if
    /// the database was unavailable, a background task retries.
    pub(super) async fn record_outcome(self: &Arc<Self>, record: &OutcomeRecord) -> Result<(), StoreError> {
        let Err(error) = self.try_record(record).await else { return Ok(()) };
        if error.kind() == ErrorKind::Unavailable {
            let (admission, record) = (Arc::clone(self), record.clone());
            self.tracker.spawn(async move {
                let attempt = || admission.try_record(&record);
                if let Err(error) = retry::with_backoff(attempt, tokio::time::sleep).await {
                    let correlation_id = record.receipt.intent_id();
                    tracing::error!(%correlation_id, %error, "a tool call's outcome is lost");
                }
            });
        }
        Err(error)
    }

    async fn try_record(&self, record: &OutcomeRecord) -> Result<(), StoreError> {
        let mut tx = self.store.begin(&record.scope).await?;
        record.write(&mut *tx).await?;
        tx.commit().await
    }

    fn audit_id(&self) -> AuditId {
        AuditId::from_uuid(self.ids.uuid())
    }
}

/// What the caller may do, and the settings of the tenant, at the time of the call.
pub(super) struct EffectiveAccess<'a> {
    pub(super) rights: &'a Rights,
    pub(super) settings: &'a TenantSettings,
}

/// Why the rights do not allow the call; `None` if they do.
fn refusal(permit: &Permit, rights: &Rights, tool: &ToolSpec) -> Option<RefusalCode> {
    let ToolSpec { required_permission: required, writes_to_plant: writes, .. } = tool;
    if permit.scope().user().is_none() {
        Some(RefusalCode::NoUser)
    } else if !permit.credential().covers(required.resource, required.operation) {
        Some(RefusalCode::TokenScope)
    } else if !rights.allows(*required) {
        Some(RefusalCode::InsufficientRights)
    } else {
        writes.then_some(RefusalCode::ToolWrites)
    }
}

/// A call whose intent is recorded, with what its tool needs to run.
pub(super) struct RecordedIntent {
    pub(super) receipt: AuditReceipt,
    pub(super) context: ToolContext,
}

/// The audit row and ledger entries of one finished call.
#[derive(Clone)]
pub(super) struct OutcomeRecord {
    scope: TenantScope,
    id: AuditId,
    receipt: AuditReceipt,
    outcome: Outcome,
    ledger_entries: Vec<LedgerEntry>,
    /// When the call ended.
    ended_at: Timestamp,
}

impl OutcomeRecord {
    /// Writes the record. Idempotent: a retry after a commit whose acknowledgement was lost inserts no duplicates.
    pub(super) async fn write(&self, tx: &mut dyn TenantTx) -> Result<(), StoreError> {
        tx.usage().record_calls(&self.ledger_entries).await?;
        tx.audit().record_outcome(self.id, self.receipt, &self.outcome, self.ended_at).await
    }
}
