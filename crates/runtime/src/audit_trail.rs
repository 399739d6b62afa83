//! The audit log, read: a tenant's for admins and auditors, one's own rows for everybody else.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::sealed::{SealedEntry, SealedPage, SealedPages};
use domain::audit::{AuditRecord, ResultStatus};
use domain::authorized::Authorized;
use domain::command::{ExportAudit, ListAudit, ReadDecision};
use domain::page::Page;
use domain::ports::AuditReader;
use futures::StreamExt as _;
use std::sync::Arc;

/// Sealed rows that are read at a time.
const PAGE: u32 = 500;

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

/// Where the page after this one starts, if there is one.
fn next_place(page: &SealedPage) -> Option<i64> {
    page.entries.last().filter(|_| page.more).map(SealedEntry::seq)
}

#[async_trait]
impl UseCase<ListAudit> for AuditTrailService {
    async fn execute(&self, command: Authorized<ListAudit>) -> Result<Page<AuditRecord>, RuntimeError> {
        let (permit, ListAudit { mut filter, page }) = command.into_parts();
        if !permit.reaches_tenant() {
            let own = permit.scope().user();
            if filter.user_id.is_some() && filter.user_id != own {
                return Ok(Page { items: Vec::new(), next: None });
            }
            filter.user_id = own;
        }
        Ok(self.reader.read(permit.scope(), &filter, &page).await?)
    }
}

#[async_trait]
impl UseCase<ExportAudit> for AuditTrailService {
    async fn execute(&self, command: Authorized<ExportAudit>) -> Result<SealedPages, RuntimeError> {
        let (permit, ExportAudit { after }) = command.into_parts();
        let (reader, scope) = (Arc::clone(&self.reader), permit.scope().clone());
        // The first page now: what fails at once is an answer, not a stream that breaks off.
        let first = reader.sealed(&scope, after, PAGE).await?;
        let rest = next_place(&first);
        let rest = futures::stream::try_unfold(rest, move |from| {
            let (reader, scope) = (Arc::clone(&reader), scope.clone());
            async move {
                let Some(from) = from else { return Ok(None) };
                let page = reader.sealed(&scope, from, PAGE).await?;
                let next = next_place(&page);
                Ok(Some((page, next)))
            }
        });
        Ok(futures::stream::iter([Ok(first)]).chain(rest).boxed())
    }
}

#[async_trait]
impl UseCase<ReadDecision> for AuditTrailService {
    async fn execute(&self, command: Authorized<ReadDecision>) -> Result<AuditRecord, RuntimeError> {
        let found = self.reader.get(command.scope(), command.command().id).await?;
        let refusal = found.filter(|row| row.result_status.as_deref() == Some(ResultStatus::Denied.as_str()));
        refusal.ok_or(RuntimeError::NotFound { what: "the decision" })
    }
}
