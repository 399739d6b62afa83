//! The database server as a whole: its CPU time, and whether its commits are durable.

use super::process::Times;
use anyhow::{Result, bail};
use data::testing::TestDb;
use sqlx::{Connection as _, PgConnection};

/// The server of the benchmark's databases.
pub struct PostgresServer {
    postmaster: u32,
}

impl PostgresServer {
    /// Finds the server of a database.
    ///
    /// # Errors
    /// If the server does not flush commits to disk, or runs on another machine.
    pub async fn of(db: &TestDb) -> Result<Self> {
        let mut connection = PgConnection::connect(&db.superuser_url()).await?;
        for setting in ["fsync", "synchronous_commit"] {
            let value: String =
                sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut connection).await?;
            if value != "on" {
                bail!("the database server runs with {setting}={value}; commits would cost nothing");
            }
        }
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        Ok(Self { postmaster: Times::of(u32::try_from(backend)?)?.parent })
    }

    /// CPU time of the postmaster and all its children so far, in seconds, including those that have ended.
    pub fn cpu(&self) -> Result<f64> {
        Times::with_children(self.postmaster)
    }
}

/// Waits up to five seconds until all audit rows are sealed: the CPU time of sealing belongs to the requests that wrote
/// them.
pub async fn wait_until_sealed(db: &TestDb) -> Result<()> {
    let mut connection = PgConnection::connect(&db.superuser_url()).await?;
    for _ in 0..50 {
        let is_open: bool =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM audit_unsealed)").fetch_one(&mut connection).await?;
        if !is_open {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Ok(())
}
