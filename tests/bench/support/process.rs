//! Processes whose CPU time and memory are measured. Linux only, because it reads `/proc`.

use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Clock ticks per second in `/proc/PID/stat` (USER_HZ), the same on all Linux systems.
const TICKS: f64 = 100.0;
/// Time after which a process that is not ready fails the benchmark.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Interval of the readiness checks.
const READY_INTERVAL: Duration = Duration::from_millis(5);

/// A process that serves HTTP on a local port. Dropping it kills the process.
pub struct Part {
    process: Child,
    /// URL without a trailing slash.
    pub url: String,
}

impl Part {
    /// Starts a program that listens on `port` and writes its output to the file `log`.
    pub fn start(mut command: Command, port: u16, log: &Path) -> Result<Self> {
        let log = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let process = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Self { process, url: format!("http://127.0.0.1:{port}") })
    }

    /// Waits until `path` responds with success; returns the time since the start of the process.
    pub async fn wait_until_ready(&mut self, path: &str, started: Instant) -> Result<Duration> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = format!("{}{path}", self.url);
        while started.elapsed() < READY_LIMIT {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(started.elapsed());
            }
            if let Some(status) = self.process.try_wait()? {
                bail!("the process for {url} ended ({status}); see its log");
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
        bail!("{url} is not ready after {} s; see the log of its process", READY_LIMIT.as_secs())
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// CPU time of the process and its children so far, in seconds.
    pub fn cpu(&self) -> Result<f64> {
        Times::with_children(self.pid())
    }

    /// Resident memory in MB.
    pub fn resident_mb(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes / 1024.0)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Parent and CPU times of a process, from `/proc/PID/stat`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Times {
    /// Process id of its parent.
    pub parent: u32,
    /// CPU time of the process itself, in seconds.
    pub own: f64,
    /// CPU time of its children that have ended, in seconds.
    pub ended_children: f64,
}

impl Times {
    /// Reads the statistics of a process.
    pub fn of(pid: u32) -> Result<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?)
    }

    /// CPU time of a process and all its children, including those that have ended, in seconds.
    pub fn with_children(pid: u32) -> Result<f64> {
        let parent = Self::of(pid)?;
        let mut sum = parent.own + parent.ended_children;
        for entry in std::fs::read_dir("/proc")? {
            let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // A process that has just ended is skipped: its parent counts it.
            let times = Self::of(child).ok().filter(|times| times.parent == pid);
            sum += times.map_or(0.0, |times| times.own + times.ended_children);
        }
        Ok(sum)
    }

    fn parse(stat: &str) -> Result<Self> {
        // The name is in parentheses and may contain spaces.
        let after_name = stat.rsplit_once(')').context("no name in the process's state")?.1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let number = |at: usize| -> Result<f64> { Ok(fields.get(at).context("the state is too short")?.parse()?) };
        let parent = fields.get(1).context("no parent")?.parse()?;
        let (own, ended) = (number(11)? + number(12)?, number(13)? + number(14)?);
        Ok(Self { parent, own: own / TICKS, ended_children: ended / TICKS })
    }
}

/// A local port that is free at the moment.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
