//! `platform-server`: builds it with cargo, configures it through environment variables, and supervises it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::files::{self, LogFile};
use crate::proc::{self, Interrupt};
use crate::project;

/// Time to wait for the server to stop; it drains for up to 30 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(40);
/// Timeout of waiting until a started server is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(180);

/// Build profile of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildProfile {
    /// The optimized build, as it is deployed.
    Release,
    /// The optimized build with symbols and line numbers, for a profiler.
    Profiling,
    /// The unoptimized build, which compiles faster.
    Dev,
}

/// The packages of the two programs. They are always built together, because separate builds would select different
/// features of the shared libraries and compile them again.
const PACKAGES: &[&str] = &["--package", "platform-server", "--package", "platform-cli"];

/// Cargo arguments of the development build. They select the same features as the tests, so that both share the
/// compiled libraries.
const DEV_SELECTION: &[&str] = &["--workspace", "--all-features", "--bin", "platform-server", "--bin", "platform"];

/// Builds the server if it is not up to date, showing cargo's progress, and returns the program's path. Also builds the
/// command-line client `platform` beside it.
///
/// # Errors
/// If the build fails.
pub fn build(build: BuildProfile, interrupt: &Interrupt) -> Result<PathBuf> {
    let selection = if build == BuildProfile::Dev { DEV_SELECTION } else { PACKAGES };
    build_program(build, selection, "platform-server", interrupt)
}

/// Builds the command-line client `platform` for the tests, if it is not up to date, and returns the program's path.
///
/// # Errors
/// If the build fails.
pub fn build_cli(interrupt: &Interrupt) -> Result<PathBuf> {
    build_program(BuildProfile::Dev, DEV_SELECTION, "platform", interrupt)
}

/// Builds the program with this name and returns its path. `target_arguments` select its package and target for cargo.
///
/// # Errors
/// If the build fails.
pub fn build_program(
    build: BuildProfile,
    target_arguments: &[&str],
    name: &str,
    interrupt: &Interrupt,
) -> Result<PathBuf> {
    let mut cargo = project::cargo()?;
    cargo.arg("build").args(target_arguments).args(["--message-format", "json-render-diagnostics"]);
    if build != BuildProfile::Dev {
        cargo.arg("--release");
    }
    if build == BuildProfile::Profiling {
        cargo.env("CARGO_PROFILE_RELEASE_STRIP", "none").env("CARGO_PROFILE_RELEASE_DEBUG", "line-tables-only");
    }
    let mut program = None;
    let mut find_program = |line: &str| program = executable(line, name).or_else(|| program.take());
    let status = proc::run_lines(&mut cargo, interrupt, &mut find_program)?;
    if !status.success() {
        bail!("{name} cannot be built ({status})");
    }
    program.with_context(|| format!("cargo built no program {name}"))
}

/// The path of the program with this name, if this JSON message of cargo contains it.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_program = message.get("target")?.get("name")?.as_str()? == name;
    let path = message.get("executable")?.as_str()?;
    is_program.then(|| PathBuf::from(path))
}

/// The server's program, and the variables that it gets in addition to the user's environment.
#[derive(Clone, Debug)]
pub struct Server {
    program: PathBuf,
    settings: Vec<(String, String)>,
}

impl Server {
    /// A server with these variables. Variables that the user has set take precedence over `defaults`, but not over
    /// `fixed`.
    pub fn new(program: PathBuf, fixed: &[(&str, &str)], defaults: &[(&str, &str)]) -> Self {
        let is_user_set =
            |name: &str| project::env_var(name).is_some() || project::env_var(&format!("{name}_FILE")).is_some();
        Self { program, settings: merge(fixed, defaults, is_user_set) }
    }

    /// Adds a variable that overrides the user's environment.
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Path of the command-line client `platform`, which is built beside the server.
    pub fn command_line(&self) -> PathBuf {
        self.program.with_file_name("platform")
    }

    /// Prepares a `platform-server` command with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).stdin(Stdio::null());
        for (name, value) in &self.settings {
            // The user's NAME_FILE must not compete with the NAME that is set here.
            command.env(name, value).env_remove(format!("{name}_FILE"));
        }
        command
    }

    /// Starts API and worker, logging to `log`. `pid_file` records the process id, so that the next run can stop the
    /// server if this run is killed.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, log: &Path, pid_file: &Path) -> Result<RunningServer> {
        let (log, file) = LogFile::open(log)?;
        let mut command = self.command(&["all"]);
        command.stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = proc::spawn(&mut command)?;
        let running = RunningServer { child, log, pid_file: pid_file.to_path_buf() };
        files::write_private(pid_file, &running.child.id().to_string())?;
        Ok(running)
    }

    /// Waits until the server reports that it is ready.
    ///
    /// # Errors
    /// If it stops, or is not ready in time.
    pub fn wait_until_ready(&self, running: &mut RunningServer, interrupt: &Interrupt) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < READY_TIMEOUT {
            running.check()?;
            let mut probe = self.command(&["healthcheck"]);
            if probe.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
                return running.check();
            }
            interrupt.sleep(Duration::from_millis(100))?;
        }
        bail!(
            "the server is not ready after {} s; its log is {}",
            READY_TIMEOUT.as_secs(),
            running.log.path().display()
        )
    }
}

/// A running server; dropping it drains and stops it.
pub struct RunningServer {
    child: Child,
    log: LogFile,
    pid_file: PathBuf,
}

impl RunningServer {
    /// Checks that the server still runs.
    ///
    /// # Errors
    /// If it has stopped; the message ends with the last lines of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("the server stopped ({status}); {} ends with:\n{}", self.log.path().display(), self.log.tail(12))
            }
        }
    }

    /// Stops the server with SIGTERM, so that it drains. Kills it on a further interrupt, or if it does not stop in
    /// time.
    ///
    /// # Errors
    /// If the process cannot be waited for.
    pub fn stop(&mut self, interrupt: &Interrupt) -> Result<ExitStatus> {
        let interrupts_before = interrupt.count();
        proc::signal_process(self.child.id(), Signal::TERM);
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if started.elapsed() > STOP_TIMEOUT || interrupt.count() > interrupts_before {
                self.child.kill()?;
                return Ok(self.child.wait()?);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _result = proc::stop(&mut self.child, Signal::TERM, STOP_TIMEOUT);
        let _result = fs::remove_file(&self.pid_file);
    }
}

/// Stops the server that a killed `up` left behind, if it still runs.
///
/// # Errors
/// If it does not stop.
pub fn stop_orphaned_process(pid_file: &Path) -> Result<()> {
    let Some(pid) = fs::read_to_string(pid_file).ok().and_then(|text| text.trim().parse().ok()) else {
        return Ok(());
    };
    let is_server = proc::command_line(pid).is_some_and(|line| line.contains("platform-server"));
    if is_server && !proc::stop_non_child(pid, Signal::TERM, STOP_TIMEOUT) {
        bail!("the server of an earlier run (process {pid}) does not stop: stop it, then try again");
    }
    let _result = fs::remove_file(pid_file);
    Ok(())
}

fn merge(
    fixed: &[(&str, &str)],
    defaults: &[(&str, &str)],
    is_user_set: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let defaults = defaults.iter().filter(|(name, _)| !is_user_set(name));
    fixed.iter().chain(defaults).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_path_is_read_from_cargo_messages() {
        let ours = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"platform-server"},"#,
            r#""executable":"/t/release/platform-server"}"#
        );
        let library = r#"{"reason":"compiler-artifact","target":{"name":"platform-server"},"executable":null}"#;
        let other = r#"{"reason":"compiler-artifact","target":{"name":"xtask"},"executable":"/t/debug/xtask"}"#;
        assert_eq!(executable(ours, "platform-server").unwrap(), Path::new("/t/release/platform-server"));
        assert_eq!(executable(library, "platform-server"), None);
        assert_eq!(executable(other, "platform-server"), None);
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#, "platform-server"), None);
    }

    #[test]
    fn settings_of_the_user_override_defaults_but_not_fixed_ones() {
        let merged = merge(&[("PORT", "1")], &[("SECRET_KEY", "ours"), ("MODE", "development")], |name| {
            name == "SECRET_KEY" || name == "PORT"
        });
        assert_eq!(merged, [("PORT".to_owned(), "1".to_owned()), ("MODE".to_owned(), "development".to_owned())]);
    }

    #[test]
    fn a_process_that_is_not_the_server_is_not_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let pid_file = dir.path().join("server.pid");
        let mut sleeper = proc::spawn(Command::new("sleep").arg("600")).unwrap();
        fs::write(&pid_file, sleeper.id().to_string()).unwrap();
        stop_orphaned_process(&pid_file).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none(), "an unrelated process was stopped");
        assert!(!pid_file.exists());
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
