//! The section `storage` of the settings: where the files of documents are.

use super::required;
use super::schema::{one_of, secret};
use anyhow::{Context as _, Result, ensure};
use data::S3Settings;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// Where the files of documents are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// In a directory.
    #[default]
    Filesystem,
    /// In a bucket of an S3-compatible service.
    S3,
}

/// Storage of document files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Where the files of documents are: in `dir`, or in the bucket of `s3`.
    #[schemars(schema_with = "one_of::<StorageKind>", extend("default" = "filesystem"))]
    pub kind: StorageKind,
    /// Directory of the files. All API and worker processes share it. With `kind = "s3"`, no document files are
    /// stored in it. Its parent directory still holds, by default, the key cache, the plant identity and the audit
    /// checkpoints.
    pub dir: PathBuf,
    /// Maximum size of an uploaded file, in MiB.
    pub max_upload_mib: u64,
    // An intent without an outcome is closed as unknown after a day; an upload must end well before that.
    /// Seconds that an upload may take. An upload that takes longer, or whose user or tenant is deactivated meanwhile,
    /// fails and leaves nothing behind.
    #[schemars(range(min = 1, max = 21_600))]
    pub upload_limit_s: u64,
    /// The S3-compatible service.
    pub s3: S3,
}

impl Storage {
    /// Time limit of an upload.
    #[must_use]
    pub fn upload_timeout(&self) -> Duration {
        Duration::from_secs(self.upload_limit_s)
    }

    /// Checks that the settings required by the chosen storage are present.
    pub(super) fn check(&self) -> Result<()> {
        match self.kind {
            StorageKind::Filesystem => Ok(()),
            StorageKind::S3 => self.s3.check(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            kind: StorageKind::default(),
            dir: PathBuf::from("storage"),
            max_upload_mib: 100,
            upload_limit_s: 900,
            s3: S3::default(),
        }
    }
}

/// The S3-compatible service.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// URL of the service without the bucket, such as `https://s3.plant.example:9000`.
    #[schemars(extend("x-default" = "none, required with `kind = \"s3\"`"))]
    pub endpoint: Option<String>,
    /// Region that requests are signed for.
    pub region: String,
    /// Name of the bucket, which must exist.
    #[schemars(extend("x-default" = "none, required with `kind = \"s3\"`"))]
    pub bucket: Option<String>,
    /// Prefix of the keys of all objects, which are named `prefix/tenant/id`.
    pub prefix: String,
    /// Access key id.
    #[schemars(schema_with = "secret", extend("x-default" = "none, required with `kind = \"s3\"`"))]
    pub access_key_id: Option<SecretString>,
    /// Secret access key.
    #[schemars(schema_with = "secret", extend("x-default" = "none, required with `kind = \"s3\"`"))]
    pub secret_access_key: Option<SecretString>,
    /// Whether `endpoint` may be an `http` URL, over which files travel unencrypted.
    pub allow_http: bool,
    /// PEM file with the certificates of authorities that are trusted in addition to the system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: "us-east-1".to_owned(),
            bucket: None,
            prefix: "documents".to_owned(),
            access_key_id: None,
            secret_access_key: None,
            allow_http: false,
            ca_file: None,
        }
    }
}

impl S3 {
    fn check(&self) -> Result<()> {
        let endpoint = required(self.endpoint.as_ref(), "S3_ENDPOINT")?;
        let endpoint = Url::parse(endpoint).context("storage.s3.endpoint is not a URL")?;
        match endpoint.scheme() {
            "https" => {}
            "http" => ensure!(
                self.allow_http,
                "storage.s3.endpoint is an http URL: use https, or set storage.s3.allow_http in a trusted network"
            ),
            _ => anyhow::bail!("storage.s3.endpoint must be an https URL"),
        }
        required(self.bucket.as_ref(), "S3_BUCKET")?;
        required(self.access_key_id.as_ref(), "S3_ACCESS_KEY_ID")?;
        required(self.secret_access_key.as_ref(), "S3_SECRET_ACCESS_KEY").map(drop)
    }

    /// The settings of the store, with the certificates that `ca_file` names.
    ///
    /// # Errors
    /// If a required setting is missing, or the file cannot be read.
    pub fn settings(&self) -> Result<S3Settings> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("storage.s3.ca_file {} cannot be read", path.display()))
        };
        Ok(S3Settings {
            endpoint: required(self.endpoint.as_ref(), "S3_ENDPOINT")?.clone(),
            region: self.region.clone(),
            bucket: required(self.bucket.as_ref(), "S3_BUCKET")?.clone(),
            prefix: self.prefix.trim_matches('/').to_owned(),
            access_key_id: required(self.access_key_id.as_ref(), "S3_ACCESS_KEY_ID")?.expose_secret().to_owned(),
            secret_access_key: required(self.secret_access_key.as_ref(), "S3_SECRET_ACCESS_KEY")?
                .expose_secret()
                .to_owned(),
            allow_http: self.allow_http,
            ca_certificates: self.ca_file.as_ref().map(read).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Settings};
    use super::*;

    const COMPLETE: [(&str, &str); 5] = [
        ("PLATFORM__STORAGE__KIND", "s3"),
        ("S3_ENDPOINT", "https://s3.plant.example"),
        ("S3_BUCKET", "files"),
        ("S3_ACCESS_KEY_ID", "platform"),
        ("S3_SECRET_ACCESS_KEY", "hidden-value"),
    ];

    fn load(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::load(None, &Environment::from_pairs(variables))
    }

    #[test]
    fn s3_needs_all_its_keys_and_an_error_names_the_missing_one() {
        let settings = load(&COMPLETE).expect("complete");
        assert_eq!(settings.storage.kind, StorageKind::S3);
        assert_eq!(settings.storage.s3.settings().expect("complete").secret_access_key, "hidden-value");
        assert!(!format!("{settings:?}").contains("hidden-value"));
        for (missing, _) in &COMPLETE[1..] {
            let rest: Vec<_> = COMPLETE.into_iter().filter(|(name, _)| name != missing).collect();
            let error = load(&rest).expect_err("incomplete").to_string();
            assert!(error.contains(missing), "{missing}: {error}");
        }
        assert!(load(&COMPLETE[1..]).is_ok(), "without the kind, files are in the directory");
    }

    #[test]
    fn the_secret_can_be_in_a_file() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("secret");
        std::fs::write(&file, "from-file\n").expect("write");
        let path = file.to_str().expect("utf-8");
        let variables = [&COMPLETE[..4], &[("S3_SECRET_ACCESS_KEY_FILE", path)]].concat();
        let settings = load(&variables).expect("complete").storage.s3.settings().expect("complete");
        assert_eq!(settings.secret_access_key, "from-file");
    }

    #[test]
    fn an_unencrypted_endpoint_must_be_allowed() {
        let mut variables = COMPLETE.to_vec();
        variables[1].1 = "http://127.0.0.1:9000";
        assert!(load(&variables).expect_err("unencrypted").to_string().contains("storage.s3.allow_http"));
        variables.push(("PLATFORM__STORAGE__S3__ALLOW_HTTP", "true"));
        assert!(load(&variables).is_ok());
        variables[1].1 = "ftp://127.0.0.1";
        assert!(load(&variables).is_err());
    }
}
