//! Virtual environments for Python programs, in the cache directory. All packages are pinned by hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::run_as::RunAsUser;
use crate::{cache, debian, files};

/// Python of the system's packages, which every user can run.
const SYSTEM_PYTHON: &str = "/usr/bin/python3";

/// Which package formats pip may install.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PackageFormats {
    /// Prebuilt wheels only.
    WheelsOnly,
    /// Built on this machine if there is no prebuilt wheel.
    SourceAllowed,
}

/// The virtual environment with the packages that `requirements` pins, created if it does not exist yet. `hint` is
/// text for error messages: the variable that can be set instead, and its value.
///
/// # Errors
/// If Python or pip is missing, or the packages cannot be installed.
pub fn provision(
    title: &str,
    requirements: &Path,
    package_formats: PackageFormats,
    hint: &str,
    interrupt: &Interrupt,
) -> Result<PathBuf> {
    let venv = Venv { title, requirements, package_formats, hint: &format!("or set {hint}"), user: None };
    venv.provision(interrupt)
}

/// A virtual environment.
#[derive(Clone, Copy, Debug)]
pub struct Venv<'a> {
    /// Name of its directory in the cache, for messages as well.
    pub title: &'a str,
    /// File that lists all packages with their hashes.
    pub requirements: &'a Path,
    /// Which package formats pip may install.
    pub package_formats: PackageFormats,
    /// End of error messages: what the user can do instead of installing Python.
    pub hint: &'a str,
    /// User that runs its programs; `None` for the current user.
    pub user: Option<&'a RunAsUser>,
}

impl Venv<'_> {
    /// The directory of the environment, which is created if it does not exist yet.
    ///
    /// # Errors
    /// If Python or pip is missing, or the packages cannot be installed.
    pub fn provision(&self, interrupt: &Interrupt) -> Result<PathBuf> {
        let title = self.title;
        let cache = cache::dir(self.user)?;
        let name = format!("{title}-{}", files::sha256(self.requirements)?.get(..8).unwrap_or_default());
        let venv_dir = cache.join(&name);
        let completion_marker = venv_dir.join("complete");
        let _lock = cache::lock(&cache, &name)?;
        if completion_marker.is_file() {
            return Ok(venv_dir);
        }
        print_status(&format!("installing {title} …"));
        let remedy = format!("install Python 3.11 or newer with venv and pip, {}", self.hint);
        let _result = fs::remove_dir_all(&venv_dir);
        let mut venv = Command::new(self.python());
        proc::run_checked(venv.args(["-m", "venv"]).arg(&venv_dir), interrupt, "python3 -m venv")
            .context(remedy.clone())?;
        let mut pip = Command::new(venv_dir.join("bin").join("pip"));
        // No dependencies, because the file lists every package; for Open WebUI it leaves out some that are not needed.
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps"]);
        if self.package_formats == PackageFormats::WheelsOnly {
            pip.arg("--only-binary=:all:");
        }
        proc::run_checked(pip.arg("-r").arg(self.requirements), interrupt, "pip install").context(remedy)?;
        fs::write(&completion_marker, "")?;
        Ok(venv_dir)
    }

    /// The Python of the `PATH`, or the system's if the user cannot access that one.
    fn python(&self) -> PathBuf {
        let python = PathBuf::from("python3");
        let Some(user) = self.user else { return python };
        match debian::find("python3") {
            Some(path) if user.can_access(&path) => python,
            _ => PathBuf::from(SYSTEM_PYTHON),
        }
    }
}

/// Panics if a requirement is not pinned by hash, or if the file names a package index.
#[cfg(test)]
pub fn assert_pinned(requirements: &Path) {
    let requirements = fs::read_to_string(requirements).unwrap();
    let names = requirements.lines().filter(|line| line.contains("==") && !line.starts_with('#'));
    assert!(names.clone().count() >= 3 && names.clone().all(|line| line.ends_with('\\')));
    assert!(!requirements.contains("://") && !requirements.contains("--find-links"));
}
