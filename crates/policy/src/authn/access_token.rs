//! Personal access tokens as bearer tokens: recognized by their form, found by a keyed hash, valid until they expire or
//! are revoked. They act as their user, whose role is read at each decision, within their scopes.

use super::reason::Reason;
use super::sessions::{Belongs, Session};
use super::{Authenticator, Kept, user_scope};
use crate::error::GateError;
use domain::access_token::{AccessToken, KnownAccessToken};
use domain::audit::{EventType, ResultStatus};
use domain::credential::{Credential, CredentialKind};
use domain::decision::RefusalCode;
use domain::ids::{RequestId, TenantId};
use domain::ports::StoreError;
use domain::user::Membership;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// What every secret begins with, so that scanners of repositories and logs know it.
pub const PREFIX: &str = "plantpat_";
/// Random bytes of a secret.
const RANDOM: usize = 32;
/// Hex digits of the checksum at its end: a mistyped secret, or none, is told without asking the database.
const CHECKSUM: usize = 8;

/// The secret of a new token; it is shown once and kept nowhere.
///
/// # Errors
/// Where the system has no randomness.
pub fn new_secret() -> Result<String, GateError> {
    let mut random = [0; RANDOM];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| GateError::NoRandomness)?;
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
        request: &RequestId,
    ) -> Result<Session, GateError> {
        let known = match is_well_formed(secret) {
            true => self.directory.access_token(hash).await.map_err(GateError::Store)?,
            false => None,
        };
        let KnownAccessToken { tenant, token } = match self.usable(known) {
            Ok(known) => known,
            Err(reason) => {
                self.sessions.forget(hash);
                return Err(self.refuse_token(reason.into(), request).await);
            }
        };
        let Some(tenant) = self.tenant(&tenant.to_string()).await? else {
            return Err(self.refuse(tenant, Some(token.user_id), RefusalCode::TenantUnmapped, request).await);
        };
        let used = self.use_token(tenant.id, &token, hash, request).await.map_err(GateError::Store)?;
        let member = self.admit(hash, &tenant, used, request).await?;
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

    /// Records the use and, the first time, the login of a user who is switched on.
    async fn use_token(
        &self,
        tenant: TenantId,
        token: &AccessToken,
        hash: &str,
        request: &RequestId,
    ) -> Result<Option<Membership>, StoreError> {
        let user = token.user_id;
        let mut tx = self.store.begin(&user_scope(tenant, user, request.clone())).await?;
        let membership = tx.users().membership(user).await?;
        if membership.as_ref().is_some_and(|member| member.tenant_active && member.user.is_active) {
            if tx.users().first_use_of_token(user, hash, token.expires_at).await? {
                let metadata = json!({ "access_token": token.id });
                self.event(&mut *tx, EventType::AuthLogin, ResultStatus::Success, metadata).await?;
            }
            tx.access_tokens().used(token.id, self.clock.now()).await?;
        }
        tx.commit().await?;
        Ok(membership)
    }
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
