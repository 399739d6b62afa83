//! Creates a cluster in a temporary directory and renames it, so that an incomplete cluster never exists.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::PostgresPrograms;
use crate::{files, proc};

/// Creates a cluster in `pgdata` with the superuser `postgres` and this password, unless one exists.
///
/// # Errors
/// If the directory cannot be written, or `initdb` fails.
pub fn init_cluster(programs: &PostgresPrograms, pgdata: &Path, password: &str) -> Result<()> {
    if pgdata.join("PG_VERSION").is_file() {
        return Ok(());
    }
    let parent = pgdata.parent().context("the cluster has no parent directory")?;
    let staging =
        tempfile::Builder::new().prefix(".pg-").tempdir_in(parent).context("cannot write to the data directory")?;
    let new_pgdata = staging.path().join("data");
    let password_file = staging.path().join("password");
    files::create_dir(&new_pgdata, 0o700)?;
    files::write_private(&password_file, password)?;
    if let Some(user) = programs.run_as() {
        for path in [staging.path(), &new_pgdata, &password_file] {
            user.make_owner_of(path)?;
        }
    }
    let run_initdb = |locale: &str| {
        let mut initdb = programs.command("initdb");
        initdb.arg("-D").arg(&new_pgdata).arg("--pwfile").arg(&password_file);
        initdb.args([
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "-T",
            "english",
            "--auth=scram-sha-256",
            "-N",
            "--locale",
            locale,
        ]);
        proc::checked_output(&mut initdb, "creating the database cluster")
    };
    // C.UTF-8 handles case beyond ASCII; machines without it fall back to C.
    run_initdb("C.UTF-8").or_else(|_| run_initdb("C"))?;
    if pgdata.is_dir() {
        fs::remove_dir(pgdata)
            .with_context(|| format!("{} is neither empty nor a database cluster", pgdata.display()))?;
    }
    fs::rename(&new_pgdata, pgdata).with_context(|| format!("cannot move the new cluster to {}", pgdata.display()))
}
