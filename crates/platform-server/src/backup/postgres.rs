//! Runs `pg_dump` and `pg_restore`, which must be at least as new as the database server.

use crate::config::{Settings, required};
use anyhow::{Context as _, Result, bail};
use secrecy::{ExposeSecret as _, SecretString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;
use url::Url;

/// Oldest version that can dump the database.
const MIN_VERSION: u32 = 16;
/// Directory in which Debian's packages install each version's programs.
const DEBIAN_DIR: &str = "/usr/lib/postgresql";

/// `pg_dump` and `pg_restore`, with the database that they connect to.
pub(super) struct PostgresTools {
    bin: PathBuf,
    url: SecretString,
}

impl PostgresTools {
    /// Finds the programs in `backup.pg_bin`, or else the newest version on `PATH` or in Debian's directories.
    pub(super) fn find(settings: &Settings) -> Result<Self> {
        let url = required(settings.database.migration_url.as_ref(), "DATABASE_MIGRATION_URL")?.clone();
        if let Some(bin) = &settings.backup.pg_bin {
            return Ok(Self { bin: bin.clone(), url });
        }
        let debian = std::fs::read_dir(DEBIAN_DIR).into_iter().flatten().flatten();
        let debian = debian.map(|version| version.path().join("bin").join("pg_dump"));
        let programs = std::iter::once(PathBuf::from("pg_dump")).chain(debian);
        let newest = programs.filter_map(|program| Some((version(&program)?, program))).max();
        match newest {
            Some((found, program)) if found >= MIN_VERSION => {
                Ok(Self { bin: program.parent().map(Path::to_path_buf).unwrap_or_default(), url })
            }
            _ => bail!(
                "pg_dump and pg_restore of PostgreSQL {MIN_VERSION} or newer are needed: install postgresql-client, \
                 or set backup.pg_bin to their directory"
            ),
        }
    }

    /// Dumps the database in a single snapshot.
    pub(super) async fn dump(&self, path: &Path) -> Result<()> {
        let mut command = self.command("pg_dump")?;
        command.args(["--format=custom", "--compress=1", "--file"]).arg(path);
        run(command, "pg_dump").await
    }

    /// Restores a dump in a single transaction.
    pub(super) async fn restore(&self, path: &Path) -> Result<()> {
        let mut command = self.command("pg_restore")?;
        command.args(["--exit-on-error", "--single-transaction", "--dbname"]).arg(self.database()?).arg(path);
        run(command, "pg_restore").await
    }

    fn database(&self) -> Result<String> {
        Ok(self.parsed_url()?.path().trim_start_matches('/').to_owned())
    }

    fn parsed_url(&self) -> Result<Url> {
        Url::parse(self.url.expose_secret()).ok().context("DATABASE_MIGRATION_URL is not valid")
    }

    /// A command with the connection in its environment, since other users can read a process's arguments.
    fn command(&self, name: &str) -> Result<Command> {
        let url = self.parsed_url()?;
        let mut command = Command::new(self.bin.join(name));
        let decode = |text: &str| crate::migrate::percent_decode(text).unwrap_or_default();
        command.env("PGHOST", url.host_str().unwrap_or("127.0.0.1")).env("PGDATABASE", self.database()?);
        command.env("PGPORT", url.port().unwrap_or(5432).to_string()).env("PGUSER", decode(url.username()));
        command.env("PGPASSWORD", decode(url.password().unwrap_or_default()));
        for (name, value) in url.query_pairs().filter(|(name, _)| name == "sslmode" || name == "sslrootcert") {
            command.env(format!("PG{}", name.to_uppercase()), value.as_ref());
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }
}

async fn run(mut command: Command, name: &str) -> Result<()> {
    let output = command.output().await.with_context(|| format!("{name} cannot be started"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// The major version of a `pg_dump`; `None` if the program cannot be run.
fn version(program: &Path) -> Option<u32> {
    let output = std::process::Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

fn parse_version(text: &str) -> Option<u32> {
    let number = text.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_pg_dump_is_parsed() {
        assert_eq!(parse_version("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_version("pg_dump (PostgreSQL) 18beta1\n"), Some(18));
        assert_eq!(parse_version(""), None);
    }
}
