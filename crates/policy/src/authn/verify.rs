//! Verifies a token against the issuer that it names: one order of checks, one reason for each refusal.

use super::Reason;
use super::claims;
use super::jwks::Keys;
use super::settings::{IssuerSettings, SignatureAlgorithm};
use super::token::{Unverified, take_apart};
use domain::time::Timestamp;
use domain::user::Identity;
use jsonwebtoken::{DecodingKey, Validation};
use jwks_client_rs::JsonWebKey;
use serde::de::IgnoredAny;
use serde_json::Value;

/// A trusted issuer with its keys.
pub struct Issuer {
    /// What is trusted.
    pub settings: IssuerSettings,
    /// Its keys.
    pub keys: Keys,
}

/// A token that holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Who it speaks of.
    pub identity: Identity,
    /// The tenant's id or slug, as the issuer's mapping says; `None` where it maps to none.
    pub tenant: Option<String>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The token leaves out its groups.
    pub groups_overage: bool,
    /// The token has the scope that the issuer's settings ask for.
    pub in_scope: bool,
}

/// Verifies `token`.
///
/// The order: size and shape; issuer, unverified, only to pick the settings; algorithm from the settings; key id;
/// signature; times; audience; required claim; kind; subject. What comes after (tenant, user) is the caller's.
///
/// # Errors
/// The first check that says no.
pub async fn verify(token: &str, issuers: &[Issuer], now: Timestamp) -> Result<Verified, Reason> {
    let parts = take_apart(token)?;
    let named = parts.claims.get("iss").and_then(Value::as_str).ok_or(Reason::Issuer)?;
    let issuer = issuers.iter().find(|issuer| issuer.settings.issuer == named).ok_or(Reason::Issuer)?;
    check_signature(token, &parts, issuer).await?;

    let settings = &issuer.settings;
    let claims = &parts.claims;
    let expires_at = claims::check_times(claims, now)?;
    claims::check_audience(claims, &settings.audiences)?;
    if let Some((name, value)) = &settings.required_claim
        && claims.get(name).and_then(Value::as_str) != Some(value)
    {
        return Err(Reason::RequiredClaim);
    }
    claims::check_kind(claims)?;
    let (identity, tenant_claim) = claims::identity(claims, settings)?;
    let tenant = tenant_claim.and_then(|claim| settings.tenants.tenant(&claim).map(str::to_owned));
    let in_scope =
        settings.required_scope.as_deref().is_none_or(|scope| claims::has_scope(claims, &settings.claims, scope));
    Ok(Verified { identity, tenant, expires_at, groups_overage: claims::has_groups_overage(claims), in_scope })
}

async fn check_signature(token: &str, parts: &Unverified, issuer: &Issuer) -> Result<(), Reason> {
    let algorithm = issuer.settings.algorithms.iter().find(|a| a.name() == parts.algorithm).ok_or(Reason::Algorithm)?;
    let key_id = parts.key_id.as_deref().ok_or(Reason::KeyId)?;
    let key = issuer.keys.get(key_id).await.map_err(|_| Reason::NoKeys)?.ok_or(Reason::UnknownKey)?;
    let decoding_key = decoding_key(&key, *algorithm).ok_or(Reason::KeyType)?;

    let mut signature_only = Validation::new(algorithm.jwt());
    signature_only.required_spec_claims.clear();
    signature_only.validate_exp = false;
    signature_only.validate_aud = false;
    jsonwebtoken::decode::<IgnoredAny>(token, &decoding_key, &signature_only).map_err(|_| Reason::Signature)?;
    Ok(())
}

/// The key, if it is of the algorithm's type and not pinned to another algorithm.
fn decoding_key(key: &JsonWebKey, algorithm: SignatureAlgorithm) -> Option<DecodingKey> {
    if key.alg().is_some_and(|pinned| pinned != algorithm.name()) {
        return None;
    }
    match (key, algorithm) {
        (JsonWebKey::Rsa(rsa), SignatureAlgorithm::Rs256 | SignatureAlgorithm::Ps256) => {
            DecodingKey::from_rsa_components(rsa.modulus(), rsa.exponent()).ok()
        }
        (JsonWebKey::Ec(ec), SignatureAlgorithm::Es256) => DecodingKey::from_ec_components(ec.x(), ec.y()).ok(),
        (JsonWebKey::Okp(okp), SignatureAlgorithm::EdDsa) => DecodingKey::from_ed_components(okp.x()).ok(),
        _ => None,
    }
}
