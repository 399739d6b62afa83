//! However a turn ends, what was written is kept, one outcome is recorded, and the reader is told.

use crate::support::model::Step::{self, BreakOff, Hang, Panic, Text};
use crate::support::tools::ScriptedTools;
use crate::support::{Plant, shape};
use async_trait::async_trait;
use domain::command::{CancelRun, RetrievalMode};
use domain::conversation::MessageStatus;
use domain::ports::{Store, StoreError, TenantTx};
use domain::role::{Classification, Role};
use domain::run::{FinishReason, RunEvent};
use domain::scope::TenantScope;
use fakes::MemoryStore;
use fakes::access::FakeAccessRules;
use futures::StreamExt as _;
use runtime::chat::{ChatParts, ChatService, ChatSettings};
use runtime::use_case::UseCase as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

const SO_FAR: &str = "Close FV-2003 first [1]. Then";

/// A plant whose model writes a sentence with its citation, begins another, and then does `end`.
async fn mid_sentence(end: &[Step]) -> (Plant, ChatService) {
    let plant = Plant::new().await;
    let hit = plant.document(Classification::Internal, "Close FV-2003 first.").await.1;
    let mut script = vec![Text("Close FV-2003 first [1]"), Text(". Then")];
    script.extend_from_slice(end);
    let chat = plant.chat(&plant.model([script]), &ScriptedTools::finding(vec![hit]));
    (plant, chat)
}

/// The stored answer has all that was written, with its citation, and the log has one outcome that says how it ended.
async fn assert_kept(plant: &Plant, status: MessageStatus, recorded: &str) {
    plant.drained().await;
    let answer = plant.answer().await;
    assert_eq!((answer.status, answer.content.as_str()), (status, SO_FAR));
    assert_eq!(answer.citations.len(), 1);
    let outcome = plant.outcome().await;
    assert_eq!(outcome.result_status.as_deref(), Some(recorded));
    assert_eq!(
        (outcome.model.as_deref(), outcome.tools_used.as_slice()),
        (Some("script-1"), &["rag_search".to_owned()][..])
    );
}

async fn failure_of(end: &[Step]) -> (&'static str, Plant) {
    let (plant, chat) = mid_sentence(end).await;
    let events = plant.ask(&chat, "Which valve?", RetrievalMode::Always).await;
    let Some(RunEvent::Failed(problem)) = events.last() else { panic!("no failure: {events:?}") };
    (problem.code, plant)
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_answer_keeps_what_was_written() {
    let (plant, chat) = mid_sentence(&[Hang]).await;
    let mut events = plant.send(&chat, "Which valve?", RetrievalMode::Always).await.expect("a run");
    let mut told = Vec::new();
    while shape(&told).iter().filter(|name| **name == "delta").count() < 2 {
        told.push(events.next().await.expect("the run goes on").event);
    }
    let Some(RunEvent::Started { run_id: run, .. }) = told.first() else { panic!("no start: {told:?}") };
    let cancel = plant.authorized(&plant.ada, Role::User, CancelRun { run: *run }).await;
    chat.execute(cancel).await.expect("her own run");
    told.extend(events.map(|event| event.event).collect::<Vec<_>>().await);
    let Some(RunEvent::Finished(summary)) = told.last() else { panic!("no end: {told:?}") };
    assert_eq!(summary.finish_reason, FinishReason::Cancelled);
    assert_kept(&plant, MessageStatus::Cancelled, "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_keeps_what_was_written() {
    let (plant, chat) = mid_sentence(&[Hang]).await;
    let mut events = plant.send(&chat, "Which valve?", RetrievalMode::Always).await.expect("a run");
    for _ in 0..6 {
        events.next().await.expect("the run goes on");
    }
    chat.cancel_all();
    assert_kept(&plant, MessageStatus::Cancelled, "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_for_the_grace_period_is_stopped_and_kept() {
    let (plant, chat) = mid_sentence(&[Hang]).await;
    let began = tokio::time::Instant::now();
    drop(plant.send(&chat, "Which valve?", RetrievalMode::Always).await.expect("a run"));
    plant.drained().await;
    assert_eq!(began.elapsed().as_secs(), ChatSettings::default().grace.as_secs());
    assert_kept(&plant, MessageStatus::Cancelled, "cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn a_turn_ends_at_its_limit_also_while_somebody_reads() {
    let began = tokio::time::Instant::now();
    let (code, plant) = failure_of(&[Hang]).await;
    assert_eq!(began.elapsed().as_secs(), ChatSettings::default().turn_limit.as_secs());
    assert_eq!(code, "upstream_timeout");
    assert_kept(&plant, MessageStatus::Error, "error").await;
}

#[tokio::test(start_paused = true)]
async fn a_model_that_breaks_off_leaves_what_it_wrote() {
    let (code, plant) = failure_of(&[BreakOff]).await;
    assert_eq!(code, "model_unavailable");
    assert_kept(&plant, MessageStatus::Error, "error").await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_just_ends_is_no_whole_answer() {
    let (code, plant) = failure_of(&[]).await;
    assert_eq!(code, "model_unavailable");
    assert_kept(&plant, MessageStatus::Error, "error").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_the_run_and_is_told_as_our_defect() {
    let (code, plant) = failure_of(&[Panic]).await;
    assert_eq!(code, "internal");
    assert_kept(&plant, MessageStatus::Error, "error").await;
}

/// A store that is down for the next few transactions.
struct Restarting {
    store: MemoryStore,
    down_for: AtomicI32,
}

#[async_trait]
impl Store for Restarting {
    async fn begin(&self, scope: &TenantScope) -> Result<Box<dyn TenantTx>, StoreError> {
        if self.down_for.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(StoreError::Unavailable { doing: "beginning", source: "it restarts".into() });
        }
        self.store.begin(scope).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

/// Says `hi` to a model that writes and then hangs; the database goes down for `down_for` transactions, and the turn
/// is cancelled. Returns the plant and the last event.
async fn ended_while_the_database_restarts(down_for: i32) -> (Plant, Option<RunEvent>) {
    let plant = Plant::new().await;
    let store = Arc::new(Restarting { store: plant.store.clone(), down_for: AtomicI32::new(0) });
    let parts = ChatParts {
        store: store.clone(),
        directory: Arc::new(plant.store.clone()),
        tools: ScriptedTools::finding(Vec::new()),
        model: plant.model([vec![Text("written"), Hang]]),
        rules: Arc::new(FakeAccessRules),
        clock: plant.clock.clone(),
        ids: plant.ids.clone(),
        tasks: plant.tasks.clone(),
    };
    let chat = ChatService::new(parts, ChatSettings::default());
    let mut events = plant.send(&chat, "hi", RetrievalMode::Never).await.expect("a run");
    for _ in 0..2 {
        events.next().await.expect("the run goes on");
    }
    store.down_for.store(down_for, Ordering::SeqCst);
    chat.cancel_all();
    let last = events.next().await.map(|event| event.event);
    plant.drained().await;
    (plant, last)
}

#[tokio::test(start_paused = true)]
async fn an_answer_outlasts_a_restart_of_the_database() {
    let (plant, last) = ended_while_the_database_restarts(5).await;
    assert!(matches!(last, Some(RunEvent::Finished(_))), "{last:?}");
    assert_eq!(plant.answer().await.content, "written");
    assert_eq!(plant.outcome().await.result_status.as_deref(), Some("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_stays_away_ends_the_run_with_a_failure_and_not_with_silence() {
    let (plant, last) = ended_while_the_database_restarts(1_000).await;
    assert!(matches!(last, Some(RunEvent::Failed(_))), "{last:?}");
    assert_eq!(plant.answer().await.status, MessageStatus::Streaming, "left for whoever closes abandoned answers");
}
