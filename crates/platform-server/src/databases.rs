//! A connection pool for each database role.

use crate::config::{Settings, required};
use crate::system::TimeOrderedIds;
use anyhow::{Context as _, Result};
use data::preflight::{self, RolePools};
use data::{Database, PgDirectory, PoolSettings, SetupError};
use domain::ports::IdGen as _;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

/// Maximum number of connections as the auditor's role while the server runs.
const AUDITOR_CONNECTIONS: u32 = 4;
/// Maximum number of connections of a command that only reads.
const COMMAND_CONNECTIONS: u32 = 2;

/// The connection pools of a server or worker process.
#[derive(Clone)]
pub struct Databases {
    /// Connections as the role `platform_app`.
    pub app: Database,
    /// Connections as the role `platform_worker`.
    pub worker: Database,
    /// Connections as the role `platform_auditor`.
    pub auditor: Database,
    /// Id of this process, recorded in the audit log's intents so that a crash can be attributed to it.
    pub instance_id: Uuid,
}

impl Databases {
    /// Creates the pools without connecting.
    ///
    /// # Errors
    /// If a URL is missing or not valid.
    pub fn new(settings: &Settings) -> Result<Self> {
        let urls = &settings.database;
        let instance_id = TimeOrderedIds.uuid();
        let pool = |url, variable, max_connections| {
            pool(
                url,
                variable,
                PoolSettings { max_connections, instance_id: Some(instance_id), ..PoolSettings::default() },
            )
        };
        Ok(Self {
            app: pool(urls.url.as_ref(), "DATABASE_URL", urls.max_connections)?,
            worker: pool(urls.worker_url.as_ref(), "DATABASE_WORKER_URL", worker_connections(settings))?,
            auditor: pool(urls.audit_url.as_ref(), "DATABASE_AUDIT_URL", AUDITOR_CONNECTIONS)?,
            instance_id,
        })
    }

    /// Refuses a database whose roles could bypass row security.
    ///
    /// # Errors
    /// See [`preflight::check`].
    pub async fn preflight(&self) -> Result<(), SetupError> {
        preflight::check(RolePools { app: &self.app, worker: &self.worker, auditor: &self.auditor }).await
    }

    /// Closes all pools; waits for connections in use.
    pub async fn close(&self) {
        self.app.close().await;
        self.worker.close().await;
        self.auditor.close().await;
    }
}

/// A small pool as the auditor's role, for commands that read the audit log.
///
/// # Errors
/// If the URL is missing or not valid.
pub fn auditor(settings: &Settings) -> Result<Database> {
    pool(settings.database.audit_url.as_ref(), "DATABASE_AUDIT_URL", command_pool_settings())
}

/// A tenant directory with a separate small pool, for commands that look up tenants or users.
///
/// # Errors
/// If the URL is missing or not valid.
pub fn directory(settings: &Settings) -> Result<PgDirectory> {
    Ok(PgDirectory::new(pool(settings.database.url.as_ref(), "DATABASE_URL", command_pool_settings())?))
}

fn command_pool_settings() -> PoolSettings {
    PoolSettings { max_connections: COMMAND_CONNECTIONS, ..PoolSettings::default() }
}

fn pool(url: Option<&SecretString>, variable: &str, settings: PoolSettings) -> Result<Database> {
    let url = required(url, variable)?;
    Database::new(url.expose_secret(), &settings).with_context(|| format!("{variable} cannot be used"))
}

/// One connection for each worker, because building an index may occupy it for minutes, one for `LISTEN`, and three for
/// claims and heartbeats.
fn worker_connections(settings: &Settings) -> u32 {
    u32::try_from(settings.worker.concurrency).unwrap_or(u32::MAX).saturating_add(4)
}
