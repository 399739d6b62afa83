//! Child processes and signals: runs commands, passes on their output, and stops them when the user stops xtask.
//!
//! Long-lived children (database, server) run in separate process groups, so that Ctrl-C in the terminal reaches only
//! this program, which then stops them in order.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Error: the user has asked xtask to stop (Ctrl-C, SIGTERM, or the terminal was closed).
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// Counts the signals that ask this program to stop.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Installs handlers for SIGINT, SIGTERM and SIGHUP.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub fn install() -> Result<Self> {
        let interrupt = Self::default();
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot install signal handlers")?;
        let count = Arc::clone(&interrupt.0);
        thread::spawn(move || {
            for _ in &mut signals {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Ok(interrupt)
    }

    /// Number of such signals so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Checks for an interrupt.
    ///
    /// # Errors
    /// [`Interrupted`] if the user has asked xtask to stop.
    pub fn check(&self) -> Result<()> {
        if self.count() > 0 { Err(Interrupted.into()) } else { Ok(()) }
    }

    /// Sleeps, for loops that poll; checks for an interrupt before and after.
    ///
    /// # Errors
    /// [`Interrupted`] if the user has asked xtask to stop.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        self.check()?;
        thread::sleep(duration);
        self.check()
    }
}

/// Runs a command that inherits the standard streams, and waits for it.
///
/// # Errors
/// If it cannot be started; [`Interrupted`] after the command was stopped because of an interrupt.
pub fn run(command: &mut Command, interrupt: &Interrupt) -> Result<ExitStatus> {
    interrupt.check()?;
    let mut child = spawn(command)?;
    wait(&mut child, interrupt)
}

/// Runs a command that must succeed.
///
/// # Errors
/// As [`run`], and if the exit status is not 0; the message starts with `purpose`.
pub fn run_checked(command: &mut Command, interrupt: &Interrupt, purpose: &str) -> Result<()> {
    let status = run(command, interrupt)?;
    if !status.success() {
        bail!("{purpose} failed ({status})");
    }
    Ok(())
}

/// Runs a command and calls `on_line` with each line of its standard output as it arrives.
///
/// # Errors
/// As [`run`].
pub fn run_lines(command: &mut Command, interrupt: &Interrupt, mut on_line: impl FnMut(&str)) -> Result<ExitStatus> {
    interrupt.check()?;
    let mut child = spawn(command.stdout(Stdio::piped()))?;
    let stdout = child.stdout.take().context("a piped child has no standard output")?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if interrupt.count() > 0 => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    wait(&mut child, interrupt)
}

/// Runs a command that must succeed, and returns its standard output.
///
/// # Errors
/// As [`run_checked`].
pub fn capture(command: &mut Command, interrupt: &Interrupt, purpose: &str) -> Result<String> {
    let mut output = String::new();
    let status = run_lines(command, interrupt, |line| {
        output.push_str(line);
        output.push('\n');
    })?;
    if !status.success() {
        bail!("{purpose} failed ({status})");
    }
    Ok(output)
}

/// Runs a short command that must succeed and returns its standard output; its standard error becomes the error
/// message.
///
/// # Errors
/// If it cannot be started, or fails.
pub fn checked_output(command: &mut Command, purpose: &str) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{purpose} failed: {}", stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Starts a command; the error names the program.
///
/// # Errors
/// If it cannot be started.
pub fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn wait(child: &mut Child, interrupt: &Interrupt) -> Result<ExitStatus> {
    let mut interval = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            interrupt.check()?;
            return Ok(status);
        }
        if interrupt.count() > 0 {
            stop(child, Signal::TERM, Duration::from_secs(10))?;
            return Err(Interrupted.into());
        }
        thread::sleep(interval);
        interval = (interval * 2).min(Duration::from_millis(40));
    }
}

/// Sends a child `signal`, and kills it if it does not stop within `grace_period`.
///
/// # Errors
/// If the child cannot be waited for.
pub fn stop(child: &mut Child, signal: Signal, grace_period: Duration) -> Result<ExitStatus> {
    signal_process(child.id(), signal);
    let deadline = Instant::now() + grace_period;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// Stops a process that is not a child of this one, with SIGKILL after `grace_period`. Returns whether it is gone.
pub fn stop_non_child(pid: u32, signal: Signal, grace_period: Duration) -> bool {
    for (signal, grace_period) in [(signal, grace_period), (Signal::KILL, Duration::from_secs(5))] {
        signal_process(pid, signal);
        let deadline = Instant::now() + grace_period;
        while Instant::now() < deadline {
            if !is_alive(pid) {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    !is_alive(pid)
}

/// Sends a signal; does nothing if the process no longer exists.
pub fn signal_process(pid: u32, signal: Signal) {
    if let Some(pid) = to_pid(pid) {
        let _result = kill_process(pid, signal);
    }
}

/// Whether a process with this id runs, regardless of its owner. Zombies count as gone; in containers whose init
/// process does not reap them, they remain.
pub fn is_alive(pid: u32) -> bool {
    let exists = to_pid(pid).is_some_and(|pid| match test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    });
    exists && !fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| is_zombie(&stat))
}

/// Reads the state from `/proc/PID/stat`. It follows the program's name in parentheses, which may itself contain some.
fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'))
}

/// The command line of a process, joined by spaces; `None` if there is no such process.
pub fn command_line(pid: u32) -> Option<String> {
    if let Ok(mut file) = File::open(format!("/proc/{pid}/cmdline")) {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).ok()?;
        return Some(String::from_utf8_lossy(&bytes).replace('\0', " "));
    }
    let output = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?;
    let line = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!line.is_empty()).then_some(line)
}

fn to_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_failing_command_names_its_purpose() {
        let error = run_checked(&mut Command::new("false"), &Interrupt::default(), "counting valves").unwrap_err();
        assert!(error.to_string().starts_with("counting valves failed"), "{error}");
    }

    #[test]
    fn lines_arrive_in_order_and_complete() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "printf 'one\\ntwo\\nthree'"]);
        let status = run_lines(&mut command, &Interrupt::default(), |line| lines.push(line.to_owned())).unwrap();
        assert!(status.success());
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn an_interrupt_stops_the_running_child() {
        let interrupt = Interrupt::default();
        let interrupt_handle = interrupt.clone();
        let mut command = Command::new("sh");
        command.args(["-c", "echo started; exec sleep 600"]);
        let started = Instant::now();
        let error = run_lines(&mut command, &interrupt, |_| {
            interrupt_handle.0.fetch_add(1, Ordering::SeqCst);
        })
        .unwrap_err();
        assert!(error.is::<Interrupted>());
        assert!(started.elapsed() < Duration::from_secs(60), "the child was waited for, not stopped");
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 600; done"]).stdout(Stdio::piped());
        let mut child = spawn(&mut command).unwrap();
        let mut ready = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        let status = stop(&mut child, Signal::TERM, Duration::from_millis(50)).unwrap();
        assert!(!status.success());
        assert!(!is_alive(child.id()));
    }

    #[test]
    fn our_own_command_line_is_found() {
        let own_command_line = command_line(std::process::id()).unwrap();
        assert!(own_command_line.contains("xtask"), "{own_command_line}");
        assert!(is_alive(std::process::id()));
    }

    #[test]
    fn a_process_that_has_ended_is_gone_even_before_its_status_is_collected() {
        let mut child = spawn(&mut Command::new("true")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while is_alive(child.id()) {
            assert!(Instant::now() < deadline, "an ended child still counts as alive");
            thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
        assert!(is_zombie("7 (a) (b)) Z 1 7") && !is_zombie("7 (a) Z b) S 1 7"));
    }
}
