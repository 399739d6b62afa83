//! Deletes the content of teams that were deleted some days ago.
//!
//! Every step can be repeated, so nothing is lost but time if it is interrupted, and two processes may do it at once.
//! The team's row goes last; while it is there, the worker finds the team again.

use super::invitations::delivery_scope;
use crate::error::RuntimeError;
use domain::audit::{AuditedOperation, EventType, Outcome, ResultStatus};
use domain::conversation::ConversationFilter;
use domain::document::DocumentFilter;
use domain::ids::{AuditId, TeamId};
use domain::page::PageRequest;
use domain::ports::{BlobStore, Clock, IdGen, Store, TenantTx};
use domain::role::{Classification, Resource};
use domain::scope::TenantScope;
use serde_json::json;
use std::sync::Arc;

/// Deletes the content of deleted teams.
#[derive(Clone)]
pub struct TeamPurge {
    store: Arc<dyn Store>,
    blobs: Arc<dyn BlobStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGen>,
}

impl TeamPurge {
    /// Creates the purge. The documents' files are in `blobs`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, blobs: Arc<dyn BlobStore>, clock: Arc<dyn Clock>, ids: Arc<dyn IdGen>) -> Self {
        Self { store, blobs, clock, ids }
    }

    /// Deletes the content of the team in whose space `scope` is, and the team. The audit log of its tenant says how
    /// much that was.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn purge(&self, scope: &TenantScope) -> Result<(), RuntimeError> {
        let Some(team) = scope.team() else { return Ok(()) };
        let documents = self.delete_documents(scope, team).await?;
        let conversations = self.delete_conversations(scope, team).await?;
        self.void_received_invitations(scope, team).await?;
        let operation = AuditedOperation {
            event: EventType::TEAM_PURGED,
            resource: Some(Resource::Teams),
            resource_id: Some(team.as_uuid()),
            conversation_id: None,
            request_hash: None,
            metadata: json!({ "documents": documents, "conversations": conversations }),
        };
        let outcome = Outcome { operation, status: ResultStatus::Success, model: None, tools_used: Vec::new() };
        let Some(mut tx) = self.begin_expired(&scope.at_home(), team).await? else { return Ok(()) };
        if tx.teams().delete(team).await? {
            tx.audit().record_event(AuditId::from_uuid(self.ids.uuid()), &outcome, self.clock.now()).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Voids what leads the guests to the team, each in the guest's own tenant.
    async fn void_received_invitations(&self, scope: &TenantScope, team: TeamId) -> Result<(), RuntimeError> {
        let Some(mut tx) = self.begin_expired(scope, team).await? else { return Ok(()) };
        let members = tx.teams().members(team).await?;
        drop(tx);
        for member in members {
            let Some(home) = member.guest_of else { continue };
            let mut tx = self.store.begin(&delivery_scope(scope, home)).await?;
            tx.teams().void_received_invitations(team, member.user).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Begins a transaction that locks the team, so that nobody restores it meanwhile. `None` if it was restored, or is
    /// deleted already: then nothing of it may go.
    async fn begin_expired(
        &self,
        scope: &TenantScope,
        team: TeamId,
    ) -> Result<Option<Box<dyn TenantTx>>, RuntimeError> {
        let mut tx = self.store.begin(scope).await?;
        let settings = tx.users().tenant_settings().await?.teams;
        let is_locked = tx.teams().lock_expired(team, settings.expired_since(self.clock.now())).await?;
        Ok(is_locked.then_some(tx))
    }

    /// Deletes all documents, page by page, and then their files. Returns how many there were.
    async fn delete_documents(&self, scope: &TenantScope, team: TeamId) -> Result<usize, RuntimeError> {
        let mut deleted = 0;
        loop {
            let Some(mut tx) = self.begin_expired(scope, team).await? else { return Ok(deleted) };
            let page = PageRequest::default();
            let page = tx.documents().list(&DocumentFilter::default(), Classification::Restricted, &page).await?;
            if page.items.is_empty() {
                return Ok(deleted);
            }
            for document in &page.items {
                tx.documents().delete(document.id).await?;
            }
            tx.commit().await?;
            deleted += page.items.len();
            for document in &page.items {
                // Without the row nobody can reach the file, so a file that could not be removed only wastes space.
                if let Err(error) = self.blobs.delete(scope.tenant(), &document.storage_path).await {
                    tracing::warn!(document_id = %document.id, %error, "failed to remove the file of a deleted team");
                }
            }
        }
    }

    /// Deletes all conversations, page by page. Returns how many there were.
    async fn delete_conversations(&self, scope: &TenantScope, team: TeamId) -> Result<usize, RuntimeError> {
        let mut deleted = 0;
        loop {
            let Some(mut tx) = self.begin_expired(scope, team).await? else { return Ok(deleted) };
            let (filter, page) = (ConversationFilter { archived: None, text: None }, PageRequest::default());
            let page = tx.conversations().list(&filter, Classification::Restricted, &page).await?;
            if page.items.is_empty() {
                return Ok(deleted);
            }
            for conversation in &page.items {
                tx.conversations().delete(conversation.id).await?;
            }
            tx.commit().await?;
            deleted += page.items.len();
        }
    }
}
