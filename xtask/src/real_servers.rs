//! `cargo xtask litellm`, `cargo xtask llama-cpp` and `cargo xtask open-webui`: tests with third-party programs that
//! take too long to install for `cargo xtask test`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::chromium;
use crate::proc::Interrupt;
use crate::venv::{self, PackageFormats};
use crate::{project, test};

/// A Python program, and the tests that need it.
struct ThirdPartyProgram {
    /// Name of the xtask command, and of the folder in `tests` with its `requirements.txt`.
    name: &'static str,
    /// Program of the virtual environment that the tests run.
    program: &'static str,
    /// Environment variable with the program's path. xtask sets it for the tests; users may set it to use their own
    /// installation.
    variable: &'static str,
    package_formats: PackageFormats,
    /// Filter for the tests of `tests/it`.
    test_filter: &'static str,
}

const LITELLM: ThirdPartyProgram = ThirdPartyProgram {
    name: "litellm",
    program: "litellm",
    variable: "PLATFORM_TEST_LITELLM",
    package_formats: PackageFormats::WheelsOnly,
    test_filter: "litellm::",
};

const LLAMA_CPP: ThirdPartyProgram = ThirdPartyProgram {
    name: "llama-cpp",
    program: "python",
    variable: "PLATFORM_TEST_LLAMA_CPP_PYTHON",
    // There is no wheel of llama.cpp; building it needs a C++ compiler and takes some minutes.
    package_formats: PackageFormats::SourceAllowed,
    test_filter: "llama_cpp::",
};

const OPEN_WEBUI: ThirdPartyProgram = ThirdPartyProgram {
    name: "open-webui",
    program: "python",
    variable: "PLATFORM_TEST_OPEN_WEBUI_PYTHON",
    package_formats: PackageFormats::WheelsOnly,
    test_filter: "open_webui::",
};

/// Runs the platform against a LiteLLM proxy.
///
/// # Errors
/// If it cannot be installed, or the test cannot be started.
pub fn litellm(interrupt: &Interrupt) -> Result<ExitCode> {
    LITELLM.run(&[], interrupt)
}

/// Runs the platform against llama.cpp's server with a small model of random weights.
///
/// # Errors
/// If it cannot be installed, or the test cannot be started.
pub fn llama_cpp(interrupt: &Interrupt) -> Result<ExitCode> {
    LLAMA_CPP.run(&[], interrupt)
}

/// Asks the platform through Open WebUI, in Chromium.
///
/// # Errors
/// If Chromium is missing, Open WebUI cannot be installed, or the test cannot be started.
pub fn open_webui(interrupt: &Interrupt) -> Result<ExitCode> {
    OPEN_WEBUI.run(&[(chromium::VARIABLE, chromium::find()?)], interrupt)
}

impl ThirdPartyProgram {
    /// Runs the tests with additional variables.
    fn run(&self, extra_variables: &[(&str, PathBuf)], interrupt: &Interrupt) -> Result<ExitCode> {
        let program = match project::env_var(self.variable) {
            Some(path) => PathBuf::from(path),
            None => {
                let hint = format!("{} to the program", self.variable);
                let venv_dir =
                    venv::provision(self.name, &self.requirements()?, self.package_formats, &hint, interrupt)?;
                venv_dir.join("bin").join(self.program)
            }
        };
        let mut variables = vec![(self.variable, program)];
        variables.extend_from_slice(extra_variables);
        test::run_ignored_end_to_end(self.test_filter, &variables, interrupt)
    }

    fn requirements(&self) -> Result<PathBuf> {
        Ok(project::root()?.join("tests").join(self.name).join("requirements.txt"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_hash() {
        for server in [LITELLM, LLAMA_CPP, OPEN_WEBUI] {
            venv::assert_pinned(&server.requirements().unwrap());
        }
    }
}
