//! A connection pool for each database role.

use crate::config::{Database as DatabaseSettings, Settings, required};
use crate::system::TimeOrderedIds;
use anyhow::{Context as _, Result};
use data::migrate::LoginRole;
use data::preflight::{self, RolePools};
use data::{Database, PgTenantDirectory, PoolSettings, ReadReplica, SetupError};
use domain::ports::IdGen as _;
use secrecy::ExposeSecret as _;
use std::time::Duration;
use uuid::Uuid;

/// Maximum number of connections as the auditor's role while the server runs.
const AUDITOR_CONNECTIONS: u32 = 4;
/// Maximum number of connections as the plant process's role; one of them listens.
const PLANT_CONNECTIONS: u32 = 6;
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
    /// Connections as the role `platform_plant`, if there is a URL for it.
    pub plant: Option<Database>,
    /// A standby with connections as the role `platform_app`, for searches.
    pub replica: Option<ReadReplica>,
    /// A standby with connections as the role `platform_auditor`.
    pub audit_replica: Option<ReadReplica>,
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
        let open = |role, max_connections| {
            let pool = PoolSettings { max_connections, instance_id: Some(instance_id), ..PoolSettings::default() };
            open_pool(urls, role, &pool)
        };
        Ok(Self {
            app: open(LoginRole::App, urls.max_connections)?,
            worker: open(LoginRole::Worker, worker_connections(settings))?,
            auditor: open(LoginRole::Auditor, AUDITOR_CONNECTIONS)?,
            plant: urls.plant_url.is_some().then(|| open(LoginRole::Plant, PLANT_CONNECTIONS)).transpose()?,
            replica: open_replica(urls, LoginRole::App, urls.max_connections)?,
            audit_replica: open_replica(urls, LoginRole::Auditor, AUDITOR_CONNECTIONS)?,
            instance_id,
        })
    }

    /// Refuses a database whose roles could bypass row security.
    ///
    /// # Errors
    /// See [`preflight::check`].
    pub async fn preflight(&self) -> Result<(), SetupError> {
        let Self { app, worker, auditor, plant, .. } = self;
        preflight::check(RolePools { app, worker, auditor, plant: plant.as_ref() }).await
    }

    /// Closes all pools; waits for connections in use.
    pub async fn close(&self) {
        self.app.close().await;
        self.worker.close().await;
        self.auditor.close().await;
        if let Some(plant) = &self.plant {
            plant.close().await;
        }
        for replica in [&self.replica, &self.audit_replica].into_iter().flatten() {
            replica.close().await;
        }
    }
}

/// The pool of the plant process, which connects as no other role.
///
/// # Errors
/// If the URL is missing or not valid.
pub fn plant(settings: &Settings) -> Result<Database> {
    let pool = PoolSettings { max_connections: PLANT_CONNECTIONS, ..PoolSettings::default() };
    open_pool(&settings.database, LoginRole::Plant, &pool)
}

/// A small pool as the auditor's role, for commands that read the audit log.
///
/// # Errors
/// If the URL is missing or not valid.
pub fn auditor(settings: &Settings) -> Result<Database> {
    open_pool(&settings.database, LoginRole::Auditor, &command_pool_settings())
}

/// A tenant directory with a separate small pool, for commands that look up tenants or users.
///
/// # Errors
/// If the URL is missing or not valid.
pub fn directory(settings: &Settings) -> Result<PgTenantDirectory> {
    Ok(PgTenantDirectory::new(open_pool(&settings.database, LoginRole::App, &command_pool_settings())?))
}

fn command_pool_settings() -> PoolSettings {
    PoolSettings { max_connections: COMMAND_CONNECTIONS, ..PoolSettings::default() }
}

/// A pool of connections as `role`, behind a pooler if the settings name URLs past one.
fn open_pool(urls: &DatabaseSettings, role: LoginRole, pool: &PoolSettings) -> Result<Database> {
    let (url, variable, direct_url) = match role {
        LoginRole::App => (urls.url.as_ref(), "DATABASE_URL", urls.direct_url.as_ref()),
        LoginRole::Worker => (urls.worker_url.as_ref(), "DATABASE_WORKER_URL", urls.worker_direct_url.as_ref()),
        // The auditor's connections neither listen nor lock.
        LoginRole::Auditor => (urls.audit_url.as_ref(), "DATABASE_AUDIT_URL", None),
        LoginRole::Plant => (urls.plant_url.as_ref(), "DATABASE_PLANT_URL", None),
    };
    let url = required(url, variable)?.expose_secret();
    let database = if urls.is_behind_pooler() && role != LoginRole::Plant {
        Database::behind_pooler(url, direct_url.map(|url| url.expose_secret()), pool)
    } else {
        Database::new(url, pool)
    };
    database.with_context(|| format!("{variable} cannot be used"))
}

/// The standby for the reads of `role`, if one is configured.
fn open_replica(urls: &DatabaseSettings, role: LoginRole, max_connections: u32) -> Result<Option<ReadReplica>> {
    let (url, variable) = match role {
        LoginRole::App => (&urls.replica_url, "DATABASE_REPLICA_URL"),
        LoginRole::Auditor => (&urls.audit_replica_url, "DATABASE_AUDIT_REPLICA_URL"),
        LoginRole::Worker | LoginRole::Plant => return Ok(None),
    };
    let Some(url) = url else { return Ok(None) };
    let max_wait = Duration::from_millis(urls.replica_wait_ms);
    // A read that waits longer for a connection goes to the primary.
    let pool = PoolSettings { max_connections, acquire_timeout: max_wait, ..PoolSettings::default() };
    let database = if urls.is_behind_pooler() {
        Database::behind_pooler(url.expose_secret(), None, &pool)
    } else {
        Database::new(url.expose_secret(), &pool)
    };
    let database = database.with_context(|| format!("{variable} cannot be used"))?;
    Ok(Some(ReadReplica::new(database, max_wait)))
}

/// One connection for each worker, because building an index may occupy it for minutes, one for `LISTEN`, and three for
/// claims and heartbeats.
fn worker_connections(settings: &Settings) -> u32 {
    u32::try_from(settings.worker.concurrency).unwrap_or(u32::MAX).saturating_add(4)
}
