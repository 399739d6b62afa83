//! A platform in a data directory: its database, its server's program and settings.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::data_dir::DataDir;
use crate::database::{Database, Urls};
use crate::proc::{self, Interrupt};
use crate::server::{self, Build, Server};
use crate::state::State;
use crate::{files, model, pg, project};

/// Which platform a command means.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Which {
    /// Directory of the platform's data [default: .data in the checkout].
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Use the optimized build of the server (the default).
    #[arg(long, conflicts_with = "dev")]
    pub release: bool,
    /// Use the development build of the server.
    #[arg(long)]
    pub dev: bool,
}

impl Which {
    /// The build that `up` runs.
    pub fn build_for_up(&self) -> Build {
        if self.dev { Build::Dev } else { Build::Release }
    }

    /// The build asked for; without a word, the one that the last `up` in this data directory ran.
    pub fn build(&self, state: &State) -> Build {
        let dev = self.dev || (state.dev_build && !self.release);
        if dev { Build::Dev } else { Build::Release }
    }
}

/// An open platform: whatever it runs on stops when it is dropped.
pub struct Platform {
    /// URL and process of its server.
    pub server: Server,
    /// URLs of its database.
    pub database: Database,
}

impl Platform {
    /// Opens the platform for a short command (`who`), whether or not an `up` runs in its data directory.
    ///
    /// # Errors
    /// If something that it needs is missing or does not start.
    pub fn borrow(which: &Which, who: &str, interrupt: &Interrupt) -> Result<Self> {
        let data = DataDir::open(which.data_dir.as_deref())?;
        let state = State::load_or_create(data.path())?;
        let (program, database) = match (Urls::given()?, Self::running(&data, &state)?) {
            (Some(urls), _) => (server::build(which.build(&state), interrupt)?, Database::given(urls)),
            (None, Some(running)) => running,
            (None, None) => (server::build(which.build(&state), interrupt)?, Database::borrow(&data, who, interrupt)?),
        };
        let platform = Self { server: server_for(program, &data, &state, &database.urls, None)?, database };
        if platform.database.ours && platform.database.urls.migration.is_some() {
            platform.migrate(interrupt)?;
        }
        Ok(platform)
    }

    /// Where an `up` runs: its database, and the very program that it runs. Nothing is built anew then, even if the
    /// sources have changed meanwhile.
    fn running(data: &DataDir, state: &State) -> Result<Option<(PathBuf, Database)>> {
        let Some(program) = state.program.clone().filter(|program| program.is_file()) else { return Ok(None) };
        Ok(Database::visit(data)?.map(|database| (program, database)))
    }

    /// Applies the migrations and sets the roles' passwords.
    ///
    /// # Errors
    /// If there is no URL to migrate with, or a migration fails.
    pub fn migrate(&self, interrupt: &Interrupt) -> Result<()> {
        self.database.urls.require_migration()?;
        proc::run_ok(&mut self.server.command(&["migrate"]), interrupt, "the migration")
    }
}

/// The server of a data directory, on this port if it is going to listen.
///
/// # Errors
/// If no free port is left for the metrics.
pub fn server_for(
    program: PathBuf,
    data: &DataDir,
    state: &State,
    urls: &Urls,
    listen: Option<&Listen>,
) -> Result<Server> {
    let (blobs, issuer) = (text(&data.join("blobs"))?, text(&data.join("dev-issuer"))?);
    let mut fixed = urls.settings();
    let mut defaults = vec![
        ("PLATFORM__MODE", "development"),
        ("PLATFORM__STORAGE__DIR", blobs.as_str()),
        ("PLATFORM__AUTH__DEV_ISSUER_DIR", issuer.as_str()),
    ];
    if project::setting("SECRET_KEY_FILE").is_none() {
        defaults.push(("SECRET_KEY", state.secret_key.as_str()));
    }
    if let Some(listen) = listen {
        fixed.push(("PLATFORM__SERVER__PORT", &listen.port));
        defaults.push(("PLATFORM__SERVER__METRICS_PORT", &listen.metrics_port));
        defaults.extend(listen.model_dir.as_deref().map(|dir| ("PLATFORM__MODELS__EMBEDDED_DIR", dir)));
    }
    Ok(Server::new(program, &fixed, &defaults))
}

/// What a server needs beyond its data to serve.
#[derive(Clone, Debug)]
pub struct Listen {
    port: String,
    metrics_port: String,
    model_dir: Option<String>,
}

impl Listen {
    /// A server on this port; the embedded model is provisioned unless the user has named a model server.
    ///
    /// # Errors
    /// If the model cannot be provisioned, or no free port is left for the metrics.
    pub fn on(port: u16, interrupt: &Interrupt) -> Result<Self> {
        let model_dir = embedded_model(interrupt)?;
        Ok(Self { port: port.to_string(), metrics_port: pg::free_port()?.to_string(), model_dir })
    }
}

/// The directory of the embedded model; `None` where the user has said where embeddings come from.
///
/// # Errors
/// If the model cannot be provisioned.
pub fn embedded_model(interrupt: &Interrupt) -> Result<Option<String>> {
    if embeds_elsewhere(project::setting) { Ok(None) } else { Ok(Some(text(&model::provision(interrupt)?)?)) }
}

/// Whether the user has said where embeddings come from: a model server, or a model of their own.
fn embeds_elsewhere(setting: impl Fn(&str) -> Option<String>) -> bool {
    let embedded = setting("PLATFORM__MODELS__EMBED_SOURCE").is_some_and(|source| source == "embedded");
    let server = ["LITELLM_BASE_URL", "PLATFORM__MODELS__BASE_URL"].iter().any(|name| setting(name).is_some());
    setting("PLATFORM__MODELS__EMBEDDED_DIR").is_some() || (server && !embedded)
}

/// Writes `platform.env`: where the platform is, for people, scripts and the other commands.
///
/// # Errors
/// If the file cannot be written.
pub fn write_env_file(data: &DataDir, address: &str, urls: &Urls) -> Result<()> {
    let pairs = std::iter::once(("PLATFORM_URL", address)).chain(urls.settings());
    files::write_private(&data.join("platform.env"), &files::env_lines(pairs))
}

/// Removes `platform.env` while a platform starts: other commands take it for a sign that the database is migrated.
///
/// # Errors
/// If the file is there and cannot be removed.
pub fn remove_env_file(data: &DataDir) -> Result<()> {
    let path = data.join("platform.env");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn text(path: &Path) -> Result<String> {
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
        assert_eq!(Which::default().build(&state(false)), Build::Release);
        assert_eq!(Which::default().build(&state(true)), Build::Dev);
        let release = Which { release: true, ..Which::default() };
        assert_eq!(release.build(&state(true)), Build::Release);
        let dev = Which { dev: true, ..Which::default() };
        assert_eq!(dev.build(&state(false)), Build::Dev);
    }

    #[test]
    fn the_embedded_model_serves_unless_the_user_named_another() {
        let with = |known: &[(&str, &str)]| {
            embeds_elsewhere(|name| known.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert!(!with(&[]));
        assert!(with(&[("LITELLM_BASE_URL", "http://127.0.0.1:4000")]));
        assert!(with(&[("PLATFORM__MODELS__EMBEDDED_DIR", "/models/own")]));
        assert!(!with(&[("LITELLM_BASE_URL", "http://h"), ("PLATFORM__MODELS__EMBED_SOURCE", "embedded")]));
    }

    #[test]
    fn the_env_file_names_the_address_and_every_role() {
        let top = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(&top.path().join("data dir"))).unwrap();
        let urls = Urls { app: "a".into(), worker: "w".into(), audit: "l".into(), migration: Some("m".into()) };
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
