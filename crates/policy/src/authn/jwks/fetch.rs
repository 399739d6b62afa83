//! Fetches key sets and discovery documents: https (or this machine itself), no redirect, 1 MiB, 5 s, never an address
//! that a token names.

use crate::authn::settings::KeySource;
use futures::StreamExt as _;
use jwks_client_rs::JsonWebKey;
use serde_json::{Value, json};
use std::path::Path;

/// Most bytes of a key set or discovery document.
pub const MAX_BYTES: usize = 1 << 20;

/// Why a key set could not be had.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// The server could not be reached or answered badly.
    #[error("{url} could not be fetched")]
    Fetch {
        /// The address.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// The document is too large or not what it should be.
    #[error("{url} is not usable: {reason}")]
    Unusable {
        /// The address or file.
        url: String,
        /// Why.
        reason: String,
    },
    /// A fetch failed, or was made for an unknown key id, just now; the next one waits.
    #[error("the last fetch of the keys was just now; the next one waits")]
    Waiting,
}

/// The client that keys are fetched with: no redirect, and no more than 5 s.
///
/// # Errors
/// Where no HTTP client can be made.
pub fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(std::time::Duration::from_secs(3))
        .timeout(std::time::Duration::from_secs(5))
        .build()
}

/// A JSON document, and the server's clock as its `Date` header has it.
#[derive(Clone, Debug)]
pub struct Document {
    /// The document.
    pub json: Value,
    /// The `Date` header.
    pub date: Option<String>,
}

/// The keys of a set that signatures can be checked with, and the public members of each as they came.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    /// The keys.
    pub keys: Vec<JsonWebKey>,
    /// The same, to be kept in a file.
    pub public: Vec<Value>,
}

/// Fetches a JSON document.
///
/// # Errors
/// Where the address is not allowed, or the answer no document.
pub async fn document(http: &reqwest::Client, url: &str) -> Result<Document, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: url.to_owned(), reason: reason.to_owned() };
    let failed = |source| KeySetError::Fetch { url: url.to_owned(), source };
    if !is_allowed(url) {
        return Err(unusable("only https, or http on the loopback interface, is allowed"));
    }
    let answer = http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    if !answer.status().is_success() {
        return Err(unusable("the server redirects"));
    }
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(failed)?);
        if body.len() > MAX_BYTES {
            return Err(unusable("it is larger than 1 MiB"));
        }
    }
    let json = serde_json::from_slice(&body).map_err(|_| unusable("it is no JSON"))?;
    Ok(Document { json, date })
}

/// Where an issuer's discovery document is (OpenID Connect Discovery 1.0 §4).
#[must_use]
pub fn discovery_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The address of the key set that a discovery document names, if the document is this very issuer's.
///
/// # Errors
/// Where it names another issuer, or no key set.
pub fn keys_url(issuer: &str, document: &Value) -> Result<String, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: discovery_url(issuer), reason: reason.to_owned() };
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(unusable("it names another issuer"));
    }
    document.get("jwks_uri").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| unusable("it names no jwks_uri"))
}

/// Fetches an issuer's keys from where the settings say.
///
/// # Errors
/// Where they cannot be had.
pub async fn key_set(http: &reqwest::Client, issuer: &str, from: &KeySource) -> Result<KeySet, KeySetError> {
    let url = match from {
        KeySource::File(path) => return read_file(path),
        KeySource::Url(url) => url.clone(),
        KeySource::Discovery => keys_url(issuer, &document(http, &discovery_url(issuer)).await?.json)?,
    };
    usable_keys(&url, &document(http, &url).await?.json)
}

/// Whether keys may be fetched from this address: https, or http to this machine itself.
#[must_use]
pub fn is_allowed(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => {
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && loopback)
}

fn read_file(path: &Path) -> Result<KeySet, KeySetError> {
    let url = path.display().to_string();
    let unusable = |reason: String| KeySetError::Unusable { url: url.clone(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let document = serde_json::from_str(&text).map_err(|_| unusable("it is no JSON".to_owned()))?;
    usable_keys(&url, &document)
}

/// The signature keys of a set. A key of an unknown type, for encryption, or without an id is left out.
///
/// # Errors
/// Where none is left: a set without keys is a fault, not news.
pub fn usable_keys(url: &str, document: &Value) -> Result<KeySet, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: url.to_owned(), reason: reason.to_owned() };
    let listed = document.get("keys").and_then(Value::as_array).ok_or_else(|| unusable("it has no list of keys"))?;
    let mut set = KeySet::default();
    for key in listed.iter().filter(|key| is_for_signatures(key)) {
        let Ok(usable) = serde_json::from_value(key.clone()) else { continue };
        set.keys.push(usable);
        set.public.push(public_members(key));
    }
    if set.keys.is_empty() { Err(unusable("it has no key for signatures")) } else { Ok(set) }
}

fn is_for_signatures(key: &Value) -> bool {
    let verifies = |operations: &Value| operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"));
    key.get("use").is_none_or(|usage| usage == "sig") && key.get("key_ops").is_none_or(verifies)
}

/// Private members that a careless issuer publishes are not kept.
fn public_members(key: &Value) -> Value {
    let names = ["kty", "kid", "use", "alg", "n", "e", "crv", "x", "y"];
    json!(names.iter().filter_map(|name| Some((*name, key.get(*name)?))).collect::<std::collections::BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_cannot_verify_signatures_are_left_out_and_do_not_spoil_the_set() {
        let set = json!({"keys": [
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "wraps", "key_ops": ["wrapKey"], "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "good", "use": "sig", "n": "AQAB", "e": "AQAB", "d": "private"},
            {"kty": "XYZ", "kid": "new"},
        ]});
        let set = usable_keys("u", &set).expect("one is left");
        assert_eq!(set.keys.iter().map(JsonWebKey::key_id).collect::<Vec<_>>(), ["good"]);
        assert_eq!(set.public, [json!({"kty": "RSA", "kid": "good", "use": "sig", "n": "AQAB", "e": "AQAB"})]);
        assert!(usable_keys("u", &json!({"keys": []})).is_err());
        assert!(usable_keys("u", &json!([])).is_err());
    }

    #[test]
    fn keys_come_over_https_or_from_this_machine_only() {
        for good in ["https://idp.example/jwks", "http://127.0.0.1:9/jwks", "http://[::1]:9/j", "http://localhost/j"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in ["http://idp.example/jwks", "file:///etc/passwd", "http://127.0.0.1.evil.example/", "jwks"] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }
}
