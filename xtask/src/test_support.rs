//! What the tests that run as commands of xtask share: a user of the platform, and waiting.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::proc::{self, Interrupt, Interrupted};
use crate::progress::print_status;

/// Timeout of waiting for something that takes seconds.
const WAIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Waits until `is_done` returns `true`; `what` names the event in the error.
///
/// # Errors
/// If that takes more than two minutes, if `is_done` fails, or on an interrupt.
pub fn wait_until(what: &str, interrupt: &Interrupt, mut is_done: impl FnMut() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_done()? {
        if started.elapsed() > WAIT_TIMEOUT {
            bail!("{what} did not come within {} s", WAIT_TIMEOUT.as_secs());
        }
        interrupt.sleep(Duration::from_millis(100))?;
    }
    Ok(())
}

/// Deletes the directory of a test. If the test has failed, keeps it for its logs, and prints the path.
pub fn keep_if_failed(dir: TempDir, result: &Result<ExitCode>) {
    let has_failed = match result {
        Ok(code) => *code != ExitCode::SUCCESS,
        Err(error) => !error.is::<Interrupted>(),
    };
    if has_failed {
        print_status(&format!("what the test left, with its logs, is in {}", dir.keep().display()));
    }
}

/// Standard output and standard error of a process.
pub fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A user of the command line.
pub struct Client {
    /// The program `platform`.
    pub program: PathBuf,
    /// Address of the platform.
    pub url: String,
    /// The user's access token.
    pub token: String,
}

impl Client {
    /// Asks in a new conversation, and returns its id.
    ///
    /// # Errors
    /// If the question is not answered.
    pub fn ask(&self, question: &str) -> Result<String> {
        let answer = proc::checked_output(&mut self.command(&["chat", question]), "platform chat")?;
        let answer: serde_json::Value = serde_json::from_str(&answer).context("platform chat printed no JSON")?;
        let id = answer.get("conversation_id").and_then(serde_json::Value::as_str);
        id.map(str::to_owned).context("platform chat named no conversation")
    }

    /// Whether the user has a conversation with this id.
    ///
    /// # Errors
    /// If the platform cannot be reached, or does not accept the token.
    pub fn has_conversation(&self, id: &str) -> Result<bool> {
        let output = self.command(&["conversations", "get", id]).output().context("cannot start platform")?;
        match output.status.code() {
            Some(0) => Ok(true),
            // Failures, among them "not found"; others than 1 mean that the question could not be answered.
            Some(1) => Ok(false),
            _ => bail!("platform conversations get failed: {}", text_of(&output)),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--output", "json"]).stdin(Stdio::null());
        command.env("PLATFORM_URL", &self.url).env("PLATFORM_TOKEN", &self.token);
        command
    }
}
