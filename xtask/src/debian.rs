//! Programs that come from the system's packages: found in `PATH`, or installed on Debian as root.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::proc::{self, Interrupt};
use crate::progress::print_status;

/// A program and the Debian package that contains it.
#[derive(Clone, Copy, Debug)]
pub struct SystemProgram {
    /// Name of the program.
    pub name: &'static str,
    /// Name of the package.
    pub package: &'static str,
}

/// Directories of system programs that a user's `PATH` may lack.
const SYSTEM_DIRS: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Finds a program in `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(SYSTEM_DIRS.iter().map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Makes sure that all programs are installed: on Debian as root, it installs the packages of missing ones.
///
/// # Errors
/// If some are missing and cannot be installed; the message names the packages.
pub fn require(programs: &[SystemProgram], interrupt: &Interrupt) -> Result<()> {
    let missing = missing_packages(programs, |name| find(name).is_some());
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !rustix::process::geteuid().is_root() || find("apt-get").is_none() {
        bail!("some programs are missing: install the packages {list} (Debian: apt-get install {list})");
    }
    print_status(&format!("installing {list} …"));
    install(&missing, interrupt)?;
    match missing_packages(programs, |name| find(name).is_some()).as_slice() {
        [] => Ok(()),
        still_missing => bail!("the packages {} do not contain the programs that are needed", still_missing.join(" ")),
    }
}

fn missing_packages(programs: &[SystemProgram], is_installed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    programs.iter().filter(|program| !is_installed(program.name)).map(|program| program.package).collect()
}

fn install(packages: &[&str], interrupt: &Interrupt) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        // Run level 1 keeps init scripts from starting the packages' services; see below for systemd.
        apt.args(["-qq", "-o", "Dpkg::Use-Pty=0"]).args(arguments);
        apt.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").stdout(std::io::stderr());
        apt
    };
    proc::run_checked(&mut apt(&["update"]), interrupt, "apt-get update")?;
    let mut arguments = vec!["install", "--no-install-recommends", "--yes"];
    arguments.extend(packages);
    proc::run_checked(&mut apt(&arguments), interrupt, "installing packages")?;
    if Path::new("/run/systemd/system").is_dir() {
        for service in packages {
            // The packages' services would occupy the default ports; the stack starts the programs itself.
            let _result = Command::new("systemctl").args(["disable", "--now", "--quiet", service]).status();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_missing_programs_are_installed() {
        let programs = [
            SystemProgram { name: "nginx", package: "nginx-light" },
            SystemProgram { name: "promtool", package: "prometheus" },
        ];
        assert_eq!(missing_packages(&programs, |name| name == "nginx"), ["prometheus"]);
        assert!(missing_packages(&programs, |_| true).is_empty());
    }

    #[test]
    fn a_shell_is_found_and_an_invented_program_is_not() {
        assert!(find("sh").is_some());
        assert_eq!(find("no-such-program-anywhere"), None);
    }
}
