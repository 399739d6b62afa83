//! The TLS certificate of the stack's nginx, which `deploy/certificate` creates.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::data_dir::DataDir;
use crate::proc::{self, Interrupt};
use crate::project;

/// Files of the certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Certificate of the authority, which clients trust.
    pub ca_file: PathBuf,
    /// Certificate of the server.
    pub certificate: PathBuf,
    /// Private key of the server.
    pub key: PathBuf,
}

impl Certificate {
    /// The files that `deploy/certificate` creates in a directory.
    pub fn in_dir(dir: &Path) -> Self {
        Self { ca_file: dir.join("ca_certificate"), certificate: dir.join("tls_certificate"), key: dir.join("tls_key") }
    }
}

/// Creates the certificate if the data directory has none.
///
/// # Errors
/// If openssl fails.
pub fn provision(data: &DataDir, interrupt: &Interrupt) -> Result<Certificate> {
    let dir = data.join("tls");
    let certificate = Certificate::in_dir(&dir);
    if !certificate.certificate.is_file() {
        let mut script = Command::new(project::root()?.join("deploy").join("certificate"));
        script.arg(&dir).args(["localhost", "127.0.0.1"]).args(host_name()).stdout(std::io::stderr());
        proc::run_checked(&mut script, interrupt, "creating the certificate")?;
    }
    Ok(certificate)
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/etc/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty() && name != "localhost")
}
