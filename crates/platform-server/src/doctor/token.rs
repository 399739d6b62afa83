//! Judges a token as the server would, and says which rule refuses it. The token itself is never shown.

use super::Findings;
use crate::config::Settings;
use crate::databases;
use crate::system::SystemClock;
use anyhow::{Context as _, Result};
use domain::decision::RefusalCode;
use domain::ports::{Clock as _, Directory};
use domain::tenant::Tenant;
use policy::authn::settings::IssuerSettings;
use policy::authn::{
    Belongs, Reason, Refusal, Verified, access_token, inspect, issuers as with_keys, tenant_named_by, verify,
};
use policy::keyed_hash::HashKey;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

/// How long standard input is waited for: it may be open and say nothing.
const PATIENCE: Duration = Duration::from_secs(2);
/// More is no token.
const MOST_BYTES: u64 = 1 << 20;

/// The token that was given, if one was.
///
/// # Errors
/// Where its file cannot be read.
pub fn pasted(file: Option<&Path>) -> Result<Option<String>> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?,
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => from_standard_input(),
    };
    let token = text.trim().trim_start_matches("Bearer ").trim();
    Ok((!token.is_empty()).then(|| token.to_owned()))
}

/// On a thread that ends with the process, since a read that nobody answers cannot be given up.
fn from_standard_input() -> String {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = std::io::stdin().take(MOST_BYTES).read_to_string(&mut text);
        let _ = send.send(text);
    });
    receive.recv_timeout(PATIENCE).unwrap_or_default()
}

/// Judges it.
///
/// # Errors
/// Where the settings are not valid.
pub async fn judge(token: &str, issuers: Vec<IssuerSettings>, settings: &Settings, found: &mut Findings) -> Result<()> {
    if token.starts_with(access_token::PREFIX) {
        return judge_access_token(token, settings, found).await;
    }
    if let Ok(view) = inspect::token(token) {
        let claims: Vec<_> = view.claims.iter().map(|(name, value)| format!("{name} {value}")).collect();
        found.note(format!("it says: alg {}, kid {:?}, {}", view.algorithm, view.key_id, claims.join(", ")));
        found.note(format!("its claims: {}", view.names.join(", ")));
    }
    let names: Vec<_> = issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
    let issuers = with_keys(issuers, None).context("no HTTP client can be made")?;
    match verify(token, &issuers, SystemClock.now()).await {
        Err(refusal) => found.problem(explain(&refusal, &names)),
        Ok(verified) => {
            found.good(format!("it is a valid access token of {}", verified.identity.issuer));
            judge_entry(&verified, settings, found).await;
        }
    }
    Ok(())
}

async fn judge_entry(verified: &Verified, settings: &Settings, found: &mut Findings) {
    let Some(claim) = verified.login.tenant_claim.clone() else {
        let names = verified.issuer.claims.tenant.join(", ");
        found.problem(format!("tenant_unmapped: it has none of the claims that name a tenant: {names}"));
        return;
    };
    let tenant = match databases::directory(settings) {
        Ok(directory) => tenant_named_by(verified, &directory).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match tenant {
        Err(error) => found.note(format!("the tenant claim is {claim:?}; its tenant is not known: {error}")),
        Ok(None) => found.problem(format!("tenant_unmapped: nothing maps the tenant claim {claim:?} of this issuer")),
        Ok(Some((tenant, belongs))) => judge_in(&tenant, &belongs, verified, found),
    }
}

fn judge_in(tenant: &Tenant, belongs: &Belongs, verified: &Verified, found: &mut Findings) {
    let by = match belongs {
        Belongs::Mapped { .. } => "a mapping in the database",
        Belongs::Configured | Belongs::ByAccessToken => "the configuration",
    };
    found.good(format!("its tenant is {} ({}), by {by}", tenant.slug, tenant.id));
    if !tenant.is_active {
        found.problem("tenant_suspended: that tenant is switched off");
    }
    let of_tenant = &tenant.settings.role_mappings;
    if let Some(code) = verified.no_entry(of_tenant) {
        found.problem(format!("{code}: {}", entry_advice(code)));
    }
    match verified.role(of_tenant) {
        Some(role) => found.good(format!("its role there is {role}")),
        None => found.note("it says nothing of roles: a new user is a viewer, another keeps the role an admin gave"),
    }
}

fn entry_advice(code: RefusalCode) -> &'static str {
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
        _ => "it is not let in",
    }
}

/// What the refusal means, and what to do.
fn explain(refusal: &Refusal, issuers: &[String]) -> String {
    let advice = match refusal.reason {
        Reason::Issuer => {
            format!("no such issuer is configured (letter by letter, also the last /): {}", issuers.join(", "))
        }
        other => advice(other).to_owned(),
    };
    format!("{}: {advice}", refusal.reason.code())
}

const fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::TooLarge => "longer than 16 KiB; ask the issuer for fewer claims",
        Reason::Malformed => {
            "not three parts of base64url with JSON objects without repeated names; was all of it pasted?"
        }
        Reason::Crit | Reason::HeaderKey => {
            "its header asks for an extension, or brings a key of its own: never honoured"
        }
        Reason::Type => "its typ is none of an access token",
        Reason::Algorithm => "its alg is none of the issuer's algorithms",
        Reason::KeyId => "it has no kid",
        Reason::UnknownKey => {
            "the issuer publishes no key of that kid: another environment's token, or keys that were rotated"
        }
        Reason::KeyType => "the key of that kid is of another type than its alg",
        Reason::NoKeys => "the issuer's keys cannot be had (see above)",
        Reason::Signature => "the signature is wrong: it was changed, or signed by somebody else",
        Reason::Expiry => "it has no usable exp",
        Reason::Expired => "it is over; get a new one, and compare the clocks",
        Reason::NotYet | Reason::IssuedInFuture => "it is of the future: compare the clocks",
        Reason::Audience => "its aud is none of the issuer's audiences: it was made for another service",
        Reason::RequiredClaim => "its tid is another directory than the issuer's",
        Reason::Version => "a token of version 1: set requestedAccessTokenVersion to 2 in the API's manifest",
        Reason::Kind => "an ID, refresh or logout token: send the access token",
        Reason::Subject => "its subject claim is missing, no text, or longer than 255 characters",
        Reason::TooLongAgo { .. } => {
            "the sign-in was too long ago, or it has no auth_time: an optional claim to be asked for"
        }
        Reason::AccessTokenUnknown => {
            "no such personal access token: mistyped, of another installation, or SECRET_KEY changed"
        }
        Reason::AccessTokenExpired => "that personal access token has expired",
        Reason::AccessTokenRevoked => "that personal access token was revoked",
        Reason::HighS => {
            "of the two signatures that hold for it, it has the one with the high s: the issuer does not normalize (set \
             accept_high_s), or somebody changed it"
        }
        Reason::AccessTokenNoLogin
        | Reason::AccessTokenLoginTooOld
        | Reason::AccessTokenIssuer
        | Reason::AccessTokenRequiredClaim
        | Reason::AccessTokenTooLongAgo
        | Reason::AccessTokenUnmapped
        | Reason::AccessTokenGroups
        | Reason::AccessTokenGuest
        | Reason::AccessTokenScope
        | Reason::AccessTokenRole => "the last interactive login of its user does not carry it any more",
        Reason::Missing | Reason::Issuer => "no token, or no issuer that is trusted",
    }
}

async fn judge_access_token(token: &str, settings: &Settings, found: &mut Findings) -> Result<()> {
    let hash = HashKey::derive(settings.secret()?, "token").hash(token.as_bytes());
    let directory = databases::directory(settings)?;
    let known = directory.access_token(&hash).await.context("the database cannot be asked")?;
    let refused = |reason: Reason| format!("{}: {}", reason.code(), advice(reason));
    match known {
        None => found.problem(refused(Reason::AccessTokenUnknown)),
        Some(known) if known.token.revoked_at.is_some() => found.problem(refused(Reason::AccessTokenRevoked)),
        Some(known) if known.token.expires_at <= SystemClock.now() => {
            found.problem(refused(Reason::AccessTokenExpired))
        }
        Some(known) => {
            let scopes: Vec<_> = known.token.scopes.iter().map(ToString::to_string).collect();
            found.good(format!("a personal access token of tenant {} for {}", known.tenant, scopes.join(", ")));
        }
    }
    Ok(())
}
