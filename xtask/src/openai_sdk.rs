//! OpenAI's Python client, which the tests run unmodified, in the version that `tests/openai-sdk/requirements.txt`
//! pins.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;
use crate::venv::{self, PackageFormats};

/// Variable that names a Python with the client to the tests.
const PYTHON_VARIABLE: &str = "PLATFORM_TEST_OPENAI_PYTHON";

/// Sets the variable that the tests with OpenAI's client need. If provisioning fails, prints a warning and continues;
/// those tests then fail with the name of the missing variable, and all others run.
///
/// # Errors
/// If the user interrupts it.
pub fn set_variables(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    if project::env_var(PYTHON_VARIABLE).is_some() {
        return Ok(());
    }
    match provision(interrupt) {
        Ok(python) => drop(command.env(PYTHON_VARIABLE, python)),
        Err(error) => {
            interrupt.check()?;
            print_status(&format!("the tests will lack OpenAI's client: {error:#}"));
        }
    }
    Ok(())
}

fn provision(interrupt: &Interrupt) -> Result<PathBuf> {
    let venv_dir = venv::provision(
        "openai-sdk",
        &requirements()?,
        PackageFormats::WheelsOnly,
        "PLATFORM_TEST_OPENAI_PYTHON to a Python that has openai",
        interrupt,
    )?;
    Ok(venv_dir.join("bin").join("python"))
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
