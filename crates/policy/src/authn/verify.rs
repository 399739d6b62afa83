//! Verifies a JWT with the settings and keys of the issuer that it names. The checks run in a fixed order, and each has
//! its own error.

use super::admission::{self, RoleMappings};
use super::claims::{self, Claims};
use super::ecdsa;
use super::jwks::IssuerKeys;
use super::jws::{UnverifiedToken, parse};
use super::settings::{IssuerSettings, SignatureAlgorithm};
use super::token_error::{RefusedToken, TokenError, loggable_text};
use domain::credential::{Credential, CredentialKind};
use domain::decision::RefusalCode;
use domain::ids::SessionId;
use domain::login::LoginClaims;
use domain::role::Role;
use domain::time::Timestamp;
use domain::user::Identity;
use jsonwebtoken::DecodingKey;
use jwks_client_rs::JsonWebKey;
use serde_json::Value;
use std::sync::Arc;

/// A trusted issuer with its keys.
pub struct Issuer {
    /// Settings of the issuer.
    pub settings: Arc<IssuerSettings>,
    /// Public keys of the issuer.
    pub keys: IssuerKeys,
}

impl Issuer {
    fn matches_iss(&self, iss: &str) -> bool {
        self.settings.issuer == iss || self.settings.accepted_issuers.iter().any(|accepted| accepted == iss)
    }
}

/// A token that passed all checks.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    /// Settings of the issuer.
    pub issuer: Arc<IssuerSettings>,
    /// The user. The role is not set, since it also depends on the tenant.
    pub identity: Identity,
    /// When the token expires or the user must authenticate again, whichever comes first.
    pub valid_until: Timestamp,
    /// The token's identifier, if it can be logged.
    pub token_id: Option<String>,
    /// Properties of the login that decide whether the user is admitted.
    pub login: LoginClaims,
    claims: Claims,
}

impl VerifiedToken {
    /// The client that requested the token, if it can be logged.
    #[must_use]
    pub fn client(&self) -> Option<String> {
        claims::client(&self.claims, &self.issuer.claims)
    }

    /// The credential that the gate's decisions use, in the session that the token belongs to.
    #[must_use]
    pub fn credential(&self, session: SessionId) -> Credential {
        let (claims, names) = (&self.claims, &self.issuer.claims);
        let kind = if claims::is_application(claims) {
            CredentialKind::Application
        } else {
            CredentialKind::Interactive { auth_time: claims::auth_time(claims, names), acr: claims::acr(claims) }
        };
        Credential { kind, client: self.client(), session: Some(session) }
    }

    /// The session at the identity provider (`sid`), if the token names it.
    pub(super) fn provider_session(&self) -> Option<&str> {
        claims::session_id(&self.claims)
    }

    /// The role that the token's claims map to, including the tenant's own mapping; `None` if it has no role claims.
    #[must_use]
    pub fn role(&self, tenant_role_mappings: &RoleMappings) -> Option<Role> {
        admission::mapped_role(&self.login, &self.issuer, tenant_role_mappings)
    }

    /// Returns why the verified token is not admitted, given the tenant's own mapping, or `None` if it is admitted. The
    /// code may be shown to the caller.
    #[must_use]
    pub fn admission_refusal(&self, tenant_role_mappings: &RoleMappings) -> Option<RefusalCode> {
        admission::refusal(&self.login, &self.issuer, tenant_role_mappings)
    }
}

/// Verifies the bearer token `token` at the time `now`, with the settings and keys of one of `issuers`.
///
/// Order of the checks: size and structure; issuer (not verified yet, only to select the settings); algorithm; key id;
/// form of the signature; signature; times; audience; required claim; type of token; subject; age of the
/// authentication. The caller resolves the tenant and checks admission.
///
/// # Errors
/// The first check that fails.
pub async fn verify(token: &str, issuers: &[Issuer], now: Timestamp) -> Result<VerifiedToken, RefusedToken> {
    let parsed = parse(token)?;
    let key_id = parsed.key_id.as_deref().and_then(loggable_text);
    let iss = parsed.claims.get("iss").and_then(Value::as_str);
    let Some(issuer) = iss.and_then(|iss| issuers.iter().find(|issuer| issuer.matches_iss(iss))) else {
        return Err(RefusedToken { key_id, ..TokenError::UnknownIssuer.into() });
    };
    let token_id = claims::token_id(&parsed.claims, &issuer.settings.claims);
    let refused_token = |error| RefusedToken {
        error,
        issuer: Some(issuer.settings.issuer.clone()),
        key_id: key_id.clone(),
        token_id: token_id.clone(),
    };
    check_signature(token, &parsed, issuer).await.map_err(refused_token)?;
    let login = claims::login(&parsed.claims, &issuer.settings, now);
    let (identity, valid_until) = check_claims(&parsed.claims, &login, &issuer.settings, now).map_err(refused_token)?;
    Ok(VerifiedToken {
        issuer: Arc::clone(&issuer.settings),
        identity,
        valid_until,
        token_id,
        login,
        claims: parsed.claims,
    })
}

fn check_claims(
    claims: &Claims,
    login: &LoginClaims,
    issuer: &IssuerSettings,
    now: Timestamp,
) -> Result<(Identity, Timestamp), TokenError> {
    let expires_at = claims::check_validity_period(claims, now)?;
    claims::check_audience(claims, &issuer.audiences)?;
    claims::check_required_claim(claims, issuer.required_claim.as_ref())?;
    claims::check_is_access_token(claims)?;
    let identity = claims::identity(claims, issuer)?;
    let auth_expires_at = claims::check_auth_age(login.authenticated_at, issuer.max_age_s, now)?;
    Ok((identity, auth_expires_at.map_or(expires_at, |end| end.min(expires_at))))
}

/// An issuer may publish two keys with the same id by mistake or during a rotation. A signature by either is valid.
async fn check_signature(token: &str, parsed: &UnverifiedToken, issuer: &Issuer) -> Result<(), TokenError> {
    let algorithm = issuer
        .settings
        .algorithms
        .iter()
        .find(|algorithm| algorithm.name() == parsed.algorithm)
        .ok_or(TokenError::AlgorithmNotAllowed)?;
    let key_id = parsed.key_id.as_deref().ok_or(TokenError::MissingKeyId)?;
    let keys = issuer.keys.get(key_id).await.map_err(|_| TokenError::KeysUnavailable)?;
    if keys.is_empty() {
        return Err(TokenError::UnknownKey);
    }
    let candidates: Vec<_> =
        keys.iter().filter_map(|key| decoding_key(key, *algorithm)).take(MAX_KEYS_PER_ID).collect();
    if candidates.is_empty() {
        return Err(TokenError::KeyTypeMismatch);
    }
    let (signing_input, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    if *algorithm == SignatureAlgorithm::Es256 && !issuer.settings.accept_high_s && ecdsa::has_high_s(signature) {
        return Err(TokenError::HighSSignature);
    }
    let is_valid = |key| {
        jsonwebtoken::crypto::verify(signature, signing_input.as_bytes(), key, algorithm.to_jsonwebtoken())
            .is_ok_and(|is_valid| is_valid)
    };
    if candidates.iter().any(is_valid) { Ok(()) } else { Err(TokenError::InvalidSignature) }
}

/// Maximum number of keys with the same id that are tried, to bound the work per token.
const MAX_KEYS_PER_ID: usize = 4;

/// Returns the key if its type fits the algorithm and it is not restricted to another one.
fn decoding_key(key: &JsonWebKey, algorithm: SignatureAlgorithm) -> Option<DecodingKey> {
    if key.alg().is_some_and(|key_algorithm| key_algorithm != algorithm.name()) {
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
