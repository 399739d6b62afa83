//! `cargo xtask token`: prints a token of the development issuer to standard output, and nothing else.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::platform::{Platform, PlatformArgs};
use crate::proc::{self, Interrupt};
use crate::server::Server;

/// The command that prints tokens of the platform in this data directory; `None` is the default one.
pub fn command_text(data_dir: Option<&Path>) -> String {
    match data_dir {
        Some(dir) => format!("cargo xtask token --data-dir '{}'", dir.display()),
        None => "cargo xtask token".to_owned(),
    }
}

/// Arguments of `token`.
#[derive(Parser)]
pub struct Args {
    /// Slug of the tenant, which is created if it does not exist.
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// Name of the user, which is created if it does not exist.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// Role in the token.
    #[arg(long)]
    role: Role,
    /// Lifetime of the token: a number with s, m, h or d.
    #[arg(long, default_value = "1h")]
    ttl: String,
    /// How long ago the user signed in: a number with s, m, h or d [default: now].
    #[arg(long, value_name = "TIME")]
    auth_age: Option<String>,
    /// Privilege to give to the user in addition to the role.
    #[arg(long)]
    grant: Option<Grant>,
    #[command(flatten)]
    platform: PlatformArgs,
}

/// The roles of a tenant.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Role {
    /// Administers the tenant.
    Admin,
    /// Uploads documents and asks questions.
    User,
    /// Reads and asks questions, but uploads nothing.
    Viewer,
}

impl Role {
    /// Name of the role on the command line and in `plant.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Viewer => "viewer",
        }
    }
}

/// Privileges in addition to the role.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Grant {
    /// Decides on approvals.
    Approver,
    /// Reads the tenant's audit log.
    Auditor,
}

impl Grant {
    /// Name of the grant on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Approver => "approver",
            Self::Auditor => "auditor",
        }
    }
}

/// The user for whom a token is issued, and the token's lifetime.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// Slug of the tenant.
    pub tenant: &'a str,
    /// The user's name.
    pub user: &'a str,
    /// Role that the token carries.
    pub role: Role,
    /// Lifetime of the token, such as `1h`.
    pub ttl: &'a str,
    /// How long ago the user signed in, such as `10m`; `None` for now.
    pub auth_age: Option<&'a str>,
    /// Privilege to give to the user.
    pub grant: Option<Grant>,
}

/// Prints a token.
///
/// # Errors
/// If the database cannot be reached, or the server rejects an argument.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::attach_or_start(&args.platform, "token", interrupt)?;
    let request = TokenRequest {
        tenant: &args.tenant,
        user: &args.user,
        role: args.role,
        ttl: &args.ttl,
        auth_age: args.auth_age.as_deref(),
        grant: args.grant,
    };
    println!("{}", issue(&platform.server, request, interrupt)?);
    Ok(ExitCode::SUCCESS)
}

/// Has the server issue a token.
///
/// # Errors
/// If the server rejects an argument, or fails.
pub fn issue(server: &Server, request: TokenRequest<'_>, interrupt: &Interrupt) -> Result<String> {
    let mut arguments = vec![
        "dev",
        "token",
        "--tenant",
        request.tenant,
        "--user",
        request.user,
        "--role",
        request.role.name(),
        "--ttl",
        request.ttl,
    ];
    if let Some(auth_age) = request.auth_age {
        arguments.extend(["--auth-age", auth_age]);
    }
    if let Some(grant) = request.grant {
        arguments.extend(["--grant", grant.name()]);
    }
    let output = proc::capture(&mut server.command(&arguments), interrupt, "issuing the token")?;
    Ok(output.trim().to_owned())
}
