//! Checks every static statement against the migrated schema: it can be prepared by the login that runs it, and its
//! result has all columns that the program reads, with types that the program can decode.

use data::testing::{DbRole, StatementInfo, TestDb, TestError, statements};
use sqlx::postgres::PgStatement;
use sqlx::{Column as _, Connection as _, Executor as _, PgConnection, SqlStr, Statement as _};
use std::path::Path;

/// Prepares a statement and returns the problems found, if any.
async fn problems(connection: &mut PgConnection, statement: &StatementInfo) -> Vec<String> {
    match connection.prepare(SqlStr::from_static(statement.sql)).await {
        Err(error) => vec![format!("{} as {:?}: {error}\n{}", statement.activity, statement.role, statement.sql)],
        Ok(prepared) => mismatches(statement, &prepared),
    }
}

fn mismatches(statement: &StatementInfo, prepared: &PgStatement) -> Vec<String> {
    let columns = prepared.columns();
    let fields = (statement.fields)();
    let mismatched_fields = fields.iter().filter_map(|field| {
        let column = match field.name {
            "" => columns.first().filter(|_| columns.len() == 1),
            name => columns.iter().find(|column| column.name() == name),
        };
        let Some(column) = column else { return Some(format!("no column {:?} in the result", field.name)) };
        let is_readable = (field.accepts)(column.type_info());
        (!is_readable)
            .then(|| format!("column {:?} is {}, which its field cannot read", field.name, column.type_info()))
    });
    mismatched_fields.map(|what| format!("{}: {what}\n{}", statement.activity, statement.sql)).collect()
}

#[tokio::test]
async fn every_statement_matches_the_schema() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let all_statements = statements();
    assert!(all_statements.len() > 100, "only {} statements", all_statements.len());
    let mut problems_found = Vec::new();
    for (login, url) in [
        (DbRole::App, db.app_url()),
        (DbRole::Worker, db.worker_url()),
        (DbRole::Auditor, db.auditor_url()),
        (DbRole::Plant, db.plant_url()),
        (DbRole::Owner, db.superuser_url()),
    ] {
        let mut connection = PgConnection::connect(&url).await?;
        if login == DbRole::Owner {
            sqlx::query("SET ROLE platform_owner").execute(&mut connection).await?;
        }
        for statement in all_statements.iter().filter(|statement| statement.role == login) {
            problems_found.extend(problems(&mut connection, statement).await);
        }
    }
    assert!(problems_found.is_empty(), "{}", problems_found.join("\n\n"));
    Ok(())
}

#[tokio::test]
async fn a_changed_column_is_detected() -> Result<(), TestError> {
    let db = TestDb::create().await?;
    let mut owner = PgConnection::connect(&db.superuser_url()).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let all_statements = statements();
    let statement =
        all_statements.iter().find(|statement| statement.activity == "reading a memory").ok_or("no such statement")?;
    assert_eq!(problems(&mut app, statement).await, Vec::<String>::new());
    sqlx::query("ALTER TABLE memories ALTER importance TYPE numeric").execute(&mut owner).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let problems_found = problems(&mut app, statement).await.join("\n");
    assert!(problems_found.contains("column \"importance\" is NUMERIC"), "{problems_found}");
    sqlx::query("ALTER TABLE memories RENAME importance TO weight").execute(&mut owner).await?;
    let mut app = PgConnection::connect(&db.app_url()).await?;
    let problems_found = problems(&mut app, statement).await.join("\n");
    assert!(problems_found.contains("\"importance\" does not exist"), "{problems_found}");
    Ok(())
}

/// Repositories must declare their statements with `statements!`. Only the code for migrations, preflight checks and
/// tests may call functions like `sqlx::query`. `raw_sql` is allowed everywhere, for example to set the role.
#[test]
fn every_statement_is_declared_with_the_macro() -> Result<(), TestError> {
    const MAY_CALL_SQLX: &[&str] = &["statement.rs", "migrate.rs", "preflight.rs", "testing.rs"];
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if !MAY_CALL_SQLX.contains(&name) {
                let text = std::fs::read_to_string(&path)?;
                let forbidden_calls = ["sqlx::query(", "sqlx::query_as(", "sqlx::query_scalar(", "QueryBuilder"];
                let forbidden_call = forbidden_calls.iter().find(|call| text.contains(**call));
                assert_eq!(forbidden_call, None, "{}", path.display());
            }
        }
    }
    Ok(())
}
