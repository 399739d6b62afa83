//! The event stream of a run, read with a third-party client library.

use crate::support::app::{TENANT_A, TestApp};
use domain::role::Role;
use futures::StreamExt as _;
use reqwest_eventsource::retry::Never;
use reqwest_eventsource::{Event, EventSource};
use reqwest012::header::HeaderMap;
use serde_json::Value;

/// Reads the events of a run after `after`. The header is set here, because the library sends `Last-Event-ID` only when
/// it reconnects.
async fn read_run_events(url: &str, token: &str, after: &str) -> Vec<(u64, String)> {
    platform_server::install_crypto_provider();
    let mut headers = HeaderMap::new();
    headers.insert("last-event-id", after.parse().expect("a header"));
    let request = reqwest012::Client::new().get(url).bearer_auth(token).headers(headers);
    let mut source = EventSource::new(request).expect("a request that can be repeated");
    source.set_retry_policy(Box::new(Never));
    let mut events = Vec::new();
    while let Some(event) = source.next().await {
        if let Event::Message(message) = event.expect("an event") {
            serde_json::from_str::<Value>(&message.data).expect("JSON");
            events.push((message.id.parse().expect("a number"), message.event.clone()));
            if message.event == "run.finished" {
                source.close();
            }
        }
    }
    events
}

#[tokio::test]
async fn a_third_party_client_reads_and_resumes_the_events_of_a_run() {
    let app = TestApp::shared().await;
    let user = app.as_user(TENANT_A);
    let conversation = user.create_conversation().await;
    let events = user.chat_events(&conversation, "What does the strainer of X-9003 need?").await;
    let run_id = events[0].data["run_id"].as_str().expect("a run").to_owned();
    let url = format!("{}/v1/runs/{run_id}/events", app.base_url);
    let token = app.token(TENANT_A, "uma", Role::User);

    let all = read_run_events(&url, &token, "0").await;
    let sent: Vec<_> = events.iter().map(|event| (event.id, event.name.clone())).collect();
    assert_eq!(all, sent);
    assert_eq!(read_run_events(&url, &token, "2").await, sent[2..]);
}
