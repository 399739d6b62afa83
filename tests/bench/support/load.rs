//! Closed-loop load: each client sends its next request when the previous one has been answered.

use super::model_server::TOKEN_PREFIX;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// First line of an event with a text delta.
const DELTA_EVENT: &str = "event: message.delta";
/// First line of the event that is sent after the answer is stored.
const FINISHED_EVENT: &str = "event: run.finished";

/// The measurement of one request.
#[derive(Clone, Copy, Debug)]
pub struct LatencySample {
    /// Time until the first token, or until the whole response if it is not streamed.
    pub latency: Duration,
}

/// The measurements of all clients.
#[derive(Default)]
pub struct LoadResult {
    /// Latency of each answered request, in milliseconds.
    pub latencies_ms: Vec<f64>,
    /// Requests that failed.
    pub errors: usize,
    /// Duration of the load, in seconds.
    pub elapsed_seconds: f64,
}

impl LoadResult {
    /// Number of answered requests.
    pub fn answered_requests(&self) -> f64 {
        self.latencies_ms.len() as f64
    }
}

/// Runs the clients for a duration. Calls `request` with the index of the client and the index of its request.
///
/// # Errors
/// If more than one request fails per hundred that succeed.
pub async fn closed_loop<F, R>(clients: usize, duration: Duration, request: F) -> Result<LoadResult>
where
    F: Fn(usize, usize) -> R,
    R: Future<Output = Result<LatencySample>>,
{
    let (start, request) = (Instant::now(), &request);
    let client = |number: usize| async move {
        let mut results = Vec::new();
        while start.elapsed() < duration {
            results.push(request(number, results.len()).await);
        }
        results
    };
    let results = futures::future::join_all((0..clients).map(client)).await;
    let mut load_result = LoadResult { elapsed_seconds: start.elapsed().as_secs_f64(), ..LoadResult::default() };
    let mut last_error = None;
    for result in results.into_iter().flatten() {
        match result {
            Ok(sample) => load_result.latencies_ms.push(sample.latency.as_secs_f64() * 1e3),
            Err(error) => {
                load_result.errors += 1;
                last_error = Some(error);
            }
        }
    }
    match last_error {
        Some(error) if load_result.errors * 100 > load_result.latencies_ms.len() => Err(error.context(format!(
            "{} of {} requests failed",
            load_result.errors,
            load_result.latencies_ms.len() + load_result.errors
        ))),
        _ => Ok(load_result),
    }
}

/// Sends a chat message and reads the events of the answer.
pub async fn chat(http: &reqwest::Client, url: &str, token: &str, message: &str) -> Result<LatencySample> {
    let start = Instant::now();
    let body = json!({ "message": message, "retrieval": "always" });
    let mut response = http.post(url).bearer_auth(token).json(&body).send().await?;
    if !response.status().is_success() {
        bail!("{}: {}", response.status(), response.text().await?);
    }
    let (mut events, mut first_token) = (String::new(), None);
    while let Some(bytes) = response.chunk().await? {
        let scan_start = events.len().saturating_sub(DELTA_EVENT.len());
        events.push_str(std::str::from_utf8(&bytes)?);
        if first_token.is_none() && events.get(scan_start..).is_some_and(|new| new.contains(DELTA_EVENT)) {
            first_token = Some(start.elapsed());
        }
    }
    let tokens = events.matches(TOKEN_PREFIX).count();
    if !events.contains(FINISHED_EVENT) || tokens == 0 {
        bail!("the answer has {tokens} tokens or did not finish: {events}");
    }
    Ok(LatencySample { latency: first_token.context("no token")? })
}

/// Sends a request whose response is not streamed; returns the response with its latency.
pub async fn timed_request(request: reqwest::RequestBuilder) -> Result<TimedResponse> {
    let start = Instant::now();
    let response = request.send().await?;
    let status = response.status();
    let text = response.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(TimedResponse { sample: LatencySample { latency: start.elapsed() }, text })
}

/// A response that was not streamed, with its latency.
pub struct TimedResponse {
    pub sample: LatencySample,
    pub text: String,
}

impl TimedResponse {
    /// Parses the body as JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text)?)
    }
}
