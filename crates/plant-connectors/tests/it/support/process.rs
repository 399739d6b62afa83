//! A server in Python that is told what to hold by lines of JSON.

use super::programs;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a server may take to start or to answer.
const LIMIT: Duration = Duration::from_secs(30);

/// A running server.
pub struct ServerProcess {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// What it said when it was ready.
    pub greeting: Value,
}

impl ServerProcess {
    /// Starts a script with arguments and waits until it serves.
    pub async fn start(script: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(programs::python());
        command.arg(programs::script(script)).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python starts");
        let input = child.stdin.take().expect("standard input");
        let output = BufReader::new(child.stdout.take().expect("standard output")).lines();
        let mut server = Self { child, input, output, greeting: Value::Null };
        server.greeting = server.answer().await;
        server
    }

    /// Tells it something, and returns its answer.
    pub async fn ask(&mut self, command: Value) -> Value {
        self.input.write_all(format!("{command}\n").as_bytes()).await.expect("it listens");
        self.answer().await
    }

    /// Ends it at once.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it ran");
    }

    /// Suspends the process: connections stay open, but get no answer.
    pub fn suspend(&self) {
        self.signal("-STOP");
    }

    /// Resumes the suspended process.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    async fn answer(&mut self) -> Value {
        let line = timeout(LIMIT, self.output.next_line()).await.expect("in time").expect("it writes");
        serde_json::from_str(&line.expect("it runs")).expect("JSON")
    }

    fn signal(&self, signal: &str) {
        signal_process(self.child.id().expect("it runs"), signal);
    }
}

/// Sends a signal.
pub fn signal_process(id: u32, signal: &str) {
    let kill = std::process::Command::new("kill").args([signal, &id.to_string()]).status();
    assert!(kill.is_ok_and(|status| status.success()), "kill {signal}");
}
