//! The database server as a whole: its CPU time, and whether its commits are durable.

use super::process::ProcessStat;
use anyhow::{Result, bail};
use data::testing::TestDb;
use sqlx::{Connection as _, PgConnection};

/// The server of the benchmark's databases.
pub struct PostgresServer {
    postmaster_pid: u32,
}

impl PostgresServer {
    /// Finds the server of a database.
    ///
    /// # Errors
    /// If the server does not flush commits to disk, or runs on another machine.
    pub async fn of_database(db: &TestDb) -> Result<Self> {
        let mut connection = PgConnection::connect(&db.superuser_url()).await?;
        for setting in ["fsync", "synchronous_commit"] {
            let value: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut connection).await?;
            if value != "on" {
                bail!("the database server runs with {setting}={value}; the benchmark needs durable commits");
            }
        }
        let backend_pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        Ok(Self { postmaster_pid: ProcessStat::read(u32::try_from(backend_pid)?)?.parent_pid })
    }

    /// CPU time of the postmaster and all its children so far, in seconds, including those that have ended.
    pub fn cpu_seconds(&self) -> Result<f64> {
        ProcessStat::cpu_seconds_with_children(self.postmaster_pid)
    }
}

/// Waits until all audit rows are sealed, at most five seconds, so that the CPU time of sealing counts towards the
/// requests that wrote them.
pub async fn wait_until_sealed(db: &TestDb) -> Result<()> {
    let mut connection = PgConnection::connect(&db.superuser_url()).await?;
    for _ in 0..50 {
        let has_unsealed: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM audit_unsealed)").fetch_one(&mut connection).await?;
        if !has_unsealed {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}
