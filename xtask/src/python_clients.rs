//! Clients in Python that the tests run unmodified: OpenAI's library, and LangChain with LlamaIndex. Each has a folder
//! in `tests` whose `requirements.txt` pins the versions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;
use crate::venv::{self, PackageFormats};

/// A client, or several that can be installed together.
struct PythonClient {
    /// Name of the folder in `tests`.
    folder: &'static str,
    /// Variable that names a Python with the client to the tests.
    variable: &'static str,
}

const CLIENTS: [PythonClient; 2] = [
    PythonClient { folder: "openai-sdk", variable: "PLATFORM_TEST_OPENAI_PYTHON" },
    PythonClient { folder: "openai-clients", variable: "PLATFORM_TEST_OPENAI_CLIENTS_PYTHON" },
];

/// Sets the variables that the tests with these clients need. If provisioning fails, prints a warning and continues;
/// those tests then fail with the name of the missing variable, and all others run.
///
/// # Errors
/// If the user interrupts it.
pub fn set_variables(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    for client in CLIENTS {
        if project::env_var(client.variable).is_some() {
            continue;
        }
        match client.provision(interrupt) {
            Ok(python) => drop(command.env(client.variable, python)),
            Err(error) => {
                interrupt.check()?;
                print_status(&format!("the tests will lack {}: {error:#}", client.folder));
            }
        }
    }
    Ok(())
}

impl PythonClient {
    fn provision(&self, interrupt: &Interrupt) -> Result<PathBuf> {
        let hint = format!("{} to a Python that has its packages", self.variable);
        let venv_dir =
            venv::provision(self.folder, &self.requirements()?, PackageFormats::WheelsOnly, &hint, interrupt)?;
        Ok(venv_dir.join("bin").join("python"))
    }

    fn requirements(&self) -> Result<PathBuf> {
        Ok(project::root()?.join("tests").join(self.folder).join("requirements.txt"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_hash() {
        for client in CLIENTS {
            venv::assert_pinned(&client.requirements().unwrap());
        }
    }
}
