//! Serves requests and runs jobs until a signal arrives, then shuts down gracefully: no new requests are accepted,
//! streams finish or are stored as cancelled, and unfinished jobs return to the queue.

use crate::audit;
use crate::channels::MeasuredSender;
use crate::compose::Platform;
use crate::config::{Server, ServiceType, Settings};
use crate::databases::Databases;
use crate::dev::sign_in;
use crate::goals;
use crate::ingest_metrics::MeasuredIngest;
use crate::models::Models;
use crate::plant_mode_metrics::PlantModeMetrics;
use crate::queue_metrics::QueueMetrics;
use crate::readiness::StartingReadiness;
use crate::run_recovery::end_abandoned_runs;
use crate::sweep::{queue_due_work, sweep_periodically};
use crate::system::TimeOrderedIds;
use crate::{database_metrics, key_metrics, plant};
use anyhow::{Context as _, Result};
use domain::ports::JobQueue;
use gateway::serve::{Limits, serve, serve_during_startup, serve_metrics};
use model_client::router::Router;
use policy::keyed_hash::HashKey;
use prometheus::Registry;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Interval between attempts to reach the database at startup.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Time limit of each shutdown step after the grace period, such as storing cancelled streams.
const FINAL_GRACE: Duration = Duration::from_secs(5);

/// Runs the parts of the platform that `service` names until `stop` is cancelled.
///
/// # Errors
/// If a port is in use, a setting is not valid, or the database fails the preflight.
pub async fn run(settings: Settings, service: ServiceType, stop: CancellationToken) -> Result<()> {
    if service == ServiceType::Plant {
        return plant::run(&settings, stop).await;
    }
    let databases = Databases::new(&settings)?;
    let listener = match service {
        ServiceType::Worker | ServiceType::Plant => None,
        // Behind a proxy the port stays closed until the server is ready: see `api_listener`.
        _ if settings.server.behind_proxy => None,
        ServiceType::Api | ServiceType::All => Some(Arc::new(listen(&settings, settings.server.port).await?)),
    };
    let metrics_listener = metrics_listener(&settings).await?;
    if !wait_for_database(&databases, listener.as_ref(), &stop).await? {
        return Ok(());
    }
    let metrics = Registry::new();
    let mut audit_maintenance = audit::maintenance_task(&settings, &databases, &metrics)?;
    audit_maintenance.prepare().await.context("the audit log cannot be maintained")?;
    let models = Models::configured(&settings, &metrics).await?;
    let model_router = models.router.clone();
    let mut platform = Platform::new(&settings, databases, models).await?;
    let start_event = start_event_details(&settings, service)?;
    platform.authn.record_start(start_event).await.context("the audit log cannot be written")?;
    let router = platform.http_router(&settings, &metrics, sign_in::for_platform(&settings, &platform)?).await?;
    let counted = register_metrics(&metrics, service, &mut platform)?;
    let server_tasks = TaskTracker::new();
    // Audit maintenance stops last, so that it seals the rows that the other tasks write while they shut down.
    let (audit_tasks, stop_audit) = (TaskTracker::new(), CancellationToken::new());
    audit_tasks.spawn(audit_maintenance.run(stop_audit.clone()));
    watch_backends(model_router, &server_tasks, &stop);
    if let Some(listener) = metrics_listener {
        server_tasks.spawn(serve_metrics(listener, metrics.clone(), stop.clone()));
    }
    if let Some(listener) = api_listener(&settings, service, listener).await? {
        tracing::info!(address = %listener.local_addr()?, "serving");
        server_tasks.spawn(serve(listener, router, connection_limits(&settings.server), stop.clone()));
        server_tasks.spawn(end_abandoned_runs(platform.run_recovery(), stop.clone()));
        receive_run_signals(&platform, &audit_tasks, &stop_audit);
        spawn_authenticator_tasks(&platform, &server_tasks, &stop);
    }
    if matches!(service, ServiceType::Worker | ServiceType::All) {
        platform.requeue_documents_embedded_by_other_models().await;
        server_tasks.spawn(counted.run(Arc::clone(&platform.queue), stop.clone()));
        spawn_workers(&settings, &platform, &server_tasks, &stop);
    }
    if service == ServiceType::All {
        plant::spawn(&settings, platform.databases(), &metrics, &server_tasks, &stop)?;
    }
    server_tasks.close();
    audit_tasks.close();
    stop.cancelled().await;
    let final_seal = async {
        stop_audit.cancel();
        audit_tasks.wait().await;
    };
    drain(platform, &server_tasks, Duration::from_secs(settings.server.shutdown_grace_s), final_seal).await;
    Ok(())
}

/// Metrics that workers count in the database.
struct CountedMetrics {
    queue: QueueMetrics,
    plant_modes: PlantModeMetrics,
}

impl CountedMetrics {
    /// Updates the metrics until `stop`.
    async fn run(self, queue: Arc<dyn JobQueue>, stop: CancellationToken) {
        tokio::join!(self.queue.run(Arc::clone(&queue), stop.clone()), self.plant_modes.run(queue, stop));
    }
}

/// Starts the workers, and the tasks that give them work, until `stop`.
fn spawn_workers(settings: &Settings, platform: &Platform, tasks: &TaskTracker, stop: &CancellationToken) {
    tasks.spawn(sweep_periodically(Arc::clone(&platform.queue), platform.team_purge.clone(), stop.clone()));
    tasks.spawn(queue_due_work(Arc::clone(&platform.queue), stop.clone()));
    for worker in platform.workers(settings).into_iter().chain(platform.delivery_workers(settings)) {
        let stop = stop.clone();
        tasks.spawn(async move { worker.run(stop).await });
    }
    let (goal_worker, stop) = (goals::worker(settings, platform), stop.clone());
    tasks.spawn(async move { goal_worker.run(stop).await });
}

/// The port of `/metrics`, unless it is switched off.
///
/// # Errors
/// If it is in use.
pub(crate) async fn metrics_listener(settings: &Settings) -> Result<Option<TcpListener>> {
    Ok(match settings.server.metrics_port {
        0 => None,
        port => Some(listen(settings, port).await?),
    })
}

/// Registers the metrics of pools, keys, jobs, queue and plant modes.
fn register_metrics(metrics: &Registry, service: ServiceType, platform: &mut Platform) -> Result<CountedMetrics> {
    database_metrics::register(metrics, platform.databases())?;
    // A worker verifies no tokens and does not refresh the keys.
    if matches!(service, ServiceType::Api | ServiceType::All) {
        key_metrics::register(metrics, &platform.authn)?;
    }
    platform.channels.sender = Arc::new(MeasuredSender::register(metrics, Arc::clone(&platform.channels.sender))?);
    platform.mcp_metrics.register(metrics)?;
    platform.ingest = Arc::new(MeasuredIngest::register(metrics, Arc::clone(&platform.ingest))?);
    Ok(CountedMetrics { queue: QueueMetrics::register(metrics)?, plant_modes: PlantModeMetrics::register(metrics)? })
}

/// Connection limits of the API's listener.
fn connection_limits(server: &Server) -> Limits {
    let limits = Limits {
        idle_timeout: Duration::from_secs(server.idle_connection_s),
        max_connection_age: Duration::from_secs(server.max_connection_age_s),
        max_concurrent_streams: server.max_streams,
        ..Limits::new(server.max_connections)
    };
    // Behind a proxy all connections come from the same address.
    let max_connections_per_peer =
        if server.behind_proxy { limits.max_connections } else { limits.max_connections_per_peer };
    Limits { max_connections_per_peer, ..limits }
}

/// Starts the tasks that keep the issuers' keys fresh and record counted refusals, until `stop`.
fn spawn_authenticator_tasks(platform: &Platform, tasks: &TaskTracker, stop: &CancellationToken) {
    let (authn, stop) = (Arc::clone(&platform.authn), stop.clone());
    tasks.spawn(async move {
        let background = futures::future::join(authn.keep_keys_fresh(), authn.keep_recording_refusals());
        stop.run_until_cancelled(background).await
    });
}

/// The listener of the API. Behind a proxy it is opened only now: a proxy skips a server that refuses connections, but
/// it would send requests to one that is still starting, and it does not retry a POST.
async fn api_listener(
    settings: &Settings,
    service: ServiceType,
    startup_listener: Option<Arc<TcpListener>>,
) -> Result<Option<Arc<TcpListener>>> {
    match service {
        ServiceType::Api | ServiceType::All if startup_listener.is_none() => {
            Ok(Some(Arc::new(listen(settings, settings.server.port).await?)))
        }
        _ => Ok(startup_listener),
    }
}

/// Receives signals from other processes about this one's runs. Continues until the end of the drain, because readers
/// and cancellations still arrive then.
fn receive_run_signals(platform: &Platform, tasks: &TaskTracker, stop: &CancellationToken) {
    let chat = platform.chat.clone();
    tasks.spawn(stop.clone().run_until_cancelled_owned(async move { chat.receive_signals().await }));
}

/// Starts the health checks of the model backends, if there are any.
fn watch_backends(model_router: Option<Arc<Router>>, server_tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some(model_router) = model_router {
        let stop = stop.clone();
        server_tasks.spawn(async move { stop.run_until_cancelled(model_router.run_health_checks()).await });
    }
}

/// Details of the audit event that records the start of this process.
fn start_event_details(settings: &Settings, service: ServiceType) -> Result<serde_json::Value> {
    // Debug output redacts secrets. The hash is keyed, so that nobody can find out settings by hashing guesses.
    let configuration =
        HashKey::derive(settings.secret_key_bytes()?, "configuration").hash(format!("{settings:?}").as_bytes());
    let (version, service) = (env!("CARGO_PKG_VERSION"), format!("{service:?}").to_lowercase());
    Ok(json!({ "version": version, "service": service, "configuration": configuration }))
}

/// Shuts down. Runs `final_seal` after the last audit record is written and before the database connections close.
async fn drain(platform: Platform, server_tasks: &TaskTracker, grace: Duration, final_seal: impl Future<Output = ()>) {
    tracing::info!(grace_s = grace.as_secs(), "draining");
    platform.readiness.drain();
    if tokio::time::timeout(grace, server_tasks.wait()).await.is_err() {
        platform.chat.cancel_all();
        let _ = tokio::time::timeout(FINAL_GRACE, server_tasks.wait()).await;
    }
    platform.chat.cancel_all();
    if tokio::time::timeout(FINAL_GRACE, platform.authn.record_all_refusals()).await.is_err() {
        tracing::warn!("counted refusals could not be recorded in time");
    }
    if tokio::time::timeout(FINAL_GRACE, platform.close_after(final_seal)).await.is_err() {
        tracing::warn!("some tasks did not finish in time");
    }
    tracing::info!("stopped");
}

async fn listen(settings: &Settings, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(settings.server.host, port);
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}; is the port in use?"))
}

/// Waits until the database passes the preflight; until then `/ready` reports that the database is missing. Returns
/// `false` if `stop` is cancelled before that.
async fn wait_for_database(
    databases: &Databases,
    listener: Option<&Arc<TcpListener>>,
    stop: &CancellationToken,
) -> Result<bool> {
    let stop_startup_server = CancellationToken::new();
    let starting = async {
        if let Some(listener) = listener {
            let (readiness, ids) = (Arc::new(StartingReadiness), Arc::new(TimeOrderedIds));
            serve_during_startup(Arc::clone(listener), readiness, ids, stop_startup_server.clone()).await;
        }
    };
    let waiting = async {
        let result = stop.run_until_cancelled(wait_until_reachable(databases)).await.unwrap_or(Ok(false));
        stop_startup_server.cancel();
        result
    };
    let (result, ()) = tokio::join!(waiting, starting);
    result
}

async fn wait_until_reachable(databases: &Databases) -> Result<bool> {
    let mut logged = false;
    loop {
        if let Some(result) = preflight(databases).await {
            return result;
        }
        if !logged {
            tracing::warn!("the database does not respond; waiting for it");
            logged = true;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Runs the preflight; `None` if the database cannot be reached yet.
async fn preflight(databases: &Databases) -> Option<Result<bool>> {
    match databases.preflight().await {
        Ok(()) => Some(Ok(true)),
        Err(error) if error.is_unavailable() => None,
        Err(error) => Some(Err(error.into())),
    }
}
