//! The sections of the settings except `auth` and `models`. The doc comments of the fields are the descriptions in
//! `docs/generated/config.schema.json` and in the tables of `docs/operations/configuration.md`.

use super::schema::secret;
use anyhow::{Result, ensure};
use runtime::chat::ChatSettings;
use runtime::plant_process::PlantProcessSettings;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tools::ingest::ChunkSizeOverrides;
use tools::ingest::isolate::launch::Launcher;
use tools::ingest::ocr::OcrSettings;

/// HTTP server: addresses and connection limits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address to listen on.
    pub host: IpAddr,
    /// Port of the API.
    pub port: u16,
    /// Port of `/metrics`, for workers too; 0 disables it.
    pub metrics_port: u16,
    /// Seconds that running streams have to finish after SIGTERM.
    pub shutdown_grace_s: u64,
    /// Maximum number of connections; one client address may use three quarters of them. The limit of open files must
    /// be at least as high.
    pub max_connections: usize,
    /// Seconds after which a connection without a request in flight is closed. An open event stream is a request in
    /// flight.
    #[schemars(range(min = 1))]
    pub idle_connection_s: u64,
    /// Seconds after which a connection accepts no more requests; it closes once those in flight are answered.
    #[schemars(range(min = 1))]
    pub max_connection_age_s: u64,
    /// Maximum number of concurrent requests on one HTTP/2 connection.
    #[schemars(range(min = 1))]
    pub max_streams: u32,
    /// Maximum number of requests in flight; further ones get 503 `overloaded`. Should be a few times
    /// `database.max_connections`; a higher value only makes requests wait longer.
    pub max_in_flight: usize,
    /// Whether a reverse proxy is in front of the server. The client's address is then the last entry of its
    /// `X-Forwarded-For`, and the port is opened once the server is ready, so that the proxy skips a server that is
    /// still starting.
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

/// PostgreSQL: one URL per database role.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// URL for the role `platform_app`.
    #[schemars(schema_with = "secret", extend("x-default" = "none, required"))]
    pub url: Option<SecretString>,
    /// URL for the role `platform_worker`.
    #[schemars(schema_with = "secret", extend("x-default" = "none, required"))]
    pub worker_url: Option<SecretString>,
    /// URL for the role `platform_auditor`.
    #[schemars(schema_with = "secret", extend("x-default" = "none, required"))]
    pub audit_url: Option<SecretString>,
    /// URL for the role `platform_plant`, past any connection pooler: its process listens for notifications. Without
    /// it, no plant system is read.
    #[schemars(schema_with = "secret")]
    pub plant_url: Option<SecretString>,
    /// URL for the role `platform_app` past a connection pooler. Set it and `worker_direct_url` if the other URLs lead
    /// to PgBouncer (1.21 or newer) in transaction mode: notifications and advisory locks need a session that lasts.
    #[schemars(schema_with = "secret")]
    pub direct_url: Option<SecretString>,
    /// URL for the role `platform_worker` past a connection pooler.
    #[schemars(schema_with = "secret")]
    pub worker_direct_url: Option<SecretString>,
    /// URL for the role `platform_app` at a standby of the database. Searches read there while it keeps up.
    #[schemars(schema_with = "secret")]
    pub replica_url: Option<SecretString>,
    /// URL for the role `platform_auditor` at a standby of the database. The audit log is read there while it keeps up.
    #[schemars(schema_with = "secret")]
    pub audit_replica_url: Option<SecretString>,
    /// Milliseconds that a read waits until the standby has what the primary has. After that, the primary serves it.
    #[schemars(range(min = 1, max = 10_000))]
    pub replica_wait_ms: u64,
    /// URL for a superuser, or for the owner of the database with CREATEROLE. Only `migrate`, `backup`, `restore` and
    /// `audit retire` read it.
    #[schemars(schema_with = "secret")]
    pub migration_url: Option<SecretString>,
    /// Maximum number of connections as `platform_app`. The other roles have 4 each, and `platform_worker` has one more
    /// for each document that a worker ingests at the same time.
    pub max_connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            worker_url: None,
            audit_url: None,
            plant_url: None,
            direct_url: None,
            worker_direct_url: None,
            replica_url: None,
            audit_replica_url: None,
            replica_wait_ms: 200,
            migration_url: None,
            max_connections: 16,
        }
    }
}

impl Database {
    /// Whether the URLs of the roles lead to a connection pooler.
    #[must_use]
    pub fn is_behind_pooler(&self) -> bool {
        self.direct_url.is_some()
    }

    /// Checks that the URLs past a pooler are complete.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(
            self.direct_url.is_some() == self.worker_direct_url.is_some(),
            "set both DATABASE_DIRECT_URL and DATABASE_WORKER_DIRECT_URL, or neither: with a pooler, both roles need \
             connections past it"
        );
        Ok(())
    }
}

/// Limits of chat turns.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Chat {
    /// Maximum number of tokens of prompt and answer together.
    pub context_tokens: usize,
    /// Maximum number of tokens of an answer.
    pub max_output_tokens: u32,
    /// Seconds that a run continues while no client reads its events.
    pub grace_s: u64,
    /// Seconds that a turn may take.
    pub turn_limit_s: u64,
    /// Maximum number of concurrent runs.
    pub concurrent_runs: usize,
    /// Maximum number of concurrent runs of one tenant.
    #[schemars(extend("x-default" = "half of `concurrent_runs`"))]
    pub concurrent_runs_per_tenant: Option<usize>,
}

impl Default for Chat {
    fn default() -> Self {
        let chat = ChatSettings::default();
        Self {
            context_tokens: chat.context_tokens,
            max_output_tokens: chat.max_output_tokens,
            grace_s: chat.grace.as_secs(),
            turn_limit_s: chat.turn_timeout.as_secs(),
            concurrent_runs: chat.concurrent_runs,
            concurrent_runs_per_tenant: None,
        }
    }
}

impl From<&Chat> for ChatSettings {
    fn from(chat: &Chat) -> Self {
        let per_tenant = chat.concurrent_runs_per_tenant.unwrap_or(chat.concurrent_runs / 2);
        Self {
            context_tokens: chat.context_tokens,
            max_output_tokens: chat.max_output_tokens,
            grace: Duration::from_secs(chat.grace_s),
            turn_timeout: Duration::from_secs(chat.turn_limit_s),
            concurrent_runs: chat.concurrent_runs,
            concurrent_runs_per_tenant: per_tenant.max(1),
            ..Self::default()
        }
    }
}

/// Rate limits of users' requests.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimit {
    /// Whether users' requests are limited. `false` is allowed in development mode only.
    pub enabled: bool,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// How documents are split into passages. A change applies to documents that are ingested afterwards.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ingest {
    /// Maximum number of tokens of a passage; never more than the embedding model reads.
    #[schemars(range(min = 32, max = 2_000), extend("x-default" = "what the embedding model reads, up to 450"))]
    pub chunk_tokens: Option<usize>,
    /// Maximum number of tokens that a passage repeats from the previous one, in whole sentences.
    #[schemars(extend("x-default" = "a tenth of a passage"))]
    pub chunk_overlap_tokens: Option<usize>,
    /// Whether the text of scanned pages is recognized with `tesseract`, which must be installed: up to 100 pages per
    /// document, 60 s each. Otherwise such pages are listed in the document's `warnings`, and a document that consists
    /// of scanned pages only fails with `no_text`.
    pub ocr: bool,
    /// Path of the OCR program, or its name if it is in one of the usual system directories.
    #[schemars(extend("x-default" = "`tesseract`"))]
    pub ocr_program: Option<PathBuf>,
    /// Languages of the scanned pages: the names of tesseract's training data, joined by `+` as in `eng+deu`.
    #[schemars(extend("x-default" = "`eng`"))]
    pub ocr_languages: Option<String>,
}

impl Ingest {
    /// The size limits of passages.
    #[must_use]
    pub fn chunking(&self) -> ChunkSizeOverrides {
        ChunkSizeOverrides { max_tokens: self.chunk_tokens, overlap_tokens: self.chunk_overlap_tokens }
    }

    /// The OCR settings; the OCR program runs in a process that `launcher` sandboxes.
    #[must_use]
    pub fn ocr_settings(&self, launcher: Launcher) -> OcrSettings {
        let default = OcrSettings::new(launcher);
        OcrSettings {
            program: self.ocr_program.clone().unwrap_or(default.program),
            languages: self.ocr_languages.clone().unwrap_or(default.languages),
            ..default
        }
    }
}

/// The audit log.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    /// Seed of the Ed25519 key that signs checkpoints: 64 hexadecimal digits.
    #[schemars(schema_with = "secret", extend("x-default" = "derived from `secret_key`"))]
    pub signing_key: Option<SecretString>,
    /// Public keys of earlier signing keys, whose signatures remain valid.
    pub trusted_keys: Vec<String>,
    /// Checkpoint file outside the database. Ship it to another machine.
    #[schemars(extend("x-default" = "`audit/checkpoints.ndjson` beside `storage.dir`"))]
    pub checkpoint_file: Option<PathBuf>,
    // The maximum is well below ten minutes: verification reports a chain without a checkpoint for that long.
    /// Interval of checkpoints, in seconds.
    #[schemars(range(min = 1, max = 60))]
    pub checkpoint_s: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self { signing_key: None, trusted_keys: Vec::new(), checkpoint_file: None, checkpoint_s: 10 }
    }
}

/// How backups are made.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backup {
    /// Secret that encrypts backups: at least 16 bytes. Without it, backups are not encrypted.
    #[schemars(schema_with = "secret")]
    pub key: Option<SecretString>,
    /// Directory of `pg_dump` and `pg_restore`, which must be at least as new as the server.
    #[schemars(extend("x-default" = "the newest version on `PATH` or in Debian's packages"))]
    pub pg_bin: Option<PathBuf>,
}

/// The ingestion worker.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// Number of documents that are ingested at the same time, each parsed in a separate process of at most 512 MiB.
    /// From 2 on, one of the workers is reserved for documents of at most 2 MiB.
    pub concurrency: usize,
    /// Seconds without a heartbeat after which a claimed job may be claimed again.
    pub lease_s: u64,
    /// Seconds for which a maintenance system is searched for what a failed write may have created; then the outcome
    /// counts as unknown.
    #[schemars(range(min = 1))]
    pub write_settle_s: u64,
}

impl Default for Worker {
    fn default() -> Self {
        Self { concurrency: 2, lease_s: 60, write_settle_s: 30 }
    }
}

/// The process that is connected to the plant systems.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plant {
    /// Secret from which the key is derived that encrypts the secrets of connectors: at least 16 bytes, the same for
    /// the API and for the plant process, which has no `secret_key`.
    #[schemars(schema_with = "secret", extend("x-default" = "`secret_key`"))]
    pub secret_key: Option<SecretString>,
    /// Maximum number of calls per second to one endpoint, whoever asks.
    #[schemars(range(min = 0.01, max = 1_000))]
    pub calls_per_second: f64,
    /// Maximum number of tags in one call.
    #[schemars(range(min = 1, max = 50))]
    pub tags_per_call: usize,
    /// Milliseconds during which a value is not read again.
    #[schemars(range(min = 100, max = 60_000))]
    pub max_age_ms: u64,
    /// Seconds that one call may take.
    #[schemars(range(min = 1, max = 30))]
    pub call_timeout_s: u64,
    /// Seconds after which a reader gets an answer, whatever it is.
    #[schemars(range(min = 2, max = 60))]
    pub answer_timeout_s: u64,
    /// Directory of the certificate and the private key with which OPC UA servers know the platform. It must survive
    /// restarts, because the servers are told to trust that certificate.
    #[schemars(extend("x-default" = "`plant-identity` beside `storage.dir`"))]
    pub identity_dir: Option<PathBuf>,
}

impl Default for Plant {
    fn default() -> Self {
        let process = PlantProcessSettings::default();
        Self {
            secret_key: None,
            calls_per_second: process.calls_per_s,
            tags_per_call: process.tags_per_call,
            max_age_ms: u64::try_from(process.max_age.as_millis()).unwrap_or(u64::MAX),
            call_timeout_s: process.call_timeout.as_secs(),
            answer_timeout_s: 15,
            identity_dir: None,
        }
    }
}

impl Plant {
    /// The limits of the process; `development` allows connectors without encryption.
    #[must_use]
    pub fn process_settings(&self, development: bool) -> PlantProcessSettings {
        PlantProcessSettings {
            calls_per_s: self.calls_per_second,
            tags_per_call: self.tags_per_call,
            max_age: Duration::from_millis(self.max_age_ms),
            call_timeout: Duration::from_secs(self.call_timeout_s),
            development,
            ..PlantProcessSettings::default()
        }
    }
}

/// Logs and traces.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A level, or a filter such as `info,sqlx=warn`.
    #[schemars(extend("x-default" = "`info`"))]
    pub log_level: Option<String>,
    /// URL of the collector that receives traces (OTLP over HTTP).
    pub otlp_endpoint: Option<String>,
    /// Whether prompts and answers are recorded in traces. Anyone who can read the traces can then read content of
    /// documents; enable it only to diagnose a problem.
    pub record_content: bool,
}
