//! Maintains the audit log while the process runs: seals new rows once a second, signs a checkpoint every ten seconds,
//! and closes operations that dead processes left open.
//!
//! A checkpoint signs the chain head that this process computed when it sealed the rows. It is not read back from the
//! database, so if somebody deletes the end of the chain in between, the checkpoint still covers the deleted rows.

use super::checkpoint_file::CheckpointFile;
use data::Database;
use data::audit::{AuditMaintenance, ChainHead, SigningKey};
use domain::audit::chain::{AuditHash, Checkpoint};
use domain::ports::{Clock, StoreError};
use prometheus::{IntCounter, IntGauge, Registry};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Maximum number of rows sealed in one transaction.
const SEAL_BATCH: i32 = 5_000;
/// Maximum number of checkpoints kept while the file cannot be written. The oldest are dropped, because a newer
/// checkpoint also covers all rows before it.
const MAX_UNWRITTEN_CHECKPOINTS: usize = 10_000;
/// Interval at which new rows are sealed.
const SEAL_INTERVAL: Duration = Duration::from_secs(1);
/// Time without its advisory lock after which a process counts as dead. It is not zero because a restart of the
/// database releases the locks of live processes too.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// Interval at which next month's partition is created and intents without a known process are closed.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(600);

/// Prometheus metrics of the audit log's maintenance.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    checkpoints: IntCounter,
    recovered_operations: IntCounter,
    failing: IntGauge,
    last_checkpoint: IntGauge,
}

impl AuditMetrics {
    /// Registers `audit_checkpoints_total`, `audit_recovered_total`, `audit_keeping_failed` and
    /// `audit_last_checkpoint_timestamp_seconds`.
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            checkpoints: IntCounter::new("audit_checkpoints_total", "Checkpoints that this process signed.")?,
            recovered_operations: IntCounter::new(
                "audit_recovered_total",
                "Operations of dead processes that this process closed with the outcome unknown.",
            )?,
            failing: IntGauge::new("audit_keeping_failed", "1 while the audit log cannot be sealed or signed.")?,
            last_checkpoint: IntGauge::new(
                "audit_last_checkpoint_timestamp_seconds",
                "Unix time at which checkpoints last covered all rows that this process had sealed.",
            )?,
        };
        registry.register(Box::new(metrics.checkpoints.clone()))?;
        registry.register(Box::new(metrics.recovered_operations.clone()))?;
        registry.register(Box::new(metrics.failing.clone()))?;
        registry.register(Box::new(metrics.last_checkpoint.clone()))?;
        Ok(metrics)
    }
}

/// Dependencies of an [`AuditMaintenanceTask`].
pub struct AuditMaintenanceParts {
    /// Connections as the role `platform_app`.
    pub database: Database,
    /// Id of this process; its own open operations are never closed.
    pub instance_id: Uuid,
    /// Key that signs checkpoints.
    pub key: SigningKey,
    /// Checkpoint file outside the database.
    pub checkpoint_file: CheckpointFile,
    /// Source of the time in checkpoints.
    pub clock: Arc<dyn Clock>,
    /// Interval at which checkpoints are signed.
    pub checkpoint_interval: Duration,
}

/// Seals and signs the audit log, and closes operations of dead processes.
pub struct AuditMaintenanceTask {
    parts: AuditMaintenanceParts,
    log: AuditMaintenance,
    metrics: AuditMetrics,
    /// Chain heads (sequence number and hash) by tenant that this process sealed and has not signed yet.
    unsigned_heads: BTreeMap<Uuid, (i64, AuditHash)>,
    /// Signed checkpoints that are not in the checkpoint file yet.
    unwritten_checkpoints: Vec<Checkpoint>,
    /// Time at which each process was first observed without its lock.
    unlocked_since: HashMap<Uuid, Instant>,
    /// Whether the current failure to seal has been logged.
    failure_logged: bool,
    /// Whether the current failure to write the checkpoint file has been logged.
    file_failure_logged: bool,
}

impl AuditMaintenanceTask {
    /// Creates the task without starting it.
    #[must_use]
    pub fn new(parts: AuditMaintenanceParts, metrics: AuditMetrics) -> Self {
        let log = AuditMaintenance::new(parts.database.clone());
        Self {
            parts,
            log,
            metrics,
            unsigned_heads: BTreeMap::new(),
            unwritten_checkpoints: Vec::new(),
            unlocked_since: HashMap::new(),
            failure_logged: false,
            file_failure_logged: false,
        }
    }

    /// Creates the partitions and signs the chain heads that the previous process left unsigned.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn prepare(&mut self) -> Result<(), StoreError> {
        self.log.create_partitions().await?;
        let heads = self.log.unsigned_heads().await?;
        self.add_unsigned_heads(&heads);
        self.sign().await
    }

    /// Maintains the log until `stop`, then seals and signs once more.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(SEAL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // `last_signed` is `None` at first, so that the first tick also signs: it may seal months of rows.
        let (mut last_signed, mut last_maintained) = (None::<Instant>, Instant::now());
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let sign_due = last_signed.is_none_or(|at| at.elapsed() >= self.parts.checkpoint_interval);
            let maintenance_due = last_maintained.elapsed() >= MAINTENANCE_INTERVAL;
            let result = self.run_once(sign_due, maintenance_due).await;
            last_signed = if sign_due { Some(Instant::now()) } else { last_signed };
            last_maintained = if maintenance_due { Instant::now() } else { last_maintained };
            self.report(result);
        }
        let result = self.run_once(true, false).await;
        self.report(result);
    }

    /// Runs one iteration. All steps run even if one of them fails; returns the first error.
    async fn run_once(&mut self, sign: bool, maintain: bool) -> Result<(), StoreError> {
        let seal_result = self.seal().await;
        let sign_result = if sign { self.sign().await } else { Ok(()) };
        let recovery_result = self.recover().await;
        let maintenance_result = if maintain { self.maintain().await } else { Ok(()) };
        seal_result.and(sign_result).and(recovery_result).and(maintenance_result)
    }

    async fn maintain(&mut self) -> Result<(), StoreError> {
        let partitions_result = self.log.create_partitions().await;
        let recovered = self.log.close_abandoned_operations(None).await?;
        self.metrics.recovered_operations.inc_by(u64::try_from(recovered).unwrap_or_default());
        partitions_result
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        loop {
            let heads = self.log.seal(SEAL_BATCH).await?;
            if heads.is_empty() {
                return Ok(());
            }
            self.add_unsigned_heads(&heads);
        }
    }

    fn add_unsigned_heads(&mut self, heads: &[ChainHead]) {
        self.unsigned_heads.extend(heads.iter().map(|head| (head.tenant, (head.seq, head.chain_hash))));
    }

    async fn sign(&mut self) -> Result<(), StoreError> {
        while let Some((tenant, (seq, chain_hash))) = self.unsigned_heads.first_key_value().map(|(k, v)| (*k, *v)) {
            let checkpoint = self.parts.key.sign_checkpoint(tenant, seq, chain_hash, self.parts.clock.now());
            self.log.store_checkpoint(&checkpoint).await?;
            self.unsigned_heads.remove(&tenant);
            self.unwritten_checkpoints.push(checkpoint);
            self.metrics.checkpoints.inc();
        }
        if self.unwritten_checkpoints.is_empty() {
            self.record_checkpoint_time();
            return Ok(());
        }
        // Blocking I/O is acceptable here: it writes a few lines every ten seconds.
        match self.parts.checkpoint_file.append(&self.unwritten_checkpoints) {
            Ok(()) => {
                self.unwritten_checkpoints.clear();
                self.record_checkpoint_time();
                self.file_failure_logged = false;
            }
            Err(error) if !std::mem::replace(&mut self.file_failure_logged, true) => {
                tracing::error!(error = format!("{error:#}"), "checkpoints cannot be written to the checkpoint file");
            }
            Err(_) => {
                let surplus = self.unwritten_checkpoints.len().saturating_sub(MAX_UNWRITTEN_CHECKPOINTS);
                self.unwritten_checkpoints.drain(..surplus);
            }
        }
        Ok(())
    }

    fn record_checkpoint_time(&self) {
        self.metrics.last_checkpoint.set(self.parts.clock.now().timestamp());
    }

    /// Closes the open operations of processes that have been without their lock for `DEAD_AFTER`.
    async fn recover(&mut self) -> Result<(), StoreError> {
        let unlocked = self.log.dead_instances().await?;
        self.unlocked_since.retain(|instance, _| unlocked.contains(instance));
        for instance in unlocked.into_iter().filter(|instance| *instance != self.parts.instance_id) {
            let since = *self.unlocked_since.entry(instance).or_insert_with(Instant::now);
            if since.elapsed() < DEAD_AFTER {
                continue;
            }
            let recovered = self.log.close_abandoned_operations(Some(instance)).await?;
            if recovered > 0 {
                tracing::warn!(%instance, operations = recovered, "closed operations that a dead process left open");
                self.metrics.recovered_operations.inc_by(u64::try_from(recovered).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Logs a failure when it begins and when it ends, and sets the metric.
    fn report(&mut self, result: Result<(), StoreError>) {
        match result {
            Ok(()) if self.failure_logged => {
                tracing::info!("the audit log is sealed again");
                self.failure_logged = false;
            }
            Err(error) if !self.failure_logged => {
                tracing::error!(%error, "the audit log cannot be sealed; rows are still written");
                self.failure_logged = true;
            }
            _ => {}
        }
        self.metrics.failing.set(i64::from(self.failure_logged || !self.unwritten_checkpoints.is_empty()));
    }
}
