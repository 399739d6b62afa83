//! Checks whether an upload may continue: the user's rights, the tenant's quota, the time limit.
//!
//! The policy gate decides before the first byte, but an upload may take minutes. So the rights are checked again while
//! the body arrives, and once more in the transaction that inserts the document.

use super::inner::IngestInner;
use crate::error::IngestError;
use domain::authorized::Permit;
use domain::ids::{DocumentId, UserId};
use domain::ports::TenantTx;
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Operation, Resource};
use domain::space::current_membership;
use domain::upload::FieldError;
use std::time::Duration;

/// Interval between two checks of the rights during an upload.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Time allowed for the database transaction, in addition to the time limit of the upload.
const RECORDING_TIME: Duration = Duration::from_secs(60);

const UPLOAD: Permission = Permission::new(Resource::Documents, Operation::Create);
const UPDATE: Permission = Permission::new(Resource::Documents, Operation::Update);

impl IngestInner {
    /// Awaits `receiving`; aborts it with an error at the time limit, or when the user loses the right to upload.
    pub(super) async fn receive_while_allowed<T>(
        &self,
        permit: &Permit,
        receiving: impl Future<Output = Result<T, IngestError>>,
    ) -> Result<T, IngestError> {
        let limit = self.settings.upload_timeout;
        tokio::select! {
            received = receiving => received,
            refused = self.until_refused(permit) => Err(refused),
            () = tokio::time::sleep(limit) => Err(IngestError::TimedOut { limit }),
        }
    }

    /// Checks the user's rights periodically and returns the error once they no longer include uploads. A database
    /// error is logged and does not end the upload.
    async fn until_refused(&self, permit: &Permit) -> IngestError {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let check = async {
                let mut tx = self.ports.store.begin(permit.scope()).await?;
                self.current_rights(&mut *tx, permit).await
            };
            match check.await {
                Ok(_) => {}
                Err(IngestError::Store(error)) => {
                    let request_id = permit.scope().request();
                    tracing::warn!(%request_id, %error, "an upload's user could not be loaded");
                }
                Err(refused) => return refused,
            }
        }
    }

    /// Reads the uploader's current rights in `tx`; an error if they no longer include uploads.
    pub(super) async fn current_rights(&self, tx: &mut dyn TenantTx, permit: &Permit) -> Result<Rights, IngestError> {
        permit.scope().user().ok_or(IngestError::NoUser)?;
        let membership = current_membership(&*self.ports.store, tx, permit.scope()).await?;
        let rights = self.ports.rules.remaining_rights(permit, membership.as_ref());
        let rights = rights.map_err(|code| IngestError::Refused { code })?;
        if rights.allows(UPLOAD) { Ok(rights) } else { Err(IngestError::PermissionLost) }
    }

    /// Checks the time limit by the wall clock, in case the process or the machine was suspended during the upload.
    pub(super) fn check_deadline(&self, permit: &Permit) -> Result<(), IngestError> {
        let limit = self.settings.upload_timeout;
        let elapsed = (self.ports.clock.now() - permit.receipt().recorded_at()).to_std().unwrap_or_default();
        if elapsed > limit + RECORDING_TIME { Err(IngestError::TimedOut { limit }) } else { Ok(()) }
    }

    /// Number of bytes that the tenant may still store; 0 if its quota of documents is reached.
    pub(super) async fn remaining_quota(&self, permit: &Permit, user: UserId) -> Result<u64, IngestError> {
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let member = tx.users().membership(user).await?;
        let quotas = member.map(|member| member.settings.quotas).unwrap_or_default();
        Ok(quotas.max_new_document_bytes(tx.usage().storage_usage().await?))
    }

    /// Checks that the caller may supersede `old`. Superseding hides `old` from everybody's searches, so it requires
    /// the same rights as updating it.
    pub(super) async fn check_supersede(
        &self,
        tx: &mut dyn TenantTx,
        permit: &Permit,
        rights: &Rights,
        old: DocumentId,
    ) -> Result<(), IngestError> {
        let field_error = |detail: &str| FieldError { pointer: "/supersedes".to_owned(), detail: detail.to_owned() };
        let Some(old) = tx.documents().get(old, rights.clearance()).await? else {
            return Err(field_error("is not a document that you can see").into());
        };
        let is_own = permit.scope().user() == Some(old.uploaded_by);
        if rights.reach(UPDATE) < Some(if is_own { Reach::Own } else { Reach::Tenant }) {
            return Err(IngestError::NotUploader);
        }
        if old.superseded_by.is_some() {
            return Err(field_error("is superseded already; name the revision that replaced it").into());
        }
        Ok(())
    }
}
