//! The environment variables of the process. This is the only module that reads them.

use anyhow::{Context as _, Result};
use std::collections::HashMap;
use std::path::PathBuf;

/// Variables without the `PLATFORM__` prefix, and the configuration keys that they set.
pub(super) const NAMED_VARIABLES: &[(&str, &str)] = &[
    ("DATABASE_URL", "database.url"),
    ("DATABASE_WORKER_URL", "database.worker_url"),
    ("DATABASE_AUDIT_URL", "database.audit_url"),
    ("DATABASE_PLANT_URL", "database.plant_url"),
    ("DATABASE_DIRECT_URL", "database.direct_url"),
    ("DATABASE_WORKER_DIRECT_URL", "database.worker_direct_url"),
    ("DATABASE_REPLICA_URL", "database.replica_url"),
    ("DATABASE_AUDIT_REPLICA_URL", "database.audit_replica_url"),
    ("DATABASE_MIGRATION_URL", "database.migration_url"),
    ("LITELLM_BASE_URL", "models.base_url"),
    ("LITELLM_MASTER_KEY", "models.api_key"),
    ("ENTRA_TENANT_ID", "auth.entra_tenant_id"),
    ("ENTRA_CLIENT_ID", "auth.entra_client_id"),
    ("OIDC_ISSUER", "auth.oidc_issuer"),
    ("OIDC_AUDIENCE", "auth.oidc_audience"),
    ("OIDC_JWKS_URL", "auth.oidc_jwks_url"),
    ("OIDC_CLIENT_ID", "auth.oidc_client_id"),
    ("SECRET_KEY", "secret_key"),
    ("PLANT_SECRET_KEY", "plant.secret_key"),
    ("AUDIT_SIGNING_KEY", "audit.signing_key"),
    ("BACKUP_KEY", "backup.key"),
    ("REDIS_URL", "redis_url"),
    ("S3_ENDPOINT", "storage.s3.endpoint"),
    ("S3_BUCKET", "storage.s3.bucket"),
    ("S3_ACCESS_KEY_ID", "storage.s3.access_key_id"),
    ("S3_SECRET_ACCESS_KEY", "storage.s3.secret_access_key"),
    ("LOG_LEVEL", "telemetry.log_level"),
    ("SERVICE_TYPE", "service_type"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
];

/// The name of the prefixed variable for a key: `PLATFORM__SERVER__PORT` for `server.port`.
pub(super) fn prefixed_variable(key: &str) -> String {
    format!("PLATFORM__{}", key.replace('.', "__").to_uppercase())
}

/// The environment variables of a process.
#[derive(Clone, Debug, Default)]
pub struct Environment(HashMap<String, String>);

impl Environment {
    /// The variables of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
    pub fn from_process() -> Self {
        Self(std::env::vars().collect())
    }

    /// An environment with only the given variables, for tests.
    #[must_use]
    pub fn from_pairs(variables: &[(&str, &str)]) -> Self {
        Self(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    /// Path of the configuration file, from `PLATFORM_CONFIG`.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        self.get("PLATFORM_CONFIG").map(PathBuf::from)
    }

    /// Configuration source with the variables of the form `PLATFORM__SECTION__KEY`. Values that parse as a number or a
    /// boolean are converted.
    pub fn prefixed_source(&self) -> config::Environment {
        let prefixed = self.0.iter().filter(|(name, value)| name.starts_with("PLATFORM__") && !value.is_empty());
        config::Environment::with_prefix("PLATFORM")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .source(Some(prefixed.map(|(name, value)| (name.clone(), value.clone())).collect()))
    }

    /// The keys that named variables set, with their values. `NAME_FILE` is the path of a file that contains the value
    /// of `NAME`. An empty variable counts as unset, because Docker Compose passes unset variables as empty ones.
    ///
    /// # Errors
    /// If such a file cannot be read.
    pub fn named_variables(&self) -> Result<Vec<(&'static str, String)>> {
        let mut values = Vec::new();
        for (name, key) in NAMED_VARIABLES {
            if let Some(value) = self.value(name)? {
                let value = if *name == "SERVICE_TYPE" { value.to_lowercase() } else { value };
                values.push((*key, value));
            }
        }
        Ok(values)
    }

    fn value(&self, name: &str) -> Result<Option<String>> {
        if let Some(value) = self.get(name) {
            return Ok(Some(value.to_owned()));
        }
        let file_variable = format!("{name}_FILE");
        let Some(path) = self.get(&file_variable) else { return Ok(None) };
        let value = std::fs::read_to_string(path)
            .with_context(|| format!("the file that {file_variable} names cannot be read"))?;
        Ok(Some(value.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Mode, ServiceType, Settings};
    use super::*;
    use secrecy::ExposeSecret as _;

    fn load(variables: &[(&str, &str)]) -> Result<Settings> {
        Settings::load(None, &Environment::from_pairs(variables))
    }

    #[test]
    fn named_variables_override_platform_variables_which_override_the_file() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("platform.toml");
        std::fs::write(&file, "[server]\nport = 1\nmetrics_port = 2\n[database]\nurl = \"postgres://file\"\n")
            .expect("write");
        let environment = Environment::from_pairs(&[
            ("PLATFORM_CONFIG", file.to_str().expect("utf-8")),
            ("PLATFORM__SERVER__PORT", "9000"),
            ("PLATFORM__DATABASE__URL", "postgres://platform"),
            ("DATABASE_URL", "postgres://named"),
            ("SERVICE_TYPE", "API"),
            ("OTHER", "ignored"),
        ]);
        let settings = Settings::load(None, &environment).expect("valid");
        assert_eq!((settings.server.port, settings.server.metrics_port), (9000, 2));
        assert_eq!(
            settings.database.url.map(|url| url.expose_secret().to_owned()).as_deref(),
            Some("postgres://named")
        );
        assert_eq!(settings.service_type, Some(ServiceType::Api));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = load(&[("PLATFORM__SERVER__PROT", "1")]).expect_err("unknown");
        assert!(format!("{error:#}").contains("prot"), "{error:#}");
        let error = load(&[("PLATFORM__SERVRE__PORT", "1")]).expect_err("unknown");
        assert!(format!("{error:#}").contains("servre"), "{error:#}");
    }

    #[test]
    fn a_secret_can_be_in_a_file_and_is_never_printed() {
        let dir = tempfile::tempdir().expect("temp dir");
        let file = dir.path().join("secret");
        std::fs::write(&file, "0123456789abcdef-from-file\n").expect("write");
        let path = file.to_str().expect("utf-8");
        let settings = load(&[("SECRET_KEY_FILE", path), ("DATABASE_URL", "")]).expect("valid");
        assert_eq!(settings.secret_key.as_ref().map(|key| key.expose_secret()), Some("0123456789abcdef-from-file"));
        assert!(settings.database.url.is_none(), "an empty variable is not set");
        assert!(!format!("{settings:?}").contains("from-file"));
        let error = load(&[("SECRET_KEY_FILE", "/nonexistent")]).expect_err("no such file");
        assert!(error.to_string().contains("SECRET_KEY_FILE"));
    }

    #[test]
    fn both_roles_need_a_url_past_a_pooler() {
        let app = ("DATABASE_DIRECT_URL", "postgres://platform_app@db/platform");
        let error = load(&[app]).expect_err("one of two");
        assert!(error.to_string().contains("DATABASE_WORKER_DIRECT_URL"), "{error}");
        let settings = load(&[app, ("DATABASE_WORKER_DIRECT_URL", "postgres://platform_worker@db/platform")]);
        assert!(settings.expect("both").database.is_behind_pooler());
        assert!(!load(&[]).expect("neither").database.is_behind_pooler());
    }

    #[test]
    fn production_refuses_what_only_development_mode_allows() {
        assert_eq!(Settings::default().mode, Mode::Production);
        assert!(load(&[("PLATFORM__AUTH__DEV_ISSUER_DIR", "/x")]).is_err());
        assert!(load(&[("PLATFORM__RATE_LIMIT__ENABLED", "false")]).is_err());
        let development = [("PLATFORM__MODE", "development"), ("PLATFORM__RATE_LIMIT__ENABLED", "false")];
        assert!(!load(&development).expect("valid").rate_limit.enabled);
    }
}
