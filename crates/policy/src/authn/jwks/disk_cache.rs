//! Disk cache of an issuer's last good keys, for a restart during an outage of the issuer.

use super::fetch::{KeySet, parse_key_set};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The cache file of one issuer.
#[derive(Clone, Debug)]
pub struct DiskCache {
    issuer: String,
    path: PathBuf,
}

impl DiskCache {
    /// Creates the cache of `issuer` in `dir`. The file name is a hash, since an issuer is a URL.
    #[must_use]
    pub fn new(dir: &Path, issuer: &str) -> Self {
        let hash = hex::encode(&Sha256::digest(issuer.as_bytes())[..16]);
        Self { issuer: issuer.to_owned(), path: dir.join(format!("{hash}.json")) }
    }

    /// Reads the cached keys. Returns `None` if the file is missing, broken, or belongs to another issuer.
    #[must_use]
    pub fn load(&self) -> Option<KeySet> {
        let text = fs::read_to_string(&self.path).ok()?;
        let document: Value = serde_json::from_str(&text).ok()?;
        let is_same_issuer = document.get("issuer").and_then(Value::as_str) == Some(self.issuer.as_str());
        parse_key_set("the disk cache", &document).ok().filter(|_| is_same_issuer)
    }

    /// Replaces the cached keys atomically. Only the user of this process can read or change the file.
    ///
    /// # Errors
    /// If the directory cannot be created or written.
    pub fn store(&self, keys: &KeySet) -> io::Result<()> {
        let dir = self.path.parent().unwrap_or(Path::new("."));
        create_private_dir(dir)?;
        let temporary_path = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let write_result = write_private_file(
            &temporary_path,
            &json!({ "issuer": self.issuer, "keys": keys.public_jwks }).to_string(),
        );
        let rename_result = write_result.and_then(|()| fs::rename(&temporary_path, &self.path));
        if rename_result.is_err() {
            let _ = fs::remove_file(&temporary_path);
        }
        rename_result
    }
}

fn write_private_file(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
