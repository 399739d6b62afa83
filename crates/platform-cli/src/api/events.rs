//! Reads the events of a run to its end. If the connection is lost, it reconnects and resumes after the last event.

use super::client::{Client, Query};
use super::http::ANSWER_TIMEOUT;
use crate::error::CliError;
use eventsource_stream::{EventStreamError, Eventsource as _};
use futures::future::ready;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};
use reqwest::{Method, Response};
use serde_json::Value;
use std::time::Duration;

/// Time without data after which a connection counts as lost. The server sends something every 15 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Delays before the attempts to reconnect.
const RECONNECT_DELAYS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(6)];

/// One event of a run.
#[derive(Debug)]
pub struct Event {
    /// The event type, such as `message.delta`.
    pub name: String,
    /// The payload, whose fields depend on the event type.
    pub data: Value,
}

impl Event {
    fn is_last(&self) -> bool {
        matches!(self.name.as_str(), "run.finished" | "error")
    }
}

/// A run on the server, and the connection that delivers its events.
pub struct RunStream<'a> {
    client: &'a Client,
    id: String,
    last_event_id: String,
    first_event: Option<Event>,
    events: Option<BoxStream<'static, NumberedEvent>>,
    is_over: bool,
}

struct NumberedEvent {
    id: String,
    event: Event,
}

impl<'a> RunStream<'a> {
    /// Asks a question in a conversation and waits until the run has started.
    ///
    /// # Errors
    /// If the platform cannot be reached, or refuses the request.
    pub async fn begin(client: &'a Client, conversation: &str, question: &Value) -> Result<Self, CliError> {
        let path = format!("v1/conversations/{conversation}/chat");
        let request = client.request(Method::POST, &path, &Query::default())?.json(question);
        let mut events = event_stream(client.send(request).await?).boxed();
        let interrupted_error =
            || CliError::NotReachable("the connection was lost before the answer started".to_owned());
        let first = events.next().await.ok_or_else(interrupted_error)?;
        let id = first.event.data["run_id"].as_str().ok_or_else(interrupted_error)?.to_owned();
        let (last_event_id, started) = (first.id, Some(first.event));
        Ok(Self { client, id, last_event_id, first_event: started, events: Some(events), is_over: false })
    }

    /// The next event; `None` after the last one. Cancel-safe: dropping the future loses no event.
    ///
    /// # Errors
    /// If reconnecting fails.
    pub async fn next(&mut self) -> Result<Option<Event>, CliError> {
        if let Some(started) = self.first_event.take() {
            return Ok(Some(started));
        }
        let mut retries = RECONNECT_DELAYS.iter();
        while !self.is_over {
            if let Some(events) = &mut self.events {
                if let Some(numbered) = events.next().await {
                    self.last_event_id = numbered.id;
                    self.is_over = numbered.event.is_last();
                    return Ok(Some(numbered.event));
                }
                self.events = None;
            }
            let interrupted_error =
                || CliError::NotReachable("the connection was lost; the rest of the answer cannot be read".to_owned());
            tokio::time::sleep(*retries.next().ok_or_else(interrupted_error)?).await;
            match self.reconnect().await {
                Ok(()) | Err(CliError::NotReachable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Tells the server to stop the run.
    ///
    /// # Errors
    /// If the platform cannot be reached.
    pub async fn cancel(&self) -> Result<(), CliError> {
        let path = format!("v1/runs/{}/cancel", self.id);
        let request = self.client.request(Method::POST, &path, &Query::default())?;
        self.client.send(request.timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    async fn reconnect(&mut self) -> Result<(), CliError> {
        let request = self.client.request(Method::GET, &format!("v1/runs/{}/events", self.id), &Query::default())?;
        let response = self.client.send(request.header("last-event-id", &self.last_event_id)).await?;
        self.events = Some(event_stream(response).boxed());
        Ok(())
    }
}

/// Returns the events of a response, up to its end or the first invalid event.
fn event_stream(response: Response) -> impl Stream<Item = NumberedEvent> + Send + 'static {
    let bytes = futures::stream::unfold(Box::pin(response.bytes_stream()), |mut bytes| async move {
        let next = tokio::time::timeout(IDLE_TIMEOUT, bytes.next()).await.ok().flatten()?;
        Some((next, bytes))
    });
    let numbered = bytes.eventsource().map(parse_event);
    numbered.take_while(|numbered| ready(numbered.is_some())).filter_map(ready)
}

fn parse_event(event: Result<eventsource_stream::Event, EventStreamError<reqwest::Error>>) -> Option<NumberedEvent> {
    let event = event.ok()?;
    let data = serde_json::from_str(&event.data).ok()?;
    Some(NumberedEvent { id: event.id, event: Event { name: event.event, data } })
}
