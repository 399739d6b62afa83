//! The in-memory audit log.

use super::{InMemoryStore, InMemoryTx, page_of};
use async_trait::async_trait;
use domain::audit::chain::{AuditHash, ChainPage, ChainPageEntry, ChainedEvent, RowFormatVersion};
use domain::audit::{AuditFilter, AuditRecord, AuditedOperation, Outcome, ResultStatus};
use domain::authorized::AuditReceipt;
use domain::ids::{AuditId, TenantId};
use domain::page::{Page, PageKey, PageRequest};
use domain::ports::{AuditReader, AuditRepo, StoreError};
use domain::scope::TenantScope;
use domain::time::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

#[async_trait]
impl AuditRepo for InMemoryTx {
    async fn record_intent(
        &mut self,
        id: AuditId,
        operation: &AuditedOperation,
        now: Timestamp,
    ) -> Result<AuditReceipt, StoreError> {
        let row = intent_row(&self.scope, id, operation, now);
        self.write().await?.audit.push(row);
        #[expect(clippy::disallowed_methods, reason = "the fake's audit log issues the receipt after the insert")]
        Ok(AuditReceipt::mint(id, now))
    }

    async fn record_outcome(
        &mut self,
        id: AuditId,
        receipt: AuditReceipt,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let elapsed = (now - receipt.recorded_at()).num_milliseconds();
        let row = AuditRecord {
            phase: "outcome".to_owned(),
            event_type: outcome.operation.event.as_str().to_owned(),
            correlation_id: receipt.intent_id().as_uuid(),
            latency_ms: Some(i32::try_from(elapsed).unwrap_or(i32::MAX)),
            ..outcome_row(&self.scope, id, outcome, now)
        };
        let log = &mut self.write().await?.audit;
        let is_same_operation = |existing: &&AuditRecord| {
            existing.tenant_id == row.tenant_id && existing.correlation_id == row.correlation_id
        };
        let phases: Vec<_> = log.iter().filter(is_same_operation).map(|existing| existing.phase.as_str()).collect();
        if phases != ["intent"] {
            return Err(StoreError::Conflict { reason: "The operation already has an outcome." });
        }
        log.push(row);
        Ok(())
    }

    async fn record_event(&mut self, id: AuditId, outcome: &Outcome, now: Timestamp) -> Result<(), StoreError> {
        let row = AuditRecord { phase: "event".to_owned(), ..outcome_row(&self.scope, id, outcome, now) };
        self.write().await?.audit.push(row);
        Ok(())
    }

    async fn record_correlated_event(
        &mut self,
        id: AuditId,
        correlation: Uuid,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = outcome_row(&self.scope, id, outcome, now);
        let row = AuditRecord { phase: "event".to_owned(), correlation_id: correlation, ..event };
        self.write().await?.audit.push(row);
        Ok(())
    }
}

#[async_trait]
impl AuditReader for InMemoryStore {
    async fn read(
        &self,
        scope: &TenantScope,
        filter: &AuditFilter,
        page: &PageRequest,
    ) -> Result<Page<AuditRecord>, StoreError> {
        let matches_filter = |row: &&AuditRecord| {
            row.tenant_id == scope.tenant()
                && filter.event_type.as_ref().is_none_or(|event| row.event_type == *event)
                && (filter.user_id.is_none() || row.user_id == filter.user_id)
                && (filter.resource_id.is_none() || row.resource_id == filter.resource_id)
                && filter.from.is_none_or(|from| row.created_at >= from)
                && filter.to.is_none_or(|to| row.created_at < to)
                && filter.result_status.is_none_or(|status| row.result_status.as_deref() == Some(status.as_str()))
                && (filter.session_id.is_none() || row.session_id == filter.session_id)
                && (filter.conversation_id.is_none() || row.conversation_id == filter.conversation_id)
                && filter.correlation_id.is_none_or(|id| row.correlation_id == id)
                && filter.request_id.as_ref().is_none_or(|id| row.request_id.as_ref().is_some_and(|r| r.as_str() == id))
        };
        let rows = self.committed().audit.iter().filter(matches_filter).cloned().collect();
        Ok(page_of(rows, page, |row: &AuditRecord| PageKey { created_at: row.created_at, id: row.id.as_uuid() }))
    }

    async fn chain_page(&self, scope: &TenantScope, after: i64, limit: u32) -> Result<ChainPage, StoreError> {
        let chain = build_chain(&self.committed().audit, scope.tenant());
        let previous_hash = chain.iter().rfind(|event| event.seq <= after).map(|event| event.chain_hash);
        let later_events = chain.into_iter().filter(|event| event.seq > after);
        let mut entries: Vec<_> = later_events.map(|event| ChainPageEntry::Event(Box::new(event))).collect();
        let has_more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let previous_hash = previous_hash.unwrap_or_else(|| AuditHash::genesis(scope.tenant().as_uuid()));
        Ok(ChainPage { previous_hash, entries, checkpoints: Vec::new(), purges: Vec::new(), has_more })
    }

    async fn get(&self, scope: &TenantScope, id: AuditId) -> Result<Option<AuditRecord>, StoreError> {
        let is_match = |row: &&AuditRecord| row.tenant_id == scope.tenant() && row.id == id;
        Ok(self.committed().audit.iter().find(is_match).cloned())
    }
}

/// The hash chain of a tenant's committed rows, in commit order.
fn build_chain(rows: &[AuditRecord], tenant: TenantId) -> Vec<ChainedEvent> {
    let mut chain_hash = AuditHash::genesis(tenant.as_uuid());
    let mut chain = Vec::new();
    for (row, seq) in rows.iter().filter(|row| row.tenant_id == tenant).zip(1..) {
        let mut event = event_without_hashes(row, seq);
        event.row_hash = event.computed_hash();
        chain_hash = chain_hash.next(seq, event.created_at_micros(), &event.row_hash);
        event.chain_hash = chain_hash;
        chain.push(event);
    }
    chain
}

fn event_without_hashes(row: &AuditRecord, seq: i64) -> ChainedEvent {
    let placeholder_hash = AuditHash::digest(&[]);
    ChainedEvent {
        format_version: RowFormatVersion::WITH_SESSION,
        tenant_id: row.tenant_id.as_uuid(),
        seq,
        id: row.id.as_uuid(),
        created_at: row.created_at,
        event_type: row.event_type.clone(),
        phase: row.phase.clone(),
        result_status: row.result_status.clone(),
        user_id: row.user_id.map(|id| id.as_uuid()),
        session_id: row.session_id.map(|id| id.as_uuid()),
        conversation_id: row.conversation_id.map(|id| id.as_uuid()),
        resource_type: row.resource_type.clone(),
        resource_id: row.resource_id,
        model: row.model.clone(),
        tools_used: row.tools_used.clone(),
        request_hash: row.request_hash.clone(),
        latency_ms: row.latency_ms,
        correlation_id: row.correlation_id,
        request_id: row.request_id.as_ref().map(ToString::to_string),
        metadata: RawValue::from_string(row.metadata.to_string()).unwrap_or_default(),
        row_hash: placeholder_hash,
        chain_hash: placeholder_hash,
    }
}

fn outcome_row(scope: &TenantScope, id: AuditId, outcome: &Outcome, now: Timestamp) -> AuditRecord {
    AuditRecord {
        model: outcome.model.clone(),
        tools_used: outcome.tools_used.clone(),
        result_status: Some(outcome.status.to_string()),
        ..intent_row(scope, id, &outcome.operation, now)
    }
}

/// The row that records an intent.
fn intent_row(scope: &TenantScope, id: AuditId, operation: &AuditedOperation, now: Timestamp) -> AuditRecord {
    AuditRecord {
        id,
        tenant_id: scope.tenant(),
        user_id: scope.user(),
        session_id: scope.session(),
        conversation_id: operation.conversation_id,
        event_type: operation.event.as_str().to_owned(),
        resource_type: operation.resource.map(|resource| resource.to_string()),
        resource_id: operation.resource_id,
        model: None,
        tools_used: Vec::new(),
        request_hash: operation.request_hash.clone(),
        result_status: Some(ResultStatus::Pending.to_string()),
        latency_ms: None,
        correlation_id: id.as_uuid(),
        request_id: Some(scope.request().clone()),
        phase: "intent".to_owned(),
        metadata: operation.metadata.clone(),
        created_at: now,
    }
}
