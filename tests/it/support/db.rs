//! Direct access to the database as superuser, which bypasses row-level security.

use super::app::TestApp;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A connection as the superuser. Each test opens its own, because a connection belongs to the runtime that opened it.
pub struct SuperuserDb(PgConnection);

impl SuperuserDb {
    /// Connects to the database of an app.
    pub async fn connect(app: &TestApp) -> Self {
        Self(PgConnection::connect(&app.db.superuser_url()).await.expect("the test database"))
    }

    /// Returns the rows of a query as JSON objects; `$1`, `$2`, … are bound as text.
    pub async fn rows(&mut self, query: &str, parameters: &[&str]) -> Vec<Value> {
        let sql = format!("SELECT to_jsonb(found) FROM ({query}) AS found");
        let mut bound_query = sqlx::query_scalar::<_, Value>(AssertSqlSafe(sql));
        for parameter in parameters {
            bound_query = bound_query.bind(*parameter);
        }
        bound_query.fetch_all(&mut self.0).await.expect("a query of the tests")
    }

    /// Returns the number that a query such as `SELECT count(*)` selects.
    pub async fn count(&mut self, query: &str, parameters: &[&str]) -> i64 {
        let mut bound_query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(query.to_owned()));
        for parameter in parameters {
            bound_query = bound_query.bind(*parameter);
        }
        bound_query.fetch_one(&mut self.0).await.expect("a query of the tests")
    }

    /// Runs a statement; returns the number of affected rows.
    pub async fn execute(&mut self, statement: &str, parameters: &[&str]) -> u64 {
        let mut bound_statement = sqlx::query(AssertSqlSafe(statement.to_owned()));
        for parameter in parameters {
            bound_statement = bound_statement.bind(*parameter);
        }
        bound_statement.execute(&mut self.0).await.expect("a statement of the tests").rows_affected()
    }
}
