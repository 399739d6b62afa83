//! Use cases of the tenant's own glossary.

use crate::error::RuntimeError;
use crate::use_case::UseCase;
use async_trait::async_trait;
use domain::audit::Change;
use domain::authorized::Authorized;
use domain::command::{ExportGlossary, ImportGlossary, ReadGlossary, ReplaceGlossary};
use domain::glossary::{Concepts, GlossaryVersion};
use domain::ids::UserId;
use domain::ports::{Clock, Store, StoreError, TenantTx};
use domain::upload::FieldError;
use std::sync::Arc;

/// Maximum number of attempts at a change without an expected version, if concurrent changes conflict.
const MAX_ATTEMPTS: usize = 5;

/// Reads and changes tenants' glossaries.
pub struct GlossaryService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// A change of the glossary that is to be stored.
#[derive(Clone, Copy)]
struct Edit<'a> {
    concepts: &'a Concepts,
    /// Whether concepts that are not among `concepts` stay.
    keeps_others: bool,
    /// Version that the change applies to; `None` for any version.
    expected: Option<i64>,
    by: Option<UserId>,
}

impl GlossaryService {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    async fn store_next(&self, tx: &mut dyn TenantTx, edit: Edit<'_>) -> Result<Change<GlossaryVersion>, RuntimeError> {
        for _ in 0..MAX_ATTEMPTS {
            let before = current(tx).await?;
            if edit.expected.is_some_and(|expected| expected != before.version) {
                break;
            }
            let concepts = if edit.keeps_others {
                let at = |cause: FieldError| FieldError { pointer: format!("/concepts{}", cause.pointer), ..cause };
                before.concepts.with_imported(edit.concepts).map_err(at)?
            } else {
                edit.concepts.clone()
            };
            let (version, changed_at) = (before.version + 1, Some(self.clock.now()));
            let after = GlossaryVersion { version, concepts, changed_by: edit.by, changed_at };
            if tx.glossary().insert(&after).await? {
                return Ok(Change { before, after });
            }
        }
        Err(RuntimeError::StaleVersion)
    }
}

/// The version in use; an empty one if none was ever stored.
async fn current(tx: &mut dyn TenantTx) -> Result<GlossaryVersion, StoreError> {
    Ok(tx.glossary().get(None).await?.unwrap_or_default())
}

#[async_trait]
impl UseCase<ReadGlossary> for GlossaryService {
    async fn execute(&self, command: Authorized<ReadGlossary>) -> Result<GlossaryVersion, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let found = match command.command().version {
            None => current(&mut *tx).await?,
            Some(version) => {
                let found = tx.glossary().get(Some(version)).await?;
                found.ok_or(RuntimeError::NotFound { target: "the version of the glossary" })?
            }
        };
        tx.defer_commit();
        Ok(found)
    }
}

#[async_trait]
impl UseCase<ReplaceGlossary> for GlossaryService {
    async fn execute(&self, command: Authorized<ReplaceGlossary>) -> Result<Change<GlossaryVersion>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let ReplaceGlossary { concepts, expected } = command.command();
        let edit = Edit { concepts, keeps_others: false, expected: *expected, by: command.scope().user() };
        let change = self.store_next(&mut *tx, edit).await?;
        tx.defer_commit();
        Ok(change)
    }
}

#[async_trait]
impl UseCase<ImportGlossary> for GlossaryService {
    async fn execute(&self, command: Authorized<ImportGlossary>) -> Result<Change<GlossaryVersion>, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let ImportGlossary { concepts, expected } = command.command();
        let edit = Edit { concepts, keeps_others: true, expected: *expected, by: command.scope().user() };
        let change = self.store_next(&mut *tx, edit).await?;
        tx.defer_commit();
        Ok(change)
    }
}

#[async_trait]
impl UseCase<ExportGlossary> for GlossaryService {
    async fn execute(&self, command: Authorized<ExportGlossary>) -> Result<GlossaryVersion, RuntimeError> {
        let mut tx = command.begin(&*self.store).await?;
        let found = current(&mut *tx).await?;
        tx.defer_commit();
        Ok(found)
    }
}
