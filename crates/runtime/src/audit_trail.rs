//! The audit log, read: a tenant's for admins and auditors, one's own rows for everybody else.

use crate::error::RuntimeError;
use crate::services::AuditTrail;
use async_trait::async_trait;
use domain::audit::{AuditRecord, ResultStatus};
use domain::authorized::Authorized;
use domain::command::{ListAudit, ReadDecision};
use domain::page::Page;
use domain::ports::AuditReader;
use domain::role::{Grant, Role};
use std::sync::Arc;

/// The audit use case over the reader, which has a database role of its own.
pub struct AuditTrailService {
    reader: Arc<dyn AuditReader>,
}

impl AuditTrailService {
    /// Over the reader.
    #[must_use]
    pub fn new(reader: Arc<dyn AuditReader>) -> Self {
        Self { reader }
    }
}

#[async_trait]
impl AuditTrail for AuditTrailService {
    async fn list(&self, command: Authorized<ListAudit>) -> Result<Page<AuditRecord>, RuntimeError> {
        let (permit, ListAudit { mut filter, page }) = command.into_parts();
        let standing = permit.standing();
        if standing.role != Role::Admin && !standing.has(Grant::Auditor) {
            let own = permit.scope().user();
            if filter.user_id.is_some() && filter.user_id != own {
                return Ok(Page { items: Vec::new(), next: None });
            }
            filter.user_id = own;
        }
        Ok(self.reader.read(permit.scope(), &filter, &page).await?)
    }

    async fn decision(&self, command: Authorized<ReadDecision>) -> Result<AuditRecord, RuntimeError> {
        let found = self.reader.get(command.scope(), command.command().id).await?;
        let refusal = found.filter(|row| row.result_status.as_deref() == Some(ResultStatus::Denied.as_str()));
        refusal.ok_or(RuntimeError::NotFound { what: "the decision" })
    }
}
