//! The platform's own processes: two API processes and a worker, which share the database, Redis and the files; and the
//! plant process, which shares the database alone.

use std::path::PathBuf;

use anyhow::Result;

use super::service::Service;
use crate::data_dir::DataDir;
use crate::database::DatabaseUrls;
use crate::pg;
use crate::platform;
use crate::server::Server;
use crate::state::SavedState;
use rustix::process::Signal;

/// Variables that the plant process does not get: it reaches nothing but its own role's tables and the plant systems.
const NOT_FOR_THE_PLANT_PROCESS: [&str; 6] =
    ["SECRET_KEY", "DATABASE_URL", "DATABASE_WORKER_URL", "DATABASE_AUDIT_URL", "DATABASE_MIGRATION_URL", "REDIS_URL"];

/// Ports of a process on 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct ProcessPorts {
    /// Port of the API.
    pub http: u16,
    /// Port of `/metrics`.
    pub metrics: u16,
}

/// Ports of the platform's processes.
#[derive(Clone, Copy, Debug)]
pub struct PlatformPorts {
    /// Ports of the API processes.
    pub api: [ProcessPorts; 2],
    /// Port of the worker's `/metrics`.
    pub worker_metrics: u16,
    /// Port of the plant process's `/metrics`.
    pub plant_metrics: u16,
}

impl PlatformPorts {
    /// Chooses free ports.
    ///
    /// # Errors
    /// If there are not enough free ports.
    pub fn choose() -> Result<Self> {
        let process = || anyhow::Ok(ProcessPorts { http: pg::free_port()?, metrics: pg::free_port()? });
        Ok(Self { api: [process()?, process()?], worker_metrics: pg::free_port()?, plant_metrics: pg::free_port()? })
    }
}

/// Settings that the processes share.
pub struct ProcessSettings<'a> {
    /// Path of `platform-server`.
    pub program: PathBuf,
    /// The data directory.
    pub data: &'a DataDir,
    /// Secrets of the data directory.
    pub state: &'a SavedState,
    /// URLs of the database.
    pub urls: &'a DatabaseUrls,
    /// URL of Redis.
    pub redis_url: &'a str,
    /// Variables of the in-process embedding models, if they are used.
    pub model_variables: Vec<(&'static str, String)>,
}

impl ProcessSettings<'_> {
    /// The services `api-1`, `api-2`, `worker` and `plant`.
    ///
    /// # Errors
    /// If a path is not valid UTF-8.
    pub fn services(&self, ports: &PlatformPorts) -> Result<Vec<Service>> {
        let mut services = Vec::new();
        for (name, ports) in ["api-1", "api-2"].into_iter().zip(ports.api) {
            let server = self
                .server(ports.metrics)?
                .with_variable("PLATFORM__SERVER__PORT", &ports.http.to_string())
                .with_variable("PLATFORM__SERVER__BEHIND_PROXY", "true");
            let ready = server.command(&["healthcheck"]);
            services.push(self.service(name, server.command(&["serve"])).with_ready_command(ready));
        }
        let worker = self.server(ports.worker_metrics)?.command(&["worker"]);
        services.push(self.service("worker", worker).with_ready_port(ports.worker_metrics));
        let mut plant = self.server(ports.plant_metrics)?.command(&["plant"]);
        for variable in NOT_FOR_THE_PLANT_PROCESS {
            plant.env_remove(variable);
        }
        services.push(self.service("plant", plant).with_ready_port(ports.plant_metrics));
        Ok(services)
    }

    fn service(&self, name: &'static str, command: std::process::Command) -> Service {
        Service::new(name, command, self.data).with_stop_signal(Signal::TERM)
    }

    fn server(&self, metrics_port: u16) -> Result<Server> {
        let mut server = server_without_listener(self.program.clone(), self.data, self.state, self.urls)?
            .with_variable("REDIS_URL", self.redis_url)
            .with_variable("PLATFORM__SERVER__METRICS_PORT", &metrics_port.to_string());
        for (name, value) in &self.model_variables {
            server = server.with_variable(name, value);
        }
        Ok(server)
    }
}

/// The server for commands that do not serve requests, such as `migrate`.
///
/// # Errors
/// If a path is not valid UTF-8.
pub fn server_without_listener(
    program: PathBuf,
    data: &DataDir,
    state: &SavedState,
    urls: &DatabaseUrls,
) -> Result<Server> {
    platform::server_for(program, data, state, urls, None)
}
