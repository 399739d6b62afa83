//! `backup` and `restore`: the database, the documents' files, the audit log's checkpoints and the keys, in one file.
//!
//! The order of the steps makes a backup consistent under load. Checkpoints are copied first, so that none is newer
//! than the dump. The dump is a single snapshot, and files are kept (linked, or copied from a bucket) before and after
//! it: a file that is deleted during the dump is already kept, and one that is added is stored before its row is in the
//! database.

mod archive;
mod documents;
mod encryption;
mod linked_files;
mod postgres;
mod restore;

pub use restore::restore;

use crate::audit::checkpoint_file;
use crate::config::Settings;
use anyhow::{Context as _, Result, bail};
use archive::ArchiveWriter;
use documents::DocumentFiles;
use encryption::BackupKey;
use postgres::PostgresTools;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the database's dump in the archive.
const DUMP: &str = "database.dump";
/// Name of the audit log's checkpoint file in the archive.
const CHECKPOINTS: &str = "checkpoints.ndjson";
/// Name of the keys in the archive.
const KEYS: &str = "keys.json";
/// Prefix of documents' files in the archive.
const BLOBS: &str = "blobs/";
/// Prefix of the development issuer's files in the archive.
const ISSUER: &str = "dev-issuer/";

/// The keys of a platform.
#[derive(Serialize, Deserialize)]
struct Keys {
    secret_key: String,
    signing_key: Option<String>,
    /// Absent in the backups of earlier versions.
    #[serde(default)]
    plant_secret_key: Option<String>,
}

/// Writes a backup to `path`, which must not exist yet. Until the backup is complete, its name is `path.part`.
///
/// # Errors
/// If the database cannot be dumped, a file cannot be read, or the backup cannot be written.
pub async fn backup(settings: &Settings, path: &Path) -> Result<()> {
    if path.exists() {
        bail!("{} already exists", path.display());
    }
    let scratch = Scratch::create(path)?;
    let mut archive = ArchiveWriter::create(&scratch.partial, BackupKey::from_settings(settings)?.as_ref())?;
    archive.add_bytes(KEYS, &serde_json::to_vec(&keys(settings)?)?)?;
    if let Some(checkpoints) = read_if_present(checkpoint_file(settings).path())? {
        archive.add_bytes(CHECKPOINTS, &checkpoints)?;
    }
    let mut files = DocumentFiles::open(settings, &scratch.dir)?;
    files.keep_new(&mut archive).await?;
    // Copying a bucket takes long; the second pass takes what was stored meanwhile.
    files.keep_new(&mut archive).await?;
    let dump = scratch.dir.join(DUMP);
    PostgresTools::find(settings)?.dump(&dump).await?;
    files.keep_new(&mut archive).await?;
    archive.add_file(DUMP, &dump)?;
    files.finish(&mut archive)?;
    if let Some(dir) = &settings.auth.dev_issuer_dir {
        for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry?;
            archive.add_file(&format!("{ISSUER}{}", entry.file_name().display()), &entry.path())?;
        }
    }
    let summary = archive.finish()?;
    fs::rename(&scratch.partial, path).with_context(|| format!("cannot write {}", path.display()))?;
    let encrypted = if settings.backup.key.is_some() { ", encrypted" } else { "" };
    crate::print(&format!("{}: {} files, {} bytes{encrypted}", path.display(), summary.entry_count, summary.byte_count))
        .context("cannot print")
}

fn keys(settings: &Settings) -> Result<Keys> {
    let secret_key = settings.secret_key.as_ref().context("SECRET_KEY is needed")?.expose_secret().to_owned();
    let signing_key = settings.audit.signing_key.as_ref().map(|key| key.expose_secret().to_owned());
    let plant_secret_key = settings.plant.secret_key.as_ref().map(|key| key.expose_secret().to_owned());
    Ok(Keys { secret_key, signing_key, plant_secret_key })
}

fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Creates a file that only its owner can read.
fn create_private(path: &Path) -> Result<fs::File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

/// Temporary files of a backup, beside its destination. Removed when dropped.
struct Scratch {
    partial: PathBuf,
    dir: PathBuf,
}

impl Scratch {
    fn create(path: &Path) -> Result<Self> {
        let suffixed = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let scratch = Self { partial: suffixed(".part"), dir: suffixed(".dump") };
        let _leftover = fs::remove_file(&scratch.partial);
        let _leftover = fs::remove_dir_all(&scratch.dir);
        create_private_dir(&scratch.dir)?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _renamed = fs::remove_file(&self.partial);
        let _result = fs::remove_dir_all(&self.dir);
    }
}

fn create_private_dir(path: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let created = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("cannot create {}", path.display()))
}
