//! OpenAI's own client for Python, which the tests drive unmodified, as `tests/openai-sdk/requirements.txt` pins it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::proc::Interrupt;
use crate::progress::say;
use crate::project;
use crate::venv::{self, Packages};

/// A Python that has the client.
const PYTHON: &str = "PLATFORM_TEST_OPENAI_PYTHON";

/// Gives a command what the tests of OpenAI's client need. Where that cannot be had it says so and goes on: those tests
/// then fail with the name of the variable, and all others run.
///
/// # Errors
/// If it was interrupted.
pub fn provide(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    if project::setting(PYTHON).is_some() {
        return Ok(());
    }
    match provision(interrupt) {
        Ok(python) => drop(command.env(PYTHON, python)),
        Err(error) => {
            interrupt.check()?;
            say(&format!("no client of OpenAI's for the tests: {error:#}"));
        }
    }
    Ok(())
}

fn provision(interrupt: &Interrupt) -> Result<PathBuf> {
    let home = venv::provision(
        "openai-sdk",
        &requirements()?,
        Packages::Built,
        "PLATFORM_TEST_OPENAI_PYTHON to a Python that has openai",
        interrupt,
    )?;
    Ok(home.join("bin").join("python"))
}

fn requirements() -> Result<PathBuf> {
    Ok(project::root()?.join("tests").join("openai-sdk").join("requirements.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_hash() {
        venv::assert_pinned(&requirements().unwrap());
    }
}
