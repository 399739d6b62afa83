//! `stack.json`: the addresses of the stack, and the ids of its processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::data_dir::DataDir;
use crate::{files, proc};

/// The path of `stack.json`, and the part of its content that stays the same while the stack runs.
pub struct StatusFile {
    /// Address of nginx.
    pub url: String,
    /// Certificate of the authority that signed nginx's certificate.
    pub ca_file: PathBuf,
    /// Address of Prometheus.
    pub prometheus_url: String,
    /// Path of `stack.json`.
    pub path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Content {
    url: String,
    ca_file: PathBuf,
    prometheus_url: String,
    processes: BTreeMap<String, u32>,
}

impl StatusFile {
    /// Replaces the file atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, processes: BTreeMap<String, u32>) -> Result<()> {
        let content = Content {
            url: self.url.clone(),
            ca_file: self.ca_file.clone(),
            prometheus_url: self.prometheus_url.clone(),
            processes,
        };
        files::write_private(&self.path, &serde_json::to_string_pretty(&content)?)
    }

    /// Removes the file.
    pub fn remove(&self) {
        let _result = fs::remove_file(&self.path);
    }
}

/// Stops the processes that a killed `stack` left running; PostgreSQL's are found when the database starts.
///
/// # Errors
/// If one does not stop.
pub fn stop_orphaned_processes(data: &DataDir) -> Result<()> {
    let path = data.join("stack.json");
    let Some(content) = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Content>(&text).ok())
    else {
        return Ok(());
    };
    for (name, pid) in content.processes.iter().filter(|(name, _)| *name != "postgres") {
        if proc::command_line(*pid).is_some_and(|line| line.contains(program_of(name)))
            && !proc::stop_non_child(*pid, Signal::TERM, Duration::from_secs(40))
        {
            bail!("the process {name} of an earlier run ({pid}) does not stop: stop it, then try again");
        }
    }
    let _result = fs::remove_file(&path);
    Ok(())
}

/// Part of the command line by which a process of this name is recognized.
fn program_of(name: &str) -> &str {
    match name {
        "nginx" => "nginx",
        "redis" => "redis-server",
        "prometheus" => "prometheus",
        "postgres_exporter" => "prometheus-postgres-exporter",
        _ => "platform-server",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn an_unrelated_process_with_a_recorded_id_is_not_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(dir.path())).unwrap();
        let mut sleeper = proc::spawn(Command::new("sleep").arg("600")).unwrap();
        let status_file = StatusFile {
            url: "https://localhost:1".into(),
            ca_file: "ca".into(),
            prometheus_url: "http://127.0.0.1:2".into(),
            path: data.join("stack.json"),
        };
        status_file.write(BTreeMap::from([("api-1".to_owned(), sleeper.id())])).unwrap();
        stop_orphaned_processes(&data).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none(), "an unrelated process was stopped");
        assert!(!data.join("stack.json").exists());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
