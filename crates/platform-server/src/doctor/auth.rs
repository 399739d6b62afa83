//! Looks at issuers: discovery document, keys, clock; then judges a token as the server would.

use super::{AuthArgs, Findings, token};
use crate::config::Settings;
use crate::system::SystemClock;
use anyhow::{Context as _, Result, bail};
use chrono::DateTime;
use domain::ports::Clock as _;
use policy::authn::inspect::{self, IssuerView, KeyView};
use policy::authn::jwks::fetch;
use policy::authn::settings::{IssuerSettings, TenantTrust};

/// Clocks that differ by more make tokens of the future or the past, in seconds.
const SKEW: i64 = 60;

/// Looks at the issuers of the settings, or at one, and at a token if there is one.
///
/// # Errors
/// Where the settings are not valid, or no issuer has the given name.
pub async fn look(args: &AuthArgs, pasted: Option<&str>, settings: &Settings) -> Result<Findings> {
    let mut issuers = settings.issuers()?;
    if let Some(name) = &args.issuer {
        issuers.retain(|issuer| issuer.issuer == *name);
        if issuers.is_empty() {
            bail!("no issuer of the name {name} is configured; names are compared letter by letter, also the last /");
        }
    }
    let http = fetch::http_client().context("no HTTP client can be made")?;
    let mut found = Findings::default();
    for issuer in &issuers {
        found.heading(format!("issuer {}", issuer.issuer));
        judge(issuer, &inspect::issuer(&http, issuer).await, &mut found);
    }
    if let Some(pasted) = pasted {
        found.heading("token");
        token::judge(pasted, issuers, settings, &mut found).await?;
    }
    Ok(found)
}

fn judge(issuer: &IssuerSettings, seen: &IssuerView, found: &mut Findings) {
    for problem in &seen.problems {
        found.problem(problem);
    }
    if let Some(at) = seen.jwks_uri.as_ref().filter(|_| !seen.keys.is_empty()) {
        let keys: Vec<_> = seen.keys.iter().map(KeyView::to_string).collect();
        found.good(format!("{} keys at {at}: {}", seen.keys.len(), keys.join(", ")));
        let mut ids: Vec<_> = seen.keys.iter().map(|key| &key.id).collect();
        ids.sort_unstable();
        if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            found.note(format!("two keys have the id {:?}; either will do", twice[0]));
        }
    }
    match seen.server_date.as_deref().map(DateTime::parse_from_rfc2822) {
        Some(Ok(theirs)) => match (SystemClock.now() - theirs.to_utc()).num_seconds() {
            skew if skew.abs() > SKEW => {
                found.problem(format!("this machine's clock and the issuer's differ by {skew} s; set the clock (NTP)"));
            }
            skew => found.good(format!("the clocks differ by {skew} s")),
        },
        Some(Err(_)) | None => found.note("the issuer's clock is not known"),
    }
    if let Some(said) = seen.access_token_issuer.as_ref()
        && *said != issuer.issuer
        && !issuer.accept_iss.contains(said)
    {
        found.problem(format!("its tokens say iss {said:?}: add that to accept_iss"));
    }
    match &issuer.tenants {
        TenantTrust::Any => found.note("development: it may speak for every tenant"),
        TenantTrust::Mapped(map) if map.is_empty() => {
            found.note("no tenant is mapped in the configuration; mappings in the database count all the same");
        }
        TenantTrust::Mapped(map) => found.good(format!("{} claim values are mapped to tenants", map.len())),
    }
}
