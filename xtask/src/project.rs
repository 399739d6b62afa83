//! The checkout's paths, the cargo that runs xtask, and settings from the user's environment.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the checkout: the directory above this package.
///
/// # Errors
/// If the package's directory has no parent, which cannot happen in a checkout.
pub fn root() -> Result<PathBuf> {
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map(Path::to_path_buf).context("xtask is not inside a checkout")
}

/// A `cargo` command of the current toolchain, run in the root of the checkout.
///
/// # Errors
/// As [`root`].
pub fn cargo() -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    cargo.current_dir(root()?);
    Ok(cargo)
}

/// Cargo's target directory.
///
/// # Errors
/// As [`root`].
pub fn target_dir() -> Result<PathBuf> {
    let root = root()?;
    Ok(env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir)))
}

/// An environment variable; an empty value counts as unset.
pub fn env_var(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// A secret from the environment: the value of `NAME`, or the content of the file that `NAME_FILE` names.
///
/// # Errors
/// If `NAME_FILE` names a file that cannot be read or is empty.
pub fn secret_from_env(name: &str) -> Result<Option<String>> {
    if let Some(value) = env_var(name) {
        return Ok(Some(value));
    }
    let Some(path) = env_var(&format!("{name}_FILE")) else {
        return Ok(None);
    };
    let value = fs::read_to_string(&path).with_context(|| format!("{name}_FILE: cannot read {path}"))?;
    match value.trim() {
        "" => bail!("{name}_FILE: {path} is empty"),
        value => Ok(Some(value.to_owned())),
    }
}
