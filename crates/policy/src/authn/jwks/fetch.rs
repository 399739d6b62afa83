//! Fetches JWK Sets and discovery documents: https only (or http on the loopback interface), no redirects, at most 1
//! MiB and 5 s, and never a URL from a token.

use crate::authn::settings::KeySource;
use futures::StreamExt as _;
use jwks_client_rs::JsonWebKey;
use serde_json::{Value, json};
use std::path::Path;

/// Maximum size of a JWK Set or discovery document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 1 << 20;

/// Why a key set could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The server could not be reached or returned an error status.
    #[error("{url} could not be fetched")]
    Fetch {
        /// URL of the document.
        url: String,
        /// Cause of the failure.
        source: reqwest::Error,
    },
    /// The document is too large or invalid.
    #[error("{url} is not usable: {reason}")]
    Unusable {
        /// URL or path of the document.
        url: String,
        /// Cause of the failure.
        reason: String,
    },
    /// The last fetch was too recent; see [`super::refresh::RefreshPolicy`].
    #[error("the last fetch of the keys was too recent; the next one has to wait")]
    RateLimited,
}

/// Creates the HTTP client for keys: no redirects, timeout 5 s.
///
/// # Errors
/// If the HTTP client cannot be created.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(3))
        .timeout(std::time::Duration::from_secs(5))
        .build()
}

/// A fetched JSON document.
#[derive(Clone, Debug)]
pub struct FetchedDocument {
    /// Contents of the document.
    pub json: Value,
    /// The `Date` header of the response.
    pub date: Option<String>,
}

/// The keys of a JWK Set that can verify signatures.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    /// The parsed keys.
    pub keys: Vec<JsonWebKey>,
    /// The public members of the same keys, for the disk cache.
    pub public_jwks: Vec<Value>,
}

/// Fetches a JSON document.
///
/// # Errors
/// If the URL is not allowed, the request fails, or the response is not a JSON document.
pub async fn fetch_document(http: &reqwest::Client, url: &str) -> Result<FetchedDocument, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: url.to_owned(), reason: reason.to_owned() };
    let fetch_error = |source| KeySetError::Fetch { url: url.to_owned(), source };
    if !is_allowed_url(url) {
        return Err(unusable("only https, or http on the loopback interface, is allowed"));
    }
    let response = http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(fetch_error)?;
    if !response.status().is_success() {
        return Err(unusable("the server responded with a redirect"));
    }
    let date = response.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(fetch_error)?);
        if body.len() > MAX_DOCUMENT_BYTES {
            return Err(unusable("larger than 1 MiB"));
        }
    }
    let json = serde_json::from_slice(&body).map_err(|_| unusable("not valid JSON"))?;
    Ok(FetchedDocument { json, date })
}

/// Returns the URL of an issuer's discovery document (OpenID Connect Discovery 1.0 §4).
#[must_use]
pub fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// Returns the `jwks_uri` of a discovery document.
///
/// # Errors
/// If the document belongs to another issuer or has no `jwks_uri`.
pub fn jwks_uri(issuer: &str, document: &Value) -> Result<String, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: discovery_url(issuer), reason: reason.to_owned() };
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(unusable("its issuer differs from the configured one"));
    }
    document.get("jwks_uri").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| unusable("jwks_uri is missing"))
}

/// Loads an issuer's keys from the source in its settings.
///
/// # Errors
/// If the keys cannot be loaded.
pub async fn fetch_key_set(http: &reqwest::Client, issuer: &str, source: &KeySource) -> Result<KeySet, KeySetError> {
    let url = match source {
        KeySource::File(path) => return read_file(path),
        KeySource::Url(url) => url.clone(),
        KeySource::Discovery => jwks_uri(issuer, &fetch_document(http, &discovery_url(issuer)).await?.json)?,
    };
    parse_key_set(&url, &fetch_document(http, &url).await?.json)
}

/// Whether keys may be fetched from `url`: https, or http on the loopback interface.
#[must_use]
pub fn is_allowed_url(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback)
}

fn read_file(path: &Path) -> Result<KeySet, KeySetError> {
    let url = path.display().to_string();
    let unusable = |reason: String| KeySetError::Unusable { url: url.clone(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let document = serde_json::from_str(&text).map_err(|_| unusable("not valid JSON".to_owned()))?;
    parse_key_set(&url, &document)
}

/// Parses a JWK Set and returns its signature keys. Skips keys of unknown types, for encryption, or without an id.
///
/// # Errors
/// If no key is left: an empty key set is a mistake and must not replace the cached keys.
pub fn parse_key_set(url: &str, document: &Value) -> Result<KeySet, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: url.to_owned(), reason: reason.to_owned() };
    let jwks = document.get("keys").and_then(Value::as_array).ok_or_else(|| unusable("the keys array is missing"))?;
    let mut set = KeySet::default();
    for key in jwks.iter().filter(|key| can_verify(key)) {
        let Ok(parsed) = serde_json::from_value(key.clone()) else { continue };
        set.keys.push(parsed);
        set.public_jwks.push(public_members(key));
    }
    if set.keys.is_empty() { Err(unusable("no key can verify signatures")) } else { Ok(set) }
}

fn can_verify(key: &Value) -> bool {
    let allows_verify =
        |operations: &Value| operations.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify"));
    key.get("use").is_none_or(|usage| usage == "sig") && key.get("key_ops").is_none_or(allows_verify)
}

/// Returns the public members of a JWK. Drops private members in case an issuer publishes them by mistake.
fn public_members(key: &Value) -> Value {
    let names = ["kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"];
    json!(names.iter().filter_map(|name| Some((*name, key.get(*name)?))).collect::<std::collections::BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_verify_signatures_are_skipped() {
        let set = json!({"keys": [
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "wraps", "key_ops": ["wrapKey"], "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "good", "use": "sig", "n": "AQAB", "e": "AQAB", "d": "private"},
            {"kty": "XYZ", "kid": "new"},
        ]});
        let set = parse_key_set("u", &set).expect("one usable key");
        assert_eq!(set.keys.iter().map(JsonWebKey::key_id).collect::<Vec<_>>(), ["good"]);
        assert_eq!(set.public_jwks, [json!({"kty": "RSA", "kid": "good", "use": "sig", "n": "AQAB", "e": "AQAB"})]);
        assert!(parse_key_set("u", &json!({"keys": []})).is_err());
        assert!(parse_key_set("u", &json!([])).is_err());
    }

    #[test]
    fn keys_are_fetched_over_https_or_from_the_loopback_interface_only() {
        for good in ["https://idp.example/jwks", "http://127.0.0.1:9/jwks", "http://[::1]:9/j", "http://localhost/j"] {
            assert!(is_allowed_url(good), "{good}");
        }
        for bad in ["http://idp.example/jwks", "file:///etc/passwd", "http://127.0.0.1.evil.example/", "jwks"] {
            assert!(!is_allowed_url(bad), "{bad}");
        }
    }
}
