//! Runs across processes: a run of one process can be read, resumed and cancelled at another, and what it has written
//! is kept when its process is killed.

use crate::support::api_client::{ApiClient, SseEvent, SseStream, answer_text};
use crate::support::app::{TENANT_A, TENANT_B, TestApp};
use crate::support::model::{ModelServer, Reply};
use domain::role::Role;
use fakes::eventually_within;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// A run that has written its first piece and waits for the model.
struct PausedRun {
    id: String,
    conversation: String,
    /// The events that the first reader has read so far.
    seen: Vec<SseEvent>,
    stream: SseStream,
}

async fn start_paused_run(user: &ApiClient<'_>) -> PausedRun {
    let conversation = user.create_conversation().await;
    let mut stream = user.start_stream(&conversation, &json!({ "message": "How often?" })).await;
    let seen = stream.read_until("message.delta").await;
    let id = seen[0].data["run_id"].as_str().expect("run.started first").to_owned();
    PausedRun { id, conversation, seen, stream }
}

async fn answer(user: &ApiClient<'_>, conversation: &str) -> Value {
    let conversation = user.get(&format!("/v1/conversations/{conversation}")).await.expect_json(200);
    let messages = conversation["messages"].as_array().expect("messages").clone();
    messages.into_iter().find(|message| message["role"] == "assistant").expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_followed_and_resumed_at_another_process() {
    let model = ModelServer::start([Reply::PauseUntilResumed("Every 30 days, ", "says the manual.")]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let other = app.start_process(&[]).await;
    let user = app.as_user(TENANT_A);
    let run = start_paused_run(&user).await;
    let user_at_other = user.at(&other.base_url);
    let mut followed = user_at_other.stream_run_events(&run.id, 0).await;
    assert_eq!(followed.status, 200);
    let mut events = followed.read_until("message.delta").await;
    assert_eq!(events, run.seen, "the same events with the same ids");
    let mut resumed = user_at_other.stream_run_events(&run.id, run.seen.last().expect("events").id).await;
    model.resume_one_reply();
    let mut rest = run.stream.read_to_end().await;
    events.extend(followed.read_to_end().await);
    let mut expected = run.seen.clone();
    expected.append(&mut rest);
    assert_eq!(events, expected);
    assert_eq!(answer_text(&events), "Every 30 days, says the manual.");
    let first = resumed.next_event().await.expect("an event");
    assert_eq!(first, expected[run.seen.len()], "the first event after the last one that was read");
    let again = user_at_other.stream_run_events(&run.id, 0).await.read_to_end().await;
    assert_eq!(again, expected, "an ended run can be read from its beginning");
    let nothing =
        user_at_other.stream_run_events(&run.id, expected.last().expect("events").id).await.read_to_end().await;
    assert_eq!(nothing, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_cancelled_at_another_process_by_its_owner_only() {
    let model = ModelServer::start([Reply::PauseUntilResumed("As far as ", "it never got")]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let other = app.start_process(&[]).await;
    let user = app.as_user(TENANT_A);
    let run = start_paused_run(&user).await;
    let (events, cancel) = (format!("/v1/runs/{}/events", run.id), format!("/v1/runs/{}/cancel", run.id));
    for stranger in [app.caller(TENANT_A, "colleague", Role::Admin), app.as_user(TENANT_B)] {
        let stranger = stranger.at(&other.base_url);
        stranger.get(&events).await.expect_problem(404, "not_found");
        stranger.post(&cancel, &json!({})).await.expect_problem(404, "not_found");
    }
    let started = Instant::now();
    let user_at_other = user.at(&other.base_url);
    let follower = user_at_other.stream_run_events(&run.id, 0).await;
    assert_eq!(user_at_other.post(&cancel, &json!({})).await.status, 202);
    for rest in [run.stream.read_to_end().await, follower.read_to_end().await] {
        let last = rest.last().expect("a last event");
        assert_eq!((last.name.as_str(), &last.data["finish_reason"]), ("run.finished", &json!("cancelled")));
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    let answer = answer(&user, &run.conversation).await;
    assert_eq!((&answer["content"], &answer["status"]), (&json!("As far as "), &json!("cancelled")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_run_of_a_killed_process_ends_with_an_error_and_keeps_its_text() {
    let model = ModelServer::start([Reply::PauseUntilResumed("As far as ", "it never got")]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url)]).await;
    let mut killed_process = app.start_process(&[]).await;
    let user = app.as_user(TENANT_A);
    let run = start_paused_run(&user.at(&killed_process.base_url)).await;
    let mut follower = user.stream_run_events(&run.id, 0).await;
    assert_eq!(follower.read_until("message.delta").await, run.seen);
    killed_process.kill();
    let rest = follower.read_to_end().await;
    let [last] = rest.as_slice() else { panic!("expected exactly one more event: {rest:?}") };
    assert_eq!((last.name.as_str(), &last.data["problem"]["code"]), ("error", &json!("interrupted")));
    let answer = answer(&user, &run.conversation).await;
    assert_eq!((&answer["content"], &answer["status"]), (&json!("As far as "), &json!("error")));
    // A reader at the killed process may have seen events that were not stored.
    let late = user.stream_run_events(&run.id, run.seen.last().expect("events").id + 100).await.read_to_end().await;
    assert_eq!(late.iter().map(|event| event.id).collect::<Vec<_>>(), [last.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_at_another_process_keeps_a_run_going() {
    let model = ModelServer::start([Reply::PauseUntilResumed("Still ", "here.")]).await;
    let app = TestApp::start(&[("LITELLM_BASE_URL", &model.url), ("PLATFORM__CHAT__GRACE_S", "2")]).await;
    let other = app.start_process(&[]).await;
    let user = app.as_user(TENANT_A);
    let run = start_paused_run(&user).await;
    let mut follower = user.at(&other.base_url).stream_run_events(&run.id, 0).await;
    follower.read_until("message.delta").await;
    drop(run.stream);
    tokio::time::sleep(Duration::from_secs(4)).await;
    model.resume_one_reply();
    let rest = follower.read_to_end().await;
    assert_eq!(answer_text(&rest), "here.");
    let conversation = run.conversation;
    eventually_within(Duration::from_secs(10), "the answer is complete", || async {
        (answer(&user, &conversation).await["status"] == "complete").then_some(())
    })
    .await;
}
