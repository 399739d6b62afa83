//! The browser console: `cargo xtask ui` builds the npm project in `crates/console/web`, which the server then embeds;
//! `cargo xtask ui-test` builds and tests it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::node::{Node, NodeVersion};
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::{chromium, project, test};

/// Minimum version of Node.js that the build supports.
const MINIMUM_VERSION: NodeVersion = NodeVersion { major: 20, minor: 19 };
/// Arguments that install exactly what the lock file pins, without running its scripts.
const INSTALL: &[&str] = &["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
/// Folders and files of the project that are not sources.
const NOT_SOURCES: &[&str] = &["node_modules", "dist", "test-results", "schema.d.ts"];
/// Variable that names the Node.js program to the browser tests.
const NODE_VARIABLE: &str = "PLATFORM_TEST_CONSOLE_NODE";

/// Builds the console if its sources have changed since the last build.
///
/// # Errors
/// If Node.js or a package cannot be provisioned, or the build fails.
pub fn run(interrupt: &Interrupt) -> Result<ExitCode> {
    build(&Node::provision(MINIMUM_VERSION, interrupt)?, interrupt)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds the console if Node.js is installed on this machine. Otherwise, or if the build fails, prints a message; the
/// server then contains the console of the last build, or a page that says how to build it.
///
/// # Errors
/// If the user interrupts it.
pub fn build_if_possible(interrupt: &Interrupt) -> Result<()> {
    let Some(node) = Node::installed(MINIMUM_VERSION) else {
        let NodeVersion { major, minor } = MINIMUM_VERSION;
        print_status(&format!("the console is not built: that needs Node.js {major}.{minor} or newer with npm"));
        return Ok(());
    };
    if let Err(error) = build(&node, interrupt) {
        interrupt.check()?;
        print_status(&format!("the console is not built: {error:#}"));
    }
    Ok(())
}

/// Runs the console's unit tests, and its browser tests against a platform with a scripted model.
///
/// # Errors
/// If Chromium is missing, something cannot be provisioned, or the tests cannot be started.
pub fn test(interrupt: &Interrupt) -> Result<ExitCode> {
    let browser = chromium::find()?;
    let node = Node::provision(MINIMUM_VERSION, interrupt)?;
    build(&node, interrupt)?;
    proc::run_checked(node.npm(&project_dir()?).args(["run", "test"]), interrupt, "the console's unit test")?;
    let variables = [(chromium::VARIABLE, browser), (NODE_VARIABLE, node.program)];
    test::run_ignored_end_to_end("console::the_browser_tests_pass", &variables, interrupt)
}

fn build(node: &Node, interrupt: &Interrupt) -> Result<()> {
    let dir = project_dir()?;
    let digest = source_digest(&dir)?;
    let marker = dir.join("node_modules").join(".built-from");
    let is_fresh = fs::read_to_string(&marker).is_ok_and(|built| built == digest);
    if is_fresh && dir.join("dist").join("index.html").is_file() {
        return Ok(());
    }
    print_status("building the console …");
    install(node, &dir)?;
    interrupt.check()?;
    let mut build = node.npm(&dir);
    proc::checked_output(build.args(["run", "build"]), "npm run build").context("the console cannot be built")?;
    fs::write(&marker, digest).with_context(|| format!("cannot write {}", marker.display()))
}

/// Installs the packages, unless those that the lock file pins are installed already.
fn install(node: &Node, dir: &Path) -> Result<()> {
    let lock_file = fs::read(dir.join("package-lock.json")).context("cannot read the console's lock file")?;
    let digest = hex::encode(Sha256::digest(&lock_file));
    let marker = dir.join("node_modules").join(".installed-from");
    if fs::read_to_string(&marker).is_ok_and(|installed| installed == digest) {
        return Ok(());
    }
    let mut npm = node.npm(dir);
    proc::checked_output(npm.args(INSTALL), "npm ci").context("the console's packages cannot be installed")?;
    fs::write(&marker, digest).with_context(|| format!("cannot write {}", marker.display()))
}

fn project_dir() -> Result<PathBuf> {
    Ok(project::root()?.join("crates").join("console").join("web"))
}

/// A digest of everything that the build depends on.
fn source_digest(dir: &Path) -> Result<String> {
    let mut paths = vec![project::root()?.join("docs").join("generated").join("openapi.json")];
    collect_sources(dir, &mut paths)?;
    paths.sort();
    let mut digest = Sha256::new();
    for path in paths {
        let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        digest.update(path.to_string_lossy().as_bytes());
        digest.update(content.len().to_le_bytes());
        digest.update(content);
    }
    Ok(hex::encode(digest.finalize()))
}

fn collect_sources(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        if NOT_SOURCES.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect_sources(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_changes_the_digest_and_a_built_file_does_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("src")).unwrap();
        fs::create_dir_all(dir.path().join("dist")).unwrap();
        fs::write(dir.path().join("src/app.tsx"), "one").unwrap();
        let first = source_digest(dir.path()).unwrap();
        fs::write(dir.path().join("dist/index.html"), "built").unwrap();
        assert_eq!(source_digest(dir.path()).unwrap(), first);
        fs::write(dir.path().join("src/app.tsx"), "two").unwrap();
        assert_ne!(source_digest(dir.path()).unwrap(), first);
    }

    #[test]
    fn the_lock_file_pins_every_package_and_names_no_registry() {
        let lock = fs::read_to_string(project_dir().unwrap().join("package-lock.json")).unwrap();
        assert!(lock.contains("node_modules/react\"") && lock.contains("\"integrity\""));
        assert!(!lock.contains("\"resolved\"") && !lock.contains("://registry"));
    }
}
