//! The sections of the settings, one struct each, with what holds where nothing is said.

use super::issuers::{EntraCloud, IssuerFile};
use domain::role::Role;
use policy::authn::settings::GroupsOverage;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tools::ingest::Chunking;
use tools::ingest::isolate::launch::Launcher;
use tools::ingest::ocr::OcrSettings;

/// Listening.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port of the API.
    pub port: u16,
    /// Port of `/metrics`; 0 switches it off.
    pub metrics_port: u16,
    /// Seconds that running streams get to finish after SIGTERM.
    pub shutdown_grace_s: u64,
    /// Most connections at once.
    pub max_connections: usize,
    /// Seconds that a connection may rest without a request in hand.
    pub idle_connection_s: u64,
    /// Seconds after which a connection takes no more requests.
    pub max_connection_age_s: u64,
    /// Most requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// Most requests in hand at once.
    pub max_in_flight: usize,
    /// A reverse proxy stands before the server and writes `X-Forwarded-For`.
    pub behind_proxy: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 8000,
            metrics_port: 9464,
            shutdown_grace_s: 25,
            max_connections: 4_096,
            idle_connection_s: 120,
            max_connection_age_s: 3_600,
            max_streams: 128,
            max_in_flight: 128,
            behind_proxy: false,
        }
    }
}

/// PostgreSQL, one URL per role.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// As the application role (`DATABASE_URL`).
    pub url: Option<SecretString>,
    /// As the worker role (`DATABASE_WORKER_URL`).
    pub worker_url: Option<SecretString>,
    /// As the auditor role (`DATABASE_AUDIT_URL`).
    pub audit_url: Option<SecretString>,
    /// As the owner; for migrations only (`DATABASE_MIGRATION_URL`).
    pub migration_url: Option<SecretString>,
    /// Most connections of the application role.
    pub max_connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, worker_url: None, audit_url: None, migration_url: None, max_connections: 16 }
    }
}

/// The documents' bytes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Directory of the files.
    pub dir: PathBuf,
    /// Largest upload, in MiB.
    pub max_upload_mib: u64,
    /// Seconds that an upload may take.
    pub upload_limit_s: u64,
}

impl Storage {
    /// How long an upload may take.
    #[must_use]
    pub fn upload_limit(&self) -> Duration {
        Duration::from_secs(self.upload_limit_s)
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { dir: PathBuf::from("storage"), max_upload_mib: 100, upload_limit_s: 900 }
    }
}

/// Who may sign in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// Directory of the development issuer; development mode only.
    pub dev_issuer_dir: Option<PathBuf>,
    /// `OIDC_ISSUER`: one more issuer.
    pub oidc_issuer: Option<String>,
    /// `OIDC_AUDIENCE`: the `aud` its tokens must have.
    pub oidc_audience: Option<String>,
    /// `OIDC_JWKS_URL`: where its keys are; discovered if absent.
    pub oidc_jwks_url: Option<String>,
    /// `ENTRA_TENANT_ID`: the directory.
    pub entra_tenant_id: Option<String>,
    /// `ENTRA_CLIENT_ID`: the API's application id.
    pub entra_client_id: Option<String>,
    /// Which of Entra's clouds the directory is in.
    pub entra_cloud: EntraCloud,
    /// Claim value → tenant id or slug, for the issuers of the variables above.
    pub tenants: BTreeMap<String, String>,
    /// Role value, or group as `g:<group>` → role, for the same issuers, instead of the usual ones.
    pub roles: Option<BTreeMap<String, Role>>,
    /// Accept ES256 signatures of theirs with a high `s`, too.
    pub accept_high_s: bool,
    /// A scope that their tokens must carry, or else `required_role`.
    pub required_scope: Option<String>,
    /// A role value that their tokens must carry, or else `required_scope`.
    pub required_role: Option<String>,
    /// Longest time since their users proved who they are, in seconds.
    pub max_age_s: Option<u32>,
    /// Home directories whose guests get in, for the same issuers; `*` for any.
    pub guests: Vec<String>,
    /// What becomes of their tokens that leave out their groups.
    pub groups_overage: GroupsOverage,
    /// Further issuers.
    pub issuers: Vec<IssuerFile>,
    /// Who may make and switch off tenants.
    pub platform_admins: Vec<PlatformAdmin>,
    /// Where the issuers' last good keys are kept for a restart; beside `storage.dir` if absent.
    pub key_cache_dir: Option<PathBuf>,
    /// Longest life of a personal access token, in days; 365 if absent.
    pub max_token_days: Option<u32>,
    /// After so many days without an interactive login, a user's personal access tokens are refused; 30 if absent.
    pub access_token_login_max_age_days: Option<u32>,
}

/// Longest life of a personal access token, in days, unless the settings say another.
const MAX_TOKEN_DAYS: u32 = 365;
/// Days without an interactive login after which personal access tokens are refused, unless the settings say others.
const LOGIN_MAX_AGE_DAYS: u32 = 30;

impl Auth {
    /// Longest life of a personal access token, in days.
    #[must_use]
    pub fn max_token_days(&self) -> u32 {
        self.max_token_days.unwrap_or(MAX_TOKEN_DAYS)
    }

    /// Days without an interactive login after which personal access tokens are refused.
    #[must_use]
    pub fn login_max_age_days(&self) -> u32 {
        self.access_token_login_max_age_days.unwrap_or(LOGIN_MAX_AGE_DAYS)
    }
}

/// A named platform administrator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlatformAdmin {
    /// Issuer.
    pub issuer: String,
    /// The issuer's id of the user.
    pub subject: String,
}

/// Chat turns.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// Tokens of a whole prompt.
    pub context_tokens: usize,
    /// Most tokens of an answer.
    pub max_output_tokens: u32,
    /// Seconds a run goes on when nobody reads it.
    pub grace_s: u64,
    /// Seconds of the longest turn.
    pub turn_limit_s: u64,
    /// Most answers being written at once.
    pub concurrent_runs: usize,
    /// Most of them that are one tenant's; half of them unless given.
    pub concurrent_runs_per_tenant: Option<usize>,
}

impl Chat {
    /// Most answers being written at once for one tenant.
    #[must_use]
    pub fn per_tenant(&self) -> usize {
        self.concurrent_runs_per_tenant.unwrap_or(self.concurrent_runs / 2).max(1)
    }
}

impl Default for Chat {
    fn default() -> Self {
        let chat = runtime::chat::ChatSettings::default();
        Self {
            context_tokens: chat.context_tokens,
            max_output_tokens: chat.max_output_tokens,
            grace_s: chat.grace.as_secs(),
            turn_limit_s: chat.turn_limit.as_secs(),
            concurrent_runs: chat.concurrent_runs,
            concurrent_runs_per_tenant: None,
        }
    }
}

/// Request limits.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Off in development mode only, for tests and measurements.
    pub enabled: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// How documents are cut. A change takes effect on what is ingested from then on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// Most tokens of a passage; as much as the embedding model reads, up to 450, unless given.
    pub chunk_tokens: Option<usize>,
    /// Most tokens of whole sentences that a passage repeats from the one before; a tenth of a passage unless given.
    pub chunk_overlap_tokens: Option<usize>,
    /// Recognize the text of scanned pages with `tesseract`, which must be installed.
    pub ocr: bool,
    /// The program, if it is not `tesseract` in a usual place.
    pub ocr_program: Option<PathBuf>,
    /// Languages by the names of their training data, joined by `+`.
    pub ocr_languages: Option<String>,
}

impl Ingest {
    /// For the tool layer.
    #[must_use]
    pub fn chunking(&self) -> Chunking {
        Chunking { max_tokens: self.chunk_tokens, overlap_tokens: self.chunk_overlap_tokens }
    }

    /// How text is recognized, for the tool layer.
    #[must_use]
    pub fn recognition(&self, launcher: Launcher) -> OcrSettings {
        let usual = OcrSettings::new(launcher);
        OcrSettings {
            program: self.ocr_program.clone().unwrap_or(usual.program),
            languages: self.ocr_languages.clone().unwrap_or(usual.languages),
            ..usual
        }
    }
}

/// The audit log.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Seed of the Ed25519 key that signs checkpoints, 64 hexadecimal digits (`AUDIT_SIGNING_KEY`); derived from
    /// `SECRET_KEY` unless given.
    pub signing_key: Option<SecretString>,
    /// Public keys of former signing keys, whose signatures still count.
    pub trusted_keys: Vec<String>,
    /// Where checkpoints are kept outside the database; `audit/checkpoints.ndjson` beside `storage.dir` unless given.
    pub checkpoint_file: Option<PathBuf>,
    /// Seconds between two checkpoints.
    pub checkpoint_s: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { signing_key: None, trusted_keys: Vec::new(), checkpoint_file: None, checkpoint_s: 10 }
    }
}

/// The ingestion worker.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Documents ingested at once.
    pub concurrency: usize,
    /// Seconds a claim holds without a heartbeat.
    pub lease_s: u64,
}

impl Default for Worker {
    fn default() -> Self {
        Self { concurrency: 2, lease_s: 60 }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// `LOG_LEVEL`: a level or a filter such as `info,sqlx=warn`.
    pub log_level: Option<String>,
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: where traces go, if anywhere.
    pub otlp_endpoint: Option<String>,
    /// Prompts and answers go into the traces. They are a plant's data, and whoever reads traces reads them: off unless
    /// somebody looks for an error.
    pub record_content: bool,
}
