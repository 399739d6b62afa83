//! Whether an upload may still go on: the rights of whoever sends it, the tenant's room, the time.
//!
//! The gate decides before the first byte, and a body may take minutes. So the rules are asked again while it comes and in
//! the transaction that records it, and it has an end.

use super::service::IngestWork;
use crate::error::IngestError;
use domain::authorized::Permit;
use domain::ids::{DocumentId, UserId};
use domain::ports::TenantTx;
use domain::rights::{Permission, Reach, Rights};
use domain::role::{Operation, Resource};
use domain::upload::FieldError;
use std::time::Duration;

/// How often it is looked whether a running upload may go on.
const EVERY: Duration = Duration::from_secs(5);
/// What recording may take beyond the time of an upload.
const TO_RECORD: Duration = Duration::from_secs(60);

const UPLOAD: Permission = Permission::new(Resource::Documents, Operation::Create);
const UPDATE: Permission = Permission::new(Resource::Documents, Operation::Update);

impl IngestWork {
    /// Waits for what a caller sends: not past the time of an upload, and not past its right to be sent.
    pub(super) async fn while_allowed<T>(
        &self,
        permit: &Permit,
        receiving: impl Future<Output = Result<T, IngestError>>,
    ) -> Result<T, IngestError> {
        let limit = self.settings.upload_limit;
        tokio::select! {
            received = receiving => received,
            refused = self.refused(permit) => Err(refused),
            () = tokio::time::sleep(limit) => Err(IngestError::TookTooLong { limit }),
        }
    }

    /// Returns once the upload may not go on, and why. A database that is down for a moment ends no upload: the next look
    /// tells.
    async fn refused(&self, permit: &Permit) -> IngestError {
        loop {
            tokio::time::sleep(EVERY).await;
            let looked = async {
                let mut tx = self.ports.store.begin(permit.scope()).await?;
                self.still_allowed(&mut *tx, permit).await
            };
            match looked.await {
                Ok(_) => {}
                Err(IngestError::Store(error)) => {
                    tracing::warn!(request_id = %permit.scope().request(), %error, "an upload's user cannot be read");
                }
                Err(refused) => return refused,
            }
        }
    }

    /// What remains of the uploader's rights as `tx` reads them, where they still allow uploads.
    pub(super) async fn still_allowed(&self, tx: &mut dyn TenantTx, permit: &Permit) -> Result<Rights, IngestError> {
        let user = permit.scope().user().ok_or(IngestError::NoUser)?;
        let membership = tx.users().membership(user).await?;
        let rights = self.ports.rules.remaining(permit, membership.as_ref());
        let rights = rights.map_err(|code| IngestError::Refused { code })?;
        if rights.allow(UPLOAD) { Ok(rights) } else { Err(IngestError::NoLongerAllowed) }
    }

    /// Whether there is time left to record an upload, by the clock: a process that slept has no other way to know.
    pub(super) fn in_time(&self, permit: &Permit) -> Result<(), IngestError> {
        let limit = self.settings.upload_limit;
        let taken = (self.ports.clock.now() - permit.receipt().at()).to_std().unwrap_or_default();
        if taken > limit + TO_RECORD { Err(IngestError::TookTooLong { limit }) } else { Ok(()) }
    }

    /// How many bytes the tenant has room for; none where it keeps as many documents as it may.
    pub(super) async fn room(&self, permit: &Permit, user: UserId) -> Result<u64, IngestError> {
        let mut tx = self.ports.store.begin(permit.scope()).await?;
        let member = tx.users().membership(user).await?;
        let quotas = member.map(|member| member.settings.quotas).unwrap_or_default();
        Ok(quotas.room(tx.usage().storage().await?))
    }

    /// Whether the caller may put a new document in the place of `old`: that changes what everybody finds, so it takes
    /// what changing `old` itself would take.
    pub(super) async fn may_supersede(
        &self,
        tx: &mut dyn TenantTx,
        (permit, rights): (&Permit, &Rights),
        old: DocumentId,
    ) -> Result<(), IngestError> {
        let refused = |detail: &str| FieldError { pointer: "/supersedes".to_owned(), detail: detail.to_owned() };
        let Some(old) = tx.documents().get(old, rights.clearance()).await? else {
            return Err(refused("is no document that you can see").into());
        };
        let is_own = permit.scope().user() == Some(old.uploaded_by);
        if rights.reach(UPDATE) < Some(if is_own { Reach::Own } else { Reach::Tenant }) {
            return Err(IngestError::NotYours);
        }
        if old.superseded_by.is_some() {
            return Err(refused("is superseded already; name the revision that took its place").into());
        }
        Ok(())
    }
}
