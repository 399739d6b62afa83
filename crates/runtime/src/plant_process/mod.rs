//! The plant process: connects to the plant systems, takes requests from the database, reads within the budget of each
//! endpoint, answers in bounded time, and records tags.
//!
//! A connector is opened at its first use and stays open, per tenant and revision. Its calls are serialized: concurrent
//! requests for the same tags share the result of the running call, and those for other tags share the next call.
//! Samples younger than `max_age` are not read again.

mod breaker;
mod budget;
mod call;
mod clean;
pub(crate) mod history;
mod observer;
mod pool;
mod recorder;
mod requests;
mod source;
mod states;
#[cfg(test)]
mod testing;

pub use observer::{NoPlantObserver, PlantObserver};

use domain::plant::ClaimedRequest;
use domain::ports::{Clock, PlantConnectors, PlantQueue, SecretSealer};
use pool::SourcePool;
use recorder::Recorder;
use requests::RequestHandler;
use states::StateBoard;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Maximum number of requests that are claimed at a time.
const CLAIM_LIMIT: u32 = 256;
/// Maximum interval at which requests and connector states are polled. Including the time of the query, a change of the
/// plant mode takes effect within a second even if a notification is lost.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Delay after a database failure.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Interval at which partitions are created and dropped, and expired requests deleted.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);

/// Limits of the process.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PlantProcessSettings {
    /// Calls to one endpoint per second, however many tenants and connectors share it; above 0.
    pub calls_per_s: f64,
    /// Maximum number of tags in one call, 1 to 50.
    pub tags_per_call: usize,
    /// A sample younger than this is not read again.
    pub max_age: Duration,
    /// Time limit of one call.
    pub call_timeout: Duration,
    /// Time limit of a call for a history, or for a list of tags.
    pub history_timeout: Duration,
    /// Maximum number of samples of a history that are read.
    pub max_history_samples: usize,
    /// Maximum number of requests of one tenant at a time.
    pub requests_per_tenant: usize,
    /// Whether connectors without encryption are allowed: development mode.
    pub development: bool,
}

impl Default for PlantProcessSettings {
    fn default() -> Self {
        Self {
            calls_per_s: 5.0,
            tags_per_call: 50,
            max_age: Duration::from_secs(1),
            call_timeout: Duration::from_secs(5),
            history_timeout: Duration::from_secs(10),
            max_history_samples: 100_000,
            requests_per_tenant: 32,
            development: false,
        }
    }
}

/// Ports of the process.
#[derive(Clone)]
pub struct PlantProcessPorts {
    /// Requests, connectors, tags and samples.
    pub queue: Arc<dyn PlantQueue>,
    /// Opens connectors of all kinds.
    pub connectors: Arc<dyn PlantConnectors>,
    /// Decrypts their secrets.
    pub secrets: Arc<dyn SecretSealer>,
    /// Clock for ages and records.
    pub clock: Arc<dyn Clock>,
    /// Observes requests, calls and refusals.
    pub observer: Arc<dyn PlantObserver>,
}

/// The process, not yet running.
pub struct PlantProcess {
    ports: PlantProcessPorts,
    board: Arc<StateBoard>,
    handler: Arc<RequestHandler>,
    recorder: Recorder,
    tasks: TaskTracker,
}

impl PlantProcess {
    /// Creates the process.
    #[must_use]
    pub fn new(ports: PlantProcessPorts, settings: PlantProcessSettings) -> Self {
        let board = Arc::new(StateBoard::new(Arc::clone(&ports.queue)));
        let pool = Arc::new(SourcePool::new(ports.clone(), settings));
        let handler = RequestHandler::new(ports.clone(), settings, Arc::clone(&board), Arc::clone(&pool));
        let recorder = Recorder::new(ports.clone(), Arc::clone(&board), pool);
        Self { ports, board, handler: Arc::new(handler), recorder, tasks: TaskTracker::new() }
    }

    /// Answers requests and records until `stop`. Requests in progress are then still answered.
    pub async fn run(self, stop: CancellationToken) {
        let Self { ports, board, handler, recorder, tasks } = self;
        let answering = answer_requests(&ports, &board, &handler, &tasks, &stop);
        let recording = recorder.run(stop.clone());
        let maintaining = maintain(&*ports.queue, &stop);
        tokio::join!(answering, recording, maintaining);
        tasks.close();
        tasks.wait().await;
    }
}

async fn answer_requests(
    ports: &PlantProcessPorts,
    board: &StateBoard,
    handler: &Arc<RequestHandler>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) {
    while !stop.is_cancelled() {
        let claimed = ports.queue.claim(CLAIM_LIMIT).await;
        // Read after the claim, so that the states are newer than the requests.
        let mut refreshed = board.refresh().await;
        if refreshed.is_err() && claimed.as_ref().is_ok_and(|claimed| !claimed.is_empty()) {
            sleep(RETRY_DELAY).await;
            refreshed = board.refresh().await;
        }
        handler.close_unusable();
        if let Err(error) = &refreshed {
            tracing::warn!(%error, "the states of connectors cannot be read; trying again");
        }
        match claimed {
            Ok(claimed) => {
                let has_more = claimed.len() >= CLAIM_LIMIT as usize;
                for request in claimed {
                    spawn(handler, request, refreshed.is_ok(), tasks);
                }
                if !has_more {
                    let _stopped = stop.run_until_cancelled(ports.queue.wait(POLL_INTERVAL)).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "requests to plant systems cannot be taken on; trying again");
                let _stopped = stop.run_until_cancelled(sleep(RETRY_DELAY)).await;
            }
        }
    }
}

/// Answers a claimed request, which no other process can claim; with a refusal if the states of connectors are not
/// known.
fn spawn(handler: &Arc<RequestHandler>, claimed: ClaimedRequest, are_states_known: bool, tasks: &TaskTracker) {
    let handler = Arc::clone(handler);
    tasks.spawn(
        async move { if are_states_known { handler.handle(claimed).await } else { handler.refuse(claimed).await } },
    );
}

async fn maintain(queue: &dyn PlantQueue, stop: &CancellationToken) {
    loop {
        match queue.maintain().await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(rows, "deleted expired samples and requests of plant systems"),
            Err(error) => tracing::warn!(%error, "the tables of plant systems cannot be kept in order"),
        }
        if stop.run_until_cancelled(sleep(MAINTENANCE_INTERVAL)).await.is_none() {
            return;
        }
    }
}
