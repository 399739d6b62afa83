//! The `dev` commands: seed the demo plant, print tokens of the development issuer, ask a question, wait for
//! ingestion, generate files.

mod ask;
pub mod generate;
pub mod issuer;
mod seed;
pub(crate) mod sign_in;
mod wait;

use crate::compose::Platform;
use crate::config::{Mode, Settings, required};
use crate::databases::Databases;
use crate::models::Models;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use domain::ids::{RequestId, TenantId};
use domain::ports::{Clock as _, IdGen as _, NewTenant};
use domain::role::{Grant, Role};
use domain::user::UserPatch;
use issuer::{DevelopmentIssuer, TokenSubject};
use policy::caller::Caller;
use std::path::PathBuf;
use std::time::Duration;

use crate::system::{SystemClock, TimeOrderedIds};

/// Subcommands of `platform-server dev`.
#[derive(Debug, Subcommand)]
pub enum DevCommand {
    /// Create a tenant with sample users and documents.
    Seed {
        /// Directory with `plant.json` and `documents/`.
        #[arg(long)]
        plant: PathBuf,
        /// Slug of the tenant; by default that of the plant.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Print a token of the development issuer.
    Token {
        /// Slug of the tenant, which is created if it does not exist.
        #[arg(long)]
        tenant: String,
        /// Name of the user, which is created if it does not exist.
        #[arg(long)]
        user: String,
        /// Role in the token.
        #[arg(long, value_parser = parse_role)]
        role: Role,
        /// Lifetime of the token: a number with `s`, `m`, `h` or `d`.
        #[arg(long, default_value = "1h", value_parser = parse_duration)]
        ttl: Duration,
        /// How long ago the user signed in: a number with `s`, `m`, `h` or `d`. Just now by default.
        #[arg(long, value_parser = parse_duration)]
        auth_age: Option<Duration>,
        /// Privilege to give to the user in addition to the role: `approver` or `auditor`.
        #[arg(long, value_parser = parse_grant)]
        grant: Option<Grant>,
    },
    /// Wait until a tenant's documents are ingested; prints `ingested 7/12`.
    Wait {
        /// Slug of the tenant.
        #[arg(long, default_value = DEMO_TENANT)]
        tenant: String,
    },
    /// Ask one question over HTTP and print the streamed answer with its citations.
    Ask {
        /// Text of the question.
        #[arg(long)]
        question: String,
        /// Slug of the tenant.
        #[arg(long, default_value = DEMO_TENANT)]
        tenant: String,
        /// Name of the user.
        #[arg(long, default_value = DEMO_USER)]
        user: String,
    },
    /// Write the generated files under `docs/generated`, and the tables in the documentation, or check that they are up
    /// to date.
    Generate {
        /// Compare the files without writing them.
        #[arg(long)]
        check: bool,
    },
}

/// Slug of the demo tenant.
pub const DEMO_TENANT: &str = "demo-plant";
/// A user of the demo tenant with the role `user`.
pub const DEMO_USER: &str = "tunde";
/// The admin of the demo tenant.
pub const DEMO_ADMIN: &str = "ana";

fn parse_role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|error: domain::role::UnknownValue| error.to_string())
}

fn parse_grant(text: &str) -> Result<Grant, String> {
    match text.parse() {
        Ok(grant @ (Grant::Approver | Grant::Auditor)) => Ok(grant),
        _ => Err(format!("{text:?} must be one of approver|auditor")),
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("{text:?} is not a duration; write 90s, 30m, 4h or 7d");
    let unit_at = text.char_indices().last().map_or(0, |(at, _)| at);
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| error())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    let total = number.checked_mul(seconds).filter(|total| (1..=366 * 86_400).contains(total)).ok_or_else(error)?;
    Ok(Duration::from_secs(total))
}

/// Runs a development command.
///
/// # Errors
/// If the settings are not in development mode, or the command fails.
pub async fn run(command: DevCommand, settings: Settings) -> Result<()> {
    if settings.mode != Mode::Development {
        bail!("the development commands work in development mode only (PLATFORM__MODE=development)");
    }
    match command {
        DevCommand::Seed { plant, tenant } => {
            seed::run(&DevelopmentPlatform::open(settings).await?, &plant, tenant).await
        }
        DevCommand::Token { tenant, user, role, ttl, auth_age, grant } => {
            let development = DevelopmentPlatform::open(settings).await?;
            let subject = TokenSubject::new(&user, role).signed_in_ago(auth_age.unwrap_or_default());
            let token = development.token(&tenant, &subject, ttl).await?;
            if let Some(grant) = grant {
                development.give_grant(&token, grant).await?;
            }
            crate::print(&token).context("the token cannot be printed")
        }
        DevCommand::Wait { tenant } => wait::run(&DevelopmentPlatform::open(settings).await?, &tenant).await,
        DevCommand::Ask { question, tenant, user } => {
            ask::run(&DevelopmentPlatform::open(settings).await?, &tenant, &user, &question).await
        }
        DevCommand::Generate { check } => generate::run(check),
    }
}

/// The platform in this process, without an HTTP server, and the development issuer. Every request still goes through
/// the policy gate.
pub struct DevelopmentPlatform {
    settings: Settings,
    platform: Platform,
    issuer: DevelopmentIssuer,
}

impl DevelopmentPlatform {
    /// Opens the platform without models: every model call fails.
    ///
    /// # Errors
    /// If the database cannot be reached, or the issuer's key can neither be read nor created.
    pub async fn open(settings: Settings) -> Result<Self> {
        Self::with_models(settings, Models::unconfigured()).await
    }

    /// Like [`Self::open`], but with the given models.
    ///
    /// # Errors
    /// See [`Self::open`].
    pub async fn with_models(settings: Settings, models: Models) -> Result<Self> {
        let dir = required(settings.auth.dev_issuer_dir.as_ref(), "PLATFORM__AUTH__DEV_ISSUER_DIR")?;
        let issuer = DevelopmentIssuer::load_or_create(dir)?;
        let platform = Platform::new(&settings, Databases::new(&settings)?, models).await?;
        Ok(Self { settings, platform, issuer })
    }

    /// Returns the platform without the development issuer.
    #[must_use]
    pub fn into_platform(self) -> Platform {
        self.platform
    }

    /// Issues a token for a user of a tenant; both are created if they do not exist.
    ///
    /// # Errors
    /// If the database fails or the slug is not valid.
    pub async fn token(&self, tenant: &str, token_subject: &TokenSubject, ttl: Duration) -> Result<String> {
        self.find_or_create_tenant(tenant, tenant).await?;
        let token = self.issuer.token(tenant, token_subject, SystemClock.now(), ttl)?;
        if self.sign_in(&token).await?.user().display_name.is_some() {
            return Ok(token);
        }
        // A user without a display name gets one from a second sign-in. Others keep their name and e-mail address.
        let token_subject = token_subject.clone().with_default_profile();
        let token = self.issuer.token(tenant, &token_subject, SystemClock.now(), ttl)?;
        self.sign_in(&token).await?;
        Ok(token)
    }

    /// Gives a grant to the user of a token, in addition to those that the user has. There may be no admin to do it, so
    /// this does not go through the policy gate.
    async fn give_grant(&self, token: &str, grant: Grant) -> Result<()> {
        let caller = self.sign_in(token).await?;
        let mut grants = caller.user().grants.clone();
        if grants.contains(&grant) {
            return Ok(());
        }
        grants.push(grant);
        let patch = UserPatch { grants: Some(grants), ..UserPatch::default() };
        let mut tx = self.platform.store().begin(caller.scope()).await?;
        tx.users().update(caller.user().id, patch, SystemClock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// The id of the tenant with this slug; the tenant is created with `name` if it does not exist.
    async fn find_or_create_tenant(&self, slug: &str, name: &str) -> Result<TenantId> {
        if let Some(tenant) = self.platform.directory.tenant(slug).await? {
            return Ok(tenant.id);
        }
        let is_valid =
            slug.len() <= 64 && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_valid || slug.is_empty() || slug.starts_with('-') {
            bail!("{slug:?} is not a valid slug: use 1 to 64 of a-z, 0-9 and -, without - at the start");
        }
        let id = TenantId::from_uuid(TimeOrderedIds.uuid());
        let tenant = NewTenant { id, name: name.to_owned(), slug: slug.to_owned() };
        match self.platform.directory.create_tenant(tenant).await {
            Ok(tenant) => Ok(tenant.id),
            // Another process created it at the same time.
            Err(domain::ports::StoreError::Conflict { .. }) => {
                let tenant = self.platform.directory.tenant(slug).await?;
                Ok(tenant.with_context(|| format!("the tenant {slug} cannot be created"))?.id)
            }
            Err(error) => Err(error).with_context(|| format!("the tenant {slug} cannot be created")),
        }
    }

    /// Signs in with a token as a request does, which provisions the user.
    ///
    /// # Errors
    /// If the token is refused.
    pub async fn sign_in(&self, token: &str) -> Result<Caller> {
        let request = RequestId::from_uuid(TimeOrderedIds.uuid());
        let caller = self.platform.gate.authenticate(Some(token.to_owned()), request.into()).await;
        caller.map_err(|error| anyhow::anyhow!("the development token was refused: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_number_and_a_unit() {
        assert_eq!(parse_duration("4h"), Ok(Duration::from_secs(14_400)));
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        for invalid in ["", "h", "4", "0h", "4w", "-1h", "99999999999d", "4ä"] {
            assert!(parse_duration(invalid).is_err(), "{invalid}");
        }
    }
}
