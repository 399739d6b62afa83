//! Rows of approvals and their decisions.

use crate::rows::{TextEnum, non_negative};
use crate::statement::row;
use domain::approval::{
    Approval, ApprovalDecision, ApprovalStatus, ApproverVerdict, ExecutionError, PendingCounts, PolicyTerms,
    WriteAttempts,
};
use domain::ids::UserId;
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

row! {
    /// An approval with its decisions.
    pub(super) struct ApprovalRow {
        id: Uuid,
        tool: String,
        tool_version: i32,
        target: String,
        arguments: Value,
        preview: Value,
        digest: String,
        reason: Option<String>,
        requested_by: Uuid,
        conversation_id: Option<Uuid>,
        policy_version: i64,
        terms: Json<PolicyTerms>,
        status: TextEnum<ApprovalStatus>,
        escalated: bool,
        decisions: Json<Vec<StoredDecision>>,
        expires_at: Timestamp,
        result: Option<Value>,
        error: Option<Json<ExecutionError>>,
        notice_due: bool,
        created_at: Timestamp,
        updated_at: Timestamp,
    }
}

row! {
    /// Numbers of pending approvals.
    pub(super) struct PendingRow {
        tenant: i64,
        requester: i64,
    }
}

row! {
    /// Numbers of attempts at a write.
    pub(super) struct AttemptsRow {
        write_attempts: i16,
        write_answers: i16,
    }
}

/// A decision as a statement aggregates it.
#[derive(Deserialize)]
pub(crate) struct StoredDecision {
    by: UserId,
    decision: ApproverVerdict,
    comment: Option<String>,
    at: Timestamp,
}

impl From<ApprovalRow> for Approval {
    fn from(row: ApprovalRow) -> Self {
        Self {
            id: row.id.into(),
            tool: row.tool,
            tool_version: u32::try_from(row.tool_version).unwrap_or_default(),
            target: row.target,
            arguments: row.arguments,
            preview: row.preview,
            digest: row.digest,
            reason: row.reason,
            requested_by: row.requested_by.into(),
            conversation: row.conversation_id.map(Into::into),
            policy_version: row.policy_version,
            terms: row.terms.0,
            status: row.status.0,
            is_escalated: row.escalated,
            decisions: row.decisions.0.into_iter().map(Into::into).collect(),
            expires_at: row.expires_at,
            result: row.result,
            error: row.error.map(|Json(error)| error),
            is_notice_due: row.notice_due,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl From<PendingRow> for PendingCounts {
    fn from(row: PendingRow) -> Self {
        Self { tenant: non_negative(row.tenant), requester: non_negative(row.requester) }
    }
}

impl From<AttemptsRow> for WriteAttempts {
    fn from(row: AttemptsRow) -> Self {
        let number = |count: i16| u32::try_from(count).unwrap_or_default();
        Self { begun: number(row.write_attempts), answered: number(row.write_answers) }
    }
}

impl From<StoredDecision> for ApprovalDecision {
    fn from(stored: StoredDecision) -> Self {
        Self { by: stored.by, verdict: stored.decision, comment: stored.comment, at: stored.at }
    }
}
