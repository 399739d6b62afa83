//! Prometheus and postgres_exporter of the stack: the configuration in `deploy/prometheus`, with the stack's targets.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::platform_processes::PlatformPorts;
use super::service::Service;
use crate::data_dir::DataDir;
use crate::database::Database;
use crate::state::SavedState;
use crate::{debian, files, pg, project};

/// Ports of Prometheus and postgres_exporter, and the directory of the configuration.
pub struct Prometheus {
    port: u16,
    exporter_port: u16,
    dir: std::path::PathBuf,
}

impl Prometheus {
    /// Copies the configuration and the rules, and writes the targets.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn new(data: &DataDir, ports: &PlatformPorts) -> Result<Self> {
        let dir = data.join("prometheus");
        let prometheus = Self { port: pg::free_port()?, exporter_port: pg::free_port()?, dir: dir.clone() };
        let source = project::root()?.join("deploy/prometheus");
        copy_configuration(&source, &dir)?;
        let [first, second] = ports.api.map(|api| api.metrics);
        let targets = [
            (
                "platform",
                format!(
                    "- targets: [\"127.0.0.1:{first}\", \"127.0.0.1:{second}\"]\n  labels: {{ service: api }}\n\
                     - targets: [\"127.0.0.1:{}\"]\n  labels: {{ service: worker }}\n\
                     - targets: [\"127.0.0.1:{}\"]\n  labels: {{ service: plant }}\n",
                    ports.worker_metrics, ports.plant_metrics
                ),
            ),
            ("postgres", format!("- targets: [\"127.0.0.1:{}\"]\n", prometheus.exporter_port)),
            ("prometheus", format!("- targets: [\"127.0.0.1:{}\"]\n", prometheus.port)),
        ];
        for (name, content) in targets {
            let path = dir.join("targets").join(format!("{name}.yml"));
            fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(prometheus)
    }

    /// Address of Prometheus.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The services `prometheus` and `postgres_exporter`.
    ///
    /// # Errors
    /// If one is not installed.
    pub fn services(&self, data: &DataDir, database: &Database, state: &SavedState) -> Result<Vec<Service>> {
        let mut prometheus = Command::new(debian::find("prometheus").context("prometheus is not installed")?);
        prometheus.arg("--config.file").arg(self.dir.join("prometheus.yml"));
        prometheus.arg("--storage.tsdb.path").arg(self.dir.join("data"));
        prometheus.args(["--web.listen-address", &format!("127.0.0.1:{}", self.port)]);
        prometheus.args(["--storage.tsdb.retention.time", "15d", "--log.level", "warn"]);
        let program = debian::find("prometheus-postgres-exporter").context("postgres_exporter is not installed")?;
        let mut exporter = Command::new(program);
        exporter.args(["--web.listen-address", &format!("127.0.0.1:{}", self.exporter_port)]);
        exporter.args(["--log.level", "warn"]);
        exporter.env("DATA_SOURCE_URI", format!("127.0.0.1:{}/platform?sslmode=disable", database.port(state)?));
        exporter.env("DATA_SOURCE_USER", "postgres_exporter").env("DATA_SOURCE_PASS", exporter_password(state));
        Ok(vec![
            Service::new("postgres_exporter", exporter, data).with_ready_port(self.exporter_port),
            Service::new("prometheus", prometheus, data).with_ready_port(self.port),
        ])
    }
}

fn copy_configuration(source: &Path, dir: &Path) -> Result<()> {
    for sub_dir in ["rules", "targets"] {
        files::create_dir(&dir.join(sub_dir), 0o755)?;
    }
    fs::copy(source.join("prometheus.yml"), dir.join("prometheus.yml"))?;
    for entry in fs::read_dir(source.join("rules"))? {
        let entry = entry?;
        fs::copy(entry.path(), dir.join("rules").join(entry.file_name()))?;
    }
    Ok(())
}

/// Creates the role of postgres_exporter, as `deploy/postgres/roles.sh` does for Compose.
///
/// # Errors
/// If a statement fails.
pub fn create_exporter_role(database: &Database, state: &SavedState) -> Result<()> {
    let password = exporter_password(state);
    database.superuser_sql(&format!(
        "do $$ begin
             if not exists (select from pg_roles where rolname = 'postgres_exporter') then
                 create role postgres_exporter login nosuperuser in role pg_monitor;
             end if;
         end $$;
         alter role postgres_exporter password '{password}'"
    ))
}

/// The role's password. It is derived, so that older data directories, whose `state.json` lacks it, have one too.
fn exporter_password(state: &SavedState) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(format!("postgres_exporter {}", state.superuser_password)))
}
