//! Documents: upload, listing, reading, download, reprocessing and deletion.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::{Authorized, Permit};
use domain::command::{
    DeleteDocument, DownloadDocument, GetDocument, ListDocuments, ReprocessDocument, UpdateDocument, UploadDocument,
};
use domain::document::Document;
use domain::ids::DocumentId;
use domain::page::Page;
use domain::ports::{Clock, Store, StoreError, TenantTx};
use domain::rights::Permission;
use domain::role::{Operation, Resource};
use domain::scope::TenantScope;
use domain::upload::{Download, UploadOutcome};
use std::sync::Arc;
use tools::ingest::interface::Ingest;

/// Use cases for documents.
pub struct DocumentService {
    store: Arc<dyn Store>,
    ingest: Arc<dyn Ingest>,
    clock: Arc<dyn Clock>,
}

impl DocumentService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, ingest: Arc<dyn Ingest>, clock: Arc<dyn Clock>) -> Self {
        Self { store, ingest, clock }
    }

    /// Deletes the row. A worker that is ingesting the document locks job and document in the opposite order. If the
    /// database resolves such a deadlock by aborting the deletion, the deletion is retried.
    async fn delete_row(&self, scope: &TenantScope, id: DocumentId) -> Result<Document, RuntimeError> {
        let mut retries = 0;
        loop {
            let mut tx = self.store.begin(scope).await?;
            match tx.documents().delete(id).await {
                Ok(found) => {
                    let document = found.ok_or(NOT_FOUND)?;
                    tx.commit().await?;
                    return Ok(document);
                }
                Err(StoreError::Unavailable { .. }) if retries < MAX_RETRIES => retries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

async fn find_document(tx: &mut dyn TenantTx, permit: &Permit, id: DocumentId) -> Result<Document, RuntimeError> {
    tx.documents().get(id, permit.clearance()).await?.ok_or(NOT_FOUND)
}

const DECLASSIFY: Permission = Permission::new(Resource::Documents, Operation::Declassify);
/// Maximum number of retries of a deletion after a deadlock with a worker.
const MAX_RETRIES: u32 = 3;
const NOT_FOUND: RuntimeError = RuntimeError::NotFound { target: "the document" };

#[async_trait]
impl UseCase<UploadDocument> for DocumentService {
    async fn execute(&self, command: Authorized<UploadDocument>) -> Result<UploadOutcome, RuntimeError> {
        let (permit, command) = command.into_parts();
        Ok(self.ingest.accept(&permit, command.upload).await?)
    }
}

#[async_trait]
impl UseCase<ListDocuments> for DocumentService {
    async fn execute(&self, command: Authorized<ListDocuments>) -> Result<Page<Document>, RuntimeError> {
        let ListDocuments { filter, page, .. } = command.command();
        let mut tx = command.begin(&*self.store).await?;
        let page = tx.documents().list(filter, command.permit().clearance(), page).await?;
        tx.defer_commit();
        Ok(page)
    }
}

#[async_trait]
impl UseCase<GetDocument> for DocumentService {
    async fn execute(&self, command: Authorized<GetDocument>) -> Result<Document, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let document = find_document(&mut *tx, command.permit(), command.command().id).await?;
        tx.defer_commit();
        Ok(document)
    }
}

#[async_trait]
impl UseCase<UpdateDocument> for DocumentService {
    async fn execute(&self, command: Authorized<UpdateDocument>) -> Result<Change<Document>, RuntimeError> {
        let UpdateDocument { id, patch } = command.command();
        let permit = command.permit();
        let mut tx = command.begin(&*self.store).await?;
        let before = tx.documents().lock(*id, permit.clearance()).await?.ok_or(NOT_FOUND)?;
        // The gate's decision was based on the classification at that time, which may have changed since.
        let lowers_classification = patch.classification.is_some_and(|requested| requested < before.classification);
        if lowers_classification && !permit.rights().allows(DECLASSIFY) {
            return Err(RuntimeError::Conflict { detail: "The document's classification was raised in the meantime." });
        }
        let after = tx.documents().update(*id, patch, self.clock.now()).await?.ok_or(NOT_FOUND)?;
        tx.defer_commit();
        Ok(Change { before, after })
    }
}

#[async_trait]
impl UseCase<DownloadDocument> for DocumentService {
    async fn execute(&self, command: Authorized<DownloadDocument>) -> Result<Download, RuntimeError> {
        let DownloadDocument { id, range } = *command.command();
        let mut tx = command.begin(&*self.store).await?;
        let document = find_document(&mut *tx, command.permit(), id).await?;
        tx.commit().await?;
        let content = self.ingest.open(command.permit(), &document, range).await?;
        Ok(Download { document, content })
    }
}

#[async_trait]
impl UseCase<ReprocessDocument> for DocumentService {
    async fn execute(&self, command: Authorized<ReprocessDocument>) -> Result<Document, RuntimeError> {
        self.ingest.requeue(command.permit(), command.command().id).await?.ok_or(NOT_FOUND)
    }
}

#[async_trait]
impl UseCase<DeleteDocument> for DocumentService {
    async fn execute(&self, command: Authorized<DeleteDocument>) -> Result<(), RuntimeError> {
        let document = self.delete_row(command.scope(), command.command().id).await?;
        // Without the row nobody can reach the file, so a file that could not be removed only wastes space.
        if let Err(error) = self.ingest.discard(command.permit(), &document).await {
            tracing::warn!(document_id = %document.id, %error, "failed to remove the file of a deleted document");
        }
        Ok(())
    }
}
