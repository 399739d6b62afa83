//! The audit log's commands, and what keeps it while the server runs.

mod export;
pub mod keeper;
mod offline;
pub mod outside;
mod report;
mod retire;
mod verify;

use crate::config::Settings;
use anyhow::{Context as _, Result};
use clap::{Subcommand, ValueEnum};
use data::audit::{SigningKey, TrustedKeys};
use outside::CheckpointFile;
use policy::keyed_hash::HashKey;
use secrecy::ExposeSecret as _;
use std::path::PathBuf;

/// What to do with the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check every row, the hash chain and its signatures; exit 1 where something does not hold.
    Verify {
        /// Check this export instead of the database; needs no configuration but `--public-key` or `SECRET_KEY`.
        #[arg(long, value_name = "FILE")]
        export: Option<PathBuf>,
        /// Checkpoints that were kept elsewhere, instead of the configured file.
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
        /// A public key (64 hexadecimal digits) whose signatures count, beside the configured ones.
        #[arg(long, value_name = "HEX")]
        public_key: Vec<String>,
    },
    /// Write the log to standard output, one JSON object a line, in the order of the hash chain.
    Export {
        /// Only this tenant, by id or slug; all of them, the platform's own stream included, unless given.
        #[arg(long)]
        tenant: Option<String>,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = Format::Ndjson)]
        format: Format,
        /// Only after this place of the tenant's chain: where the last export ended.
        #[arg(long, value_name = "SEQ", default_value_t = 0, requires = "tenant")]
        after: i64,
    },
    /// Take rows before a month out of the log for good, and sign what was taken out. Needs DATABASE_MIGRATION_URL.
    Retire {
        /// The first month that stays, as YYYY-MM.
        #[arg(long, value_name = "MONTH")]
        before: String,
    },
    /// Print the public key that checkpoints are signed with.
    PublicKey,
}

/// How an export is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Rows with their place, hashes and checkpoints: `audit verify --export` checks it.
    Ndjson,
    /// Events of the Open Cybersecurity Schema Framework, for a SIEM.
    Ocsf,
}

/// Runs a command.
///
/// # Errors
/// One sentence, with its causes; for `verify`, that the log does not hold.
pub async fn run(command: AuditCommand, settings: &Settings) -> Result<()> {
    match command {
        AuditCommand::Verify { export: Some(file), checkpoints, public_key } => {
            let outside = checkpoints.map(|path| CheckpointFile::new(path).read()).transpose()?.flatten();
            let outside = outside.unwrap_or_default().checkpoints;
            offline::verify(&file, &outside, &trusted(settings, &public_key)?)
        }
        AuditCommand::Verify { export: None, checkpoints, public_key } => {
            let outside = checkpoints.map_or_else(|| checkpoint_file(settings), CheckpointFile::new);
            verify::run(settings, &outside, trusted(settings, &public_key)?).await
        }
        AuditCommand::Export { tenant, format, after } => export::run(settings, tenant.as_deref(), format, after).await,
        AuditCommand::Retire { before } => retire::run(settings, &before).await,
        AuditCommand::PublicKey => crate::print(&signing_key(settings)?.public_key()).context("cannot print"),
    }
}

/// The key that checkpoints are signed with: the configured seed, or one derived from `SECRET_KEY`.
///
/// # Errors
/// Where neither is there, or the seed is none.
pub fn signing_key(settings: &Settings) -> Result<SigningKey> {
    let seed = match &settings.audit.signing_key {
        Some(seed) => seed.expose_secret().trim().to_owned(),
        None => HashKey::derive(crate::compose::secret(settings)?, "audit-signing").hash(b"ed25519 seed"),
    };
    let bytes = domain::audit::sealed::decode_hex(&seed).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.context("audit.signing_key must be 64 hexadecimal digits")?;
    Ok(SigningKey::from_seed(&bytes)?)
}

/// The keys whose signatures count: one's own, those configured, those given.
fn trusted(settings: &Settings, given: &[String]) -> Result<TrustedKeys> {
    let own = match signing_key(settings) {
        Ok(key) => Some(key.public_key()),
        // An auditor elsewhere has no secret, only public keys.
        Err(_) if !given.is_empty() => None,
        Err(error) => return Err(error),
    };
    let all = own.iter().chain(&settings.audit.trusted_keys).chain(given);
    TrustedKeys::new(all.map(String::as_str)).context("a public key cannot be used")
}

/// Where checkpoints are kept outside the database.
#[must_use]
pub fn checkpoint_file(settings: &Settings) -> CheckpointFile {
    let beside_documents = || settings.storage.dir.with_file_name("audit").join("checkpoints.ndjson");
    CheckpointFile::new(settings.audit.checkpoint_file.clone().unwrap_or_else(beside_documents))
}
