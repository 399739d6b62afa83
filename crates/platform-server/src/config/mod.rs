//! Settings, read once at startup. In increasing order of precedence, they come from the TOML file, from variables of
//! the form `PLATFORM__SECTION__KEY`, and from variables with other names such as `DATABASE_URL`.

mod auth;
mod backends;
mod env;
mod goals;
mod issuers;
mod mcp;
mod models;
mod notifications;
pub mod schema;
mod sections;
mod storage;
pub mod tables;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use config::{Config, File, FileFormat};
use gateway::console::ConsoleClient;
use policy::authn::settings::IssuerSettings;
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tools::ingest::isolate::ParserProgram;
use tools::ingest::isolate::launch::Launcher;

pub use auth::{Auth, EntraCloud, IssuerFile, PlatformAdmin};
pub use backends::{Backend, Breaker, Queue, Route, Tiers};
pub use env::Environment;
pub use goals::Goals;
pub use issuers::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER};
pub use mcp::Mcp;
pub use models::{Models, NextEmbed};
pub use notifications::Notifications;
pub use sections::{Audit, Backup, Chat, Database, Ingest, Plant, RateLimit, Server, Telemetry, Worker};
pub use storage::{S3, Storage, StorageKind};

/// Minimum length of `secret_key`, in bytes.
const MIN_SECRET_BYTES: usize = 16;

/// Whether settings that are only safe for development are allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The development issuer is refused, and request limits are always on.
    #[default]
    Production,
    /// Tokens of the development issuer are accepted.
    Development,
}

/// Which parts of the platform a process runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ServiceType {
    /// Serves the HTTP API.
    Api,
    /// Runs the jobs of the queue.
    Worker,
    /// Reads the plant systems, and does nothing else. Needs neither `secret_key` nor the other roles' databases.
    Plant,
    /// Serves the API, runs jobs and reads the plant systems.
    All,
}

/// Configuration of the plant agent platform
///
/// The keys of the TOML file. `x-variables` lists the environment variables of a key, `x-unit` the unit of a number,
/// and `x-default` describes a default that depends on something else.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `development` permits the development issuer, disabled rate limits, and issuers that are trusted for every
    /// tenant.
    #[schemars(schema_with = "schema::one_of::<Mode>", extend("default" = "production"))]
    pub mode: Mode,
    /// What the process runs if it is started without a subcommand.
    #[schemars(schema_with = "schema::one_of::<ServiceType>", extend("x-default" = "`all`"))]
    pub service_type: Option<ServiceType>,
    /// Secret from which the keys for hashing and signing are derived: at least 16 bytes, the same on every replica.
    #[schemars(schema_with = "schema::secret", extend("x-default" = "none, required"))]
    pub secret_key: Option<SecretString>,
    /// `redis://` or `rediss://` URL of the server that counts requests, so that replicas share each quota. Without it,
    /// each replica counts in memory.
    #[schemars(schema_with = "schema::secret")]
    pub redis_url: Option<SecretString>,
    /// HTTP server: addresses and connection limits.
    pub server: Server,
    /// PostgreSQL: one URL per database role.
    pub database: Database,
    /// Storage of document files.
    pub storage: Storage,
    /// Token issuers and personal access tokens.
    pub auth: Auth,
    /// Models and model servers.
    pub models: Models,
    /// Limits of chat turns.
    pub chat: Chat,
    /// Rate limits of users' requests.
    pub rate_limit: RateLimit,
    /// The audit log.
    pub audit: Audit,
    /// How backups are made.
    pub backup: Backup,
    /// How documents are split into passages.
    pub ingest: Ingest,
    /// The endpoint for MCP clients, `/mcp`.
    pub mcp: Mcp,
    /// The ingestion worker.
    pub worker: Worker,
    /// Goals: how workers execute their steps.
    pub goals: Goals,
    /// Messages to channels, and which addresses they may go to.
    pub notifications: Notifications,
    /// The process that is connected to the plant systems.
    pub plant: Plant,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Program that parses each document in a separate process. Commands set it to their own executable; without it,
    /// which is for tests, documents are parsed in this process.
    #[serde(skip)]
    pub parser: Option<ParserProgram>,
    /// Program that sandboxes itself and then executes the OCR program. Commands set it to their own executable.
    #[serde(skip)]
    pub launcher: Option<Launcher>,
}

impl Settings {
    /// Reads and validates the settings.
    ///
    /// # Errors
    /// If the settings are not valid. The message names the key or variable and never contains a value.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self> {
        let file = file.map(Path::to_path_buf).or_else(|| environment.config_file());
        let mut builder = Config::builder();
        if let Some(path) = &file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        builder = builder.add_source(environment.prefixed_source());
        for (key, value) in environment.named_variables()? {
            builder = builder.set_override(key, value).with_context(|| format!("the setting {key} is not valid"))?;
        }
        let config = builder.build().context("the configuration is not valid")?;
        let settings: Self = config.clone().try_deserialize().context("the configuration is not valid")?;
        schema::check_ranges(&config.try_deserialize().context("the configuration is not valid")?)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        if self.mode == Mode::Production && self.auth.dev_issuer_dir.is_some() {
            bail!("auth.dev_issuer_dir is set, but the development issuer is allowed in development mode only");
        }
        if self.mode == Mode::Production && !self.rate_limit.enabled {
            bail!("rate_limit.enabled can be false in development mode only");
        }
        self.egress_policy()?;
        self.mcp.check()?;
        self.database.check()?;
        self.notifications.check()?;
        self.storage.check()
    }

    /// The bytes of `secret_key`.
    ///
    /// # Errors
    /// If it is missing or too short.
    pub fn secret_key_bytes(&self) -> Result<&[u8]> {
        let secret = required(self.secret_key.as_ref(), "SECRET_KEY")?.expose_secret().as_bytes();
        anyhow::ensure!(secret.len() >= MIN_SECRET_BYTES, "SECRET_KEY must be at least {MIN_SECRET_BYTES} bytes long");
        Ok(secret)
    }

    /// The bytes from which the key for the secrets of connectors is derived.
    ///
    /// # Errors
    /// If neither `plant.secret_key` nor `secret_key` is set, or the one that counts is too short.
    pub fn plant_key_bytes(&self) -> Result<&[u8]> {
        let Some(secret) = &self.plant.secret_key else {
            return self.secret_key_bytes().context("PLANT_SECRET_KEY is not set");
        };
        let secret = secret.expose_secret().as_bytes();
        let is_long_enough = secret.len() >= MIN_SECRET_BYTES;
        anyhow::ensure!(is_long_enough, "PLANT_SECRET_KEY must be at least {MIN_SECRET_BYTES} bytes long");
        Ok(secret)
    }

    /// The console as a client of the first issuer of the `oidc_…` and `entra_…` keys; `None` without
    /// `auth.oidc_client_id`.
    #[must_use]
    pub fn console_client(&self) -> Option<ConsoleClient> {
        issuers::console_client(&self.auth)
    }

    /// Directory that caches the issuers' public keys across restarts.
    #[must_use]
    pub fn key_cache_dir(&self) -> PathBuf {
        self.auth.key_cache_dir.clone().unwrap_or_else(|| self.storage.dir.with_file_name("key-cache"))
    }

    /// Directory of the certificate and the private key with which OPC UA servers know the platform.
    #[must_use]
    pub fn plant_identity_dir(&self) -> PathBuf {
        self.plant.identity_dir.clone().unwrap_or_else(|| self.storage.dir.with_file_name("plant-identity"))
    }

    /// The trusted issuers.
    ///
    /// # Errors
    /// If no issuer is configured, or one of them is incomplete.
    pub fn issuers(&self) -> Result<Vec<IssuerSettings>> {
        issuers::issuer_settings(&self.auth, self.mode)
    }
}

/// The value of a setting that is required.
///
/// # Errors
/// If the setting is missing; the message names the variable to set.
pub fn required<'a, T>(setting: Option<&'a T>, variable: &str) -> Result<&'a T> {
    setting.with_context(|| format!("{variable} is not set"))
}
