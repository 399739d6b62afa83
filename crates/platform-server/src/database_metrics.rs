//! Prometheus metrics of the connection pools, read at each scrape. Names follow the OpenTelemetry conventions for
//! database clients in Prometheus spelling.

use crate::databases::Databases;
use data::Database;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGaugeVec, Opts, Registry};

/// Registers the gauges `db_client_connection_count` (by `pool` and `state`: `used` or `idle`),
/// `db_client_connection_max` and `db_client_connection_pending_requests` (by `pool`).
///
/// # Errors
/// If the registry already has a metric of that name.
pub fn register(registry: &Registry, databases: &Databases) -> Result<(), prometheus::Error> {
    let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
    let pool = |name, database: &Database| Pool { name, database: database.clone() };
    registry.register(Box::new(PoolCollector {
        pools: vec![
            pool("app", &databases.app),
            pool("worker", &databases.worker),
            pool("auditor", &databases.auditor),
        ],
        connections: gauge("db_client_connection_count", "Open connections of a pool.", &["pool", "state"])?,
        max_connections: gauge("db_client_connection_max", "Maximum number of open connections.", &["pool"])?,
        waiting: gauge("db_client_connection_pending_requests", "Callers that wait for a connection.", &["pool"])?,
    }))
}

struct Pool {
    name: &'static str,
    database: Database,
}

struct PoolCollector {
    pools: Vec<Pool>,
    connections: IntGaugeVec,
    max_connections: IntGaugeVec,
    waiting: IntGaugeVec,
}

impl Collector for PoolCollector {
    fn desc(&self) -> Vec<&Desc> {
        [&self.connections, &self.max_connections, &self.waiting].into_iter().flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        for Pool { name, database } in &self.pools {
            let usage = database.usage();
            self.connections.with_label_values(&[*name, "used"]).set(i64::from(usage.in_use));
            self.connections.with_label_values(&[*name, "idle"]).set(i64::from(usage.idle));
            self.max_connections.with_label_values(&[*name]).set(i64::from(usage.max));
            self.waiting.with_label_values(&[*name]).set(i64::try_from(usage.waiting).unwrap_or(i64::MAX));
        }
        [&self.connections, &self.max_connections, &self.waiting].into_iter().flat_map(Collector::collect).collect()
    }
}
