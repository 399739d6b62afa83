//! An issuer's last good keys in a file, so that a restart during the issuer's outage finds them.

use super::fetch::{KeySet, usable_keys};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The file of one issuer.
#[derive(Clone, Debug)]
pub struct KeptKeys {
    issuer: String,
    path: PathBuf,
}

impl KeptKeys {
    /// The file of `issuer` in `dir`; named by a hash, since an issuer's name is no file name.
    #[must_use]
    pub fn new(dir: &Path, issuer: &str) -> Self {
        let hash = hex::encode(&Sha256::digest(issuer.as_bytes())[..16]);
        Self { issuer: issuer.to_owned(), path: dir.join(format!("{hash}.json")) }
    }

    /// The kept keys, if there are any of this very issuer.
    #[must_use]
    pub fn load(&self) -> Option<KeySet> {
        let text = fs::read_to_string(&self.path).ok()?;
        let document: Value = serde_json::from_str(&text).ok()?;
        let is_ours = document.get("issuer").and_then(Value::as_str) == Some(self.issuer.as_str());
        usable_keys("the kept keys", &document).ok().filter(|_| is_ours)
    }

    /// Keeps `keys`: written beside, flushed, renamed. Nobody but this user reads or changes them.
    ///
    /// # Errors
    /// Where the directory cannot be written to.
    pub fn store(&self, keys: &KeySet) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        make_dir(dir)?;
        let beside = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = write(&beside, &json!({ "issuer": self.issuer, "keys": keys.public }).to_string());
        let renamed = written.and_then(|()| fs::rename(&beside, &self.path));
        if renamed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        renamed
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
