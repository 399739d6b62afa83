//! First use of a token: verifies it, resolves its tenant, creates or updates its user, and records the login.

use super::admission;
use super::session_cache::{Session, TenantSource};
use super::settings::IssuerSettings;
use super::verify::{VerifiedToken, verify};
use super::{Authenticator, NewSession, system_scope, user_scope};
use crate::caller::RequestOrigin;
use crate::error::GateError;
use domain::assigned_role::RoleClaimRejection;
use domain::audit::{EventType, ResultStatus};
use domain::decision::RefusalCode;
use domain::ids::{SessionId, TenantId, UserId};
use domain::login::LoginClaims;
use domain::ports::{StoreError, TenantDirectory, TenantTx};
use domain::session::FirstSeenToken;
use domain::tenant::Tenant;
use domain::user::{Identity, Membership};
use serde_json::json;
use std::sync::Arc;
use tokio::time::Instant;

/// A verified token with the role that the tenant's mapping gives.
struct NewToken<'a> {
    identity: Identity,
    login: LoginClaims,
    verified: &'a VerifiedToken,
    /// Session that the token belongs to.
    session: SessionId,
    /// Stored when the token is first used, so that later uses are recognized.
    signing_input_hash: String,
}

impl Authenticator {
    pub(super) async fn authenticate_new_token(
        &self,
        token: &str,
        token_hash: &str,
        origin: &RequestOrigin,
    ) -> Result<Session, GateError> {
        // Read before the verification: a refresh during it must count as a newer version.
        let keys_version = self.keys_version();
        let verified = match verify(token, &self.issuers, self.clock.now()).await {
            Ok(verified) => verified,
            Err(refused) => return Err(self.refuse_token(refused, origin).await),
        };
        let Some((tenant, tenant_source)) =
            resolve_tenant(&verified, &*self.directory).await.map_err(GateError::Store)?
        else {
            return Err(self.refuse_caller(TenantId::PLATFORM, None, RefusalCode::TenantUnmapped, origin).await);
        };
        let tenant_role_mappings = &tenant.settings.role_mappings;
        let suspension = (!tenant.is_active).then_some(RefusalCode::TenantSuspended);
        if let Some(code) = suspension.or_else(|| verified.admission_refusal(tenant_role_mappings)) {
            return Err(self.refuse_caller(tenant.id, None, code, origin).await);
        }
        let identity = Identity { role: verified.role(tenant_role_mappings), ..verified.identity.clone() };
        let login = admission::without_unmapped_groups(&verified.login, &verified.issuer, tenant_role_mappings);
        let signing_input_hash = self.signing_input_hash(token);
        let session = self.session_id(tenant.id, &verified, &signing_input_hash);
        let new_token = NewToken { identity, login, verified: &verified, session, signing_input_hash };
        let membership = self.sign_in(tenant.id, &new_token, origin).await;
        let member = self.admit(token_hash, &tenant, membership.map_err(GateError::Store)?, origin).await?;
        let (credential, expires_at) = (Arc::new(verified.credential(session)), verified.valid_until);
        let use_recorded_at = Instant::now();
        let new = NewSession { tenant, tenant_source, credential, expires_at, keys_version, use_recorded_at };
        Ok(self.start_session(token_hash, new, member))
    }

    /// Creates or updates the user. If the user is active, records the session and, if this token is new, the login. A
    /// token of a revoked session changes nothing.
    async fn sign_in(
        &self,
        tenant: TenantId,
        token: &NewToken<'_>,
        origin: &RequestOrigin,
    ) -> Result<Option<Membership>, StoreError> {
        let now = self.clock.now();
        let new_id = UserId::from_uuid(self.ids.uuid());
        let mut tx = self.store.begin(&system_scope(tenant, origin.request.clone())).await?;
        // Only a new token updates the user. A token that was used before, here or in another process, must not undo
        // later changes by an admin.
        let revoked_user = tx.sessions().user_of_revoked_session(token.session, token.verified.valid_until).await?;
        let known_user = match revoked_user {
            Some(user) => Some(user),
            None => tx.users().user_by_token(&token.signing_input_hash).await?,
        };
        let user = match known_user {
            Some(user) => user,
            None => {
                let user = tx.users().sign_in(new_id, &token.identity, now).await?.id;
                tx.users().record_login(user, &token.login).await?;
                user
            }
        };
        tx.commit().await?;

        let scope = user_scope(tenant, user, origin.request.clone()).in_session(Some(token.session));
        let mut tx = self.store.begin(&scope).await?;
        let membership = tx.users().membership(user).await?;
        if let Some(member) = membership.as_ref().filter(|member| member.refusal().is_none()) {
            self.record_sign_in(&mut *tx, member, token).await?;
        }
        tx.commit().await?;
        Ok(membership)
    }

    /// Records the session of the token and, if no process has seen the token before, the login.
    async fn record_sign_in(
        &self,
        tx: &mut dyn TenantTx,
        member: &Membership,
        token: &NewToken<'_>,
    ) -> Result<(), StoreError> {
        let (user, expires_at, client) = (member.user.id, token.verified.valid_until, token.verified.client());
        let session_token = FirstSeenToken { session_id: token.session, user_id: user, client, expires_at };
        tx.sessions().record(&session_token, self.clock.now()).await?;
        if tx.users().mark_token_seen(user, &token.signing_input_hash, expires_at).await? {
            let rejection = member.user.assigned_role().claim_rejection(token.identity.role_claim());
            let metadata = json!({
                "issuer": token.identity.issuer, "token_id": token.verified.token_id, "client": token.verified.client(),
                "role": member.user.role, "role_ignored": rejection.map(RoleClaimRejection::code),
            });
            self.record_event(tx, EventType::AUTH_LOGIN, ResultStatus::Success, metadata).await?;
        }
        Ok(())
    }

    /// Returns the membership if user and tenant are active and the session was not revoked. Otherwise removes the
    /// session and refuses the caller.
    pub(super) async fn admit(
        &self,
        token_hash: &str,
        tenant: &Tenant,
        membership: Option<Membership>,
        origin: &RequestOrigin,
    ) -> Result<Membership, GateError> {
        let user = membership.as_ref().map(|member| member.user.id);
        let code = match membership {
            Some(member) if tenant.is_active && member.refusal().is_none() => return Ok(member),
            Some(member) if !member.user.is_active => RefusalCode::UserDisabled,
            Some(member) if tenant.is_active && member.tenant_active => RefusalCode::SessionRevoked,
            Some(_) => RefusalCode::TenantSuspended,
            None => RefusalCode::UserDisabled,
        };
        self.sessions.remove(token_hash);
        Err(self.refuse_caller(tenant.id, user, code, origin).await)
    }
}

/// Resolves the tenant of a verified token: by the configuration first, then by a tenant mapping in the database.
///
/// # Errors
/// If the database is not available.
pub async fn resolve_tenant(
    verified: &VerifiedToken,
    directory: &dyn TenantDirectory,
) -> Result<Option<(Tenant, TenantSource)>, StoreError> {
    resolve_login_tenant(&verified.login, &verified.issuer, directory).await
}

/// Like [`resolve_tenant`], for a login that may come from an earlier token.
pub(super) async fn resolve_login_tenant(
    login: &LoginClaims,
    settings: &IssuerSettings,
    directory: &dyn TenantDirectory,
) -> Result<Option<(Tenant, TenantSource)>, StoreError> {
    let Some(claim) = login.tenant_claim.clone() else { return Ok(None) };
    if let Some(id_or_slug) = settings.tenants.tenant(&claim) {
        let tenant = directory.tenant(id_or_slug).await?;
        return Ok(tenant.map(|tenant| (tenant, TenantSource::Configuration)));
    }
    let issuer = settings.issuer.clone();
    let tenant = directory.mapped_tenant(&issuer, &claim).await?;
    Ok(tenant.map(|tenant| (tenant, TenantSource::Mapping { issuer, claim })))
}
