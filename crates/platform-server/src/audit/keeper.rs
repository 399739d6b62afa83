//! Keeps the log while the process runs: seals once a second, signs every ten, closes what dead processes left open.
//!
//! A checkpoint is about what this process sealed itself, not about what the database says later: if the end of the chain
//! goes missing in between, the signature still names it.

use super::outside::CheckpointFile;
use data::Database;
use data::audit::{AuditKeeper, Head, SigningKey};
use domain::audit::sealed::{ChainHash, Checkpoint};
use domain::ports::{Clock, StoreError};
use prometheus::{IntCounter, IntGauge, Registry};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Rows sealed in one transaction.
const BATCH: i32 = 5_000;
/// Most checkpoints that wait for the file; the newest prove all that came before.
const MOST_UNKEPT: usize = 10_000;
/// Time between two looks for new rows.
const TICK: Duration = Duration::from_secs(1);
/// How long a process must be without its lock before it counts as dead: a database that restarts takes all locks.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// Time between two looks for intents that no process is known for, and for next month's partition.
const SELDOM: Duration = Duration::from_secs(600);

/// The keeper's numbers for whoever watches the platform.
#[derive(Clone, Debug)]
pub struct AuditMetrics {
    checkpoints: IntCounter,
    recovered: IntCounter,
    failing: IntGauge,
}

impl AuditMetrics {
    /// Makes `audit_checkpoints_total`, `audit_recovered_total` and `audit_keeping_failed`, and registers them.
    ///
    /// # Errors
    /// Where the registry has a metric of that name already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            checkpoints: IntCounter::new("audit_checkpoints_total", "Checkpoints that this process signed.")?,
            recovered: IntCounter::new(
                "audit_recovered_total",
                "Operations of dead processes that this process closed with the outcome unknown.",
            )?,
            failing: IntGauge::new("audit_keeping_failed", "1 while the audit log cannot be sealed or signed.")?,
        };
        registry.register(Box::new(metrics.checkpoints.clone()))?;
        registry.register(Box::new(metrics.recovered.clone()))?;
        registry.register(Box::new(metrics.failing.clone()))?;
        Ok(metrics)
    }
}

/// What the keeper works with.
pub struct KeeperParts {
    /// Connections of the application's role.
    pub database: Database,
    /// Which process this is: it never closes what it has open itself.
    pub instance: Uuid,
    /// Signs checkpoints.
    pub key: SigningKey,
    /// Keeps them outside the database too.
    pub outside: CheckpointFile,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Time between two checkpoints.
    pub every: Duration,
}

/// Keeps the log.
pub struct Keeper {
    parts: KeeperParts,
    log: AuditKeeper,
    metrics: AuditMetrics,
    /// Ends of chains that this process sealed and has not signed yet.
    unsigned: BTreeMap<Uuid, (i64, ChainHash)>,
    /// Signed, and not on the disk yet.
    unkept: Vec<Checkpoint>,
    absent: HashMap<Uuid, Instant>,
    told: bool,
    told_outside: bool,
}

impl Keeper {
    /// Prepares it; nothing runs yet.
    #[must_use]
    pub fn new(parts: KeeperParts, metrics: AuditMetrics) -> Self {
        let log = AuditKeeper::new(parts.database.clone());
        Self {
            parts,
            log,
            metrics,
            unsigned: BTreeMap::new(),
            unkept: Vec::new(),
            absent: HashMap::new(),
            told: false,
            told_outside: false,
        }
    }

    /// Makes this month's partition and signs what the process before left unsigned.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn begin(&mut self) -> Result<(), StoreError> {
        self.log.prepare_partitions().await?;
        let heads = self.log.unproven_heads().await?;
        self.note(&heads);
        self.sign().await
    }

    /// Keeps the log until `stop`, then seals and signs what is there.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What the first look seals is signed at once: a log from before the chain spans months.
        let (mut signed, mut looked) = (None::<Instant>, Instant::now());
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let due = signed.is_none_or(|at| at.elapsed() >= self.parts.every);
            let seldom = looked.elapsed() >= SELDOM;
            let kept = self.keep(due, seldom).await;
            signed = if due { Some(Instant::now()) } else { signed };
            looked = if seldom { Instant::now() } else { looked };
            self.tell(kept);
        }
        let kept = self.keep(true, false).await;
        self.tell(kept);
    }

    /// Each part by itself: that one fails keeps no other from its work. The first failure is told.
    async fn keep(&mut self, sign: bool, seldom: bool) -> Result<(), StoreError> {
        let sealed = self.seal().await;
        let signed = if sign { self.sign().await } else { Ok(()) };
        let recovered = self.recover().await;
        let looked = if seldom { self.look_seldom().await } else { Ok(()) };
        sealed.and(signed).and(recovered).and(looked)
    }

    async fn look_seldom(&mut self) -> Result<(), StoreError> {
        let prepared = self.log.prepare_partitions().await;
        let recovered = self.log.recover(None).await?;
        self.metrics.recovered.inc_by(u64::try_from(recovered).unwrap_or_default());
        prepared
    }

    async fn seal(&mut self) -> Result<(), StoreError> {
        loop {
            let heads = self.log.seal(BATCH).await?;
            if heads.is_empty() {
                return Ok(());
            }
            self.note(&heads);
        }
    }

    fn note(&mut self, heads: &[Head]) {
        self.unsigned.extend(heads.iter().map(|head| (head.tenant, (head.seq, head.chain_hash))));
    }

    async fn sign(&mut self) -> Result<(), StoreError> {
        while let Some((tenant, (seq, chain_hash))) = self.unsigned.first_key_value().map(|(k, v)| (*k, *v)) {
            let signed = self.parts.key.checkpoint(tenant, seq, chain_hash, self.parts.clock.now());
            self.log.keep_checkpoint(&signed).await?;
            self.unsigned.remove(&tenant);
            self.unkept.push(signed);
            self.metrics.checkpoints.inc();
        }
        if self.unkept.is_empty() {
            return Ok(());
        }
        // A handful of lines every ten seconds; the disk's answer is waited for here.
        match self.parts.outside.keep(&self.unkept) {
            Ok(()) => {
                self.unkept.clear();
                self.told_outside = false;
            }
            Err(error) if !std::mem::replace(&mut self.told_outside, true) => {
                tracing::error!(error = format!("{error:#}"), "checkpoints cannot be kept outside the database");
            }
            Err(_) => {
                let surplus = self.unkept.len().saturating_sub(MOST_UNKEPT);
                self.unkept.drain(..surplus);
            }
        }
        Ok(())
    }

    /// Closes what processes left open that have been without their lock for a while.
    async fn recover(&mut self) -> Result<(), StoreError> {
        let now = self.log.absent_instances().await?;
        self.absent.retain(|instance, _| now.contains(instance));
        for instance in now.into_iter().filter(|instance| *instance != self.parts.instance) {
            let since = *self.absent.entry(instance).or_insert_with(Instant::now);
            if since.elapsed() < DEAD_AFTER {
                continue;
            }
            let recovered = self.log.recover(Some(instance)).await?;
            if recovered > 0 {
                tracing::warn!(%instance, operations = recovered, "closed what a dead process left open");
                self.metrics.recovered.inc_by(u64::try_from(recovered).unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Says once that keeping fails, and once that it works again.
    fn tell(&mut self, kept: Result<(), StoreError>) {
        match kept {
            Ok(()) if self.told => {
                tracing::info!("the audit log is sealed again");
                self.told = false;
            }
            Err(error) if !self.told => {
                tracing::error!(%error, "the audit log cannot be sealed; it goes on being written");
                self.told = true;
            }
            _ => {}
        }
        self.metrics.failing.set(i64::from(self.told || !self.unkept.is_empty()));
    }
}
