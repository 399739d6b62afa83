//! Which database the platform talks to: the user's own where `DATABASE_URL` is set, else the embedded one, which
//! may be running already (under an `up`) or is started for the length of a command.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::data_dir::{Claim, DataDir};
use crate::pg::{Cluster, ClusterPaths, Postmaster, Programs, Purpose};
use crate::proc::Interrupt;
use crate::progress::say;
use crate::project;
use crate::state::State;

/// The database that the embedded server holds.
const NAME: &str = "platform";

/// The connection URLs of the database's roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Urls {
    /// The application's role.
    pub app: String,
    /// The role that claims jobs.
    pub worker: String,
    /// The role that reads the audit log.
    pub audit: String,
    /// The owner, for migrations; a user's own database may be migrated elsewhere.
    pub migration: Option<String>,
}

impl Urls {
    /// The user's own database; `None` when `DATABASE_URL` is unset.
    ///
    /// # Errors
    /// If `DATABASE_URL` is set but a companion that it needs is not.
    pub fn given() -> Result<Option<Self>> {
        Self::choose(project::secret)
    }

    fn choose(secret: impl Fn(&str) -> Result<Option<String>>) -> Result<Option<Self>> {
        let Some(app) = secret("DATABASE_URL")? else {
            return Ok(None);
        };
        let companion = |name: &str, role: &str| match secret(name)? {
            Some(url) => Ok(url),
            None => bail!("DATABASE_URL is set, so {name} is needed too: set it to the URL of the role {role}"),
        };
        Ok(Some(Self {
            worker: companion("DATABASE_WORKER_URL", "platform_worker")?,
            audit: companion("DATABASE_AUDIT_URL", "platform_auditor")?,
            migration: secret("DATABASE_MIGRATION_URL")?,
            app,
        }))
    }

    fn embedded(state: &State, port: u16) -> Self {
        let url = |role: &str, password: &str| format!("postgres://{role}:{password}@127.0.0.1:{port}/{NAME}");
        Self {
            app: url("platform_app", &state.app_password),
            worker: url("platform_worker", &state.worker_password),
            audit: url("platform_auditor", &state.auditor_password),
            migration: Some(url("postgres", &state.superuser_password)),
        }
    }

    /// # Errors
    /// If there is no URL to migrate with.
    pub fn require_migration(&self) -> Result<()> {
        if self.migration.is_none() {
            bail!(
                "DATABASE_URL is set, so the migrations need DATABASE_MIGRATION_URL: \
                 set it to the URL of the database's owner"
            );
        }
        Ok(())
    }

    /// The URLs under the names of their settings.
    pub fn settings(&self) -> Vec<(&'static str, &str)> {
        let mut settings = vec![
            ("DATABASE_URL", self.app.as_str()),
            ("DATABASE_WORKER_URL", self.worker.as_str()),
            ("DATABASE_AUDIT_URL", self.audit.as_str()),
        ];
        settings.extend(self.migration.as_deref().map(|url| ("DATABASE_MIGRATION_URL", url)));
        settings
    }
}

/// An open database. Dropping it stops the embedded server if this process started it.
pub struct Database {
    /// How to reach it.
    pub urls: Urls,
    /// Whether this process is the one that looks after it, and so migrates it.
    pub ours: bool,
    // The fields below drop in this order: first let others finish, then stop the server, then give up the claim.
    guests: Option<Guests>,
    cluster: Option<Cluster>,
    _claim: Option<Claim>,
    _visit: Option<File>,
}

/// Waits, when dropped, for other commands that borrowed a server which only runs for the length of this one.
struct Guests(DataDir);

impl Drop for Guests {
    fn drop(&mut self) {
        let _all_gone = visitors(&self.0).and_then(|file| Ok(file.lock()?));
    }
}

impl Database {
    /// The user's own database.
    pub fn given(urls: Urls) -> Self {
        Self { urls, ours: true, guests: None, cluster: None, _claim: None, _visit: None }
    }

    /// Starts the embedded server in a data directory that the caller has claimed.
    ///
    /// # Errors
    /// If it cannot be provisioned or started.
    pub fn start(data: &DataDir, state: &mut State, interrupt: &Interrupt) -> Result<Self> {
        let programs = Programs::provision(interrupt)?;
        let pgdata = data.pgdata(programs.run_as())?;
        let log = data.join("logs").join("postgres.log");
        let place = ClusterPaths { pgdata: &pgdata, log: &log, password: &state.superuser_password };
        let cluster = Cluster::start(&programs, place, Purpose::Lasting, state.database_port, interrupt)?;
        cluster.ensure_database(NAME)?;
        state.database_port = Some(cluster.port());
        state.save(data.path())?;
        let urls = Urls::embedded(state, cluster.port());
        Ok(Self { urls, ours: true, guests: None, cluster: Some(cluster), _claim: None, _visit: None })
    }

    /// The embedded server as it runs, or started for the length of this command (`who`).
    ///
    /// # Errors
    /// If it cannot be provisioned or started.
    pub fn borrow(data: &DataDir, who: &str, interrupt: &Interrupt) -> Result<Self> {
        let mut logged = false;
        loop {
            if let Some(visit) = Self::visit(data)? {
                return Ok(visit);
            }
            if let Some(claim) = data.try_claim(who)? {
                let mut database = Self::start(data, &mut State::load_or_create(data.path())?, interrupt)?;
                database.guests = Some(Guests(data.clone()));
                database._claim = Some(claim);
                return Ok(database);
            }
            if !logged {
                say("waiting for the platform in this data directory to start …");
                logged = true;
            }
            interrupt.pause(Duration::from_millis(100))?;
        }
    }

    /// The embedded server if it runs and is migrated, which `platform.env` tells.
    ///
    /// # Errors
    /// If the data directory cannot be read.
    pub fn visit(data: &DataDir) -> Result<Option<Self>> {
        let running = || {
            let pgdata = fs::canonicalize(data.join("pg")).ok()?;
            Postmaster::find(&pgdata).filter(|server| server.ready && data.join("platform.env").is_file())?.port
        };
        if running().is_none() {
            return Ok(None);
        }
        let visit = visitors(data)?;
        visit.lock_shared()?;
        let Some(port) = running() else { return Ok(None) };
        let urls = Urls::embedded(&State::load_or_create(data.path())?, port);
        Ok(Some(Self { urls, ours: false, guests: None, cluster: None, _claim: None, _visit: Some(visit) }))
    }

    /// Whether the embedded server has stopped by itself.
    pub fn has_stopped(&mut self) -> bool {
        self.cluster.as_mut().is_some_and(Cluster::has_stopped)
    }
}

fn visitors(data: &DataDir) -> Result<File> {
    let path = data.join("visitors.lock");
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

    fn with<'a>(known: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Result<Option<String>> + 'a {
        |name| Ok(known.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn without_a_url_of_the_users_the_embedded_database_serves() {
        assert_eq!(Urls::choose(with(&[("DATABASE_WORKER_URL", "w")])).unwrap(), None);
    }

    #[test]
    fn a_missing_companion_is_named() {
        let error = Urls::choose(with(&[("DATABASE_URL", "a"), ("DATABASE_WORKER_URL", "w")])).unwrap_err().to_string();
        assert!(error.contains("DATABASE_AUDIT_URL") && error.contains("platform_auditor"), "{error}");
    }

    #[test]
    fn a_given_database_without_its_owner_cannot_be_migrated() {
        let known = [("DATABASE_URL", "a"), ("DATABASE_WORKER_URL", "w"), ("DATABASE_AUDIT_URL", "l")];
        let error = Urls::choose(with(&known)).unwrap().unwrap().require_migration().unwrap_err().to_string();
        assert!(error.contains("DATABASE_MIGRATION_URL"), "{error}");
    }

    #[test]
    fn a_given_database_keeps_keeps_all_its_urls() {
        let known = [("DATABASE_URL", "a"), ("DATABASE_WORKER_URL", "w"), ("DATABASE_AUDIT_URL", "l")];
        let urls = Urls::choose(with(&known)).unwrap().unwrap();
        assert_eq!(urls.settings(), known);
    }

    #[test]
    fn each_role_of_the_embedded_database_has_its_own_login() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::load_or_create(dir.path()).unwrap();
        let urls = Urls::embedded(&state, 5432);
        assert_eq!(urls.app, format!("postgres://platform_app:{}@127.0.0.1:5432/platform", state.app_password));
        assert!(urls.migration.unwrap().contains("postgres:"));
        assert_ne!(urls.worker, urls.audit);
    }
}
