//! `cargo xtask token`: a token of the development issuer on standard output, and nothing else there.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use crate::platform::{Platform, Which};
use crate::proc::{self, Interrupt};
use crate::server::Server;

/// Arguments of `token`.
#[derive(Parser)]
pub struct Args {
    /// The tenant's short name; created where it is not there.
    #[arg(long, value_name = "SLUG")]
    tenant: String,
    /// The user's name; created where it is not there.
    #[arg(long, value_name = "NAME")]
    user: String,
    /// The role that the token gives.
    #[arg(long)]
    role: Role,
    /// How long it is valid: a number and s, m, h or d.
    #[arg(long, default_value = "1h")]
    ttl: String,
    #[command(flatten)]
    which: Which,
}

/// The roles of a tenant.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Role {
    /// Administers the tenant.
    Admin,
    /// Works with it.
    User,
    /// Reads and asks, but uploads nothing.
    Viewer,
}

impl Role {
    /// Its name on the command line and in plant files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
            Self::Viewer => "viewer",
        }
    }
}

/// Who a token is for, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Bearer<'a> {
    /// The tenant's short name.
    pub tenant: &'a str,
    /// The user's name.
    pub user: &'a str,
    /// The role that the token gives.
    pub role: Role,
    /// How long it is valid, as in `1h`.
    pub ttl: &'a str,
}

/// Prints a token.
///
/// # Errors
/// If the database cannot be reached, or the server refuses the tenant, the user or the time.
pub fn run(args: Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let platform = Platform::borrow(&args.which, "token", interrupt)?;
    let bearer = Bearer { tenant: &args.tenant, user: &args.user, role: args.role, ttl: &args.ttl };
    println!("{}", issue(&platform.server, bearer, interrupt)?);
    Ok(ExitCode::SUCCESS)
}

/// Has the server issue a token.
///
/// # Errors
/// If the server refuses.
pub fn issue(server: &Server, bearer: Bearer<'_>, interrupt: &Interrupt) -> Result<String> {
    let arguments = [
        "dev",
        "token",
        "--tenant",
        bearer.tenant,
        "--user",
        bearer.user,
        "--role",
        bearer.role.name(),
        "--ttl",
        bearer.ttl,
    ];
    let output = proc::capture(&mut server.command(&arguments), interrupt, "issuing the token")?;
    Ok(output.trim().to_owned())
}
