//! The plant process, which connects to the plant systems: on its own, or as a part of `all`.

use crate::config::{Mode, Settings};
use crate::databases::{self, Databases};
use crate::plant_metrics::PlantMetrics;
use crate::serve::{RETRY_INTERVAL, metrics_listener};
use crate::system::SystemClock;
use anyhow::{Context as _, Result};
use data::{Database, PgPlantQueue, SealedSecrets, preflight};
use domain::ports::Clock;
use gateway::serve::serve_metrics;
use plant_connectors::Connectors;
use plant_connectors::simulator::WithSimulator;
use prometheus::Registry;
use runtime::plant_process::{PlantProcess, PlantProcessPorts};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Reads the plant systems until `stop`. Listens on no port but that of the metrics.
///
/// # Errors
/// If the metrics' port is in use, a setting is missing, or the database fails the preflight.
pub async fn run(settings: &Settings, stop: CancellationToken) -> Result<()> {
    let database = databases::plant(settings)?;
    let metrics = Registry::new();
    let tasks = TaskTracker::new();
    let process = process(settings, database.clone(), &metrics, &tasks)?;
    let metrics_listener = metrics_listener(settings).await?;
    if let Some(listener) = metrics_listener {
        tasks.spawn(serve_metrics(listener, metrics, stop.clone()));
    }
    if let Some(reached) = stop.run_until_cancelled(wait_for_database(&database)).await {
        reached?;
        tracing::info!("reading plant systems");
        process.run(stop).await;
    }
    tasks.close();
    tasks.wait().await;
    database.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// Runs the plant process as a task of this process, for `all`. Only logs a warning if `DATABASE_PLANT_URL` is not set.
///
/// # Errors
/// If a setting is missing.
pub fn spawn(
    settings: &Settings,
    databases: &Databases,
    metrics: &Registry,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<()> {
    let Some(database) = databases.plant.clone() else {
        tracing::warn!("DATABASE_PLANT_URL is not set, so plant systems are not read");
        return Ok(());
    };
    tasks.spawn(process(settings, database, metrics, tasks)?.run(stop.clone()));
    Ok(())
}

fn process(settings: &Settings, database: Database, metrics: &Registry, tasks: &TaskTracker) -> Result<PlantProcess> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let connectors = Connectors::new(Arc::clone(&clock), tasks.clone(), settings.plant_identity_dir());
    let ports = PlantProcessPorts {
        queue: Arc::new(PgPlantQueue::new(database)),
        connectors: Arc::new(WithSimulator::new(connectors, Arc::clone(&clock))),
        secrets: Arc::new(SealedSecrets::new(settings.plant_key_bytes()?)),
        clock,
        observer: Arc::new(PlantMetrics::register(metrics)?),
    };
    Ok(PlantProcess::new(ports, settings.plant.process_settings(settings.mode == Mode::Development)))
}

/// Waits until the database passes the preflight.
async fn wait_for_database(database: &Database) -> Result<()> {
    let mut logged = false;
    loop {
        match preflight::check_plant(database).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_unavailable() => {}
            Err(error) => return Err(error).context("the plant process cannot use its database"),
        }
        if !logged {
            tracing::warn!("the database does not respond; waiting for it");
            logged = true;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}
