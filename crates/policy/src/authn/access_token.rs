//! Personal access tokens as bearer tokens: recognized by their form, found by a keyed hash, valid until they expire or
//! are revoked. They act as their user, whose role is read at each decision, within their scopes, and are held to the
//! user's last interactive login: what would not let the user in does not let the token in.

use super::entry::{self, RoleMappings};
use super::reason::Reason;
use super::sessions::{Belongs, Session};
use super::settings::IssuerSettings;
use super::sign_in::tenant_of_login;
use super::{Authenticator, Kept, user_scope};
use crate::caller::Origin;
use crate::error::GateError;
use domain::access_token::{AccessToken, KnownAccessToken};
use domain::audit::{EventType, ResultStatus};
use domain::credential::{Credential, CredentialKind};
use domain::decision::RefusalCode;
use domain::login::Login;
use domain::ports::{NoRandomness, StoreError, TokenSecret, TokenSecrets};
use domain::role::Role;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::user::{Membership, User};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What every secret begins with, so that scanners of repositories and logs know it.
pub const PREFIX: &str = "plantpat_";
/// Random bytes of a secret.
const RANDOM: usize = 32;
/// Hex digits of the checksum at its end: a mistyped secret, or none, is told without asking the database.
const CHECKSUM: usize = 8;

impl TokenSecrets for Authenticator {
    fn generate(&self) -> Result<TokenSecret, NoRandomness> {
        let secret = new_secret()?;
        let hash = self.hash(&secret);
        Ok(TokenSecret { secret, hash })
    }
}

/// Prefix, random hex digits, and a checksum of those.
fn new_secret() -> Result<String, NoRandomness> {
    let mut random = [0; RANDOM];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| NoRandomness)?;
    let body = hex::encode(random);
    Ok(format!("{PREFIX}{body}{}", checksum(&body)))
}

fn checksum(body: &str) -> String {
    hex::encode(Sha256::digest(body.as_bytes()))[..CHECKSUM].to_owned()
}

/// Whether this may be a personal access token at all.
pub fn is_meant_as_one(token: &str) -> bool {
    token.starts_with(PREFIX)
}

fn is_well_formed(token: &str) -> bool {
    let body = token.strip_prefix(PREFIX).filter(|rest| rest.len() == 2 * RANDOM + CHECKSUM && rest.is_ascii());
    body.map(|rest| rest.split_at(2 * RANDOM)).is_some_and(|(body, sum)| checksum(body) == sum)
}

impl Authenticator {
    pub(super) async fn by_access_token(
        &self,
        secret: &str,
        hash: &str,
        origin: &Origin,
    ) -> Result<Session, GateError> {
        let known = match is_well_formed(secret) {
            true => self.directory.access_token(hash).await.map_err(GateError::Store)?,
            false => None,
        };
        let KnownAccessToken { tenant, token } = match self.usable(known) {
            Ok(known) => known,
            Err(reason) => {
                self.sessions.forget(hash);
                return Err(self.refuse_token(reason.into(), origin).await);
            }
        };
        let Some(tenant) = self.tenant(&tenant.to_string()).await? else {
            return Err(self.refuse(tenant, Some(token.user_id), RefusalCode::TenantUnmapped, origin).await);
        };
        let used = self.use_token(&tenant, &token, hash, origin).await.map_err(GateError::Store)?;
        let member = match used {
            Ok(member) => self.admit(hash, &tenant, member, origin).await?,
            Err(reason) => {
                self.sessions.forget(hash);
                return Err(self.refuse_token(reason.into(), origin).await);
            }
        };
        let AccessToken { id, expires_at, scopes, .. } = token;
        let kind = CredentialKind::AccessToken { id, scopes };
        let credential = Arc::new(Credential { kind, client: None, session: Some(id.to_string()) });
        Ok(self.keep(
            hash,
            Kept { tenant, belongs: Belongs::ByAccessToken, credential, expires_at, renewals: 0 },
            member,
        ))
    }

    fn usable(&self, known: Option<KnownAccessToken>) -> Result<KnownAccessToken, Reason> {
        match known {
            None => Err(Reason::AccessTokenUnknown),
            Some(known) if known.token.revoked_at.is_some() => Err(Reason::AccessTokenRevoked),
            Some(known) if self.clock.now() >= known.token.expires_at => Err(Reason::AccessTokenExpired),
            Some(known) => Ok(known),
        }
    }

    /// Records the use and, the first time, the login of a user who is switched on; the reason where the user's last
    /// interactive login would let nobody in today.
    async fn use_token(
        &self,
        tenant: &Tenant,
        token: &AccessToken,
        hash: &str,
        origin: &Origin,
    ) -> Result<Result<Option<Membership>, Reason>, StoreError> {
        let user = token.user_id;
        let mut tx = self.store.begin(&user_scope(tenant.id, user, origin.request.clone())).await?;
        let membership = tx.users().membership(user).await?;
        let is_on = |member: &&Membership| member.tenant_active && member.user.is_active;
        if let Some(member) = membership.as_ref().filter(is_on) {
            let login = tx.users().last_login(user).await?;
            if let Some(reason) = self.outlived(login.as_ref(), member, tenant).await? {
                return Ok(Err(reason));
            }
            if tx.users().first_use_of_token(user, hash, token.expires_at).await? {
                let metadata = json!({ "access_token": token.id });
                self.event(&mut *tx, EventType::AUTH_LOGIN, ResultStatus::Success, metadata).await?;
            }
            tx.access_tokens().used(token.id, self.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(Ok(membership))
    }

    /// Why the user's last login does not carry an access token any more: it is too long ago, or the rules for logins, as
    /// they are now, would refuse it or give less.
    async fn outlived(
        &self,
        login: Option<&Login>,
        member: &Membership,
        tenant: &Tenant,
    ) -> Result<Option<Reason>, StoreError> {
        let now = self.clock.now();
        let Some(login) = login else { return Ok(Some(Reason::AccessTokenNoLogin)) };
        if now - login.at() >= self.login_max_age {
            return Ok(Some(Reason::AccessTokenLoginTooOld));
        }
        let trusted = self.issuers.iter().find(|issuer| issuer.settings.issuer == member.user.issuer);
        let Some(issuer) = trusted.map(|issuer| &*issuer.settings) else {
            return Ok(Some(Reason::AccessTokenIssuer));
        };
        let leads_to = tenant_of_login(login, issuer, &*self.directory).await?;
        if leads_to.is_none_or(|(found, _)| found.id != tenant.id) {
            return Ok(Some(Reason::AccessTokenUnmapped));
        }
        Ok(refused_today(login, issuer, &member.user, &tenant.settings.role_mappings, now))
    }
}

/// What the rules for logins say of one, as they are now.
fn refused_today(
    login: &Login,
    issuer: &IssuerSettings,
    user: &User,
    of_tenant: &RoleMappings,
    now: Timestamp,
) -> Option<Reason> {
    if !entry::has_required_claim(login, issuer) {
        return Some(Reason::AccessTokenRequiredClaim);
    }
    if !entry::is_recent(login, issuer, now) {
        return Some(Reason::AccessTokenTooLongAgo);
    }
    match entry::no_entry(login, issuer, of_tenant) {
        Some(RefusalCode::GroupsOverage) => return Some(Reason::AccessTokenGroups),
        Some(RefusalCode::GuestRefused) => return Some(Reason::AccessTokenGuest),
        Some(_) => return Some(Reason::AccessTokenScope),
        None => {}
    }
    // A role that came with a token is worth no more than the same token would give now.
    let given = entry::role(login, issuer, of_tenant).unwrap_or(Role::Viewer);
    (user.role_from_token && given < user.role).then_some(Reason::AccessTokenRole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognized_and_a_mistyped_one_is_told_by_its_checksum() {
        let (one, other) = (new_secret().expect("randomness"), new_secret().expect("randomness"));
        assert_ne!(one, other);
        assert!(one.starts_with(PREFIX) && is_well_formed(&one), "{one}");
        let mistyped = one.replace(one.chars().last().expect("not empty"), "x");
        for bad in [mistyped.as_str(), PREFIX, &one[..one.len() - 1], &format!("{one}0"), "", "plantpat_ä"] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
