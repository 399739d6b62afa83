//! What can be seen of an issuer from outside, and of a token without believing it: for those who look for a fault.

use super::jwks::fetch;
use super::reason::{Reason, loggable};
use super::settings::{IssuerSettings, KeySource};
use super::token::take_apart;
use jwks_client_rs::JsonWebKey;
use serde_json::Value;

/// What an issuer's servers say.
#[derive(Clone, Debug, Default)]
pub struct IssuerView {
    /// Where the keys are to be had; `None` where the discovery document does not say it.
    pub keys_at: Option<String>,
    /// The keys: id, type or curve, `alg` if pinned.
    pub keys: Vec<KeyView>,
    /// The server's clock, as its `Date` header has it.
    pub date: Option<String>,
    /// The name that its tokens carry instead of its own, if the discovery document says so (AD FS).
    pub access_token_issuer: Option<String>,
    /// What is wrong, one sentence each.
    pub problems: Vec<String>,
}

/// A key, as far as people compare it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyView {
    /// `kid`.
    pub id: String,
    /// `RSA`, or the curve.
    pub kind: String,
    /// `alg`, if the key is pinned to one.
    pub algorithm: Option<String>,
}

impl std::fmt::Display for KeyView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.id.escape_debug(), self.algorithm.as_deref().unwrap_or(&self.kind))
    }
}

/// Looks at an issuer: discovery document, keys, clock.
pub async fn issuer(http: &reqwest::Client, settings: &IssuerSettings) -> IssuerView {
    let mut view = IssuerView::default();
    view.keys_at = match &settings.keys {
        KeySource::File(path) => Some(path.display().to_string()),
        KeySource::Url(url) => Some(url.clone()),
        KeySource::Discovery => discover(http, &settings.issuer, &mut view).await,
    };
    let Some(keys_at) = view.keys_at.clone() else { return view };
    let keys = match &settings.keys {
        KeySource::File(_) => fetch::key_set(http, &settings.issuer, &settings.keys).await,
        _ => fetch::document(http, &keys_at).await.and_then(|document| {
            view.date = document.date.or(view.date.take());
            fetch::usable_keys(&keys_at, &document.json)
        }),
    };
    match keys {
        Ok(set) => view.keys = set.keys.iter().map(key).collect(),
        Err(error) => view.problems.push(sentence(&error)),
    }
    view
}

async fn discover(http: &reqwest::Client, issuer: &str, view: &mut IssuerView) -> Option<String> {
    let document = match fetch::document(http, &fetch::discovery_url(issuer)).await {
        Ok(document) => document,
        Err(error) => {
            view.problems.push(sentence(&error));
            return None;
        }
    };
    view.date = document.date;
    let text = |name: &str| document.json.get(name).and_then(Value::as_str).map(str::to_owned);
    view.access_token_issuer = text("access_token_issuer");
    match fetch::keys_url(issuer, &document.json) {
        Ok(url) => Some(url),
        Err(error) => {
            let named = text("issuer").unwrap_or_default();
            view.problems
                .push(format!("{} (its issuer is {named:?}, the configured one {issuer:?})", sentence(&error)));
            None
        }
    }
}

/// An error with its causes: "cannot be fetched" alone helps nobody who looks for a proxy or a certificate.
fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn key(key: &JsonWebKey) -> KeyView {
    let kind = match key {
        JsonWebKey::Rsa(_) => "RSA",
        JsonWebKey::Ec(ec) => ec.curve(),
        JsonWebKey::Okp(okp) => okp.curve(),
    };
    KeyView { id: key.key_id().to_owned(), kind: kind.to_owned(), algorithm: key.alg().map(str::to_owned) }
}

/// What a token says of itself; nothing of it is verified, and nothing of it is secret.
#[derive(Clone, Debug)]
pub struct TokenView {
    /// `alg`.
    pub algorithm: String,
    /// `kid`.
    pub key_id: Option<String>,
    /// `iss`, `aud`, `exp`, `iat`, `tid`, `ver` as they are, where they are there.
    pub claims: Vec<(&'static str, Value)>,
    /// The names of all claims.
    pub names: Vec<String>,
}

/// Takes a token apart without believing it.
///
/// # Errors
/// Where it is none.
pub fn token(token: &str) -> Result<TokenView, Reason> {
    let parts = take_apart(token)?;
    let shown = ["iss", "aud", "exp", "iat", "tid", "ver"];
    Ok(TokenView {
        claims: shown.iter().filter_map(|name| Some((*name, parts.claims.get(*name)?.clone()))).collect(),
        names: parts.claims.keys().filter_map(|name| loggable(name)).collect(),
        algorithm: loggable(&parts.algorithm).unwrap_or_default(),
        key_id: parts.key_id.as_deref().and_then(loggable),
    })
}
