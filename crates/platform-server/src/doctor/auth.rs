//! Checks the issuers (discovery document, keys, clock), and then a token by the same rules as the server.

use super::{AuthArgs, Findings, token};
use crate::config::Settings;
use crate::system::SystemClock;
use anyhow::{Context as _, Result, bail};
use chrono::DateTime;
use domain::ports::Clock as _;
use policy::authn::inspect::{self, IssuerReport, KeySummary};
use policy::authn::jwks::fetch;
use policy::authn::settings::{IssuerSettings, IssuerTenantMapping};

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
    let mut findings = Findings::default();
    for issuer in &issuers {
        findings.heading(format!("issuer {}", issuer.issuer));
        check_issuer(issuer, &inspect::inspect_issuer(&http, issuer).await, &mut findings);
    }
    if let Some(given_token) = given_token {
        findings.heading("token");
        token::check(given_token, issuers, settings, &mut findings).await?;
    }
    Ok(findings)
}

fn check_issuer(issuer: &IssuerSettings, report: &IssuerReport, findings: &mut Findings) {
    for problem in &report.problems {
        findings.problem(problem);
    }
    if let Some(url) = report.jwks_uri.as_ref().filter(|_| !report.keys.is_empty()) {
        let keys: Vec<_> = report.keys.iter().map(KeySummary::to_string).collect();
        findings.ok(format!("{} at {url}: {}", counted(keys.len(), "key"), keys.join(", ")));
        let mut ids: Vec<_> = report.keys.iter().map(|key| &key.id).collect();
        ids.sort_unstable();
        if let Some(duplicate) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
            findings.note(format!("two keys have the id {:?}; both are tried", duplicate[0]));
        }
    }
    match report.server_date.as_deref().map(DateTime::parse_from_rfc2822) {
        Some(Ok(issuer_time)) => match (SystemClock.now() - issuer_time.to_utc()).num_seconds() {
            skew if skew.abs() > MAX_CLOCK_SKEW_S => {
                findings
                    .problem(format!("this machine's clock and the issuer's differ by {skew} s; set the clock (NTP)"));
            }
            skew => findings.ok(format!("the clocks differ by {skew} s")),
        },
        Some(Err(_)) | None => findings.note("the issuer's clock is unknown"),
    }
    if let Some(token_issuer) = report.access_token_issuer.as_ref()
        && *token_issuer != issuer.issuer
        && !issuer.accepted_issuers.contains(token_issuer)
    {
        findings.problem(format!("its tokens have iss {token_issuer:?}: add it to accept_iss"));
    }
    match &issuer.tenants {
        IssuerTenantMapping::Any => findings.note("development mode: it is trusted for every tenant"),
        IssuerTenantMapping::Mapped(map) if map.is_empty() => {
            findings.note("no tenant is mapped in the configuration; mappings in the database still apply");
        }
        IssuerTenantMapping::Mapped(map) => {
            findings.ok(format!("{} mapped to tenants", counted(map.len(), "claim value")))
        }
    }
}

/// A number with its noun: `1 key`, `2 keys`.
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}
