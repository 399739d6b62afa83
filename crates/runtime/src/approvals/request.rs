//! Requests for approval: from the API, and from the model's tool calls in a chat. Both create the same record.

use super::audit_events::ApprovalEvent;
use super::error::ApprovalError;
use crate::error::RuntimeError;
use chrono::TimeDelta;
use domain::approval::{Approval, ApprovalPolicy, ApprovalStatus, PolicyTerms};
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::credential::Credential;
use domain::decision::RefusalCode;
use domain::ids::{ApprovalId, AuditId, ConversationId, TenantId, UserId};
use domain::ports::{Clock, IdGen, StoreError, TenantTx};
use domain::rights::Rights;
use domain::time::Timestamp;
use domain::tool::WriteToolSpec;
use domain::upload::FieldError;
use serde_json::{Value, json};
use std::sync::Arc;
use tools::error::ToolError;
use tools::gateway::ToolGateway;
use tools::write::WriteDraft;

/// Creates requests for approval.
#[derive(Clone)]
pub struct ApprovalRequester {
    /// Describes the writes.
    pub tools: Arc<dyn ToolGateway>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Source of new ids.
    pub ids: Arc<dyn IdGen>,
}

/// The requester, with their current rights.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The user's tenant.
    pub tenant: TenantId,
    /// The user; `None` for the worker and the system, which cannot request writes.
    pub user: Option<UserId>,
    /// The user's current rights.
    pub rights: &'a Rights,
    /// How the user authenticated.
    pub credential: &'a Credential,
}

/// A write to request.
#[derive(Clone, Debug)]
pub struct WriteRequest {
    /// The exact arguments.
    pub arguments: Value,
    /// The reason, in the requester's own words.
    pub reason: Option<String>,
    /// The conversation of the request, in which the outcome will be reported.
    pub conversation: Option<ConversationId>,
}

impl ApprovalRequester {
    /// Checks the call and stores the request in `tx`. The transaction must not be committed after an error, except
    /// [`ToolError::Denied`], before which nothing is stored.
    ///
    /// # Errors
    /// If the requester may not call the tool, the plant mode forbids writes, the arguments are invalid, too many
    /// requests are pending, or the database fails.
    pub async fn request(
        &self,
        tx: &mut dyn TenantTx,
        requester: Requester<'_>,
        spec: &WriteToolSpec,
        request: WriteRequest,
    ) -> Result<Approval, RuntimeError> {
        let requested_by = check_rights(requester, spec)?;
        let mode = tx.plant_mode().get().await?.mode;
        if !mode.allows_writes() {
            return Err(ApprovalError::PlantMode { mode }.into());
        }
        let name = spec.tool.name.as_str();
        let id = ApprovalId::from_uuid(self.ids.uuid());
        let draft = WriteDraft { tenant: requester.tenant, approval: id, requested_by };
        let prepared = self.tools.prepare_write(tx, name, &draft, &request.arguments).await.map_err(to_field_error)?;
        let policy = policy_in_force(tx, spec).await?;
        check_pending(tx, requested_by).await?;
        let now = self.clock.now();
        let mut approval = Approval {
            id,
            tool: name.to_owned(),
            tool_version: prepared.version,
            target: prepared.target,
            arguments: request.arguments,
            preview: prepared.preview,
            digest: String::new(),
            reason: request.reason,
            requested_by,
            conversation: request.conversation,
            policy_version: policy.version,
            expires_at: now + TimeDelta::seconds(i64::from(policy.terms.expires_after_s)),
            terms: policy.terms,
            status: ApprovalStatus::Pending,
            is_escalated: false,
            decisions: Vec::new(),
            result: None,
            error: None,
            is_notice_due: false,
            created_at: now,
            updated_at: now,
        };
        approval.digest = approval.content().digest().map_err(|source| StoreError::Failed {
            activity: "computing the digest of an approval",
            source: Box::new(source),
        })?;
        tx.approvals().insert(&approval).await?;
        ApprovalEvent::new(EventType::APPROVAL_REQUESTED, &approval).record(tx, &*self.ids, now).await?;
        Ok(approval)
    }
}

/// The policy on a tool: the tenant's, or the tool's default.
///
/// # Errors
/// If the database fails.
pub async fn policy_in_force(tx: &mut dyn TenantTx, spec: &WriteToolSpec) -> Result<ApprovalPolicy, StoreError> {
    let policy = tx.approvals().policy(spec.tool.name.as_str()).await?;
    Ok(policy.unwrap_or_else(|| default_policy(spec)))
}

/// The policy on a tool for which the tenant has set none.
pub fn default_policy(spec: &WriteToolSpec) -> ApprovalPolicy {
    let terms = spec.default_policy.clone().unwrap_or_else(PolicyTerms::platform_default);
    ApprovalPolicy::platform_default(spec.tool.name.as_str(), terms)
}

/// Locks an approval after the policy on its tool, because a change of the policy locks them in the same order.
///
/// # Errors
/// If the database fails.
pub async fn lock_with_policy(tx: &mut dyn TenantTx, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
    let Some(approval) = tx.approvals().get(id).await? else { return Ok(None) };
    tx.approvals().policy(&approval.tool).await?;
    tx.approvals().lock(id).await
}

/// A user who may not call a tool that writes.
#[derive(Clone, Copy, Debug)]
pub struct RefusedWrite<'a> {
    /// The requested tool, under whose operation the refusal is recorded.
    pub spec: &'a WriteToolSpec,
    /// Stable code of the reason.
    pub reason: &'a str,
    /// The conversation in which the model requested it.
    pub conversation: Option<ConversationId>,
}

impl RefusedWrite<'_> {
    /// Records the refusal in `tx`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn record(self, tx: &mut dyn TenantTx, ids: &dyn IdGen, now: Timestamp) -> Result<(), StoreError> {
        let operation = AuditedOperation {
            event: EventType::POLICY_DENIED,
            resource: Some(self.spec.tool.required_permission.resource),
            resource_id: None,
            conversation_id: self.conversation,
            request_hash: None,
            metadata: json!({ "tool": self.spec.tool.name, "reason": self.reason }),
        };
        let outcome = Outcome { operation, status: ResultStatus::Denied, model: None, tools_used: Vec::new() };
        tx.audit().record_event(AuditId::from_uuid(ids.uuid()), &outcome, now).await
    }
}

/// Checks that the user and the tenant may have one more pending request.
async fn check_pending(tx: &mut dyn TenantTx, requested_by: UserId) -> Result<(), RuntimeError> {
    let pending = tx.approvals().lock_and_count_pending(requested_by).await?;
    if pending.requester >= Approval::MAX_PENDING_PER_REQUESTER {
        return Err(ApprovalError::TooManyOwnPending.into());
    }
    if pending.tenant >= Approval::MAX_PENDING_PER_TENANT {
        return Err(ApprovalError::TooManyPending.into());
    }
    Ok(())
}

fn check_rights(requester: Requester<'_>, spec: &WriteToolSpec) -> Result<UserId, ToolError> {
    let denied = |reason| ToolError::Denied { reason };
    let required = spec.tool.required_permission;
    let user = requester.user.ok_or(denied(RefusalCode::NoUser))?;
    if !requester.credential.covers(required.resource, required.operation) {
        return Err(denied(RefusalCode::TokenScope));
    }
    if !requester.rights.allows(required) {
        return Err(denied(RefusalCode::InsufficientRights));
    }
    // The requester of a write sees its result.
    if spec.is_hidden_from(requester.rights.clearance()) {
        return Err(denied(RefusalCode::ContentAboveClearance));
    }
    Ok(user)
}

/// Converts an error of a call into one that points to its arguments.
pub fn to_field_error(error: ToolError) -> RuntimeError {
    match error {
        ToolError::InvalidArguments { detail } => FieldError { pointer: "/arguments".to_owned(), detail }.into(),
        ToolError::UnknownTool => RuntimeError::NotFound { target: "the tool" },
        other => other.into(),
    }
}
