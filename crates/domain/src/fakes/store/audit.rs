//! The audit log in memory.

use super::{MemoryStore, MemoryTx, page_of};
use crate::audit::{AuditFilter, AuditRecord, AuditSubject, Outcome, ResultStatus};
use crate::authorized::AuditReceipt;
use crate::ids::AuditId;
use crate::page::{Page, PageKey, PageRequest};
use crate::ports::{AuditReader, AuditRepo, StoreError};
use crate::scope::TenantScope;
use crate::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
impl AuditRepo for MemoryTx {
    async fn intent(
        &mut self,
        id: AuditId,
        subject: &AuditSubject,
        now: Timestamp,
    ) -> Result<AuditReceipt, StoreError> {
        let row = record(&self.scope, id, subject, now);
        self.write().await?.audit.push(row);
        #[expect(clippy::disallowed_methods, reason = "the row is inserted: the fake's one place that may say so")]
        Ok(AuditReceipt::mint(id, now))
    }

    async fn outcome(
        &mut self,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let elapsed = (now - receipt.at()).num_milliseconds();
        let row = AuditRecord {
            event_type: outcome.subject.event.outcome().to_string(),
            correlation_id: receipt.intent().as_uuid(),
            latency_ms: Some(i32::try_from(elapsed).unwrap_or(i32::MAX)),
            ..ended(&self.scope, id, outcome, now)
        };
        self.write().await?.audit.push(row);
        Ok(())
    }

    async fn event(&mut self, id: AuditId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        let row = ended(&self.scope, id, outcome, now);
        self.write().await?.audit.push(row);
        Ok(())
    }
}

#[async_trait]
impl AuditReader for MemoryStore {
    async fn read(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let passes = |row: &&AuditRecord| {
            row.tenant_id == scope.tenant()
                && filter.event_type.as_ref().is_none_or(|event| row.event_type == *event)
                && (filter.user_id.is_none() || row.user_id == filter.user_id)
                && (filter.resource_id.is_none() || row.resource_id == filter.resource_id)
                && filter.from.is_none_or(|from| row.created_at >= from)
                && filter.to.is_none_or(|to| row.created_at < to)
        };
        let rows = self.committed().audit.iter().filter(passes).cloned().collect();
        Ok(page_of(rows, page, |row: &AuditRecord| PageKey { at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError> {
        let wanted = |row: &&AuditRecord| row.tenant_id == scope.tenant() && row.id == id;
        Ok(self.committed().audit.iter().find(wanted).cloned())
    }
}

fn ended(scope: &TenantScope, id: AuditId, outcome: &Outcome, now: Timestamp) -> AuditRecord {
    AuditRecord {
        model: outcome.model.clone(),
        tools_used: outcome.tools_used.clone(),
        result_status: Some(outcome.status.to_string()),
        ..record(scope, id, &outcome.subject, now)
    }
}

/// An intent's row.
fn record(scope: &TenantScope, id: AuditId, subject: &AuditSubject, now: Timestamp) -> AuditRecord {
    AuditRecord {
        id,
        tenant_id: scope.tenant(),
        user_id: scope.user(),
        session_id: subject.session,
        event_type: subject.event.to_string(),
        resource_type: subject.resource.map(|resource| resource.to_string()),
        resource_id: subject.resource_id,
        model: None,
        tools_used: Vec::new(),
        request_hash: subject.request_hash.clone(),
        result_status: Some(ResultStatus::Pending.to_string()),
        latency_ms: None,
        correlation_id: id.as_uuid(),
        request_id: Some(scope.request().clone()),
        metadata: subject.metadata.clone(),
        created_at: now,
    }
}
