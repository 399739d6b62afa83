//! A pool of sixteen connections (the platform's default) with prepared statements. The statements of a transaction are
//! pipelined (sent without waiting for the results in between), so a transaction is one round trip.

use super::statements::Statements;
use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use std::sync::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};
use tokio_util::task::TaskTracker;

const CONNECTIONS: usize = 16;

/// The idle connections, and a permit for each connection.
pub struct ConnectionPool {
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
    _tasks: TaskTracker,
}

/// A connection with its prepared statements.
pub struct Connection {
    client: Client,
    pub statements: Statements,
}

/// A statement of a transaction, with its parameters.
pub struct BoundStatement<'a> {
    pub statement: &'a Statement,
    pub parameters: &'a [&'a (dyn ToSql + Sync)],
}

impl Connection {
    /// Runs a transaction in one round trip; returns the rows of each statement.
    pub async fn transaction<const N: usize>(&self, statements: [BoundStatement<'_>; N]) -> Result<[Vec<Row>; N]> {
        // Requests are sent in the order in which their futures are polled first.
        let queries = statements.iter().map(|bound| self.client.query(bound.statement, bound.parameters));
        let (_, rows, _) = futures::try_join!(
            self.client.batch_execute("BEGIN"),
            try_join_all(queries),
            self.client.batch_execute("COMMIT"),
        )?;
        rows.try_into().map_err(|_| anyhow::anyhow!("a statement returned no result"))
    }
}

impl ConnectionPool {
    /// Opens all connections.
    pub async fn open(url: &str) -> Result<Self> {
        let tasks = TaskTracker::new();
        let open = || async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
            tasks.spawn(connection);
            client.batch_execute("SET jit = off").await?;
            let statements = Statements::prepare(&client).await?;
            Ok::<_, tokio_postgres::Error>(Connection { client, statements })
        };
        let idle = try_join_all((0..CONNECTIONS).map(|_| open())).await?;
        Ok(Self { idle: Mutex::new(idle), permits: Semaphore::new(CONNECTIONS), _tasks: tasks })
    }

    /// Waits for an idle connection.
    pub async fn acquire(&self) -> Result<PooledConnection<'_>> {
        let permit = self.permits.acquire().await?;
        let connection = self.idle.lock().ok().and_then(|mut idle| idle.pop()).context("no idle connection")?;
        Ok(PooledConnection { connection: Some(connection), pool: self, _permit: permit })
    }
}

/// A connection that returns to the pool when it is dropped.
pub struct PooledConnection<'a> {
    connection: Option<Connection>,
    pool: &'a ConnectionPool,
    _permit: SemaphorePermit<'a>,
}

impl PooledConnection<'_> {
    /// Returns the connection. It is always present, because only `drop` takes it.
    pub fn get(&self) -> Result<&Connection> {
        self.connection.as_ref().context("the connection was returned to the pool")
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        if let (Some(connection), Ok(mut idle)) = (self.connection.take(), self.pool.idle.lock()) {
            idle.push(connection);
        }
    }
}
