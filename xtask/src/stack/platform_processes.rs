//! The platform's own processes: two API processes and a worker, which share the database, Redis and the files.

use std::path::PathBuf;

use anyhow::Result;

use super::service::Service;
use crate::data_dir::DataDir;
use crate::database::DatabaseUrls;
use crate::pg;
use crate::platform;
use crate::server::Server;
use crate::state::State;
use rustix::process::Signal;

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
}

impl PlatformPorts {
    /// Chooses free ports.
    ///
    /// # Errors
    /// If there are not enough free ports.
    pub fn choose() -> Result<Self> {
        let process = || anyhow::Ok(ProcessPorts { http: pg::free_port()?, metrics: pg::free_port()? });
        Ok(Self { api: [process()?, process()?], worker_metrics: pg::free_port()? })
    }
}

/// Settings that the processes share.
pub struct Processes<'a> {
    /// Path of `platform-server`.
    pub program: PathBuf,
    /// The data directory.
    pub data: &'a DataDir,
    /// Secrets of the data directory.
    pub state: &'a State,
    /// URLs of the database.
    pub urls: &'a DatabaseUrls,
    /// URL of Redis.
    pub redis_url: &'a str,
    /// Directory of the embedded model, if it is used.
    pub model_dir: Option<String>,
}

impl Processes<'_> {
    /// The services `api-1`, `api-2` and `worker`.
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
        Ok(services)
    }

    fn service(&self, name: &'static str, command: std::process::Command) -> Service {
        Service::new(name, command, self.data).with_stop_signal(Signal::TERM)
    }

    fn server(&self, metrics_port: u16) -> Result<Server> {
        let mut server = server_for_commands(self.program.clone(), self.data, self.state, self.urls)?
            .with_variable("REDIS_URL", self.redis_url)
            .with_variable("PLATFORM__SERVER__METRICS_PORT", &metrics_port.to_string());
        if let Some(dir) = &self.model_dir {
            server = server.with_variable("PLATFORM__MODELS__EMBEDDED_DIR", dir);
        }
        Ok(server)
    }
}

/// The server for commands that do not serve requests, such as `migrate`.
///
/// # Errors
/// If a path is not valid UTF-8.
pub fn server_for_commands(program: PathBuf, data: &DataDir, state: &State, urls: &DatabaseUrls) -> Result<Server> {
    platform::server_for(program, data, state, urls, None)
}
