//! Checks the issuers (discovery document, keys, clock), and then a token by the same rules as the server.

use super::{AuthArgs, Findings, token};
use crate::config::Settings;
use crate::system::SystemClock;
use anyhow::{Context as _, Result, bail};
use chrono::DateTime;
use domain::ports::Clock as _;
use policy::authn::inspect::{self, IssuerView, KeyView};
use policy::authn::jwks::fetch;
use policy::authn::settings::{IssuerSettings, TenantTrust};

/// Maximum clock difference in seconds; beyond it tokens may appear expired or not yet valid.
const MAX_CLOCK_SKEW_S: i64 = 60;

/// Checks the configured issuers, or one of them, and a token if given.
///
/// # Errors
/// If the settings are not valid, or no issuer has the given name.
pub async fn check_auth(args: &AuthArgs, given_token: Option<&str>, settings: &Settings) -> Result<Findings> {
    let mut issuers = settings.issuers()?;
    if let Some(name) = &args.issuer {
        issuers.retain(|issuer| issuer.issuer == *name);
        if issuers.is_empty() {
            bail!("no issuer named {name} is configured; names must match exactly, including a trailing /");
        }
    }
    let http = fetch::http_client().context("the HTTP client cannot be built")?;
    let mut found = Findings::default();
    for issuer in &issuers {
        found.heading(format!("issuer {}", issuer.issuer));
        check(issuer, &inspect::issuer(&http, issuer).await, &mut found);
    }
    if let Some(given_token) = given_token {
        found.heading("token");
        token::check(given_token, issuers, settings, &mut found).await?;
    }
    Ok(found)
}

fn check(issuer: &IssuerSettings, view: &IssuerView, found: &mut Findings) {
    for problem in &view.problems {
        found.problem(problem);
    }
    if let Some(url) = view.jwks_uri.as_ref().filter(|_| !view.keys.is_empty()) {
        let keys: Vec<_> = view.keys.iter().map(KeyView::to_string).collect();
        found.ok(format!("{} keys at {url}: {}", view.keys.len(), keys.join(", ")));
        let mut ids: Vec<_> = view.keys.iter().map(|key| &key.id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            found.note(format!("two keys have the id {:?}; both are tried", twice[0]));
        }
    }
    match view.server_date.as_deref().map(DateTime::parse_from_rfc2822) {
        Some(Ok(theirs)) => match (SystemClock.now() - theirs.to_utc()).num_seconds() {
            skew if skew.abs() > MAX_CLOCK_SKEW_S => {
                found.problem(format!("this machine's clock and the issuer's differ by {skew} s; set the clock (NTP)"));
            }
            skew => found.ok(format!("the clocks differ by {skew} s")),
        },
        Some(Err(_)) | None => found.note("the issuer's clock is unknown"),
    }
    if let Some(other) = view.access_token_issuer.as_ref()
        && *other != issuer.issuer
        && !issuer.accept_iss.contains(other)
    {
        found.problem(format!("its tokens have iss {other:?}: add it to accept_iss"));
    }
    match &issuer.tenants {
        TenantTrust::Any => found.note("development mode: it is trusted for every tenant"),
        TenantTrust::Mapped(map) if map.is_empty() => {
            found.note("no tenant is mapped in the configuration; mappings in the database still apply");
        }
        TenantTrust::Mapped(map) => found.ok(format!("{} claim values are mapped to tenants", map.len())),
    }
}
