//! A platform in a data directory: its database, and the program and settings of its server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::data_dir::DataDir;
use crate::database::{Database, DatabaseUrls};
use crate::model::{self, EmbeddedModel};
use crate::proc::{self, Interrupt};
use crate::server::{self, BuildProfile, Server};
use crate::state::SavedState;
use crate::{files, pg, project, running};

/// Arguments that select the data directory and the build of its server.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlatformArgs {
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

impl PlatformArgs {
    /// The build that `up` and `stack` run.
    pub fn build_profile_to_run(&self) -> BuildProfile {
        if self.dev { BuildProfile::Dev } else { BuildProfile::Release }
    }

    /// The selected build; by default the one that the last `up` in this data directory ran.
    pub fn build_profile(&self, state: &SavedState) -> BuildProfile {
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
    /// If the data directory cannot be opened, the server cannot be built, the database does not start, or a migration
    /// fails.
    pub fn attach_or_start(platform_args: &PlatformArgs, command_name: &str, interrupt: &Interrupt) -> Result<Self> {
        let data = DataDir::open(platform_args.data_dir.as_deref())?;
        let state = SavedState::load_or_create(data.path())?;
        let (program, database) = match (DatabaseUrls::from_env()?, Self::find_running(&data, &state)?) {
            (Some(urls), _) => {
                (server::build(platform_args.build_profile(&state), interrupt)?, Database::external(urls))
            }
            (None, Some(running)) => running,
            (None, None) => {
                if platform_args.data_dir.is_none() {
                    running::print_others(&data);
                }
                let program = server::build(platform_args.build_profile(&state), interrupt)?;
                (program, Database::attach_or_start(&data, command_name, interrupt)?)
            }
        };
        let platform = Self { server: server_for(program, &data, &state, &database.urls, None)?, database };
        if platform.database.should_migrate && platform.database.urls.migration.is_some() {
            platform.migrate(interrupt)?;
        }
        Ok(platform)
    }

    /// The server program and the database of a running `up`; `None` if it is not running. The program is not rebuilt,
    /// even if the sources have changed.
    fn find_running(data: &DataDir, state: &SavedState) -> Result<Option<(PathBuf, Database)>> {
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
    state: &SavedState,
    urls: &DatabaseUrls,
    listen: Option<&ServeSettings>,
) -> Result<Server> {
    let (blob_dir, issuer_dir) = (path_to_string(&data.join("blobs"))?, path_to_string(&data.join("dev-issuer"))?);
    let plant_secret_key = plant_secret_key(&state.secret_key);
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
        defaults.push(("PLANT_SECRET_KEY", plant_secret_key.as_str()));
    }
    if let Some(listen) = listen {
        fixed.push(("PLATFORM__SERVER__PORT", &listen.port));
        defaults.push(("PLATFORM__SERVER__METRICS_PORT", &listen.metrics_port));
        fixed.extend(listen.model_variables.iter().map(|(name, value)| (*name, value.as_str())));
    }
    Ok(Server::new(program, &fixed, &defaults))
}

/// Derives the plant process's secret from `SECRET_KEY`: restoring that key restores it too, but the key cannot be
/// computed from it.
fn plant_secret_key(secret_key: &str) -> String {
    hex::encode(Sha256::new().chain_update("plant process").chain_update(secret_key).finalize())
}

/// What a server needs, in addition to its data, to serve requests.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    port: String,
    metrics_port: String,
    model_variables: Vec<(&'static str, String)>,
}

impl ServeSettings {
    /// Serves on this port. Provisions the in-process embedding models that the user's environment asks for.
    ///
    /// # Errors
    /// If a model cannot be provisioned, or no free port is left for the metrics.
    pub fn for_port(port: u16, interrupt: &Interrupt) -> Result<Self> {
        Self::with_embedded_model(port, None, interrupt)
    }

    /// Like [`Self::for_port`], with this in-process embedding model instead of the one that the environment asks for.
    ///
    /// # Errors
    /// As [`Self::for_port`].
    pub fn with_embedded_model(port: u16, model: Option<EmbeddedModel>, interrupt: &Interrupt) -> Result<Self> {
        let model_variables = embedded_model_variables(model, interrupt)?;
        Ok(Self { port: port.to_string(), metrics_port: pg::free_port()?.to_string(), model_variables })
    }
}

/// The server's variables for the in-process embedding models: `selected`, or those that the user's environment asks
/// for. Empty if the user has configured another source of embeddings.
///
/// # Errors
/// If a model cannot be provisioned.
pub fn embedded_model_variables(
    selected: Option<EmbeddedModel>,
    interrupt: &Interrupt,
) -> Result<Vec<(&'static str, String)>> {
    let mut variables = Vec::new();
    if let Some(model) = selected {
        // Otherwise, a model server that the environment configures would embed.
        variables.push(("PLATFORM__MODELS__EMBED_SOURCE", "embedded".to_owned()));
        variables.push(("PLATFORM__MODELS__EMBEDDED_MODEL", model.name().to_owned()));
    }
    let needed = NeededModels::new(selected, project::env_var);
    if needed.minilm {
        variables.push(("PLATFORM__MODELS__EMBEDDED_DIR", path_to_string(&model::provision(interrupt)?)?));
    }
    if needed.multilingual {
        let dir = path_to_string(&model::provision_multilingual(interrupt)?)?;
        variables.push(("PLATFORM__MODELS__MULTILINGUAL_DIR", dir));
    }
    Ok(variables)
}

/// Which in-process embedding models must be provisioned.
#[derive(PartialEq, Eq, Debug)]
struct NeededModels {
    minilm: bool,
    multilingual: bool,
}

impl NeededModels {
    /// The `selected` model or the one that the variables name, and in either case the next model and those of
    /// languages; without those that have a directory already.
    fn new(selected: Option<EmbeddedModel>, env_var: impl Fn(&str) -> Option<String>) -> Self {
        const MULTILINGUAL: EmbeddedModel = EmbeddedModel::UseMultilingualV3;
        let is_multilingual = |name: &str| env_var(name).is_some_and(|value| value == MULTILINGUAL.name());
        let current = match selected {
            Some(model) => model == MULTILINGUAL,
            None => is_multilingual("PLATFORM__MODELS__EMBEDDED_MODEL") && !has_own_embeddings(&env_var),
        };
        let next = is_multilingual("PLATFORM__MODELS__NEXT_EMBED__EMBEDDED_MODEL");
        let by_language = LANGUAGES.iter().any(|language| {
            is_multilingual(&format!("PLATFORM__MODELS__LANGUAGE_MODELS__{}", language.to_uppercase()))
        });
        let has_dir = |name: &str| env_var(name).is_some();
        let embeds_here = selected.is_some() || !has_own_embeddings(&env_var);
        Self {
            minilm: embeds_here && !current && !has_dir("PLATFORM__MODELS__EMBEDDED_DIR"),
            multilingual: (current || next || by_language) && !has_dir("PLATFORM__MODELS__MULTILINGUAL_DIR"),
        }
    }
}

/// Languages of tenants that the multilingual model reads, as PostgreSQL names them.
const LANGUAGES: [&str; 10] =
    ["arabic", "dutch", "english", "french", "german", "italian", "portuguese", "russian", "spanish", "turkish"];

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

    fn state(dev_build: bool) -> SavedState {
        let dir = tempfile::tempdir().unwrap();
        SavedState { dev_build, ..SavedState::load_or_create(dir.path()).unwrap() }
    }

    #[test]
    fn commands_use_the_build_that_up_ran_unless_a_flag_names_one() {
        assert_eq!(PlatformArgs::default().build_profile(&state(false)), BuildProfile::Release);
        assert_eq!(PlatformArgs::default().build_profile(&state(true)), BuildProfile::Dev);
        let release = PlatformArgs { release: true, ..PlatformArgs::default() };
        assert_eq!(release.build_profile(&state(true)), BuildProfile::Release);
        let dev = PlatformArgs { dev: true, ..PlatformArgs::default() };
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
    fn the_models_that_are_selected_or_named_by_variables_are_provisioned() {
        let needed = |selected, variables: &[(&str, &str)]| {
            let env_var =
                |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let NeededModels { minilm, multilingual } = NeededModels::new(selected, env_var);
            (minilm, multilingual)
        };
        let multilingual = Some(EmbeddedModel::UseMultilingualV3);
        let server = ("LITELLM_BASE_URL", "http://127.0.0.1:4000");
        assert_eq!(needed(None, &[]), (true, false));
        assert_eq!(needed(None, &[server]), (false, false));
        assert_eq!(needed(multilingual, &[]), (false, true));
        assert_eq!(needed(multilingual, &[server]), (false, true));
        assert_eq!(needed(Some(EmbeddedModel::AllMiniLmL6V2), &[server]), (true, false));
        assert_eq!(needed(multilingual, &[("PLATFORM__MODELS__MULTILINGUAL_DIR", "/own")]), (false, false));
        for name in ["NEXT_EMBED__EMBEDDED_MODEL", "LANGUAGE_MODELS__GERMAN"] {
            let variable = format!("PLATFORM__MODELS__{name}");
            assert_eq!(needed(None, &[(&variable, "use-multilingual-v3")]), (true, true), "{name}");
        }
        let current = ("PLATFORM__MODELS__EMBEDDED_MODEL", "use-multilingual-v3");
        assert_eq!(needed(None, &[current]), (false, true));
    }

    #[test]
    fn the_env_file_names_the_address_and_every_role() {
        let temp_dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(Some(&temp_dir.path().join("data dir"))).unwrap();
        let urls = DatabaseUrls {
            app: "a".into(),
            worker: "w".into(),
            audit: "l".into(),
            plant: Some("p".into()),
            migration: Some("m".into()),
        };
        write_env_file(&data, "http://127.0.0.1:8000", &urls).unwrap();
        let text = fs::read_to_string(data.join("platform.env")).unwrap();
        let expected = "PLATFORM_URL=http://127.0.0.1:8000\nDATABASE_URL=a\nDATABASE_WORKER_URL=w\n\
                        DATABASE_AUDIT_URL=l\nDATABASE_PLANT_URL=p\nDATABASE_MIGRATION_URL=m\n";
        assert_eq!(text, expected);
        remove_env_file(&data).unwrap();
        remove_env_file(&data).unwrap();
        assert!(!data.join("platform.env").exists());
    }
}
