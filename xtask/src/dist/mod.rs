//! `cargo xtask dist`: creates a bundle that can be installed without internet access. It contains the programs,
//! migrations, deployment files, documentation, a bill of materials, checksums and their signature.

mod sbom;
mod signature;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;

use crate::proc::{self, Interrupt};
use crate::server::{self, BuildProfile};
use crate::{files, project, ui};

/// Directories of the checkout that are part of the bundle. The programs embed the migrations; the files are included
/// only for reference.
const DIRECTORIES: &[&str] = &["migrations", "deploy", "docs"];
/// Files of the checkout that are part of the bundle.
const FILES: &[&str] = &["README.md", "CHANGELOG.md", "LICENSE", "NOTICE"];

/// Arguments of `dist`.
#[derive(Parser)]
pub struct Args {
    /// Bundle the development build, which compiles faster, runs slower and contains code for tests: not for
    /// deployment.
    #[arg(long, conflicts_with = "sign_key")]
    dev: bool,
    /// Sign the bundle with this Ed25519 private key (PEM, PKCS #8).
    #[arg(long, value_name = "FILE")]
    sign_key: Option<PathBuf>,
}

/// Creates the bundle in `target/dist` and prints its path.
///
/// # Errors
/// If a program cannot be built, a file cannot be written, or the key cannot sign.
pub fn run(args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    if let Some(key) = &args.sign_key {
        signature::require_key(key, interrupt)?;
    }
    let profile = if args.dev { BuildProfile::Dev } else { BuildProfile::Release };
    if args.dev {
        ui::build_if_possible(interrupt)?;
    } else {
        ui::run(interrupt)?;
    }
    let program = server::build(profile, interrupt)?;
    let sbom = sbom::create(interrupt)?;
    let suffix = if args.dev { "-dev" } else { "" };
    let name = format!("plant-agent-platform-{}-{}-linux{suffix}", sbom.version, std::env::consts::ARCH);
    let dist = project::target_dir()?.join("dist");
    let dir = dist.join(&name);
    match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot remove {}", dir.display()));
        }
        _ => {}
    }
    files::create_dir(&dir.join("bin"), 0o755)?;
    for program in [program.clone(), program.with_file_name("platform")] {
        let name = program.file_name().context("a program has no name")?;
        fs::copy(&program, dir.join("bin").join(name)).with_context(|| format!("cannot copy {}", program.display()))?;
    }
    copy_tracked_files(&dir, interrupt)?;
    fs::write(dir.join("sbom.cdx.json"), sbom.document)?;
    fs::write(dir.join("SHA256SUMS"), checksums(&dir)?)?;
    if let Some(key) = &args.sign_key {
        signature::sign(key, &dir.join("SHA256SUMS"), &dir.join("SHA256SUMS.sig"))?;
    }
    let bundle = dist.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-czf"]).arg(&bundle);
    tar.arg("-C").arg(&dist).arg(&name);
    proc::run_checked(&mut tar, interrupt, "packing the bundle")?;
    println!("{}", bundle.display());
    Ok(ExitCode::SUCCESS)
}

/// Copies the files that git tracks, so that secrets and other local files are left out.
fn copy_tracked_files(dir: &Path, interrupt: &Interrupt) -> Result<()> {
    let root = project::root()?;
    let mut git = Command::new("git");
    git.current_dir(&root).args(["ls-files", "-z", "--"]).args(DIRECTORIES).args(FILES);
    for path in proc::capture(&mut git, interrupt, "git ls-files")?.split_terminator('\0') {
        let destination = dir.join(path);
        if let Some(parent) = destination.parent() {
            files::create_dir(parent, 0o755)?;
        }
        fs::copy(root.join(path), &destination).with_context(|| format!("cannot copy {path}"))?;
    }
    Ok(())
}

/// Lines for `sha256sum --check`, sorted by path.
fn checksums(dir: &Path) -> Result<String> {
    let mut paths = Vec::new();
    collect(dir, &mut paths)?;
    paths.sort();
    let mut lines = String::new();
    for path in paths {
        let name = path.strip_prefix(dir)?.display().to_string();
        lines += &format!("{}  {name}\n", files::sha256(&path)?);
    }
    Ok(lines)
}

fn collect(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, paths)? } else { paths.push(path) }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_cover_every_file_and_sha256sum_accepts_them() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        fs::write(dir.path().join("bin/program"), "a program").unwrap();
        fs::write(dir.path().join("README.md"), "").unwrap();
        let sums = checksums(dir.path()).unwrap();
        assert_eq!(sums.lines().count(), 2);
        fs::write(dir.path().join("SHA256SUMS"), sums).unwrap();
        let check = |dir: &Path| {
            Command::new("sha256sum").args(["--check", "--status", "SHA256SUMS"]).current_dir(dir).status().unwrap()
        };
        assert!(check(dir.path()).success());
        fs::write(dir.path().join("bin/program"), "another one").unwrap();
        assert!(!check(dir.path()).success());
    }
}
