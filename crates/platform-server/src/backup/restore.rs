//! Restores a backup into an empty database and an empty storage, and verifies the result.

use super::archive::extract;
use super::documents::{self, blob_store, sha256};
use super::encryption::BackupKey;
use super::postgres::PostgresTools;
use super::{BLOBS, CHECKPOINTS, DUMP, ISSUER, KEYS, Keys, create_private, create_private_dir, read_if_present};
use crate::audit;
use crate::config::{Settings, required};
use anyhow::{Context as _, Result, bail, ensure};
use data::migrate;
use domain::ids::TenantId;
use domain::ports::BlobError;
use secrecy::ExposeSecret as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Component, Path, PathBuf};

/// Restores a backup. `keys_to` is a file to which the backup's keys are written, as JSON.
///
/// # Errors
/// If the database or the storage is not empty, the backup is damaged or encrypted with another key, or the
/// restored files or audit log fail verification.
pub async fn restore(settings: &Settings, path: &Path, keys_to: Option<&Path>) -> Result<()> {
    let migration_url = required(settings.database.migration_url.as_ref(), "DATABASE_MIGRATION_URL")?;
    ensure_empty(settings, migration_url.expose_secret()).await?;
    let tools = PostgresTools::find(settings)?;
    let scratch = Scratch::create(&settings.storage.dir)?;
    let blobs = documents::extraction_dir(settings, &scratch.0);
    let mut destination = Destination { settings, scratch: &scratch.0, blobs: &blobs };
    extract(path, BackupKey::from_settings(settings)?.as_ref(), |name| destination.open(name))?;
    let keys = read_if_present(&scratch.0.join(KEYS))?.context("the backup has no keys")?;
    let keys: Keys = serde_json::from_slice(&keys).context("the backup's keys are damaged")?;
    documents::upload(settings, &blobs).await?;
    migrate::prepare_roles(migration_url.expose_secret()).await?;
    tools.restore(&scratch.0.join(DUMP)).await?;
    crate::migrate::run(settings).await?;
    let settings = with_keys(settings, &keys);
    verify(&settings).await?;
    write_keys_or_hint(&keys, keys_to)
}

async fn ensure_empty(settings: &Settings, migration_url: &str) -> Result<()> {
    ensure!(migrate::is_empty(migration_url).await?, "the database is not empty: restore into a new one");
    documents::ensure_empty(settings).await
}

/// Opens the file to which each entry of a backup is restored.
struct Destination<'a> {
    settings: &'a Settings,
    scratch: &'a Path,
    /// Directory of the documents' files.
    blobs: &'a Path,
}

impl Destination<'_> {
    fn open(&mut self, name: &str) -> Result<Option<Box<dyn Write>>> {
        let path = match name {
            DUMP | KEYS => self.scratch.join(name),
            CHECKPOINTS => audit::checkpoint_file(self.settings).path().to_path_buf(),
            _ => match (name.strip_prefix(BLOBS), name.strip_prefix(ISSUER)) {
                (Some(file), _) => join(self.blobs, file)?,
                (None, Some(file)) => match &self.settings.auth.dev_issuer_dir {
                    Some(dir) => join(dir, file)?,
                    None => return Ok(None),
                },
                (None, None) => bail!("the backup has an entry that this version does not know: {name}"),
            },
        };
        if let Some(parent) = path.parent() {
            create_private_dir(parent)?;
        }
        let _replaced = fs::remove_file(&path);
        Ok(Some(Box::new(BufWriter::new(create_private(&path)?))))
    }
}

/// Path of an entry below `dir`; an error if the entry's name leads out of `dir`.
fn join(dir: &Path, name: &str) -> Result<PathBuf> {
    let is_plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    ensure!(is_plain && !name.is_empty(), "the backup has an entry with an invalid name");
    Ok(dir.join(name))
}

fn with_keys(settings: &Settings, keys: &Keys) -> Settings {
    let mut settings = settings.clone();
    settings.secret_key = Some(keys.secret_key.clone().into());
    settings.audit.signing_key = keys.signing_key.clone().map(Into::into);
    settings
}

/// Verifies the files' checksums against the documents, and the audit log.
async fn verify(settings: &Settings) -> Result<()> {
    let migration_url = required(settings.database.migration_url.as_ref(), "DATABASE_MIGRATION_URL")?;
    let documents = migrate::document_files(migration_url.expose_secret()).await?;
    let blobs = blob_store(settings)?;
    let mut faults = Vec::new();
    for document in &documents {
        match sha256(&*blobs, TenantId::from_uuid(document.tenant_id), &document.storage_path).await {
            Ok(found) if found == document.sha256 => {}
            Ok(_) => faults.push(format!("the file of document {} is not the one that was uploaded", document.id)),
            Err(BlobError::Missing { .. }) => faults.push(format!("the file of document {} is missing", document.id)),
            Err(error) => faults.push(format!("the file of document {} cannot be read: {error}", document.id)),
        }
    }
    for fault in &faults {
        crate::print(fault).context("cannot print")?;
    }
    crate::print(&format!("{} documents have their files", documents.len() - faults.len())).context("cannot print")?;
    let intact = audit::AuditCommand::Verify { export: None, checkpoints: None, public_key: Vec::new() };
    audit::run(intact, settings).await.context("the restored audit log is not intact")?;
    ensure!(faults.is_empty(), "{} of {} documents lack their file", faults.len(), documents.len());
    Ok(())
}

fn write_keys_or_hint(keys: &Keys, keys_to: Option<&Path>) -> Result<()> {
    if let Some(path) = keys_to {
        create_private(path)?.write_all(&serde_json::to_vec_pretty(keys)?)?;
        return crate::print(&format!("the backup's keys are in {}", path.display())).context("cannot print");
    }
    crate::print("the server needs the SECRET_KEY of the backed-up platform; --keys-to FILE writes it")
        .context("cannot print")
}

/// A directory for the dump, beside the storage directory. Removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn create(storage: &Path) -> Result<Self> {
        let dir = storage.with_file_name(format!(".restore-{}", std::process::id()));
        create_private_dir(&dir)?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _result = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_names_that_lead_out_of_the_directory_are_refused() {
        let dir = Path::new("/srv/blobs");
        assert_eq!(join(dir, "tenant/id").expect("plain"), Path::new("/srv/blobs/tenant/id"));
        for name in ["../x", "/etc/passwd", "a/../../x", ""] {
            assert!(join(dir, name).is_err(), "{name}");
        }
    }
}
