//! Authentication with personal access tokens. A token is recognized by its prefix, looked up by a keyed hash, and
//! valid until it expires or is revoked. It acts as its user, within its scopes; the user's role is read at each
//! decision. A token stops working when its user's last interactive login would no longer be accepted.

use super::admission::{self, RoleMappings};
use super::session_cache::{Session, TenantSource};
use super::settings::IssuerSettings;
use super::sign_in::resolve_login_tenant;
use super::token_error::TokenError;
use super::{Authenticator, NewSession, user_scope};
use crate::caller::RequestOrigin;
use crate::error::GateError;
use domain::access_token::{AccessToken, TenantAccessToken};
use domain::audit::{EventType, ResultStatus};
use domain::credential::{Credential, CredentialKind};
use domain::decision::RefusalCode;
use domain::ids::{AccessTokenId, SessionId};
use domain::login::LoginClaims;
use domain::ports::{RandomSourceError, StoreError, TokenSecret, TokenSecrets};
use domain::role::Role;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::{Membership, User};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use tokio::time::Instant;

/// Prefix of every secret, so that scanners of repositories and logs can find leaked ones.
pub const SECRET_PREFIX: &str = "plantpat_";
/// Number of random bytes in a secret.
const RANDOM_BYTES: usize = 32;
/// Number of hex digits of the checksum at the end of a secret. The checksum rejects mistyped secrets without a
/// database query.
const CHECKSUM_DIGITS: usize = 8;

impl TokenSecrets for Authenticator {
    fn generate(&self) -> Result<TokenSecret, RandomSourceError> {
        let secret = generate_secret()?;
        let hash = self.token_hash(&secret);
        Ok(TokenSecret { secret, hash })
    }
}

/// Returns the prefix, the random bytes in hex, and their checksum.
fn generate_secret() -> Result<String, RandomSourceError> {
    let mut random = [0; RANDOM_BYTES];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| RandomSourceError)?;
    let body = hex::encode(random);
    Ok(format!("{SECRET_PREFIX}{body}{}", checksum(&body)))
}

fn checksum(body: &str) -> String {
    hex::encode(Sha256::digest(body.as_bytes()))[..CHECKSUM_DIGITS].to_owned()
}

/// Whether `token` has the prefix of a personal access token. It may still be malformed.
pub fn has_prefix(token: &str) -> bool {
    token.starts_with(SECRET_PREFIX)
}

fn is_well_formed(token: &str) -> bool {
    let body = token
        .strip_prefix(SECRET_PREFIX)
        .filter(|rest| rest.len() == 2 * RANDOM_BYTES + CHECKSUM_DIGITS && rest.is_ascii());
    body.map(|rest| rest.split_at(2 * RANDOM_BYTES))
        .is_some_and(|(body, checksum_digits)| checksum(body) == checksum_digits)
}

impl Authenticator {
    pub(super) async fn authenticate_access_token(
        &self,
        secret: &str,
        token_hash: &str,
        origin: &RequestOrigin,
    ) -> Result<Session, GateError> {
        let found = match is_well_formed(secret) {
            true => self.directory.access_token(token_hash).await.map_err(GateError::Store)?,
            false => None,
        };
        let TenantAccessToken { tenant, token } = match self.check_usable(found) {
            Ok(known) => known,
            Err(error) => {
                self.sessions.remove(token_hash);
                return Err(self.refuse_token(error.into(), origin).await);
            }
        };
        let Some(tenant) = self.tenant(&tenant.to_string()).await? else {
            return Err(self.refuse_caller(tenant, Some(token.user_id), RefusalCode::TenantUnmapped, origin).await);
        };
        let membership = self.record_use(&tenant, &token, token_hash, origin).await.map_err(GateError::Store)?;
        let member = match membership {
            Ok(member) => self.admit(token_hash, &tenant, member, origin).await?,
            Err(error) => {
                self.sessions.remove(token_hash);
                return Err(self.refuse_token(error.into(), origin).await);
            }
        };
        let AccessToken { id, expires_at, scopes, .. } = token;
        let kind = CredentialKind::PersonalAccessToken { id, scopes };
        let credential = Arc::new(Credential { kind, client: None, session: Some(session_of(id)) });
        let new = NewSession {
            tenant,
            tenant_source: TenantSource::PersonalAccessToken,
            credential,
            expires_at,
            keys_version: 0,
            use_recorded_at: Instant::now(),
        };
        Ok(self.start_session(token_hash, new, member))
    }

    fn check_usable(&self, found: Option<TenantAccessToken>) -> Result<TenantAccessToken, TokenError> {
        match found {
            None => Err(TokenError::PersonalTokenUnknown),
            Some(known) if known.token.revoked_at.is_some() => Err(TokenError::PersonalTokenRevoked),
            Some(known) if self.clock.now() >= known.token.expires_at => Err(TokenError::PersonalTokenExpired),
            Some(known) => Ok(known),
        }
    }

    /// Records that the token was used and, on its first use, the login of an active user. Returns the error if the
    /// user's last interactive login would not be accepted today.
    async fn record_use(
        &self,
        tenant: &Tenant,
        token: &AccessToken,
        token_hash: &str,
        origin: &RequestOrigin,
    ) -> Result<Result<Option<Membership>, TokenError>, StoreError> {
        let user = token.user_id;
        let scope = user_scope(tenant.id, user, origin.request.clone()).in_session(Some(session_of(token.id)));
        let mut tx = self.store.begin(&scope).await?;
        let membership = tx.users().membership(user).await?;
        if let Some(member) = membership.as_ref().filter(|member| member.refusal().is_none()) {
            let login = tx.users().last_login_claims(user).await?;
            if let Some(error) = self.last_login_error(login.as_ref(), member, tenant).await? {
                return Ok(Err(error));
            }
            if tx.users().mark_token_seen(user, token_hash, token.expires_at).await? {
                let metadata = json!({ "access_token": token.id });
                self.record_event(&mut *tx, EventType::AUTH_LOGIN, ResultStatus::Success, metadata).await?;
            }
            tx.access_tokens().record_use(token.id, self.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(Ok(membership))
    }

    /// Returns why the user's last interactive login no longer supports an access token: it is too old, or the current
    /// login rules would refuse it or give a weaker role.
    async fn last_login_error(
        &self,
        login: Option<&LoginClaims>,
        member: &Membership,
        tenant: &Tenant,
    ) -> Result<Option<TokenError>, StoreError> {
        let now = self.clock.now();
        let Some(login) = login else { return Ok(Some(TokenError::PersonalTokenWithoutLogin)) };
        if now - login.logged_in_at() >= self.login_max_age {
            return Ok(Some(TokenError::PersonalTokenLastLoginTooOld));
        }
        let issuer = self.issuers.iter().find(|issuer| issuer.settings.issuer == member.user.issuer);
        let Some(issuer) = issuer.map(|issuer| &*issuer.settings) else {
            return Ok(Some(TokenError::PersonalTokenUnknownIssuer));
        };
        let resolved = resolve_login_tenant(login, issuer, &*self.directory).await?;
        if resolved.is_none_or(|(found, _)| found.id != tenant.id) {
            return Ok(Some(TokenError::PersonalTokenTenantUnmapped));
        }
        Ok(login_error(login, issuer, &member.user, &tenant.settings.role_mappings, now))
    }
}

/// The session of a personal access token: audit rows name the token itself, and revoking it ends its running work.
fn session_of(token: AccessTokenId) -> SessionId {
    SessionId::from_uuid(token.as_uuid())
}

/// Applies the current login rules to a login that was accepted earlier.
fn login_error(
    login: &LoginClaims,
    issuer: &IssuerSettings,
    user: &User,
    tenant_role_mappings: &RoleMappings,
    now: Timestamp,
) -> Option<TokenError> {
    if !admission::has_required_claim(login, issuer) {
        return Some(TokenError::PersonalTokenRequiredClaimMismatch);
    }
    if !admission::is_recent(login, issuer, now) {
        return Some(TokenError::PersonalTokenMaxAgeExceeded);
    }
    match admission::refusal(login, issuer, tenant_role_mappings) {
        Some(RefusalCode::GroupsOverage) => return Some(TokenError::PersonalTokenGroupsOverage),
        Some(RefusalCode::GuestRefused) => return Some(TokenError::PersonalTokenGuestRefused),
        Some(_) => return Some(TokenError::PersonalTokenInsufficientScope),
        None => {}
    }
    // A role that came from a token's claims must still result from those claims under today's mappings.
    let current_role = admission::mapped_role(login, issuer, tenant_role_mappings).unwrap_or(Role::Viewer);
    (user.role_from_token && current_role < user.role).then_some(TokenError::PersonalTokenRoleLowered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_well_formed_and_the_checksum_rejects_a_mistyped_one() {
        let (secret, other) = (generate_secret().expect("randomness"), generate_secret().expect("randomness"));
        assert_ne!(secret, other);
        assert!(secret.starts_with(SECRET_PREFIX) && is_well_formed(&secret), "{secret}");
        let mistyped = secret.replace(secret.chars().last().expect("not empty"), "x");
        for bad in
            [mistyped.as_str(), SECRET_PREFIX, &secret[..secret.len() - 1], &format!("{secret}0"), "", "plantpat_ä"]
        {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
