//! The input of the checks: the workspace's packages with their dependencies, manifests and sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::proc::{self, Interrupt};
use crate::project;

/// A workspace package, as `cargo metadata` describes it.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Name in its Cargo.toml.
    pub name: String,
    /// Direct dependencies of the package.
    pub dependencies: Vec<Dependency>,
    /// Path of its Cargo.toml.
    pub manifest_path: PathBuf,
}

/// A direct dependency.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    /// Name of the package, even if the manifest renames it.
    pub name: String,
    /// `None` for a normal dependency, otherwise `dev` or `build`.
    pub kind: Option<String>,
}

impl Package {
    /// Names of the normal and build dependencies, which determine what is shipped.
    pub fn shipped_dependencies(&self) -> impl Iterator<Item = &str> {
        self.dependencies.iter().filter(|dependency| dependency.kind.as_deref() != Some("dev")).map(|d| d.name.as_str())
    }
}

/// A text file of the checkout.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Path from the root of the checkout.
    pub path: String,
    /// Content of the file.
    pub content: String,
}

/// Everything that the checks read.
pub struct Workspace {
    /// The packages with their dependencies.
    pub packages: Vec<Package>,
    /// The packages' Cargo.toml files.
    pub manifests: Vec<TextFile>,
    /// The packages' Rust source files.
    pub sources: Vec<TextFile>,
    /// The files in `migrations`.
    pub migrations: Vec<TextFile>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

impl Workspace {
    /// Reads the workspace of this checkout.
    ///
    /// # Errors
    /// If cargo fails or a file cannot be read.
    pub fn load(interrupt: &Interrupt) -> Result<Self> {
        let root = project::root()?;
        let mut cargo = project::cargo()?;
        cargo.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = proc::capture(&mut cargo, interrupt, "cargo metadata")?;
        let Metadata { packages } =
            serde_json::from_str(&output).context("cannot parse the output of cargo metadata")?;
        let mut manifests = Vec::new();
        let mut sources = Vec::new();
        for package in &packages {
            manifests.push(read(&root, &package.manifest_path)?);
            let package_dir = package.manifest_path.parent().context("a manifest has no directory")?;
            collect_sources(&root, package_dir, &mut sources)?;
        }
        let migrations = read_migrations(&root)?;
        Ok(Self { packages, manifests, sources, migrations })
    }
}

/// The SQL files in `migrations`, in order.
fn read_migrations(root: &Path) -> Result<Vec<TextFile>> {
    let entries = fs::read_dir(root.join("migrations"))?.collect::<std::io::Result<Vec<_>>>()?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    paths.iter().map(|path| read(root, path)).collect()
}

/// Collects the Rust files of a package. A package within it is another member of the workspace.
fn collect_sources(root: &Path, dir: &Path, sources: &mut Vec<TextFile>) -> Result<()> {
    let mut entries = fs::read_dir(dir)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "target" && !path.join("Cargo.toml").exists() {
                collect_sources(root, &path, sources)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(read(root, &path)?);
        }
    }
    Ok(())
}

fn read(root: &Path, path: &Path) -> Result<TextFile> {
    let content = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let path = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Ok(TextFile { path, content })
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// A package with normal dependencies.
    pub fn package(name: &str, normal: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency { name: (*name).to_owned(), kind: None };
        Package {
            name: name.to_owned(),
            dependencies: normal.iter().map(dependency).collect(),
            manifest_path: PathBuf::from(format!("crates/{name}/Cargo.toml")),
        }
    }

    /// A package with one dependency of another kind.
    pub fn package_with(name: &str, dependency: &str, kind: &str) -> Package {
        let mut package = package(name, &[]);
        package.dependencies.push(Dependency { name: dependency.to_owned(), kind: Some(kind.to_owned()) });
        package
    }

    #[test]
    fn tests_are_not_shipped_but_build_scripts_are() {
        assert_eq!(package_with("a", "sqlx", "dev").shipped_dependencies().count(), 0);
        assert_eq!(package_with("a", "sqlx", "build").shipped_dependencies().count(), 1);
    }
}
