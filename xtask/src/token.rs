//! `cargo xtask token`: prints a token of the development issuer to standard output, and nothing else.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::platform::{Platform, PlatformSelector};
use crate::proc::{self, Interrupt};
use crate::server::Server;

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
    #[command(flatten)]
    selector: PlatformSelector,
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
}

/// Prints a token.
///
/// # Errors
/// If the database cannot be reached, or the server rejects an argument.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::attach(&args.selector, "token", interrupt)?;
    let request = TokenRequest { tenant: &args.tenant, user: &args.user, role: args.role, ttl: &args.ttl };
    println!("{}", issue(&platform.server, request, interrupt)?);
    Ok(ExitCode::SUCCESS)
}

/// Has the server issue a token.
///
/// # Errors
/// If the server rejects an argument, or fails.
pub fn issue(server: &Server, request: TokenRequest<'_>, interrupt: &Interrupt) -> Result<String> {
    let arguments = [
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
    let output = proc::capture(&mut server.command(&arguments), interrupt, "issuing the token")?;
    Ok(output.trim().to_owned())
}
