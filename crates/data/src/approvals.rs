//! Write approvals, their decisions, and approval policies. A trigger refuses transitions that are not in
//! the table of `domain::approval::TRANSITIONS`.

mod rows;

use crate::rows::KeysetParams;
use crate::statement::{Scalar, Statement, row, statements};
use crate::tx::PgTenantTx;
use async_trait::async_trait;
use domain::approval::{
    Approval, ApprovalDecision, ApprovalFilter, ApprovalPolicy, ApprovalReader, ApprovalRole, ApprovalStatus,
    PendingCounts, PolicyTerms, WriteAttempts,
};
use domain::ids::{ApprovalId, UserId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{ApprovalRepo, StatusTransition, StoreError};
use domain::time::Timestamp;
use rows::{ApprovalRow, AttemptsRow, PendingRow};
use sqlx::types::Json;
use uuid::Uuid;

row! {
    struct PolicyRow, columns = policy_columns {
        tool: String,
        version: i64,
        terms: Json<PolicyTerms>,
        updated_at: Timestamp,
    }
}

/// The columns of [`ApprovalRow`] in a statement on `approvals`.
macro_rules! approval_columns {
    () => {
        "id, tool, tool_version, target, arguments, preview, digest, reason, requested_by, conversation_id,
         policy_version, terms, status, escalated,
         (SELECT coalesce(jsonb_agg(jsonb_build_object('by', d.user_id, 'decision', d.decision, 'comment', d.comment,
                                                       'at', d.decided_at) ORDER BY d.decided_at, d.user_id), '[]')
          FROM approval_decisions AS d
          WHERE d.tenant_id = approvals.tenant_id AND d.approval_id = approvals.id) AS decisions,
         expires_at, result, error, notice_due, created_at, updated_at"
    };
}

statements! {
    INSERT: () = Statement::insert(
        "approvals",
        "storing an approval",
        "INSERT INTO approvals
             (id, tenant_id, tool, tool_version, target, arguments, preview, digest, reason, requested_by,
              conversation_id, policy_version, terms, approver_ids, approver_grant, escalation_ids, expires_at,
              created_at, updated_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17)",
    );
    GET: ApprovalRow = Statement::select(
        "approvals",
        "reading an approval",
        concat!("SELECT ", approval_columns!(), " FROM approvals WHERE id = $1"),
    );
    /// The row is read by a second statement. A subquery of this statement would see the decisions as they were before
    /// it waited for the lock.
    LOCK: Scalar<i32> = Statement::select(
        "approvals",
        "locking an approval",
        "SELECT 1 FROM approvals WHERE id = $1 FOR UPDATE",
    );
    LIST: ApprovalRow = Statement::select(
        "approvals",
        "listing approvals",
        concat!(
            "SELECT ",
            approval_columns!(),
            " FROM approvals
             WHERE ($4::text IS NULL OR status = $4)
               AND CASE $5::text
                   WHEN 'requester' THEN requested_by = $6
                   WHEN 'approver' THEN requested_by <> $6
                       AND ($6 = ANY(approver_ids) OR (approver_grant AND $7::boolean)
                            OR (escalated AND $6 = ANY(escalation_ids)))
                   ELSE $8::boolean OR requested_by = $6 OR $6 = ANY(approver_ids) OR (approver_grant AND $7::boolean)
                        OR (escalated AND $6 = ANY(escalation_ids)) END
               AND (created_at, id) < (coalesce($1::timestamptz, 'infinity'),
                                       coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
             ORDER BY created_at DESC, id DESC LIMIT $3"
        ),
    );
    INSERT_DECISION: () = Statement::insert(
        "approval_decisions",
        "storing a decision",
        "INSERT INTO approval_decisions (tenant_id, approval_id, user_id, decision, comment, decided_at)
         VALUES (app_tenant(), $1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, approval_id, user_id) DO NOTHING",
    );
    TRANSITION: () = Statement::update(
        "approvals",
        "changing the state of an approval",
        "UPDATE approvals
         SET status = $3, result = $4, error = $5, notice_due = $6 AND conversation_id IS NOT NULL, updated_at = $7
         WHERE id = $1 AND status = $2",
    );
    ESCALATE: () = Statement::update(
        "approvals",
        "escalating an approval",
        "UPDATE approvals SET escalated = true, expires_at = $2, updated_at = $3
         WHERE id = $1 AND status = 'pending' AND NOT escalated",
    );
    COUNT_WRITE_ATTEMPT: () = Statement::update(
        "approvals",
        "counting an attempt at a write",
        "UPDATE approvals SET write_attempts = write_attempts + 1
         WHERE id = $1 AND status = 'executing' AND write_attempts = $2",
    );
    COUNT_WRITE_ANSWER: () = Statement::update(
        "approvals",
        "counting an answer to a write",
        "UPDATE approvals SET write_answers = write_answers + 1
         WHERE id = $1 AND status = 'executing' AND write_attempts = $2 AND write_answers < write_attempts",
    );
    WRITE_ATTEMPTS: AttemptsRow = Statement::select(
        "approvals",
        "reading the attempts at a write",
        "SELECT write_attempts, write_answers FROM approvals WHERE id = $1",
    );
    CLEAR_NOTICE: () = Statement::update(
        "approvals",
        "marking the requester as notified",
        "UPDATE approvals SET notice_due = false WHERE id = $1 AND notice_due",
    );
    DUE: Scalar<Uuid> = Statement::select(
        "approvals",
        "finding due approvals",
        "SELECT id FROM approvals
         WHERE notice_due OR status = 'executing' OR (status IN ('pending', 'approved') AND expires_at <= $1)
            OR (status = 'approved' AND NOT EXISTS (SELECT FROM plant_mode WHERE mode <> 'normal'))
         ORDER BY (status = 'executing'), (status = 'approved'), created_at, id LIMIT $2",
    );
    /// Requests of a tenant are stored one after the other, so that none is counted too late.
    LOCK_COUNT: () = Statement::call(
        "pg_advisory_xact_lock",
        "locking the number of pending approvals",
        "SELECT pg_advisory_xact_lock(hashtextextended('pending approvals ' || app_tenant()::text, 0))",
    );
    COUNT_PENDING: PendingRow = Statement::select(
        "approvals",
        "counting pending approvals",
        "SELECT count(*) AS tenant, count(*) FILTER (WHERE requested_by = $1) AS requester
         FROM approvals WHERE status = 'pending'",
    );
    LOCK_PENDING: Scalar<Uuid> = Statement::select(
        "approvals",
        "locking the pending approvals of a tool",
        "SELECT id FROM approvals WHERE tool = $1 AND status = 'pending' ORDER BY id FOR UPDATE",
    );
    POLICY: PolicyRow = Statement::select(
        "approval_policies",
        "reading an approval policy",
        concat!("SELECT ", policy_columns!(), " FROM approval_policies WHERE tool = $1 FOR SHARE"),
    );
    POLICY_TO_CHANGE: PolicyRow = Statement::select(
        "approval_policies",
        "reading an approval policy",
        concat!("SELECT ", policy_columns!(), " FROM approval_policies WHERE tool = $1 FOR UPDATE"),
    );
    PUT_POLICY: PolicyRow = Statement::insert(
        "approval_policies",
        "storing an approval policy",
        concat!(
            "INSERT INTO approval_policies AS known (tenant_id, tool, version, terms, updated_by, updated_at)
             VALUES (app_tenant(), $1, 1, $2, $3, $4)
             ON CONFLICT (tenant_id, tool) DO UPDATE
             SET version = known.version + 1, terms = excluded.terms, updated_by = excluded.updated_by,
                 updated_at = excluded.updated_at
             RETURNING ",
            policy_columns!()
        ),
    );
}

#[async_trait]
impl ApprovalRepo for PgTenantTx {
    async fn insert(&mut self, approval: &Approval) -> Result<(), StoreError> {
        let terms = &approval.terms;
        INSERT
            .query()
            .bind(approval.id.as_uuid())
            .bind(&approval.tool)
            .bind(i32::try_from(approval.tool_version).unwrap_or(i32::MAX))
            .bind(&approval.target)
            .bind(&approval.arguments)
            .bind(&approval.preview)
            .bind(&approval.digest)
            .bind(&approval.reason)
            .bind(approval.requested_by.as_uuid())
            .bind(approval.conversation.map(|conversation| conversation.as_uuid()))
            .bind(approval.policy_version)
            .bind(Json(terms))
            .bind(uuids(&terms.approvers))
            .bind(terms.allows_any_approver)
            .bind(uuids(&terms.escalate_to))
            .bind(approval.expires_at)
            .bind(approval.created_at)
            .execute(self.connection())
            .await
    }

    async fn get(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn lock(&mut self, id: ApprovalId) -> Result<Option<Approval>, StoreError> {
        if LOCK.query().bind(id.as_uuid()).optional_scalar(self.connection()).await?.is_none() {
            return Ok(None);
        }
        GET.query().bind(id.as_uuid()).fetch_optional(self.connection()).await
    }

    async fn list(
        &mut self,
        filter: &ApprovalFilter,
        reader: ApprovalReader,
        page: &PageRequest,
    ) -> Result<Page<Approval>, StoreError> {
        let keyset = KeysetParams::new(page);
        let rows = LIST
            .query()
            .bind(keyset.created_at)
            .bind(keyset.id)
            .bind(keyset.limit)
            .bind(filter.status.map(ApprovalStatus::as_str))
            .bind(filter.role.map(ApprovalRole::as_str))
            .bind(reader.user.as_uuid())
            .bind(reader.can_decide_all)
            .bind(reader.can_read_all)
            .fetch_all(self.connection())
            .await?;
        Ok(Page::from_rows(rows, page, |row: &Approval| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn insert_decision(&mut self, id: ApprovalId, decision: &ApprovalDecision) -> Result<bool, StoreError> {
        let insert = INSERT_DECISION
            .query()
            .bind(id.as_uuid())
            .bind(decision.by.as_uuid())
            .bind(decision.verdict.as_str())
            .bind(&decision.comment)
            .bind(decision.at);
        Ok(insert.rows_affected(self.connection()).await? > 0)
    }

    async fn transition(
        &mut self,
        id: ApprovalId,
        transition: &StatusTransition,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let update = TRANSITION
            .query()
            .bind(id.as_uuid())
            .bind(transition.from.as_str())
            .bind(transition.to.as_str())
            .bind(&transition.result)
            .bind(transition.error.as_ref().map(Json))
            .bind(transition.notify)
            .bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn escalate(&mut self, id: ApprovalId, expires_at: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let update = ESCALATE.query().bind(id.as_uuid()).bind(expires_at).bind(now);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn count_write_attempt(&mut self, id: ApprovalId, earlier: u32) -> Result<bool, StoreError> {
        let earlier = i16::try_from(earlier).unwrap_or(i16::MAX);
        let update = COUNT_WRITE_ATTEMPT.query().bind(id.as_uuid()).bind(earlier);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn count_write_answer(&mut self, id: ApprovalId, begun: u32) -> Result<bool, StoreError> {
        let begun = i16::try_from(begun).unwrap_or(i16::MAX);
        let update = COUNT_WRITE_ANSWER.query().bind(id.as_uuid()).bind(begun);
        Ok(update.rows_affected(self.connection()).await? > 0)
    }

    async fn write_attempts(&mut self, id: ApprovalId) -> Result<WriteAttempts, StoreError> {
        let attempts = WRITE_ATTEMPTS.query().bind(id.as_uuid()).fetch_optional(self.connection()).await?;
        Ok(attempts.unwrap_or_default())
    }

    async fn clear_notice(&mut self, id: ApprovalId) -> Result<bool, StoreError> {
        Ok(CLEAR_NOTICE.query().bind(id.as_uuid()).rows_affected(self.connection()).await? > 0)
    }

    async fn due(&mut self, now: Timestamp, limit: u32) -> Result<Vec<ApprovalId>, StoreError> {
        let ids = DUE.query().bind(now).bind(i64::from(limit)).scalars(self.connection()).await?;
        Ok(ids.into_iter().map(ApprovalId::from_uuid).collect())
    }

    async fn lock_and_count_pending(&mut self, requester: UserId) -> Result<PendingCounts, StoreError> {
        LOCK_COUNT.query().execute(self.connection()).await?;
        COUNT_PENDING.query().bind(requester.as_uuid()).fetch_one(self.connection()).await
    }

    async fn lock_pending(&mut self, tool: &str) -> Result<Vec<ApprovalId>, StoreError> {
        let ids = LOCK_PENDING.query().bind(tool).scalars(self.connection()).await?;
        Ok(ids.into_iter().map(ApprovalId::from_uuid).collect())
    }

    async fn policy(&mut self, tool: &str) -> Result<Option<ApprovalPolicy>, StoreError> {
        POLICY.query().bind(tool).fetch_optional(self.connection()).await
    }

    async fn policy_to_change(&mut self, tool: &str) -> Result<Option<ApprovalPolicy>, StoreError> {
        POLICY_TO_CHANGE.query().bind(tool).fetch_optional(self.connection()).await
    }

    async fn put_policy(
        &mut self,
        tool: &str,
        terms: &PolicyTerms,
        by: Option<UserId>,
        now: Timestamp,
    ) -> Result<ApprovalPolicy, StoreError> {
        let put = PUT_POLICY.query().bind(tool).bind(Json(terms)).bind(by.map(|by| by.as_uuid())).bind(now);
        put.fetch_one(self.connection()).await
    }
}

fn uuids(users: &[UserId]) -> Vec<Uuid> {
    users.iter().map(UserId::as_uuid).collect()
}

impl From<PolicyRow> for ApprovalPolicy {
    fn from(row: PolicyRow) -> Self {
        Self { tool: row.tool, version: row.version, terms: row.terms.0, updated_at: Some(row.updated_at) }
    }
}
