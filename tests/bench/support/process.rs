//! Processes whose CPU time and memory are measured. Linux only, because it reads `/proc`.

use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::Instant;

/// Clock ticks per second in `/proc/PID/stat` (USER_HZ), the same on all Linux systems.
const TICKS_PER_SECOND: f64 = 100.0;
/// Time after which a process that is not ready fails the benchmark.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval of the readiness checks.
const READY_INTERVAL: Duration = Duration::from_millis(5);

/// A process that serves HTTP on a local port. Dropping it kills the process.
pub struct ServerProcess {
    child: Child,
    /// URL without a trailing slash.
    pub url: String,
}

impl ServerProcess {
    /// Starts a program that listens on `port` and writes its output to the file `log`.
    pub fn start(mut command: Command, port: u16, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { child, url: format!("http://127.0.0.1:{port}") })
    }

    /// Waits until `path` responds with success; returns the time since the start of the process.
    pub async fn wait_until_ready(&mut self, path: &str, start: Instant) -> Result<Duration> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}{path}", self.url);
        while start.elapsed() < READY_TIMEOUT {
            if client.get(&url).send().await.is_ok_and(|response| response.status().is_success()) {
                return Ok(start.elapsed());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the process for {url} ended ({status}); see its log");
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
        bail!("{url} is not ready after {} s; see the log of its process", READY_TIMEOUT.as_secs())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of the process and its children so far, in seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        ProcessStat::cpu_seconds_with_children(self.pid())
    }

    /// Resident memory in MB.
    pub fn resident_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Parent and CPU times of a process, from `/proc/PID/stat`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ProcessStat {
    /// Process id of the parent.
    pub parent_pid: u32,
    /// CPU time of the process itself, in seconds.
    pub cpu_seconds: f64,
    /// CPU time of the children that have ended, in seconds.
    pub ended_children_cpu_seconds: f64,
}

impl ProcessStat {
    /// Reads the statistics of a process.
    pub fn read(pid: u32) -> Result<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?)
    }

    /// CPU time of a process and all its children, including those that have ended, in seconds.
    pub fn cpu_seconds_with_children(pid: u32) -> Result<f64> {
        let stat = Self::read(pid)?;
        let mut sum = stat.cpu_seconds + stat.ended_children_cpu_seconds;
        for entry in std::fs::read_dir("/proc")? {
            let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that has just ended cannot be read, but its parent's statistics include it.
            let child_stat = Self::read(child).ok().filter(|times| times.parent_pid == pid);
            sum += child_stat.map_or(0.0, |times| times.cpu_seconds + times.ended_children_cpu_seconds);
        }
        Ok(sum)
    }

    fn parse(stat: &str) -> Result<Self> {
        // The process name is in parentheses and may contain spaces.
        let after_name = stat.rsplit_once(')').context("/proc/PID/stat has no process name")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |index: usize| -> Result<f64> {
            Ok(fields.get(index).context("/proc/PID/stat has too few fields")?.parse()?)
        };
        let parent_pid = fields.get(1).context("/proc/PID/stat has no parent pid")?.parse()?;
        let (own_ticks, ended_children_ticks) = (ticks(11)? + ticks(12)?, ticks(13)? + ticks(14)?);
        Ok(Self {
            parent_pid,
            cpu_seconds: own_ticks / TICKS_PER_SECOND,
            ended_children_cpu_seconds: ended_children_ticks / TICKS_PER_SECOND,
        })
    }
}

/// Returns a local port that is free at the moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
