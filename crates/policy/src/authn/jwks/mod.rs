//! An issuer's public keys, fetched through `jwks_client_rs` with a custom source.
//!
//! The crate provides the key types and merges concurrent fetches into one. Its own source and its `decode` are not
//! used: each unknown key id would cause a fetch, one key of an unknown type would invalidate the whole set, and a key
//! without `alg` (Entra's) would be used as HS256.
//!
//! No request waits for a known key: [`IssuerKeys::keep_fresh`] refreshes the keys in the background. The last good
//! keys stay in use during an outage and, with a [`disk_cache::DiskCache`], across a restart.

pub mod disk_cache;
pub mod fetch;
pub mod refresh;

use super::settings::KeySource;
use async_trait::async_trait;
use disk_cache::DiskCache;
use fetch::{KeySet, KeySetError};
use jwks_client_rs::source::JwksSource;
use jwks_client_rs::{JsonWebKey, JsonWebKeySet, JwksClient, JwksClientError};
use refresh::{RefreshHistory, RefreshPolicy, RefreshTrigger};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Minimum delay between two background refreshes, so that the task cannot busy-loop.
const MIN_DELAY: Duration = Duration::from_millis(100);

/// No key set could be fetched and none is cached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoKeys;

/// The public keys of one issuer.
pub struct IssuerKeys {
    client: JwksClient<SharedKeyCache>,
    key_cache: Arc<KeyCache>,
    lookup_lock: tokio::sync::Mutex<()>,
}

impl IssuerKeys {
    /// Creates the key store of `issuer`. Loads the disk cache, but fetches nothing yet.
    #[must_use]
    pub fn new(
        issuer: &str,
        source: KeySource,
        http: reqwest::Client,
        disk_cache: Option<DiskCache>,
        policy: RefreshPolicy,
    ) -> Self {
        let state = KeyState { keys: disk_cache.as_ref().and_then(DiskCache::load), ..KeyState::default() };
        let key_cache = Arc::new(KeyCache {
            issuer: issuer.to_owned(),
            key_source: source,
            http,
            disk_cache,
            policy,
            created_at: Instant::now(),
            state: Mutex::new(state),
            fetch_lock: tokio::sync::Mutex::default(),
        });
        // `KeyCache` keeps the keys, so the client must not cache them as well.
        let client = JwksClient::builder().time_to_live(Duration::ZERO).build(SharedKeyCache(Arc::clone(&key_cache)));
        Self { client, key_cache, lookup_lock: tokio::sync::Mutex::default() }
    }

    /// Returns the keys with this id. Empty if the issuer has none; more than one if the issuer publishes several with
    /// the same id.
    ///
    /// # Errors
    /// If no key set could be fetched and none is cached.
    pub async fn get(&self, key_id: &str) -> Result<Vec<JsonWebKey>, NoKeys> {
        match self.key_cache.cached_keys(key_id) {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            _ => self.fetch_unknown_key(key_id).await,
        }
    }

    /// Fetches the keys to find an unknown id. Concurrent calls share one fetch. If it fails, the last good key set is
    /// used.
    async fn fetch_unknown_key(&self, key_id: &str) -> Result<Vec<JsonWebKey>, NoKeys> {
        let _guard = self.lookup_lock.lock().await;
        match self.key_cache.cached_keys(key_id) {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            _ => {
                let _ = self.client.get(key_id).await;
                self.key_cache.cached_keys(key_id)
            }
        }
    }

    /// Number of successful refreshes. If it has changed, a key may have been withdrawn.
    pub fn version(&self) -> u64 {
        lock(&self.key_cache.state).version
    }

    /// Time since the last successful fetch; before the first one, since the start.
    pub fn age(&self) -> Duration {
        lock(&self.key_cache.state).history.last_success().unwrap_or(self.key_cache.created_at).elapsed()
    }

    /// Fetches the keys before they expire, and again soon after a failure. Never returns.
    pub async fn keep_fresh(&self) {
        loop {
            let delay = lock(&self.key_cache.state).history.next_delay(&self.key_cache.policy, Instant::now());
            tokio::time::sleep(delay.max(MIN_DELAY)).await;
            let _ = self.key_cache.refresh(RefreshTrigger::Background).await;
        }
    }
}

#[derive(Default)]
struct KeyState {
    keys: Option<KeySet>,
    history: RefreshHistory,
    /// Number of finished fetches, successful or not.
    finished_fetches: u64,
    /// Number of fetches that returned a key set.
    version: u64,
}

fn lock(state: &Mutex<KeyState>) -> MutexGuard<'_, KeyState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct KeyCache {
    issuer: String,
    key_source: KeySource,
    http: reqwest::Client,
    disk_cache: Option<DiskCache>,
    policy: RefreshPolicy,
    created_at: Instant,
    state: Mutex<KeyState>,
    fetch_lock: tokio::sync::Mutex<()>,
}

/// The key cache as the source from which the client fetches keys.
struct SharedKeyCache(Arc<KeyCache>);

#[async_trait]
impl JwksSource for SharedKeyCache {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        match self.0.refresh(RefreshTrigger::UnknownKey).await {
            Ok(keys) => Ok(keys.into()),
            Err(error) => Err(to_client_error(&error)),
        }
    }
}

/// `JwksClientError` can only be built from another crate's error. The text is for the crate's log lines.
fn to_client_error(error: &KeySetError) -> JwksClientError {
    let json: serde_json::Error = serde::de::Error::custom(error);
    jsonwebtoken::errors::Error::from(json).into()
}

impl KeyCache {
    fn cached_keys(&self, key_id: &str) -> Result<Vec<JsonWebKey>, NoKeys> {
        match &lock(&self.state).keys {
            Some(set) => Ok(set.keys.iter().filter(|key| key.key_id() == key_id).cloned().collect()),
            None => Err(NoKeys),
        }
    }

    /// Fetches the keys if the refresh policy allows it. A call that waited for another fetch does not fetch again.
    async fn refresh(&self, trigger: RefreshTrigger) -> Result<Vec<JsonWebKey>, KeySetError> {
        let fetches_before = lock(&self.state).finished_fetches;
        let _guard = self.fetch_lock.lock().await;
        {
            let mut state = lock(&self.state);
            let is_allowed = state.history.try_start(&self.policy, trigger, Instant::now());
            // Reading a file needs no rate limit. The development issuer's file may be written shortly after the start.
            if state.finished_fetches != fetches_before
                || !(is_allowed || matches!(self.key_source, KeySource::File(_)))
            {
                return Err(KeySetError::RateLimited);
            }
        }
        let result = fetch::fetch_key_set(&self.http, &self.issuer, &self.key_source).await;
        let set = self.record_result(result)?;
        self.save(set.clone()).await;
        Ok(set.keys)
    }

    fn record_result(&self, result: Result<KeySet, KeySetError>) -> Result<KeySet, KeySetError> {
        let mut state = lock(&self.state);
        state.finished_fetches += 1;
        state.history.record_result(result.is_ok(), Instant::now());
        match &result {
            Ok(set) => {
                state.keys = Some(set.clone());
                state.version += 1;
            }
            Err(error) => {
                let known = state.keys.is_some();
                tracing::warn!(issuer = %self.issuer, error = %error, known, "failed to fetch the issuer's keys");
            }
        }
        result
    }

    async fn save(&self, set: KeySet) {
        let Some(cache) = self.disk_cache.clone() else { return };
        let save_result = tokio::task::spawn_blocking(move || cache.store(&set)).await;
        if let Ok(Err(error)) = save_result {
            tracing::warn!(issuer = %self.issuer, %error, "failed to save the issuer's keys to the disk cache");
        }
    }
}
