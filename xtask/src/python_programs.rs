//! Programs in Python that the tests run unmodified: clients (OpenAI's library, and LangChain with LlamaIndex), a
//! server with the S3 protocol, a mail server, the SDK of the Model Context Protocol as client and server, and plant
//! systems (OPC UA and Modbus). Each has a folder in `tests` whose `requirements.txt` pins the versions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;
use crate::venv::{self, PackageFormats};

/// A program, or several that can be installed together.
struct PythonProgram {
    /// Name of the folder in `tests`.
    folder: &'static str,
    /// Variable that names a Python with the program to the tests.
    variable: &'static str,
}

const PROGRAMS: [PythonProgram; 6] = [
    PythonProgram { folder: "openai-sdk", variable: "PLATFORM_TEST_OPENAI_PYTHON" },
    PythonProgram { folder: "openai-clients", variable: "PLATFORM_TEST_OPENAI_CLIENTS_PYTHON" },
    PythonProgram { folder: "s3-server", variable: "PLATFORM_TEST_S3_PYTHON" },
    PythonProgram { folder: "smtp-server", variable: "PLATFORM_TEST_SMTP_PYTHON" },
    PythonProgram { folder: "mcp-sdk", variable: "PLATFORM_TEST_MCP_PYTHON" },
    PythonProgram { folder: "plant-servers", variable: "PLATFORM_TEST_PLANT_PYTHON" },
];

/// Sets the variables that the tests with these programs need. If provisioning fails, prints a warning and continues;
/// those tests then fail with the name of the missing variable, and all others run.
///
/// # Errors
/// If the user interrupts it.
pub fn set_variables(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    for program in PROGRAMS {
        if project::env_var(program.variable).is_some() {
            continue;
        }
        match program.provision(interrupt) {
            Ok(python) => drop(command.env(program.variable, python)),
            Err(error) => {
                interrupt.check()?;
                print_status(&format!("the tests will lack {}: {error:#}", program.folder));
            }
        }
    }
    Ok(())
}

impl PythonProgram {
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
        for program in PROGRAMS {
            venv::assert_pinned(&program.requirements().unwrap());
        }
    }
}
