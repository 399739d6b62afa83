//! However a turn ends, its partial answer is stored, one outcome is recorded, and the reader gets a final event.

use crate::support::model::Step::{self, Hang, Interrupt, Panic, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Fixture, event_names};
use async_trait::async_trait;
use domain::command::{CancelRun, RetrievalMode};
use domain::conversation::MessageStatus;
use domain::ports::{MockPrivacyScanner, Store, StoreError, TenantTx};
use domain::role::{Classification, Role};
use domain::run::{FinishReason, RunEvent};
use domain::scope::TenantScope;
use fakes::InMemoryStore;
use fakes::access::FakeAccessRules;
use futures::StreamExt as _;
use runtime::chat::{ChatPorts, ChatService, ChatSettings};
use runtime::use_case::UseCase as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

const PARTIAL_ANSWER: &str = "Close FV-2003 first [1]. Then";

/// Creates a fixture whose model writes a sentence with a citation, starts another one, and then follows
/// `last_steps`.
async fn fixture_with_last_steps(last_steps: &[Step]) -> (Fixture, ChatService) {
    let fixture = Fixture::new().await;
    let hit = fixture.create_document(Classification::Internal, "Close FV-2003 first.").await.1;
    let mut script = vec![Text("Close FV-2003 first [1]"), Text(". Then")];
    script.extend_from_slice(last_steps);
    let chat = fixture.chat(&fixture.model([script]), &ScriptedTools::returning_hits(vec![hit]));
    (fixture, chat)
}

/// Asserts that the stored answer is [`PARTIAL_ANSWER`], with its citation, and that the audit log has one outcome with
/// status `audit_status`.
async fn assert_stored(fixture: &Fixture, status: MessageStatus, audit_status: &str) {
    fixture.wait_for_runs().await;
    let answer = fixture.answer().await;
    assert_eq!((answer.status, answer.content.as_str()), (status, PARTIAL_ANSWER));
    assert_eq!(answer.citations.len(), 1);
    let outcome = fixture.turn_outcome().await;
    assert_eq!(outcome.result_status.as_deref(), Some(audit_status));
    assert_eq!(
        (outcome.model.as_deref(), outcome.tools_used.as_slice()),
        (Some("script-1"), &["rag_search".to_owned()][..])
    );
}

async fn failed_turn(last_steps: &[Step]) -> (&'static str, Fixture) {
    let (fixture, chat) = fixture_with_last_steps(last_steps).await;
    let events = fixture.ask(&chat, "Which valve?", RetrievalMode::Always).await;
    let Some(RunEvent::Failed(problem)) = events.last() else { panic!("no failure: {events:?}") };
    (problem.code, fixture)
}

#[tokio::test(start_paused = true)]
async fn the_partial_text_of_a_cancelled_answer_is_stored() {
    let (fixture, chat) = fixture_with_last_steps(&[Hang]).await;
    let mut events = fixture.send(&chat, "Which valve?", RetrievalMode::Always).await.expect("a run");
    let mut received = Vec::new();
    while event_names(&received).iter().filter(|name| **name == "delta").count() < 2 {
        received.push(events.next().await.expect("the run goes on").event);
    }
    let Some(RunEvent::Started { run_id: run, .. }) = received.first() else { panic!("no start: {received:?}") };
    let cancel = fixture.authorize(&fixture.ada, Role::User, CancelRun { run: *run }).await;
    chat.execute(cancel).await.expect("her own run");
    received.extend(events.map(|event| event.event).collect::<Vec<_>>().await);
    let Some(RunEvent::Finished(summary)) = received.last() else { panic!("no end: {received:?}") };
    assert_eq!(summary.finish_reason, FinishReason::Cancelled);
    assert_stored(&fixture, MessageStatus::Cancelled, "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_stores_partial_answers() {
    let (fixture, chat) = fixture_with_last_steps(&[Hang]).await;
    let mut events = fixture.send(&chat, "Which valve?", RetrievalMode::Always).await.expect("a run");
    for _ in 0..6 {
        events.next().await.expect("the run goes on");
    }
    chat.cancel_all();
    assert_stored(&fixture, MessageStatus::Cancelled, "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_reader_for_the_grace_period_is_cancelled_and_stored() {
    let (fixture, chat) = fixture_with_last_steps(&[Hang]).await;
    let started = tokio::time::Instant::now();
    drop(fixture.send(&chat, "Which valve?", RetrievalMode::Always).await.expect("a run"));
    fixture.wait_for_runs().await;
    assert_eq!(started.elapsed().as_secs(), ChatSettings::default().grace.as_secs());
    assert_stored(&fixture, MessageStatus::Cancelled, "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_at_its_time_limit_even_with_a_reader() {
    let started = tokio::time::Instant::now();
    let (code, fixture) = failed_turn(&[Hang]).await;
    assert_eq!(started.elapsed().as_secs(), ChatSettings::default().turn_timeout.as_secs());
    assert_eq!(code, "upstream_timeout");
    assert_stored(&fixture, MessageStatus::Error, "error").await;
}

#[tokio::test(start_paused = true)]
async fn the_partial_answer_of_an_interrupted_model_is_stored() {
    let (code, fixture) = failed_turn(&[Interrupt]).await;
    assert_eq!(code, "model_unavailable");
    assert_stored(&fixture, MessageStatus::Error, "error").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_final_message_is_a_failure() {
    let (code, fixture) = failed_turn(&[]).await;
    assert_eq!(code, "model_unavailable");
    assert_stored(&fixture, MessageStatus::Error, "error").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_run_with_an_internal_error() {
    let (code, fixture) = failed_turn(&[Panic]).await;
    assert_eq!(code, "internal");
    assert_stored(&fixture, MessageStatus::Error, "error").await;
}

/// A store that is unavailable for the next few transactions.
struct RestartingStore {
    store: InMemoryStore,
    /// Number of transactions that will still fail.
    failures_left: AtomicI32,
}

#[async_trait]
impl Store for RestartingStore {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        if self.failures_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(StoreError::Unavailable { activity: "beginning", source: "restarting".into() });
        }
        self.store.begin(scope).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

/// Cancels a turn whose model hangs after it has written text, while the database is unavailable for `failures`
/// transactions. Returns the fixture and the last event.
async fn cancel_during_database_restart(failures: i32) -> (Fixture, Option<RunEvent>) {
    let fixture = Fixture::new().await;
    let store = Arc::new(RestartingStore { store: fixture.store.clone(), failures_left: AtomicI32::new(0) });
    let parts = ChatPorts {
        store: store.clone(),
        tools: ScriptedTools::returning_hits(Vec::new()),
        model: fixture.model([vec![Text("written"), Hang]]),
        privacy: Arc::new(MockPrivacyScanner::new()),
        rules: Arc::new(FakeAccessRules),
        clock: fixture.clock.clone(),
        ids: fixture.ids.clone(),
        tasks: fixture.tasks.clone(),
    };
    let chat = ChatService::new(parts, ChatSettings::default());
    let mut events = fixture.send(&chat, "hi", RetrievalMode::Never).await.expect("a run");
    for _ in 0..2 {
        events.next().await.expect("the run goes on");
    }
    store.failures_left.store(failures, Ordering::SeqCst);
    chat.cancel_all();
    let last = events.next().await.map(|event| event.event);
    fixture.wait_for_runs().await;
    (fixture, last)
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_stored_after_a_restart_of_the_database() {
    let (fixture, last) = cancel_during_database_restart(5).await;
    assert!(matches!(last, Some(RunEvent::Finished(_))), "{last:?}");
    assert_eq!(fixture.answer().await.content, "written");
    assert_eq!(fixture.turn_outcome().await.result_status.as_deref(), Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_stays_unavailable_ends_the_run_with_a_failure() {
    let (fixture, last) = cancel_during_database_restart(1_000).await;
    assert!(matches!(last, Some(RunEvent::Failed(_))), "{last:?}");
    assert_eq!(fixture.answer().await.status, MessageStatus::Streaming, "a later turn closes abandoned answers");
}
