//! Checks a token by the same rules as the server, and explains why it is refused. Never prints the token itself.

use super::Findings;
use crate::config::Settings;
use crate::databases;
use crate::system::SystemClock;
use anyhow::{Context as _, Result};
use domain::decision::RefusalCode;
use domain::ports::{Clock as _, TenantDirectory};
use domain::tenant::Tenant;
use policy::authn::settings::IssuerSettings;
use policy::authn::{
    RefusedToken, TenantSource, TokenError, VerifiedToken, access_token, build_issuers, inspect, resolve_tenant, verify,
};
use policy::keyed_hash::HashKey;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// Timeout of reading standard input, which may be an open pipe that never sends anything.
const STDIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of bytes to read from standard input.
const MAX_TOKEN_BYTES: u64 = 1 << 20;

/// Reads the token from the file, or else from standard input unless that is a terminal; `None` if it is empty.
///
/// # Errors
/// If the file cannot be read.
pub fn read_token(file: Option<&Path>) -> Result<Option<String>> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?,
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => read_standard_input(),
    };
    let token = text.trim().trim_start_matches("Bearer ").trim();
    Ok((!token.is_empty()).then(|| token.to_owned()))
}

/// Reads on a detached thread, because a blocked read of standard input cannot be cancelled.
fn read_standard_input() -> String {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = std::io::stdin().take(MAX_TOKEN_BYTES).read_to_string(&mut text);
        let _ = send.send(text);
    });
    receive.recv_timeout(STDIN_TIMEOUT).unwrap_or_default()
}

/// Checks a token and adds the results to `findings`.
///
/// # Errors
/// If the settings are not valid.
pub async fn check(
    token: &str,
    issuers: Vec<IssuerSettings>,
    settings: &Settings,
    findings: &mut Findings,
) -> Result<()> {
    if token.starts_with(access_token::SECRET_PREFIX) {
        return check_personal_access_token(token, settings, findings).await;
    }
    if let Ok(token_view) = inspect::inspect_token(token) {
        let claims: Vec<_> = token_view.claims.iter().map(|(name, value)| format!("{name} {value}")).collect();
        findings.note(format!(
            "contents: alg {}, kid {:?}, {}",
            token_view.algorithm,
            token_view.key_id,
            claims.join(", ")
        ));
        findings.note(format!("claims: {}", token_view.claim_names.join(", ")));
    }
    let issuer_names: Vec<_> = issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
    let issuers = build_issuers(issuers, None).context("the HTTP client cannot be built")?;
    match verify(token, &issuers, SystemClock.now()).await {
        Err(refused) => findings.problem(explain(&refused, &issuer_names)),
        Ok(verified) => {
            findings.ok(format!("valid access token of {}", verified.identity.issuer));
            check_tenant_claim(&verified, settings, findings).await;
        }
    }
    Ok(())
}

async fn check_tenant_claim(verified: &VerifiedToken, settings: &Settings, findings: &mut Findings) {
    let Some(claim) = verified.login.tenant_claim.clone() else {
        let names = verified.issuer.claims.tenant.join(", ");
        findings.problem(format!("tenant_unmapped: none of the claims that name a tenant is present: {names}"));
        return;
    };
    let tenant = match databases::directory(settings) {
        Ok(directory) => resolve_tenant(verified, &directory).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match tenant {
        Err(error) => findings.note(format!("the tenant claim is {claim:?}; the tenant cannot be looked up: {error}")),
        Ok(None) => {
            findings.problem(format!("tenant_unmapped: the tenant claim {claim:?} of this issuer is not mapped"))
        }
        Ok(Some((tenant, source))) => check_tenant(&tenant, &source, verified, findings),
    }
}

fn check_tenant(tenant: &Tenant, source: &TenantSource, verified: &VerifiedToken, findings: &mut Findings) {
    let source_name = match source {
        TenantSource::Mapping { .. } => "a mapping in the database",
        TenantSource::Configuration | TenantSource::PersonalAccessToken => "the configuration",
    };
    findings.ok(format!("tenant {} ({}), from {source_name}", tenant.slug, tenant.id));
    if !tenant.is_active {
        findings.problem("tenant_suspended: the tenant is deactivated");
    }
    let role_mappings = &tenant.settings.role_mappings;
    if let Some(code) = verified.admission_refusal(role_mappings) {
        findings.problem(format!("{code}: {}", admission_advice(code)));
    }
    match verified.role(role_mappings) {
        Some(role) => findings.ok(format!("role {role}")),
        None => findings.note(
            "no role in the token: a new user becomes a viewer, an existing one keeps the role that an admin set",
        ),
    }
}

fn admission_advice(code: RefusalCode) -> &'static str {
    match code {
        RefusalCode::GroupsOverage => {
            "more than 200 groups, so the token has none; use app roles, or set groups_overage = \"ignore\""
        }
        RefusalCode::GuestRefused => {
            "a guest of the directory; add the home directory (claim idp) to the issuer's guests"
        }
        RefusalCode::InsufficientScope => {
            "it lacks the required scope or role; a program (idtyp app) needs a role that is mapped"
        }
        _ => "the token is refused",
    }
}

/// The error code of a refusal, and advice on how to fix it.
fn explain(refused: &RefusedToken, issuers: &[String]) -> String {
    let advice = match refused.error {
        TokenError::UnknownIssuer => {
            format!(
                "this issuer is not configured; names must match exactly, including a trailing /: {}",
                issuers.join(", ")
            )
        }
        other => advice(other).to_owned(),
    };
    format!("{}: {advice}", refused.error.code())
}

const fn advice(error: TokenError) -> &'static str {
    match error {
        TokenError::TooLarge => "longer than 16 KiB; ask the issuer for fewer claims",
        TokenError::Malformed => {
            "not three base64url parts with JSON objects without repeated names; is the token complete?"
        }
        TokenError::CriticalHeader | TokenError::KeyInHeader => {
            "its header requires an extension or contains a key, which is never accepted"
        }
        TokenError::UnexpectedTokenType => "its typ is not that of an access token",
        TokenError::AlgorithmNotAllowed => "its alg is not one of the issuer's algorithms",
        TokenError::MissingKeyId => "it has no kid",
        TokenError::UnknownKey => {
            "the issuer publishes no key with this kid: a token of another environment, or the keys were rotated"
        }
        TokenError::KeyTypeMismatch => "the key with this kid has another type than its alg",
        TokenError::KeysUnavailable => "the issuer's keys cannot be fetched (see above)",
        TokenError::InvalidSignature => "the signature is wrong: the token was changed, or signed with another key",
        TokenError::InvalidExpiry => "it has no usable exp",
        TokenError::Expired => "it has expired; get a new one, and compare the clocks",
        TokenError::NotYetValid | TokenError::IssuedInFuture => "it is not valid yet: compare the clocks",
        TokenError::AudienceMismatch => "its aud is not one of the issuer's audiences: it is for another service",
        TokenError::RequiredClaimMismatch => "its tid is not the issuer's directory",
        TokenError::UnsupportedVersion => {
            "a token of version 1: set requestedAccessTokenVersion to 2 in the API's manifest"
        }
        TokenError::NotAnOAuthAccessToken => "an ID, refresh or logout token: send the access token",
        TokenError::InvalidSubject => "its subject claim is missing, not a string, or longer than 255 characters",
        TokenError::AuthenticationTooOld { .. } => {
            "the sign-in was too long ago, or the optional claim auth_time is missing"
        }
        TokenError::PersonalTokenUnknown => {
            "unknown personal access token: mistyped, of another installation, or SECRET_KEY has changed"
        }
        TokenError::PersonalTokenExpired => "the personal access token has expired",
        TokenError::PersonalTokenRevoked => "the personal access token was revoked",
        TokenError::HighSSignature => {
            "its signature has a high s: the issuer does not normalize signatures (set accept_high_s), or the token \
             was changed"
        }
        TokenError::PersonalTokenWithoutLogin
        | TokenError::PersonalTokenLastLoginTooOld
        | TokenError::PersonalTokenUnknownIssuer
        | TokenError::PersonalTokenRequiredClaimMismatch
        | TokenError::PersonalTokenMaxAgeExceeded
        | TokenError::PersonalTokenTenantUnmapped
        | TokenError::PersonalTokenGroupsOverage
        | TokenError::PersonalTokenGuestRefused
        | TokenError::PersonalTokenInsufficientScope
        | TokenError::PersonalTokenRoleLowered => {
            "the last interactive login of its user no longer satisfies the rules of the issuer"
        }
        TokenError::Missing | TokenError::UnknownIssuer => "no token, or the issuer is not trusted",
    }
}

async fn check_personal_access_token(token: &str, settings: &Settings, findings: &mut Findings) -> Result<()> {
    let hash = HashKey::derive(settings.secret_key_bytes()?, "token").hash(token.as_bytes());
    let directory = databases::directory(settings)?;
    let stored_token = directory.access_token(&hash).await.context("the database cannot be queried")?;
    let refusal_text = |error: TokenError| format!("{}: {}", error.code(), advice(error));
    match stored_token {
        None => findings.problem(refusal_text(TokenError::PersonalTokenUnknown)),
        Some(stored_token) if stored_token.token.revoked_at.is_some() => {
            findings.problem(refusal_text(TokenError::PersonalTokenRevoked))
        }
        Some(stored_token) if stored_token.token.expires_at <= SystemClock.now() => {
            findings.problem(refusal_text(TokenError::PersonalTokenExpired))
        }
        Some(stored_token) => {
            let scopes: Vec<_> = stored_token.token.scopes.iter().map(ToString::to_string).collect();
            findings.ok(format!("personal access token of tenant {} for {}", stored_token.tenant, scopes.join(", ")));
        }
    }
    Ok(())
}
