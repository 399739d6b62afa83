//! The OpenID provider for the tests. It runs on the machine's own Node.js if that is recent enough, otherwise on the
//! one in a Python wheel, with the npm packages that `tests/oidc-provider/package-lock.json` pins.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::node::{Node, NodeVersion};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::{cache, files, project};

/// Variable that names the Node.js program to the tests.
const NODE_VARIABLE: &str = "PLATFORM_TEST_NODE";
/// Variable that names the directory with the provider's packages.
const PACKAGES_VARIABLE: &str = "PLATFORM_TEST_OIDC_PACKAGES";
/// Minimum version of Node.js that the provider supports.
const MINIMUM_VERSION: NodeVersion = NodeVersion { major: 22, minor: 0 };

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
    let node = Node::provision(MINIMUM_VERSION, interrupt)?;
    let packages = install_packages(&node, &cache)?;
    Ok((node.program, packages))
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
    let mut npm = node.npm(&install_dir);
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
    proc::checked_output(&mut npm, "npm ci").context("the OpenID provider's packages cannot be installed")?;
    fs::write(&marker, "")?;
    Ok(install_dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_names_no_registry() {
        let lock = project::root().unwrap().join("tests/oidc-provider/package-lock.json");
        let lock = fs::read_to_string(lock).unwrap();
        assert!(lock.contains("node_modules/oidc-provider") && lock.contains("\"integrity\""));
        assert!(!lock.contains("\"resolved\"") && !lock.contains("://registry"));
    }
}
