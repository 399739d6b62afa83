//! The platform's database: the user's own if `DATABASE_URL` is set, otherwise the embedded one, which is already
//! running (under `up`) or is started for the duration of a command.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::data_dir::{DataDir, DataDirLock};
use crate::pg::{Cluster, ClusterPaths, ClusterPurpose, PostgresPrograms, Postmaster};
use crate::proc::Interrupt;
use crate::progress::print_status;
use crate::project;
use crate::state::SavedState;

/// Name of the database on the embedded server.
const DATABASE_NAME: &str = "platform";

/// The connection URLs of the database's roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseUrls {
    /// URL for `platform_app`, the application's role.
    pub app: String,
    /// URL for `platform_worker`, the role that claims jobs.
    pub worker: String,
    /// URL for `platform_auditor`, the role that reads the audit log.
    pub audit: String,
    /// URL for `platform_plant`, the role that is connected to the plant systems; `None` if they are not read.
    pub plant: Option<String>,
    /// URL for the owner, for migrations; `None` if the user's own database is migrated by other means.
    pub migration: Option<String>,
}

impl DatabaseUrls {
    /// URLs of the user's own database; `None` if `DATABASE_URL` is not set.
    ///
    /// # Errors
    /// If `DATABASE_URL` is set, but the URL for another role is not.
    pub fn from_env() -> Result<Option<Self>> {
        Self::from_variables(project::secret_from_env)
    }

    fn from_variables(secret: impl Fn(&str) -> Result<Option<String>>) -> Result<Option<Self>> {
        let Some(app) = secret("DATABASE_URL")? else {
            return Ok(None);
        };
        let role_url = |name: &str, role: &str| match secret(name)? {
            Some(url) => Ok(url),
            None => bail!("DATABASE_URL is set, so {name} is needed too: set it to the URL of the role {role}"),
        };
        Ok(Some(Self {
            worker: role_url("DATABASE_WORKER_URL", "platform_worker")?,
            audit: role_url("DATABASE_AUDIT_URL", "platform_auditor")?,
            plant: secret("DATABASE_PLANT_URL")?,
            migration: secret("DATABASE_MIGRATION_URL")?,
            app,
        }))
    }

    fn embedded(state: &SavedState, port: u16) -> Self {
        let url = |role: &str, password: &str| format!("postgres://{role}:{password}@127.0.0.1:{port}/{DATABASE_NAME}");
        Self {
            app: url("platform_app", &state.app_password),
            worker: url("platform_worker", &state.worker_password),
            audit: url("platform_auditor", &state.auditor_password),
            plant: Some(url("platform_plant", &state.plant_password)),
            migration: Some(url("postgres", &state.superuser_password)),
        }
    }

    /// Checks that there is a URL for migrations.
    ///
    /// # Errors
    /// If there is none; the message names the variable to set.
    pub fn require_migration(&self) -> Result<()> {
        if self.migration.is_none() {
            bail!(
                "DATABASE_URL is set, so the migrations need DATABASE_MIGRATION_URL: \
                 set it to the URL of the database's owner"
            );
        }
        Ok(())
    }

    /// The URLs with the names of the environment variables for them.
    pub fn settings(&self) -> Vec<(&'static str, &str)> {
        let mut settings = vec![
            ("DATABASE_URL", self.app.as_str()),
            ("DATABASE_WORKER_URL", self.worker.as_str()),
            ("DATABASE_AUDIT_URL", self.audit.as_str()),
        ];
        settings.extend(self.plant.as_deref().map(|url| ("DATABASE_PLANT_URL", url)));
        settings.extend(self.migration.as_deref().map(|url| ("DATABASE_MIGRATION_URL", url)));
        settings
    }
}

/// An open database. Dropping it stops the embedded server if this process started it.
pub struct Database {
    /// Connection URLs of the roles.
    pub urls: DatabaseUrls,
    /// Whether this process should migrate the database, because no running `up` has done so.
    pub should_migrate: bool,
    // The fields drop in this order: wait for other commands, stop the server, release the lock on the data directory.
    wait_on_drop: Option<SharedLockWait>,
    cluster: Option<Cluster>,
    _data_dir_lock: Option<DataDirLock>,
    _shared_lock: Option<File>,
}

/// When dropped, waits until no other command uses the server, so that this command can stop it.
struct SharedLockWait(DataDir);

impl Drop for SharedLockWait {
    fn drop(&mut self) {
        let _result = open_shared_lock_file(&self.0).and_then(|file| Ok(file.lock()?));
    }
}

impl Database {
    /// Uses the user's own database.
    pub fn external(urls: DatabaseUrls) -> Self {
        Self { urls, should_migrate: true, wait_on_drop: None, cluster: None, _data_dir_lock: None, _shared_lock: None }
    }

    /// Starts the embedded server in a data directory that the caller has locked.
    ///
    /// # Errors
    /// If it cannot be provisioned or started.
    pub fn start(data: &DataDir, state: &mut SavedState, interrupt: &Interrupt) -> Result<Self> {
        let programs = PostgresPrograms::provision(interrupt)?;
        let pgdata = data.pgdata(programs.run_as())?;
        let log = data.join("logs").join("postgres.log");
        let paths = ClusterPaths { pgdata: &pgdata, log: &log, password: &state.superuser_password };
        let cluster = Cluster::start(&programs, paths, ClusterPurpose::Persistent, state.database_port, interrupt)?;
        cluster.ensure_database(DATABASE_NAME)?;
        state.database_port = Some(cluster.port());
        state.save(data.path())?;
        let urls = DatabaseUrls::embedded(state, cluster.port());
        Ok(Self {
            urls,
            should_migrate: true,
            wait_on_drop: None,
            cluster: Some(cluster),
            _data_dir_lock: None,
            _shared_lock: None,
        })
    }

    /// Uses the running embedded server, or starts it for the duration of this command. `command_name`
    /// is written to the lock file.
    ///
    /// # Errors
    /// If it cannot be provisioned or started.
    pub fn attach_or_start(data: &DataDir, command_name: &str, interrupt: &Interrupt) -> Result<Self> {
        let mut notified = false;
        loop {
            if let Some(database) = Self::attach_running(data)? {
                return Ok(database);
            }
            if let Some(lock) = data.try_lock(command_name)? {
                let mut database = Self::start(data, &mut SavedState::load_or_create(data.path())?, interrupt)?;
                database.wait_on_drop = Some(SharedLockWait(data.clone()));
                database._data_dir_lock = Some(lock);
                return Ok(database);
            }
            if !notified {
                print_status("waiting for the platform in this data directory to start …");
                notified = true;
            }
            interrupt.sleep(Duration::from_millis(100))?;
        }
    }

    /// Uses the embedded server if it is running and migrated; `platform.env` exists only after the migration.
    ///
    /// # Errors
    /// If the data directory cannot be read.
    pub fn attach_running(data: &DataDir) -> Result<Option<Self>> {
        let running_port = || {
            let pgdata = fs::canonicalize(data.join("pg")).ok()?;
            Postmaster::find(&pgdata).filter(|server| server.ready && data.join("platform.env").is_file())?.port
        };
        if running_port().is_none() {
            return Ok(None);
        }
        let shared_lock = open_shared_lock_file(data)?;
        shared_lock.lock_shared()?;
        let Some(port) = running_port() else { return Ok(None) };
        let urls = DatabaseUrls::embedded(&SavedState::load_or_create(data.path())?, port);
        Ok(Some(Self {
            urls,
            should_migrate: false,
            wait_on_drop: None,
            cluster: None,
            _data_dir_lock: None,
            _shared_lock: Some(shared_lock),
        }))
    }

    /// Process id of the embedded server, if this process started it.
    pub fn pid(&self) -> Option<u32> {
        self.cluster.as_ref().map(Cluster::pid)
    }

    /// Port of the embedded server, which stays the same across restarts.
    ///
    /// # Errors
    /// If no embedded server has ever been started in this data directory.
    pub fn port(&self, state: &SavedState) -> Result<u16> {
        let cluster_port = self.cluster.as_ref().map(Cluster::port);
        cluster_port.or(state.database_port).context("there is no embedded database")
    }

    /// Restarts the embedded server if it has exited, at most once per second. Returns whether it was restarted.
    ///
    /// # Errors
    /// If its status cannot be read.
    pub fn restart_if_ended(&mut self) -> Result<bool> {
        self.cluster.as_mut().map_or(Ok(false), Cluster::restart_if_ended)
    }

    /// Runs a statement as the superuser of the embedded server.
    ///
    /// # Errors
    /// If it fails, or there is no embedded server.
    pub fn superuser_sql(&self, statement: &str) -> Result<()> {
        self.superuser_query(statement)?;
        Ok(())
    }

    /// Runs a query as the superuser of the embedded server, and returns the unformatted output.
    ///
    /// # Errors
    /// If it fails, or there is no embedded server.
    pub fn superuser_query(&self, query: &str) -> Result<String> {
        let cluster = self.cluster.as_ref().context("there is no embedded database")?;
        cluster.sql(DATABASE_NAME, query)
    }

    /// Whether the embedded server has stopped unexpectedly.
    pub fn has_stopped(&mut self) -> bool {
        self.cluster.as_mut().is_some_and(Cluster::has_stopped)
    }
}

/// The file on which every command that uses a running server holds a shared lock.
fn open_shared_lock_file(data: &DataDir) -> Result<File> {
    let path = data.join("clients.lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Result<Option<String>> + 'a {
        |name| Ok(variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_database_url_the_embedded_database_is_used() {
        assert_eq!(DatabaseUrls::from_variables(lookup(&[("DATABASE_WORKER_URL", "w")])).unwrap(), None);
    }

    #[test]
    fn the_missing_url_of_another_role_is_named() {
        let error = DatabaseUrls::from_variables(lookup(&[("DATABASE_URL", "a"), ("DATABASE_WORKER_URL", "w")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("DATABASE_AUDIT_URL") && error.contains("platform_auditor"), "{error}");
    }

    #[test]
    fn an_external_database_without_an_owner_url_cannot_be_migrated() {
        let variables = [("DATABASE_URL", "a"), ("DATABASE_WORKER_URL", "w"), ("DATABASE_AUDIT_URL", "l")];
        let error = DatabaseUrls::from_variables(lookup(&variables))
            .unwrap()
            .unwrap()
            .require_migration()
            .unwrap_err()
            .to_string();
        assert!(error.contains("DATABASE_MIGRATION_URL"), "{error}");
    }

    #[test]
    fn an_external_database_keeps_all_its_urls() {
        let variables = [("DATABASE_URL", "a"), ("DATABASE_WORKER_URL", "w"), ("DATABASE_AUDIT_URL", "l")];
        let urls = DatabaseUrls::from_variables(lookup(&variables)).unwrap().unwrap();
        assert_eq!(urls.settings(), variables);
    }

    #[test]
    fn each_role_of_the_embedded_database_has_its_own_password() {
        let dir = tempfile::tempdir().unwrap();
        let state = SavedState::load_or_create(dir.path()).unwrap();
        let urls = DatabaseUrls::embedded(&state, 5432);
        assert_eq!(urls.app, format!("postgres://platform_app:{}@127.0.0.1:5432/platform", state.app_password));
        assert!(urls.migration.unwrap().contains("postgres:"));
        assert_ne!(urls.worker, urls.audit);
    }
}
