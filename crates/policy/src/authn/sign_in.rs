//! The first use of a token: verify it, find its tenant, provision or update its user, record the login.

use super::entry;
use super::sessions::{Belongs, Session};
use super::settings::IssuerSettings;
use super::verify::{Verified, verify};
use super::{Authenticator, Kept, system_scope, user_scope};
use crate::caller::Origin;
use crate::error::GateError;
use domain::assigned_role::RoleIgnored;
use domain::audit::{EventType, ResultStatus};
use domain::decision::RefusalCode;
use domain::ids::{TenantId, UserId};
use domain::login::Login;
use domain::ports::{Directory, StoreError};
use domain::tenant::Tenant;
use domain::user::{Identity, Membership};
use serde_json::json;
use std::sync::Arc;

/// A verified token, as a tenant understands it.
struct NewToken<'a> {
    identity: Identity,
    login: Login,
    verified: &'a Verified,
    /// The hash by which it is remembered that it was seen.
    seen: String,
}

impl Authenticator {
    pub(super) async fn first_use(&self, token: &str, hash: &str, origin: &Origin) -> Result<Session, GateError> {
        // Before the verification: what is renewed while that runs counts as not seen.
        let renewals = self.renewals();
        let verified = match verify(token, &self.issuers, self.clock.now()).await {
            Ok(verified) => verified,
            Err(refusal) => return Err(self.refuse_token(refusal, origin).await),
        };
        let Some((tenant, belongs)) = tenant_named_by(&verified, &*self.directory).await.map_err(GateError::Store)?
        else {
            return Err(self.refuse(TenantId::PLATFORM, None, RefusalCode::TenantUnmapped, origin).await);
        };
        let of_tenant = &tenant.settings.role_mappings;
        let suspended = (!tenant.is_active).then_some(RefusalCode::TenantSuspended);
        if let Some(code) = suspended.or_else(|| verified.no_entry(of_tenant)) {
            return Err(self.refuse(tenant.id, None, code, origin).await);
        }
        let identity = Identity { role: verified.role(of_tenant), ..verified.identity.clone() };
        let login = entry::kept(&verified.login, &verified.issuer, of_tenant);
        let new = NewToken { identity, login, verified: &verified, seen: self.seen_hash(token) };
        let signed_in = self.sign_in(tenant.id, &new, origin).await;
        let member = self.admit(hash, &tenant, signed_in.map_err(GateError::Store)?, origin).await?;
        let (credential, expires_at) = (Arc::new(verified.credential()), verified.valid_until);
        Ok(self.keep(hash, Kept { tenant, belongs, credential, expires_at, renewals }, member))
    }

    /// Provisions or updates the user, and records the login if this token is new and the user switched on.
    async fn sign_in(
        &self,
        tenant: TenantId,
        token: &NewToken<'_>,
        origin: &Origin,
    ) -> Result<Option<Membership>, StoreError> {
        let now = self.clock.now();
        let new_id = UserId::from_uuid(self.ids.uuid());
        let mut tx = self.store.begin(&system_scope(tenant, origin.request.clone())).await?;
        // Only a new token says what the user is now: one that was seen before, here or in another process, must not
        // undo what an admin has changed since.
        let user = match tx.users().user_of_token(&token.seen).await? {
            Some(known) => known,
            None => {
                let user = tx.users().sign_in(new_id, &token.identity, now).await?.id;
                tx.users().keep_login(user, &token.login).await?;
                user
            }
        };
        tx.commit().await?;

        let mut tx = self.store.begin(&user_scope(tenant, user, origin.request.clone())).await?;
        let membership = tx.users().membership(user).await?;
        let is_on = |member: &&Membership| member.tenant_active && member.user.is_active;
        if let Some(member) = membership.as_ref().filter(is_on)
            && tx.users().first_use_of_token(user, &token.seen, token.verified.valid_until).await?
        {
            let ignored = member.user.assigned_role().ignores(token.identity.role_claim());
            let metadata = json!({
                "issuer": token.identity.issuer, "token_id": token.verified.token_id, "client": token.verified.client(),
                "role": member.user.role, "role_ignored": ignored.map(RoleIgnored::code),
            });
            self.event(&mut *tx, EventType::AUTH_LOGIN, ResultStatus::Success, metadata).await?;
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
        origin: &Origin,
    ) -> Result<Membership, GateError> {
        let user = membership.as_ref().map(|member| member.user.id);
        let code = match membership {
            Some(member) if member.tenant_active && tenant.is_active && member.user.is_active => return Ok(member),
            Some(member) if member.user.is_active => RefusalCode::TenantSuspended,
            _ => RefusalCode::UserDisabled,
        };
        self.sessions.forget(hash);
        Err(self.refuse(tenant.id, user, code, origin).await)
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
    tenant_of_login(&verified.login, &verified.issuer, directory).await
}

/// The tenant that a login leads to.
pub(super) async fn tenant_of_login(
    login: &Login,
    settings: &IssuerSettings,
    directory: &dyn Directory,
) -> Result<Option<(Tenant, Belongs)>, StoreError> {
    let Some(claim) = login.tenant_claim.clone() else { return Ok(None) };
    if let Some(id_or_slug) = settings.tenants.tenant(&claim) {
        let tenant = directory.tenant(id_or_slug).await?;
        return Ok(tenant.map(|tenant| (tenant, Belongs::Configured)));
    }
    let issuer = settings.issuer.clone();
    let tenant = directory.mapped_tenant(&issuer, &claim).await?;
    Ok(tenant.map(|tenant| (tenant, Belongs::Mapped { issuer, claim })))
}
