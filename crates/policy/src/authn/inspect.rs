//! Diagnostics: shows the keys that an issuer publishes, and the contents of a token without verifying it.

use super::jwks::fetch;
use super::jws::parse;
use super::settings::{IssuerSettings, KeySource};
use super::token_error::{TokenError, loggable_text};
use jwks_client_rs::JsonWebKey;
use serde_json::Value;

/// Keys and metadata that an issuer publishes.
#[derive(Clone, Debug, Default)]
pub struct IssuerReport {
    /// URL or path of the JWK Set; `None` if the discovery document does not name it.
    pub jwks_uri: Option<String>,
    /// The signature keys in the JWK Set.
    pub keys: Vec<KeySummary>,
    /// The `Date` header of the last response, to compare the clocks.
    pub server_date: Option<String>,
    /// The `iss` that the issuer's tokens carry, if the discovery document names one that differs from the issuer (AD
    /// FS).
    pub access_token_issuer: Option<String>,
    /// Problems found, one sentence each.
    pub problems: Vec<String>,
}

/// A key of a JWK Set, without its public key material.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySummary {
    /// The `kid` member.
    pub id: String,
    /// `RSA`, or the name of the curve.
    pub kind: String,
    /// The `alg` member, if the key is restricted to one algorithm.
    pub algorithm: Option<String>,
}

impl std::fmt::Display for KeySummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.id.escape_debug(), self.algorithm.as_deref().unwrap_or(&self.kind))
    }
}

/// Fetches an issuer's discovery document and keys. Failures are listed in the result.
pub async fn inspect_issuer(http: &reqwest::Client, settings: &IssuerSettings) -> IssuerReport {
    let mut report = IssuerReport::default();
    report.jwks_uri = match &settings.keys {
        KeySource::File(path) => Some(path.display().to_string()),
        KeySource::Url(url) => Some(url.clone()),
        KeySource::Discovery => discover(http, &settings.issuer, &mut report).await,
    };
    let Some(jwks_uri) = report.jwks_uri.clone() else { return report };
    let keys = match &settings.keys {
        KeySource::File(_) => fetch::fetch_key_set(http, &settings.issuer, &settings.keys).await,
        _ => fetch::fetch_document(http, &jwks_uri).await.and_then(|document| {
            report.server_date = document.date.or(report.server_date.take());
            fetch::parse_key_set(&jwks_uri, &document.json)
        }),
    };
    match keys {
        Ok(set) => report.keys = set.keys.iter().map(key_summary).collect(),
        Err(error) => report.problems.push(error_chain(&error)),
    }
    report
}

async fn discover(http: &reqwest::Client, issuer: &str, report: &mut IssuerReport) -> Option<String> {
    let document = match fetch::fetch_document(http, &fetch::discovery_url(issuer)).await {
        Ok(document) => document,
        Err(error) => {
            report.problems.push(error_chain(&error));
            return None;
        }
    };
    report.server_date = document.date;
    let text_member = |name: &str| document.json.get(name).and_then(Value::as_str).map(str::to_owned);
    report.access_token_issuer = text_member("access_token_issuer");
    match fetch::jwks_uri(issuer, &document.json) {
        Ok(url) => Some(url),
        Err(error) => {
            let published_issuer = text_member("issuer").unwrap_or_default();
            report.problems.push(format!(
                "{} (its issuer is {published_issuer:?}, the configured one {issuer:?})",
                error_chain(&error)
            ));
            None
        }
    }
}

/// Formats an error with its sources, so that a proxy or certificate problem is visible.
fn error_chain(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn key_summary(key: &JsonWebKey) -> KeySummary {
    let kind = match key {
        JsonWebKey::Rsa(_) => "RSA",
        JsonWebKey::Ec(ec) => ec.curve(),
        JsonWebKey::Okp(okp) => okp.curve(),
    };
    KeySummary { id: key.key_id().to_owned(), kind: kind.to_owned(), algorithm: key.alg().map(str::to_owned) }
}

/// Contents of an unverified token. Contains nothing secret.
#[derive(Clone, Debug)]
pub struct TokenSummary {
    /// The `alg` header.
    pub algorithm: String,
    /// The `kid` header.
    pub key_id: Option<String>,
    /// Those of the claims `iss`, `aud`, `exp`, `iat`, `tid` and `ver` that the token has.
    pub claims: Vec<(&'static str, Value)>,
    /// Names of all claims that can be logged.
    pub claim_names: Vec<String>,
}

/// Parses a token without verifying it.
///
/// # Errors
/// If `token` is not a well-formed access token.
pub fn inspect_token(token: &str) -> Result<TokenSummary, TokenError> {
    let parsed = parse(token)?;
    let shown_claim_names = ["iss", "aud", "exp", "iat", "tid", "ver"];
    Ok(TokenSummary {
        claims: shown_claim_names.iter().filter_map(|name| Some((*name, parsed.claims.get(*name)?.clone()))).collect(),
        claim_names: parsed.claims.keys().filter_map(|name| loggable_text(name)).collect(),
        algorithm: loggable_text(&parsed.algorithm).unwrap_or_default(),
        key_id: parsed.key_id.as_deref().and_then(loggable_text),
    })
}
