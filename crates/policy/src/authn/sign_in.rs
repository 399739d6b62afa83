//! The first use of a token: verify it, find its tenant, provision or update its user, record the login.

use super::sessions::{Belongs, Session};
use super::verify::{Verified, verify};
use super::{Authenticator, Kept, system_scope, user_scope};
use crate::error::GateError;
use domain::audit::{EventType, ResultStatus};
use domain::decision::RefusalCode;
use domain::ids::{RequestId, TenantId, UserId};
use domain::ports::{Directory, StoreError};
use domain::tenant::Tenant;
use domain::user::{Identity, Membership};
use serde_json::json;
use std::sync::Arc;

impl Authenticator {
    pub(super) async fn first_use(&self, token: &str, hash: &str, request: &RequestId) -> Result<Session, GateError> {
        // Before the verification: what is renewed while that runs counts as not seen.
        let renewals = self.renewals();
        let verified = match verify(token, &self.issuers, self.clock.now()).await {
            Ok(verified) => verified,
            Err(refusal) => return Err(self.refuse_token(refusal, request).await),
        };
        let Some((tenant, belongs)) = tenant_named_by(&verified, &*self.directory).await.map_err(GateError::Store)?
        else {
            return Err(self.refuse(TenantId::PLATFORM, None, RefusalCode::TenantUnmapped, request).await);
        };
        let of_tenant = &tenant.settings.role_mappings;
        let suspended = (!tenant.is_active).then_some(RefusalCode::TenantSuspended);
        if let Some(code) = suspended.or_else(|| verified.no_entry(of_tenant)) {
            return Err(self.refuse(tenant.id, None, code, request).await);
        }
        let identity = Identity { role: verified.role(of_tenant), ..verified.identity.clone() };
        let signed_in = self.sign_in(tenant.id, (&identity, &verified), hash, request).await;
        let member = self.admit(hash, &tenant, signed_in.map_err(GateError::Store)?, request).await?;
        Ok(self.keep(
            hash,
            Kept {
                tenant,
                belongs,
                credential: Arc::new(verified.credential()),
                expires_at: verified.valid_until,
                renewals,
            },
            member,
        ))
    }

    /// Provisions or updates the user, and records the login if this token is new and the user switched on.
    async fn sign_in(
        &self,
        tenant: TenantId,
        (identity, verified): (&Identity, &Verified),
        hash: &str,
        request: &RequestId,
    ) -> Result<Option<Membership>, StoreError> {
        let now = self.clock.now();
        let new_id = UserId::from_uuid(self.ids.uuid());
        let mut tx = self.store.begin(&system_scope(tenant, request.clone())).await?;
        // Only a new token says what the user is now: one that was seen before, here or in another process, must not
        // undo what an admin has changed since.
        let user = match tx.users().user_of_token(hash).await? {
            Some(known) => known,
            None => tx.users().sign_in(new_id, identity, now).await?.id,
        };
        tx.commit().await?;

        let mut tx = self.store.begin(&user_scope(tenant, user, request.clone())).await?;
        let membership = tx.users().membership(user).await?;
        let is_on = membership.as_ref().is_some_and(|member| member.tenant_active && member.user.is_active);
        if is_on && tx.users().first_use_of_token(user, hash, verified.valid_until).await? {
            let metadata = json!({
                "issuer": identity.issuer, "token_id": verified.token_id, "client": verified.client(),
            });
            self.event(&mut *tx, EventType::AuthLogin, ResultStatus::Success, metadata).await?;
        }
        tx.commit().await?;
        Ok(membership)
    }

    /// The membership if user and tenant are switched on; otherwise the session ends.
    pub(super) async fn admit(
        &self,
        hash: &str,
        tenant: &Tenant,
        membership: Option<Membership>,
        request: &RequestId,
    ) -> Result<Membership, GateError> {
        let user = membership.as_ref().map(|member| member.user.id);
        let code = match membership {
            Some(member) if member.tenant_active && tenant.is_active && member.user.is_active => return Ok(member),
            Some(member) if member.user.is_active => RefusalCode::TenantSuspended,
            _ => RefusalCode::UserDisabled,
        };
        self.sessions.forget(hash);
        Err(self.refuse(tenant.id, user, code, request).await)
    }
}

/// The tenant that a verified token leads to: by the configuration, and where that says nothing by a mapping in the
/// database.
///
/// # Errors
/// Where the database is not available.
pub async fn tenant_named_by(
    verified: &Verified,
    directory: &dyn Directory,
) -> Result<Option<(Tenant, Belongs)>, StoreError> {
    let Some(claim) = verified.tenant_claim() else { return Ok(None) };
    if let Some(id_or_slug) = verified.issuer.tenants.tenant(&claim) {
        let tenant = directory.tenant(id_or_slug).await?;
        return Ok(tenant.map(|tenant| (tenant, Belongs::Configured)));
    }
    let issuer = verified.identity.issuer.clone();
    let tenant = directory.mapped_tenant(&issuer, &claim).await?;
    Ok(tenant.map(|tenant| (tenant, Belongs::Mapped { issuer, claim })))
}
