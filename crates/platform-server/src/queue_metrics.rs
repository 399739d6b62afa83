//! Prometheus metrics of the job queue, and of the outbox of messages to channels.

use domain::channel::DeliveryBacklog;
use domain::ports::{JobQueue, QueueDepth};
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Interval at which the queue is counted.
const UPDATE_INTERVAL: Duration = Duration::from_secs(15);

/// Gauges of the whole queue; every process reports the same values, so do not add them up.
#[derive(Clone, Debug)]
pub struct QueueMetrics {
    jobs: IntGaugeVec,
    oldest_due_s: IntGauge,
    outbox: IntGauge,
    outbox_oldest_due_s: IntGauge,
}

impl QueueMetrics {
    /// Registers the gauges `jobs` (by `state`: `due`, `leased`, `dead`), `jobs_oldest_due_seconds`,
    /// `channel_outbox_messages` and `channel_outbox_oldest_due_seconds`.
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let jobs = Opts::new("jobs", "Jobs that are due, leased by a worker, or dead (given up).");
        let jobs = IntGaugeVec::new(jobs, &["state"])?;
        let oldest_due_s =
            IntGauge::new("jobs_oldest_due_seconds", "Seconds that the oldest due job has waited for a worker.")?;
        let outbox = IntGauge::new("channel_outbox_messages", "Messages to channels that are not delivered yet.")?;
        let outbox_oldest_due_s = IntGauge::new(
            "channel_outbox_oldest_due_seconds",
            "Seconds that the oldest message to a channel has waited for an attempt that is due.",
        )?;
        registry.register(Box::new(jobs.clone()))?;
        registry.register(Box::new(oldest_due_s.clone()))?;
        registry.register(Box::new(outbox.clone()))?;
        registry.register(Box::new(outbox_oldest_due_s.clone()))?;
        Ok(Self { jobs, oldest_due_s, outbox, outbox_oldest_due_s })
    }

    /// Updates the gauges at each interval until `stop`. While the database is unavailable they keep their last values.
    pub async fn run(self, queue: Arc<dyn JobQueue>, stop: CancellationToken) {
        loop {
            match queue.depth().await {
                Ok(depth) => self.set(depth),
                Err(error) => tracing::debug!(%error, "the queue could not be counted"),
            }
            match queue.delivery_backlog().await {
                Ok(backlog) => self.set_outbox(backlog),
                Err(error) => tracing::debug!(%error, "messages to channels could not be counted"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(UPDATE_INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    fn set_outbox(&self, backlog: DeliveryBacklog) {
        self.outbox.set(gauge(backlog.pending));
        self.outbox_oldest_due_s.set(gauge(backlog.oldest_due_age_s));
    }

    fn set(&self, depth: QueueDepth) {
        for (state, count) in [("due", depth.due), ("leased", depth.leased), ("dead", depth.dead)] {
            self.jobs.with_label_values(&[state]).set(gauge(count));
        }
        self.oldest_due_s.set(gauge(depth.oldest_due_age_s));
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_depth_is_reported_by_state() -> Result<(), prometheus::Error> {
        let registry = Registry::new();
        let metrics = QueueMetrics::register(&registry)?;
        metrics.set(QueueDepth { due: 3, leased: 2, dead: 1, oldest_due_age_s: 40 });
        metrics.set_outbox(DeliveryBacklog { pending: 4, oldest_due_age_s: 50 });
        let encoded = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
        for line in [
            "jobs{state=\"due\"} 3",
            "jobs{state=\"leased\"} 2",
            "jobs{state=\"dead\"} 1",
            "jobs_oldest_due_seconds 40",
            "channel_outbox_messages 4",
            "channel_outbox_oldest_due_seconds 50",
        ] {
            assert!(encoded.lines().any(|found| found == line), "{line} in {encoded}");
        }
        Ok(())
    }
}
