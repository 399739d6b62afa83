//! An issuer's public keys, by way of `jwks_client_rs` with a source of our own.
//!
//! The crate caches and rotates keys; its own source and `decode` are not used, since unknown key ids would each cause
//! a fetch, one key of an unknown type would spoil the whole set, and a key without `alg` (Entra's) would validate as
//! HS256. The source below fetches at most once per [`UNKNOWN_KEY_INTERVAL`] for unknown key ids, waits after a
//! failure, drops keys that it cannot use, follows no redirect and reads at most [`MAX_BYTES`].

use super::settings::KeySource;
use async_trait::async_trait;
use futures::StreamExt as _;
use jwks_client_rs::source::JwksSource;
use jwks_client_rs::{JsonWebKey, JsonWebKeySet, JwksClient, JwksClientError};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a key set is used before it is fetched again.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(3600);
/// How often an unknown key id may cause a fetch before [`TIME_TO_LIVE`] is over.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(300);
/// How long nothing is fetched after a failure.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(5);
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

/// No key set could be had, and none is known from before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoKeys;

/// The keys of one issuer.
pub struct Keys {
    client: JwksClient<Source>,
    state: Arc<Mutex<State>>,
}

impl Keys {
    /// Prepares the keys of `issuer`; nothing is fetched yet.
    #[must_use]
    pub fn new(issuer: &str, from: KeySource, http: reqwest::Client) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let source = Source { issuer: issuer.to_owned(), from, http, state: Arc::clone(&state) };
        Self { client: JwksClient::builder().time_to_live(TIME_TO_LIVE).build(source), state }
    }

    /// The key of this id; `None` where the issuer has none of it.
    ///
    /// # Errors
    /// Where no key set could be had, and none is known from before.
    pub async fn get(&self, key_id: &str) -> Result<Option<JsonWebKey>, NoKeys> {
        // The client decides when to fetch; what the last good set says is the answer. The client itself would hand out
        // a key once more that the set it just fetched no longer has.
        let _ = self.client.get(key_id).await;
        match &lock(&self.state).keys {
            Some(keys) => Ok(keys.iter().find(|key| key.key_id() == key_id).cloned()),
            None => Err(NoKeys),
        }
    }
}

#[derive(Default)]
struct State {
    keys: Option<Vec<JsonWebKey>>,
    fetched: Option<Instant>,
    failed: Option<Instant>,
    unknown_key: Option<Instant>,
}

impl State {
    /// Whether to fetch now; otherwise what is known is all there is.
    fn may_fetch(&mut self) -> bool {
        if self.failed.is_some_and(|at| at.elapsed() < RETRY_INTERVAL) {
            return false;
        }
        let fresh = self.fetched.is_some_and(|at| at.elapsed() < TIME_TO_LIVE);
        if !fresh {
            return true;
        }
        // A fresh set and yet a fetch is asked for: the key id is unknown.
        let allowed = self.unknown_key.is_none_or(|at| at.elapsed() >= UNKNOWN_KEY_INTERVAL);
        if allowed {
            self.unknown_key = Some(Instant::now());
        }
        allowed
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fetches key sets. The crate calls it under its own lock: one fetch at a time.
struct Source {
    issuer: String,
    from: KeySource,
    http: reqwest::Client,
    state: Arc<Mutex<State>>,
}

#[async_trait]
impl JwksSource for Source {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        // An error, not the known set: the client would take that for news and not ask again for an hour.
        if !lock(&self.state).may_fetch() {
            return Err(foreign(&KeySetError::Waiting));
        }
        let fetched = self.fetch().await;
        let mut state = lock(&self.state);
        match fetched {
            Ok(keys) => {
                state.keys = Some(keys.clone());
                state.fetched = Some(Instant::now());
                state.failed = None;
                Ok(keys.into())
            }
            Err(error) => {
                state.failed = Some(Instant::now());
                tracing::warn!(issuer = %self.issuer, error = %error, "the issuer's keys could not be fetched");
                Err(foreign(&error))
            }
        }
    }
}

/// The crate's error can only be made from another crate's; the text is for its log lines.
fn foreign(error: &KeySetError) -> JwksClientError {
    let json: serde_json::Error = serde::de::Error::custom(error);
    jsonwebtoken::errors::Error::from(json).into()
}

impl Source {
    async fn fetch(&self) -> Result<Vec<JsonWebKey>, KeySetError> {
        match &self.from {
            KeySource::File(path) => read_file(path),
            KeySource::Url(url) => usable_keys(url, &self.document(url).await?),
            KeySource::Discovery => {
                let url = self.discovered().await?;
                usable_keys(&url, &self.document(&url).await?)
            }
        }
    }

    /// The address of the key set, from a discovery document that names this very issuer.
    async fn discovered(&self) -> Result<String, KeySetError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let document = self.document(&url).await?;
        if document.get("issuer").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(KeySetError::Unusable { url, reason: "it names another issuer".to_owned() });
        }
        match document.get("jwks_uri").and_then(Value::as_str) {
            Some(keys) => Ok(keys.to_owned()),
            None => Err(KeySetError::Unusable { url, reason: "it names no jwks_uri".to_owned() }),
        }
    }

    async fn document(&self, url: &str) -> Result<Value, KeySetError> {
        let unusable = |reason: &str| KeySetError::Unusable { url: url.to_owned(), reason: reason.to_owned() };
        let failed = |source| KeySetError::Fetch { url: url.to_owned(), source };
        if !is_allowed(url) {
            return Err(unusable("only https, or http on the loopback interface, is allowed"));
        }
        let answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        if !answer.status().is_success() {
            return Err(unusable("the server redirects"));
        }
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            body.extend_from_slice(&piece.map_err(failed)?);
            if body.len() > MAX_BYTES {
                return Err(unusable("it is larger than 1 MiB"));
            }
        }
        serde_json::from_slice(&body).map_err(|_| unusable("it is no JSON"))
    }
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

fn read_file(path: &Path) -> Result<Vec<JsonWebKey>, KeySetError> {
    let url = path.display().to_string();
    let unusable = |reason: String| KeySetError::Unusable { url: url.clone(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let document = serde_json::from_str(&text).map_err(|_| unusable("it is no JSON".to_owned()))?;
    usable_keys(&url, &document)
}

/// The signature keys of a set. A key of an unknown type, for encryption, or without an id is left out.
fn usable_keys(url: &str, document: &Value) -> Result<Vec<JsonWebKey>, KeySetError> {
    let unusable = |reason: &str| KeySetError::Unusable { url: url.to_owned(), reason: reason.to_owned() };
    let listed = document.get("keys").and_then(Value::as_array).ok_or_else(|| unusable("it has no list of keys"))?;
    let keys: Vec<JsonWebKey> = listed
        .iter()
        .filter(|key| key.get("use").is_none_or(|usage| usage == "sig"))
        .filter_map(|key| serde_json::from_value(key.clone()).ok())
        .collect();
    if keys.is_empty() { Err(unusable("it has no key for signatures")) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_that_cannot_verify_signatures_are_left_out_and_do_not_spoil_the_set() {
        let set = json!({"keys": [
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kty": "RSA", "kid": "good", "use": "sig", "n": "AQAB", "e": "AQAB"},
            {"kty": "XYZ", "kid": "new"},
        ]});
        let keys = usable_keys("u", &set).expect("one is left");
        assert_eq!(keys.iter().map(JsonWebKey::key_id).collect::<Vec<_>>(), ["good"]);
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

    #[test]
    fn unknown_key_ids_cause_one_fetch_and_then_none_for_a_while() {
        let mut state = State::default();
        assert!(state.may_fetch(), "nothing is known yet");
        state.fetched = Some(Instant::now());
        assert!(state.may_fetch(), "the first unknown key id may be a rotation");
        assert!(!state.may_fetch());
        state.failed = Some(Instant::now());
        state.fetched = None;
        assert!(!state.may_fetch(), "a failure is not repeated at once");
    }
}
