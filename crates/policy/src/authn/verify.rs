//! Verifies a token against the issuer that it names: one order of checks, one reason for each refusal.

use super::claims::{self, Claims};
use super::entry::{self, RoleMappings};
use super::jwks::Keys;
use super::low_s;
use super::reason::{Reason, Refusal, loggable};
use super::settings::{IssuerSettings, SignatureAlgorithm};
use super::token::{Unverified, take_apart};
use domain::credential::{Credential, CredentialKind};
use domain::decision::RefusalCode;
use domain::login::Login;
use domain::role::Role;
use domain::time::Timestamp;
use domain::user::Identity;
use jsonwebtoken::DecodingKey;
use jwks_client_rs::JsonWebKey;
use serde_json::Value;
use std::sync::Arc;

/// A trusted issuer with its keys.
pub struct Issuer {
    /// What is trusted.
    pub settings: Arc<IssuerSettings>,
    /// Its keys.
    pub keys: Keys,
}

impl Issuer {
    fn is_named(&self, iss: &str) -> bool {
        self.settings.issuer == iss || self.settings.accept_iss.iter().any(|also| also == iss)
    }
}

/// A token that holds.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Who vouches.
    pub issuer: Arc<IssuerSettings>,
    /// Who it speaks of; without the role, which the tenant has a say in.
    pub identity: Identity,
    /// When it is to be looked at again: its end, or when the user must prove again who they are.
    pub valid_until: Timestamp,
    /// Its own id, if it has one that may be logged.
    pub token_id: Option<String>,
    /// What it says of the login that it stands for.
    pub login: Login,
    claims: Claims,
}

impl Verified {
    /// The client that asked for it, if that may be logged.
    #[must_use]
    pub fn client(&self) -> Option<String> {
        claims::client(&self.claims, &self.issuer.claims)
    }

    /// What the token tells later decisions of how its bearer signed in.
    #[must_use]
    pub fn credential(&self) -> Credential {
        let (claims, names) = (&self.claims, &self.issuer.claims);
        let kind = if claims::is_application(claims) {
            CredentialKind::Application
        } else {
            CredentialKind::Interactive { auth_time: claims::auth_time(claims, names), acr: claims::acr(claims) }
        };
        let session = claims::session_id(claims).or_else(|| self.token_id.clone());
        Credential { kind, client: self.client(), session }
    }

    /// The role that the token gives in a tenant with this mapping of its own; `None` where it says nothing of roles.
    #[must_use]
    pub fn role(&self, of_tenant: &RoleMappings) -> Option<Role> {
        entry::role(&self.login, &self.issuer, of_tenant)
    }

    /// Why a token that holds leads nowhere all the same, in a tenant with this mapping of its own: a code that its
    /// bearer may read.
    #[must_use]
    pub fn no_entry(&self, of_tenant: &RoleMappings) -> Option<RefusalCode> {
        entry::no_entry(&self.login, &self.issuer, of_tenant)
    }
}

/// Verifies `token`.
///
/// The order: size and shape; issuer, unverified, only to pick the settings; algorithm from the settings; key id; form of
/// the signature; signature; times; audience; required claim; kind; subject; age of the login. What comes after (tenant, entry, user) is
/// the caller's.
///
/// # Errors
/// The first check that says no.
pub async fn verify(token: &str, issuers: &[Issuer], now: Timestamp) -> Result<Verified, Refusal> {
    let parts = take_apart(token)?;
    let key_id = parts.key_id.as_deref().and_then(loggable);
    let named = parts.claims.get("iss").and_then(Value::as_str);
    let Some(issuer) = named.and_then(|iss| issuers.iter().find(|issuer| issuer.is_named(iss))) else {
        return Err(Refusal { key_id, ..Reason::Issuer.into() });
    };
    let token_id = claims::token_id(&parts.claims, &issuer.settings.claims);
    let refused = |reason| Refusal {
        reason,
        issuer: Some(issuer.settings.issuer.clone()),
        key_id: key_id.clone(),
        token_id: token_id.clone(),
    };
    check_signature(token, &parts, issuer).await.map_err(refused)?;
    let login = claims::login(&parts.claims, &issuer.settings, now);
    let (identity, valid_until) = check_claims(&parts.claims, &login, &issuer.settings, now).map_err(refused)?;
    Ok(Verified { issuer: Arc::clone(&issuer.settings), identity, valid_until, token_id, login, claims: parts.claims })
}

fn check_claims(
    claims: &Claims,
    login: &Login,
    issuer: &IssuerSettings,
    now: Timestamp,
) -> Result<(Identity, Timestamp), Reason> {
    let expires_at = claims::check_times(claims, now)?;
    claims::check_audience(claims, &issuer.audiences)?;
    claims::check_required(claims, issuer.required_claim.as_ref())?;
    claims::check_kind(claims)?;
    let identity = claims::identity(claims, issuer)?;
    let age_ends = claims::check_age(login.authenticated_at, issuer.max_age_s, now)?;
    Ok((identity, age_ends.map_or(expires_at, |end| end.min(expires_at))))
}

/// Two keys of one id are a fault of the issuer's, or the two halves of a rotation; both are its own, so a signature of
/// either is.
async fn check_signature(token: &str, parts: &Unverified, issuer: &Issuer) -> Result<(), Reason> {
    let algorithm = issuer.settings.algorithms.iter().find(|a| a.name() == parts.algorithm).ok_or(Reason::Algorithm)?;
    let key_id = parts.key_id.as_deref().ok_or(Reason::KeyId)?;
    let keys = issuer.keys.get(key_id).await.map_err(|_| Reason::NoKeys)?;
    if keys.is_empty() {
        return Err(Reason::UnknownKey);
    }
    let fitting: Vec<_> =
        keys.iter().filter_map(|key| decoding_key(key, *algorithm)).take(MOST_KEYS_OF_ONE_ID).collect();
    if fitting.is_empty() {
        return Err(Reason::KeyType);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Reason::Malformed)?;
    if *algorithm == SignatureAlgorithm::Es256 && !issuer.settings.accept_high_s && low_s::has_high_s(signature) {
        return Err(Reason::HighS);
    }
    let holds =
        |key| jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, algorithm.jwt()).is_ok_and(|holds| holds);
    if fitting.iter().any(holds) { Ok(()) } else { Err(Reason::Signature) }
}

/// So that a set of a thousand keys under one id is not a thousand checks for each token.
const MOST_KEYS_OF_ONE_ID: usize = 4;

/// The key, if it is of the algorithm's type and not pinned to another algorithm.
fn decoding_key(key: &JsonWebKey, algorithm: SignatureAlgorithm) -> Option<DecodingKey> {
    if key.alg().is_some_and(|pinned| pinned != algorithm.name()) {
        return None;
    }
    match (key, algorithm) {
        (JsonWebKey::Rsa(rsa), SignatureAlgorithm::Rs256 | SignatureAlgorithm::Ps256) => {
            DecodingKey::from_rsa_components(rsa.modulus(), rsa.exponent()).ok()
        }
        (JsonWebKey::Ec(ec), SignatureAlgorithm::Es256) if ec.curve() == "P-256" => {
            DecodingKey::from_ec_components(ec.x(), ec.y()).ok()
        }
        (JsonWebKey::Okp(okp), SignatureAlgorithm::EdDsa) if okp.curve() == "Ed25519" => {
            DecodingKey::from_ed_components(okp.x()).ok()
        }
        _ => None,
    }
}
