//! Calls to the server: address, key, limits, one retry, and what each failure means.

use super::response::ServerError;
use crate::config::{ModelSettings, Timeouts};
use crate::error::SetupError;
use domain::model::ModelError;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::{Host, Url};

/// A server that asks for a longer pause than this is not tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Most bytes of an error's body that are looked at.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// One OpenAI-compatible server.
pub(super) struct Server {
    name: String,
    client: Client,
    base: String,
    key: Option<SecretString>,
    places: Arc<Semaphore>,
    queue_wait: Duration,
    /// Time limits.
    pub timeouts: Timeouts,
}

/// An answer that is none.
pub(super) struct Failure {
    /// In the platform's words.
    pub error: ModelError,
    /// The answer's status, if there was an answer.
    pub status: Option<u16>,
    /// The parameter that the server objects to, if it names one.
    pub param: String,
}

impl Server {
    /// The server of `settings`.
    pub(super) fn new(settings: &ModelSettings) -> Result<Self, SetupError> {
        let url = settings.base_url.as_ref().ok_or(SetupError::NoServer)?;
        let builder = Client::builder().connect_timeout(settings.timeouts.connect).redirect(Policy::none());
        // A proxy from the environment is for the world outside, never for this machine.
        let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
        Ok(Self {
            name: settings.backend.clone(),
            client: builder.build().map_err(SetupError::Client)?,
            base: base(url)?,
            key: settings.api_key.clone(),
            places: Arc::new(Semaphore::new(settings.concurrency.max(1))),
            queue_wait: settings.queue_wait,
            timeouts: settings.timeouts,
        })
    }

    /// The backend's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A place among the requests at a time; waits for one, but not long.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, ModelError> {
        match timeout(self.queue_wait, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(self.unavailable("all its places are taken", Some(self.queue_wait))),
        }
    }

    /// The answer to `body`, once it is one of success; tried a second time where the server was out of reach, at its
    /// limit or broken.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize, deadline: Instant) -> Result<Response, Failure> {
        let started = Instant::now();
        let body = serde_json::to_vec(body).map_err(|_| self.garbled("the request cannot be put as JSON"))?;
        let attempts = async {
            match self.post_once(path, body.clone()).await {
                Err(Failure { error: ModelError::Unavailable { retry_after, .. }, .. })
                    if retry_after.is_none_or(|pause| pause <= LONGEST_PAUSE) =>
                {
                    // Spread out, so that those who failed together do not come back together.
                    let jitter = Duration::from_millis(fastrand::u64(50..300));
                    sleep(retry_after.unwrap_or_default() + jitter).await;
                    self.post_once(path, body).await
                }
                other => other,
            }
        };
        timeout_at(deadline, attempts).await.unwrap_or_else(|_| Err(self.timed_out(started).into()))
    }

    async fn post_once(&self, path: &str, body: Vec<u8>) -> Result<Response, Failure> {
        let mut request = self.client.post(format!("{}{path}", self.base)).header(CONTENT_TYPE, "application/json");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = match request.body(body).send().await {
            Ok(response) if response.status().is_success() => return Ok(response),
            Ok(response) => response,
            Err(error) if error.is_connect() => return Err(self.unavailable("no connection", None).into()),
            Err(_) => return Err(self.unavailable("the connection was cut before an answer", None).into()),
        };
        let (status, pause) = (response.status().as_u16(), retry_after(response.headers()));
        let body = read_limited(self, response, MOST_ERROR_BYTES).await.unwrap_or_default();
        let said = ServerError::from_answer(status, &body, pause);
        Err(Failure { status: Some(status), param: said.param.clone(), error: said.into_model_error(&self.name) })
    }

    pub(super) fn unavailable(&self, reason: &str, retry_after: Option<Duration>) -> ModelError {
        ModelError::Unavailable { backend: self.name.clone(), reason: reason.to_owned(), retry_after }
    }

    pub(super) fn garbled(&self, reason: &str) -> ModelError {
        ModelError::Garbled { backend: self.name.clone(), reason: reason.to_owned() }
    }

    pub(super) fn timed_out(&self, since: Instant) -> ModelError {
        ModelError::Timeout { backend: self.name.clone(), waited_s: since.elapsed().as_secs() }
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self { error, status: None, param: String::new() }
    }
}

/// The body, if it has at most `most` bytes.
pub(super) async fn read_limited(server: &Server, mut response: Response, most: usize) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= most => body.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err(server.garbled("the answer is too long")),
            Ok(None) => return Ok(body),
            Err(_) => {
                let reason = "the connection was cut".to_owned();
                return Err(ModelError::BrokenOff { backend: server.name.clone(), reason });
            }
        }
    }
}

/// The address without its `/v1`, which each path has.
fn base(url: &Url) -> Result<String, SetupError> {
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        let address = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        return Err(SetupError::Address { address });
    }
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let text = url.as_str().trim_end_matches('/');
    Ok(text.strip_suffix("/v1").unwrap_or(text).to_owned())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// When to come back: seconds, or Azure's milliseconds. A date is passed over; the usual pause is near enough.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1000.0).or_else(|| number(RETRY_AFTER.as_str()))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_may_have_its_v1_or_not() {
        for (given, wanted) in [
            ("http://litellm:4000", "http://litellm:4000"),
            ("http://litellm:4000/", "http://litellm:4000"),
            ("http://ollama:11434/v1", "http://ollama:11434"),
            ("http://ollama:11434/v1/", "http://ollama:11434"),
            ("https://plant.openai.azure.com/openai/v1/", "https://plant.openai.azure.com/openai"),
        ] {
            assert_eq!(base(&given.parse().unwrap()).unwrap(), wanted, "{given}");
        }
    }

    #[test]
    fn an_address_that_is_not_http_is_refused_without_its_password() {
        let error = base(&"ftp://user:secret@models/v1".parse().unwrap()).unwrap_err().to_string();
        assert!(error.contains("ftp://models") && !error.contains("secret"), "{error}");
    }
}
