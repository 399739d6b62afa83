//! Closed-loop load: clients that each send the next request when the last one is answered, and what they measure.

use super::model_server::TOKEN_MARK;
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::future::Future;
use std::time::{Duration, Instant};

/// First line of an event with a piece of the answer.
const DELTA: &str = "event: message.delta";
/// First line of the event that is sent after the answer is stored.
const END: &str = "event: run.finished";

/// The measurement of one request.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Time until the first token, or until the whole response if it is not streamed.
    pub first: Duration,
}

/// The measurements of all clients.
#[derive(Default)]
pub struct Observed {
    /// Latency of each answered request, in milliseconds.
    pub first_ms: Vec<f64>,
    /// Requests that failed.
    pub errors: usize,
    /// Duration of the load, in seconds.
    pub seconds: f64,
}

impl Observed {
    /// Number of answered requests.
    pub fn answered(&self) -> f64 {
        self.first_ms.len() as f64
    }
}

/// Runs the clients for a duration; `request` gets the number of the client and of its request.
///
/// # Errors
/// If more than one request in a hundred fails.
pub async fn closed_loop<F, R>(clients: usize, time: Duration, request: F) -> Result<Observed>
where
    F: Fn(usize, usize) -> R,
    R: Future<Output = Result<Sample>>,
{
    let (began, request) = (Instant::now(), &request);
    let client = |number: usize| async move {
        let mut results = Vec::new();
        while began.elapsed() < time {
            results.push(request(number, results.len()).await);
        }
        results
    };
    let results = futures::future::join_all((0..clients).map(client)).await;
    let mut observed = Observed { seconds: began.elapsed().as_secs_f64(), ..Observed::default() };
    let mut last_error = None;
    for result in results.into_iter().flatten() {
        match result {
            Ok(sample) => observed.first_ms.push(sample.first.as_secs_f64() * 1e3),
            Err(error) => {
                observed.errors += 1;
                last_error = Some(error);
            }
        }
    }
    match last_error {
        Some(error) if observed.errors * 100 > observed.first_ms.len() => Err(error.context(format!(
            "{} of {} requests failed",
            observed.errors,
            observed.first_ms.len() + observed.errors
        ))),
        _ => Ok(observed),
    }
}

/// Sends a chat message and reads the events of the answer.
pub async fn chat(http: &reqwest::Client, url: &str, token: &str, message: &str) -> Result<Sample> {
    let began = Instant::now();
    let body = json!({ "message": message, "retrieval": "always" });
    let mut answer = http.post(url).bearer_auth(token).json(&body).send().await?;
    if !answer.status().is_success() {
        bail!("{}: {}", answer.status(), answer.text().await?);
    }
    let (mut events, mut first) = (String::new(), None);
    while let Some(bytes) = answer.chunk().await? {
        let seen = events.len().saturating_sub(DELTA.len());
        events.push_str(std::str::from_utf8(&bytes)?);
        if first.is_none() && events.get(seen..).is_some_and(|new| new.contains(DELTA)) {
            first = Some(began.elapsed());
        }
    }
    let tokens = events.matches(TOKEN_MARK).count();
    if !events.contains(END) || tokens == 0 {
        bail!("an answer of {tokens} tokens: {events}");
    }
    Ok(Sample { first: first.context("no token")? })
}

/// Sends a request whose response is not streamed; returns the response with its latency.
pub async fn unary(request: reqwest::RequestBuilder) -> Result<Answer> {
    let began = Instant::now();
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{status}: {text}");
    }
    Ok(Answer { sample: Sample { first: began.elapsed() }, text })
}

/// A response that was not streamed, with its latency.
pub struct Answer {
    pub sample: Sample,
    pub text: String,
}

impl Answer {
    /// Parses the body as JSON.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.text)?)
    }
}
