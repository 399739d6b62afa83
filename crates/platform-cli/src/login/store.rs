//! The file with the stored logins, readable only by its owner.

use super::issuer::OAuthClient;
use crate::api::BaseUrl;
use crate::error::CliError;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

const FILE: &str = "credentials.json";
const LOCK_FILE: &str = "credentials.lock";
/// Permission bits of everyone except the owner.
const NON_OWNER_PERMISSIONS: u32 = 0o077;

/// The file with the stored logins.
#[derive(Clone, Debug)]
pub struct CredentialStore {
    dir: PathBuf,
}

/// The tokens for one platform. Deliberately not `Debug`, so that no message can contain them.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredTokens {
    /// The access token for requests.
    pub access_token: String,
    /// When the access token expires, if the issuer returned its lifetime.
    pub expires_at: Option<DateTime<Utc>>,
    /// The refresh token, if the issuer returned one.
    pub refresh_token: Option<String>,
    /// The client that got the tokens; `None` for a token from standard input.
    pub client: Option<OAuthClient>,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    /// URL of the platform that the user signed in to last.
    current: Option<String>,
    #[serde(default)]
    logins: BTreeMap<String, StoredTokens>,
}

impl Contents {
    fn with_login(mut self, address: &BaseUrl, login: StoredTokens) -> Self {
        self.logins.insert(address.to_string(), login);
        self
    }
}

/// The file, locked against changes by other processes.
pub struct LockedStore<'a> {
    store: &'a CredentialStore,
    _lock: File,
}

impl CredentialStore {
    /// The store in a directory, which need not exist yet.
    pub fn in_dir(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The login at a platform.
    ///
    /// # Errors
    /// If the file cannot be read, or others can read it as well.
    pub fn login(&self, address: &BaseUrl) -> Result<Option<StoredTokens>, CliError> {
        Ok(self.read()?.logins.remove(&address.to_string()))
    }

    /// URL of the platform that the user signed in to last.
    ///
    /// # Errors
    /// If the file cannot be read, or others can read it as well.
    pub fn last_address(&self) -> Result<Option<String>, CliError> {
        Ok(self.read()?.current)
    }

    /// Locks the file; waits while another process has the lock.
    ///
    /// # Errors
    /// If the directory cannot be written to.
    pub fn lock(&self) -> Result<LockedStore<'_>, CliError> {
        let failed = |error| CliError::failed_locally(&self.dir.display().to_string(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.dir.join(LOCK_FILE)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(LockedStore { store: self, _lock: lock })
    }

    fn read(&self) -> Result<Contents, CliError> {
        let path = self.dir.join(FILE);
        let failed = |error| CliError::failed_locally(&path.display().to_string(), error);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(error) => return Err(failed(error)),
        };
        if file.metadata().map_err(failed)?.permissions().mode() & NON_OWNER_PERMISSIONS != 0 {
            return Err(exposed_file_error(&path));
        }
        // The message contains the position of the error, but not the text there.
        let unreadable = |error: serde_json::Error| {
            if error.is_io() {
                return failed(error.into());
            }
            let (path, line) = (path.display(), error.line());
            CliError::Failed(format!("{path} is damaged at line {line}: delete it and sign in again"))
        };
        serde_json::from_reader(std::io::BufReader::new(file)).map_err(unreadable)
    }
}

impl LockedStore<'_> {
    /// The login at a platform, which another process may have changed before this one locked the file.
    ///
    /// # Errors
    /// If the file cannot be read, or others can read it as well.
    pub fn login(&self, address: &BaseUrl) -> Result<Option<StoredTokens>, CliError> {
        self.store.login(address)
    }

    /// Stores a login, in place of an earlier one at the same platform, which becomes the one that the user signed in
    /// to last.
    ///
    /// # Errors
    /// If the file cannot be read or written, is damaged, or others can read it.
    pub fn save_login(&self, address: &BaseUrl, login: StoredTokens) -> Result<(), CliError> {
        let contents = Contents { current: Some(address.to_string()), ..self.store.read()? };
        self.write(&contents.with_login(address, login))
    }

    /// Stores renewed tokens of a login. Nobody has signed in: the platform that commands go to stays the same.
    ///
    /// # Errors
    /// If the file cannot be read or written, is damaged, or others can read it.
    pub fn save_renewed(&self, address: &BaseUrl, login: StoredTokens) -> Result<(), CliError> {
        let contents = self.store.read()?;
        self.write(&contents.with_login(address, login))
    }

    /// Deletes a login and returns it.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn remove_login(&self, address: &BaseUrl) -> Result<Option<StoredTokens>, CliError> {
        let mut contents = self.store.read()?;
        let removed = contents.logins.remove(&address.to_string());
        if removed.is_some() {
            self.write(&contents)?;
        }
        Ok(removed)
    }

    /// Replaces the file atomically, so that no process reads a partial file. Temporary files have mode 0600.
    fn write(&self, contents: &Contents) -> Result<(), CliError> {
        let path = self.store.dir.join(FILE);
        let failed = |error| CliError::failed_locally(&path.display().to_string(), error);
        let mut file = tempfile::NamedTempFile::new_in(&self.store.dir).map_err(failed)?;
        serde_json::to_writer_pretty(&mut file, contents).map_err(|error| failed(error.into()))?;
        file.flush().and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(&path).map(drop).map_err(|error| failed(error.error))
    }
}

fn exposed_file_error(path: &Path) -> CliError {
    let path = path.display();
    CliError::NotSignedIn(format!("others can read {path}, so its tokens are not used: delete it and sign in again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> BaseUrl {
        BaseUrl::parse("https://plant.example", false).unwrap()
    }

    fn login(token: &str) -> StoredTokens {
        StoredTokens { access_token: token.to_owned(), expires_at: None, refresh_token: None, client: None }
    }

    #[test]
    fn renewed_tokens_do_not_change_the_platform_that_was_signed_in_to_last() {
        let dir = tempfile::tempdir().unwrap();
        let store = CredentialStore::in_dir(dir.path().to_owned());
        let other = BaseUrl::parse("https://other.example", false).unwrap();
        for address in [&other, &address()] {
            store.lock().unwrap().save_login(address, login("one")).unwrap();
        }
        store.lock().unwrap().save_renewed(&other, login("two")).unwrap();
        assert_eq!(store.last_address().unwrap(), Some(address().to_string()));
        assert_eq!(store.login(&other).unwrap().unwrap().access_token, "two");
    }

    #[test]
    fn a_login_is_stored_per_platform_and_readable_only_by_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let store = CredentialStore::in_dir(dir.path().join("state"));
        assert!(store.login(&address()).unwrap().is_none());
        store.lock().unwrap().save_login(&address(), login("one")).unwrap();
        assert_eq!(store.login(&address()).unwrap().unwrap().access_token, "one");
        let other = BaseUrl::parse("https://other.example", false).unwrap();
        assert!(store.login(&other).unwrap().is_none());
        assert_eq!(store.last_address().unwrap().as_deref(), Some("https://plant.example"));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join("state")), 0o700);
        assert_eq!(mode(&dir.path().join("state").join(FILE)), 0o600);
    }

    #[test]
    fn a_removed_login_is_no_longer_in_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = CredentialStore::in_dir(dir.path().to_owned());
        store.lock().unwrap().save_login(&address(), login("one")).unwrap();
        assert!(store.lock().unwrap().remove_login(&address()).unwrap().is_some());
        assert!(store.lock().unwrap().remove_login(&address()).unwrap().is_none());
        assert!(!std::fs::read_to_string(dir.path().join(FILE)).unwrap().contains("one"));
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let store = CredentialStore::in_dir(dir.path().to_owned());
        store.lock().unwrap().save_login(&address(), login("secret")).unwrap();
        let path = dir.path().join(FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = store.login(&address()).err().unwrap();
        assert!(matches!(&error, CliError::NotSignedIn(text) if !text.contains("secret")), "{error}");
    }

    #[test]
    fn the_error_about_a_damaged_file_names_but_does_not_quote_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), r#"{"logins": "secret"}"#).unwrap();
        std::fs::set_permissions(dir.path().join(FILE), std::fs::Permissions::from_mode(0o600)).unwrap();
        let error = CredentialStore::in_dir(dir.path().to_owned()).last_address().unwrap_err().to_string();
        assert!(error.contains(FILE) && !error.contains("secret"), "{error}");
    }
}
