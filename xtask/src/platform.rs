//! A platform in a data directory: its database, and the program and settings of its server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::data_dir::DataDir;
use crate::database::{Database, DatabaseUrls};
use crate::proc::{self, Interrupt};
use crate::server::{self, BuildProfile, Server};
use crate::state::State;
use crate::{files, model, pg, project};

/// Arguments that select the platform and the build of its server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlatformSelector {
    /// Data directory of the platform [default: .data in the checkout].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Use the release build of the server (the default).
    #[arg(long, conflicts_with = "dev")]
    pub release: bool,
    /// Use the development build of the server.
    #[arg(long)]
    pub dev: bool,
}

impl PlatformSelector {
    /// The build that `up` runs.
    pub fn build_profile_for_up(&self) -> BuildProfile {
        if self.dev { BuildProfile::Dev } else { BuildProfile::Release }
    }

    /// The selected build; by default the one that the last `up` in this data directory ran.
    pub fn build_profile(&self, state: &State) -> BuildProfile {
        let dev = self.dev || (state.dev_build && !self.release);
        if dev { BuildProfile::Dev } else { BuildProfile::Release }
    }
}

/// A platform that commands can use. Dropping it stops the database if this process started it.
pub struct Platform {
    /// Program and settings of the server.
    pub server: Server,
    /// The database, which is running.
    pub database: Database,
}

impl Platform {
    /// Opens the platform for a short-lived command, whether or not `up` runs in the data directory. `command_name`
    /// is written to the lock file.
    ///
    /// # Errors
    /// If a dependency is missing or does not start.
    pub fn attach(selector: &PlatformSelector, command_name: &str, interrupt: &Interrupt) -> Result<Self> {
        let data = DataDir::open(selector.data_dir.as_deref())?;
        let state = State::load_or_create(data.path())?;
        let (program, database) = match (DatabaseUrls::from_env()?, Self::find_running(&data, &state)?) {
            (Some(urls), _) => (server::build(selector.build_profile(&state), interrupt)?, Database::external(urls)),
            (None, Some(running)) => running,
            (None, None) => (
                server::build(selector.build_profile(&state), interrupt)?,
                Database::attach(&data, command_name, interrupt)?,
            ),
        };
        let platform = Self { server: server_for(program, &data, &state, &database.urls, None)?, database };
        if platform.database.should_migrate && platform.database.urls.migration.is_some() {
            platform.migrate(interrupt)?;
        }
        Ok(platform)
    }

    /// The server program and the database of a running `up`; `None` if it is not running. The program is not rebuilt,
    /// even if the sources have changed.
    fn find_running(data: &DataDir, state: &State) -> Result<Option<(PathBuf, Database)>> {
        let Some(program) = state.program.clone().filter(|program| program.is_file()) else { return Ok(None) };
        Ok(Database::attach_running(data)?.map(|database| (program, database)))
    }

    /// Applies the migrations and sets the roles' passwords.
    ///
    /// # Errors
    /// If there is no URL for migrations, or a migration fails.
    pub fn migrate(&self, interrupt: &Interrupt) -> Result<()> {
        self.database.urls.require_migration()?;
        proc::run_checked(&mut self.server.command(&["migrate"]), interrupt, "the migration")
    }
}

/// The server of a data directory; `listen` is needed only to serve requests.
///
/// # Errors
/// If a path is not valid UTF-8.
pub fn server_for(
    program: PathBuf,
    data: &DataDir,
    state: &State,
    urls: &DatabaseUrls,
    listen: Option<&ListenSettings>,
) -> Result<Server> {
    let (blob_dir, issuer_dir) = (path_to_string(&data.join("blobs"))?, path_to_string(&data.join("dev-issuer"))?);
    let mut fixed = urls.settings();
    let mut defaults = vec![
        ("PLATFORM__MODE", "development"),
        ("PLATFORM__STORAGE__DIR", blob_dir.as_str()),
        ("PLATFORM__AUTH__DEV_ISSUER_DIR", issuer_dir.as_str()),
    ];
    let pg_bin = pg::PostgresPrograms::installed_dir();
    if let Some(bin) = pg_bin.as_deref().and_then(Path::to_str) {
        defaults.push(("PLATFORM__BACKUP__PG_BIN", bin));
    }
    if project::env_var("SECRET_KEY_FILE").is_none() {
        defaults.push(("SECRET_KEY", state.secret_key.as_str()));
    }
    if let Some(listen) = listen {
        fixed.push(("PLATFORM__SERVER__PORT", &listen.port));
        defaults.push(("PLATFORM__SERVER__METRICS_PORT", &listen.metrics_port));
        defaults.extend(listen.model_dir.as_deref().map(|dir| ("PLATFORM__MODELS__EMBEDDED_DIR", dir)));
    }
    Ok(Server::new(program, &fixed, &defaults))
}

/// What a server needs, in addition to its data, to serve requests.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    port: String,
    metrics_port: String,
    model_dir: Option<String>,
}

impl ListenSettings {
    /// Serves on this port. Provisions the embedded model unless the user has configured another source of embeddings.
    ///
    /// # Errors
    /// If the model cannot be provisioned, or no free port is left for the metrics.
    pub fn for_port(port: u16, interrupt: &Interrupt) -> Result<Self> {
        let model_dir = embedded_model(interrupt)?;
        Ok(Self { port: port.to_string(), metrics_port: pg::free_port()?.to_string(), model_dir })
    }
}

/// The directory of the embedded model; `None` if the user has configured another source of embeddings.
///
/// # Errors
/// If the model cannot be provisioned.
pub fn embedded_model(interrupt: &Interrupt) -> Result<Option<String>> {
    if has_own_embeddings(project::env_var) {
        Ok(None)
    } else {
        Ok(Some(path_to_string(&model::provision(interrupt)?)?))
    }
}

/// Whether the user has configured another source of embeddings: a model server, or a model directory.
fn has_own_embeddings(env_var: impl Fn(&str) -> Option<String>) -> bool {
    let embedded = env_var("PLATFORM__MODELS__EMBED_SOURCE").is_some_and(|source| source == "embedded");
    let server = ["LITELLM_BASE_URL", "PLATFORM__MODELS__BASE_URL"].iter().any(|name| env_var(name).is_some());
    env_var("PLATFORM__MODELS__EMBEDDED_DIR").is_some() || (server && !embedded)
}

/// Writes `platform.env`: the address and the database URLs, for users, scripts and the other commands.
///
/// # Errors
/// If the file cannot be written.
pub fn write_env_file(data: &DataDir, address: &str, urls: &DatabaseUrls) -> Result<()> {
    let pairs = std::iter::once(("PLATFORM_URL", address)).chain(urls.settings());
    files::write_private(&data.join("platform.env"), &files::env_lines(pairs))
}

/// Removes `platform.env` while a platform starts, because its existence tells other commands that the database is
/// migrated.
///
/// # Errors
/// If the file exists and cannot be removed.
pub fn remove_env_file(data: &DataDir) -> Result<()> {
    let path = data.join("platform.env");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn path_to_string(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not valid UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(dev_build: bool) -> State {
        let dir = tempfile::tempdir().unwrap();
        State { dev_build, ..State::load_or_create(dir.path()).unwrap() }
    }

    #[test]
    fn a_token_uses_the_build_that_up_ran() {
        assert_eq!(PlatformSelector::default().build_profile(&state(false)), BuildProfile::Release);
        assert_eq!(PlatformSelector::default().build_profile(&state(true)), BuildProfile::Dev);
        let release = PlatformSelector { release: true, ..PlatformSelector::default() };
        assert_eq!(release.build_profile(&state(true)), BuildProfile::Release);
        let dev = PlatformSelector { dev: true, ..PlatformSelector::default() };
        assert_eq!(dev.build_profile(&state(false)), BuildProfile::Dev);
    }

    #[test]
    fn the_embedded_model_is_used_unless_the_user_configured_another() {
        let has_own = |variables: &[(&str, &str)]| {
            has_own_embeddings(|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(!has_own(&[]));
        assert!(has_own(&[("LITELLM_BASE_URL", "http://127.0.0.1:4000")]));
        assert!(has_own(&[("PLATFORM__MODELS__EMBEDDED_DIR", "/models/own")]));
        assert!(!has_own(&[("LITELLM_BASE_URL", "http://h"), ("PLATFORM__MODELS__EMBED_SOURCE", "embedded")]));
    }

    #[test]
    fn the_env_file_names_the_address_and_every_role() {
        let temp_dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(&temp_dir.path().join("data dir"))).unwrap();
        let urls = DatabaseUrls { app: "a".into(), worker: "w".into(), audit: "l".into(), migration: Some("m".into()) };
        write_env_file(&data, "http://127.0.0.1:8000", &urls).unwrap();
        let text = fs::read_to_string(data.join("platform.env")).unwrap();
        let expected = "PLATFORM_URL=http://127.0.0.1:8000\nDATABASE_URL=a\nDATABASE_WORKER_URL=w\n\
                        DATABASE_AUDIT_URL=l\nDATABASE_MIGRATION_URL=m\n";
        assert_eq!(text, expected);
        remove_env_file(&data).unwrap();
        remove_env_file(&data).unwrap();
        assert!(!data.join("platform.env").exists());
    }
}
