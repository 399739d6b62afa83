//! Prometheus metrics of the plant modes.

use domain::plant::PlantMode;
use domain::ports::{JobQueue, PlantModeCount};
use prometheus::{IntGaugeVec, Opts, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Interval at which the modes are counted.
const UPDATE_INTERVAL: Duration = Duration::from_secs(15);

/// Numbers of active tenants by plant mode; every process reports the same values, so do not add them up.
#[derive(Clone, Debug)]
pub struct PlantModeMetrics {
    tenants: IntGaugeVec,
}

impl PlantModeMetrics {
    /// Registers the gauge `plant_mode_tenants` (by `mode`: `normal`, `read_only`, `off`).
    ///
    /// # Errors
    /// If the registry already has a metric of that name.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let tenants = Opts::new("plant_mode_tenants", "Active tenants in each plant mode.");
        let tenants = IntGaugeVec::new(tenants, &["mode"])?;
        registry.register(Box::new(tenants.clone()))?;
        Ok(Self { tenants })
    }

    /// Updates the gauge at each interval until `stop`. While the database is unavailable it keeps its last values.
    pub async fn run(self, queue: Arc<dyn JobQueue>, stop: CancellationToken) {
        loop {
            match queue.plant_modes().await {
                Ok(counts) => self.set(&counts),
                Err(error) => tracing::debug!(%error, "the plant modes could not be counted"),
            }
            if stop.run_until_cancelled(tokio::time::sleep(UPDATE_INTERVAL)).await.is_none() {
                return;
            }
        }
    }

    fn set(&self, counts: &[PlantModeCount]) {
        for mode in PlantMode::ALL {
            let tenants = counts.iter().find(|count| count.mode == *mode).map_or(0, |count| count.tenants);
            self.tenants.with_label_values(&[mode.as_str()]).set(i64::try_from(tenants).unwrap_or(i64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_has_a_value() -> Result<(), prometheus::Error> {
        let registry = Registry::new();
        let metrics = PlantModeMetrics::register(&registry)?;
        metrics.set(&[PlantModeCount { mode: PlantMode::Off, tenants: 9 }]);
        metrics.set(&[PlantModeCount { mode: PlantMode::Normal, tenants: 3 }]);
        let encoded = prometheus::TextEncoder::new().encode_to_string(&registry.gather())?;
        for line in [
            "plant_mode_tenants{mode=\"normal\"} 3",
            "plant_mode_tenants{mode=\"read_only\"} 0",
            "plant_mode_tenants{mode=\"off\"} 0",
        ] {
            assert!(encoded.lines().any(|found| found == line), "{line} in {encoded}");
        }
        Ok(())
    }
}
