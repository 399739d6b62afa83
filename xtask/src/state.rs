//! SavedState of a data directory that is kept between runs: passwords, secret key, database port, build profile.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::files;

const FILE_NAME: &str = "state.json";

/// The contents of `state.json` (mode 0600).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedState {
    /// Password of the database's superuser.
    pub superuser_password: String,
    /// Password of the role `platform_app`.
    pub app_password: String,
    /// Password of the role `platform_worker`.
    pub worker_password: String,
    /// Password of the role `platform_auditor`.
    pub auditor_password: String,
    /// Password of the role `platform_plant`. Empty in the files of earlier versions.
    #[serde(default)]
    pub plant_password: String,
    /// The platform's `SECRET_KEY`.
    pub secret_key: String,
    /// Port on which the embedded database last listened.
    pub database_port: Option<u16>,
    /// Whether the last `up` ran the development build.
    pub dev_build: bool,
    /// Server program that the last `up` ran.
    #[serde(default)]
    pub program: Option<PathBuf>,
}

impl SavedState {
    /// Reads the state of a data directory, or creates and saves a new one with random secrets.
    ///
    /// # Errors
    /// If the file cannot be read, parsed or written.
    pub fn load_or_create(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let mut state: Self = serde_json::from_str(&text).with_context(|| {
                    format!("{} is damaged: restore it, or start over in an empty --data-dir", path.display())
                })?;
                if state.plant_password.is_empty() {
                    state.plant_password = files::random_secret()?;
                    state.save(data_dir)?;
                }
                Ok(state)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let state = Self::new()?;
                state.save(data_dir)?;
                Ok(state)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Saves the state.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, data_dir: &Path) -> Result<()> {
        files::write_private(&data_dir.join(FILE_NAME), &serde_json::to_string_pretty(self)?)
    }

    fn new() -> Result<Self> {
        Ok(Self {
            superuser_password: files::random_secret()?,
            app_password: files::random_secret()?,
            worker_password: files::random_secret()?,
            auditor_password: files::random_secret()?,
            plant_password: files::random_secret()?,
            secret_key: files::random_secret()?,
            database_port: None,
            dev_build: false,
            program: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_created_once_and_then_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = SavedState::load_or_create(dir.path()).unwrap();
        first.database_port = Some(54321);
        first.save(dir.path()).unwrap();
        let second = SavedState::load_or_create(dir.path()).unwrap();
        assert_eq!(second.superuser_password, first.superuser_password);
        assert_eq!(second.database_port, Some(54321));
        assert_ne!(second.app_password, second.worker_password);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it_and_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE_NAME), "{").unwrap();
        let error = format!("{:#}", SavedState::load_or_create(dir.path()).unwrap_err());
        assert!(error.contains("state.json is damaged"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join(FILE_NAME)).unwrap(), "{");
    }
}
