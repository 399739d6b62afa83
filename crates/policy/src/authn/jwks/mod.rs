//! An issuer's public keys, by way of `jwks_client_rs` with a source of our own.
//!
//! The crate keeps one fetch at a time and its key types; its own source and `decode` are not used, since unknown key ids
//! would each cause a fetch, one key of an unknown type would spoil the whole set, and a key without `alg` (Entra's) would
//! validate as HS256. Here, known keys are never waited for: [`Keys::keep_fresh`] renews them in the background, the last
//! good ones outlast any outage, and [`kept::KeptKeys`] a restart.

pub mod fetch;
pub mod kept;
pub mod pace;

use super::settings::KeySource;
use async_trait::async_trait;
use fetch::{KeySet, KeySetError};
use jwks_client_rs::source::JwksSource;
use jwks_client_rs::{JsonWebKey, JsonWebKeySet, JwksClient, JwksClientError};
use kept::KeptKeys;
use pace::{History, Pace, Why};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shortest pause of the background, so that it never spins.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// No key set could be had, and none is known from before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoKeys;

/// The keys of one issuer.
pub struct Keys {
    client: JwksClient<Shared>,
    source: Arc<Source>,
    asking: tokio::sync::Mutex<()>,
}

impl Keys {
    /// Prepares the keys of `issuer`; nothing is fetched yet, but what `kept` holds is known.
    #[must_use]
    pub fn new(issuer: &str, from: KeySource, http: reqwest::Client, kept: Option<KeptKeys>, pace: Pace) -> Self {
        let known = State { keys: kept.as_ref().and_then(KeptKeys::load), ..State::default() };
        let source = Arc::new(Source {
            issuer: issuer.to_owned(),
            from,
            http,
            kept,
            pace,
            state: Mutex::new(known),
            fetching: tokio::sync::Mutex::default(),
        });
        // Every answer of the client's is the source's: its own memory ends at once.
        let client = JwksClient::builder().time_to_live(Duration::ZERO).build(Shared(Arc::clone(&source)));
        Self { client, source, asking: tokio::sync::Mutex::default() }
    }

    /// The keys of this id: none where the issuer has none of it, and more than one where it has two of one id.
    ///
    /// # Errors
    /// Where no key set could be had, and none is known from before.
    pub async fn get(&self, key_id: &str) -> Result<Vec<JsonWebKey>, NoKeys> {
        match self.source.known(key_id) {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            _ => self.look_for(key_id).await,
        }
    }

    /// Of many who ask at once one fetches, and those who waited look first at what it brought; what the last good set
    /// says is the answer.
    async fn look_for(&self, key_id: &str) -> Result<Vec<JsonWebKey>, NoKeys> {
        let _one_at_a_time = self.asking.lock().await;
        match self.source.known(key_id) {
            Ok(keys) if !keys.is_empty() => Ok(keys),
            _ => {
                let _ = self.client.get(key_id).await;
                self.source.known(key_id)
            }
        }
    }

    /// How often the keys were renewed: where it has changed, a key may have been withdrawn.
    pub fn renewals(&self) -> u64 {
        lock(&self.source.state).renewed
    }

    /// Fetches the keys before they are old, and again soon after a failure. Never ends.
    pub async fn keep_fresh(&self) {
        loop {
            let wait = lock(&self.source.state).history.wait(&self.source.pace, Instant::now());
            tokio::time::sleep(wait.max(SHORTEST_PAUSE)).await;
            let _ = self.source.renew(Why::Due).await;
        }
    }
}

#[derive(Default)]
struct State {
    keys: Option<KeySet>,
    history: History,
    /// Counts the fetches that ended.
    ended: u64,
    /// Counts those that brought a key set.
    renewed: u64,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Source {
    issuer: String,
    from: KeySource,
    http: reqwest::Client,
    kept: Option<KeptKeys>,
    pace: Pace,
    state: Mutex<State>,
    fetching: tokio::sync::Mutex<()>,
}

/// The source as the client holds it.
struct Shared(Arc<Source>);

#[async_trait]
impl JwksSource for Shared {
    async fn fetch_keys(&self) -> Result<JsonWebKeySet, JwksClientError> {
        match self.0.renew(Why::UnknownKey).await {
            Ok(keys) => Ok(keys.into()),
            Err(error) => Err(foreign(&error)),
        }
    }
}

/// The crate's error can only be made from another crate's; the text is for its log lines.
fn foreign(error: &KeySetError) -> JwksClientError {
    let json: serde_json::Error = serde::de::Error::custom(error);
    jsonwebtoken::errors::Error::from(json).into()
}

impl Source {
    fn known(&self, key_id: &str) -> Result<Vec<JsonWebKey>, NoKeys> {
        match &lock(&self.state).keys {
            Some(set) => Ok(set.keys.iter().filter(|key| key.key_id() == key_id).cloned().collect()),
            None => Err(NoKeys),
        }
    }

    /// Fetches the keys, if the pace allows it. Who waited while another fetched does not fetch again.
    async fn renew(&self, why: Why) -> Result<Vec<JsonWebKey>, KeySetError> {
        let seen = lock(&self.state).ended;
        let _one_at_a_time = self.fetching.lock().await;
        {
            let mut state = lock(&self.state);
            let now = state.history.may_begin(&self.pace, why, Instant::now());
            // A file is nobody's server to spare: the development issuer's may be written a moment after the start.
            if state.ended != seen || !(now || matches!(self.from, KeySource::File(_))) {
                return Err(KeySetError::Waiting);
            }
        }
        let fetched = fetch::key_set(&self.http, &self.issuer, &self.from).await;
        let set = self.settle(fetched)?;
        self.keep(set.clone()).await;
        Ok(set.keys)
    }

    fn settle(&self, fetched: Result<KeySet, KeySetError>) -> Result<KeySet, KeySetError> {
        let mut state = lock(&self.state);
        state.ended += 1;
        state.history.ended(fetched.is_ok(), Instant::now());
        match &fetched {
            Ok(set) => {
                state.keys = Some(set.clone());
                state.renewed += 1;
            }
            Err(error) => {
                let known = state.keys.is_some();
                tracing::warn!(issuer = %self.issuer, error = %error, known, "the issuer's keys could not be fetched");
            }
        }
        fetched
    }

    async fn keep(&self, set: KeySet) {
        let Some(file) = self.kept.clone() else { return };
        let written = tokio::task::spawn_blocking(move || file.store(&set)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(issuer = %self.issuer, %error, "the issuer's keys could not be kept for a restart");
        }
    }
}
