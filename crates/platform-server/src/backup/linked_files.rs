//! Hard links to the documents' files, so that a file that is deleted during a backup can still be read.

use super::create_private_dir;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Links to the files of a storage directory. Dropping it removes the links.
pub(super) struct LinkedFiles {
    storage: PathBuf,
    links: PathBuf,
    files: BTreeMap<String, PathBuf>,
}

/// A linked file.
pub(super) struct LinkedFile<'a> {
    /// Path below the storage directory.
    pub(super) name: &'a str,
    /// Path of the link.
    pub(super) path: &'a Path,
}

impl LinkedFiles {
    /// Creates the directory of the links beside the storage directory, because hard links cannot cross file systems.
    pub(super) fn create(storage: &Path) -> Result<Self> {
        let links = storage.with_file_name(format!(".backup-{}", std::process::id()));
        create_private_dir(&links)?;
        Ok(Self { storage: storage.to_path_buf(), links, files: BTreeMap::new() })
    }

    /// Links the files that are not linked yet. Skips unfinished uploads (`.part`), which have no row yet.
    pub(super) fn link_new(&mut self) -> Result<()> {
        if self.storage.is_dir() {
            self.link_dir(&self.storage.clone())?;
        }
        Ok(())
    }

    fn link_dir(&mut self, dir: &Path) -> Result<()> {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                self.link_dir(&path)?;
                continue;
            }
            let name = path.strip_prefix(&self.storage)?.display().to_string();
            if path.extension().is_some_and(|extension| extension == "part") || self.files.contains_key(&name) {
                continue;
            }
            let link = self.links.join(self.files.len().to_string());
            match fs::hard_link(&path, &link) {
                Ok(()) => drop(self.files.insert(name, link)),
                // The file was deleted after the directory was read.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot link {}", path.display())),
            }
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = LinkedFile<'_>> {
        self.files.iter().map(|(name, path)| LinkedFile { name, path })
    }
}

impl Drop for LinkedFiles {
    fn drop(&mut self) {
        let _result = fs::remove_dir_all(&self.links);
    }
}
