//! Settings: a TOML file, overridden by `PLATFORM__SECTION__KEY`, overridden by the design's own variables. Read once.

mod backends;
mod env;
mod issuers;
mod models;
mod sections;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use config::{Config, File, FileFormat};
use policy::authn::settings::IssuerSettings;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tools::ingest::isolate::ParserProgram;
use tools::ingest::isolate::launch::Launcher;

pub use backends::{Backend, Breaker, HeaderName, Place, Queue, Route, ServerDialect, Tiers};
pub use env::Environment;
pub use issuers::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, EntraCloud, IssuerFile};
pub use models::{Embeds, Models, NextEmbed};
pub use sections::{Audit, Auth, Chat, Database, Ingest, PlatformAdmin, RateLimit, Server, Storage, Telemetry, Worker};

/// Whether this is a plant's platform or somebody's desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A plant's platform: no development issuer, limits always on.
    #[default]
    Production,
    /// Somebody's desk: the development issuer's tokens count.
    Development,
}

/// What a process does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ServiceType {
    /// Serves HTTP.
    Api,
    /// Works off the queue.
    Worker,
    /// Both.
    All,
}

/// All settings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Production or development.
    pub mode: Mode,
    /// What the process does when no subcommand says so.
    pub service_type: Option<ServiceType>,
    /// Key for keyed hashes: at least 16 bytes, the same on every replica.
    pub secret_key: Option<SecretString>,
    /// Where limits are counted if several servers share them (`REDIS_URL`); without it each counts in its memory.
    pub redis_url: Option<SecretString>,
    /// Listening.
    pub server: Server,
    /// PostgreSQL.
    pub database: Database,
    /// The documents' bytes.
    pub storage: Storage,
    /// Who may sign in.
    pub auth: Auth,
    /// Models.
    pub models: Models,
    /// Chat turns.
    pub chat: Chat,
    /// Request limits.
    pub rate_limit: RateLimit,
    /// The audit log.
    pub audit: Audit,
    /// How documents are cut.
    pub ingest: Ingest,
    /// The ingestion worker.
    pub worker: Worker,
    /// Logs and traces.
    pub telemetry: Telemetry,
    /// Reads the documents, each in a process of its own. No setting: the program names itself. Without it they are
    /// read in this process, which is for tests.
    #[serde(skip)]
    pub parser: Option<ParserProgram>,
    /// What confines itself and becomes the program that recognizes text; set by the program itself.
    #[serde(skip)]
    pub launcher: Option<Launcher>,
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// One sentence that names the key or variable that is wrong. Never holds a value.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self> {
        let file = file.map(Path::to_path_buf).or_else(|| environment.config_file());
        let mut builder = Config::builder();
        if let Some(path) = &file {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the configuration file {} cannot be read", path.display()))?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        builder = builder.add_source(environment.overrides());
        for (key, value) in environment.design_variables()? {
            builder = builder.set_override(key, value).with_context(|| format!("the setting {key} is not valid"))?;
        }
        let settings: Self =
            builder.build().and_then(Config::try_deserialize).context("the configuration is not valid")?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<()> {
        if self.mode == Mode::Production && self.auth.dev_issuer_dir.is_some() {
            bail!("auth.dev_issuer_dir is set, but the development issuer counts in development mode only");
        }
        if self.mode == Mode::Production && !self.rate_limit.enabled {
            bail!("rate_limit.enabled can be switched off in development mode only");
        }
        let server = &self.server;
        if server.idle_connection_s == 0 || server.max_connection_age_s == 0 || server.max_streams == 0 {
            bail!("server.idle_connection_s, server.max_connection_age_s and server.max_streams must be at least 1");
        }
        if !(1..=3_650).contains(&self.auth.max_token_days()) {
            bail!("auth.max_token_days must be from 1 to 3650");
        }
        if !(1..=3_650).contains(&self.auth.login_max_age_days()) {
            bail!("auth.access_token_login_max_age_days must be from 1 to 3650");
        }
        if !(1..=60).contains(&self.audit.checkpoint_s) {
            // A chain without a checkpoint for ten minutes counts as one that lost them.
            bail!("audit.checkpoint_s must be from 1 to 60");
        }
        if !(1..=21_600).contains(&self.storage.upload_limit_s) {
            // An intent without an outcome is closed as unknown after a day.
            bail!("storage.upload_limit_s must be from 1 to 21600");
        }
        if self.ingest.chunk_tokens.is_some_and(|tokens| !(32..=2_000).contains(&tokens)) {
            bail!("ingest.chunk_tokens must be from 32 to 2000");
        }
        Ok(())
    }

    /// Where the issuers' keys are kept.
    #[must_use]
    pub fn key_cache_dir(&self) -> PathBuf {
        self.auth.key_cache_dir.clone().unwrap_or_else(|| self.storage.dir.with_file_name("key-cache"))
    }

    /// The trusted issuers.
    ///
    /// # Errors
    /// Where one is incomplete.
    pub fn issuers(&self) -> Result<Vec<IssuerSettings>> {
        issuers::collect(&self.auth, self.mode)
    }
}

/// A setting that a command cannot do without.
///
/// # Errors
/// A sentence that names the variable to set.
pub fn required<'a, T>(setting: Option<&'a T>, variable: &str) -> Result<&'a T> {
    setting.with_context(|| format!("{variable} is not set"))
}
