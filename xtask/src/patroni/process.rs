//! A process of the test, which is stopped when dropped.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use crate::files::LogFile;
use crate::proc;

/// Time to stop before the process is killed; Patroni stops its PostgreSQL first.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// A running process. Dropping it stops it.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a command in a process group of its own, logging to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let (_, output) = LogFile::open(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        Ok(Self { child: proc::spawn(command)? })
    }

    /// Kills the process with SIGKILL.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _result = proc::stop(&mut self.child, Signal::TERM, STOP_TIMEOUT);
    }
}
