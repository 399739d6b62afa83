//! A process of the stack: how it is started, checked for readiness, and stopped.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::data_dir::DataDir;
use crate::debian;
use crate::files::LogFile;
use crate::proc;

/// Time after which a process that has not stopped is killed; the API drains for up to 30 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// Minimum time between two starts of a process.
const RESTART_INTERVAL: Duration = Duration::from_secs(2);

/// When a process counts as ready.
enum Probe {
    /// Once it runs.
    Started,
    /// Once it listens on this port of 127.0.0.1.
    Port(u16),
    /// Once this command succeeds.
    Command(Command),
}

/// A process of the stack.
pub struct Service {
    name: &'static str,
    command: Command,
    log: PathBuf,
    stop_signal: Signal,
    probe: Probe,
    child: Option<Child>,
    started: Option<Instant>,
}

impl Service {
    /// A process that logs to `logs/NAME.log` of the data directory.
    pub fn new(name: &'static str, mut command: Command, data: &DataDir) -> Self {
        // A separate process group, so that Ctrl-C in the terminal does not reach the process, and so that its children
        // can be killed together with it.
        command.stdin(Stdio::null()).process_group(0);
        let log = data.join("logs").join(format!("{name}.log"));
        Self { name, command, log, stop_signal: Signal::TERM, probe: Probe::Started, child: None, started: None }
    }

    /// Sets the signal that asks the process to stop; SIGTERM by default.
    pub fn with_stop_signal(mut self, signal: Signal) -> Self {
        self.stop_signal = signal;
        self
    }

    /// Makes the process count as ready once it listens on this port of 127.0.0.1.
    pub fn with_ready_port(mut self, port: u16) -> Self {
        self.probe = Probe::Port(port);
        self
    }

    /// Makes the process count as ready once this command succeeds.
    pub fn with_ready_command(mut self, mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.probe = Probe::Command(command);
        self
    }

    /// Name in `stack.json`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Path of its log.
    pub fn log(&self) -> &PathBuf {
        &self.log
    }

    /// Process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Starts it.
    ///
    /// # Errors
    /// If the program or its log cannot be opened.
    pub fn start(&mut self) -> Result<()> {
        let (_, log) = LogFile::open(&self.log)?;
        self.command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(proc::spawn(&mut self.command)?);
        self.started = Some(Instant::now());
        Ok(())
    }

    /// Starts the process again if it has ended; returns whether it did. A process that keeps ending is started at most
    /// every two seconds.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart_if_ended(&mut self) -> Result<bool> {
        if let Some(child) = &mut self.child {
            if child.try_wait()?.is_none() {
                return Ok(false);
            }
            kill_group(child.id());
            self.child = None;
        }
        if self.started.is_some_and(|started| started.elapsed() < RESTART_INTERVAL) {
            return Ok(false);
        }
        self.start()?;
        Ok(true)
    }

    /// Whether it is ready.
    pub fn is_ready(&mut self) -> bool {
        match &mut self.probe {
            Probe::Started => self.child.is_some(),
            Probe::Port(port) => {
                let address = SocketAddr::from(([127, 0, 0, 1], *port));
                TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
            }
            Probe::Command(command) => command.status().is_ok_and(|status| status.success()),
        }
    }

    /// Asks it to stop, without waiting.
    pub fn request_stop(&self) {
        if let Some(child) = &self.child {
            proc::signal_process(child.id(), self.stop_signal);
        }
    }

    /// Waits until the process has stopped. Kills it after 40 s, or as soon as `should_kill` returns true.
    pub fn wait_until_stopped(&mut self, should_kill: impl Fn() -> bool) {
        let Some(mut child) = self.child.take() else { return };
        let started = Instant::now();
        while started.elapsed() < STOP_TIMEOUT && !should_kill() {
            if !matches!(child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        kill_group(child.id());
        let _result = child.kill();
        let _result = child.wait();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.request_stop();
        self.wait_until_stopped(|| false);
    }
}

/// Kills the remaining processes of a group, such as nginx's workers, which keep the port open.
fn kill_group(group: u32) {
    if let Some(group) = i32::try_from(group).ok().and_then(Pid::from_raw) {
        let _result = kill_process_group(group, Signal::KILL);
    }
}

/// Redis, which counts requests for the rate limits and stores nothing on disk.
///
/// # Errors
/// If it is not installed.
pub fn redis(data: &DataDir, port: u16) -> Result<Service> {
    let mut command = Command::new(debian::find("redis-server").context("redis-server is not installed")?);
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--maxmemory", "256mb", "--maxmemory-policy", "volatile-ttl"]).current_dir(data.path());
    Ok(Service::new("redis", command, data).with_ready_port(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(script: &str) -> (tempfile::TempDir, Service) {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(dir.path())).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        (dir, Service::new("sample", command, &data))
    }

    #[test]
    fn a_process_that_ends_is_started_again_under_another_id() {
        let (_dir, mut service) = service("sleep 600");
        service.start().unwrap();
        let first = service.pid().unwrap();
        assert!(!service.restart_if_ended().unwrap());
        proc::signal_process(first, Signal::KILL);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !service.restart_if_ended().unwrap() {
            assert!(Instant::now() < deadline, "not restarted within 10 s");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_ne!(service.pid(), Some(first));
    }

    #[test]
    fn all_processes_of_a_group_are_killed_after_its_leader_ends() {
        let (dir, mut service) = service("sleep 600 & echo $! >child; wait");
        service.command.current_dir(dir.path());
        service.start().unwrap();
        let child = loop {
            let text = std::fs::read_to_string(dir.path().join("child")).unwrap_or_default();
            if let Ok(pid) = text.trim().parse::<u32>() {
                break pid;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        proc::signal_process(service.pid().unwrap(), Signal::KILL);
        let deadline = Instant::now() + Duration::from_secs(10);
        while proc::is_alive(child) {
            service.restart_if_ended().unwrap();
            assert!(Instant::now() < deadline, "a child of the killed process still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
