//! Reads the audit log. Admins and auditors see all rows of their tenant, other users see their own.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::chain::{ChainPage, ChainPageEntry, ChainPages};
use domain::audit::{AuditRecord, ResultStatus};
use domain::authorized::Authorized;
use domain::command::{ExportAudit, ListAudit, ReadDecision};
use domain::page::Page;
use domain::ports::AuditReader;
use futures::StreamExt as _;
use std::sync::Arc;

/// Number of sealed rows per page of an export.
const PAGE_SIZE: u32 = 500;

/// Use cases for the audit log. The reader connects with a separate database role.
pub struct AuditTrailService {
    reader: Arc<dyn AuditReader>,
}

impl AuditTrailService {
    /// Creates the service.
    #[must_use]
    pub fn new(reader: Arc<dyn AuditReader>) -> Self {
        Self { reader }
    }
}

/// Returns the cursor of the next page, or `None` after the last page.
fn next_cursor(page: &ChainPage) -> Option<i64> {
    page.entries.last().filter(|_| page.has_more).map(ChainPageEntry::seq)
}

#[async_trait]
impl UseCase<ListAudit> for AuditTrailService {
    async fn execute(&self, command: Authorized<ListAudit>) -> Result<Page<AuditRecord>, RuntimeError> {
        let (permit, ListAudit { mut filter, page }) = command.into_parts();
        if !permit.covers_tenant() {
            let caller = permit.scope().user();
            if filter.user_id.is_some() && filter.user_id != caller {
                return Ok(Page { items: Vec::new(), next: None });
            }
            filter.user_id = caller;
        }
        Ok(self.reader.read(permit.scope(), &filter, &page).await?)
    }
}

#[async_trait]
impl UseCase<ExportAudit> for AuditTrailService {
    async fn execute(&self, command: Authorized<ExportAudit>) -> Result<ChainPages, RuntimeError> {
        let (permit, ExportAudit { after }) = command.into_parts();
        let (reader, scope) = (Arc::clone(&self.reader), permit.scope().clone());
        // The first page is read here, so that an early failure becomes a response and not an interrupted stream.
        let first_page = reader.chain_page(&scope, after, PAGE_SIZE).await?;
        let later_pages = futures::stream::try_unfold(next_cursor(&first_page), move |cursor| {
            let (reader, scope) = (Arc::clone(&reader), scope.clone());
            async move {
                let Some(cursor) = cursor else { return Ok(None) };
                let page = reader.chain_page(&scope, cursor, PAGE_SIZE).await?;
                let next = next_cursor(&page);
                Ok(Some((page, next)))
            }
        });
        Ok(futures::stream::iter([Ok(first_page)]).chain(later_pages).boxed())
    }
}

#[async_trait]
impl UseCase<ReadDecision> for AuditTrailService {
    async fn execute(&self, command: Authorized<ReadDecision>) -> Result<AuditRecord, RuntimeError> {
        let found = self.reader.get(command.scope(), command.command().id).await?;
        let refusal = found.filter(|row| row.result_status.as_deref() == Some(ResultStatus::Denied.as_str()));
        refusal.ok_or(RuntimeError::NotFound { target: "the decision" })
    }
}
