//! The `audit` commands, and the maintenance of the audit log while the server runs.

pub mod checkpoint_file;
mod export;
pub mod maintenance;
mod offline;
mod purge;
mod report;
mod verify;

use crate::config::Settings;
use crate::databases::Databases;
use crate::system::SystemClock;
use anyhow::{Context as _, Result};
use checkpoint_file::CheckpointFile;
use clap::{Subcommand, ValueEnum};
use data::audit::{SigningKey, TrustedKeys};
use maintenance::{AuditMaintenanceParts, AuditMaintenanceTask, AuditMetrics};
use policy::keyed_hash::HashKey;
use prometheus::Registry;
use secrecy::ExposeSecret as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Subcommands of `platform-server audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every row, the hash chain and its signatures; exit with 1 if one of them is wrong.
    Verify {
        /// Check this export instead of the database; needs only `--public-key` or `SECRET_KEY`.
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        /// File of checkpoints to use instead of the configured one.
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
        /// A public key (64 hexadecimal digits) to trust besides the configured ones.
        #[arg(long, value_name = "HEX")]
        public_key: Vec<String>,
    },
    /// Write the log to standard output, one JSON object per line, in the order of the hash chain.
    Export {
        /// Id or slug of the tenant to export; by default all tenants and the platform's own stream.
        #[arg(long)]
        tenant: Option<String>,
        /// Format of the output.
        #[arg(long, value_enum, default_value_t = Format::Ndjson)]
        format: Format,
        /// Export rows after this position in the tenant's chain: where the last export ended.
        #[arg(long, value_name = "SEQ", default_value_t = 0, requires = "tenant")]
        after: i64,
    },
    /// Delete the rows before a month, and sign a record of what was deleted. Needs DATABASE_MIGRATION_URL.
    Retire {
        /// The first month to keep, as YYYY-MM.
        #[arg(long, value_name = "MONTH")]
        before: String,
    },
    /// Print the public key that checkpoints are signed with.
    PublicKey,
}

/// Format of an export.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Rows with their position, hashes and checkpoints, which `audit verify --export` checks.
    Ndjson,
    /// Events of the Open Cybersecurity Schema Framework (OCSF), for a SIEM.
    Ocsf,
}

/// Creates the background task that maintains the audit log.
///
/// # Errors
/// If the signing key is not valid, or the metrics cannot be registered.
pub fn maintenance_task(
    settings: &Settings,
    databases: &Databases,
    metrics: &Registry,
) -> Result<AuditMaintenanceTask> {
    let parts = AuditMaintenanceParts {
        database: databases.app.clone(),
        instance_id: databases.instance_id,
        key: signing_key(settings)?,
        checkpoint_file: checkpoint_file(settings),
        clock: Arc::new(SystemClock),
        checkpoint_interval: Duration::from_secs(settings.audit.checkpoint_s),
    };
    Ok(AuditMaintenanceTask::new(parts, AuditMetrics::register(metrics)?))
}

/// Runs an audit command.
///
/// # Errors
/// If the command fails, or `verify` finds that the log was changed.
pub async fn run(command: AuditCommand, settings: &Settings) -> Result<()> {
    match command {
        AuditCommand::Verify { export: Some(file), checkpoints, public_key } => {
            let content = checkpoints.map(|path| CheckpointFile::new(path).read()).transpose()?.flatten();
            let checkpoints = content.unwrap_or_default().checkpoints;
            offline::verify(&file, &checkpoints, &trusted_keys(settings, &public_key)?)
        }
        AuditCommand::Verify { export: None, checkpoints, public_key } => {
            let file = checkpoints.map_or_else(|| checkpoint_file(settings), CheckpointFile::new);
            verify::run(settings, &file, trusted_keys(settings, &public_key)?).await
        }
        AuditCommand::Export { tenant, format, after } => export::run(settings, tenant.as_deref(), format, after).await,
        AuditCommand::Retire { before } => purge::run(settings, &before).await,
        AuditCommand::PublicKey => crate::print(&signing_key(settings)?.public_key()).context("cannot print"),
    }
}

/// The key that checkpoints are signed with: the configured seed, or one derived from `SECRET_KEY`.
///
/// # Errors
/// If neither is configured, or the seed is not 64 hexadecimal digits.
pub fn signing_key(settings: &Settings) -> Result<SigningKey> {
    let seed = match &settings.audit.signing_key {
        Some(seed) => seed.expose_secret().trim().to_owned(),
        None => HashKey::derive(settings.secret_key_bytes()?, "audit-signing").hash(b"ed25519 seed"),
    };
    let bytes = domain::audit::chain::decode_hex(&seed).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.context("audit.signing_key must be 64 hexadecimal digits")?;
    Ok(SigningKey::from_seed(&bytes)?)
}

/// The keys whose signatures are accepted: this server's, those in `audit.trusted_keys`, and those of the command line.
fn trusted_keys(settings: &Settings, extra_keys: &[String]) -> Result<TrustedKeys> {
    let own_key = match signing_key(settings) {
        Ok(key) => Some(key.public_key()),
        // Verifying on another machine is possible with public keys alone, without the signing key.
        Err(_) if !extra_keys.is_empty() => None,
        Err(error) => return Err(error),
    };
    let all = own_key.iter().chain(&settings.audit.trusted_keys).chain(extra_keys);
    TrustedKeys::new(all.map(String::as_str)).context("a public key cannot be used")
}

/// The checkpoint file outside the database; by default `audit/checkpoints.ndjson` beside `storage.dir`.
#[must_use]
pub fn checkpoint_file(settings: &Settings) -> CheckpointFile {
    let default_path = || settings.storage.dir.with_file_name("audit").join("checkpoints.ndjson");
    CheckpointFile::new(settings.audit.checkpoint_file.clone().unwrap_or_else(default_path))
}
